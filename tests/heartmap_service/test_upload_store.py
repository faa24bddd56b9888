import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from heartmap_service.clients import Clients
from heartmap_service.records import Upload, timestamp
from heartmap_service.upload_store import UPLOAD_RETENTION, ChecksSpent, UploadStore


@pytest.fixture
def uploads(aws: dict[str, Any], clients: Clients) -> UploadStore:
    return UploadStore(clients.dynamodb, "jobs")


@pytest.fixture
def pending(uploads: UploadStore) -> Upload:
    return uploads.add(
        Upload(upload_id="u", owner="o", state="pending", created_at=timestamp(), request_id="r", max_bytes=5, bytes=4, parts=2)
    )


def test_what_is_written_is_read_back(uploads: UploadStore, pending: Upload) -> None:
    assert uploads.find("u") == pending
    assert pending.expires_at == pytest.approx(time.time() + UPLOAD_RETENTION, abs=5)
    assert uploads.find("other") is None


@pytest.mark.parametrize(
    "change",
    [
        lambda uploads: uploads.accept("gone", {}),
        lambda uploads: uploads.reject("gone", "c", "d"),
        lambda uploads: uploads.give_back("gone"),
        lambda uploads: uploads.begin_check("gone", most=3),
    ],
)
def test_an_upload_that_is_gone_is_not_written_again(
    uploads: UploadStore, clients: Clients, change: Callable[[UploadStore], Any]
) -> None:
    assert change(uploads) is None
    assert clients.dynamodb.scan(TableName="jobs")["Items"] == []


def test_a_check_that_never_ends_is_begun_a_few_times_only(uploads: UploadStore, pending: Upload) -> None:
    for begun in (1, 2, 3):
        checked = uploads.begin_check("u", most=3)
        assert checked is not None
        assert (checked.state, checked.checks) == ("checking", begun)
    with pytest.raises(ChecksSpent):
        uploads.begin_check("u", most=3)


def test_a_check_that_was_given_back_and_one_that_came_to_a_verdict_do_not_count(uploads: UploadStore, pending: Upload) -> None:
    uploads.begin_check("u", most=3)
    uploads.give_back("u")
    assert uploads.find("u") == pending
    uploads.give_back("u")
    assert uploads.find("u") == pending
    uploads.begin_check("u", most=3)
    uploads.begin_check("u", most=3)
    uploads.accept("u", {"cells": 5})
    accepted = uploads.find("u")
    assert accepted is not None
    assert (accepted.state, accepted.checks, accepted.dataset) == ("accepted", 0, {"cells": 5})
    uploads.give_back("u")
    assert uploads.find("u") == accepted


def test_a_verdict_replaces_the_one_before(uploads: UploadStore, pending: Upload) -> None:
    uploads.accept("u", {"cells": 5})
    uploads.reject("u", "not_hdf5", "Not HDF5.")
    rejected = uploads.find("u")
    assert rejected is not None
    assert (rejected.state, rejected.dataset, rejected.code, rejected.detail) == ("rejected", None, "not_hdf5", "Not HDF5.")
    checking = uploads.begin_check("u", most=3)
    assert checking is not None
    assert (checking.state, checking.code, checking.detail) == ("checking", None, None)


def test_checks_that_begin_at_once_are_all_counted(uploads: UploadStore, pending: Upload, one_call_at_a_time: None) -> None:
    threads = [threading.Thread(target=uploads.begin_check, args=("u",), kwargs={"most": 50}) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    checked = uploads.find("u")
    assert checked is not None
    assert checked.checks == 10


def test_the_rows_of_an_upload_expire_together(uploads: UploadStore, pending: Upload, clients: Clients) -> None:
    uploads.set_visibility(pending, ["anna"])
    rows: list[Any] = clients.dynamodb.scan(TableName="jobs")["Items"]
    assert len(rows) == 4
    assert {row["expires_at"]["N"] for row in rows} == {str(pending.expires_at)}
