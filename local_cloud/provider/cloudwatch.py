"""CloudWatch: metric alarms, dashboards and saved queries."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

import json
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
    none_if_gone,
    register,
    same_json,
    tag_changes,
)

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
BAND_COMPARISONS: Final = ("GreaterThanUpperThreshold", "LessThanLowerOrGreaterThanUpperThreshold", "LessThanLowerThreshold")
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
        "thresholdMetricId": "ThresholdMetricId",
        "treatMissingData": "TreatMissingData",
        "unit": "Unit",
    }
    _actions: ClassVar = {
        "alarmActions": "AlarmActions",
        "insufficientDataActions": "InsufficientDataActions",
        "okActions": "OKActions",
    }
    arguments = frozenset({"name", "dimensions", "metricQueries", "tags", *_scalars, *_actions})
    required = frozenset({"comparisonOperator", "evaluationPeriods"})
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
        faults = [*_unknown_words(known), *_unfit_metric(inputs), *_unfit_bound(inputs), *_unfit_periods(known)]
        return [Failure(name, f"{self.token}: {reason}") for name, reason in faults]

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._put(aws, inputs, Tags=aws.tag_list(inputs))
        return inputs["name"], {"arn": self._arn(aws, inputs["name"])}

    @staticmethod
    def _arn(aws: Aws, name: str) -> str:
        return aws.arn("cloudwatch", f"alarm:{name}")

    @classmethod
    def called(cls, inputs: Inputs) -> dict[str, Any]:
        """The arguments as PutMetricAlarm takes them, but for the tags."""
        arguments = {key: inputs[name] for name, key in {**cls._scalars, **cls._actions}.items() if name in inputs}
        if "metricQueries" in inputs:
            arguments["Metrics"] = [_query(query) for query in inputs["metricQueries"]]
        else:
            arguments["Dimensions"] = _dimensions(inputs.get("dimensions"))
        return {"AlarmName": inputs["name"], **arguments}

    def _put(self, aws: Aws, inputs: Inputs, **more: Any) -> None:
        aws.client("cloudwatch").put_metric_alarm(**self.called(inputs), **more)

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
        told = {one["id"] for one in state.get("metricQueries") or [] if one.get("returnData") is False}
        live["metricQueries"] = [_program_query(query, told) for query in alarm.get("Metrics", [])] or None
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
        ("comparisonOperator", (*COMPARISONS, *BAND_COMPARISONS)),
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


def _unfit_bound(inputs: Inputs) -> Iterator[Fault]:
    """A threshold, or the band among metricQueries that stands for one."""
    band = inputs.get("thresholdMetricId")
    if (band is None) == ("threshold" not in inputs):
        yield "threshold", "exactly one of threshold and thresholdMetricId is needed"
    if (band is None) == (inputs["comparisonOperator"] in BAND_COMPARISONS):
        yield "comparisonOperator", f"the operators {', '.join(BAND_COMPARISONS)}, and no others, compare with thresholdMetricId"
    bands = [one.get("id") for one in inputs.get("metricQueries", []) if "ANOMALY_DETECTION_BAND(" in one.get("expression", "")]
    if band is not None and band not in bands:
        yield "thresholdMetricId", "thresholdMetricId has to be the id of an ANOMALY_DETECTION_BAND among metricQueries"


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


@register
class Dashboard(ResourceType):
    token = "aws:cloudwatch/dashboard:Dashboard"
    arguments = required = frozenset({"dashboardName", "dashboardBody"})
    replaces = frozenset({"dashboardName"})
    computed = frozenset({"dashboardArn"})
    unique = "dashboardName"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        body = inputs["dashboardBody"]
        fault = None if body is UNKNOWN else _unfit_body(body)
        return [Failure("dashboardBody", f"{self.token}: {fault}")] if fault else []

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._put(aws, inputs)
        name = inputs["dashboardName"]
        return name, {"dashboardArn": f"arn:{aws.partition}:cloudwatch::{aws.account}:dashboard/{name}"}

    @staticmethod
    def _put(aws: Aws, inputs: Inputs) -> None:
        aws.client("cloudwatch").put_dashboard(DashboardName=inputs["dashboardName"], DashboardBody=inputs["dashboardBody"])

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        found = none_if_gone(aws.client("cloudwatch").get_dashboard, DashboardName=resource_id)
        return found and {"dashboardBody": same_json(found["DashboardBody"], state.get("dashboardBody"))}

    def update(self, aws: Aws, _resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._put(aws, new)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("cloudwatch").delete_dashboards(DashboardNames=[resource_id])


# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
GRID_COLUMNS: Final = 24
WIDGETS: Final = frozenset({"alarm", "explorer", "log", "metric", "text"})


def _unfit_body(body: str) -> str | None:
    """What PutDashboard would not take about a body."""
    try:
        widgets = json.loads(body)["widgets"]
    except (ValueError, KeyError, TypeError):
        return "dashboardBody has to be a JSON object with widgets"
    for widget in widgets:
        if widget.get("type") not in WIDGETS or not widget.get("properties"):
            return f"each widget has properties and a type, one of {', '.join(sorted(WIDGETS))}"
        if not 0 < widget["width"] <= GRID_COLUMNS - widget["x"]:
            return f"a widget has to lie within {GRID_COLUMNS} columns"
        if widget["type"] == "metric" and not (widget["properties"].get("metrics") and widget["properties"].get("region")):
            return "a widget of metrics has to name metrics and a region"
    return None


@register
class QueryDefinition(ResourceType):
    token = "aws:cloudwatch/queryDefinition:QueryDefinition"
    arguments = frozenset({"name", "queryString", "logGroupNames"})
    required = frozenset({"name", "queryString"})
    computed = frozenset({"queryDefinitionId"})

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        query_id = self._put(aws, inputs)
        return query_id, {"queryDefinitionId": query_id}

    @staticmethod
    def _put(aws: Aws, inputs: Inputs, **which: str) -> str:
        given = {"logGroupNames": inputs["logGroupNames"]} if "logGroupNames" in inputs else {}
        call = aws.client("logs").put_query_definition
        return call(name=inputs["name"], queryString=inputs["queryString"], **given, **which)["queryDefinitionId"]

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        pages = aws.client("logs").describe_query_definitions(maxResults=1000)
        live = next((one for one in pages["queryDefinitions"] if one["queryDefinitionId"] == resource_id), None)
        if live is None:
            return None
        groups = live.get("logGroupNames") or None
        # AWS keeps them in no order that it promises.
        given = state.get("logGroupNames")
        same = given is not None and groups is not None and sorted(given) == sorted(groups)
        return {
            "name": live["name"],
            "queryString": live["queryString"],
            "logGroupNames": given if same else groups,
            "queryDefinitionId": resource_id,
        }

    def update(self, aws: Aws, resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._put(aws, new, queryDefinitionId=resource_id)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("logs").delete_query_definition(queryDefinitionId=resource_id)


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


def _program_query(query: dict[str, Any], told: set[str]) -> dict[str, Any]:
    """The other way round. ``told`` has the ids of those of which a program says ``returnData=False``: silence means that too."""
    out = {name: query[key] for name, key in _QUERY.items() if query.get(key) not in (None, "")}
    if not out.get("returnData"):
        out.pop("returnData", None)
        if query["Id"] in told:
            out["returnData"] = False
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
