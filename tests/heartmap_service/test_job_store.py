from typing import Any

import pytest

from heartmap_service.clients import Clients
from heartmap_service.job_store import JobStore
from heartmap_service.records import Analysis, timestamp


@pytest.fixture
def store(aws: dict[str, Any], clients: Clients) -> JobStore:
    return JobStore(clients.dynamodb, "jobs")


@pytest.fixture
def queued(store: JobStore) -> str:
    store.add_analysis(
        Analysis(
            analysis_id="a",
            upload_id="u",
            owner="anna",
            visibility="private",
            analysis_type="basic",
            options={"resolution": 0.1},
            config_version=3,
            config={"resolution": 0.1, "max_cells_subset": None},
            state="queued",
            created_at=timestamp(),
            request_id="r",
        )
    )
    return "a"


def test_what_is_written_is_read_back(store: JobStore, queued: str) -> None:
    analysis = store.analysis(queued)
    assert analysis is not None
    assert analysis.options == {"resolution": 0.1}
    assert analysis.config == {"resolution": 0.1, "max_cells_subset": None}
    assert (analysis.config_version, analysis.attempt, analysis.progress) == (3, 0, 0.0)


def test_an_analysis_is_claimed_once(store: JobStore, queued: str) -> None:
    first = store.claim(queued, now=1000, lease_seconds=60)
    assert first is not None
    assert (first.state, first.attempt, first.lease_until) == ("running", 1, 1060.0)
    assert store.claim(queued, now=1059, lease_seconds=60) is None


def test_a_lease_that_ran_out_is_taken_over_and_the_old_holder_is_fenced_off(store: JobStore, queued: str) -> None:
    old = store.claim(queued, now=1000, lease_seconds=60)
    new = store.claim(queued, now=1061, lease_seconds=60)
    assert old is not None
    assert new is not None
    assert new.attempt == 2
    assert store.heartbeat(old, stage="x", progress=0.5, lease_until=2000) is False
    assert store.succeed(old, files=[], summary={}) is False
    assert store.fail(old, code="c", detail="d") is False
    assert store.release(old) is False
    assert store.heartbeat(new, stage="clustering", progress=0.5, lease_until=2000) is True
    assert store.succeed(new, files=[{"name": "f"}], summary={"cells": 1}) is True
    done = store.analysis(queued)
    assert done is not None
    assert (done.state, done.files, done.summary) == ("succeeded", [{"name": "f"}], {"cells": 1})


def test_a_cancelled_analysis_hears_of_it_at_the_next_heartbeat(store: JobStore, queued: str) -> None:
    running = store.claim(queued, now=1000, lease_seconds=60)
    assert running is not None
    assert store.cancel(queued) is True
    assert store.heartbeat(running, stage="x", progress=0.5, lease_until=2000) is False
    assert store.succeed(running, files=[], summary={}) is False
    assert store.cancel(queued) is False


def test_a_released_analysis_can_be_claimed_again(store: JobStore, queued: str) -> None:
    running = store.claim(queued, now=1000, lease_seconds=60)
    assert running is not None
    assert store.release(running) is True
    again = store.claim(queued, now=1001, lease_seconds=60)
    assert again is not None
    assert again.attempt == 2


def test_progress_does_not_touch_the_index(store: JobStore, queued: str, clients: Clients) -> None:
    answer: Any = clients.dynamodb.get_item(TableName="jobs", Key={"pk": {"S": "analysis#a"}})
    assert "listing_key" not in answer["Item"]
