"""What a stack costs a month: what is bought of each planned resource, at the list prices of prices.yaml.

A type that is neither priced here nor listed there as free is refused, so that nothing that costs money is forgotten. Jobs are
apart: workers run only while there is work, and the table says what an hour of one costs.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from infra.settings import Settings
from posture.controls.registry import at
from posture.plan import Plan, Registration

PRICES = Path(__file__).with_name("prices.yaml")

LIMITS = {"dev": 80.0, "prod": 265.0}
"""What a month may cost, jobs apart, in US dollars."""

HOURS_IN_A_WEEK = 168
MILLION = 1_000_000
EVERY_TASKS_DISK_GB = 20
AUTHORIZER_SECONDS = 0.02


class CostError(Exception):
    """The cost of a plan cannot be told. The text names what is missing in prices.yaml or costs.py."""


@dataclass(frozen=True)
class Line:
    """So much of one price for one resource. ``quantity`` is in the price's unit and for a month."""

    resource: str
    price: str
    quantity: float


@dataclass(frozen=True)
class Use:
    """What a month of the stack is: its hours, and what is assumed of its use."""

    stack: str
    settings: Settings
    hours: float
    working_hours: float
    assumed: dict[str, float]


@cache
def book() -> dict[str, Any]:
    """prices.yaml."""
    return yaml.safe_load(PRICES.read_text(encoding="utf-8"))


def use_of(plan: Plan) -> Use:
    """A month of a stack: all hours, and those in which its people work."""
    hours, schedule = float(book()["hours_per_month"]), plan.settings.working_hours
    working = hours
    if schedule is not None:
        day = (schedule.stop.hour - schedule.start.hour) + (schedule.stop.minute - schedule.start.minute) / 60
        working = _days(schedule.days) * day * hours / HOURS_IN_A_WEEK
    assumed = {key: float(value[plan.stack]) for key, value in book()["assumptions"].items()}
    return Use(plan.stack, plan.settings, hours, working, assumed)


def _days(days: str) -> int:
    week = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]
    first, _, last = days.partition("-")
    return week.index(last or first) - week.index(first) + 1


Amount = tuple[str, float]
"""The key of a price, and how much is bought at it, in its unit."""


@dataclass(frozen=True)
class Item:
    """A planned resource, with the plan and the month that it is in."""

    resource: Registration
    plan: Plan
    use: Use

    @property
    def inputs(self) -> dict[str, Any]:
        return self.resource.inputs

    @property
    def name(self) -> str:
        return self.resource.name


Pricer = Callable[[Item], Iterable[Amount]]
PRICED: dict[str, Pricer] = {}


def _prices(*types: str) -> Callable[[Pricer], Pricer]:
    def register(pricer: Pricer) -> Pricer:
        PRICED.update(dict.fromkeys(types, pricer))
        return pricer

    return register


@_prices("ec2/vpcEndpoint:VpcEndpoint")
def _endpoint(item: Item) -> Iterator[Amount]:
    if item.inputs["vpcEndpointType"] == "Interface":
        yield "interface_endpoint", len(item.inputs["subnetIds"]) * item.use.hours


@_prices("ec2/vpc:Vpc")
def _network(item: Item) -> Iterator[Amount]:
    yield "interface_endpoint_data", item.use.assumed["endpoint_gb"]


@_prices("route53/zone:Zone")
def _zone(_: Item) -> Iterator[Amount]:
    yield "private_zone", 1


@_prices("lb/loadBalancer:LoadBalancer")
def _balancer(item: Item) -> Iterator[Amount]:
    yield "load_balancer", item.use.hours
    yield "load_balancer_capacity", item.use.assumed["lcu"] * item.use.hours


@_prices("ecs/service:Service")
def _service(item: Item) -> Iterator[Amount]:
    always, hours = _tasks(item.resource, item.use)
    if always:
        yield from ((price, always * hours * quantity) for price, quantity in _task_hour(item.resource, item.plan))


def _tasks(service: Registration, use: Use) -> tuple[int, float]:
    """How many tasks of a service are there, and for how many hours; those beyond are jobs or load."""
    if service.name == "api":
        return use.settings.api_tasks_min, use.working_hours
    return use.settings.worker_tasks_min, use.hours


def _task_hour(service: Registration, plan: Plan) -> Iterator[Amount]:
    """What an hour of a task of a service buys."""
    definition = next(
        one for one in plan.of("ecs/taskDefinition:TaskDefinition") if one.id in str(service.inputs["taskDefinition"])
    )
    if at(definition.inputs, "runtimePlatform.cpuArchitecture") != "ARM64":
        raise CostError(f"{definition.id} is not for ARM, for which there is no price in prices.yaml")
    yield "fargate_arm_vcpu", int(definition.inputs["cpu"]) / 1024
    yield "fargate_arm_memory", int(definition.inputs["memory"]) / 1024
    disk = at(definition.inputs, "ephemeralStorage.sizeInGib") or EVERY_TASKS_DISK_GB
    if disk > EVERY_TASKS_DISK_GB:
        yield "fargate_disk", disk - EVERY_TASKS_DISK_GB


@_prices("ecs/cluster:Cluster")
def _cluster(item: Item) -> Iterator[Amount]:
    insights = {one["name"]: one["value"] for one in item.inputs.get("settings") or []}.get("containerInsights")
    if insights in (None, "disabled"):
        return
    services = item.plan.of("ecs/service:Service")
    # A metric is paid for by the hour in which it has data: the cluster and services always, tasks and containers while they run.
    running = sum(2 * tasks * hours / item.use.hours for tasks, hours in (_tasks(one, item.use) for one in services))
    price = "container_insights" if insights == "enhanced" else "metric"
    yield price, (1 + len(services) + running) * item.use.assumed["insights_each"]


@_prices("ecr/repository:Repository")
def _images(item: Item) -> Iterator[Amount]:
    yield "ecr_storage", item.use.assumed["image_gb"]


@_prices("wafv2/webAcl:WebAcl")
def _web_acl(item: Item) -> Iterator[Amount]:
    yield "web_acl", 1
    yield "web_acl_rule", len(item.inputs["rules"])
    yield "web_acl_requests", item.use.assumed["requests"] / MILLION


@_prices("apigateway/restApi:RestApi")
def _api(item: Item) -> Iterator[Amount]:
    yield "api_requests", item.use.assumed["requests"] / MILLION


@_prices("apigateway/methodSettings:MethodSettings")
def _method_metrics(item: Item) -> Iterator[Amount]:
    # Count, 4XXError, 5XXError, Latency and IntegrationLatency of a method, in the hours in which it is called.
    if at(item.inputs, "settings.metricsEnabled"):
        own = len(item.plan.of("apigateway/methodSettings:MethodSettings")) - 1
        methods = len(item.plan.of("apigateway/method:Method")) - own if item.inputs["methodPath"] == "*/*" else 1
        yield "metric", 5 * methods * item.use.working_hours / item.use.hours


@_prices("lambda/function:Function")
def _function(item: Item) -> Iterator[Amount]:
    # The authorizer is called for each request, the others so seldom that it does not show.
    if item.name == "authorizer":
        gigabytes = item.inputs["memorySize"] / 1024
        yield "lambda_requests", item.use.assumed["requests"] / MILLION
        yield "lambda_duration", item.use.assumed["requests"] * AUTHORIZER_SECONDS * gigabytes
        if at(item.inputs, "tracingConfig.mode") == "Active":
            yield "trace", item.use.assumed["requests"] * item.use.assumed["trace_share"] / MILLION


@_prices("kms/key:Key")
def _key(item: Item) -> Iterator[Amount]:
    yield "kms_key", 1
    yield "kms_requests", item.use.assumed["kms_calls"] / MILLION


@_prices("secretsmanager/secret:Secret")
def _secret(_: Item) -> Iterator[Amount]:
    yield "secret", 1


@_prices("cognito/userPool:UserPool")
def _pool(item: Item) -> Iterator[Amount]:
    tier = item.inputs.get("userPoolTier", "ESSENTIALS").lower()
    yield f"cognito_{tier}", item.use.assumed["users"]


@_prices("cognito/userPoolClient:UserPoolClient")
def _client(item: Item) -> Iterator[Amount]:
    if "client_credentials" in item.inputs.get("allowedOauthFlows", []):
        yield "cognito_program", 1


@_prices("dynamodb/table:Table")
def _table(item: Item) -> Iterator[Amount]:
    share = 1 / len(item.plan.of("dynamodb/table:Table"))
    yield "dynamodb_reads", 2 * item.use.assumed["requests"] * share / MILLION
    yield "dynamodb_writes", item.use.assumed["requests"] * share / MILLION
    yield "dynamodb_storage", item.use.assumed["database_gb"] * share


@_prices("s3/bucket:Bucket")
def _bucket(item: Item) -> Iterator[Amount]:
    if item.name == "uploads":
        yield "s3_storage", item.use.assumed["uploads_gb"]
    elif item.name in ("logs", "audit"):
        yield "s3_storage", item.use.assumed["logs_gb"]
        yield "s3_puts", item.use.hours * 12 / MILLION


@_prices("sqs/queue:Queue")
def _queue(item: Item) -> Iterator[Amount]:
    # Workers that wait ask every 20 seconds; nobody asks a dead-letter queue.
    if item.inputs.get("redrivePolicy"):
        yield "sqs_requests", item.use.hours * 3600 / 20 * max(1, item.use.settings.worker_tasks_min) / MILLION


@_prices("cloudwatch/logGroup:LogGroup")
def _logs(item: Item) -> Iterator[Amount]:
    share = item.use.assumed["logs_gb"] / len(item.plan.of("cloudwatch/logGroup:LogGroup"))
    yield "log_ingestion", share
    yield "log_storage", share * max(1.0, item.inputs["retentionInDays"] * 24 / item.use.hours)


@_prices("cloudwatch/metricAlarm:MetricAlarm")
def _alarm(item: Item) -> Iterator[Amount]:
    # Each metric that it is on; a band that was learned has an upper and a lower bound, which are one metric each.
    queries = item.inputs.get("metricQueries") or []
    metrics = sum("metric" in one for one in queries)
    bands = sum("ANOMALY_DETECTION_BAND" in one.get("expression", "") for one in queries)
    yield "alarm", max(1, metrics + 2 * bands)


@_prices("cloudwatch/dashboard:Dashboard")
def _dashboard(_: Item) -> Iterator[Amount]:
    yield "dashboard", 1


@_prices("cloudwatch/compositeAlarm:CompositeAlarm")
def _composite(_: Item) -> Iterator[Amount]:
    yield "alarm", 5


@_prices("cloudwatch/logMetricFilter:LogMetricFilter")
def _filter(item: Item) -> Iterator[Amount]:
    # A metric without a default value has data only in the hours in which something was found.
    always = at(item.inputs, "metricTransformation.defaultValue") is not None
    yield "metric", 1 if always else 0.05


@_prices("cloudtrail/trail:Trail")
def _trail(item: Item) -> Iterator[Amount]:
    # The first copy of management events costs nothing.
    if item.inputs.get("eventSelectors") or item.inputs.get("advancedEventSelectors"):
        yield "trail_data_events", item.use.assumed["data_events"] / MILLION
    if item.inputs.get("insightSelectors"):
        yield "trail_insights", item.use.assumed["data_events"] / MILLION


@_prices("autoscaling/group:Group")
def _bastion(item: Item) -> Iterator[Amount]:
    template = item.plan.one("ec2/launchTemplate:LaunchTemplate").inputs
    kind, hours = template["instanceType"], item.use.working_hours
    yield re.sub(r"\W", "_", kind), hours
    for disk in template["blockDeviceMappings"]:
        yield "ebs_gp3", at(disk, "ebs.volumeSize") * hours / item.use.hours
    if at(template, "monitoring.enabled"):
        yield "detailed_monitoring", hours / item.use.hours


@_prices("ec2clientvpn/networkAssociation:NetworkAssociation")
def _vpn(item: Item) -> Iterator[Amount]:
    yield "vpn_association", item.use.hours


@_prices("guardduty/malwareProtectionPlan:MalwareProtectionPlan")
def _scan(item: Item) -> Iterator[Amount]:
    yield "malware_scan_data", item.use.assumed["scanned_gb"]


@_prices("guardduty/detector:Detector")
def _detector(item: Item) -> Iterator[Amount]:
    yield "guardduty_events", item.use.assumed["data_events"] / MILLION


@_prices("cfg/recorder:Recorder")
def _recorder(item: Item) -> Iterator[Amount]:
    yield "config_items", len(item.plan.resources)


def lines(plan: Plan) -> list[Line]:
    """What a month of a stack buys. Raises CostError for a resource type of which nobody has said what it costs."""
    free = {type_ for types in book()["free"].values() for type_ in types}
    use, bought = use_of(plan), []
    for resource in plan.resources:
        type_ = resource.type.removeprefix("aws:")
        if resource.type.startswith(("pulumi:", "heartmap:")) or type_ in free:
            continue
        if type_ not in PRICED:
            raise CostError(
                f"{resource.type} has no price: say in posture/costs.py what it buys, or in prices.yaml that it is free"
            )
        bought += [Line(resource.id, price, quantity) for price, quantity in PRICED[type_](Item(resource, plan, use))]
    bought += _given(bought)
    unknown = sorted({line.price for line in bought} - set(book()["prices"]))
    if unknown:
        raise CostError(f"prices.yaml has no {', '.join(unknown)}")
    return bought


def _given(bought: Iterable[Line]) -> Iterator[Line]:
    """What AWS takes nothing for, every month and not for a first year alone: an account holds one stack (docs/cost.md)."""
    for price, given in book()["always_given"].items():
        quantity = sum(line.quantity for line in bought if line.price == price)
        if quantity:
            yield Line("given by AWS", price, -min(quantity, given["quantity"]))


def usd(line: Line) -> float:
    """What a line costs a month."""
    return line.quantity * book()["prices"][line.price]["usd"]


def total(plan: Plan) -> float:
    """What a stack costs a month, jobs apart."""
    return sum(usd(line) for line in lines(plan))


def job_hour(plan: Plan) -> float:
    """What an hour of one worker costs."""
    worker = plan.one("ecs/service:Service", "worker")
    return sum(quantity * book()["prices"][price]["usd"] for price, quantity in _task_hour(worker, plan))
