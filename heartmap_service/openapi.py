"""The OpenAPI document. ``python -m heartmap_service.openapi`` prints it.

Paths, parameters and bodies are FastAPI's, from the routes themselves; what each answers is in ``OPERATIONS``, and who may call
it in the access policy. The API does not serve it, and there are no pages that show it: those would load scripts from a public
host, which the content security policy of every answer forbids.
"""

import json
import sys
from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from heartmap_service import answers
from heartmap_service.problems import MEDIA_TYPE
from lambda_authorizer.access_policy import RULES, Rule

VERSION = "1.0.0"
"""Of the API."""

_REF = "#/components/schemas/{model}"
_EVERY_CALL = (401, 403, 413, 421, 429, 500, 503, 504)
"""What any call may be answered. The gateway in front answers some of them."""

_SUMMARY = (
    "HeartMAP's analyses of single-cell data of the heart. Data sets are uploaded, checked and analysed by jobs. Every call "
    "names its caller: there is no public route. Errors are RFC 9457 problem documents whose `code` is for programs."
)

_HEADERS: dict[str, dict[str, Any]] = {
    "ETag": {"description": "Of this answer, for If-None-Match and If-Match.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer", "minimum": 0}},
    "Location": {"description": "Where the analysis is asked for.", "schema": {"type": "string"}},
    "X-Request-Id": {"description": "Of this call, as the logs have it.", "schema": {"type": "string"}},
    "Idempotency-Replayed": {
        "description": "true: the answer is about what an earlier call with this Idempotency-Key made.",
        "schema": {"type": "string", "enum": ["true"]},
    },
}
_PARAMETERS: dict[str, dict[str, Any]] = {
    "If-None-Match": {
        "description": "The ETag of an answer at hand: 304 when it is still that one.",
        "schema": {"type": "string"},
    },
    "If-Match": {
        "description": "The ETag of what is to be changed: 412 when it is no longer that.",
        "schema": {"type": "string", "maxLength": 256},
    },
    "Idempotency-Key": {
        "description": "Names the call, so that to repeat it within a day does nothing twice: 1 to 255 visible ASCII characters.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    },
}
_SECURITY: dict[str, Any] = {
    "accessToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token of the user pool.",
    },
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`ApiKey hm_<environment>_<public id>_<secret>`. Calls with a key that has a signing key are signed as "
        "well: Content-Digest, Signature-Input and Signature (RFC 9421).",
    },
}


class Operation(NamedTuple):
    """What a route answers: ``model`` with ``status``, or with one of ``others``; and its own problems."""

    summary: str
    model: type[BaseModel]
    status: int = 200
    others: tuple[int, ...] = ()
    problems: tuple[int, ...] = ()
    tagged: bool = True
    conditional: bool = False
    repeatable: bool = False
    example: Any = None


_CONFIG_EXAMPLE = {"min_genes": 200, "resolution": 0.5}
OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/"): Operation("What this is", answers.Root),
    ("GET", "/health"): Operation("Whether the service answers", answers.Health),
    ("GET", "/models"): Operation("The types of analysis and their options", answers.Models),
    ("GET", "/config"): Operation("The configuration of the pipelines", answers.Configuration),
    ("POST", "/config"): Operation(
        "Change the configuration, or bring a version back",
        answers.Configuration,
        problems=(400, 409, 412, 422),
        conditional=True,
        example=_CONFIG_EXAMPLE,
    ),
    ("GET", "/config/versions"): Operation("Who changed what of the configuration", answers.Versions, problems=(422,)),
    ("GET", "/uploads"): Operation("The uploads that you may see", answers.Uploads, problems=(422,)),
    ("POST", "/uploads"): Operation(
        "Begin an upload",
        answers.UploadTicket,
        status=201,
        problems=(400, 409, 422),
        repeatable=True,
        example={"name": "heart.h5ad", "bytes": 7340032},
    ),
    ("GET", "/uploads/{upload_id}"): Operation("An upload, and what its check found", answers.Upload, problems=(404,)),
    ("PATCH", "/uploads/{upload_id}"): Operation(
        "Who may see an upload",
        answers.Upload,
        problems=(400, 404, 409, 412, 422),
        conditional=True,
        example={"visibility": "shared"},
    ),
    ("POST", "/uploads/{upload_id}/parts"): Operation(
        "URLs for parts of an upload", answers.PartUrls, problems=(400, 404, 409, 422), example={"numbers": [1, 2]}
    ),
    ("POST", "/uploads/{upload_id}/complete"): Operation(
        "Put the parts together",
        answers.Upload,
        problems=(400, 404, 409, 422),
        example={"parts": [{"number": 1, "etag": '"9b2cf535f27731c974343645a3985328"'}]},
    ),
    ("POST", "/analyses"): Operation(
        "Submit an analysis",
        answers.Submitted,
        status=202,
        problems=(400, 404, 409, 422),
        repeatable=True,
        example={"upload_id": "01JDDY0Z4Q8R6N5V3T7W2X9YAB", "analysis_type": "basic", "options": {"resolution": 0.7}},
    ),
    ("GET", "/analyses"): Operation("The analyses that you may see", answers.Overviews, problems=(422,)),
    ("GET", "/analyses/{analysis_id}"): Operation("An analysis", answers.Analysis, problems=(404,)),
    ("GET", "/analyses/{analysis_id}/results"): Operation(
        "The results of an analysis, by presigned URL", answers.Results, problems=(404, 409), tagged=False
    ),
    ("PATCH", "/analyses/{analysis_id}"): Operation(
        "Who may see an analysis",
        answers.Analysis,
        problems=(400, 404, 409, 412, 422),
        conditional=True,
        example={"visibility": ["5f0d3c1e-0c4c-4b5e-9a6e-2f4ad9f3c001"]},
    ),
    ("DELETE", "/analyses/{analysis_id}"): Operation("Cancel an analysis", answers.Cancelled, problems=(404, 409)),
    ("POST", "/analyze"): Operation(
        "HeartMAP's own call: a data set in, its result out, or 202 when that takes longer",
        answers.AnalyzeAnswer,
        others=(202,),
        problems=(400, 404, 408, 409, 422),
        repeatable=True,
    ),
}


def document(app: FastAPI) -> dict[str, Any]:
    """The document of the application's routes."""
    made = get_openapi(title="HeartMAP on AWS", version=VERSION, description=_SUMMARY, routes=app.routes)
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas.update(_schemas())
    components["securitySchemes"] = _SECURITY
    components["headers"] = _HEADERS
    statuses = sorted({*_EVERY_CALL, *(status for operation in OPERATIONS.values() for status in operation.problems)})
    components["responses"] = {f"Problem{status}": _problem(status) for status in statuses}
    for route, path in made["paths"].items():
        for method, operation in path.items():
            _complete(operation, OPERATIONS[method.upper(), route], RULES[method.upper(), route])
    return made


def _complete(operation: dict[str, Any], known: Operation, rule: Rule) -> None:
    """Says of an operation what its route's function does not."""
    operation["summary"] = known.summary
    operation["security"] = [{name: []} for name in _SECURITY]
    operation["x-heartmap-groups"] = "any principal" if rule.any_principal else sorted(rule.groups)
    operation["x-heartmap-scopes"] = sorted(rule.scopes)
    if rule.sign_in_age is not None:
        operation["x-heartmap-sign-in-age"] = rule.sign_in_age
    operation["x-heartmap-body-bytes"] = rule.body
    operation["responses"] = _responses(rule.method, known)
    _add_parameters(operation, rule.method, known)
    if known.example is not None:
        operation["requestBody"]["content"]["application/json"]["example"] = known.example


def _add_parameters(operation: dict[str, Any], method: str, known: Operation) -> None:
    wanted = {
        "If-None-Match": method == "GET" and known.tagged,
        "If-Match": known.conditional,
        "Idempotency-Key": known.repeatable,
    }
    # A route's function may take one of them by itself, under the name that Python has for it.
    kept = [each for each in operation.get("parameters", []) if each["in"] != "header"]
    kept += [
        {"name": name, "in": "header", "required": False, **_PARAMETERS[name]} for name, is_taken in wanted.items() if is_taken
    ]
    if kept:
        operation["parameters"] = kept


def _responses(method: str, known: Operation) -> dict[str, Any]:
    headers = ["X-Request-Id", *(["ETag"] if (method == "GET" and known.tagged) or known.conditional else [])]
    if known.repeatable:
        headers.append("Idempotency-Replayed")
    content = {"application/json": {"schema": {"$ref": _REF.format(model=known.model.__name__)}}}
    responses = {
        str(status): {
            "description": HTTPStatus(status).phrase,
            "headers": _named([*headers, *(["Location", "Retry-After"] if status == 202 and known.others else [])]),
            "content": content,
        }
        for status in (known.status, *known.others)
    }
    if method == "GET" and known.tagged:
        responses["304"] = {"description": "The answer at hand is still the one.", "headers": _named(headers)}
    problems = sorted({*_EVERY_CALL, *known.problems})
    return responses | {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in problems}


def _problem(status: int) -> dict[str, Any]:
    return {
        "description": HTTPStatus(status).phrase,
        "headers": _named(["X-Request-Id", *(["Retry-After"] if status in (429, 503) else [])]),
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="ProblemDocument")}}},
    }


def _named(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


@cache
def _schemas() -> dict[str, Any]:
    models = {operation.model for operation in OPERATIONS.values()} | {answers.ProblemDocument}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, made = models_json_schema([(model, "serialization") for model in ordered], ref_template=_REF)
    return made["$defs"]


def main() -> None:
    """Writes the document to standard output. It needs no AWS and no settings: nothing is called."""
    from heartmap_service.api import routed

    sys.stdout.write(json.dumps(document(routed()), indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
