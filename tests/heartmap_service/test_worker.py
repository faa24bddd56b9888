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
from botocore.exceptions import ClientError

from heartmap_service.clients import Clients
from heartmap_service.worker import Worker
from tests.heartmap_service.jobs import all_messages, downloaded, drain, shown, state_of, submit, visible_messages

PATIENCE = 120


@contextmanager
def at_work(worker: Worker) -> Iterator[None]:
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker._bench.stop.set()
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
        "manifest.json",
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
    # Nothing is left: no message, no directory.
    assert all_messages(clients, aws) == 0
    assert jobs_in(worker_settings.scratch_dir) == 0


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
    drain(worker)
    assert state_of(analyst, upload_id)["code"] == "upload_too_large"


def test_options_that_leave_no_cells_fail_with_what_to_change(analyst: Any, upload: Any, work: Any, small: Path) -> None:
    analysis_id = submit(analyst, upload(small.read_bytes()), options={"min_genes": 490})
    work()
    error = shown(analyst, analysis_id)["error"]
    assert error["code"] == "too_few_cells"
    assert "min_genes" in error["detail"]


def jobs_in(scratch: Path) -> int:
    """How many jobs have a directory; one more is their parent's."""
    return len(list(scratch.glob("heartmap-job-*"))) - 1


def test_a_running_analysis_is_cancelled_within_seconds(
    analyst: Any, upload: Any, worker: Worker, small: Path, clients: Clients, aws: Any, worker_settings: Any
) -> None:
    upload_id = upload(small.read_bytes())
    analysis_id = submit(analyst, upload_id)
    with at_work(worker):
        wait_for(lambda: shown(analyst, analysis_id)["state"] == "running" and jobs_in(worker_settings.scratch_dir) > 0)
        assert analyst.call("DELETE", f"/analyses/{analysis_id}").json()["state"] == "cancelled"
        began = time.monotonic()
        wait_for(lambda: jobs_in(worker_settings.scratch_dir) == 0)
        assert time.monotonic() - began < 25
        wait_for(lambda: all_messages(clients, aws) == 0)
    assert shown(analyst, analysis_id)["state"] == "cancelled"
    assert analyst.call("GET", f"/analyses/{analysis_id}/results").json()["code"] == "no_results"


def test_a_worker_that_is_told_to_stop_gives_its_analysis_back(
    analyst: Any, upload: Any, worker: Worker, small: Path, clients: Clients, aws: Any, worker_settings: Any
) -> None:
    analysis_id = submit(analyst, upload(small.read_bytes()))
    with at_work(worker):
        wait_for(lambda: shown(analyst, analysis_id)["state"] == "running" and jobs_in(worker_settings.scratch_dir) > 0)
        worker._bench.stop.set()
        began = time.monotonic()
        wait_for(lambda: not psutil.Process().children())
        assert time.monotonic() - began < 25
    assert shown(analyst, analysis_id)["state"] == "queued"
    assert visible_messages(clients, aws) == 1
    assert list(worker_settings.scratch_dir.iterdir()) == []


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
    analyst: Any, upload: Any, make_worker: Any, scanner: Any, small: Path
) -> None:
    analysis_id = submit(analyst, upload(small.read_bytes()))
    drain(make_worker(scan_patience=-1.0))
    assert shown(analyst, analysis_id)["error"]["code"] == "unscanned"


def test_an_upload_that_is_gone_is_missing_also_where_the_bucket_withholds_what_it_does_not_know(
    analyst: Any, upload: Any, work: Any, scanner: Any, small: Path, clients: Clients
) -> None:
    upload_id = upload(small.read_bytes())
    analysis_id = submit(analyst, upload_id)
    clients.s3.delete_object(Bucket="uploads", Key=f"uploads/{upload_id}")
    work()
    assert shown(analyst, analysis_id)["error"]["code"] == "upload_missing"
