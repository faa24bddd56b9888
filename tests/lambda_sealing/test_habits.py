"""What is told of keys and downloads, on days that begin at the epoch."""

import json
import random
from collections.abc import Iterable
from typing import Any

import pytest

from lambda_sealing import habits
from lambda_sealing.habits import DAY, DOWNLOADS, FACTOR, FEW_CALLS, FEW_DAYS, KEPT_DAYS, LITTLE_ANALYSES, MANY_NETWORKS
from lambda_token.credential import PREFIX

HOUR = 3600 * 1000
KEY, PROGRAM, PERSON = "01K0000000000000000000KEY1", "program:nightly", "subject-1"


def call(at: int, address: str = "192.0.2.10", **changes: Any) -> dict[str, Any]:
    """The record of a call with a key."""
    record = {"event": "authorization", "time": at, "decision": "allow", "reason": "allowed", "principal": PROGRAM}
    return {**record, "auth_method": "api_key", "key_id": KEY, "source_ip": address, "route": "/analyses", **changes}


def read(at: int, analysis: str, size: int = 1000, principal: str = PERSON, **changes: Any) -> dict[str, Any]:
    """The record of results that are fetched."""
    record = {"event": "service", "action": "results_read", "time": at, "decision": "allow", "principal": principal}
    return {**record, "resource": analysis, "files": 3, "bytes": size, **changes}


def told(*batches: Iterable[dict[str, Any]], known: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """All suspicions of batches of records, one after the other, with what is known kept as it is kept: as JSON."""
    suspicions, state = [], known or {}
    for batch in batches:
        records = list(batch)
        latest = max((one["time"] for one in records), default=0)
        found, state = habits.unusual(records, json.loads(json.dumps(state)), latest)
        suspicions += found
    return suspicions


def used(days: range, address: str = "192.0.2.10", calls: int = FEW_CALLS) -> list[list[dict[str, Any]]]:
    """A batch a day of so many calls."""
    return [[call(day * DAY + n * 1000, address) for n in range(calls)] for day in days]


def fetched(days: range, analyses: int, size: int = 1000, principal: str = PERSON) -> list[list[dict[str, Any]]]:
    """A batch a day of so many analyses."""
    return [[read(day * DAY + n, f"{day}-{n}", size, principal) for n in range(analyses)] for day in days]


# --- keys


def test_a_key_from_a_new_network_is_told_once_with_where_it_was_used() -> None:
    elsewhere = [call(3 * DAY + n, "198.51.100.7") for n in range(3)]
    assert told(*used(range(2)), elsewhere, [call(4 * DAY, "198.51.100.8")]) == [
        {
            "kind": "key_new_network",
            "principal": PROGRAM,
            "resource": KEY,
            "source_ip": "198.51.100.7",
            "network": "198.51.100.0/24",
        }
    ]


@pytest.mark.parametrize(
    ("usual", "other"),
    [("192.0.2.10", "192.0.2.200"), ("2001:db8:1:2::3", "2001:db8:1:ffff::9")],
    ids=["IPv4 /24", "IPv6 /48"],
)
def test_another_address_of_the_same_network_is_nothing_new(usual: str, other: str) -> None:
    assert told(*used(range(2), usual), [call(3 * DAY, other)]) == []


def test_an_address_of_another_network_of_ipv6_is_new() -> None:
    (suspicion,) = told(*used(range(2), "2001:db8:1::3"), [call(3 * DAY, "2001:db8:2::3")])
    assert suspicion["network"] == "2001:db8:2::/48"


@pytest.mark.parametrize(
    "before",
    [used(range(1), calls=500), used(range(3), calls=2)],
    ids=["of its first day", "of few calls"],
)
def test_a_key_without_a_habit_raises_nothing(before: list[list[dict[str, Any]]]) -> None:
    latest = before[-1][-1]["time"]
    assert told(*before, [call(latest + 1, "198.51.100.7")]) == []


def test_a_key_that_comes_from_everywhere_is_told_of_until_that_is_its_habit() -> None:
    networks = [[call(DAY + n * HOUR, f"198.51.{n}.7")] for n in range(3 * MANY_NETWORKS)]
    assert len(told(*used(range(1)), *networks)) == MANY_NETWORKS - 1


def test_a_network_that_was_not_used_for_long_is_new_again() -> None:
    at_home = used(range(2)) + [[call(day * DAY)] for day in range(10, KEPT_DAYS + 20, 10)]
    travelling = [[call(DAY + 5, "198.51.100.7")], *at_home[2:], [call((KEPT_DAYS + 30) * DAY, "198.51.100.7")]]
    assert [one["network"] for one in told(*at_home[:2], *travelling)] == ["198.51.100.0/24"] * 2


def test_refused_calls_and_the_credentials_of_roles_say_nothing_of_habits() -> None:
    refused = [call(3 * DAY, "198.51.100.7", decision="deny"), call(3 * DAY, "198.51.100.7", decision="unauthenticated")]
    assert told(*used(range(2)), refused) == []
    role = [[{**one, "key_id": f"{PREFIX}0123"} for one in batch] for batch in (*used(range(2)), [call(3 * DAY, "198.51.100.7")])]
    assert told(*role) == []
    assert habits.unusual(role[0], {}, DAY)[1]["keys"] == {}


# --- downloads


def test_far_more_than_on_a_usual_day_is_told_once_a_day() -> None:
    (suspicion,) = told(*fetched(range(10), 5), *fetched(range(10, 11), 60))
    assert suspicion == {
        "kind": DOWNLOADS,
        "principal": PERSON,
        "resource": None,
        "analyses": FACTOR * 5 + 1,
        "bytes": (FACTOR * 5 + 1) * 1000,
        "usual_analyses": 5,
        "usual_bytes": 5000,
    }
    assert len(told(*fetched(range(10), 5), *fetched(range(10, 12), 60))) == 2


def test_far_more_bytes_are_told_as_well() -> None:
    large = 400 * 1024**2
    (suspicion,) = told(*fetched(range(10), 5, 1024), [read(10 * DAY + n, f"large-{n}", large) for n in range(4)])
    assert (suspicion["analyses"], suspicion["bytes"]) == (3, 3 * large)


def test_a_busy_day_is_no_suspicion_and_one_such_day_changes_no_habit() -> None:
    assert told(*fetched(range(10), 10), *fetched(range(10, 11), FACTOR * 10)) == []
    days = [*fetched(range(9), 5), *fetched(range(9, 10), 24), *fetched(range(10, 11), 60)]
    (suspicion,) = told(*days)
    assert suspicion["usual_analyses"] == 5


def test_little_is_never_too_much() -> None:
    assert told(*fetched(range(10), 1), *fetched(range(10, 11), LITTLE_ANALYSES)) == []


def test_whoever_looks_at_one_analysis_all_day_fetches_it_once() -> None:
    again = [read(10 * DAY + n, "01ANALYSIS", 500 * 1024**2) for n in range(1000)]
    assert told(*fetched(range(10), 5), again) == []


def test_a_newcomer_is_measured_by_everybody_and_gets_twice_as_much() -> None:
    others = [batch for who in ("a", "b", "c") for batch in fetched(range(FEW_DAYS), 10, principal=who)]
    by_day = sorted(others, key=lambda batch: batch[0]["time"])
    next_day = [[read(FEW_DAYS * DAY, "x", principal=who) for who in ("a", "b", "c")]]
    newcomer = range(FEW_DAYS, FEW_DAYS + 1)
    assert told(*by_day, *next_day, *fetched(newcomer, 2 * FACTOR * 10, principal="new")) == []
    (suspicion,) = told(*by_day, *next_day, *fetched(newcomer, 2 * FACTOR * 10 + 1, principal="new"))
    assert suspicion["principal"] == "new"


def test_where_nothing_is_known_yet_only_a_great_deal_is_told() -> None:
    assert told(*fetched(range(1), FACTOR * LITTLE_ANALYSES)) == []
    assert len(told(*fetched(range(1), FACTOR * LITTLE_ANALYSES + 1))) == 1


def test_what_was_refused_or_gave_no_files_is_no_download() -> None:
    denied = [read(10 * DAY + n, f"{n}", decision="deny") for n in range(100)]
    unchanged = [read(10 * DAY + n, f"{n}", bytes=None) for n in range(100)]
    assert told(*fetched(range(10), 5), denied, unchanged) == []


# --- both


def test_it_does_not_matter_how_the_records_come() -> None:
    records = [one for batch in (*used(range(3)), *fetched(range(10), 5), *fetched(range(10, 11), 60)) for one in batch]
    records.append(call(5 * DAY, "198.51.100.7"))
    whole = told(records)
    random.Random(8).shuffle(records)  # noqa: S311  # an order, and the same one each time
    assert told(records) == whole
    assert {one["kind"] for one in whole} == {"key_new_network", "unusual_downloads"}


def test_what_was_given_stays_as_it_was_and_what_is_old_is_forgotten() -> None:
    _, known = habits.unusual([call(0), read(0, "a")], {}, 0)
    before = json.dumps(known)
    _, later = habits.unusual([call(DAY, "198.51.100.7"), read(DAY, "b")], known, DAY)
    assert json.dumps(known) == before
    assert later != known
    assert habits.unusual([], later, (KEPT_DAYS + 10) * DAY)[1] == {"keys": {}, "principals": {}}


@pytest.mark.parametrize(
    "record",
    [{}, {"time": "now"}, {"time": -1}, call(0, "no address"), call(0, key_id=None), read(0, ""), read(0, "a", bytes="many")],
)
def test_a_record_that_says_nothing_is_passed_over(record: dict[str, Any]) -> None:
    assert habits.unusual([record], {}, 0) == ([], {"keys": {}, "principals": {}})


def test_a_hundred_thousand_records_take_seconds_and_leave_little() -> None:
    records = [call(n * 100, f"192.0.{n % 9}.1", key_id=f"key-{n % 50}", principal=f"p-{n % 50}") for n in range(100_000)]
    _, known = habits.unusual(records, {}, DAY)
    assert len(json.dumps(known)) < 50_000
