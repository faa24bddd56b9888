from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
TOPIC = "arn:aws:sns:us-east-1:123456789012:alarms"

BLOCKED = {
    "name": "blocked",
    "alarmDescription": "Many requests were blocked",
    "namespace": "AWS/WAFV2",
    "metricName": "BlockedRequests",
    "dimensions": {"WebACL": "heartmap-dev", "Rule": "ALL"},
    "statistic": "Sum",
    "period": 300,
    "evaluationPeriods": 1,
    "comparisonOperator": "GreaterThanOrEqualToThreshold",
    "threshold": 500,
    "treatMissingData": "notBreaching",
    "alarmActions": [TOPIC],
}
BACKLOG = {
    "name": "backlog",
    "comparisonOperator": "GreaterThanThreshold",
    "evaluationPeriods": 2,
    "datapointsToAlarm": 1,
    "threshold": 2.5,
    "metricQueries": [
        {
            "id": "messages",
            "metric": {
                "metricName": "ApproximateNumberOfMessagesVisible",
                "namespace": "AWS/SQS",
                "dimensions": {"QueueName": "work"},
                "period": 60,
                "stat": "Maximum",
            },
        },
        {"id": "each", "expression": "messages / 2", "label": "Messages a task", "returnData": True},
    ],
}
# The same, where the program says what its silence would mean.
SPELLED_OUT = {**BACKLOG, "metricQueries": [{"returnData": False, **query} for query in BACKLOG["metricQueries"]]}
ANOMALY = {
    "name": "unusual",
    "comparisonOperator": "GreaterThanUpperThreshold",
    "evaluationPeriods": 1,
    "thresholdMetricId": "band",
    "metricQueries": [
        {"id": "band", "expression": "ANOMALY_DETECTION_BAND(measured, 4)", "label": "As usual", "returnData": True},
        {
            "id": "measured",
            "metric": {"metricName": "Count", "namespace": "AWS/ApiGateway", "period": 900, "stat": "Sum"},
            "returnData": True,
        },
    ],
}
PAGE = json.dumps(
    {"widgets": [{"type": "text", "x": 0, "y": 0, "width": 24, "height": 2, "properties": {"markdown": "# heartmap-dev"}}]}
)


@pytest.mark.parametrize(
    "given", [BLOCKED, BACKLOG, SPELLED_OUT, ANOMALY], ids=["metric", "queries", "queries-spelled-out", "band"]
)
def test_an_alarm_is_found_as_it_was_given(make: Callable[..., Any], given: dict[str, Any]) -> None:
    alarm = make(ALARM, **given)
    assert alarm.drift() == {}
    assert alarm.state["arn"] == f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:{given['name']}"
    alarm.delete()
    assert alarm.read() is None


def test_an_alarm_changes_in_place_with_its_tags(make: Callable[..., Any], cloud: Any) -> None:
    alarm = make(ALARM, **BLOCKED | {"tags": {"Kind": "security"}})
    alarm.update(threshold=100, alarmActions=None, dimensions=None, tags={"Sort": "service"})
    assert alarm.drift() == {}
    (live,) = cloud.client("cloudwatch").describe_alarms(AlarmNames=["blocked"])["MetricAlarms"]
    assert (live["Threshold"], live["AlarmActions"], live["Dimensions"]) == (100, [], [])
    tags = cloud.client("cloudwatch").list_tags_for_resource(ResourceARN=live["AlarmArn"])["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"project": "heartmap", "Sort": "service"}
    alarm.delete()


def test_actions_that_somebody_took_away_are_a_difference(make: Callable[..., Any], cloud: Any) -> None:
    alarm = make(ALARM, **BLOCKED)
    cloud.client("cloudwatch").put_metric_alarm(
        AlarmName="blocked",
        Namespace="AWS/WAFV2",
        MetricName="BlockedRequests",
        Statistic="Sum",
        Period=300,
        EvaluationPeriods=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        Threshold=500,
        ActionsEnabled=False,
    )
    assert {"alarmActions", "actionsEnabled", "dimensions", "treatMissingData"} <= set(alarm.drift())
    alarm.delete()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"period": 45}, "multiple of 60"),
        ({"evaluationPeriods": 1000}, "86400"),
        ({"statistic": "Median"}, "one of Average"),
        ({"treatMissingData": "bad"}, "one of breaching"),
        ({"comparisonOperator": "Equals"}, "one of GreaterThan"),
        ({"extendedStatistic": "p90"}, "exactly one"),
        ({"datapointsToAlarm": 2}, "must not exceed evaluationPeriods"),
        ({"metricQueries": []}, "alarm on one metric"),
        ({"thresholdMetricId": "band"}, "exactly one of threshold"),
        ({"comparisonOperator": "GreaterThanUpperThreshold"}, "compare with thresholdMetricId"),
        ({"thresholdMetricId": "measured", "threshold": None}, "ANOMALY_DETECTION_BAND among metricQueries"),
        ({"evaluateLowSampleCountPercentiles": "ignore"}, "does not know the argument"),
    ],
)
def test_what_aws_would_refuse_is_refused(refusals: Callable[..., list[str]], changes: dict[str, Any], told: str) -> None:
    given = {name: value for name, value in (BLOCKED | changes).items() if value is not None}
    reasons = refusals(ALARM, **given)
    assert reasons
    assert any(told in reason for reason in reasons), reasons


def test_a_dashboard_is_found_as_it_was_given_and_changes_in_place(make: Callable[..., Any], cloud: Any) -> None:
    page = make("aws:cloudwatch/dashboard:Dashboard", dashboardName="heartmap-dev", dashboardBody=PAGE)
    assert page.drift() == {}
    assert page.state["dashboardArn"] == "arn:aws:cloudwatch::123456789012:dashboard/heartmap-dev"
    page.update(dashboardBody=PAGE.replace("# heartmap-dev", "# another"))
    assert page.drift() == {}
    assert "# another" in cloud.client("cloudwatch").get_dashboard(DashboardName="heartmap-dev")["DashboardBody"]
    page.delete()
    assert page.read() is None


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("widgets", "JSON object with widgets"),
        (PAGE.replace("text", "picture"), "a type, one of alarm"),
        (PAGE.replace("24", "25"), "within 24 columns"),
        (PAGE.replace("text", "metric"), "name metrics and a region"),
    ],
)
def test_a_dashboard_that_aws_would_not_show_is_refused(refusals: Callable[..., list[str]], body: str, told: str) -> None:
    (reason,) = refusals("aws:cloudwatch/dashboard:Dashboard", dashboardName="heartmap-dev", dashboardBody=body)
    assert told in reason


def test_a_saved_query_is_found_as_it_was_given_and_changes_in_place(make: Callable[..., Any], cloud: Any) -> None:
    logs = cloud.client("logs")
    for group in ("first", "second"):
        logs.create_log_group(logGroupName=group)
    query = make(
        "aws:cloudwatch/queryDefinition:QueryDefinition",
        name="heartmap-dev/faults",
        queryString="filter decision = 'error'",
        logGroupNames=["second", "first"],
    )
    assert query.drift() == {}
    query.update(queryString="filter decision = 'deny'", logGroupNames=["first"])
    assert query.drift() == {}
    (kept,) = logs.describe_query_definitions()["queryDefinitions"]
    assert (kept["name"], kept["queryString"]) == ("heartmap-dev/faults", "filter decision = 'deny'")
    query.delete()
    assert query.read() is None


def test_a_saved_query_for_a_log_group_that_is_not_there_is_refused(make: Callable[..., Any]) -> None:
    with pytest.raises(ClientError, match="ResourceNotFound"):
        make("aws:cloudwatch/queryDefinition:QueryDefinition", name="faults", queryString="limit 1", logGroupNames=["nowhere"])
