from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.testclient import TestClient

from heartmap_service.api import create_app
from heartmap_service.clients import Clients
from heartmap_service.quotas import (
    NothingToRelease,
    QuotaExceeded,
    Quotas,
    charge_bytes,
    charge_job,
    check_job,
    day_key,
    release_job,
    unfinished_key,
)
from heartmap_service.settings import MIB
from heartmap_service.transactions import Step, commit
from tests.heartmap_service.conftest import HOST, Person

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC).timestamp()
QUOTAS = Quotas(queued_jobs=3, jobs_per_day=5, upload_bytes_per_day=100)


@pytest.fixture
def table(aws: dict[str, Any], clients: Clients) -> Any:
    return clients.dynamodb


def count(dynamodb: Any, pk: str, name: str) -> int:
    row = dynamodb.get_item(TableName="jobs", Key={"pk": {"S": pk}}).get("Item", {})
    return int(row.get(name, {"N": "0"})["N"])


def refused(dynamodb: Any, steps: list[Step]) -> QuotaExceeded:
    with pytest.raises(QuotaExceeded) as problem:
        commit(dynamodb, steps)
    assert problem.value.status_code == 429
    return problem.value


def test_so_many_may_be_unfinished_and_one_more_when_one_has_ended(table: Any) -> None:
    for _ in range(3):
        check_job(table, "jobs", "anna", QUOTAS, NOON)
        commit(table, charge_job("jobs", "anna", QUOTAS, NOON))
    problem = refused(table, charge_job("jobs", "anna", QUOTAS, NOON))
    assert (problem.code, problem.headers) == ("quota_queued_jobs", {"Retry-After": "60"})
    assert "3 analyses" in problem.detail
    with pytest.raises(QuotaExceeded, match="3 analyses"):
        check_job(table, "jobs", "anna", QUOTAS, NOON)
    commit(table, charge_job("jobs", "omar", QUOTAS, NOON))
    commit(table, [release_job("jobs", "anna")])
    commit(table, charge_job("jobs", "anna", QUOTAS, NOON))
    assert count(table, unfinished_key("anna"), "unfinished") == 3


def test_so_many_may_be_begun_a_day_and_the_next_day_counts_anew(table: Any) -> None:
    for _ in range(5):
        commit(table, [*charge_job("jobs", "anna", QUOTAS, NOON)])
        commit(table, [release_job("jobs", "anna")])
    problem = refused(table, charge_job("jobs", "anna", QUOTAS, NOON))
    assert (problem.code, problem.headers) == ("quota_jobs_per_day", {"Retry-After": str(12 * 3600)})
    with pytest.raises(QuotaExceeded, match="5 analyses a day"):
        check_job(table, "jobs", "anna", QUOTAS, NOON)
    assert count(table, unfinished_key("anna"), "unfinished") == 0
    commit(table, charge_job("jobs", "anna", QUOTAS, NOON + 12 * 3600))
    problem = refused(table, charge_job("jobs", "anna", QUOTAS, NOON + 12 * 3600 - 0.5))
    assert problem.headers == {"Retry-After": "1"}


def test_bytes_are_counted_to_the_last_one(table: Any) -> None:
    commit(table, charge_bytes("jobs", "anna", 60, QUOTAS, NOON))
    problem = refused(table, charge_bytes("jobs", "anna", 41, QUOTAS, NOON))
    assert (problem.code, problem.headers) == ("quota_upload_bytes", {"Retry-After": str(12 * 3600)})
    commit(table, charge_bytes("jobs", "anna", 40, QUOTAS, NOON))
    refused(table, charge_bytes("jobs", "anna", 1, QUOTAS, NOON))
    with pytest.raises(QuotaExceeded):
        charge_bytes("jobs", "omar", 101, QUOTAS, NOON)


def test_a_release_never_counts_below_zero(table: Any) -> None:
    for _ in range(2):
        with pytest.raises(NothingToRelease):
            commit(table, [release_job("jobs", "anna")])
    commit(table, charge_job("jobs", "anna", QUOTAS, NOON))
    commit(table, [release_job("jobs", "anna")])
    with pytest.raises(NothingToRelease):
        commit(table, [release_job("jobs", "anna")])
    assert count(table, unfinished_key("anna"), "unfinished") == 0


def test_the_row_of_a_day_goes_and_that_of_the_unfinished_stays(table: Any) -> None:
    commit(table, [*charge_job("jobs", "anna", QUOTAS, NOON), *charge_bytes("jobs", "omar", 1, QUOTAS, NOON)])
    after = datetime(2026, 3, 7, tzinfo=UTC).timestamp()
    assert day_key("anna", NOON) == "quota#anna#2026-03-04"
    assert count(table, day_key("anna", NOON), "expires_at") == after
    assert count(table, day_key("omar", NOON), "expires_at") == after
    assert count(table, unfinished_key("anna"), "expires_at") == 0


# Through the API


@pytest.fixture
def limited(api_settings: Any, clients: Clients) -> Any:
    """Analysts of an API with small quotas, by name."""
    settings = api_settings.model_copy(
        update={"quota_queued_jobs": 3, "quota_jobs_per_day": 5, "quota_upload_bytes_per_day": 2 * MIB}
    )
    http = TestClient(create_app(settings, clients), base_url=f"https://{HOST}", raise_server_exceptions=False)
    return lambda name: Person(http, name, ("analyst",))


def arrived(person: Any, clients: Clients) -> str:
    upload_id = person.call("POST", "/uploads", json={"bytes": 8}).json()["upload_id"]
    clients.s3.put_object(Bucket="uploads", Key=f"uploads/{upload_id}", Body=b"anything")
    return upload_id


def test_calls_at_once_get_exactly_what_the_quota_leaves(limited: Any, clients: Clients, one_call_at_a_time: None) -> None:
    anna = limited("anna")
    upload_id = arrived(anna, clients)

    def submit(_: int) -> Any:
        return anna.call("POST", "/analyses", json={"upload_id": upload_id})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(submit, range(12)))
    made = [answer.json()["analysis_id"] for answer in answers if answer.status_code == 202]
    assert len(made) == 3
    over = [answer for answer in answers if answer.status_code != 202]
    assert {(answer.status_code, answer.json()["code"], answer.headers["retry-after"]) for answer in over} == {
        (429, "quota_queued_jobs", "60")
    }
    assert count(clients.dynamodb, unfinished_key("anna"), "unfinished") == 3
    assert {analysis["analysis_id"] for analysis in anna.call("GET", "/analyses").json()["analyses"]} == set(made)
    assert limited("omar").call("GET", "/analyses").json() == {"analyses": []}


def test_cancelling_frees_a_place_once_and_the_day_keeps_counting(limited: Any, clients: Clients) -> None:
    anna = limited("anna")
    upload_id = arrived(anna, clients)
    statuses, answer = [], None
    for _ in range(6):
        answer = anna.call("POST", "/analyses", json={"upload_id": upload_id})
        statuses.append(answer.status_code)
        if answer.status_code == 202:
            for _ in range(2):
                anna.call("DELETE", f"/analyses/{answer.json()['analysis_id']}")
    assert statuses == [202] * 5 + [429]
    assert answer is not None
    assert answer.json()["code"] == "quota_jobs_per_day"
    assert 0 < int(answer.headers["retry-after"]) <= 24 * 3600
    assert count(clients.dynamodb, unfinished_key("anna"), "unfinished") == 0


def test_what_the_quota_refuses_sends_no_token(limited: Any, clients: Clients, aws: dict[str, Any]) -> None:
    anna = limited("anna")
    upload_id = arrived(anna, clients)

    def tokens() -> int:
        answer: Any = clients.sqs.get_queue_attributes(QueueUrl=aws["queue_url"], AttributeNames=["ApproximateNumberOfMessages"])
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    before = tokens()
    for _ in range(8):
        anna.call("POST", "/analyses", json={"upload_id": upload_id})
    assert tokens() == before + 3


def test_uploads_cost_what_they_may_send(limited: Any, clients: Clients) -> None:
    anna = limited("anna")
    assert anna.call("POST", "/uploads", json={"bytes": MIB}).status_code == 201
    answer = anna.call("POST", "/uploads", json={})
    assert (answer.status_code, answer.json()["code"]) == (429, "quota_upload_bytes")
    assert 0 < int(answer.headers["retry-after"]) <= 24 * 3600
    assert anna.call("POST", "/uploads", json={"bytes": MIB}).status_code == 201
    assert anna.call("POST", "/uploads", json={"bytes": 1}).status_code == 429
    rows: list[Any] = clients.dynamodb.scan(TableName="jobs")["Items"]
    [day] = [row for row in rows if "bytes" in row and "quota" in row["pk"]["S"]]
    assert day["bytes"]["N"] == str(2 * MIB)
    assert len(anna.call("GET", "/uploads").json()["uploads"]) == 2


def test_no_upload_may_have_more_than_a_days_bytes(limited: Any) -> None:
    answer = limited("anna").call("POST", "/uploads", json={"bytes": 2 * MIB + 1})
    assert (answer.status_code, answer.json()["code"]) == (422, "upload_too_large")
    assert f"{2 * MIB:,}" in answer.json()["detail"]
    assert limited("anna").call("POST", "/uploads", json={}).json()["max_bytes"] == 2 * MIB


def test_parts_that_the_quota_refuses_are_given_up(limited: Any, clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heartmap_service.uploads.ONE_POST", 1024)
    anna = limited("anna")
    assert anna.call("POST", "/uploads", json={"bytes": 2 * MIB}).status_code == 201
    assert anna.call("POST", "/uploads", json={"bytes": 2 * MIB}).status_code == 429
    assert len(clients.s3.list_multipart_uploads(Bucket="uploads")["Uploads"]) == 1
