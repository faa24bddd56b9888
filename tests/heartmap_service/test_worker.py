import hashlib
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anndata
import matplotlib.image
import numpy as np
import pandas as pd
import psutil
import pytest
import requests
from botocore.exceptions import ClientError, EndpointConnectionError

from heartmap_service.clients import Clients
from heartmap_service.job_store import JobStore
from heartmap_service.upload_store import UploadStore
from heartmap_service.worker import Worker

PATIENCE = 120


def submit(person: Any, upload_id: str, **fields: Any) -> str:
    answer = person.call("POST", "/analyses", json={"upload_id": upload_id, **fields})
    assert answer.status_code == 202, answer.text
    return answer.json()["analysis_id"]


def shown(person: Any, analysis_id: str) -> dict[str, Any]:
    return person.call("GET", f"/analyses/{analysis_id}").json()


def state_of(person: Any, upload_id: str) -> dict[str, Any]:
    return person.call("GET", f"/uploads/{upload_id}").json()


def downloaded(answer: dict[str, Any]) -> dict[str, bytes]:
    files = {file["name"]: requests.get(file["url"], timeout=10).content for file in answer["files"]}
    for file in answer["files"]:
        assert len(files[file["name"]]) == file["bytes"]
        assert hashlib.sha256(files[file["name"]]).hexdigest() == file["sha256"]
    return files


def visible_messages(clients: Clients, aws: dict[str, Any]) -> int:
    names: Any = ["ApproximateNumberOfMessages"]
    answer = clients.sqs.get_queue_attributes(QueueUrl=aws["queue_url"], AttributeNames=names)
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def all_messages(clients: Clients, aws: dict[str, Any]) -> int:
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = clients.sqs.get_queue_attributes(QueueUrl=aws["queue_url"], AttributeNames=names)
    return sum(int(number) for number in answer["Attributes"].values())


@contextmanager
def at_work(worker: Worker) -> Iterator[None]:
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker._stop.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def test_an_uploaded_data_set_becomes_a_comprehensive_result(
    analyst: Any,
    viewer: Any,
    upload: Any,
    work: Any,
    small: Path,
    clients: Clients,
    aws: Any,
    worker_settings: Any,
    tmp_path: Path,
) -> None:
    upload_id = upload(small.read_bytes())
    analysis_id = submit(analyst, upload_id, analysis_type="comprehensive", visibility="shared", options={"resolution": 0.4})
    work()
    assert state_of(analyst, upload_id)["state"] == "accepted"
    analysis = shown(analyst, analysis_id)
    assert (analysis["state"], analysis["stage"], analysis["progress"], analysis["error"]) == ("succeeded", "done", 1.0, None)
    answer = viewer.call("GET", f"/analyses/{analysis_id}/results").json()
    files = downloaded(answer)
    assert set(files) == {
        "annotated.h5ad",
        "cells.csv",
        "cluster_sizes.csv",
        "marker_genes.csv",
        "marker_genes.png",
        "qc_metrics.png",
        "summary.json",
        "umap_clusters.png",
    }
    summary = answer["summary"]
    assert json.loads(files["summary.json"]) == summary
    assert summary["cells"] == 200
    assert summary["config"]["resolution"] == 0.4
    assert [item["what"] for item in summary["left_out"]] == ["cell-cell communication and hub scores", "analysis report"]
    # The three kinds of cell that the data set was made of, and the genes that tell them apart.
    (tmp_path / "annotated.h5ad").write_bytes(files["annotated.h5ad"])
    data: Any = anndata.read_h5ad(tmp_path / "annotated.h5ad")
    assert pd.crosstab(data.obs["kind"], data.obs["leiden"]).to_numpy().astype(bool).sum() == 3
    assert "hub_score" not in data.obs
    kinds: Any = data.obs.groupby("leiden", observed=True)["kind"].first()
    for cluster, genes in summary["markers"].items():
        kind = int(kinds[cluster][-1])
        assert set(genes) <= {f"GENE{number}" for number in range(kind * 20, kind * 20 + 20)}
    picture = matplotlib.image.imread(io.BytesIO(files["umap_clusters.png"]))
    assert min(picture.shape[:2]) > 300
    assert len(np.unique(picture[..., :3].reshape(-1, 3), axis=0)) > 20
    head = clients.s3.head_object(Bucket="results", Key=f"results/{analysis_id}/1/umap_clusters.png")
    assert head["Metadata"]["request-id"] == "request-1"
    assert head["ContentType"] == "image/png"
    # Nothing is left: no message, no process, no directory.
    assert all_messages(clients, aws) == 0
    assert psutil.Process().children() == []
    assert list(worker_settings.scratch_dir.iterdir()) == []


def test_analyze_gives_the_basic_result_in_heartmaps_own_shape(
    analyst: Any, worker: Worker, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartmap_service.api.ANALYZE_SECONDS", float(PATIENCE))
    with at_work(worker):
        answer = analyst.call("POST", "/analyze", files={"file": small.read_bytes()}, data={"analysis_type": "basic"})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["status"], body["message"]) == ("success", "Analysis completed successfully")
    assert body["results"]["summary"]["n_cells"] == 200
    assert body["results"]["summary"]["analysis_completed"] is True
    assert any("umap_clusters.png" in url for url in body["output_files"])
    assert "marker_genes" not in str(body)


def test_a_text_file_is_rejected_and_cannot_be_analysed(analyst: Any, upload: Any, work: Any) -> None:
    upload_id = upload(b"gene,cell1\nTTN,3\n")
    work()
    rejected = state_of(analyst, upload_id)
    assert (rejected["state"], rejected["code"]) == ("rejected", "not_hdf5")
    assert "write_h5ad" in rejected["detail"]
    answer = analyst.call("POST", "/analyses", json={"upload_id": upload_id})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_hdf5")


def test_an_analysis_of_an_unchecked_file_is_scanned_first(analyst: Any, upload: Any, work: Any) -> None:
    analysis_id = submit(analyst, upload(b"no HDF5"))
    work()
    analysis = shown(analyst, analysis_id)
    assert (analysis["state"], analysis["error"]["code"]) == ("failed", "not_hdf5")


def test_a_file_that_was_exchanged_after_its_check_is_scanned_again(
    analyst: Any, upload: Any, work: Any, small: Path, clients: Clients
) -> None:
    upload_id = upload(small.read_bytes())
    work()
    assert state_of(analyst, upload_id)["state"] == "accepted"
    analysis_id = submit(analyst, upload_id)
    clients.s3.put_object(Bucket="uploads", Key=f"uploads/{upload_id}", Body=b"exchanged")
    work()
    assert shown(analyst, analysis_id)["error"]["code"] == "not_hdf5"
    assert state_of(analyst, upload_id)["code"] == "not_hdf5"


def test_an_object_larger_than_allowed_is_rejected_unread(
    analyst: Any, upload: Any, worker_settings: Any, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartmap_service.queue.LONG_POLL", 0)
    upload_id = upload(bytes(1000))
    worker = Worker(worker_settings.model_copy(update={"max_upload_bytes": 999}), clients, threading.Event())
    while worker.step():
        pass
    assert state_of(analyst, upload_id)["code"] == "upload_too_large"


def test_options_that_leave_no_cells_fail_with_what_to_change(analyst: Any, upload: Any, work: Any, small: Path) -> None:
    analysis_id = submit(analyst, upload(small.read_bytes()), options={"min_genes": 490})
    work()
    error = shown(analyst, analysis_id)["error"]
    assert error["code"] == "too_few_cells"
    assert "min_genes" in error["detail"]


def test_a_running_analysis_is_cancelled_within_seconds(
    analyst: Any, upload: Any, worker: Worker, small: Path, clients: Clients, aws: Any
) -> None:
    upload_id = upload(small.read_bytes())
    analysis_id = submit(analyst, upload_id)
    with at_work(worker):
        wait_for(lambda: bool(psutil.Process().children()) and shown(analyst, analysis_id)["stage"] in ("scanning", "loading"))
        assert analyst.call("DELETE", f"/analyses/{analysis_id}").json()["state"] == "cancelled"
        began = time.monotonic()
        wait_for(lambda: not psutil.Process().children())
        assert time.monotonic() - began < 10
        wait_for(lambda: all_messages(clients, aws) == 0)
    assert shown(analyst, analysis_id)["state"] == "cancelled"
    assert "Contents" not in clients.s3.list_objects_v2(Bucket="results")


def test_a_worker_that_is_told_to_stop_gives_its_analysis_back(
    analyst: Any, upload: Any, worker: Worker, small: Path, clients: Clients, aws: Any, worker_settings: Any
) -> None:
    analysis_id = submit(analyst, upload(small.read_bytes()))
    with at_work(worker):
        wait_for(lambda: shown(analyst, analysis_id)["stage"] in ("scanning", "loading"))
        worker._stop.set()
        began = time.monotonic()
        wait_for(lambda: not psutil.Process().children())
        assert time.monotonic() - began < 25
    assert shown(analyst, analysis_id)["state"] == "queued"
    assert visible_messages(clients, aws) == 1
    assert list(worker_settings.scratch_dir.iterdir()) == []


def test_an_analysis_that_another_worker_runs_is_left_to_it(
    analyst: Any, upload: Any, worker: Worker, work: Any, clients: Clients, aws: Any
) -> None:
    upload_id = upload(b"no HDF5")
    work()
    UploadStore(clients.dynamodb, "jobs").set_state(upload_id, "accepted")
    analysis_id = submit(analyst, upload_id)
    claimed = JobStore(clients.dynamodb, "jobs").claim(analysis_id, now=time.time(), lease_seconds=60)
    assert claimed is not None
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
    UploadStore(clients.dynamodb, "jobs").set_state(upload_id, "accepted")
    analysis_id = submit(analyst, upload_id)
    monkeypatch.setattr("heartmap_service.worker.RETRY_DELAY", 0)

    def unreachable(*_: object, **__: object) -> None:
        raise EndpointConnectionError(endpoint_url="http://secret")

    monkeypatch.setattr("heartmap_service.storage.Uploads.download", unreachable)
    for attempt, state in ((1, "queued"), (2, "queued"), (3, "failed")):
        assert worker.step() is True
        analysis = shown(analyst, analysis_id)
        assert (analysis["attempt"], analysis["state"]) == (attempt, state)
    assert analysis["error"]["code"] == "internal"
    assert "secret" not in str(analysis)
    assert all_messages(clients, aws) == 0


def test_results_appear_all_at_once_or_not_at_all(
    analyst: Any, upload: Any, worker: Worker, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis_id = submit(analyst, upload(b"no HDF5"))

    def two_files(_task: Any, directory: Any, *_: Any) -> dict[str, Any]:
        for name in ("a.csv", "b.csv"):
            (directory.out / name).write_text(name)
        return {"cells": 1}

    seen: list[str] = []

    def cancel_between(_self: Any, _analysis_id: str, _attempt: int, file: Path, **_: Any) -> Any:
        seen.append(file.name)
        analyst.call("DELETE", f"/analyses/{analysis_id}")
        raise_later = type("Stored", (), {"_asdict": lambda _: {"name": file.name, "bytes": 1}})
        return raise_later()

    monkeypatch.setattr("heartmap_service.sandbox.run", two_files)
    monkeypatch.setattr("heartmap_service.storage.Results.put", cancel_between)
    while worker.step():
        pass
    assert seen == ["a.csv"]
    analysis = shown(analyst, analysis_id)
    assert analysis["state"] == "cancelled"
    assert analyst.call("GET", f"/analyses/{analysis_id}/results").status_code == 409


def test_a_message_that_is_none_of_ours_is_left_for_the_dead_letter_queue(worker: Worker, clients: Clients, aws: Any) -> None:
    clients.sqs.send_message(QueueUrl=aws["queue_url"], MessageBody='{"surprise": true}')
    while worker.step():
        pass
    assert (visible_messages(clients, aws), all_messages(clients, aws)) == (0, 1)


TAG = "GuardDutyMalwareScanStatus"


@pytest.fixture
def scanner(clients: Clients, aws: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """The uploads bucket as its policy makes it where uploads are scanned, and GuardDuty: tags an object and sends its result."""
    get_object = clients.s3.get_object
    clients.s3.put_bucket_notification_configuration(Bucket="uploads", NotificationConfiguration={})

    def guarded(**arguments: Any) -> Any:
        try:
            tags = clients.s3.get_object_tagging(**arguments)["TagSet"]
        except ClientError:
            tags = []  # what is not there has no tag either
        if {"Key": TAG, "Value": "NO_THREATS_FOUND"} not in tags:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject")
        return get_object(**arguments)

    monkeypatch.setattr(clients.s3, "get_object", guarded)
    monkeypatch.setattr("heartmap_service.worker.SCAN_POLL", 0)

    def scan(upload_id: str, result: str) -> None:
        key = f"uploads/{upload_id}"
        clients.s3.put_object_tagging(Bucket="uploads", Key=key, Tagging={"TagSet": [{"Key": TAG, "Value": result}]})
        event = {
            "detail-type": "GuardDuty Malware Protection Object Scan Result",
            "detail": {
                "scanStatus": "COMPLETED",
                "s3ObjectDetails": {"bucketName": "uploads", "objectKey": key},
                "scanResultDetails": {"scanResultStatus": result},
            },
        }
        clients.sqs.send_message(QueueUrl=aws["queue_url"], MessageBody=json.dumps(event))

    return scan


def test_an_upload_is_pending_until_the_malware_scan_found_it_clean(
    analyst: Any, upload: Any, work: Any, scanner: Any, small: Path
) -> None:
    upload_id = upload(small.read_bytes())
    work()
    assert state_of(analyst, upload_id)["state"] == "pending"
    scanner(upload_id, "NO_THREATS_FOUND")
    work()
    assert state_of(analyst, upload_id)["state"] == "accepted"


@pytest.mark.parametrize(("result", "code"), [("THREATS_FOUND", "malware"), ("UNSUPPORTED", "unscanned")])
def test_an_upload_that_was_not_found_clean_is_rejected_and_cannot_be_analysed(
    analyst: Any, upload: Any, work: Any, scanner: Any, small: Path, result: str, code: str
) -> None:
    upload_id = upload(small.read_bytes())
    scanner(upload_id, result)
    work()
    rejected = state_of(analyst, upload_id)
    assert (rejected["state"], rejected["code"]) == ("rejected", code)
    answer = analyst.call("POST", "/analyses", json={"upload_id": upload_id})
    assert (answer.status_code, answer.json()["code"]) == (409, code)


def test_an_analysis_waits_for_the_scan_of_its_upload(
    analyst: Any, upload: Any, work: Any, scanner: Any, monkeypatch: pytest.MonkeyPatch, clients: Clients
) -> None:
    upload_id = upload(b"no HDF5, but clean")
    analysis_id = submit(analyst, upload_id)
    tagging, asked = clients.s3.get_object_tagging, []

    def later(**arguments: Any) -> Any:
        asked.append(arguments)
        if len(asked) == 6:
            scanner(upload_id, "NO_THREATS_FOUND")
        return tagging(**arguments)

    monkeypatch.setattr(clients.s3, "get_object_tagging", later)
    work()
    assert len(asked) >= 6
    # It was read in the end.
    assert shown(analyst, analysis_id)["error"]["code"] == "not_hdf5"


def test_an_analysis_of_an_upload_with_malware_fails_without_reading_it(
    analyst: Any, upload: Any, work: Any, scanner: Any, small: Path
) -> None:
    upload_id = upload(small.read_bytes())
    analysis_id = submit(analyst, upload_id)
    scanner(upload_id, "THREATS_FOUND")
    work()
    analysis = shown(analyst, analysis_id)
    assert (analysis["state"], analysis["error"]["code"]) == ("failed", "malware")


def test_a_scan_that_never_ends_is_not_waited_for_for_ever(
    analyst: Any, upload: Any, work: Any, scanner: Any, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartmap_service.worker.SCAN_PATIENCE", -1)
    analysis_id = submit(analyst, upload(small.read_bytes()))
    work()
    assert shown(analyst, analysis_id)["error"]["code"] == "unscanned"


def test_an_upload_that_is_gone_is_missing_also_where_the_bucket_withholds_what_it_does_not_know(
    analyst: Any, upload: Any, work: Any, scanner: Any, small: Path, clients: Clients
) -> None:
    upload_id = upload(small.read_bytes())
    analysis_id = submit(analyst, upload_id)
    clients.s3.delete_object(Bucket="uploads", Key=f"uploads/{upload_id}")
    work()
    assert shown(analyst, analysis_id)["error"]["code"] == "upload_missing"
