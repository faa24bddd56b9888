"""ECS, ECR and the load balancer in front of the tasks."""

import json
import re
from collections.abc import Callable, Iterable

from posture.controls.registry import at, control, covers, each
from posture.plan import Plan

SERVICE, TASK = "ecs/service:Service", "ecs/taskDefinition:TaskDefinition"
CLUSTER, REPOSITORY = "ecs/cluster:Cluster", "ecr/repository:Repository"
BALANCER, LISTENER, TARGETS = "lb/loadBalancer:LoadBalancer", "lb/listener:Listener", "lb/targetGroup:TargetGroup"

TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-FIPS-PQ-2025-09"
SECRET_NAME = re.compile(r"(?i)(password|passwd|secret|token|credential|private|assertion_key|pepper|api_?key)")
NO_SECRET = {"HEARTMAP_API_KEYS_TABLE"}


def each_container(plan: Plan, holds: Callable[[dict], object], wrong: str) -> Iterable[str]:
    """A finding for every container of every task definition that does not hold."""
    yield from each(plan, TASK, lambda task: json.loads(task.get("containerDefinitions") or "[]"), "has no container")
    for task in plan.of(TASK):
        for container in json.loads(task.inputs["containerDefinitions"]):
            if not holds(container):
                yield f"{task.id}/{container['name']}: {wrong}"


@control("46")
def tasks_have_no_public_address(plan: Plan) -> Iterable[str]:
    assigned = "networkConfiguration.assignPublicIp"
    return each(plan, SERVICE, lambda one: at(one, assigned) is False, "its tasks have public addresses")


@control("47")
def tasks_share_nothing_of_the_host(plan: Plan) -> Iterable[str]:
    def holds(task: dict) -> bool:
        own = task.get("networkMode") == "awsvpc" and "FARGATE" in task.get("requiresCompatibilities", [])
        return own and not task.get("pidMode") and not task.get("ipcMode")

    return each(plan, TASK, holds, "shares the host's network or processes")


@control("48")
def containers_are_unprivileged(plan: Plan) -> Iterable[str]:
    yield from each_container(
        plan,
        lambda one: not one.get("privileged") and at(one, "linuxParameters.capabilities.drop") == ["ALL"],
        "has privileges",
    )
    yield from each_container(plan, lambda one: re.fullmatch(r"[1-9]\d*:[1-9]\d*", one.get("user", "")), "runs as root")


@control("49")
def containers_cannot_change_themselves(plan: Plan) -> Iterable[str]:
    return each_container(plan, lambda one: one.get("readonlyRootFilesystem") is True, "its root file system can be written")


@control("50")
def no_secret_stands_in_an_environment(plan: Plan) -> Iterable[str]:
    def plain(variables: Iterable[str]) -> list[str]:
        return [name for name in variables if SECRET_NAME.search(name) and name not in NO_SECRET]

    yield from each_container(
        plan,
        lambda one: not plain(variable["name"] for variable in one.get("environment", [])),
        "a secret is in its environment",
    )
    api = [one for task in plan.of(TASK) for one in json.loads(task.inputs["containerDefinitions"]) if one["name"] == "api"]
    for container in api:
        secrets = {secret["name"]: secret["valueFrom"] for secret in container.get("secrets", [])}
        if not re.match(r"arn:aws:(Parameter|Secret|ssm|secretsmanager)", secrets.get("HEARTMAP_ASSERTION_KEYS", "")):
            yield "api: its assertion keys are no reference"


@control("51")
def containers_log_without_blocking(plan: Plan) -> Iterable[str]:
    def holds(container: dict) -> bool:
        options = at(container, "logConfiguration.options") or {}
        driver = at(container, "logConfiguration.logDriver")
        return driver == "awslogs" and options.get("mode") == "non-blocking" and bool(options.get("awslogs-group"))

    return each_container(plan, holds, "does not log, or waits for its log")


@control("52")
def the_platform_is_the_latest(plan: Plan) -> Iterable[str]:
    return each(plan, SERVICE, lambda one: one.get("platformVersion") == "LATEST", "its platform is not kept current")


@control("53")
def containers_are_watched(plan: Plan) -> Iterable[str]:
    insights = {"name": "containerInsights", "value": "enhanced"}
    return each(plan, CLUSTER, lambda one: insights in (one.get("settings") or []), "Container Insights is not enhanced")


@control("55")
def the_task_role_is_not_the_execution_role(plan: Plan) -> Iterable[str]:
    def holds(task: dict) -> bool:
        return bool(task.get("taskRoleArn")) and task["taskRoleArn"] != task.get("executionRoleArn")

    return each(plan, TASK, holds, "what runs may do what starts it may do")


@control("56")
def nobody_gets_a_shell_in_a_task(plan: Plan) -> Iterable[str]:
    return each(plan, SERVICE, lambda one: one.get("enableExecuteCommand") is False, "ECS Exec is on")


@control("57")
def a_bad_deployment_is_taken_back(plan: Plan) -> Iterable[str]:
    both = {"enable": True, "rollback": True}
    yield from each(plan, SERVICE, lambda one: one.get("deploymentCircuitBreaker") == both, "a bad deployment stays")
    alarms = {alarm.inputs.get("name") or alarm.name for alarm in plan.of("cloudwatch/metricAlarm:MetricAlarm")}

    def watched(service: dict) -> bool:
        named = at(service, "alarms.alarmNames") or []
        on = at(service, "alarms.enable") is True and at(service, "alarms.rollback") is True
        return on and bool(named) and set(named) <= alarms

    for service in plan.of(SERVICE):
        # Nothing calls the workers: what goes wrong there shows in the queue, whose alarm is for people.
        if service.inputs.get("loadBalancers") and not watched(service.inputs):
            yield f"{service.id}: no alarm takes a bad deployment back"


@control("58")
def images_are_scanned(plan: Plan) -> Iterable[str]:
    return each(plan, REPOSITORY, lambda one: at(one, "imageScanningConfiguration.scanOnPush") is True, "images are not scanned")


@control("59")
def images_do_not_change_and_old_ones_go(plan: Plan) -> Iterable[str]:
    yield from each(plan, REPOSITORY, lambda one: one.get("imageTagMutability") == "IMMUTABLE", "an image can be replaced")
    repositories = {one.inputs["name"] for one in plan.of(REPOSITORY)}
    yield from covers(plan, "ecr/lifecyclePolicy:LifecyclePolicy", "repository", repositories, "keeps images for ever")


@control("60")
def images_are_under_our_key(plan: Plan) -> Iterable[str]:
    keys = {f"arn:aws:{key.id}" for key in plan.of("kms/key:Key")}

    def holds(repository: dict) -> bool:
        configured = repository.get("encryptionConfigurations") or []
        return any(one.get("encryptionType") == "KMS" and one.get("kmsKey") in keys for one in configured)

    return each(plan, REPOSITORY, holds, "is under AWS's key")


@control("61")
def the_load_balancer_speaks_https_only(plan: Plan) -> Iterable[str]:
    return each(plan, LISTENER, lambda one: one.get("protocol") == "HTTPS" and one.get("port") == 443, "takes plain text")


@control("62")
def modern_tls_at_the_load_balancer(plan: Plan) -> Iterable[str]:
    return each(plan, LISTENER, lambda one: one.get("sslPolicy") == TLS_POLICY, "accepts weaker TLS")


@control("63")
def the_way_to_the_tasks_is_encrypted(plan: Plan) -> Iterable[str]:
    def holds(targets: dict) -> bool:
        return targets.get("protocol") == "HTTPS" and at(targets, "healthCheck.protocol") == "HTTPS"

    return each(plan, TARGETS, holds, "calls the tasks in plain text")


@control("64")
def invalid_headers_are_dropped(plan: Plan) -> Iterable[str]:
    return each(plan, BALANCER, lambda one: one.get("dropInvalidHeaderFields") is True, "passes invalid headers on")


@control("65")
def the_load_balancer_logs(plan: Plan) -> Iterable[str]:
    buckets = {bucket.inputs["bucket"] for bucket in plan.of("s3/bucket:Bucket")}

    def holds(balancer: dict) -> bool:
        return at(balancer, "accessLogs.enabled") is True and at(balancer, "accessLogs.bucket") in buckets

    return each(plan, BALANCER, holds, "has no access log")


@control("66")
def the_load_balancer_is_protected(plan: Plan) -> Iterable[str]:
    return each(plan, BALANCER, lambda one: one.get("enableDeletionProtection") is True, "can be deleted by mistake")


@control("67")
def ambiguous_requests_are_refused(plan: Plan) -> Iterable[str]:
    return each(plan, BALANCER, lambda one: one.get("desyncMitigationMode") == "strictest", "passes ambiguous requests on")


@control("68")
def the_load_balancer_is_internal_and_in_two_zones(plan: Plan) -> Iterable[str]:
    def holds(balancer: dict) -> bool:
        return balancer.get("internal") is True and len(set(balancer.get("subnets") or [])) > 1

    return each(plan, BALANCER, holds, "is public, or in one zone")
