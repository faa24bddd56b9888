from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from heartmap_service import api, idempotency
from heartmap_service.clients import Clients
from heartmap_service.upload_store import UploadStore

KEY = {"Idempotency-Key": "3f2c"}


def rows(clients: Clients, prefix: str) -> list[Any]:
    items: list[Any] = clients.dynamodb.scan(TableName="jobs")["Items"]
    return [row for row in items if row["pk"]["S"].startswith(prefix)]


def test_a_repeated_submission_is_answered_about_the_first(analyst: Any, upload: Any, clients: Clients) -> None:
    body = {"upload_id": upload(b"x"), "options": {"resolution": 0.7, "min_genes": 3}, "analysis_type": "basic"}
    first = analyst.call("POST", "/analyses", json=body, headers=KEY)
    assert (first.status_code, first.headers.get("idempotency-replayed")) == (202, None)
    # The order of members and members with their default say nothing.
    again = {"visibility": "private", "analysis_type": "basic", "options": {"min_genes": 3, "resolution": 0.7}, **body}
    second = analyst.call("POST", "/analyses", json=again, headers=KEY)
    assert (second.status_code, second.headers["idempotency-replayed"]) == (202, "true")
    assert second.json() == first.json()
    assert len(analyst.call("GET", "/analyses").json()["analyses"]) == 1
    analyst.call("DELETE", f"/analyses/{first.json()['analysis_id']}")
    assert analyst.call("POST", "/analyses", json=body, headers=KEY).json()["state"] == "cancelled"
    [quota] = [row for row in rows(clients, "quota#anna#") if "jobs" in row]
    assert quota["jobs"]["N"] == "1"


@pytest.mark.parametrize(
    "change", [{"analysis_type": "multi_chamber"}, {"visibility": "shared"}, {"options": {"resolution": 1.0}}]
)
def test_a_key_is_for_one_request(analyst: Any, upload: Any, change: dict[str, Any]) -> None:
    body = {"upload_id": upload(b"x"), "analysis_type": "basic"}
    analyst.call("POST", "/analyses", json=body, headers=KEY)
    answer = analyst.call("POST", "/analyses", json=body | change, headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    answer = analyst.call("POST", "/uploads", json={}, headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


def test_a_key_is_its_principals_own(analyst: Any, other_analyst: Any, upload: Any) -> None:
    body = {"upload_id": upload(b"x"), "analysis_type": "basic"}
    analyst.call("PATCH", f"/uploads/{body['upload_id']}", json={"visibility": "shared"})
    made = [person.call("POST", "/analyses", json=body, headers=KEY) for person in (analyst, other_analyst)]
    assert [answer.status_code for answer in made] == [202, 202]
    assert made[0].json()["analysis_id"] != made[1].json()["analysis_id"]


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "caf\u00e9"])
def test_a_key_that_is_none_is_refused(analyst: Any, key: str) -> None:
    answer = analyst.call("POST", "/uploads", json={}, headers={"Idempotency-Key": key.encode("latin-1")})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_idempotency_key")
    assert analyst.call("GET", "/uploads").json() == {"uploads": []}


def test_what_is_nested_too_deeply_to_be_compared_is_the_callers_fault(analyst: Any, upload: Any) -> None:
    deep = '{"upload_id":"' + upload(b"x") + '","options":{"resolution":' + "[" * 900 + "]" * 900 + "}}"
    answer = analyst.call("POST", "/analyses", content=deep, headers={**KEY, "Content-Type": "application/json"})
    assert answer.status_code in (400, 422)


def test_calls_at_once_with_one_key_make_one_analysis(
    analyst: Any, upload: Any, clients: Clients, one_call_at_a_time: None
) -> None:
    body = {"upload_id": upload(b"x")}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: analyst.call("POST", "/analyses", json=body, headers=KEY), range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["analysis_id"] for answer in answers}) == 1
    assert len(rows(clients, "analysis#")) == 1
    assert sorted(answer.headers.get("idempotency-replayed", "") for answer in answers) == ["", *["true"] * 7]
    assert [row["unfinished"]["N"] for row in rows(clients, "quota#anna") if "unfinished" in row] == ["1"]


def test_calls_at_once_with_one_key_make_one_upload(
    analyst: Any, clients: Clients, one_call_at_a_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartmap_service.uploads.ONE_POST", 1024)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: analyst.call("POST", "/uploads", json={"bytes": 5000}, headers=KEY), range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["upload_id"] for answer in answers}) == 1
    assert len(rows(clients, "upload#")) == 1
    assert len(clients.s3.list_multipart_uploads(Bucket="uploads")["Uploads"]) == 1
    [day] = [row for row in rows(clients, "quota#anna#") if "bytes" in row]
    assert day["bytes"]["N"] == "5000"


def test_a_repeated_upload_is_permission_for_the_same_until_its_data_set_arrived(analyst: Any, clients: Clients) -> None:
    body = {"name": "x.h5ad", "bytes": 3}
    first = analyst.call("POST", "/uploads", json=body, headers=KEY).json()
    again = analyst.call("POST", "/uploads", json=body, headers=KEY)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["fields"]["key"] == first["fields"]["key"]
    answer = requests.post(again.json()["url"], data=again.json()["fields"], files={"file": b"abc"}, timeout=10)
    assert answer.status_code in (200, 204)
    UploadStore(clients.dynamodb, "jobs").accept(first["upload_id"], {"cells": 5, "genes": 5})
    late = analyst.call("POST", "/uploads", json=body, headers=KEY)
    assert (late.status_code, late.json()["code"]) == (409, "upload_arrived")
    assert first["upload_id"] in late.json()["detail"]


def test_analyze_repeated_goes_on_with_the_same_analysis(
    analyst: Any, small: Path, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "ANALYZE_SECONDS", 0)
    files = {"file": small.read_bytes()}
    first = analyst.call("POST", "/analyze", files=files, data={"analysis_type": "basic"}, headers=KEY)
    again = analyst.call("POST", "/analyze", files=files, data={"analysis_type": "basic"}, headers=KEY)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert (len(rows(clients, "analysis#")), len(rows(clients, "upload#"))) == (1, 1)
    other = analyst.call(
        "POST", "/analyze", files={"file": small.read_bytes() + b"x"}, data={"analysis_type": "basic"}, headers=KEY
    )
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_analyze_that_broke_off_after_its_upload_uses_it_again(
    analyst: Any, small: Path, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "ANALYZE_SECONDS", 0)
    call = {"files": {"file": small.read_bytes()}, "headers": KEY}
    with monkeypatch.context() as broken:
        broken.setattr("heartmap_service.job_store.JobStore.add_analysis", lambda *_, **__: 1 / 0)
        assert analyst.call("POST", "/analyze", **call).status_code == 500
    assert analyst.call("POST", "/analyze", **call).status_code == 202
    assert (len(rows(clients, "analysis#")), len(rows(clients, "upload#"))) == (1, 1)


def test_a_key_is_forgotten_after_a_day(analyst: Any, clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    first = analyst.call("POST", "/uploads", json={}, headers=KEY).json()["upload_id"]
    [row] = rows(clients, "idempotency#anna#")
    assert "3f2c" not in row["pk"]["S"]
    now = idempotency.time.time()
    monkeypatch.setattr(idempotency.time, "time", lambda: now + idempotency.KEPT_SECONDS + 1)
    fresh = analyst.call("POST", "/uploads", json={}, headers=KEY)
    assert fresh.status_code == 201
    assert fresh.json()["upload_id"] != first
