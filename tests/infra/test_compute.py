import json
from collections.abc import Callable
from typing import Any

COMMON = {
    "AWS_REGION", "HEARTMAP_ENVIRONMENT", "HEARTMAP_STAGE", "HEARTMAP_INTERNAL_HOST", "HEARTMAP_UPLOADS_BUCKET",
    "HEARTMAP_RESULTS_BUCKET", "HEARTMAP_JOBS_TABLE", "HEARTMAP_CONFIG_TABLE", "HEARTMAP_QUEUE_URL", "HEARTMAP_MAX_UPLOAD_BYTES",
    "HEARTMAP_JOB_MEMORY_BYTES",
}  # fmt: skip
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
        assert service["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}


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
    for container in containers(plan).values():
        assert {variable["name"] for variable in container["environment"]} == expected
        assert all(variable["value"] for variable in container["environment"])


def test_the_api_gets_the_assertion_keys_by_reference_and_the_worker_gets_none(plan: Any) -> None:
    assert containers(plan)["api"]["secrets"] == [{"name": "HEARTMAP_ASSERTION_KEYS", "valueFrom": "arn:aws:Secret/service"}]
    assert containers(plan)["worker"]["secrets"] == []


def test_logs_never_hold_a_container_up(plan: Any) -> None:
    for name, container in containers(plan).items():
        options = container["logConfiguration"]["options"]
        assert options["mode"] == "non-blocking"
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
