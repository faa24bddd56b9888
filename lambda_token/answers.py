"""What the function answers: the credential or a problem document (RFC 9457), with the headers of every answer of the API."""

import json
from typing import Any, NamedTuple

from lambda_token.credential import LIFETIME, Credential
from lambda_token.roles import Grant

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
}


class Problem(NamedTuple):
    """A refusal or a failure. Every text is ours."""

    status: int
    title: str
    code: str
    detail: str
    headers: tuple[tuple[str, str], ...] = ()


class Refused(Exception):
    """Ends the exchange with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


NOT_A_ROLE = Problem(
    403, "Forbidden", "not_a_role", "Only a session of an IAM role gets a credential here: assume a role and sign with it."
)
UNKNOWN_ROLE = Problem(
    403, "Forbidden", "unknown_role", "This IAM role has no groups here: ask an administrator to add it to heartmap:iam_roles."
)
UNAVAILABLE = Problem(
    503, "Service Unavailable", "unavailable", "A service behind this one did not answer. Try again.", (("Retry-After", "5"),)
)
INTERNAL = Problem(
    500,
    "Internal Server Error",
    "internal",
    "The request could not be handled. It is not your doing; try again later and quote the request id if it persists.",
)


def granted(credential: Credential, grant: Grant, request_id: str | None) -> dict[str, Any]:
    """The answer with the credential, in the manner of an OAuth 2.0 token response (RFC 6749, section 5.1)."""
    document = {
        "access_token": credential.key,
        "token_type": "ApiKey",
        "expires_in": LIFETIME,
        "groups": sorted(grant.groups),
    }
    return _response(200, "application/json", document, request_id)


def problem(problem: Problem, request_id: str | None) -> dict[str, Any]:
    """The problem document."""
    document = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "request_id": request_id,
    }
    return _response(problem.status, "application/problem+json", document, request_id, dict(problem.headers))


def _response(
    status: int, content_type: str, document: dict[str, Any], request_id: str | None, more: dict[str, str] | None = None
) -> dict[str, Any]:
    headers = {"Content-Type": content_type, **SECURITY_HEADERS, **(more or {})}
    if request_id is not None:
        headers["X-Request-Id"] = request_id
    return {"statusCode": status, "headers": headers, "body": json.dumps(document), "isBase64Encoded": False}
