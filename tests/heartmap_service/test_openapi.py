import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heartmap_service import answers, api, openapi
from lambda_authorizer.access_policy import RULES, SERVICE

KEPT = Path(__file__).parents[2] / "docs" / "openapi.json"
MADE_BY = "python -m heartmap_service.openapi > docs/openapi.json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document(api.routed())


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for route, path in document["paths"].items():
        for method, operation in path.items():
            yield method.upper(), route, operation


def test_the_document_that_is_kept_is_the_one_that_the_code_makes() -> None:
    made = subprocess.run([sys.executable, "-m", "heartmap_service.openapi"], capture_output=True, text=True, check=True).stdout
    assert KEPT.read_text() == made, f"docs/openapi.json is stale: {MADE_BY}"


def test_it_describes_every_route_of_the_service_and_no_other(document: dict[str, Any]) -> None:
    ours = {call for call, rule in RULES.items() if rule.answered_by == SERVICE}
    assert {(method, route) for method, route, _ in operations(document)} == ours
    assert openapi.OPERATIONS.keys() == ours


def test_each_operation_says_who_may_call_it_as_the_access_policy_does(document: dict[str, Any]) -> None:
    for method, route, operation in operations(document):
        rule = RULES[method, route]
        assert operation["x-heartmap-groups"] == ("any principal" if rule.any_principal else sorted(rule.groups))
        assert operation["x-heartmap-scopes"] == sorted(rule.scopes)
        assert operation.get("x-heartmap-sign-in-age") == rule.sign_in_age
        assert operation["security"] == [{"accessToken": []}, {"apiKey": []}]
    assert document["components"]["securitySchemes"].keys() == {"accessToken", "apiKey"}


def test_each_operation_has_its_own_id_a_summary_an_answer_and_problems(document: dict[str, Any]) -> None:
    seen = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(seen)) == len(seen)
    for method, route, operation in operations(document):
        assert operation["summary"]
        answered = operation["responses"]
        assert {"401", "403", "429", "503"} <= answered.keys()
        assert any(status.startswith("2") for status in answered)
        assert ("304" in answered) == (method == "GET" and not route.endswith("/results"))
        for status, answer in answered.items():
            if status >= "400":
                assert answer == {"$ref": f"#/components/responses/Problem{status}"}
    for problem in document["components"]["responses"].values():
        assert problem["content"].keys() == {"application/problem+json"}
    assert "Retry-After" in document["components"]["responses"]["Problem429"]["headers"]


def test_the_headers_that_a_call_may_carry_are_there(document: dict[str, Any]) -> None:
    named = {
        (method, route): {each["name"] for each in operation.get("parameters", []) if each["in"] == "header"}
        for method, route, operation in operations(document)
    }
    assert named["POST", "/config"] == {"If-Match"}
    assert named["PATCH", "/analyses/{analysis_id}"] == {"If-Match"}
    for route in ("/uploads", "/analyses", "/analyze"):
        assert named["POST", route] == {"Idempotency-Key"}
    assert named["GET", "/config"] == {"If-None-Match"}


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))):
        found: Any = document
        for part in reference.split("/"):
            found = found[part]


def test_what_a_change_of_the_configuration_leaves_out_has_no_default(document: dict[str, Any]) -> None:
    fields = document["components"]["schemas"]["ConfigChange"]["properties"]
    assert "restore_version" in fields
    assert not any("default" in field for field in fields.values())


def test_the_answer_to_analyze_has_the_members_of_heartmaps_own() -> None:
    from heartmap.api import AnalysisResponse

    upstream: Any = AnalysisResponse
    theirs, ours = upstream.model_fields, answers.AnalyzeAnswer.model_fields
    assert theirs.keys() <= ours.keys()
    assert ours.keys() - theirs.keys() == {"analysis_id", "state"}
