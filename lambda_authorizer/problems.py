"""What the functions behind the API answer: JSON or a problem document (RFC 9457), with the headers of every answer of the API.

Not for the authorizer itself, whose refusals API Gateway puts into words. Every text is ours.
"""

import json
from typing import Any, NamedTuple

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
}


class Problem(NamedTuple):
    """A refusal or a failure. ``errors`` lists (member, rule) of a body that is not valid."""

    status: int
    title: str
    code: str
    detail: str
    headers: tuple[tuple[str, str], ...] = ()
    errors: tuple[tuple[str, str], ...] = ()


class Refused(Exception):
    """Ends the call with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


UNAVAILABLE = Problem(
    503, "Service Unavailable", "unavailable", "A service behind this one did not answer. Try again.", (("Retry-After", "5"),)
)
INTERNAL = Problem(
    500,
    "Internal Server Error",
    "internal",
    "The request could not be handled. It is not your doing; try again later and quote the request id if it persists.",
)


def document(status: int, content: dict[str, Any], request_id: str | None) -> dict[str, Any]:
    """A success, as a Lambda proxy integration answers it."""
    return _response(status, "application/json", content, request_id)


def problem(problem: Problem, request_id: str | None) -> dict[str, Any]:
    """The problem document, as a Lambda proxy integration answers it."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "request_id": request_id,
    }
    if problem.errors:
        content["errors"] = [{"field": field, "rule": rule} for field, rule in problem.errors]
    return _response(problem.status, "application/problem+json", content, request_id, dict(problem.headers))


def _response(
    status: int, content_type: str, content: dict[str, Any], request_id: str | None, more: dict[str, str] | None = None
) -> dict[str, Any]:
    headers = {"Content-Type": content_type, **SECURITY_HEADERS, **(more or {})}
    if request_id is not None:
        headers["X-Request-Id"] = request_id
    return {"statusCode": status, "headers": headers, "body": json.dumps(content), "isBase64Encoded": False}
