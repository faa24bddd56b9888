"""Errors as RFC 9457 problem documents, with ``code`` for programs, ``detail`` for people and the call's ``request_id``.

Every text is ours: none carries a path, a stack or a library's words.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "application/problem+json"
AUDIT = "audit"
"""What a call's audit record is called in the state of its scope."""

# pydantic's error types, in our words. {…} is filled from the error's own context, which holds the limits of our models.
_RULES = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this request",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "list_type": "must be a list",
    "set_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object, sent with the Content-Type of JSON",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "has characters that are not allowed here",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "literal_error": "must be {expected}",
    "json_invalid": "is not valid JSON",
    "visibility": "must be private, shared or a list of at most 25 principals",
}


class Problem(HTTPException):
    """A refusal or a failure, to be answered as it stands. ``status`` is the HTTP status; ``errors`` lists {field, rule}."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        # An HTTPException, because FastAPI turns every other exception that is raised while it reads a body into a 400 of its
        # own.
        super().__init__(status, detail, dict(headers or {}))
        self.code = code
        self.errors = list(errors)


class _Answer(JSONResponse):
    """Whoever answers with a problem, its code is the reason in the audit record of the call."""

    media_type = MEDIA_TYPE
    code: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        record = scope.get("state", {}).get(AUDIT)
        if record is not None:
            record.reason = self.code
        await super().__call__(scope, receive, send)


def respond(problem: Problem, request_id: str) -> JSONResponse:
    """The problem document."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status_code).phrase,
        "status": problem.status_code,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": request_id,
    }
    if problem.errors:
        document["errors"] = problem.errors
    answer = _Answer(document, problem.status_code, problem.headers)
    answer.code = problem.code
    return answer


def field_errors(errors: Sequence[Any]) -> list[dict[str, str]]:
    """pydantic's errors as {field, rule}. A field is a dotted path of names and indices; an unknown one keeps the name it came
    with."""
    return [{"field": _field(error["loc"]), "rule": _rule(error["type"], error.get("ctx", {}))} for error in errors]


def invalid(errors: Sequence[Any]) -> Problem:
    """422 for a body or a parameter that breaks its model. ``errors`` are pydantic's."""
    listed = field_errors(errors)
    first = listed[0]
    return Problem(422, "invalid_request", f"The request is not valid: {first['field']} {first['rule']}.", errors=listed)


def _field(location: Sequence[int | str]) -> str:
    names = [str(name)[:64] for name in location if name not in ("body", "path", "query", "header")]
    # FastAPI reports where broken JSON breaks as a number.
    return ".".join(names) if names and not (len(names) == 1 and names[0].isdigit()) else "body"


def _rule(kind: str, context: Mapping[str, Any]) -> str:
    return _RULES.get(kind, "is not valid").format_map(
        {name: value for name, value in context.items() if isinstance(value, str | int | float)}
    )
