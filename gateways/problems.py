"""What a gateway answers by itself: RFC 9457 problem documents with the codes and the words of API Gateway's answers.

A rendering puts the request's id where its gateway has it.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

from infra.gateway_responses import CONTENT_TYPE, GATEWAY_RESPONSES, RETRY_AFTER_SECONDS, SECURITY_HEADERS

__all__ = ["CONTENT_TYPE", "PROBLEMS", "SECURITY_HEADERS", "GatewayProblem"]


class GatewayProblem(NamedTuple):
    """An answer. ``headers`` come beside the security headers, the content type and ``X-Request-Id``."""

    status: int
    title: str
    code: str
    detail: str
    headers: tuple[tuple[str, str], ...] = ()

    def body(self, request_id: str) -> str:
        """The document. ``request_id`` is the gateway's own notation for it."""
        fields = {"type": "about:blank", "title": self.title, "status": self.status, "code": self.code, "detail": self.detail}
        return json.dumps({**fields, "request_id": request_id})


def _as(response_type: str) -> GatewayProblem:
    (found,) = (each for each in GATEWAY_RESPONSES if each.response_type == response_type)
    if found.status is None:
        raise ValueError(f"{response_type} has no status of its own")
    return GatewayProblem(found.status, found.title, found.code, found.detail, found.headers)


_ALL = (
    _as("BAD_REQUEST_PARAMETERS")._replace(detail="This is not a request in HTTP/1.1, or its head has what none may have."),
    GatewayProblem(
        401,
        "Unauthorized",
        "unauthenticated",
        "This gateway asks for a user name and a password of its own, by basic authentication.",
        (("WWW-Authenticate", 'Basic realm="heartmap", charset="UTF-8"'),),
    ),
    _as("WAF_FILTERED")._replace(detail="The request was blocked: its address is not admitted here."),
    GatewayProblem(404, "Not Found", "no_such_route", "There is no such route or method in this API."),
    GatewayProblem(408, "Request Timeout", "body_too_slow", "The request took too long to arrive."),
    _as("REQUEST_TOO_LARGE")._replace(detail="The body is larger than this route takes."),
    GatewayProblem(421, "Misdirected Request", "misdirected_request", "This host does not serve the API."),
    _as("THROTTLED"),
    GatewayProblem(
        431, "Request Header Fields Too Large", "head_too_large", "The request line or one of the headers is too long."
    ),
    _as("AUTHORIZER_FAILURE"),
    _as("INTEGRATION_FAILURE"),
    GatewayProblem(
        503,
        "Service Unavailable",
        "unavailable",
        "The service does not answer: try again later.",
        (("Retry-After", str(RETRY_AFTER_SECONDS)),),
    ),
    _as("INTEGRATION_TIMEOUT"),
)

PROBLEMS: Mapping[int, GatewayProblem] = {problem.status: problem for problem in _ALL}
"""By status: a gateway has one answer for each."""
