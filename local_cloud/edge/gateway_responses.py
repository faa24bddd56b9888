"""What the REST API answers by itself: AWS's defaults, changed by the gateway responses that were deployed.

https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from local_cloud.edge.exchange import Exchange, Headers, Template
from local_cloud.edge.interpret import known_only, require
from local_cloud.edge.mapping import Source, source


class _Default(NamedTuple):
    status: int
    message: str
    error_type: str
    """Value of the x-amzn-errortype header."""


DEFAULTS = {
    "ACCESS_DENIED": _Default(403, "User is not authorized to access this resource", "AccessDeniedException"),
    "API_CONFIGURATION_ERROR": _Default(500, "Internal server error", "InternalServerErrorException"),
    "AUTHORIZER_CONFIGURATION_ERROR": _Default(500, "Internal server error", "AuthorizerConfigurationException"),
    "AUTHORIZER_FAILURE": _Default(500, "Internal server error", "AuthorizerFailureException"),
    "BAD_REQUEST_BODY": _Default(400, "Invalid request body", "BadRequestException"),
    "BAD_REQUEST_PARAMETERS": _Default(400, "Missing required request parameters", "BadRequestException"),
    "INTEGRATION_FAILURE": _Default(504, "Network error communicating with endpoint", "InternalServerErrorException"),
    "INTEGRATION_TIMEOUT": _Default(504, "Endpoint request timed out", "InternalServerErrorException"),
    "INVALID_SIGNATURE": _Default(
        403, "The request signature we calculated does not match the signature you provided.", "InvalidSignatureException"
    ),
    "MISSING_AUTHENTICATION_TOKEN": _Default(403, "Missing Authentication Token", "MissingAuthenticationTokenException"),
    "REQUEST_TOO_LARGE": _Default(413, "Request Too Long", "RequestTooLargeException"),
    "THROTTLED": _Default(429, "Too Many Requests", "TooManyRequestsException"),
    "UNAUTHORIZED": _Default(401, "Unauthorized", "UnauthorizedException"),
    "WAF_FILTERED": _Default(403, "Forbidden", "ForbiddenException"),
}
NEVER_SENT = {
    "EXPIRED_TOKEN",
    "INVALID_API_KEY",
    "QUOTA_EXCEEDED",
    "RESOURCE_NOT_FOUND",
    "UNSUPPORTED_MEDIA_TYPE",
}
"""Types for what this edge never meets: tokens that it would know to have ended, keys of usage plans, integrations that are no
proxies."""
CATCH_ALL = ("DEFAULT_4XX", "DEFAULT_5XX")


class Refused(Exception):
    """Ends a request with the gateway response of this type."""

    def __init__(self, response_type: str, message: str | None = None) -> None:
        super().__init__(response_type)
        self.response_type, self.message = response_type, message


class Answer(NamedTuple):
    """A whole response."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class _Customised:
    status: int | None
    headers: tuple[tuple[str, Source], ...]
    content_type: str
    template: Template | None


class GatewayResponses:
    """The responses of one REST API.

    Args:
        deployed: items of apigateway GetGatewayResponses.

    Raises Uninterpretable.
    """

    def __init__(self, deployed: Iterable[Mapping[str, Any]]) -> None:
        self._customised = {item["responseType"]: _customised(item) for item in deployed}
        unknown = sorted(self._customised.keys() - DEFAULTS.keys() - NEVER_SENT - set(CATCH_ALL))
        require(not unknown, f"There are gateway responses of the unknown types {', '.join(unknown)}.")

    def answer(self, response_type: str, exchange: Exchange) -> Answer:
        """Notes the error in the exchange and renders its response. A message set in the exchange before stands."""
        default = DEFAULTS[response_type]
        exchange.error_type = response_type
        exchange.error_message = exchange.error_message or default.message
        custom = self._customised.get(response_type) or self._customised.get(CATCH_ALL[default.status >= 500])
        status = (custom and custom.status) or default.status
        headers: Headers = [("x-amzn-requestid", exchange.request_id), ("x-amzn-errortype", default.error_type)]
        body, content_type = f'{{"message":{exchange.variable("error.messageString")}}}', "application/json"
        if custom:
            if custom.template:
                body, content_type = custom.template.render(exchange), custom.content_type
            headers += [(name, value) for name, origin in custom.headers if (value := origin.resolve(exchange)) is not None]
        if not any(name == "content-type" for name, _ in headers):
            headers.append(("content-type", content_type))
        return Answer(status, headers, body.encode())


def _customised(item: Mapping[str, Any]) -> _Customised:
    what = f"The gateway response {item['responseType']}"
    known_only(what, item, {"responseType", "statusCode", "responseParameters", "responseTemplates", "defaultResponse"})
    headers = []
    for name, expression in (item.get("responseParameters") or {}).items():
        require(name.startswith("gatewayresponse.header."), f"{what} sets {name}, which is not a header.")
        headers.append((name.removeprefix("gatewayresponse.header.").lower(), source(expression, what)))
    templates = dict(item.get("responseTemplates") or {})
    require(len(templates) <= 1, f"{what} has templates for several content types: the local edge takes one.")
    content_type, text = next(iter(templates.items()), ("application/json", None))
    return _Customised(
        status=int(item["statusCode"]) if item.get("statusCode") else None,
        headers=tuple(headers),
        content_type=content_type,
        template=None if text is None else Template(text, what),
    )
