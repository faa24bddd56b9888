"""The page that somebody keeps open shows what there is: metrics, alarms, and nothing beside each other's place."""

import json
from itertools import combinations
from typing import Any

import pytest

from infra.change_alarms import CHANGE_ALARMS
from infra.dashboard import COLUMNS, UNCHARTED

ALARM, FILTER = "cloudwatch/metricAlarm:MetricAlarm", "cloudwatch/logMetricFilter:LogMetricFilter"
TOPIC = "arn:aws:Topic/alarms"

# What AWS measures of the resources of this stack, by the names of the dimensions, as the services' pages list them.
MEASURED = {
    ("AWS/ApiGateway", ("ApiName", "Stage")): {"Count", "4XXError", "5XXError", "Latency"},
    ("AWS/ApplicationELB", ("LoadBalancer",)): {"HTTPCode_ELB_5XX_Count"},
    ("AWS/ApplicationELB", ("LoadBalancer", "TargetGroup")): {
        "HTTPCode_Target_5XX_Count",
        "HealthyHostCount",
        "UnHealthyHostCount",
    },
    ("AWS/CertificateManager", ("CertificateArn",)): {"DaysToExpiry"},
    ("AWS/Lambda", ("FunctionName",)): {"Errors", "Invocations", "Throttles"},
    ("AWS/SQS", ("QueueName",)): {
        "ApproximateAgeOfOldestMessage",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesVisible",
    },
    ("AWS/WAFV2", ("Region", "Rule", "WebACL")): {"BlockedRequests"},
    ("ECS/ContainerInsights", ("ClusterName", "ServiceName")): {"RunningTaskCount"},
}


def widgets(plan: Any) -> list[dict[str, Any]]:
    return json.loads(plan.one("cloudwatch/dashboard:Dashboard").inputs["dashboardBody"])["widgets"]


def shown(plan: Any) -> list[tuple[str, str, dict[str, str]]]:
    """Namespace, name and dimensions of every metric on the page."""
    metrics = [one for widget in widgets(plan) for one in widget["properties"].get("metrics", [])]
    return [(one[0], one[1], dict(zip(one[2:-1:2], one[3:-1:2], strict=True))) for one in metrics]


def existing(plan: Any) -> dict[str, set[str]]:
    """What dimensions may say, by their names, of the resources that the stack has."""

    def names(type_: str, name: str = "name") -> set[str]:
        return {one.inputs[name] for one in plan.of(type_)}

    return {
        "ApiName": names("apigateway/restApi:RestApi"),
        "Stage": names("apigateway/stage:Stage", "stageName"),
        "FunctionName": names("lambda/function:Function"),
        "WebACL": {one.inputs["visibilityConfig"]["metricName"] for one in plan.of("wafv2/webAcl:WebAcl")},
        "Rule": {"ALL"},
        "Region": {"us-east-1"},
        "QueueName": {one.id for one in plan.of("sqs/queue:Queue")},
        "LoadBalancer": {f"{one.id}/arnSuffix" for one in plan.of("lb/loadBalancer:LoadBalancer")},
        "TargetGroup": {f"{one.id}/arnSuffix" for one in plan.of("lb/targetGroup:TargetGroup")},
        "CertificateArn": {f"arn:aws:{one.id}" for one in plan.of("acm/certificate:Certificate")},
        "ClusterName": names("ecs/cluster:Cluster"),
        "ServiceName": names("ecs/service:Service"),
    }


def test_every_metric_on_the_page_exists(plan: Any) -> None:
    counted = {tuple(one.inputs["metricTransformation"][key] for key in ("namespace", "name")) for one in plan.of(FILTER)}
    values = existing(plan)
    assert len(shown(plan)) >= 30
    for namespace, name, dimensions in shown(plan):
        if (namespace, name) in counted:
            assert dimensions == {}
            continue
        assert name in MEASURED.get((namespace, tuple(sorted(dimensions))), ()), (namespace, name, dimensions)
        assert all(value in values[key] for key, value in dimensions.items()), (name, dimensions)


def test_the_state_of_every_alarm_that_calls_somebody_is_shown_once(plan: Any) -> None:
    alarms = [arn for widget in widgets(plan) if widget["type"] == "alarm" for arn in widget["properties"]["alarms"]]
    assert sorted(alarms) == sorted(f"arn:aws:{one.id}" for one in plan.of(ALARM) if TOPIC in one.inputs["alarmActions"])
    assert all(len(widget["properties"].get("alarms", [])) <= 100 for widget in widgets(plan))


def test_what_an_alarm_watches_is_on_a_chart_with_its_statistic(plan: Any) -> None:
    metrics = [one for widget in widgets(plan) for one in widget["properties"].get("metrics", [])]
    on_charts = {(one[0], one[1], tuple(sorted(zip(one[2:-1:2], one[3:-1:2], strict=True))), one[-1]["stat"]) for one in metrics}
    for alarm in plan.of(ALARM):
        if TOPIC in alarm.inputs["alarmActions"] and alarm.name not in UNCHARTED:
            given = alarm.inputs
            dimensions = tuple(sorted(given.get("dimensions", {}).items()))
            assert (given["namespace"], given["metricName"], dimensions, given["statistic"]) in on_charts, alarm.name
    assert {alarm.name for alarm in CHANGE_ALARMS} <= UNCHARTED


def test_a_line_is_where_the_alarm_speaks(plan: Any) -> None:
    lines = [one for widget in widgets(plan) for one in widget["properties"].get("annotations", {}).get("horizontal", [])]
    assert len(lines) >= 3
    for line in lines:
        assert line["value"] == plan.one(ALARM, line["label"].removesuffix(" speaks")).inputs["threshold"]


def test_the_parts_lie_side_by_side_and_fill_the_width(plan: Any) -> None:
    places = [(one["x"], one["y"], one["x"] + one["width"], one["y"] + one["height"]) for one in widgets(plan)]
    assert all(right <= COLUMNS for _, _, right, _ in places)
    for one, other in combinations(places, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    for top in {y for _, y, _, _ in places}:
        assert sum(right - left for left, y, right, _ in places if y == top) == COLUMNS


def test_every_chart_has_a_title_of_its_own_and_something_on_it(plan: Any) -> None:
    charts = [one["properties"] for one in widgets(plan) if one["type"] == "metric"]
    assert len({chart["title"] for chart in charts}) == len(charts)
    assert all(chart["metrics"] and chart["region"] == "us-east-1" for chart in charts)
    labels = [[one[-1]["label"] for one in chart["metrics"]] for chart in charts]
    assert all(len(set(chart)) == len(chart) <= 8 for chart in labels)


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_page_says_where_it_is_written_what_to_do(planned: Any, stack: str) -> None:
    (text,) = [one["properties"]["markdown"] for one in widgets(planned(stack)) if one["type"] == "text"]
    assert "docs/runbook.md" in text
    assert f"heartmap-{stack}" in text
