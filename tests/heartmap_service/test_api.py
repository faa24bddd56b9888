import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from fastapi import FastAPI

from heartmap_service import api
from heartmap_service.clients import Clients
from lambda_authorizer.access_policy import RULES, SERVICE
from lambda_authorizer.assertion import HEADER


def test_the_routes_are_those_that_the_access_policy_gives_to_the_service(api_settings: Any, clients: Clients) -> None:
    layer: Any = api.create_app(api_settings, clients)
    while not isinstance(layer, FastAPI):
        layer = layer._app
    listed: Any = layer.routes
    routes = {(method, route.path) for route in listed for method in route.methods}
    assert routes == {call for call, rule in RULES.items() if rule.answered_by == SERVICE}
    assert len(routes) < len(RULES)


def test_the_root_and_health_answer_as_heartmap_does(viewer: Any) -> None:
    assert viewer.call("GET", "/").json() == {"message": "HeartMAP API", "version": "2.0.2"}
    assert viewer.call("GET", "/health").json() == {"status": "healthy"}


def test_models_lists_the_four_pipelines_with_their_options(viewer: Any) -> None:
    models = {model["name"]: model for model in viewer.call("GET", "/models").json()["models"]}
    assert set(models) == {"basic", "advanced_communication", "multi_chamber", "comprehensive"}
    assert models["comprehensive"]["options"]["resolution"] == {
        "type": "number",
        "minimum": 0.01,
        "maximum": 10.0,
        "nullable": False,
        "default": 0.5,
        "description": "Leiden's resolution: higher gives more clusters.",
    }
    assert models["comprehensive"]["options"]["max_cells_subset"]["nullable"] is True
    assert models["multi_chamber"]["options"] == {}
    assert any("random" in item["why"] for item in models["comprehensive"]["left_out"])


@pytest.mark.parametrize(
    ("body", "field", "rule"),
    [
        (b'{"upload_id": 1}', "upload_id", "must be text"),
        (b"{}", "upload_id", "is required"),
        (b'{"upload_id": "x"}', "upload_id", "has characters that are not allowed here"),
        (b'{"upload_id": "01JD0000000000000000000000", "surprise": 1}', "surprise", "is not a field of this request"),
        (b"{", "body", "is not valid JSON"),
        (b"[]", "body", "must be an object, sent with the Content-Type of JSON"),
        (b'{"upload_id": "01JD0000000000000000000000", "options": []}', "options", "must be an object"),
    ],
)
def test_an_invalid_body_lists_its_fields_and_their_rules(analyst: Any, body: bytes, field: str, rule: str) -> None:
    answer = analyst.call("POST", "/analyses", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    problem = answer.json()
    assert (problem["code"], problem["request_id"]) == ("invalid_request", "request-1")
    assert {"field": field, "rule": rule} in problem["errors"]


@pytest.mark.parametrize("body", [b"[" * 30_000, b'{"a":' * 10_000, b"\xff\xfe\x00", b"null", b"1e999"])
def test_a_hostile_body_is_the_callers_fault(analyst: Any, body: bytes) -> None:
    answer = analyst.call("POST", "/analyses", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Traceback" not in answer.text
    assert "/" not in answer.json()["detail"]


def test_aws_that_does_not_answer_is_a_503_without_its_words(analyst: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise EndpointConnectionError(endpoint_url="http://secret.internal/")

    monkeypatch.setattr("heartmap_service.job_store.JobStore.page", unreachable)
    answer = analyst.call("GET", "/analyses")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "5"
    assert "secret" not in answer.text


def test_our_own_fault_is_a_500_without_a_stack(analyst: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("/etc/passwd")

    monkeypatch.setattr("heartmap_service.job_store.JobStore.page", broken)
    answer = analyst.call("GET", "/analyses")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "passwd" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_analyze_refuses_what_is_not_hdf5_at_once(analyst: Any, aws: dict[str, Any], clients: Clients) -> None:
    answer = analyst.call("POST", "/analyze", files={"file": ("cells.h5ad", b"gene,count\nTTN,1\n")})
    assert (answer.status_code, answer.json()["code"]) == (422, "not_hdf5")
    assert "Contents" not in clients.s3.list_objects_v2(Bucket="uploads")


def test_analyze_wants_a_file_and_a_known_type(analyst: Any, small: Path) -> None:
    answer = analyst.call("POST", "/analyze", data={"analysis_type": "basic"}, files={"nothing": b""})
    assert {"field": "file", "rule": "is required"} in answer.json()["errors"]
    answer = analyst.call("POST", "/analyze", files={"file": small.read_bytes()}, data={"analysis_type": "magic"})
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_analysis_type")


def test_analyze_takes_heartmaps_own_request(analyst: Any, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "ANALYZE_SECONDS", 0)
    asked = {"analysis_type": "basic", "config_overrides": {"resolution": 0.7}, "output_format": "json"}
    answer = analyst.call("POST", "/analyze", files={"file": small.read_bytes()}, data={"request": json.dumps(asked)})
    analysis = analyst.call("GET", f"/analyses/{answer.json()['analysis_id']}").json()
    assert (analysis["analysis_type"], analysis["options"]) == ("basic", {"resolution": 0.7})


@pytest.mark.parametrize(
    ("form", "code", "fault"),
    [
        ({"request": "basic"}, "invalid_request", "request is not valid JSON"),
        ({"request": '{"output_format": "csv"}'}, "invalid_request", "request.output_format must be 'json'"),
        ({"request": '{"analysis_type": "magic"}'}, "unknown_analysis_type", "comprehensive"),
        ({"request": '{"config_overrides": {"resolution": "high"}}'}, "invalid_option", "options.resolution must be a number"),
        ({"request": "{}", "analysis_type": "basic"}, "invalid_request", "not both"),
    ],
)
def test_analyze_refuses_a_request_that_it_cannot_carry_out(
    analyst: Any, small: Path, form: dict[str, str], code: str, fault: str
) -> None:
    answer = analyst.call("POST", "/analyze", files={"file": small.read_bytes()}, data=form)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert fault in answer.json()["detail"]
    assert analyst.call("GET", "/analyses").json()["analyses"] == []


def test_json_that_is_not_sent_as_json_is_told_so(analyst: Any) -> None:
    answer = analyst.call("POST", "/uploads", content=b"{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 422
    assert "Content-Type" in answer.json()["detail"]


def test_analyze_above_the_gateways_limit_is_refused(analyst: Any) -> None:
    answer = analyst.call("POST", "/analyze", files={"file": b"\x89HDF\r\n\x1a\n" + bytes(10 * 1024 * 1024)})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert "heartmapctl upload" in answer.json()["detail"]


def test_analyze_answers_202_when_the_result_takes_longer(analyst: Any, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "ANALYZE_SECONDS", 0.0)
    answer = analyst.call("POST", "/analyze", files={"file": ("../../etc/passwd", small.read_bytes())})
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/analyses/{answer.json()['analysis_id']}"
    assert answer.json()["state"] == "queued"


def test_analyze_answers_a_bad_data_set_with_its_own_code(
    analyst: Any, worker: Any, tmp_path: Path, make_data: Callable[..., Any]
) -> None:
    path = tmp_path / "few.h5ad"
    make_data(10, 500).write_h5ad(path)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            worker.step()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        answer = analyst.call("POST", "/analyze", files={"file": path.read_bytes()})
    finally:
        stop.set()
        thread.join()
    assert (answer.status_code, answer.json()["code"]) == (422, "too_few_cells")


def test_every_call_is_one_log_line_with_the_request_id(analyst: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.configure("api", "INFO")
    analyst.call("GET", "/analyses")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [call] = [line for line in lines if line["event"] == "call"]
    assert call["request_id"] == "request-1"
    assert (call["principal"], call["method"], call["route"], call["status"]) == ("anna", "GET", "/analyses", 200)


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_no_page_of_another_origin_may_read_an_answer(http: Any, viewer: Any, method: str) -> None:
    """Neither an answer nor the question before it names an origin that a browser would let read."""
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
    answer = http.request(method, "/models", headers={HEADER: viewer.assertion("GET", "/models"), **asked})
    assert answer.status_code == (200 if method == "GET" else 403)
    assert [name for name in answer.headers if name.startswith("access-control-")] == []
