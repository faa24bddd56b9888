from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

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


@pytest.mark.parametrize("given", [BLOCKED, BACKLOG], ids=["metric", "queries"])
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
        ({"thresholdMetricId": "band"}, "does not know the argument"),
    ],
)
def test_what_aws_would_refuse_is_refused(refusals: Callable[..., list[str]], changes: dict[str, Any], told: str) -> None:
    reasons = refusals(ALARM, **BLOCKED | changes)
    assert reasons
    assert any(told in reason for reason in reasons), reasons
