"""One page of CloudWatch that somebody keeps open: what is wrong at the top, then requests, work, tasks, and who does what.

It shows what the alarms watch, with the lines at which they speak, and a few metrics more that say why.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra.alarms import AlarmTopic, AnomalyAlarm, Declared, MetricAlarm
from infra.change_alarms import CHANGE_ALARMS
from infra.compute import Services
from infra.data import Queue
from infra.naming import STAGE

TYPE_DASHBOARD = "heartmap:dashboard:Dashboard"

COLUMNS = 24
"""What CloudWatch's grid is wide."""
HEADING, STATES, CHART = 2, 8, 6
"""Heights, in its rows."""
PERIOD_SECONDS = 300


class Shown(NamedTuple):
    """A metric as a chart shows it."""

    label: str
    namespace: str
    metric: str
    dimensions: Mapping[str, Input[str]]
    statistic: str


class Chart(NamedTuple):
    """Metrics that are looked at together. Of the alarms that there are, those named are shown; at the thresholds of ``limits``
    there is a line. ``more`` names metrics that no alarm is on. ``numbers`` are numbers instead of lines."""

    title: str
    alarms: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    numbers: bool = False


ROWS: tuple[tuple[Chart, ...], ...] = (
    (
        Chart("Requests", ("api-5xx",), ("requests", "refused")),
        Chart("How long they take, in ms", more=("half", "most", "all but one in a hundred")),
        Chart(
            "Who tries to get in", ("refused-burst", "forged-tokens", "key-misuse", "blocked-burst"), limits=("refused-burst",)
        ),
    ),
    (
        Chart("Work in the queue", ("dead-letters",), ("waiting", "under way")),
        Chart("How long work has waited, in s", ("queue-age",), limits=("queue-age",)),
        Chart("Tasks that run", more=("API", "workers")),
    ),
    (
        Chart("Tasks that answer", ("no-healthy-hosts", "unhealthy-hosts")),
        Chart("Failures of the service", ("service-5xx", "balancer-5xx", "authorizer-faults"), limits=("service-5xx",)),
        Chart(
            "Failures of functions",
            (
                *(f"{function}-errors" for function in ("token", "keys", "users", "audit", "sealing", "rotation")),
                "authorizer-limit",
            ),
        ),
    ),
    (
        Chart("Unusual use", ("key-new-network", "unusual-downloads")),
        Chart("Administration", ("service-config", "users-changed", "keys-changed", "break-glass-used")),
        Chart("Audit records", ("sealing-stopped", "audit-gap")),
        Chart("Days until certificates expire", ("balancer-expiry", "api-expiry"), numbers=True),
    ),
)

LABELS = {
    "api-5xx": "failed",
    "refused-burst": "calls refused",
    "forged-tokens": "tokens forged",
    "key-misuse": "keys misused",
    "blocked-burst": "requests blocked",
    "dead-letters": "given up",
    "queue-age": "the oldest",
    "no-healthy-hosts": "answer",
    "unhealthy-hosts": "do not answer",
    "service-5xx": "by a task",
    "balancer-5xx": "for want of a task",
    "authorizer-faults": "by the authorizer",
    "authorizer-limit": "authorizer at its limit",
    "key-new-network": "keys from new networks",
    "unusual-downloads": "unusual downloads",
    "service-config": "configuration",
    "users-changed": "people",
    "keys-changed": "keys",
    "break-glass-used": "role for emergencies",
    "sealing-stopped": "runs of the sealer",
    "audit-gap": "gaps",
    "balancer-expiry": "load balancer",
    "api-expiry": "API",
}
"""What the metric of an alarm is called on a chart; that of a function's errors is called as the function."""

UNCHARTED = {"api-deployment", "traffic-anomaly", "refusals-anomaly", *(alarm.name for alarm in CHANGE_ALARMS)}
"""Alarms whose state is shown and nothing else: on a metric that is there already, or such that the state says it all."""


@dataclass(frozen=True, kw_only=True)
class DashboardArgs:
    """``alarms`` are all that there are."""

    topic: AlarmTopic
    alarms: Sequence[Declared]
    queue: Queue
    services: Services


class Dashboard(pulumi.ComponentResource):
    """The page."""

    def __init__(self, name: str, args: DashboardArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_DASHBOARD, name, None, opts)
        prefix = args.topic.names.prefix
        widgets = [_heading(args), *_states(args), *_charts(args)]
        body = Output.json_dumps({"start": "-PT12H", "periodOverride": "inherit", "widgets": widgets})
        aws.cloudwatch.Dashboard(name, dashboard_name=prefix, dashboard_body=body, opts=ResourceOptions(parent=self))
        self.register_outputs({})


def _widget(kind: str, x: int, y: int, width: int, height: int, **properties: Any) -> dict[str, Any]:
    return {"type": kind, "x": x, "y": y, "width": width, "height": height, "properties": properties}


def _heading(args: DashboardArgs) -> dict[str, Any]:
    text = (
        f"# {args.topic.names.prefix}\n"
        f"What to do about each alarm: `{args.topic.runbook}`, in the section of its name. "
        f"Questions to the logs: Logs Insights, saved queries, `{args.topic.names.prefix}`."
    )
    return _widget("text", 0, 0, COLUMNS, HEADING, markdown=text)


def _states(args: DashboardArgs) -> list[dict[str, Any]]:
    """The states of the alarms; those on changes of the account, which are many and seldom, at the side."""
    account = {alarm.name for alarm in CHANGE_ALARMS}
    own = [one.made.arn for one in args.alarms if one.on.name not in account]
    changes = [one.made.arn for one in args.alarms if one.on.name in account]
    width = 16 if changes else COLUMNS
    made = [_widget("alarm", 0, HEADING, width, STATES, title="Alarms", alarms=own)]
    if changes:
        made.append(_widget("alarm", width, HEADING, COLUMNS - width, STATES, title="Changes of the account", alarms=changes))
    return made


def _charts(args: DashboardArgs) -> list[dict[str, Any]]:
    alarms = {one.on.name: one.on for one in args.alarms}
    shown = {
        on.name: Shown(LABELS.get(on.name, on.name.removesuffix("-errors")), on.namespace, on.metric, on.dimensions, on.statistic)
        for on in alarms.values()
    }
    shown |= {metric.label: metric for metric in _more(args)}
    made: list[dict[str, Any]] = []
    for row, charts in enumerate(ROWS):
        width = COLUMNS // len(charts)
        for column, chart in enumerate(charts):
            properties = {
                "title": chart.title,
                "region": args.topic.names.region,
                "view": "singleValue" if chart.numbers else "timeSeries",
                "stacked": False,
                "period": PERIOD_SECONDS,
                "yAxis": {"left": {"min": 0}},
                "metrics": [_metric(shown[name]) for name in (*chart.more, *chart.alarms) if name in shown],
                **_lines(chart, alarms),
            }
            made.append(_widget("metric", column * width, HEADING + STATES + row * CHART, width, CHART, **properties))
    return made


def _lines(chart: Chart, alarms: Mapping[str, MetricAlarm | AnomalyAlarm]) -> dict[str, Any]:
    """The thresholds of a chart."""
    those = [alarm for name in chart.limits if isinstance(alarm := alarms.get(name), MetricAlarm)]
    lines = [{"label": f"{alarm.name} speaks", "value": alarm.threshold} for alarm in those]
    return {"annotations": {"horizontal": lines}} if lines else {}


def _metric(shown: Shown) -> list[Any]:
    dimensions = [part for pair in shown.dimensions.items() for part in pair]
    return [shown.namespace, shown.metric, *dimensions, {"stat": shown.statistic, "label": shown.label}]


def _more(args: DashboardArgs) -> list[Shown]:
    """Metrics that no alarm is on, or not in every stack."""
    api = {"ApiName": args.topic.names.prefix, "Stage": STAGE}
    queue = {"QueueName": args.queue.arn.apply(lambda arn: arn.rpartition(":")[2])}
    cluster, services = args.services.cluster_name, {"API": args.services.api_name, "workers": args.services.worker_name}
    return [
        Shown("requests", "AWS/ApiGateway", "Count", api, "Sum"),
        Shown("refused", "AWS/ApiGateway", "4XXError", api, "Sum"),
        Shown("half", "AWS/ApiGateway", "Latency", api, "p50"),
        Shown("most", "AWS/ApiGateway", "Latency", api, "p95"),
        Shown("all but one in a hundred", "AWS/ApiGateway", "Latency", api, "p99"),
        Shown("waiting", "AWS/SQS", "ApproximateNumberOfMessagesVisible", queue, "Maximum"),
        Shown("under way", "AWS/SQS", "ApproximateNumberOfMessagesNotVisible", queue, "Maximum"),
        *(
            Shown(label, "ECS/ContainerInsights", "RunningTaskCount", {"ClusterName": cluster, "ServiceName": name}, "Average")
            for label, name in services.items()
        ),
    ]
