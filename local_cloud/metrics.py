"""What AWS would have measured of a local environment: out of the lines of its log groups, and of how things stand now.

What is counted in logs, by the deployed metric filters, is what CloudWatch would count. The metrics of API Gateway, of AWS WAF,
of the load balancer and of Lambda are made of what the edge and the functions' runtimes log. How long a queue is, how old its
work, how many tasks answer their health checks and how long certificates last is known for now alone, and taken to be so all the
time. Of a moment that is still to come, what is recorded by now is all; but what a schedule calls goes on being called.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import httpx

from lambda_authorizer.access_policy import RULES, SERVICE
from local_cloud import alarms as cloudwatch
from local_cloud import filter_pattern, scheduler
from local_cloud.alarms import BAND_DAYS, DAY, MINUTE, Alarm, History, Metric
from local_cloud.edge import waf_log
from local_cloud.lambda_runtime import THROTTLED

Lines = Mapping[str, Sequence[tuple[float, str]]]
"""The lines of each log group, with their moments in seconds since the epoch."""
Points = list[tuple[float, float]]

FUNCTION_LOGS = "/aws/lambda/"
FAULTS = ("[ERROR] ", "Task timed out", "Runtime exited")
"""What Lambda's runtime says of a call that failed."""
ACTIVE = ("queued", "running")
"""States of an analysis whose message is in the queue."""


class Unmeasured(Exception):
    """A metric of which nothing here is known. The text names it."""


@dataclass(frozen=True)
class Logs:
    """The lines of an environment, and which log groups the gateway (``access``) and the web ACL (``waf``) write to."""

    lines: Lines
    access: str
    waf: str

    @cached_property
    def requests(self) -> list[tuple[float, dict[str, Any]]]:
        """The lines of the gateway."""
        return [(moment, json.loads(line)) for moment, line in self.lines.get(self.access, ())]


def deployed_alarms(cloudwatch_client: Any) -> list[Alarm]:
    """The alarms that call somebody: those that only scale speak on no topic. Raises cloudwatch.Unreadable."""
    pages = cloudwatch_client.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm"])
    found = [alarm for page in pages for alarm in page["MetricAlarms"]]
    return [cloudwatch.read(alarm) for alarm in found if any(":sns:" in action for action in alarm.get("AlarmActions", []))]


def look(
    client: Callable[[str], Any], outputs: Mapping[str, Any], at: float, only: Collection[str] = ()
) -> tuple[list[Alarm], History]:
    """The alarms of a local environment, and all that is known of their metrics at a moment.

    Args:
        client: gives a boto3 client of the emulated AWS for a service.
        outputs: the outputs of the stack.
        only: the names of the alarms that are wanted; all when there are none.

    Raises Unmeasured and cloudwatch.Unreadable.
    """
    found, history = deployed_alarms(client("cloudwatch")), History()
    alarms = [alarm for alarm in found if not only or alarm.name in only]
    logs = read_logs(client, outputs, at - BAND_DAYS * DAY, at)
    filters = [
        one for page in client("logs").get_paginator("describe_metric_filters").paginate() for one in page["metricFilters"]
    ]
    wanted = {alarm.metric for alarm in alarms}
    counted([one for one in filters if wanted.intersection(_metrics(one))], logs.lines, history)
    left = logged(wanted.difference(*map(_metrics, filters)), logs, history)
    if at > (now := time.time()):
        scheduled(client, now, at, history)
    for alarm in alarms:
        if alarm.metric in left and (value := standing(alarm.metric, client, outputs, at)) is not None:
            lasting(alarm, value, history, at)
    return alarms, history


def read_logs(client: Callable[[str], Any], outputs: Mapping[str, Any], begin: float, end: float) -> Logs:
    """The lines of an environment between two moments, in seconds since the epoch."""
    stage = client("apigateway").get_stage(restApiId=outputs["rest_api_id"], stageName=outputs["stage_name"])
    access = stage["accessLogSettings"]["destinationArn"].partition(":log-group:")[2].removesuffix(":*")
    waf = waf_log.log_group(outputs["web_acl_arn"], client("wafv2")) or ""
    return Logs(fetch(client("logs"), begin, end), access, waf)


def fetch(logs: Any, begin: float, end: float) -> dict[str, list[tuple[float, str]]]:
    """The lines of all log groups of an emulated AWS from ``begin`` until ``end``. ``logs`` is a boto3 client."""
    found: dict[str, list[tuple[float, str]]] = {}
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            pages = logs.get_paginator("filter_log_events").paginate(
                logGroupName=group["logGroupName"], startTime=int(begin * 1000), endTime=int(end * 1000)
            )
            events = [event for events in pages for event in events["events"]]
            found[group["logGroupName"]] = [(event["timestamp"] / 1000, event["message"]) for event in events]
    return found


def counted(filters: Iterable[Mapping[str, Any]], lines: Lines, history: History) -> None:
    """Count what metric filters, as DescribeMetricFilters tells them, find in the lines."""
    for one in filters:
        matches = filter_pattern.parse(one["filterPattern"])
        moments = [moment for moment, line in lines.get(one["logGroupName"], ()) if _matches(matches, line)]
        for transformation in one["metricTransformations"]:
            metric = Metric(transformation["metricNamespace"], transformation["metricName"])
            history.add(metric, [(moment, float(transformation["metricValue"])) for moment in moments])


def _metrics(one: Mapping[str, Any]) -> list[Metric]:
    """What a metric filter counts."""
    return [Metric(each["metricNamespace"], each["metricName"]) for each in one["metricTransformations"]]


def _matches(matcher: filter_pattern.Matcher, line: str) -> bool:
    record = _record(line)
    return record is not None and matcher(record)


# Each filter of a log group reads the same lines, and so does whoever looks again.
@lru_cache(maxsize=100_000)
def _record(line: str) -> dict[str, Any] | None:
    """What a line holds that is a JSON object."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def logged(metrics: Iterable[Metric], logs: Logs, history: History) -> list[Metric]:
    """Count what AWS's services would have measured; returns the metrics of which the logs say nothing."""
    left = []
    for metric in metrics:
        count = _LOGGED.get((metric.namespace, metric.name))
        if count is None:
            left.append(metric)
        else:
            history.add(metric, count(logs, dict(metric.dimensions)))
    return left


Counter = Callable[[Logs, dict[str, str]], Points]


def _requests(wanted: Callable[[dict[str, Any]], bool]) -> Counter:
    return lambda logs, _: [(moment, 1.0) for moment, request in logs.requests if wanted(request)]


def _of_each_request(counts: Callable[[str], bool]) -> Counter:
    """1 or 0 of each request, by its status, so that the average is a rate.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
    """
    return lambda logs, _: [(moment, float(counts(request["status"]))) for moment, request in logs.requests]


def _is_of_service(request: Mapping[str, Any]) -> bool:
    rule = RULES.get((request["method"], request["route"]))
    return rule is not None and rule.answered_by == SERVICE


def _is_fault(status: str) -> bool:
    return status.startswith("5")


def _lines_of_function(wanted: Callable[[str], bool]) -> Counter:
    def count(logs: Logs, dimensions: dict[str, str]) -> Points:
        lines = logs.lines.get(FUNCTION_LOGS + dimensions["FunctionName"], ())
        return [(moment, 1.0) for moment, line in lines if wanted(line)]

    return count


def _blocked(logs: Logs, _dimensions: dict[str, str]) -> Points:
    return [(moment, 1.0) for moment, line in logs.lines.get(logs.waf, ()) if json.loads(line)["action"] == "BLOCK"]


_LOGGED: Mapping[tuple[str, str], Counter] = {
    ("AWS/ApiGateway", "Count"): lambda logs, _: [(moment, 1.0) for moment, _request in logs.requests],
    ("AWS/ApiGateway", "4XXError"): _of_each_request(lambda status: status.startswith("4")),
    ("AWS/ApiGateway", "5XXError"): _of_each_request(_is_fault),
    ("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count"): _requests(
        lambda request: _is_of_service(request) and _is_fault(request["integration_status"])
    ),
    ("AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count"): _requests(
        lambda request: _is_of_service(request) and request["error"].startswith("INTEGRATION_")
    ),
    ("AWS/WAFV2", "BlockedRequests"): _blocked,
    # Each call of a function that is not the authorizer leaves one record, and the sealer's are seals.
    ("AWS/Lambda", "Invocations"): _lines_of_function(lambda line: line.startswith('{"event":"seal"')),
    ("AWS/Lambda", "Errors"): _lines_of_function(lambda line: any(fault in line for fault in FAULTS)),
    ("AWS/Lambda", "Throttles"): _lines_of_function(lambda line: line.endswith(THROTTLED)),
}


def scheduled(client: Callable[[str], Any], begin: float, end: float, history: History) -> None:
    """Count the calls that schedules will make between two moments, if all stays as it is now. Raises Uninterpretable."""
    for call in scheduler.calls(client("events"), client("lambda")):
        function = call.function_arn.rpartition(":")[2]
        metric = Metric("AWS/Lambda", "Invocations", frozenset({("FunctionName", function)}))
        moments = range(int(begin + call.every), int(end), int(call.every))
        history.add(metric, [(moment, 1.0) for moment in moments])


def standing(metric: Metric, client: Callable[[str], Any], outputs: Mapping[str, Any], at: float) -> float | None:
    """How a metric stands at a moment, if all stays as it is now; None where there is nothing to measure.

    ``client`` gives a boto3 client for a service. Raises Unmeasured.
    """
    measure = _STANDING.get((metric.namespace, metric.name))
    if measure is None:
        raise Unmeasured(f"Nothing here measures {metric.name} of {metric.namespace}.")
    return measure(_Place(client, outputs, at), dict(metric.dimensions))


class _Place(NamedTuple):
    """Where and for when something is measured."""

    client: Callable[[str], Any]
    outputs: Mapping[str, Any]
    at: float


def _waiting(place: _Place, dimensions: dict[str, str]) -> float:
    sqs = place.client("sqs")
    url = sqs.get_queue_url(QueueName=dimensions["QueueName"])["QueueUrl"]
    name = "ApproximateNumberOfMessages"
    return float(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def _oldest_work(place: _Place, _dimensions: dict[str, str]) -> float:
    pages = place.client("dynamodb").get_paginator("scan").paginate(TableName=place.outputs["jobs_table"])
    made = [
        datetime.fromisoformat(item["created_at"]["S"])
        for page in pages
        for item in page["Items"]
        if item["pk"]["S"].startswith("analysis#") and item.get("state", {}).get("S") in ACTIVE
    ]
    return max(place.at - min(made).timestamp(), 0) if made else 0.0


def _tasks(healthy: bool) -> Callable[[_Place, dict[str, str]], float]:
    def measure(place: _Place, _dimensions: dict[str, str]) -> float:
        elb, arn = place.client("elbv2"), place.outputs["target_group_arn"]
        (group,) = elb.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"]
        targets = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return float(sum(_answers(group, target["Target"]) == healthy for target in targets))

    return measure


def _answers(group: Mapping[str, Any], target: Mapping[str, Any]) -> bool:
    """Whether a target answers the health check of its group, which nobody else makes here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # A load balancer trusts any certificate of a target.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    url = f"{group['HealthCheckProtocol'].lower()}://{target['Id']}:{target['Port']}{group['HealthCheckPath']}"
    try:
        with httpx.Client(verify=context, trust_env=False, timeout=group["HealthCheckTimeoutSeconds"]) as http:
            return str(http.get(url).status_code) == group["Matcher"]["HttpCode"]
    except httpx.HTTPError:
        return False


def _days_left(place: _Place, dimensions: dict[str, str]) -> float | None:
    certificate = place.client("acm").describe_certificate(CertificateArn=dimensions["CertificateArn"])["Certificate"]
    ends = certificate.get("NotAfter")
    return None if ends is None else (ends.timestamp() - place.at) // DAY


_STANDING: Mapping[tuple[str, str], Callable[[_Place, dict[str, str]], float | None]] = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): _waiting,
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"): _oldest_work,
    ("AWS/ApplicationELB", "HealthyHostCount"): _tasks(healthy=True),
    ("AWS/ApplicationELB", "UnHealthyHostCount"): _tasks(healthy=False),
    ("AWS/CertificateManager", "DaysToExpiry"): _days_left,
}


def lasting(alarm: Alarm, value: float, history: History, at: float) -> None:
    """Take the value of an alarm's metric to have been the same in every minute of the last day, and what the alarm looks at."""
    first = at - at % MINUTE - DAY - alarm.window
    history.add(alarm.metric, [(first + minute * MINUTE, value) for minute in range((DAY + alarm.window) // MINUTE)])
