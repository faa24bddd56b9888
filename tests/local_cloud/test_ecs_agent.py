"""What the agent makes of a task definition."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.moto_api._internal.models import moto_api_backend

from local_cloud import ecs_agent


@pytest.fixture
def in_this_process() -> Iterator[None]:
    with mock_aws():
        # moto keeps one state a process, and resets it by itself only where no other test's mock is still on.
        moto_api_backend.reset()
        yield


def register_task(command: str, containers: int = 1) -> str:
    """A revision of the task definition: its ARN."""
    definition: Any = {"image": "heartmap", "command": [command], "memory": 128}
    ecs: Any = boto3.client("ecs")
    made = ecs.register_task_definition(
        family="api", containerDefinitions=[definition | {"name": f"c{i}"} for i in range(containers)]
    )
    return made["taskDefinition"]["taskDefinitionArn"]


def service(containers: int, tasks: int = 1) -> tuple[str, str]:
    ecs = boto3.client("ecs")
    ecs.create_cluster(clusterName="heartmap")
    definition = register_task("python", containers)
    ecs.create_service(cluster="heartmap", serviceName="api", taskDefinition=definition, desiredCount=tasks)
    return "api", "heartmap"


@pytest.mark.usefixtures("in_this_process")
def test_the_container_is_the_one_that_the_service_runs_now() -> None:
    name, cluster = service(1)
    ecs = boto3.client("ecs")
    later = register_task("later")
    assert ecs_agent.container_of(name, cluster, ecs).get("command") == ["python"]
    ecs.update_service(cluster=cluster, service=name, taskDefinition=later)
    assert ecs_agent.container_of(name, cluster, ecs).get("command") == ["later"]


@pytest.mark.usefixtures("in_this_process")
def test_a_task_of_several_containers_is_refused() -> None:
    name, cluster = service(2)
    with pytest.raises(ecs_agent.TaskRefused, match="2 containers"):
        ecs_agent.container_of(name, cluster, boto3.client("ecs"))


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("tasks", [0, 2])
def test_a_service_that_wants_another_number_of_tasks_than_one_is_refused(tasks: int) -> None:
    name, cluster = service(1, tasks)
    with pytest.raises(ecs_agent.TaskRefused, match=f"wants {tasks} tasks"):
        ecs_agent.container_of(name, cluster, boto3.client("ecs"))


@pytest.mark.usefixtures("in_this_process")
def test_a_service_that_is_not_deployed_is_refused() -> None:
    boto3.client("ecs").create_cluster(clusterName="heartmap")
    with pytest.raises(ecs_agent.TaskRefused, match="no ECS service"):
        ecs_agent.container_of("api", "heartmap", boto3.client("ecs"))


@pytest.mark.usefixtures("in_this_process")
def test_secrets_are_resolved_by_the_arn_of_a_whole_secret() -> None:
    arn = boto3.client("secretsmanager").create_secret(Name="keys", SecretString="the value")["ARN"]
    container = {"environment": [{"name": "A", "value": "1"}], "secrets": [{"name": "B", "valueFrom": arn}]}
    assert ecs_agent.environment_of(container, boto3.client) == {"A": "1", "B": "the value"}


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("name", ["/heartmap/local/service", "flat"])
def test_parameters_are_resolved_and_decrypted_by_their_arn(name: str) -> None:
    ssm = boto3.client("ssm")
    ssm.put_parameter(Name=name, Value="the value", Type="SecureString")
    arn = ssm.get_parameter(Name=name)["Parameter"]["ARN"]
    container = {"secrets": [{"name": "B", "valueFrom": arn}]}
    assert ecs_agent.environment_of(container, boto3.client) == {"B": "the value"}


@pytest.mark.usefixtures("in_this_process")
def test_a_task_whose_parameter_is_gone_does_not_start() -> None:
    arn = "arn:aws:ssm:us-east-1:123456789012:parameter/heartmap/gone"
    with pytest.raises(ecs_agent.TaskRefused, match="parameter of the secret B does not exist"):
        ecs_agent.environment_of({"secrets": [{"name": "B", "valueFrom": arn}]}, boto3.client)


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    "reference", ["{arn}:key::", "/heartmap/local/service", "arn:aws:ssm:us-east-1:123456789012:document/x", "arn:aws:s3:::x"]
)
def test_a_secret_named_in_another_way_is_refused(reference: str) -> None:
    arn = boto3.client("secretsmanager").create_secret(Name="keys", SecretString="the value")["ARN"]
    with pytest.raises(ecs_agent.TaskRefused, match="secret B is neither"):
        ecs_agent.environment_of({"secrets": [{"name": "B", "valueFrom": reference.format(arn=arn)}]}, boto3.client)


@pytest.mark.usefixtures("in_this_process")
def test_a_task_that_starts_anew_replaces_the_address_of_the_one_before() -> None:
    ec2: Any = boto3.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    elbv2: Any = boto3.client("elbv2")
    group = elbv2.create_target_group(Name="api", Protocol="HTTPS", Port=8443, VpcId=vpc, TargetType="ip")["TargetGroups"][0][
        "TargetGroupArn"
    ]
    for port in (9001, 9002, 9002):
        ecs_agent.register(group, port, elbv2)
    targets = [entry["Target"] for entry in elbv2.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]]
    assert [(target["Id"], target["Port"]) for target in targets] == [("127.0.0.1", 9002)]


LOG = {"logDriver": "awslogs", "options": {"awslogs-group": "/heartmap/local/api", "awslogs-stream-prefix": "api"}}


def test_the_log_stream_is_a_new_one_of_the_containers_log_group() -> None:
    (group, first), (_, second) = (ecs_agent.log_of({"name": "api", "logConfiguration": LOG}) for _ in range(2))
    assert group == "/heartmap/local/api"
    assert first.startswith("api/api/")
    assert first != second


@pytest.mark.parametrize(
    "log", [{}, LOG | {"logDriver": "awsfirelens"}, LOG | {"options": {"awslogs-group": "/heartmap/local/api"}}]
)
def test_a_task_that_logs_to_elsewhere_is_refused(log: dict[str, Any]) -> None:
    with pytest.raises(ecs_agent.TaskRefused, match="container api does not say"):
        ecs_agent.log_of({"name": "api", "logConfiguration": log})


def test_what_a_task_prints_reaches_its_log_group_and_its_supervisor_to_the_last_line(
    aws: Callable[[str], Any], local_environment: dict[str, str]
) -> None:
    logs = aws("logs")
    logs.create_log_group(logGroupName="/heartmap/local/task")
    # In a process of its own: it becomes the task, which ends at once, and what it printed last is on its way still.
    program = (
        "import os, sys\n"
        "from local_cloud import ecs_agent\n"
        "ecs_agent.send_output('/heartmap/local/task', 'api/api/1')\n"
        "os.execv('/bin/sh', ['sh', '-c', 'echo one; echo two >&2; echo three'])\n"
    )
    environment = os.environ | local_environment
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines() == ["one", "two", "three"]
    deadline = time.monotonic() + 20
    sent: list[str] = []
    while len(sent) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
        streams = logs.filter_log_events(logGroupName="/heartmap/local/task")["events"]
        sent = [event["message"] for event in streams if event["logStreamName"] == "api/api/1"]
    assert sent == ["one", "two", "three"]
