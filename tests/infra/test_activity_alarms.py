"""Which records set off which alarm, and where the alarms look for them."""

import json
from typing import Any

import pytest

from infra.activity_alarms import FORGED_TOKENS, MISUSED_KEYS
from lambda_authorizer.audit_fields import open_line
from lambda_authorizer.reasons import Reason
from local_cloud.filter_pattern import matches

ALARM, FILTER, LOG = (
    f"cloudwatch/{kind}" for kind in ("metricAlarm:MetricAlarm", "logMetricFilter:LogMetricFilter", "logGroup:LogGroup")
)
TOPIC = "arn:aws:Topic/alarms"

# The log group that each is counted in, and how many lines within five minutes are too many.
COUNTED = {
    "refused-burst": ("/aws/lambda/heartmap-{}-authorizer", 50),
    "forged-tokens": ("/aws/lambda/heartmap-{}-authorizer", 3),
    "key-misuse": ("/aws/lambda/heartmap-{}-authorizer", 3),
    "key-new-network": ("/aws/lambda/heartmap-{}-sealing", 1),
    "unusual-downloads": ("/aws/lambda/heartmap-{}-sealing", 1),
    "service-config": ("/heartmap/{}/api", 1),
    "users-changed": ("/aws/lambda/heartmap-{}-users", 1),
    "keys-changed": ("/aws/lambda/heartmap-{}-keys", 1),
    "audit-gap": ("/aws/lambda/heartmap-{}-sealing", 1),
}
PERMANENT = COUNTED.keys() - {"refused-burst", "forged-tokens", "key-misuse"}


@pytest.mark.parametrize("name", COUNTED)
def test_the_alarm_counts_in_the_log_group_that_holds_the_records_and_speaks_at_its_number(plan: Any, name: str) -> None:
    group, lines = COUNTED[name]
    counted, alarm = plan.one(FILTER, name).inputs, plan.one(ALARM, name).inputs
    assert counted["logGroupName"] == group.format(plan.stack)
    assert counted["logGroupName"] in {log.inputs["name"] for log in plan.of(LOG)}
    assert counted["metricTransformation"] == {"name": name, "namespace": f"heartmap/{plan.stack}", "value": "1"}
    assert (alarm["namespace"], alarm["metricName"]) == (f"heartmap/{plan.stack}", name)
    assert (alarm["statistic"], alarm["period"], alarm["evaluationPeriods"], alarm["threshold"]) == ("Sum", 300, 1, lines)
    assert (alarm["treatMissingData"], alarm["alarmActions"]) == ("notBreaching", [TOPIC])
    # What somebody did is not undone when nobody does it again.
    assert ("okActions" in alarm) == (name not in PERMANENT)


def record(event: str, decision: str = "allow", reason: str = "done", **fields: Any) -> str:
    """A record as each writer writes it, but for its place in a chain."""
    return open_line(event, decision, reason, **fields) + "}"


# What sets off which alarms. Every record is tried on all of them.
RECORDS: list[tuple[str, set[str]]] = [
    (record("authorization", reason="allowed"), set()),
    (record("authorization", "deny", "not_permitted"), {"refused-burst"}),
    (record("authorization", "unauthenticated", "no_credential"), {"refused-burst"}),
    (record("authorization", "unauthenticated", "token_expired"), set()),
    (record("authorization", "error", "key_store_unavailable"), set()),
    *((record("authorization", "unauthenticated", reason), {"refused-burst", "forged-tokens"}) for reason in FORGED_TOKENS),
    *((record("authorization", "unauthenticated", reason), {"refused-burst", "key-misuse"}) for reason in MISUSED_KEYS),
    (record("suspicion", reason="key_new_network", network="192.0.2.0/24"), {"key-new-network"}),
    (record("suspicion", reason="unusual_downloads", bytes=1), {"unusual-downloads"}),
    (record("service", action="config_changed"), {"service-config"}),
    (record("service", "deny", action="config_changed"), set()),
    (record("service", action="config_read"), set()),
    (record("service", action="results_read", bytes=10), set()),
    (record("service", "deny", action="results_read"), set()),
    (record("users", action="invite"), {"users-changed"}),
    (record("users", action="change"), {"users-changed"}),
    (record("users", "error", action="change"), {"users-changed"}),
    (record("users", "deny", action="change"), set()),
    (record("users", action="list"), set()),
    (record("keys", action="create"), {"keys-changed"}),
    (record("keys", action="rotate"), {"keys-changed"}),
    (record("keys", action="revoke"), {"keys-changed"}),
    (record("keys", "error", action="create"), {"keys-changed"}),
    (record("keys", "deny", action="create"), set()),
    (record("keys", action="list"), set()),
    (record("seal", action="seal", reason="sealed", gaps=0), set()),
    (record("seal", action="seal", reason="gaps", gaps=2), {"audit-gap"}),
    (record("worker", "error", action="analysis_failed"), set()),
]


@pytest.mark.parametrize(("line", "expected"), RECORDS)
def test_a_record_is_counted_by_the_alarms_that_it_should_and_by_no_other(planned: Any, line: str, expected: set[str]) -> None:
    patterns = {one.name: one.inputs["pattern"] for one in planned("prod").of(FILTER)}
    assert {name for name, pattern in patterns.items() if matches(pattern, line)} == expected


def test_every_pattern_is_set_off_by_some_record_and_short_enough(planned: Any) -> None:
    assert set().union(*(expected for _, expected in RECORDS)) == COUNTED.keys()
    assert all(len(one.inputs["pattern"]) <= 1024 for one in planned("prod").of(FILTER))


def test_what_only_a_forger_or_a_thief_is_refused_for_is_told_from_mistakes() -> None:
    mistakes = {Reason.TOKEN_EXPIRED, Reason.TOKEN_MALFORMED, Reason.KEY_UNKNOWN, Reason.KEY_EXPIRED, Reason.SIGNATURE_TIME}
    assert not mistakes & {*FORGED_TOKENS, *MISUSED_KEYS}


def test_that_nothing_is_sealed_any_more_is_heard_of_by_silence(plan: Any) -> None:
    alarm = plan.one(ALARM, "sealing-stopped").inputs
    assert (alarm["namespace"], alarm["metricName"]) == ("AWS/Lambda", "Invocations")
    assert alarm["dimensions"]["FunctionName"] in {function.inputs["name"] for function in plan.of("lambda/function:Function")}
    assert (alarm["comparisonOperator"], alarm["threshold"], alarm["treatMissingData"]) == ("LessThanThreshold", 1, "breaching")
    assert (alarm["period"], alarm["okActions"]) == (1200, [TOPIC])


@pytest.mark.parametrize(("name", "metric"), [("traffic-anomaly", "Count"), ("refusals-anomaly", "4XXError")])
def test_traffic_beyond_the_usual_is_heard_of_where_there_is_some_at_all_hours(planned: Any, name: str, metric: str) -> None:
    alarm = planned("prod").one(ALARM, name).inputs
    queries = {query["id"]: query for query in alarm["metricQueries"]}
    assert queries["measured"]["metric"] == {
        "namespace": "AWS/ApiGateway",
        "metricName": metric,
        "dimensions": {"ApiName": "heartmap-prod", "Stage": "live"},
        "period": 900,
        "stat": "Sum",
    }
    assert queries["band"]["expression"] == "ANOMALY_DETECTION_BAND(measured, 4)"
    assert (alarm["thresholdMetricId"], alarm["comparisonOperator"]) == ("band", "GreaterThanUpperThreshold")
    assert (alarm["treatMissingData"], alarm["alarmActions"], alarm["okActions"]) == ("notBreaching", [TOPIC], [TOPIC])
    assert name not in {one.name for one in planned("dev").of(ALARM)}


def test_no_record_of_the_patterns_has_a_field_that_no_record_may_have() -> None:
    assert all(isinstance(json.loads(line), dict) for line, _ in RECORDS)
