"""Records of the service and of the workers have the address of the call that they are about."""

import json
from typing import Any

import pytest

from lambda_audit import sources
from tests.lambda_audit.conftest import Logs
from tests.lambda_audit.test_handler import Api, api  # noqa: F401  # a fixture

HERE, THERE = "198.51.100.7", "192.0.2.9"


def addresses(found: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(record["stream"], record.get("source_ip")) for record in found["records"]]


def of_a_call(logs: Logs, number: int, ago: int, source: str = HERE) -> None:
    """What authorizer and service write of a call."""
    logs.write("authorizer", ago + 5, decision="allow", reason="allowed", request_id=f"r-{number}", source_ip=source)
    logs.write("service", ago, decision="allow", action="results_read", request_id=f"r-{number}", source_ip=None)


def test_the_address_is_looked_for_where_it_was_not_found(api: Api, logs: Logs) -> None:  # noqa: F811
    of_a_call(logs, 1, 4000)
    of_a_call(logs, 2, 2000, THERE)
    found = api(200, {"action": "results_read"})
    assert addresses(found) == [("service", THERE), ("service", HERE)]
    # Everything of both is asked for at once.
    (asked,) = [each for each in api.asked if "request_id" in each["filterPattern"]]
    assert ("r-1" in asked["filterPattern"], "r-2" in asked["filterPattern"]) == (True, True)


def test_nothing_more_is_asked_where_it_was_found(api: Api, logs: Logs) -> None:  # noqa: F811
    of_a_call(logs, 1, 4000)
    assert addresses(api(200, {})) == [("service", HERE), ("authorizer", HERE)]
    assert [each for each in api.asked if "request_id" in each["filterPattern"]] == []


def test_what_a_worker_did_hours_later_has_the_address_of_who_asked_for_it(api: Api, logs: Logs) -> None:  # noqa: F811
    of_a_call(logs, 1, 20 * 3_600_000)
    logs.write("worker", 1000, decision="allow", action="analysis_succeeded", request_id="r-1")
    assert addresses(api(200, {"action": "analysis_succeeded"})) == [("worker", HERE)]


def test_an_address_is_of_this_call_alone_and_nothing_else_is_filled_in(api: Api, logs: Logs) -> None:  # noqa: F811
    of_a_call(logs, 1, 4000)
    logs.write("service", 3000, decision="allow", action="results_read", request_id="r-2")
    logs.write("service", 2000, decision="unauthenticated", action="results_read", request_id=None)
    logs.write("service", 1000, decision="allow", action="results_read", request_id="r-3", source_ip=THERE)
    assert [each for _, each in addresses(api(200, {"action": "results_read"}))] == [THERE, None, None, HERE]


def test_records_as_they_were_written_stay_so(api: Api, logs: Logs) -> None:  # noqa: F811
    line = json.dumps({"event": "service", "sequence": 1, "request_id": "r-1", "source_ip": None})
    logs.raw("service", (10, line))
    api(200, {"form": "lines"})
    assert [each for each in api.asked if "request_id" in each["filterPattern"]] == []


@pytest.mark.parametrize("strange", ['r" || $.event = "x', "r-*", "", "r" * 41, 7])
def test_no_record_writes_a_pattern(strange: Any) -> None:
    record = {"stream": "service", "request_id": strange, "time": "2026-11-30T09:00:00.000Z"}
    assert list(sources.unknown([record])) == []


def test_a_pattern_is_no_longer_than_it_may_be() -> None:
    records = [
        {"stream": "service", "request_id": f"{number:08}-4b3a-4d5e-8f60-112233445566", "time": "2026-11-30T09:00:00.000Z"}
        for number in range(30)
    ]
    asked = list(sources.unknown(records))
    assert [len(each.ids) for each in asked] == [12, 12, 6]
    # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
    assert max(len(each.pattern) for each in asked) <= 1024
