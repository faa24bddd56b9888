"""An emulated AWS in a process of its own, the engine that deploys into it, and what is in it afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from local_cloud.deploy import WITHOUT_CHECKPOINTS
from posture import emulated

PROJECT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test whose function names its ``stacks`` is about those alone, where its module runs once for each."""

    def is_meant(item: pytest.Item) -> bool:
        stacks = getattr(getattr(item, "function", None), "stacks", None)
        return stacks is None or getattr(item, "callspec").params["engine"] in stacks  # noqa: B009 - pytest types it nowhere

    meant = [item for item in items if is_meant(item)]
    config.hook.pytest_deselected(items=[item for item in items if not is_meant(item)])
    items[:] = meant


@pytest.fixture(scope="module")
def cloud() -> Iterator[str]:
    """An emulated AWS of this module's own (where a module runs once for each stack: of this stack's own): its URL."""
    with emulated.aws() as url:
        yield url


class Account:
    """What there is in an emulated AWS."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def client(self, service: str) -> Any:
        return boto3.client(  # pyright: ignore[reportCallIssue]
            service,  # pyright: ignore[reportArgumentType]
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def left(self) -> dict[str, Any]:
        """What a destroyed stack has left behind, by kind; empty when there is nothing. AWS's own things do not count."""
        ec2, kms, ecs, logs = self.client("ec2"), self.client("kms"), self.client("ecs"), self.client("logs")
        cognito, elb, iam, waf = self.client("cognito-idp"), self.client("elbv2"), self.client("iam"), self.client("wafv2")
        default_vpcs = {vpc["VpcId"] for vpc in ec2.describe_vpcs()["Vpcs"] if vpc["IsDefault"]}
        clusters = ecs.describe_clusters(clusters=ecs.list_clusters()["clusterArns"])["clusters"]
        keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]

        def of_a_vpc(things: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [thing for thing in things if thing["VpcId"] not in default_vpcs]

        found = {
            "buckets": self.client("s3").list_buckets()["Buckets"],
            "tables": self.client("dynamodb").list_tables()["TableNames"],
            "queues": self.client("sqs").list_queues().get("QueueUrls", []),
            "functions": self.client("lambda").list_functions()["Functions"],
            "APIs": self.client("apigateway").get_rest_apis()["items"],
            "usage plans": self.client("apigateway").get_usage_plans()["items"],
            "VPC links": self.client("apigatewayv2").get_vpc_links()["Items"],
            "certificates": self.client("acm").list_certificates()["CertificateSummaryList"],
            "user pools": cognito.list_user_pools(MaxResults=10)["UserPools"],
            "VPCs": of_a_vpc(ec2.describe_vpcs()["Vpcs"]),
            "subnets": of_a_vpc(ec2.describe_subnets()["Subnets"]),
            "route tables": of_a_vpc(ec2.describe_route_tables()["RouteTables"]),
            "security groups": of_a_vpc(ec2.describe_security_groups()["SecurityGroups"]),
            # A deleted endpoint stays to be seen for a while.
            "endpoints": [one for one in ec2.describe_vpc_endpoints()["VpcEndpoints"] if one["State"] != "deleted"],
            "load balancers": elb.describe_load_balancers()["LoadBalancers"],
            "target groups": elb.describe_target_groups()["TargetGroups"],
            # So does a deleted cluster, as INACTIVE.
            "clusters": [cluster["clusterName"] for cluster in clusters if cluster["status"] == "ACTIVE"],
            "repositories": self.client("ecr").describe_repositories()["repositories"],
            "task definitions": ecs.list_task_definitions(status="ACTIVE")["taskDefinitionArns"],
            "log groups": logs.describe_log_groups()["logGroups"],
            "log resource policies": logs.describe_resource_policies()["resourcePolicies"],
            "roles": iam.list_roles()["Roles"],
            "policies": iam.list_policies(Scope="Local")["Policies"],
            "web ACLs": waf.list_web_acls(Scope="REGIONAL")["WebACLs"],
            "IP sets": waf.list_ip_sets(Scope="REGIONAL")["IPSets"],
            "secrets": self.client("secretsmanager").list_secrets()["SecretList"],
            # A deleted key stays to be seen for its days of waiting.
            "keys": [key["KeyId"] for key in keys if key["KeyState"] == "Enabled" and key["KeyManager"] == "CUSTOMER"],
            "key aliases": [alias for alias in kms.list_aliases()["Aliases"] if not alias["AliasName"].startswith("alias/aws/")],
            "topics": self.client("sns").list_topics()["Topics"],
            "alarms": self.client("cloudwatch").describe_alarms()["MetricAlarms"],
            "event rules": self.client("events").list_rules()["Rules"],
            "trails": self.client("cloudtrail").describe_trails()["trailList"],
            "parameters": self.client("ssm").describe_parameters()["Parameters"],
            "documents": self.client("ssm").list_documents(Filters=[{"Key": "Owner", "Values": ["Self"]}])["DocumentIdentifiers"],
            "Auto Scaling groups": self.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"],
            "launch templates": ec2.describe_launch_templates()["LaunchTemplates"],
            "instance profiles": iam.list_instance_profiles()["InstanceProfiles"],
            "flow logs": ec2.describe_flow_logs()["FlowLogs"],
            "open attempts": httpx.get(f"{self.endpoint}/moto-api/attempts", timeout=30).json(),
        }
        return {name: things for name, things in found.items() if things}


class Engine:
    """One stack of this project. Each operation has an interpreter of its own, as in `make local`: the SDK keeps global state."""

    def __init__(self, stack: str, endpoint: str, state: Path) -> None:
        self.stack, self.endpoint, self.state, self.project = stack, endpoint, state, state / "project"
        self.account = Account(endpoint)
        self.plugins: Path | None = None
        self.environment = dict(WITHOUT_CHECKPOINTS)
        self.program = PROJECT
        self.project.mkdir(exist_ok=True)
        for name in ("Pulumi.yaml", f"Pulumi.{stack}.yaml"):
            (self.project / name).write_text((PROJECT / name).read_text())

    def run(self, code: str) -> Any:
        """Run statements that know `deployment` and print one line of JSON at last; that value."""
        plugins = f"deploy.PLUGINS = Path({str(self.plugins)!r})\n" if self.plugins else ""
        program = (
            "import json, sys\nfrom pathlib import Path\nfrom local_cloud import deploy\n"
            f"from local_cloud.deploy import Deployment, outputs\n{plugins}"
            f"deployment = Deployment(stack={self.stack!r}, state=Path({str(self.state)!r}), endpoint={self.endpoint!r}, "
            f"project=Path({str(self.project)!r}))\n{code}"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=self.program,
            env={**os.environ, **self.environment, "PYTHONPATH": str(self.program)},
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
        return json.loads(done.stdout.splitlines()[-1])

    def up(self) -> dict[str, Any]:
        return self.run("result = deployment.up()\nprint(json.dumps([result.summary.resource_changes, outputs(result)]))")

    def previews(self, stack_files: dict[str, str]) -> dict[str, list[list[str]]]:
        """What an `up` with each stack file would do: [operation, type] of each resource that changes. AWS is not asked."""
        plans = self.state / "stack-files.json"
        plans.write_text(json.dumps(stack_files))
        return self.run(
            "found = {}\n"
            "def on_event(event):\n"
            "    if event.resource_pre_event and event.resource_pre_event.metadata.op != 'same':\n"
            "        changes.append([event.resource_pre_event.metadata.op.value, event.resource_pre_event.metadata.type])\n"
            f"for name, text in json.loads(Path({str(plans)!r}).read_text()).items():\n"
            f"    (deployment.project / 'Pulumi.{self.stack}.yaml').write_text(text)\n"
            "    changes = found[name] = []\n"
            "    deployment.select().preview(on_event=on_event)\n"
            "print(json.dumps(found))"
        )

    def export(self) -> list[dict[str, Any]]:
        return self.run("print(json.dumps(deployment.select().export_stack().deployment))").get("resources", [])

    def exported(self) -> str:
        """What `pulumi stack export` would write of the stack as it stands."""
        return self.run(
            "state = deployment.select().export_stack()\n"
            "print(json.dumps(json.dumps({'version': state.version, 'deployment': state.deployment})))"
        )

    def client(self, service: str) -> Any:
        return self.account.client(service)

    def setting(self, line: str, new: str) -> None:
        """Replace a line of the stack's settings; it has to be there."""
        file = self.project / f"Pulumi.{self.stack}.yaml"
        text = file.read_text()
        assert line in text, f"{file.name} has no {line!r}"
        file.write_text(text.replace(line, new))


@pytest.fixture(scope="module")
def engine_of(cloud: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Engine]:
    """The engine for a stack of this project, in the module's emulated AWS, with a state of its own."""
    return lambda stack: Engine(stack, cloud, tmp_path_factory.mktemp(f"pulumi-{stack}"))


@pytest.fixture(scope="module")
def account(cloud: str) -> Account:
    return Account(cloud)
