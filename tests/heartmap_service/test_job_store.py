import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from heartmap_service.clients import Clients
from heartmap_service.idempotency import AlreadyMade, Idempotency
from heartmap_service.job_attempts import AttemptStore, Busy, Claimed, Ended, Unknown
from heartmap_service.job_store import JobStore, TokenVoid
from heartmap_service.quotas import QuotaExceeded, Quotas
from heartmap_service.records import Analysis
from tests.heartmap_service.jobs import PLENTY, claimed, new_analysis, rows, unfinished


@pytest.fixture
def store(aws: dict[str, Any], clients: Clients) -> JobStore:
    return JobStore(clients.dynamodb, "jobs")


@pytest.fixture
def attempts(aws: dict[str, Any], clients: Clients) -> AttemptStore:
    return AttemptStore(clients.dynamodb, "jobs")


@pytest.fixture
def submit(store: JobStore) -> Callable[..., str]:
    return lambda owner="anna", **changes: store.add_analysis(new_analysis(owner, **changes), quotas=PLENTY).analysis_id


def found(store: JobStore, analysis_id: str) -> Analysis:
    analysis = store.analysis(analysis_id)
    assert analysis is not None
    return analysis


def lose_the_answer(clients: Clients, monkeypatch: pytest.MonkeyPatch, times: int = 1) -> None:
    """The next transactions are carried out, and repeated as by a client that never heard of it, without a request token."""
    transact, left = clients.dynamodb.transact_write_items, [times]

    def repeated(**arguments: Any) -> Any:
        if left[0] > 0:
            left[0] -= 1
            transact(**arguments)
        return transact(**arguments)

    monkeypatch.setattr(clients.dynamodb, "transact_write_items", repeated)


# Attempts


def test_what_is_written_is_read_back(store: JobStore, submit: Any) -> None:
    analysis = found(store, submit())
    assert analysis.options == {"resolution": 0.1}
    assert analysis.config == {"resolution": 0.1, "max_cells_subset": None}
    assert (analysis.config_version, analysis.attempt, analysis.progress) == (3, 0, 0.0)


def test_an_analysis_is_claimed_once(attempts: AttemptStore, submit: Any) -> None:
    token = submit()
    first = claimed(attempts, token)
    assert (first.state, first.attempt, first.lease_until, first.lost) == ("running", 1, 1060.0, 0)
    assert attempts.claim(token, now=1059, lease_seconds=60) == Busy(1060.0)


def test_a_lease_that_ran_out_is_taken_over_and_the_old_holder_is_fenced_off(
    store: JobStore, attempts: AttemptStore, submit: Any, clients: Clients
) -> None:
    token = submit()
    old = claimed(attempts, token)
    new = claimed(attempts, token, now=1061)
    assert (new.attempt, new.lost) == (2, 1)
    assert attempts.heartbeat(old, stage="x", progress=0.5, lease_until=2000) is False
    assert attempts.succeed(old, files=[], summary={}) is False
    assert attempts.fail(old, code="c", detail="d") is False
    assert attempts.release(old) is False
    assert attempts.lose(old) is False
    assert found(store, token).state == "running"
    assert attempts.heartbeat(new, stage="clustering", progress=0.5, lease_until=2000) is True
    assert attempts.succeed(new, files=[{"name": "f", "bytes": 1}], summary={"cells": 1}) is True
    done = found(store, token)
    assert (done.state, done.files, done.summary) == ("succeeded", [{"name": "f", "bytes": 1}], {"cells": 1})
    assert unfinished(clients, "anna") == 0
    assert attempts.succeed(old, files=[], summary={}) is False
    assert found(store, token).files == [{"name": "f", "bytes": 1}]


def test_an_analysis_lost_three_times_fails_with_a_sentence_and_is_off_the_count(
    store: JobStore, attempts: AttemptStore, submit: Any, clients: Clients
) -> None:
    token = submit()
    for attempt in (1, 2, 3):
        assert claimed(attempts, token, now=attempt * 1000).attempt == attempt
    assert unfinished(clients, "anna") == 1
    assert attempts.claim(token, now=4000, lease_seconds=60) == Ended()
    failed = found(store, token)
    assert (failed.state, failed.code, failed.lost) == ("failed", "lost", 3)
    assert "Submit it again" in (failed.detail or "")
    assert unfinished(clients, "anna") == 0


def test_being_given_back_does_not_count_as_lost_and_breaking_off_does(
    store: JobStore, attempts: AttemptStore, submit: Any, clients: Clients
) -> None:
    token = submit()
    for _ in range(5):
        assert attempts.release(claimed(attempts, token)) is True
    assert found(store, token).lost == 0
    for lost in (1, 2):
        assert attempts.lose(claimed(attempts, token)) is True
        assert (found(store, token).state, found(store, token).lost) == ("queued", lost)
    assert attempts.lose(claimed(attempts, token)) is True
    assert (found(store, token).state, found(store, token).code) == ("failed", "lost")
    assert unfinished(clients, "anna") == 0


def test_a_cancelled_analysis_hears_of_it_at_the_next_heartbeat(
    store: JobStore, attempts: AttemptStore, submit: Any, clients: Clients
) -> None:
    token = submit()
    running = claimed(attempts, token)
    assert store.cancel(token) is True
    assert attempts.heartbeat(running, stage="x", progress=0.5, lease_until=2000) is False
    assert attempts.succeed(running, files=[], summary={}) is False
    assert attempts.release(running) is False
    assert store.cancel(token) is False
    assert attempts.has_ended(token) is True
    assert unfinished(clients, "anna") == 0


def test_a_released_analysis_can_be_claimed_again(attempts: AttemptStore, submit: Any) -> None:
    token = submit()
    assert attempts.release(claimed(attempts, token)) is True
    assert claimed(attempts, token, now=1001).attempt == 2


def test_progress_does_not_touch_the_index(submit: Any, clients: Clients) -> None:
    token = submit()
    assert "listing_key" not in rows(clients)[f"analysis#{token}"]


# Tokens


def test_a_token_starts_the_first_of_those_that_wait_and_the_other_token_then_owes_what_this_one_did(
    attempts: AttemptStore, submit: Any
) -> None:
    first, second, third = submit("anna"), submit("anna"), submit("anna")
    assert claimed(attempts, third).analysis_id == first
    assert claimed(attempts, second).analysis_id == second
    # The message of the first came last, and what was the third's is left to it.
    assert claimed(attempts, first).analysis_id == third
    assert [attempts.claim(token, now=1001, lease_seconds=9) for token in (first, second, third)] == [Busy(1060.0)] * 3


def test_a_token_whose_analysis_was_cancelled_takes_no_others_message_along(
    store: JobStore, attempts: AttemptStore, submit: Any
) -> None:
    first, second = submit("anna"), submit("anna")
    running = claimed(attempts, second)
    assert running.analysis_id == first
    assert store.cancel(second) is True
    # The token of the first owes the second by now, which has ended; the second's owes the first, which runs.
    assert attempts.has_ended(first) is True
    assert attempts.has_ended(second) is False
    assert attempts.succeed(running, files=[], summary={}) is True
    assert attempts.has_ended(second) is True


def test_what_the_index_does_not_show_yet_is_run_by_its_own_token(
    attempts: AttemptStore, submit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = submit()
    monkeypatch.setattr(attempts, "_first_queued", list)
    assert claimed(attempts, token).analysis_id == token


def test_what_the_index_still_shows_is_not_started_twice(
    attempts: AttemptStore, store: JobStore, submit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, cancelled, second = submit(), submit(), submit()
    assert claimed(attempts, first).analysis_id == first
    assert store.cancel(cancelled) is True
    monkeypatch.setattr(attempts, "_first_queued", lambda: [first, cancelled, "of another table"])
    assert claimed(attempts, second).analysis_id == second
    assert attempts.claim(first, now=1001, lease_seconds=9) == Busy(1060.0)


def test_a_token_without_an_analysis_is_unknown_until_it_is_given_up_and_then_no_analysis_can_follow(
    store: JobStore, attempts: AttemptStore, clients: Clients
) -> None:
    late = new_analysis()
    assert attempts.claim(late.analysis_id, now=1000, lease_seconds=60) == Unknown()
    assert attempts.void(late.analysis_id) is True
    assert attempts.void(late.analysis_id) is True
    assert attempts.claim(late.analysis_id, now=1000, lease_seconds=60) == Ended()
    with pytest.raises(TokenVoid):
        store.add_analysis(late, quotas=PLENTY)
    assert set(rows(clients)) == {f"token#{late.analysis_id}"}


def test_a_token_with_an_analysis_is_not_given_up(attempts: AttemptStore, submit: Any) -> None:
    token = submit()
    assert attempts.void(token) is False
    assert claimed(attempts, token).analysis_id == token


def test_of_many_workers_at_once_each_gets_an_analysis_of_its_own(attempts: AttemptStore, submit: Any, clients: Clients) -> None:
    tokens = [submit(f"owner-{number % 3}") for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        # Each message comes twice.
        claims = list(pool.map(lambda token: attempts.claim(token, now=1000, lease_seconds=60), tokens + tokens[::-1]))
    started = [claim.analysis.analysis_id for claim in claims if isinstance(claim, Claimed)]
    assert sorted(started) == sorted(tokens)
    assert {type(claim) for claim in claims} == {Claimed, Busy}
    analyses, owing = rows(clients, "analysis#"), rows(clients, "token#")
    assert {item["attempt"]["N"] for item in analyses.values()} == {"1"}
    assert sorted(item["owes"]["S"] for item in owing.values()) == sorted(tokens)
    assert all(owing[f"token#{item['token']['S']}"]["owes"] == item["analysis_id"] for item in analyses.values())
    assert rows(clients, "listing#queued#") == {}


@pytest.mark.parametrize("question", ["claim", "has_ended"])
def test_a_token_that_swapped_between_two_reads_is_not_taken_for_one_that_has_nothing_to_do(
    attempts: AttemptStore, submit: Any, clients: Clients, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    """As when a worker is stopped in between: meanwhile the other's token ran what this one owed, to its end."""
    first, second = submit("anna"), submit("anna")
    other, get, calls = AttemptStore(clients.dynamodb, "jobs"), attempts._get, []

    def get_then_pause(pk: str) -> Any:
        item = get(pk)
        calls.append(pk)
        if len(calls) == 1:
            running = claimed(other, second)
            assert running.analysis_id == first
            assert other.succeed(running, files=[], summary={}) is True
        return item

    monkeypatch.setattr(attempts, "_get", get_then_pause)
    if question == "has_ended":
        assert attempts.has_ended(first) is False
    else:
        assert claimed(attempts, first).analysis_id == second


# Order


def test_who_asks_for_one_does_not_wait_for_all_of_who_asked_for_many(
    attempts: AttemptStore, store: JobStore, submit: Any
) -> None:
    many = [submit("anna") for _ in range(5)]
    assert claimed(attempts, many[0]).owner == "anna"
    one = submit("omar")
    order = [claimed(attempts, token).owner for token in [*many[1:], one]]
    assert order[0] == "omar" or order[1] == "omar"
    assert order.count("omar") == 1


def test_nobody_gains_by_having_been_away(attempts: AttemptStore, store: JobStore, submit: Any) -> None:
    for token in [submit("anna") for _ in range(6)]:
        claimed(attempts, token)
    assert found(store, submit("omar")).turn == 5
    assert found(store, submit("anna")).turn == 6
    assert [found(store, submit("omar")).turn for _ in range(2)] == [6, 7]


def test_what_was_given_back_is_the_next(attempts: AttemptStore, submit: Any) -> None:
    first, *others = [submit("anna") for _ in range(3)]
    running = claimed(attempts, first)
    assert attempts.release(running) is True
    assert claimed(attempts, others[1]).analysis_id == first


def test_requests_of_one_owner_at_once_get_turns_one_after_the_other(store: JobStore, submit: Any, clients: Clients) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: submit("anna"), range(16)))
    assert sorted(found(store, analysis_id).turn for analysis_id in ids) == list(range(16))
    assert unfinished(clients, "anna") == 16


# Quotas and repeated requests


def test_a_refused_request_leaves_nothing(store: JobStore, submit: Any, clients: Clients) -> None:
    submit("anna")
    before = rows(clients)
    with pytest.raises(QuotaExceeded) as refused:
        store.add_analysis(new_analysis(), quotas=Quotas(queued_jobs=1, jobs_per_day=9, upload_bytes_per_day=1))
    assert refused.value.code == "quota_queued_jobs"
    assert rows(clients) == before


def test_a_key_makes_one_analysis(store: JobStore, clients: Clients) -> None:
    key = Idempotency("anna", "key", "fingerprint")
    first = new_analysis()
    store.add_analysis(first, quotas=PLENTY, idempotency=key)
    with pytest.raises(AlreadyMade):
        store.add_analysis(new_analysis(), quotas=PLENTY, idempotency=key)
    assert store.made(key) == first.analysis_id
    assert unfinished(clients, "anna") == 1


def test_an_ending_of_what_was_never_charged_is_an_ending_all_the_same(
    store: JobStore, attempts: AttemptStore, submit: Any, clients: Clients
) -> None:
    token = submit()
    clients.dynamodb.delete_item(TableName="jobs", Key={"pk": {"S": "quota#anna"}})
    assert attempts.succeed(claimed(attempts, token), files=[], summary={}) is True
    assert found(store, token).state == "succeeded"


# Answers that are lost


def test_each_write_knows_itself_again_when_only_its_answer_was_lost(
    store: JobStore, attempts: AttemptStore, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_the_answer(clients, monkeypatch, 99)
    key = Idempotency("anna", "key", "fingerprint")
    first, second = (
        store.add_analysis(new_analysis(), quotas=PLENTY, idempotency=key).analysis_id,
        store.add_analysis(new_analysis(), quotas=PLENTY).analysis_id,
    )
    assert unfinished(clients, "anna") == 2
    running = claimed(attempts, second)
    assert (running.analysis_id, running.attempt) == (first, 1)
    assert attempts.release(running) is True
    running = claimed(attempts, first)
    assert (running.analysis_id, running.attempt) == (first, 2)
    assert attempts.lose(running) is True
    again = claimed(attempts, first)
    assert (again.attempt, again.lost) == (3, 1)
    assert attempts.succeed(again, files=[], summary={}) is True
    other = claimed(attempts, second)
    assert attempts.fail(other, code="c", detail="d") is True
    third = store.add_analysis(new_analysis(), quotas=PLENTY).analysis_id
    store.cancel(third)
    assert found(store, third).state == "cancelled"
    assert unfinished(clients, "anna") == 0
    assert attempts.void("never written") is True


def test_a_claim_that_aws_fails_is_an_error_and_the_next_one_succeeds(
    attempts: AttemptStore, submit: Any, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = submit()
    transact = clients.dynamodb.transact_write_items

    def carried_out_but_unanswered(**arguments: Any) -> Any:
        transact(**arguments)
        raise EndpointConnectionError(endpoint_url="http://aws")

    monkeypatch.setattr(clients.dynamodb, "transact_write_items", carried_out_but_unanswered)
    with pytest.raises(EndpointConnectionError):
        attempts.claim(token, now=1000, lease_seconds=60)
    monkeypatch.setattr(clients.dynamodb, "transact_write_items", transact)
    assert attempts.claim(token, now=1059, lease_seconds=60) == Busy(1060.0)
    assert claimed(attempts, token, now=1061).attempt == 2


def test_transactions_that_meet_others_are_tried_again(
    store: JobStore, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    transact, met = clients.dynamodb.transact_write_items, []

    def conflict(**arguments: Any) -> Any:
        if len(met) < 3:
            met.append(time.monotonic())
            reasons: Any = [{"Code": "None"}, {"Code": "TransactionConflict"}]
            response: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise ClientError(response, "TransactWriteItems")
        return transact(**arguments)

    monkeypatch.setattr(clients.dynamodb, "transact_write_items", conflict)
    assert store.add_analysis(new_analysis(), quotas=PLENTY).turn == 0
    assert len(met) == 3


def test_a_clock_that_cannot_be_advanced_costs_no_claim(
    attempts: AttemptStore, submit: Any, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = submit()

    def unreachable(**_: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="http://aws")

    monkeypatch.setattr(clients.dynamodb, "update_item", unreachable)
    assert claimed(attempts, token).analysis_id == token
