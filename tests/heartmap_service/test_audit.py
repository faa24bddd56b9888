"""The records that the service and its worker leave: who read what, who changed what, and what came of it."""

import asyncio
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from heartmap_service import audit
from heartmap_service.checks import UploadChecker
from heartmap_service.clients import Clients
from heartmap_service.identity import Gate
from heartmap_service.job_attempts import AttemptStore
from heartmap_service.job_store import JobStore
from heartmap_service.records import Upload, timestamp
from heartmap_service.sandbox import JobFailed
from heartmap_service.upload_store import UploadStore
from lambda_authorizer.access_policy import ACCESS_POLICY, SERVICE
from lambda_authorizer.assertion import HEADER, Assertion
from lambda_authorizer.audit_chain import Chain, parse
from lambda_authorizer.audit_fields import ENVELOPE
from tests.heartmap_service.conftest import HOST, Person
from tests.heartmap_service.jobs import PLENTY, claimed, new_analysis

ULID = "01JD0000000000000000000000"
FILES = [{"name": "a.csv", "bytes": 10, "sha256": "x"}, {"name": "b.csv", "bytes": 32, "sha256": "y"}]

Records = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def records(capsys: pytest.CaptureFixture[str]) -> Records:
    """Those that were written since the last look, each of which holds what it says of itself."""

    def read() -> list[dict[str, Any]]:
        lines = capsys.readouterr().out.splitlines()
        links = [(line, link) for line in lines if (link := parse(line))]
        assert all(link.computed == link.hash for _, link in links)
        found = [json.loads(line) for line, _ in links]
        assert all(tuple(record)[: len(ENVELOPE)] == ENVELOPE for record in found)
        return found

    return read


@pytest.fixture
def results(clients: Clients, aws: dict[str, Any]) -> str:
    """An analysis of Anna's that has succeeded."""
    store = AttemptStore(clients.dynamodb, aws["jobs_table"])
    analysis = new_analysis("anna", visibility="shared", request_id="the-call")
    analysis_id = JobStore(clients.dynamodb, aws["jobs_table"]).add_analysis(analysis, quotas=PLENTY).analysis_id
    assert store.succeed(claimed(store, analysis_id), files=FILES, summary={"cells": 1})
    return analysis_id


def told(record: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(record[name] for name in names)


# ---- A call ----


def test_every_route_of_the_service_has_an_action() -> None:
    assert set(audit.ACTIONS) == {(rule.method, rule.route) for rule in ACCESS_POLICY if rule.answered_by == SERVICE}


def test_who_reads_results_is_recorded_with_how_much(viewer: Person, results: str, records: Records) -> None:
    records()
    answer = viewer.call("GET", f"/analyses/{results}/results")
    (record,) = records()
    assert {name: value for name, value in record.items() if value is not None and name not in ("time", "writer")} == {
        "event": "service",
        "version": 2,
        "decision": "allow",
        "reason": "done",
        "action": "results_read",
        "request_id": answer.headers["x-request-id"],
        "principal": "vera",
        "method": "GET",
        "route": "/analyses/{analysis_id}/results",
        "resource": results,
        "files": 2,
        "bytes": 42,
        **{name: record[name] for name in ("sequence", "previous", "hash")},
    }


def test_a_changed_configuration_is_recorded_with_the_names_of_what_changed(admin: Person, records: Records) -> None:
    admin.call("POST", "/config", json={"min_genes": 7, "resolution": 0.9})
    (record,) = records()
    assert told(record, "action", "principal", "changes", "config_version") == (
        "config_changed",
        "ada",
        ["min_genes", "resolution"],
        1,
    )
    assert "0.9" not in json.dumps(record)


def test_uploads_and_analyses_are_recorded_by_their_ids_and_never_by_their_names(
    analyst: Person, upload: Callable[[bytes], str], records: Records
) -> None:
    upload_id = upload(b"\x89HDF")
    analyst.call("GET", f"/uploads/{upload_id}")
    analyst.call("PATCH", f"/uploads/{upload_id}", json={"visibility": ["omar"]})
    started = analyst.call("POST", "/analyses", json={"upload_id": upload_id, "analysis_type": "basic"}).json()
    found = records()
    assert [told(record, "action", "resource", "visibility") for record in found] == [
        ("upload_begun", upload_id, "private"),
        ("upload_read", upload_id, None),
        ("upload_shared", upload_id, "listed"),
        ("analysis_started", started["analysis_id"], None),
    ]
    assert told(found[-1], "upload_id", "analysis_type") == (upload_id, "basic")
    assert not any(word in json.dumps(found) for word in ("cells.h5ad", "omar", "http"))


def test_a_call_that_is_repeated_is_recorded_as_that(analyst: Person, records: Records) -> None:
    for _ in range(2):
        analyst.call("POST", "/uploads", json={}, headers={"Idempotency-Key": "k-1"})
    first, second = records()
    assert (first["reason"], second["reason"]) == ("done", "replayed")
    assert first["resource"] == second["resource"] is not None


def test_a_refusal_is_recorded_with_who_was_refused_what_and_why(
    viewer: Person, analyst: Person, http: Any, records: Records
) -> None:
    http.get("/models")
    viewer.call("GET", "/uploads")
    analyst.call("GET", f"/analyses/{ULID}")
    analyst.call("POST", "/uploads", json={"bytes": "many"})
    http.get("/models", headers={"Host": "evil.example"})
    assert [told(each, "decision", "reason", "principal", "action", "resource") for each in records()] == [
        ("unauthenticated", "unauthenticated", None, None, None),
        ("deny", "forbidden", "vera", "uploads_listed", None),
        ("deny", "no_such_analysis", "anna", "analysis_read", ULID),
        ("deny", "invalid_request", "anna", "upload_begun", None),
        ("deny", "misdirected_request", None, None, None),
    ]


def test_what_fails_is_recorded_as_an_error(viewer: Person, monkeypatch: pytest.MonkeyPatch, records: Records) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("anna-smith")

    monkeypatch.setattr("heartmap_service.configuration.ConfigStore.current", broken)
    assert viewer.call("GET", "/config").status_code == 500
    (record,) = records()
    assert told(record, "decision", "reason", "action") == ("error", "internal", "config_read")
    assert "smith" not in json.dumps(record)


def test_what_cannot_be_recorded_is_not_given(viewer: Person, results: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Chain, "write", full)
    answer = viewer.call("GET", f"/analyses/{results}/results")
    assert (answer.status_code, answer.json().get("code")) == (503, "unavailable")
    assert "a.csv" not in answer.text
    assert "etag" not in answer.headers


def test_the_probe_of_the_load_balancer_is_no_call(http: Any, records: Records) -> None:
    assert http.get("/healthz").status_code == 200
    assert records() == []


class Known:
    """An identity source for one call."""

    def request_id(self, *_: Any) -> str:
        return "r-1"

    async def identify(self, *_: Any) -> Assertion:
        return Assertion("vera", frozenset({"viewer"}), frozenset(), "/models", "GET", "r-1", 0)


def call_of(app: Any, send: Any) -> None:
    scope = {"type": "http", "method": "GET", "path": "/models", "raw_path": b"/models", "headers": [(b"host", HOST.encode())]}
    identity: Any = Known()
    gate = Gate(app, identity=identity, internal_host=HOST, stage=None)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    asyncio.run(gate(scope, receive, send))


def test_the_record_is_written_before_the_answer_leaves(records: Records) -> None:
    before: list[int] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def send(_message: Any) -> None:
        before.append(len(records()))

    call_of(app, send)
    assert before == [1, 0]


def test_a_call_that_ends_without_an_answer_is_recorded(records: Records) -> None:
    async def app(*_: Any) -> None:
        raise asyncio.CancelledError

    async def send(_message: Any) -> None:
        raise AssertionError("nothing was to be sent")

    with pytest.raises(asyncio.CancelledError):
        call_of(app, send)
    (record,) = records()
    assert told(record, "decision", "reason", "principal", "action") == ("error", "no_answer", "vera", "models_read")


# ---- The worker ----


def test_an_analysis_that_succeeds_is_recorded_for_its_owner_and_the_call_that_asked(records: Records, results: str) -> None:
    (record,) = records()
    assert told(record, "event", "decision", "action", "principal", "request_id") == (
        *("worker", "allow", "analysis_succeeded", "anna", "the-call"),
    )
    assert told(record, "resource", "upload_id", "analysis_type", "attempt", "files", "bytes") == (
        results,
        "u",
        "basic",
        1,
        2,
        42,
    )


@pytest.mark.parametrize("lost", [False, True], ids=["failed", "lost"])
def test_an_analysis_that_fails_is_recorded_once_with_why(clients: Clients, aws: Any, records: Records, lost: bool) -> None:
    store = AttemptStore(clients.dynamodb, aws["jobs_table"])
    token = JobStore(clients.dynamodb, aws["jobs_table"]).add_analysis(new_analysis(), quotas=PLENTY).analysis_id
    if lost:
        for _ in range(3):
            store.lose(claimed(store, token))
    else:
        store.fail(claimed(store, token), code="too_few_cells", detail="The data set has few cells.")
    (record,) = records()
    assert told(record, "decision", "action", "reason") == (
        *("error", "analysis_failed"),
        "lost" if lost else "too_few_cells",
    )


def test_an_analysis_that_is_no_longer_the_attempts_is_not_recorded(clients: Clients, aws: Any, records: Records) -> None:
    store, jobs = AttemptStore(clients.dynamodb, aws["jobs_table"]), JobStore(clients.dynamodb, aws["jobs_table"])
    token = jobs.add_analysis(new_analysis(), quotas=PLENTY).analysis_id
    mine = claimed(store, token)
    jobs.cancel(token)
    assert not store.succeed(mine, files=FILES, summary={})
    assert records() == []


class Bench:
    """As much of a workbench as a verdict needs: ``verdict`` is what the scan comes to."""

    def __init__(self, settings: Any, verdict: Any) -> None:
        self.settings, self._verdict = settings, verdict
        self.sandbox = self

    def fetch(self, *_: Any) -> object:
        return object()

    def run(self, *_: Any) -> dict[str, Any]:
        if isinstance(self._verdict, Exception):
            raise self._verdict
        return self._verdict


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ({"cells": 3}, ("allow", "upload_accepted", "done")),
        (JobFailed("not_hdf5", "It is no HDF5."), ("deny", "upload_rejected", "not_hdf5")),
    ],
)
def test_the_verdict_on_an_upload_is_recorded_for_its_owner(
    clients: Clients, aws: Any, tmp_path: Path, records: Records, verdict: Any, expected: tuple[str, ...]
) -> None:
    store = UploadStore(clients.dynamodb, aws["jobs_table"])
    upload = store.add(
        Upload(upload_id=ULID, owner="anna", state="pending", created_at=timestamp(), request_id="the-call", max_bytes=1)
    )
    bench: Any = Bench(SimpleNamespace(scratch_dir=tmp_path, job_memory_bytes=1), verdict)
    UploadChecker(bench, store)._check(upload)
    (record,) = records()
    assert told(record, "decision", "action", "reason") == expected
    assert told(record, "principal", "request_id", "resource") == ("anna", "the-call", ULID)


def test_records_are_ascii_lines_that_no_value_can_break(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    audit.Call("r", principal='é\n{"event":"service"}').write(200)
    (line,) = out.getvalue().splitlines()
    assert line.isascii()
    assert json.loads(line)["principal"] == 'é\n{"event":"service"}'


def test_a_header_that_carries_an_assertion_is_not_recorded(viewer: Person, http: Any, records: Records) -> None:
    text = viewer.assertion("GET", "/models")
    http.get("/models", headers={HEADER: text})
    assert text not in json.dumps(records())
