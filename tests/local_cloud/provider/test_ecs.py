from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

CLUSTER, DEFINITION, SERVICE = "aws:ecs/cluster:Cluster", "aws:ecs/taskDefinition:TaskDefinition", "aws:ecs/service:Service"


def container(command: str) -> dict[str, Any]:
    return {
        "name": "api",
        "image": "heartmap-service",
        "command": ["python", "-m", command],
        "environment": [{"name": "HEARTMAP_STAGE", "value": "live"}],
        "secrets": [{"name": "KEYS", "valueFrom": "arn:aws:secretsmanager:us-east-1:123456789012:secret:keys-abc"}],
        "readonlyRootFilesystem": True,
        "linuxParameters": {"initProcessEnabled": True, "capabilities": {"drop": ["ALL"]}},
        "mountPoints": [{"sourceVolume": "scratch", "containerPath": "/scratch", "readOnly": False}],
        "portMappings": [{"containerPort": 8443, "hostPort": 8443, "protocol": "tcp"}],
        "stopTimeout": 30,
    }


def definition_arguments(command: str) -> dict[str, Any]:
    return {
        "family": "api",
        "containerDefinitions": json.dumps([container(command)]),
        "cpu": "1024",
        "memory": "4096",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
        "volumes": [{"name": "scratch"}],
        "taskRoleArn": "arn:aws:iam::123456789012:role/task",
        "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
    }


@pytest.fixture(scope="module")
def network(cloud: Any) -> dict[str, Any]:
    ec2 = cloud.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(VpcId=vpc, GroupName="tasks", Description="tasks")["GroupId"]
    return {"subnets": [subnet], "securityGroups": [group], "assignPublicIp": False}


def test_a_cluster_can_be_made_changed_and_deleted(make: Callable[..., Any], cloud: Any) -> None:
    made = make(CLUSTER, name="one", settings=[{"name": "containerInsights", "value": "enabled"}])
    assert made.id == made.state["arn"] == "arn:aws:ecs:us-east-1:123456789012:cluster/one"
    assert made.drift() == {}
    made.update(settings=[{"name": "containerInsights", "value": "enhanced"}], tags={"a": "b"})
    assert made.drift() == {}
    (found,) = cloud.client("ecs").describe_clusters(clusters=["one"], include=["SETTINGS"])["clusters"]
    assert found["settings"] == [{"name": "containerInsights", "value": "enhanced"}]
    made.delete()
    assert made.read() is None
    made.delete()


def test_a_task_definition_holds_what_the_agent_needs(make: Callable[..., Any], cloud: Any) -> None:
    made = make(DEFINITION, **definition_arguments("heartmap_service.api"))
    assert made.state["arn"].endswith(f":task-definition/api:{made.state['revision']}")
    assert made.state["arn"] == f"{made.state['arnWithoutRevision']}:{made.state['revision']}"
    assert made.drift() == {}
    found = cloud.client("ecs").describe_task_definition(taskDefinition=made.state["arn"])["taskDefinition"]
    (only,) = found["containerDefinitions"]
    assert only["command"] == ["python", "-m", "heartmap_service.api"]
    assert only["secrets"][0]["name"] == "KEYS"
    assert only["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}
    assert found["runtimePlatform"] == {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}

    newer = make(DEFINITION, **definition_arguments("heartmap_service.worker"))
    assert newer.state["revision"] == made.state["revision"] + 1
    made.update(tags={"a": "b"})
    assert made.drift() == {}
    made.delete()
    assert made.read() is None
    made.delete()
    assert newer.read() is not None


def test_every_change_of_a_task_definition_but_of_its_tags_is_a_new_revision(make: Callable[..., Any]) -> None:
    handler = make(DEFINITION, **definition_arguments("heartmap_service.api")).handler
    assert handler.replaces == handler.arguments - {"tags"}


@pytest.mark.parametrize("definitions", ["", "{}", "[]", "not JSON"])
def test_container_definitions_that_are_no_list_of_containers_are_refused(
    refusals: Callable[..., list[str]], definitions: str
) -> None:
    (reason,) = refusals(DEFINITION, **definition_arguments("x") | {"containerDefinitions": definitions})
    assert "not a JSON list" in reason


def test_a_service_keeps_its_settings_and_follows_its_task_definition(
    make: Callable[..., Any], network: dict[str, Any], cloud: Any
) -> None:
    cluster = make(CLUSTER, name="services").state["arn"]
    group = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/g/1"
    made = make(
        SERVICE,
        name="api",
        cluster=cluster,
        taskDefinition=make(DEFINITION, **definition_arguments("heartmap_service.api")).state["arn"],
        desiredCount=1,
        launchType="FARGATE",
        platformVersion="LATEST",
        healthCheckGracePeriodSeconds=60,
        deploymentMinimumHealthyPercent=100,
        deploymentMaximumPercent=200,
        deploymentCircuitBreaker={"enable": True, "rollback": True},
        alarms={"enable": True, "rollback": True, "alarmNames": ["errors"]},
        networkConfiguration=network,
        loadBalancers=[{"targetGroupArn": group, "containerName": "api", "containerPort": 8443}],
    )
    assert made.id == made.state["arn"]
    assert made.drift() == {}

    def found() -> dict[str, Any]:
        (service,) = cloud.client("ecs").describe_services(cluster=cluster, services=["api"])["services"]
        return service

    assert found()["deploymentConfiguration"]["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
    assert found()["deploymentConfiguration"]["alarms"] == {"enable": True, "rollback": True, "alarmNames": ["errors"]}
    assert found()["healthCheckGracePeriodSeconds"] == 60
    assert found()["loadBalancers"][0]["targetGroupArn"] == group
    assert found()["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "DISABLED"

    newer = make(DEFINITION, **definition_arguments("heartmap_service.worker")).state["arn"]
    made.update(taskDefinition=newer, desiredCount=2, healthCheckGracePeriodSeconds=90, tags={"a": "b"})
    assert found()["taskDefinition"] == found()["deployments"][0]["taskDefinition"] == newer
    assert (found()["desiredCount"], found()["healthCheckGracePeriodSeconds"]) == (2, 90)
    assert made.drift() == {}
    made.update(alarms={"enable": True, "rollback": False, "alarmNames": ["errors"]})
    assert found()["deploymentConfiguration"]["alarms"]["rollback"] is False
    assert made.drift() == {}
    made.delete()
    assert made.read() is None
    made.delete()


def test_a_change_of_another_argument_leaves_the_number_of_tasks_to_who_scaled_them(make: Callable[..., Any], cloud: Any) -> None:
    cluster = make(CLUSTER, name="left-alone").state["arn"]
    definition = make(DEFINITION, **definition_arguments("heartmap_service.worker")).state["arn"]
    made = make(SERVICE, name="worker", cluster=cluster, taskDefinition=definition, desiredCount=0)
    cloud.client("ecs").update_service(cluster=cluster, service="worker", desiredCount=3)
    made.update(taskDefinition=make(DEFINITION, **definition_arguments("heartmap_service.api")).state["arn"])
    assert made.drift() == {"desiredCount": (0, 3)}


def test_waiting_for_tasks_that_nobody_starts_is_refused(refusals: Callable[..., list[str]]) -> None:
    (reason,) = refusals(SERVICE, name="x", cluster="c", taskDefinition="t", waitForSteadyState=True)
    assert "leave waitForSteadyState out" in reason
