import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from heartmap_service.settings import ApiSettings, WorkerSettings, load

ROOT = Path(__file__).resolve().parents[2]

COMMON = {
    "AWS_REGION", "HEARTMAP_ENVIRONMENT", "HEARTMAP_STAGE", "HEARTMAP_INTERNAL_HOST", "HEARTMAP_UPLOADS_BUCKET",
    "HEARTMAP_RESULTS_BUCKET", "HEARTMAP_JOBS_TABLE", "HEARTMAP_CONFIG_TABLE", "HEARTMAP_QUEUE_URL", "HEARTMAP_MAX_UPLOAD_BYTES",
    "HEARTMAP_JOB_MEMORY_BYTES", "HEARTMAP_LOG_LEVEL", "HEARTMAP_WORKER_CPU", "HEARTMAP_WORKER_MEMORY",
}  # fmt: skip
OF_ONE_TASK = {
    "api": {"HEARTMAP_QUOTA_QUEUED_JOBS", "HEARTMAP_QUOTA_JOBS_PER_DAY", "HEARTMAP_QUOTA_UPLOAD_BYTES_PER_DAY"},
    "worker": set(),
}
IN_A_CONTAINER = {"HEARTMAP_BIND_ADDRESS", "HEARTMAP_PORT", "HEARTMAP_SCRATCH_DIR"}


def containers(plan: Any) -> dict[str, dict[str, Any]]:
    found = {}
    for task in plan.of("ecs/taskDefinition:TaskDefinition"):
        (container,) = json.loads(task.inputs["containerDefinitions"])
        found[task.name] = container
    return found


def test_tasks_have_no_public_address_no_shell_and_their_own_security_group(plan: Any) -> None:
    services = {service.name: service.inputs for service in plan.of("ecs/service:Service")}
    assert set(services) == {"api", "worker"}
    for name, service in services.items():
        assert service["networkConfiguration"]["assignPublicIp"] is False
        assert service["networkConfiguration"]["securityGroups"] == [f"SecurityGroup/network-{name}"]
        assert service["enableExecuteCommand"] is False
        assert service["platformVersion"] == "LATEST"


def test_a_deployment_starts_the_new_tasks_before_it_ends_the_old_ones_and_goes_back_when_they_fail(plan: Any) -> None:
    for service in plan.of("ecs/service:Service"):
        assert service.inputs["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
        assert (service.inputs["deploymentMinimumHealthyPercent"], service.inputs["deploymentMaximumPercent"]) == (100, 200)


def test_a_deployment_of_the_api_is_rolled_back_when_its_tasks_answer_with_faults(plan: Any) -> None:
    api = plan.one("ecs/service:Service", "api")
    alarm = plan.one("cloudwatch/metricAlarm:MetricAlarm", "api-deployment")
    assert api.inputs["alarms"] == {"enable": True, "rollback": True, "alarmNames": [alarm.inputs["name"]]}
    # ECS refuses an alarm that does not exist.
    assert alarm.urn in api.dependencies
    assert alarm.inputs["metricName"] == "HTTPCode_Target_5XX_Count"
    assert alarm.inputs["dimensions"] == {
        "LoadBalancer": "LoadBalancer/balancer/arnSuffix",
        "TargetGroup": "TargetGroup/balancer/arnSuffix",
    }
    assert alarm.inputs["alarmActions"] == ["arn:aws:Topic/alarms"]
    assert "alarms" not in plan.one("ecs/service:Service", "worker").inputs


def test_a_service_begins_with_the_fewest_tasks_and_leaves_their_number_to_scaling_from_then_on(plan: Any) -> None:
    for name, least in (("api", plan.settings.api_tasks_min), ("worker", plan.settings.worker_tasks_min)):
        service = plan.one("ecs/service:Service", name)
        assert service.inputs["desiredCount"] == least
        assert service.ignored == ["desiredCount"]


def test_no_worker_is_moved_to_another_zone_in_the_middle_of_its_job(plan: Any) -> None:
    assert plan.one("ecs/service:Service", "api").inputs["availabilityZoneRebalancing"] == "ENABLED"
    assert plan.one("ecs/service:Service", "worker").inputs["availabilityZoneRebalancing"] == "DISABLED"


def test_the_cluster_is_observed_container_by_container(plan: Any) -> None:
    assert plan.one("ecs/cluster:Cluster").inputs["settings"] == [{"name": "containerInsights", "value": "enhanced"}]


def statements(plan: Any, policy: str) -> dict[str, dict[str, Any]]:
    document = json.loads(plan.one("iam/policy:Policy", policy).inputs["policy"])
    return {statement["Sid"]: statement for statement in document["Statement"]}


def test_a_worker_may_protect_the_tasks_of_its_own_cluster_and_the_api_none(plan: Any) -> None:
    protection = statements(plan, "worker-task")["Protection"]
    assert protection["Action"] == ["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"]
    assert protection["Resource"] == [f"arn:aws:ecs:us-east-1:123456789012:task/heartmap-{plan.stack}/*"]
    assert not [action for one in statements(plan, "api-task").values() for action in one["Action"] if action.startswith("ecs:")]


def test_the_api_may_send_work_and_call_the_queue_and_take_nothing_from_it(plan: Any) -> None:
    assert statements(plan, "api-task")["Queue"]["Action"] == ["sqs:GetQueueAttributes", "sqs:SendMessage"]


def test_only_what_starts_the_api_reads_the_assertion_keys_and_decrypts_nothing_else_of_that_key(plan: Any) -> None:
    parameter = plan.one("ssm/parameter:Parameter", "service")
    arn = containers(plan)["api"]["secrets"][0]["valueFrom"]
    assert arn == f"arn:aws:{parameter.id}"
    starts = statements(plan, "api-execution")
    assert (starts["Secrets"]["Action"], starts["Secrets"]["Resource"]) == (["ssm:GetParameters"], [arn])
    assert starts["SecretsKey"] == {
        "Sid": "SecretsKey",
        "Effect": "Allow",
        "Action": ["kms:Decrypt"],
        "Resource": ["arn:aws:Key/secrets"],
        "Condition": {"StringEquals": {"kms:EncryptionContext:PARAMETER_ARN": [arn]}},
    }
    for policy in ("worker-execution", "api-task", "worker-task"):
        assert not [action for one in statements(plan, policy).values() for action in one["Action"] if "ssm" in action]


def test_the_tasks_log_as_much_as_the_settings_say(run: Callable[..., Any]) -> None:
    plan = run("dev", {"heartmap:log_level": "DEBUG"})
    for container in containers(plan).values():
        assert {"name": "HEARTMAP_LOG_LEVEL", "value": "DEBUG"} in container["environment"]


def test_nothing_leads_to_the_worker(plan: Any) -> None:
    assert "loadBalancers" not in plan.one("ecs/service:Service", "worker").inputs
    assert "portMappings" not in containers(plan)["worker"]


def test_containers_run_unprivileged_on_a_read_only_file_system(plan: Any) -> None:
    for container in containers(plan).values():
        assert container["readonlyRootFilesystem"] is True
        assert container["user"] == "10001:10001"
        assert container["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}
        assert "privileged" not in container
        assert [(mount["containerPath"], mount["readOnly"]) for mount in container["mountPoints"]] == [("/scratch", False)]
        assert 30 <= container["stopTimeout"] <= 120


def test_tasks_are_arm_fargate_and_their_role_is_not_the_one_that_starts_them(plan: Any) -> None:
    for task in plan.of("ecs/taskDefinition:TaskDefinition"):
        assert task.inputs["requiresCompatibilities"] == ["FARGATE"]
        assert task.inputs["runtimePlatform"]["cpuArchitecture"] == "ARM64"
        assert task.inputs["taskRoleArn"] != task.inputs["executionRoleArn"]
        assert (task.inputs["taskRoleArn"], task.inputs["executionRoleArn"]) == (
            f"arn:aws:Role/{task.name}-task",
            f"arn:aws:Role/{task.name}-execution",
        )


def test_the_environment_is_exactly_what_the_service_reads(plan: Any) -> None:
    expected = COMMON if plan.stack == "local" else COMMON | IN_A_CONTAINER
    for name, container in containers(plan).items():
        assert {variable["name"] for variable in container["environment"]} == expected | OF_ONE_TASK[name]
        assert all(variable["value"] for variable in container["environment"])


def test_quotas_imports_and_the_workers_size_reach_the_tasks_as_the_settings_say(run: Callable[..., Any]) -> None:
    quotas = {"quota_queued_jobs": "3", "quota_jobs_per_day": "7", "quota_upload_bytes_per_day": "6000000000"}
    given = {f"heartmap:{key}": value for key, value in quotas.items()} | {"heartmap:import_buckets": '["atlas", "labdata"]'}
    plan = run("dev", given)
    for name, container in containers(plan).items():
        environment = {variable["name"]: variable["value"] for variable in container["environment"]}
        assert environment["HEARTMAP_IMPORT_BUCKETS"] == "atlas,labdata"
        assert environment["HEARTMAP_WORKER_CPU"] == str(plan.settings.worker_cpu)
        assert environment["HEARTMAP_WORKER_MEMORY"] == str(plan.settings.worker_memory)
        told = {key: value for key, value in environment.items() if key.startswith("HEARTMAP_QUOTA_")}
        assert told == ({f"HEARTMAP_{key.upper()}": value for key, value in quotas.items()} if name == "api" else {})


def test_the_service_reads_every_variable_that_its_tasks_are_given(run: Callable[..., Any], monkeypatch: Any) -> None:
    keys = json.dumps({"assertion_keys": {"k1": base64.b64encode(bytes(32)).decode("ascii")}})
    plan = run("dev", {"heartmap:import_buckets": '["atlas"]'})
    for name, kind in (("api", ApiSettings), ("worker", WorkerSettings)):
        environment = {variable["name"]: variable["value"] for variable in containers(plan)[name]["environment"]}
        read = {f"HEARTMAP_{field.upper()}" for field in kind.model_fields}
        further = {"AWS_REGION", *(IN_A_CONTAINER | {"HEARTMAP_STAGE", "HEARTMAP_INTERNAL_HOST"} if name == "worker" else ())}
        assert set(environment) - read <= further
        with monkeypatch.context() as told:
            for key, value in environment.items():
                told.setenv(key, value)
            told.setenv("HEARTMAP_ASSERTION_KEYS", keys)
            settings = load(kind)
        assert settings.import_buckets == {"atlas"}
        assert settings.worker_memory == plan.settings.worker_memory


def test_the_api_gets_the_assertion_keys_by_reference_and_the_worker_gets_none(plan: Any) -> None:
    assert containers(plan)["api"]["secrets"] == [{"name": "HEARTMAP_ASSERTION_KEYS", "valueFrom": "arn:aws:Parameter/service"}]
    assert containers(plan)["worker"]["secrets"] == []


def test_logs_never_hold_a_container_up(plan: Any) -> None:
    for name, container in containers(plan).items():
        options = container["logConfiguration"]["options"]
        assert (options["mode"], options["max-buffer-size"]) == ("non-blocking", "25m")
        assert options["awslogs-group"] == f"/heartmap/{plan.stack}/{name}"


def test_the_load_balancer_is_internal_and_speaks_tls_on_both_sides(plan: Any) -> None:
    balancer = plan.one("lb/loadBalancer:LoadBalancer").inputs
    assert balancer["internal"] is True
    assert balancer["dropInvalidHeaderFields"] is True
    assert balancer["securityGroups"] == ["SecurityGroup/network-balancer"]
    listener = plan.one("lb/listener:Listener").inputs
    assert (listener["protocol"], listener["port"]) == ("HTTPS", 443)
    assert listener["sslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-Res-FIPS-PQ-2025-09"
    targets = plan.one("lb/targetGroup:TargetGroup").inputs
    assert (targets["protocol"], targets["targetType"]) == ("HTTPS", "ip")
    assert (targets["healthCheck"]["protocol"], targets["healthCheck"]["path"]) == ("HTTPS", "/healthz")


def test_the_load_balancer_records_requests_and_connections(plan: Any) -> None:
    balancer = plan.one("lb/loadBalancer:LoadBalancer").inputs
    bucket = plan.one("s3/bucket:Bucket", "logs").inputs["bucket"]
    for logs in ("accessLogs", "connectionLogs"):
        assert balancer[logs] == {"bucket": bucket, "prefix": "load-balancer", "enabled": True}


def test_the_api_service_waits_for_the_listener(plan: Any) -> None:
    assert plan.one("lb/listener:Listener").urn in plan.one("ecs/service:Service", "api").dependencies


def test_no_task_starts_before_its_ways_to_the_aws_services_are_there(plan: Any) -> None:
    ways = {
        resource.urn
        for resource in plan.resources
        if resource.type in {"aws:ec2/vpcEndpoint:VpcEndpoint", "aws:ec2/routeTableAssociation:RouteTableAssociation"}
        or resource.type.startswith("aws:vpc/securityGroup")
    }
    for service in plan.of("ecs/service:Service"):
        assert ways <= set(service.dependencies)


def test_a_worker_has_room_for_the_largest_upload_and_what_an_analysis_makes_of_it(plan: Any, run: Callable[..., Any]) -> None:
    def room(plan: Any) -> int:
        return plan.one("ecs/taskDefinition:TaskDefinition", "worker").inputs["ephemeralStorage"]["sizeInGib"]

    assert 11 * plan.settings.max_upload_bytes / 1024**3 + 20 <= room(plan) <= 200
    assert room(run(plan.stack, {"heartmap:max_upload_bytes": str(1024**2)})) == 21
    assert "ephemeralStorage" not in plan.one("ecs/taskDefinition:TaskDefinition", "api").inputs


def test_images_are_scanned_when_they_are_pushed_and_kept_under_our_key(plan: Any) -> None:
    repository = plan.one("ecr/repository:Repository").inputs
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    assert repository["encryptionConfigurations"] == [{"encryptionType": "KMS", "kmsKey": "arn:aws:Key/data"}]


def test_a_tag_of_an_image_is_taken_once_and_names_its_sources(plan: Any) -> None:
    assert plan.one("ecr/repository:Repository").inputs["imageTagMutability"] == "IMMUTABLE"
    images = [resource for resource in plan.resources if resource.type == "awsx:ecr:Image"]
    assert all(re.fullmatch("source-[0-9a-f]{40}", image.inputs["imageTag"]) for image in images)


def test_an_image_stays_in_the_registry_when_the_next_one_is_made(plan: Any) -> None:
    # A rollback needs it, and so does every task that still runs it.
    assert all(resource.retain for resource in plan.resources if resource.type == "awsx:ecr:Image")
    tagged, untagged = json.loads(plan.one("ecr/lifecyclePolicy:LifecyclePolicy").inputs["policy"])["rules"]
    assert tagged["selection"]["tagPrefixList"] == ["source-"]
    assert tagged["selection"]["countNumber"] >= 10
    assert untagged["selection"]["tagStatus"] == "untagged"


def test_every_base_of_the_image_is_pinned_by_digest() -> None:
    text = (ROOT / "heartmap_service/Dockerfile").read_text()
    stages = set(re.findall(r"(?m)^FROM \S+ AS (\w+)$", text))
    bases = set(re.findall(r"(?m)^FROM (\S+)", text)) - stages
    assert bases
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", base) for base in bases)
    # A frontend named in a comment would be pulled as well.
    assert not re.search(r"(?m)^# *syntax *=", text)
