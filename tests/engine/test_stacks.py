"""The three stacks, deployed by the real Pulumi engine into an emulated AWS."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

pytestmark = pytest.mark.engine

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", params=["local", "dev", "prod"])
def stack(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def cloud(stack: str) -> Iterator[str]:
    """An emulated AWS of this stack's own: its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "local_cloud.moto_server", "--port", str(port)],
        # A certificate's validation takes a minute there as well, unless told otherwise.
        env=os.environ | {"MOTO_ACM_VALIDATION_WAIT": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{url}/moto-api/", timeout=5)
                break
            except httpx.HTTPError:
                assert time.monotonic() < deadline, "the emulated AWS did not start"
        yield url
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module")
def engine(stack: str, cloud: str, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    state = tmp_path_factory.mktemp(f"pulumi-{stack}")
    project = state / "project"
    project.mkdir()
    for name in ("Pulumi.yaml", f"Pulumi.{stack}.yaml"):
        (project / name).write_text((PROJECT / name).read_text())
    made = Engine(stack, cloud, state, project)
    if stack == "prod":
        # The zone that prod's placeholder stands for: it exists before the stack does.
        zone = made.client("route53").create_hosted_zone(Name="example.org", CallerReference="test")["HostedZone"]["Id"]
        file = project / "Pulumi.prod.yaml"
        file.write_text(re.sub("Z0123456789EXAMPLE", zone.rsplit("/", 1)[-1], file.read_text()))
    return made


class Engine:
    """Each operation in an interpreter of its own, as `make local` does it: the SDK keeps global state."""

    def __init__(self, stack: str, endpoint: str, state: Path, project: Path) -> None:
        self.stack, self.endpoint, self.state, self.project = stack, endpoint, state, project

    def run(self, code: str) -> Any:
        program = (
            "import json, sys\nfrom pathlib import Path\nfrom local_cloud.deploy import Deployment, outputs\n"
            f"deployment = Deployment(stack={self.stack!r}, state=Path({str(self.state)!r}), endpoint={self.endpoint!r}, "
            f"project=Path({str(self.project)!r}))\n{code}"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=500)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
        return json.loads(done.stdout.splitlines()[-1])

    def up(self) -> dict[str, Any]:
        return self.run("result = deployment.up()\nprint(json.dumps([result.summary.resource_changes, outputs(result)]))")

    def export(self) -> list[dict[str, Any]]:
        return self.run("print(json.dumps(deployment.select().export_stack().deployment))").get("resources", [])

    def client(self, service: str) -> Any:
        return boto3.client(  # pyright: ignore[reportCallIssue]
            service,  # pyright: ignore[reportArgumentType]
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )


@pytest.fixture(scope="module")
def first(engine: Engine) -> Any:
    return engine.up()


def test_the_engine_creates_the_whole_stack(first: Any) -> None:
    changes, outputs = first
    assert set(changes) == {"create"}
    assert changes["create"] > 100
    assert outputs["api_url"].startswith("https://")


def test_a_second_up_changes_nothing(engine: Engine, first: Any) -> None:
    changes, outputs = engine.up()
    assert set(changes) == {"same"}
    assert outputs == first[1]


def test_no_secret_of_the_stack_is_in_the_state_in_the_clear(engine: Engine, first: Any) -> None:
    authorizer = next(
        secret["Name"]
        for secret in engine.client("secretsmanager").list_secrets()["SecretList"]
        if "authorizer" in secret["Name"]
    )
    pepper = json.loads(engine.client("secretsmanager").get_secret_value(SecretId=authorizer)["SecretString"])["api_key_pepper"]
    for file in engine.state.rglob("*"):
        if file.is_file():
            assert pepper.encode() not in file.read_bytes(), f"the pepper is readable in {file.name}"


def listed_keys(engine: Engine) -> list[dict[str, str]]:
    return [{"KeyId": key["KeyId"]} for key in engine.client("kms").list_keys()["Keys"]]


def test_destroy_leaves_nothing_behind(engine: Engine, first: Any) -> None:
    file = engine.project / f"Pulumi.{engine.stack}.yaml"
    if "deletion_protection: true" in file.read_text():
        # The way to take a protected stack down on purpose: before it, engine and provider refuse to delete its data.
        last = "deletion_protection: false\n  heartmap:decommission: true"
        file.write_text(file.read_text().replace("deletion_protection: true", last))
        engine.up()
    engine.run("deployment.destroy()\nprint('{}')")
    assert [resource["type"] for resource in engine.export() if resource["type"] != "pulumi:pulumi:Stack"] == []
    left = {
        "buckets": engine.client("s3").list_buckets()["Buckets"],
        "tables": engine.client("dynamodb").list_tables()["TableNames"],
        "queues": engine.client("sqs").list_queues().get("QueueUrls", []),
        "functions": engine.client("lambda").list_functions()["Functions"],
        "APIs": engine.client("apigateway").get_rest_apis()["items"],
        "user pools": engine.client("cognito-idp").list_user_pools(MaxResults=10)["UserPools"],
        "VPCs": [vpc for vpc in engine.client("ec2").describe_vpcs()["Vpcs"] if not vpc["IsDefault"]],
        "load balancers": engine.client("elbv2").describe_load_balancers()["LoadBalancers"],
        # A deleted cluster stays to be seen for a while, as INACTIVE.
        "clusters": [
            cluster["clusterName"]
            for cluster in engine.client("ecs").describe_clusters(clusters=engine.client("ecs").list_clusters()["clusterArns"])[
                "clusters"
            ]
            if cluster["status"] == "ACTIVE"
        ],
        "log groups": engine.client("logs").describe_log_groups()["logGroups"],
        "roles": engine.client("iam").list_roles()["Roles"],
        "web ACLs": engine.client("wafv2").list_web_acls(Scope="REGIONAL")["WebACLs"],
        "secrets": engine.client("secretsmanager").list_secrets()["SecretList"],
        # AWS keeps a key of its own for the account's disks.
        "keys": [
            key["KeyId"]
            for key in (engine.client("kms").describe_key(**one)["KeyMetadata"] for one in listed_keys(engine))
            if key["KeyState"] == "Enabled" and key["KeyManager"] == "CUSTOMER"
        ],
    }
    assert {name: found for name, found in left.items() if found} == {}
