"""How alarms are evaluated; that each of prod's speaks in an attack and is over soon after it; that a day of use raises none.

On virtual time, in seconds since the epoch. tests/e2e/test_alarms.py does the same with what a local environment recorded.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from infra.change_alarms import CHANGE_ALARMS
from lambda_authorizer.audit_fields import open_line
from local_cloud import metrics, scheduler
from local_cloud.alarms import (
    ALARM,
    DAY,
    MINUTE,
    NO_DATA,
    OK,
    Alarm,
    History,
    Metric,
    Unreadable,
    budget_notices,
    changes,
    read,
    state,
)
from local_cloud.lambda_runtime import THROTTLED
from local_cloud.metrics import Logs, Unmeasured
from local_cloud.provider.cloudwatch import MetricAlarm
from local_cloud.scheduler import Call
from posture.plan import Plan, plan_of

TOPIC = "arn:aws:Topic/alarms"
HOUR = 3600
T0 = 20_000 * DAY + 12 * HOUR
"""When attacks begin: at noon of some day."""


# --- one alarm


def alarm(**changed: Any) -> Alarm:
    given: dict[str, Any] = {
        "AlarmName": "many",
        "Namespace": "heartmap/test",
        "MetricName": "many",
        "Statistic": "Sum",
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Threshold": 3,
        "Period": 300,
        "EvaluationPeriods": 1,
        "TreatMissingData": "notBreaching",
    }
    return read(given | changed)


def history(*points: tuple[float, float]) -> History:
    found = History()
    found.add(Metric("heartmap/test", "many"), points)
    return found


def test_an_alarm_speaks_at_its_threshold_and_is_over_when_its_period_is() -> None:
    seen = history((600, 1), (630, 1), (660, 1))
    assert list(changes(alarm(), seen, 0, 1200)) == [(0, OK), (720, ALARM), (960, OK)]
    assert list(changes(alarm(), history((600, 1), (630, 1)), 0, 1200)) == [(0, OK)]


@pytest.mark.parametrize(
    ("statistic", "comparison", "threshold", "expected"),
    [
        ("Sum", "GreaterThanOrEqualToThreshold", 9, ALARM),
        ("Sum", "GreaterThanThreshold", 9, OK),
        ("Maximum", "GreaterThanOrEqualToThreshold", 5, ALARM),
        ("Minimum", "LessThanThreshold", 4, OK),
        ("Minimum", "LessThanOrEqualToThreshold", 4, ALARM),
        ("Average", "LessThanThreshold", 5, ALARM),
        ("SampleCount", "GreaterThanThreshold", 1, ALARM),
    ],
)
def test_statistics_and_comparisons(statistic: str, comparison: str, threshold: float, expected: str) -> None:
    one = alarm(Statistic=statistic, ComparisonOperator=comparison, Threshold=threshold)
    assert state(one, history((10, 4), (20, 5)), 300) == expected


def test_every_period_has_to_be_broken_or_as_many_as_are_needed() -> None:
    seen = history((10, 5), (70, 5), (190, 5))
    assert state(alarm(Period=60, EvaluationPeriods=2), seen, 120) == ALARM
    assert state(alarm(Period=60, EvaluationPeriods=3), seen, 240) == OK
    assert state(alarm(Period=60, EvaluationPeriods=3, DatapointsToAlarm=2), seen, 240) == ALARM


def test_silence_is_what_the_alarm_takes_it_for() -> None:
    assert state(alarm(), History(), 300) == OK
    assert state(alarm(TreatMissingData="breaching"), History(), 300) == ALARM


BAND = {
    "AlarmName": "unusual",
    "Metrics": [
        {"Id": "band", "Expression": "ANOMALY_DETECTION_BAND(measured, 4)"},
        {
            "Id": "measured",
            "MetricStat": {"Metric": {"Namespace": "heartmap/test", "MetricName": "many"}, "Period": 900, "Stat": "Sum"},
        },
    ],
    "ThresholdMetricId": "band",
    "ComparisonOperator": "GreaterThanUpperThreshold",
    "EvaluationPeriods": 1,
    "TreatMissingData": "notBreaching",
}


def test_what_is_usual_is_what_was_at_this_hour_on_the_days_before() -> None:
    days = [(T0 - day * DAY - 300, value) for day, value in enumerate([100, 110, 90, 105, 95], 1)]
    assert state(read(BAND), history(*days, (T0 - 60, 130)), T0) == OK
    assert state(read(BAND), history(*days, (T0 - 60, 300)), T0) == ALARM
    assert state(read(BAND), history(*days, (T0 + 6 * HOUR - 60, 300)), T0 + 6 * HOUR) == NO_DATA
    assert state(read(BAND), history((T0 - 60, 300)), T0) == NO_DATA


@pytest.mark.parametrize(
    "given",
    [
        {"TreatMissingData": "ignore"},
        {"ComparisonOperator": "LessThanLowerThreshold"},
        {"Threshold": None},
        {"Metrics": [{"Id": "sum", "Expression": "a + b"}]},
    ],
)
def test_an_alarm_that_nothing_here_can_read_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(Unreadable, match="The alarm many"):
        alarm(**given)


def test_a_budget_tells_what_was_spent_and_what_is_going_to_be() -> None:
    notices = [
        {"NotificationType": "ACTUAL", "Threshold": 80.0},
        {"NotificationType": "ACTUAL", "Threshold": 100.0},
        {"NotificationType": "FORECASTED", "Threshold": 100.0},
    ]

    def told(actual: float, forecast: float) -> list[str]:
        spent = {"ActualSpend": {"Amount": str(actual)}, "ForecastedSpend": {"Amount": str(forecast)}}
        return budget_notices({"BudgetLimit": {"Amount": "400"}, "CalculatedSpend": spent}, notices)

    assert told(100, 350) == []
    assert told(330, 390) == ["ACTUAL 80 %"]
    assert told(300, 410) == ["FORECASTED 100 %"]
    assert told(401, 500) == ["ACTUAL 80 %", "ACTUAL 100 %", "FORECASTED 100 %"]


# --- the stack's alarms


def alarms_of(plan: Plan) -> dict[str, Alarm]:
    """Those that call somebody, by their names in the program."""
    planned = plan.of("cloudwatch/metricAlarm:MetricAlarm")
    return {one.name: read(MetricAlarm.called(one.inputs)) for one in planned if TOPIC in one.inputs["alarmActions"]}


def filters_of(plan: Plan) -> list[dict[str, Any]]:
    """The metric filters, as DescribeMetricFilters would tell them."""
    made = []
    for one in plan.of("cloudwatch/logMetricFilter:LogMetricFilter"):
        to = one.inputs["metricTransformation"]
        transformation = {"metricName": to["name"], "metricNamespace": to["namespace"], "metricValue": to["value"]}
        made.append(
            {
                "filterPattern": one.inputs["pattern"],
                "logGroupName": one.inputs["logGroupName"],
                "metricTransformations": [transformation],
            }
        )
    return made


PLAN = plan_of("prod")
ALARMS, FILTERS = alarms_of(PLAN), filters_of(PLAN)
ACCESS, WAF = "/heartmap/prod/api-access", "aws-waf-logs-heartmap-prod"
TRAIL, SERVICE = "/heartmap/prod/trail", "/heartmap/prod/api"


def of_function(purpose: str) -> str:
    return f"/aws/lambda/heartmap-prod-{purpose}"


def record(event: str, decision: str = "allow", reason: str = "done", **fields: Any) -> str:
    return open_line(event, decision, reason, **fields) + "}"


def request(status: int = 200, *, route: str = "/analyses", answered: bool = True, error: str = "-") -> str:
    """A line of the gateway."""
    integration = str(status) if answered else "-"
    return json.dumps({"method": "GET", "route": route, "status": str(status), "integration_status": integration, "error": error})


SEAL = record("seal", action="seal", reason="sealed", gaps=0)


def refusal(reason: str) -> tuple[str, str]:
    return of_function("authorizer"), record("authorization", "unauthenticated", reason)


def changed(service: str, event: str, **fields: Any) -> tuple[str, str]:
    return TRAIL, json.dumps({"eventSource": f"{service}.amazonaws.com", "eventName": event, **fields})


# A line that each alarm counts, and its log group.
LINES: dict[str, tuple[str, str]] = {
    "refused-burst": refusal("key_unknown"),
    "forged-tokens": refusal("token_signature"),
    "key-misuse": refusal("key_secret"),
    "key-new-network": (of_function("sealing"), record("suspicion", reason="key_new_network")),
    "unusual-downloads": (of_function("sealing"), record("suspicion", reason="unusual_downloads")),
    "service-config": (SERVICE, record("service", action="config_changed")),
    "users-changed": (of_function("users"), record("users", action="change")),
    "keys-changed": (of_function("keys"), record("keys", action="create")),
    "audit-gap": (of_function("sealing"), record("seal", action="seal", reason="gaps", gaps=1)),
    "break-glass-used": changed(
        "sts", "AssumeRole", requestParameters={"roleArn": "arn:aws:iam::123456789012:role/heartmap-prod-break-glass"}
    ),
    "authorizer-faults": (ACCESS, request(500, answered=False, error="AUTHORIZER_FAILURE")),
    "api-5xx": (ACCESS, request(504, answered=False, route="/users", error="INTEGRATION_TIMEOUT")),
    "api-deployment": (ACCESS, request(500)),
    "service-5xx": (ACCESS, request(503)),
    "balancer-5xx": (ACCESS, request(502, answered=False, error="INTEGRATION_FAILURE")),
    "authorizer-limit": (of_function("authorizer"), f"RequestId: 2f1 {THROTTLED}"),
    "blocked-burst": (WAF, json.dumps({"action": "BLOCK"})),
    **{
        f"{purpose}-errors": (of_function(purpose), "[ERROR] ClientError: it failed")
        for purpose in ("token", "keys", "users", "audit", "sealing", "rotation")
    },
    "denied-calls": changed("s3", "GetObject", errorCode="AccessDenied", sourceIPAddress="192.0.2.1"),
    "sign-in-no-mfa": changed(
        "signin",
        "ConsoleLogin",
        additionalEventData={"MFAUsed": "No"},
        userIdentity={"type": "IAMUser"},
        responseElements={"ConsoleLogin": "Success"},
    ),
    "root-use": changed("iam", "CreateAccessKey", userIdentity={"type": "Root"}, eventType="AwsApiCall"),
    "iam-changes": changed("iam", "AttachRolePolicy"),
    "trail-changes": changed("cloudtrail", "StopLogging"),
    "failed-sign-ins": changed("signin", "ConsoleLogin", errorMessage="Failed authentication"),
    "key-deletion": changed("kms", "ScheduleKeyDeletion"),
    "bucket-policies": changed("s3", "PutBucketPolicy"),
    "config-changes": changed("config", "StopConfigurationRecorder"),
    "security-groups": changed("ec2", "AuthorizeSecurityGroupIngress"),
    "network-acls": changed("ec2", "DeleteNetworkAclEntry"),
    "gateways": changed("ec2", "AttachInternetGateway"),
    "route-tables": changed("ec2", "CreateRoute"),
    "vpcs": changed("ec2", "CreateVpcPeeringConnection"),
    "organization": changed("organizations", "LeaveOrganization"),
}
# A value that each of these alarms takes for wrong, of metrics that no log has.
VALUES = {
    "unhealthy-hosts": 1.0,
    "no-healthy-hosts": 0.0,
    "queue-age": 4.0 * HOUR,
    "dead-letters": 1.0,
    "balancer-expiry": 20.0,
    "api-expiry": 20.0,
}
GOOD = {"no-healthy-hosts": 2.0, "balancer-expiry": 60.0, "api-expiry": 60.0}
OTHERWISE = {"sealing-stopped", "traffic-anomaly", "refusals-anomaly"}
"""What an attack on them is, their tests say."""

Lines = dict[str, list[tuple[float, str]]]


def seen(lines: Lines) -> History:
    """What CloudWatch would have measured of these lines."""
    found = History()
    metrics.counted(FILTERS, lines, found)
    counts = {ALARMS[name].metric for name in ALARMS if ALARMS[name].metric.namespace == "heartmap/prod"}
    metrics.logged({one.metric for one in ALARMS.values()} - counts, Logs(lines, ACCESS, WAF), found)
    return found


def quiet(begin: float, end: float) -> Lines:
    """What goes on whatever happens: seals."""
    lines: Lines = defaultdict(list)
    lines[of_function("sealing")] = [(moment, SEAL) for moment in range(int(begin), int(end), 5 * MINUTE)]
    return lines


def hold(found: History, name: str, value: float, begin: float, end: float) -> None:
    # CloudWatch gets a value a minute, of certificates one a day.
    every = max(MINUTE, ALARMS[name].seconds // 4)
    found.add(ALARMS[name].metric, [(moment, value) for moment in range(int(begin), int(end), every)])


def spoke_and_was_over(name: str, found: History, begin: float, end: float) -> None:
    """The alarm was silent before ``begin``, speaks within two of its windows and is over within two of them after ``end``."""
    one = ALARMS[name]
    window = 2 * max(one.window, MINUTE)
    told = list(changes(one, found, begin - HOUR, end + window + MINUTE))
    assert [what for _, what in told] == [OK, ALARM, OK], told
    assert begin < told[1][0] <= begin + window + MINUTE
    assert end < told[2][0] <= end + window + MINUTE


def test_every_alarm_has_an_attack() -> None:
    assert LINES.keys() | VALUES.keys() | OTHERWISE == ALARMS.keys()
    assert {one.name for one in CHANGE_ALARMS} <= LINES.keys()


@pytest.mark.parametrize("name", LINES)
def test_the_lines_of_an_attack_set_the_alarm_off_and_it_is_over_when_they_end(name: str) -> None:
    group, line = LINES[name]
    lines, needed = quiet(T0 - 2 * HOUR, T0 + HOUR), int(ALARMS[name].bound)
    lines[group] += [(T0 + number * 30 / needed, line) for number in range(needed)]
    spoke_and_was_over(name, seen(lines), T0, T0 + 30)
    lines[group] = lines[group][:-1]
    assert ALARM not in {what for _, what in changes(ALARMS[name], seen(lines), T0 - HOUR, T0 + HOUR)}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_is_wrong_sets_the_alarm_off_and_a_good_one_ends_it(name: str) -> None:
    one, found = ALARMS[name], History()
    good, end = GOOD.get(name, 0.0), T0 + 2 * ALARMS[name].window
    hold(found, name, good, T0 - HOUR - one.window, T0)
    hold(found, name, VALUES[name], T0, end)
    hold(found, name, good, end, end + 3 * max(one.window, HOUR))
    spoke_and_was_over(name, found, T0, end)


def test_a_sealer_that_stands_still_is_heard_of_until_it_goes_on() -> None:
    lines = quiet(T0 - 2 * HOUR, T0)
    lines[of_function("sealing")] += quiet(T0 + HOUR, T0 + 2 * HOUR)[of_function("sealing")]
    spoke_and_was_over("sealing-stopped", seen(lines), T0, T0 + HOUR)


@pytest.mark.parametrize(("name", "status"), [("traffic-anomaly", 200), ("refusals-anomaly", 403)])
def test_many_times_the_usual_traffic_is_heard_of(name: str, status: int) -> None:
    usual = random.Random(8)  # noqa: S311  # numbers that look like a day's, and the same ones each time
    lines = quiet(T0 - 2 * HOUR, T0 + HOUR)
    for quarter in range(-14 * 96, 8):
        moment = T0 + quarter * 15 * MINUTE
        lines[ACCESS] += [(moment + number, request(status)) for number in range(usual.randint(10, 30))]
    calm = seen(lines)
    assert {what for _, what in changes(ALARMS[name], calm, T0 - HOUR, T0 + HOUR)} == {OK}
    lines[ACCESS] += [(T0 + number, request(status)) for number in range(600)]
    lines[ACCESS].sort()
    spoke_and_was_over(name, seen(lines), T0, T0 + 600)


# --- what is measured


def test_each_service_measures_its_own() -> None:
    alarms = {name: ALARMS[name].metric for name in ("api-5xx", "service-5xx", "balancer-5xx", "keys-errors")}
    lines: Lines = {
        ACCESS: [
            (1, request(200)),
            (2, request(500)),
            (3, request(502, answered=False, error="INTEGRATION_FAILURE")),
            (4, request(502, answered=False, route="/keys", error="INTEGRATION_FAILURE")),
            (5, request(500, answered=False, error="AUTHORIZER_FAILURE")),
        ],
        of_function("keys"): [(6, record("keys", action="list")), (7, "2f1 Task timed out after 10.00 seconds")],
    }
    found = seen(lines)
    counts = {name: sum(found.values(metric, 0, 10)) for name, metric in alarms.items()}
    assert counts == {"api-5xx": 4, "service-5xx": 1, "balancer-5xx": 1, "keys-errors": 1}
    # Of what does not happen there are values as well: it is usual that there are none.
    assert len(found.values(alarms["api-5xx"], 0, 10)) == 5


@pytest.fixture
def health() -> Iterator[tuple[dict[str, Any], HTTPServer]]:
    """A target group with a target that answers 200, and the target's server."""

    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, format: str, *_: Any) -> None: ...  # noqa: A002  # the base class's name

    server = HTTPServer(("127.0.0.1", 0), Healthy)
    Thread(target=server.serve_forever, daemon=True).start()
    group = {
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPath": "/healthz",
        "HealthCheckTimeoutSeconds": 1,
        "Matcher": {"HttpCode": "200"},
    }
    yield group, server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "answers", "healthy"),
    [("/healthz", True, 1.0), ("/elsewhere", True, 0.0), ("/healthz", False, 0.0)],
    ids=["healthy", "wrong status", "no answer"],
)
def test_a_target_is_healthy_that_answers_its_health_check(
    health: tuple[dict[str, Any], HTTPServer], path: str, answers: bool, healthy: float
) -> None:
    group, server = health
    if not answers:
        # The connection is taken, and nothing comes.
        server.shutdown()
    elb = SimpleNamespace(
        describe_target_groups=lambda **_: {"TargetGroups": [group | {"HealthCheckPath": path}]},
        describe_target_health=lambda **_: {
            "TargetHealthDescriptions": [{"Target": {"Id": "127.0.0.1", "Port": server.server_port}}]
        },
    )
    measured = {
        name: metrics.standing(Metric("AWS/ApplicationELB", name), lambda _: elb, {"target_group_arn": ""}, 0)
        for name in ("HealthyHostCount", "UnHealthyHostCount")
    }
    assert measured == {"HealthyHostCount": healthy, "UnHealthyHostCount": 1 - healthy}


def test_what_a_schedule_calls_goes_on_being_called_and_what_none_calls_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    one = ALARMS["sealing-stopped"]
    function = dict(one.metric.dimensions)["FunctionName"]
    call = Call("r", "", 5 * MINUTE, f"arn:aws:lambda:us-east-1:123456789012:function:{function}", None)
    for enabled, expected in (([call], OK), ([], ALARM)):
        found = History()
        found.add(one.metric, [(T0, 1.0)])
        monkeypatch.setattr(scheduler, "calls", lambda *_, enabled=enabled: enabled)
        metrics.scheduled(lambda _: None, T0, T0 + HOUR, found)
        assert state(one, found, T0 + HOUR) == expected


def test_what_stands_well_has_stood_well_and_its_silence_before_is_no_alarm() -> None:
    one, found = ALARMS["no-healthy-hosts"], History()
    metrics.lasting(one, GOOD["no-healthy-hosts"], found, T0)
    assert {what for _, what in changes(one, found, T0 - HOUR, T0)} == {OK}


def test_of_a_metric_of_which_nothing_is_known_nothing_is_made_up() -> None:
    unknown = Metric("AWS/EC2", "CPUUtilization")
    assert metrics.logged([unknown], Logs({}, ACCESS, WAF), History()) == [unknown]
    with pytest.raises(Unmeasured, match="CPUUtilization"):
        metrics.standing(unknown, lambda _: None, {}, 0)
