"""What API Gateway answers by itself: problem documents (RFC 9457) with the security headers that the service's answers carry.

https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
"""

import json
from typing import NamedTuple

from lambda_authorizer.access_policy import STEP_UP_AGE

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
}

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1


class GatewayResponse(NamedTuple):
    """An answer. ``status`` None leaves the gateway's own, which a default answer cannot know.

    ``reasoned`` ones tell the authorizer's reason, which is one of the codes in lambda_authorizer.reasons and nothing that a
    caller sent. https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gatewayResponse-definition.html
    """

    response_type: str
    status: int | None
    code: str
    title: str
    detail: str
    headers: tuple[tuple[str, str], ...] = ()
    reasoned: bool = False

    @property
    def template(self) -> str:
        """The body, in which API Gateway puts the request's id."""
        problem: dict[str, str | int] = {"type": "about:blank", "title": self.title}
        if self.status is not None:
            problem["status"] = self.status
        problem |= {"code": self.code, "detail": self.detail, "request_id": "$context.requestId"}
        if self.reasoned:
            problem["reason"] = "$context.authorizer.reason"
        return json.dumps(problem)

    @property
    def parameters(self) -> dict[str, str]:
        """The headers in API Gateway's notation, a literal in single quotes."""
        headers = {"Content-Type": CONTENT_TYPE, "X-Request-Id": None, **SECURITY_HEADERS, **dict(self.headers)}
        return {
            f"gatewayresponse.header.{name}": "context.requestId" if value is None else f"'{value}'"
            for name, value in headers.items()
        }


_RETRY = (("Retry-After", str(RETRY_AFTER_SECONDS)),)
_SIGN = "The signature is not valid: sign with current IAM credentials, for execute-api in this region, and within five minutes."
_DENIED = (
    "You are signed in, but may not do this. Some changes ask for a sign-in of the last "
    f"{STEP_UP_AGE // 60} minutes: where the reason is sign_in_too_old, sign in again with `heartmapctl login`."
)
_OUR_FAULT = "The request could not be handled. It is not your doing; try again later and quote the request id if it persists."

GATEWAY_RESPONSES: tuple[GatewayResponse, ...] = (
    GatewayResponse(
        "UNAUTHORIZED",
        401,
        "unauthenticated",
        "Unauthorized",
        "No valid credential came with the request: sign in again, or send an API key that has not expired.",
        (("WWW-Authenticate", "Bearer"),),
    ),
    # A Deny is always a 403: API Gateway has no way to the 401 that RFC 9470 asks for where the sign-in is too old.
    GatewayResponse("ACCESS_DENIED", 403, "forbidden", "Forbidden", _DENIED, reasoned=True),
    # What API Gateway answers to a call without a signature where it needs one is its answer to unknown routes as well.
    GatewayResponse(
        "MISSING_AUTHENTICATION_TOKEN",
        403,
        "no_such_route",
        "Forbidden",
        "There is no such route or method in this API, or it takes nothing but an IAM signature.",
    ),
    GatewayResponse("INVALID_SIGNATURE", 403, "invalid_signature", "Forbidden", _SIGN),
    GatewayResponse("EXPIRED_TOKEN", 403, "invalid_signature", "Forbidden", _SIGN),
    GatewayResponse(
        "WAF_FILTERED", 403, "blocked", "Forbidden", "The request was blocked: its address or content is not admitted here."
    ),
    GatewayResponse("THROTTLED", 429, "throttled", "Too Many Requests", "Too many requests: wait and try again.", _RETRY),
    GatewayResponse("QUOTA_EXCEEDED", 429, "throttled", "Too Many Requests", "Too many requests: wait and try again.", _RETRY),
    GatewayResponse(
        "REQUEST_TOO_LARGE",
        413,
        "body_too_large",
        "Content Too Large",
        "The body is larger than 10 MB: upload the data set with `heartmapctl upload`.",
    ),
    GatewayResponse(
        "BAD_REQUEST_BODY",
        400,
        "bad_request",
        "Bad Request",
        "The body is not what this route takes: a field is missing, unknown, or of a wrong kind or range.",
    ),
    GatewayResponse("BAD_REQUEST_PARAMETERS", 400, "bad_request", "Bad Request", "A parameter is missing or wrong."),
    GatewayResponse(
        "UNSUPPORTED_MEDIA_TYPE", 415, "bad_request", "Unsupported Media Type", "This route takes no body of that type."
    ),
    GatewayResponse("AUTHORIZER_FAILURE", 500, "internal", "Internal Server Error", _OUR_FAULT),
    GatewayResponse("AUTHORIZER_CONFIGURATION_ERROR", 500, "internal", "Internal Server Error", _OUR_FAULT),
    GatewayResponse("API_CONFIGURATION_ERROR", 500, "internal", "Internal Server Error", _OUR_FAULT),
    GatewayResponse("INTEGRATION_FAILURE", 502, "bad_gateway", "Bad Gateway", "The service does not answer: try again later."),
    GatewayResponse("INTEGRATION_TIMEOUT", 504, "timeout", "Gateway Timeout", "The service took too long: try again later."),
    GatewayResponse("DEFAULT_4XX", None, "bad_request", "Refused", "The request was refused as it is."),
    GatewayResponse("DEFAULT_5XX", None, "internal", "Internal Server Error", _OUR_FAULT),
)
