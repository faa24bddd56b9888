"""CloudWatch metric alarms."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Final

from local_cloud.provider.framework import (
    MAP,
    UNKNOWN,
    Aws,
    Failure,
    Inputs,
    ResourceType,
    from_tag_list,
    ignoring_gone,
    register,
    tag_changes,
)

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
COMPARISONS: Final = (
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanOrEqualToThreshold",
    "LessThanThreshold",
)
STATISTICS: Final = ("Average", "Maximum", "Minimum", "SampleCount", "Sum")
MISSING_DATA: Final = ("breaching", "ignore", "missing", "notBreaching")
SHORT_PERIODS: Final = (10, 20, 30)
DAY_SECONDS, WEEK_SECONDS, HOUR_SECONDS = 24 * 3600, 7 * 24 * 3600, 3600

ONE_METRIC: Final = ("metricName", "namespace", "period")


@register
class MetricAlarm(ResourceType):
    token = "aws:cloudwatch/metricAlarm:MetricAlarm"
    _scalars: ClassVar = {
        "actionsEnabled": "ActionsEnabled",
        "alarmDescription": "AlarmDescription",
        "comparisonOperator": "ComparisonOperator",
        "datapointsToAlarm": "DatapointsToAlarm",
        "evaluationPeriods": "EvaluationPeriods",
        "extendedStatistic": "ExtendedStatistic",
        "metricName": "MetricName",
        "namespace": "Namespace",
        "period": "Period",
        "statistic": "Statistic",
        "threshold": "Threshold",
        "treatMissingData": "TreatMissingData",
        "unit": "Unit",
    }
    _actions: ClassVar = {
        "alarmActions": "AlarmActions",
        "insufficientDataActions": "InsufficientDataActions",
        "okActions": "OKActions",
    }
    arguments = frozenset({"name", "dimensions", "metricQueries", "tags", *_scalars, *_actions})
    required = frozenset({"comparisonOperator", "evaluationPeriods", "threshold"})
    replaces = frozenset({"name"})
    defaults: ClassVar = {"actionsEnabled": True, "treatMissingData": "missing"}
    nested: ClassVar = {
        "dimensions": MAP,
        "metricQueries": {
            "id": None,
            "expression": None,
            "label": None,
            "period": None,
            "returnData": None,
            "metric": {"dimensions": MAP, "metricName": None, "namespace": None, "period": None, "stat": None, "unit": None},
        },
    }
    computed = frozenset({"arn"})
    unique = "name"
    autoname = "name"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        known = {name: value for name, value in inputs.items() if value is not UNKNOWN}
        faults = [*_unknown_words(known), *_unfit_metric(inputs), *_unfit_periods(known)]
        return [Failure(name, f"{self.token}: {reason}") for name, reason in faults]

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._put(aws, inputs, Tags=aws.tag_list(inputs))
        return inputs["name"], {"arn": self._arn(aws, inputs["name"])}

    @staticmethod
    def _arn(aws: Aws, name: str) -> str:
        return aws.arn("cloudwatch", f"alarm:{name}")

    def _put(self, aws: Aws, inputs: Inputs, **more: Any) -> None:
        arguments = {key: inputs[name] for name, key in {**self._scalars, **self._actions}.items() if name in inputs}
        if "metricQueries" in inputs:
            arguments["Metrics"] = [_query(query) for query in inputs["metricQueries"]]
        else:
            arguments["Dimensions"] = _dimensions(inputs.get("dimensions"))
        aws.client("cloudwatch").put_metric_alarm(AlarmName=inputs["name"], **arguments, **more)

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        cloudwatch = aws.client("cloudwatch")
        found = cloudwatch.describe_alarms(AlarmNames=[resource_id], AlarmTypes=["MetricAlarm"])["MetricAlarms"]
        if not found:
            return None
        alarm = found[0]
        live: dict[str, Any] = {name: alarm.get(key) for name, key in self._scalars.items()}
        # AWS answers with an empty list what the program may have left out.
        live |= {name: alarm.get(key) or (state.get(name) and []) for name, key in self._actions.items()}
        live["dimensions"] = {one["Name"]: one["Value"] for one in alarm.get("Dimensions", [])} or None
        live["metricQueries"] = [_program_query(query) for query in alarm.get("Metrics", [])] or None
        tags = cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
        return {**live, "name": resource_id, "arn": alarm["AlarmArn"], "tagsAll": from_tag_list(tags)}

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        # The call replaces the whole alarm but for its tags, which it ignores.
        self._put(aws, new)
        cloudwatch, arn = aws.client("cloudwatch"), self._arn(aws, resource_id)
        to_set, to_remove = tag_changes(aws, old, new)
        if to_remove:
            cloudwatch.untag_resource(ResourceARN=arn, TagKeys=to_remove)
        if to_set:
            cloudwatch.tag_resource(ResourceARN=arn, Tags=[{"Key": key, "Value": value} for key, value in to_set.items()])
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("cloudwatch").delete_alarms(AlarmNames=[resource_id])


Fault = tuple[str, str]
"""An argument and what PutMetricAlarm would not take about it."""


def _unknown_words(known: Inputs) -> Iterator[Fault]:
    for name, words in (
        ("comparisonOperator", COMPARISONS),
        ("statistic", STATISTICS),
        ("treatMissingData", MISSING_DATA),
    ):
        if known.get(name, words[0]) not in words:
            yield name, f"{name} has to be one of {', '.join(words)}"


def _unfit_metric(inputs: Inputs) -> Iterator[Fault]:
    """One metric with all that belongs to it, or metricQueries."""
    if "metricQueries" in inputs:
        for name in (*ONE_METRIC, "statistic", "extendedStatistic", "dimensions"):
            if name in inputs:
                yield name, f"{name} belongs to an alarm on one metric, and metricQueries are given"
        return
    for name in ONE_METRIC:
        if name not in inputs:
            yield name, f"{name} is missing, and so are metricQueries"
    if ("statistic" in inputs) == ("extendedStatistic" in inputs):
        yield "statistic", "exactly one of statistic and extendedStatistic is needed"


def _unfit_periods(known: Inputs) -> Iterator[Fault]:
    period, periods = known.get("period"), known.get("evaluationPeriods")
    if isinstance(period, int) and period not in SHORT_PERIODS and (period < 60 or period % 60):
        yield "period", "period has to be 10, 20, 30 or a multiple of 60 seconds"
    elif isinstance(period, int) and isinstance(periods, int):
        longest = WEEK_SECONDS if period >= HOUR_SECONDS else DAY_SECONDS
        if period * periods > longest:
            yield "evaluationPeriods", f"period times evaluationPeriods must not exceed {longest} seconds"
    if known.get("datapointsToAlarm", 0) > known.get("evaluationPeriods", WEEK_SECONDS):
        yield "datapointsToAlarm", "datapointsToAlarm must not exceed evaluationPeriods"


_QUERY: Final = {
    "id": "Id",
    "expression": "Expression",
    "label": "Label",
    "period": "Period",
    "returnData": "ReturnData",
}


def _dimensions(values: dict[str, str] | None) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in (values or {}).items()]


def _query(query: dict[str, Any]) -> dict[str, Any]:
    """One of metricQueries as PutMetricAlarm takes it."""
    out = {key: query[name] for name, key in _QUERY.items() if name in query}
    if "metric" in query:
        metric = query["metric"]
        out["MetricStat"] = {
            "Metric": {
                "MetricName": metric["metricName"],
                "Namespace": metric.get("namespace", ""),
                "Dimensions": _dimensions(metric.get("dimensions")),
            },
            "Period": metric["period"],
            "Stat": metric["stat"],
            **({"Unit": metric["unit"]} if "unit" in metric else {}),
        }
    return out


def _program_query(query: dict[str, Any]) -> dict[str, Any]:
    """The other way round."""
    out = {name: query[key] for name, key in _QUERY.items() if query.get(key) not in (None, "")}
    if not out.get("returnData"):
        out.pop("returnData", None)  # false is what a program's silence means
    statistic = query.get("MetricStat")
    if statistic:
        metric = statistic["Metric"]
        found = {
            "metricName": metric.get("MetricName"),
            "namespace": metric.get("Namespace"),
            "dimensions": {one["Name"]: one["Value"] for one in metric.get("Dimensions", [])} or None,
            "period": statistic.get("Period"),
            "stat": statistic.get("Stat"),
            "unit": statistic.get("Unit"),
        }
        out["metric"] = {name: value for name, value in found.items() if value is not None}
    return out
