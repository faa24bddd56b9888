"""What a worker does with messages and when something fails, with a pipeline that takes no time."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from ulid import ULID

from heartmap_service.clients import Clients
from heartmap_service.job_attempts import AttemptStore
from heartmap_service.queue import Queue
from heartmap_service.records import Upload, timestamp
from heartmap_service.sandbox import JobStopped
from heartmap_service.storage import Results
from heartmap_service.upload_store import UploadStore
from heartmap_service.worker import Worker
from tests.heartmap_service.jobs import (
    FACTS,
    all_messages,
    claimed,
    downloaded,
    drain,
    rows,
    shown,
    state_of,
    submit,
    unfinished,
    visible_messages,
)


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nothing is compiled here."""
    return tmp_path_factory.mktemp("caches")


@pytest.fixture(autouse=True)
def _two_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of HeartMAP: two files at once."""

    def run(_sandbox: Any, task: Any, directory: Any, *_: Any) -> dict[str, Any]:
        for name in ("a.csv", "b.csv"):
            (directory.out / name).write_text(name)
        return dict(FACTS) if task["task"] == "scan" else {"cells": 1}

    monkeypatch.setattr("heartmap_service.sandbox.Sandbox.run", run)


def test_results_appear_all_at_once_or_not_at_all(
    analyst: Any, upload: Any, work: Any, clients: Clients, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis_id = submit(analyst, upload(b"no HDF5"))
    put, seen = Results.put, []

    def look_then_put(self: Any, of: str, attempt: int, file: Path, **more: Any) -> Any:
        seen.append(file.name)
        assert analyst.call("GET", f"/analyses/{analysis_id}/results").json()["code"] == "no_results"
        return put(self, of, attempt, file, **more)

    monkeypatch.setattr("heartmap_service.storage.Results.put", look_then_put)
    work()
    assert seen == ["a.csv", "b.csv", "manifest.json"]
    answer = analyst.call("GET", f"/analyses/{analysis_id}/results").json()
    assert [file["name"] for file in answer["files"]] == seen
    assert json.loads(downloaded(answer)["manifest.json"])
    assert all_messages(clients, aws) == 0


def test_what_was_cancelled_while_it_was_uploaded_is_not_published(
    analyst: Any, upload: Any, work: Any, clients: Clients, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis_id = submit(analyst, upload(b"no HDF5"))
    put = Results.put

    def cancel_then_put(self: Any, *arguments: Any, **more: Any) -> Any:
        analyst.call("DELETE", f"/analyses/{analysis_id}")
        return put(self, *arguments, **more)

    monkeypatch.setattr("heartmap_service.storage.Results.put", cancel_then_put)
    work()
    assert shown(analyst, analysis_id)["state"] == "cancelled"
    assert analyst.call("GET", f"/analyses/{analysis_id}/results").status_code == 409
    assert all_messages(clients, aws) == 0
    assert unfinished(clients, "anna") == 0


def test_a_worker_that_was_overtaken_publishes_nothing_and_leaves_the_message_to_the_other(
    analyst: Any, upload: Any, work: Any, clients: Clients, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = upload(b"no HDF5")
    work()
    analysis_id = submit(analyst, upload_id)
    other, put = AttemptStore(clients.dynamodb, "jobs"), Results.put

    def overtake_then_put(self: Any, of: str, attempt: int, file: Path, **more: Any) -> Any:
        if file.name == "a.csv":
            # As after a pause that was longer than the lease.
            assert claimed(other, analysis_id, now=time.time() + 3600).attempt == 2
        return put(self, of, attempt, file, **more)

    monkeypatch.setattr("heartmap_service.storage.Results.put", overtake_then_put)
    work()
    analysis = shown(analyst, analysis_id)
    assert (analysis["state"], analysis["attempt"]) == ("running", 2)
    assert all_messages(clients, aws) == 1
    running = other.analysis(analysis_id)
    assert running is not None
    assert other.succeed(running, files=[], summary={}) is True


def test_a_worker_that_nobody_heard_of_for_a_lease_stops_by_itself(
    analyst: Any, upload: Any, make_worker: Any, clients: Clients, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis_id = submit(analyst, upload(b"no HDF5"))
    worker = make_worker(lease=0.6, heartbeat=0.1)

    def unreachable(*_: Any, **__: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="http://aws")

    def endless(_sandbox: Any, _task: Any, _directory: Any, _limits: Any, keep_going: Any) -> Any:
        while keep_going("clustering", 0.5):
            time.sleep(0.02)
        raise JobStopped

    monkeypatch.setattr("heartmap_service.job_attempts.AttemptStore.heartbeat", unreachable)
    monkeypatch.setattr("heartmap_service.sandbox.Sandbox.run", endless)
    monkeypatch.setattr("heartmap_service.checks.UploadChecker.check", lambda self, message, _: self._bench.queue.done(message))
    drain(worker)
    analysis = shown(analyst, analysis_id)
    assert (analysis["state"], analysis["attempt"], analysis["error"]["code"]) == ("failed", 3, "lost")
    assert all_messages(clients, aws) == 0


def test_a_heartbeat_that_fails_once_ends_nothing(
    analyst: Any, upload: Any, make_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis_id = submit(analyst, upload(b"no HDF5"))
    beats, heartbeat = [], AttemptStore.heartbeat

    def now_and_then(self: Any, analysis: Any, **more: Any) -> bool:
        beats.append(more["stage"])
        if len(beats) % 2:
            raise EndpointConnectionError(endpoint_url="http://aws")
        return heartbeat(self, analysis, **more)

    def slow(_sandbox: Any, task: Any, _directory: Any, _limits: Any, keep_going: Any) -> Any:
        if task["task"] == "scan":
            return dict(FACTS)
        while len(beats) < 6:
            assert keep_going("clustering", 0.5)
            time.sleep(0.02)
        return {}

    monkeypatch.setattr("heartmap_service.job_attempts.AttemptStore.heartbeat", now_and_then)
    monkeypatch.setattr("heartmap_service.sandbox.Sandbox.run", slow)
    drain(make_worker(lease=2.0, heartbeat=0.05))
    analysis = shown(analyst, analysis_id)
    assert (analysis["state"], analysis["attempt"]) == ("succeeded", 1)


def test_a_token_that_came_before_its_analysis_waits_and_one_without_any_goes_after_a_minute(
    analyst: Any, upload: Any, make_worker: Any, clients: Clients, aws: Any
) -> None:
    upload(b"no HDF5")
    drain(make_worker())
    Queue(clients.sqs, aws["queue_url"]).send(str(ULID()), "r")
    assert make_worker(token_wait=0).step() is True
    assert (all_messages(clients, aws), rows(clients, "token#")) == (1, {})
    assert make_worker(token_patience=0.0).step() is True
    assert all_messages(clients, aws) == 0
    assert len(rows(clients, "token#")) == 1


def test_a_message_that_came_often_is_replaced_by_a_copy_before_the_queue_gives_it_up(
    analyst: Any, upload: Any, work: Any, make_worker: Any, clients: Clients, aws: Any
) -> None:
    upload_id = upload(b"no HDF5")
    work()
    analysis_id = submit(analyst, upload_id)
    worker, received = make_worker(), []
    worker._bench.stop.set()
    sqs = clients.sqs
    for _ in range(12):
        assert worker.step() is True
        names: Any = ["ApproximateReceiveCount"]
        peek: Any = sqs.receive_message(QueueUrl=aws["queue_url"], VisibilityTimeout=0, MessageSystemAttributeNames=names)
        received.append(int(peek["Messages"][0]["Attributes"]["ApproximateReceiveCount"]))
    assert max(received) < 10
    assert all_messages(clients, aws) == 1
    work()
    assert shown(analyst, analysis_id)["state"] == "succeeded"


def test_a_check_that_takes_the_worker_with_it_three_times_rejects_the_upload(
    analyst: Any, upload: Any, worker: Worker, clients: Clients, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What S3 sends when the notification is set up.
    drain(worker)
    upload_id = upload(b"no HDF5")

    def killed(*_: Any) -> Any:
        raise OSError

    monkeypatch.setattr("heartmap_service.sandbox.Sandbox.run", killed)
    for _ in range(3):
        with pytest.raises(OSError, match=r"^$"):
            worker.step()
        assert state_of(analyst, upload_id)["state"] == "checking"
    assert worker.step() is True
    rejected = state_of(analyst, upload_id)
    assert (rejected["state"], rejected["code"]) == ("rejected", "check_failed")
    assert all_messages(clients, aws) == 0


def test_a_check_that_is_told_to_stop_goes_back_and_does_not_count(
    analyst: Any, upload: Any, worker: Worker, make_worker: Any, clients: Clients, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What S3 sends when the notification is set up.
    drain(worker)
    upload_id = upload(b"no HDF5")

    def stopped(*_: Any) -> Any:
        worker._bench.stop.set()
        raise JobStopped

    monkeypatch.setattr("heartmap_service.sandbox.Sandbox.run", stopped)
    for _ in range(4):
        worker._bench.stop.clear()
        assert worker.step() is True
        assert state_of(analyst, upload_id)["state"] == "pending"
    assert rows(clients, "upload#")[f"upload#{upload_id}"]["checks"] == {"N": "0"}
    assert visible_messages(clients, aws) == 1


def test_an_object_that_is_in_s3_already_is_copied_and_then_checked(
    analyst: Any, upload: Any, work: Any, clients: Clients, aws: Any
) -> None:
    clients.s3.put_object(Bucket="results", Key="theirs/cells.h5ad", Body=b"theirs")
    uploads, queue = UploadStore(clients.dynamodb, "jobs"), Queue(clients.sqs, aws["queue_url"])
    sources = {"there": "theirs/cells.h5ad", "missing": "theirs/none.h5ad", "large": "theirs/cells.h5ad"}
    ids = {}
    for name, key in sources.items():
        ids[name] = str(ULID())
        most = 5 if name == "large" else 6
        source = f"s3://results/{key}"
        uploads.add(
            Upload(
                upload_id=ids[name],
                owner="anna",
                state="pending",
                created_at=timestamp(),
                request_id="r",
                max_bytes=most,
                source=source,
            )
        )
        queue.send_copy(ids[name])
        # Messages come twice.
        queue.send_copy(ids[name])
    work()
    states = {name: (state_of(analyst, ids[name])["state"], state_of(analyst, ids[name])["code"]) for name in sources}
    expected = {"there": ("accepted", None), "missing": ("rejected", "source_missing"), "large": ("rejected", "upload_too_large")}
    assert states == expected
    assert clients.s3.get_object(Bucket="uploads", Key=f"uploads/{ids['there']}")["Body"].read() == b"theirs"
    assert all_messages(clients, aws) == 0


def test_a_message_that_is_none_of_ours_is_left_for_the_dead_letter_queue(worker: Worker, clients: Clients, aws: Any) -> None:
    clients.sqs.send_message(QueueUrl=aws["queue_url"], MessageBody='{"surprise": true}')
    drain(worker)
    assert (visible_messages(clients, aws), all_messages(clients, aws)) == (0, 1)


def test_an_analysis_that_another_worker_runs_is_left_to_it(
    analyst: Any, upload: Any, worker: Worker, work: Any, clients: Clients, aws: Any
) -> None:
    upload_id = upload(b"no HDF5")
    work()
    UploadStore(clients.dynamodb, "jobs").accept(upload_id, FACTS)
    analysis_id = submit(analyst, upload_id)
    claimed(AttemptStore(clients.dynamodb, "jobs"), analysis_id, now=time.time())
    assert worker.step() is True
    assert shown(analyst, analysis_id)["state"] == "running"
    assert (visible_messages(clients, aws), all_messages(clients, aws)) == (0, 1)


def test_a_message_of_an_analysis_that_has_ended_is_dropped(
    analyst: Any, upload: Any, work: Any, clients: Clients, aws: Any
) -> None:
    analysis_id = submit(analyst, upload(b"no HDF5"))
    analyst.call("DELETE", f"/analyses/{analysis_id}")
    work()
    assert all_messages(clients, aws) == 0
    assert shown(analyst, analysis_id)["state"] == "cancelled"


def test_a_fault_of_ours_is_tried_three_times_and_then_said(
    analyst: Any, upload: Any, worker: Worker, work: Any, clients: Clients, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = upload(b"no HDF5")
    work()
    UploadStore(clients.dynamodb, "jobs").accept(upload_id, FACTS)
    analysis_id = submit(analyst, upload_id)

    def unreachable(*_: object, **__: object) -> None:
        raise EndpointConnectionError(endpoint_url="http://secret")

    monkeypatch.setattr("heartmap_service.storage.Uploads.download", unreachable)
    for attempt, state in ((1, "queued"), (2, "queued"), (3, "failed")):
        assert worker.step() is True
        analysis = shown(analyst, analysis_id)
        assert (analysis["attempt"], analysis["state"]) == (attempt, state)
    assert analysis["error"]["code"] == "lost"
    assert "secret" not in str(analysis)
    assert all_messages(clients, aws) == 0
