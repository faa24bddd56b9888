"""Starts one task of a deployed ECS service as a process, as the ECS agent starts a container.

    python -m local_cloud.ecs_agent --state .local --service api_service --port 9443

Command, environment and secrets come from the task definition that the service runs; nothing of this process's environment
reaches the task but what the container's network and credentials would give it. The address of the task is registered in the
service's target group, as ECS registers the address of an awsvpc task. What the task prints reaches the log group that its
definition names.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

from local_cloud import deploy, supervisor

PARAMETER_ARN = re.compile(r"arn:[\w-]+:ssm:[\w-]+:\d+:parameter(/.+)")
WHOLE_SECRET_ARN = re.compile(r"arn:[\w-]+:secretsmanager:[\w-]+:\d+:secret:[^:]+")

# What the image has on its PATH; the interpreter of this environment stands for the image's.
IMAGE_PATH = os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"])


class TaskRefused(Exception):
    """The task definition says something that this agent does not know how to do."""


def container_of(service: str, cluster: str, ecs: Any) -> dict[str, Any]:
    """The container definition that the service runs now.

    Raises:
        TaskRefused: no such service, one that wants another number of tasks than one, or a task of several containers.
    """
    found = ecs.describe_services(cluster=cluster, services=[service])["services"]
    if not found:
        raise TaskRefused(f"There is no ECS service {service} in the cluster {cluster}.")
    if found[0]["desiredCount"] != 1:
        raise TaskRefused(f"The service {service} wants {found[0]['desiredCount']} tasks; here each service runs one.")
    definition = ecs.describe_task_definition(taskDefinition=found[0]["taskDefinition"])["taskDefinition"]
    containers = definition["containerDefinitions"]
    if len(containers) != 1:
        raise TaskRefused(f"The task definition of {service} has {len(containers)} containers; this agent starts tasks of one.")
    return containers[0]


def environment_of(container: dict[str, Any], client: Callable[[str], Any]) -> dict[str, str]:
    """The container's environment, with its secrets resolved as ECS resolves them.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/specifying-sensitive-data.html

    Args:
        client: gives the boto3 client of a service.

    Raises:
        TaskRefused: a secret is named in a way other than by the ARN of a parameter or of a whole Secrets Manager secret, or
            its parameter is not there, at which ECS does not start the task either.
    """
    environment = {pair["name"]: pair["value"] for pair in container.get("environment", [])}
    for secret in container.get("secrets", []):
        name, arn = secret["name"], secret["valueFrom"]
        if parameter := PARAMETER_ARN.fullmatch(arn):
            environment[name] = _parameter(name, parameter[1], client("ssm"))
        elif WHOLE_SECRET_ARN.fullmatch(arn):
            environment[name] = client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
        else:
            raise TaskRefused(f"The secret {name} is neither the ARN of a parameter nor that of a whole Secrets Manager secret.")
    return environment


def _parameter(secret: str, path: str, ssm: Any) -> str:
    """The value of a parameter. Its ARN has one slash before the name, whether the name begins with one or not."""
    found = ssm.get_parameters(Names=[path, path.removeprefix("/")], WithDecryption=True)["Parameters"]
    if not found:
        raise TaskRefused(f"The parameter of the secret {secret} does not exist.")
    return found[0]["Value"]


def register(target_group: str, port: int, elbv2: Any) -> None:
    """Makes this task the one target of the group: an earlier process's port no longer answers."""
    current = elbv2.describe_target_health(TargetGroupArn=target_group)["TargetHealthDescriptions"]
    stale = [entry["Target"] for entry in current if (entry["Target"]["Id"], entry["Target"].get("Port")) != ("127.0.0.1", port)]
    if stale:
        elbv2.deregister_targets(TargetGroupArn=target_group, Targets=stale)
    elbv2.register_targets(TargetGroupArn=target_group, Targets=[{"Id": "127.0.0.1", "Port": port}])


def log_of(container: dict[str, Any]) -> tuple[str, str]:
    """The log group and a new log stream of a task. Raises TaskRefused for a log driver other than awslogs.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/specify-log-config.html
    """
    log = container.get("logConfiguration", {})
    options = log.get("options", {})
    if log.get("logDriver") != "awslogs" or not {"awslogs-group", "awslogs-stream-prefix"} <= options.keys():
        raise TaskRefused(
            f"The container {container['name']} does not say to which log group awslogs writes, under which prefix."
        )
    return options["awslogs-group"], f"{options['awslogs-stream-prefix']}/{container['name']}/{uuid.uuid4().hex}"


def send_output(group: str, stream: str) -> None:
    """Has what this process prints from here on sent to the log stream. The process that does it is no child of the task's, and
    not of its process group: it outlives the task by as long as the last lines take."""
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "local_cloud.task_output", "--group", group, "--stream", stream]
    between = os.fork()
    if between == 0:
        try:
            subprocess.Popen(command, stdin=reading, start_new_session=True)
        finally:
            os._exit(0)
    os.waitpid(between, 0)
    os.close(reading)
    for output in (sys.stdout, sys.stderr):
        output.flush()
        os.dup2(writing, output.fileno())
    os.close(writing)


def main() -> None:
    """Becomes the task: the process keeps its id, so that whoever supervises this program supervises the task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True, help="the directory of the local environment")
    parser.add_argument("--service", required=True, help="the stack output that names the ECS service")
    parser.add_argument("--port", type=int, help="where the task listens, when the service stands behind the load balancer")
    arguments = parser.parse_args()

    outputs = json.loads((arguments.state / "outputs.json").read_text())
    endpoint = os.environ["AWS_ENDPOINT_URL"]

    def client(name: str) -> Any:
        return boto3.client(name, endpoint_url=endpoint, region_name=deploy.REGION)  # pyright: ignore[reportCallIssue, reportArgumentType]

    container = container_of(outputs[arguments.service], outputs["cluster"], client("ecs"))
    environment = environment_of(container, client)
    scratch = arguments.state / "scratch" / arguments.service
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True, mode=0o700)
    environment |= deploy.emulated_aws(endpoint) | {
        "PATH": IMAGE_PATH,
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        # What the container's own network and volume would make of the definition: a loopback address, and a private directory.
        "HEARTMAP_BIND_ADDRESS": "127.0.0.1",
        "HEARTMAP_SCRATCH_DIR": str(scratch),
        "HEARTMAP_NUMBA_CACHE_SEED": str(arguments.state / "caches"),
        # The machine is somebody's own, and so are its cores.
        "HEARTMAP_PRELOAD_LARGE": "false",
        supervisor.MARK: str(arguments.state),
    }
    if arguments.port is not None:
        environment["HEARTMAP_PORT"] = str(arguments.port)
        register(outputs["target_group_arn"], arguments.port, client("elbv2"))
    program, *rest = container["command"]
    found = shutil.which(program, path=IMAGE_PATH)
    if found is None:
        raise TaskRefused(f"The task's command {program} is not in the image.")
    send_output(*log_of(container))
    os.chdir(scratch)
    os.execve(found, [found, *rest], environment)  # noqa: S606 - becoming the task is what this program is for


if __name__ == "__main__":
    try:
        main()
    except TaskRefused as error:
        sys.exit(str(error))
