"""Refusals and failures as problem documents (RFC 9457), in the form that the API gives them."""

import secrets
from http import HTTPStatus

from starlette.responses import JSONResponse

from operator_cli.errors import CliError, NotSignedIn

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """An answer that is a refusal: ``code`` is for the page, ``detail`` for people."""

    def __init__(self, status: int, code: str, detail: str, *, request_id: str | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id

    def response(self) -> JSONResponse:
        document = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "request_id": self.request_id or new_request_id(),
        }
        # What is left of the body is not read, so the connection cannot carry another request.
        return JSONResponse(document, self.status, headers={"X-Request-Id": document["request_id"]}, media_type=MEDIA_TYPE)


class SignedOut(Problem):
    """There is no session, or it has ended."""

    def __init__(self, detail: str) -> None:
        super().__init__(401, "not_signed_in", detail)


def of_failure(error: CliError) -> Problem:
    """A failure of what heartmapctl does for the console."""
    if isinstance(error, NotSignedIn):
        return SignedOut(error.message)
    detail = f"{error.message} {error.next_step}" if error.next_step else error.message
    return Problem(502, error.code or "unreachable", detail, request_id=error.request_id)


def new_request_id() -> str:
    """An id of the console's own, for answers that the API had no part in."""
    return f"console-{secrets.token_hex(8)}"
