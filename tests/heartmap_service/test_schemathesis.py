"""The API does what its OpenAPI document says, for calls made up from the document and for calls that are not what it says.

The emulated AWS stands behind it, and an administrator calls to whom everything belongs: whoever
may do more sees more.
"""

import contextlib
import json
import re
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from heartmap_service import api, openapi
from lambda_authorizer.access_policy import RULES
from lambda_authorizer.assertion import HEADER

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 6
"""Of each operation in each mode."""


class Signed:
    """Calls reach the application as they do from the gateway, in the name of a person."""

    def __init__(self, app: Any, person: Any) -> None:
        self._app = app
        self._person = person

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            given = [pair for pair in scope["headers"] if pair[0] not in (b"host", b"x-request-id", HEADER.lower().encode())]
            ours = [(b"host", b"internal.heartmap.test")]
            with contextlib.suppress(LookupError):
                text = self._person.assertion(scope["method"], route_of(scope["method"], scope["path"]), principal="anna")
                ours.append((HEADER.lower().encode(), text.encode()))
            scope = {**scope, "headers": given + ours}
        await self._app(scope, receive, send)


def strict(schema: Any) -> Any:
    """The schema, in which an object has no members but those that are described."""
    if isinstance(schema, dict):
        closed = {"additionalProperties": False} if "properties" in schema and "additionalProperties" not in schema else {}
        return {name: strict(value) for name, value in schema.items()} | closed
    return [strict(each) for each in schema] if isinstance(schema, list) else schema


@pytest.fixture
def document() -> dict[str, Any]:
    made = json.loads(json.dumps(openapi.document(api.routed())))
    return {**made, "components": {**made["components"], "schemas": strict(made["components"]["schemas"])}}


@pytest.fixture
def known(analyst: Any, admin: Any, upload: Any, small: Any) -> dict[str, str]:
    """An upload and an analysis that there are."""
    upload_id = upload(small.read_bytes())
    analysis = analyst.call("POST", "/analyses", json={"upload_id": upload_id}).json()
    admin.call("POST", "/config", json={"min_genes": 3})
    return {"upload_id": upload_id, "analysis_id": analysis["analysis_id"]}


@pytest.mark.parametrize("call", openapi.OPERATIONS, ids=" ".join)
def test_every_call_is_answered_as_the_document_says(
    http: Any, admin: Any, call: tuple[str, str], document: dict[str, Any], known: dict[str, str]
) -> None:
    method, route = call
    schema = schemathesis.openapi.from_dict(document)
    schema.app = Signed(http.app, admin)
    operation = schema[route][method]
    for mode in GenerationMode:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
        )
        def conforms(case: Any) -> None:
            # Ids that are made up name nothing.
            for name in (case.path_parameters or {}).keys() & known.keys():
                case.path_parameters[name] = known[name]
            case.call_and_validate(checks=CHECKS)

        conforms()


def test_a_walk_through_the_api_is_answered_as_the_document_says(
    admin: Any, analyst: Any, document: dict[str, Any], known: dict[str, str]
) -> None:
    seen = set[tuple[str, str]]()

    def visit(person: Any, method: str, route: str, **arguments: Any) -> Any:
        answer = person.call(method, route.format(**known), **arguments)
        described = document["paths"][route][method.lower()]["responses"][str(answer.status_code)]
        assert answer.status_code < 300, (method, route, answer.text)
        wanted = described["content"]["application/json"]["schema"]
        jsonschema.validate(answer.json(), {**wanted, "components": document["components"]})
        seen.add((method, route))
        return answer

    for route in ("/", "/health", "/models", "/config", "/config/versions", "/uploads", "/analyses"):
        visit(admin, "GET", route)
    visit(admin, "POST", "/config", json={"restore_version": 0})
    visit(analyst, "POST", "/uploads", json={"bytes": 10})
    parts = visit(analyst, "POST", "/uploads", json={"bytes": 100 * 2**20}).json()
    visit(analyst, "POST", "/analyses", json={"upload_id": known["upload_id"]})
    visit(analyst, "PATCH", "/uploads/{upload_id}", json={"visibility": ["vera"]})
    visit(analyst, "GET", "/uploads/{upload_id}")
    visit(analyst, "PATCH", "/analyses/{analysis_id}", json={"visibility": "shared"})
    visit(analyst, "GET", "/analyses/{analysis_id}")
    visit(analyst, "DELETE", "/analyses/{analysis_id}")
    known["upload_id"] = parts["upload_id"]
    visit(analyst, "GET", "/uploads/{upload_id}")
    visit(analyst, "POST", "/uploads/{upload_id}/parts", json={"numbers": [1]})
    # These three need a worker, or parts that were sent.
    later = {("POST", "/uploads/{upload_id}/complete"), ("GET", "/analyses/{analysis_id}/results"), ("POST", "/analyze")}
    assert seen | later == openapi.OPERATIONS.keys()


@pytest.fixture(autouse=True)
def _analyze_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "ANALYZE_SECONDS", 0.0)


def route_of(method: str, path: str) -> str:
    """The route of the access policy that a path belongs to. Raises LookupError."""
    for known_method, route in RULES:
        if known_method == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route), path):
            return route
    raise LookupError(path)
