"""A small stack of the types that this project uses, and a process that drives it: one line of JSON in, one out.

    python toy.py ENDPOINT STATE_DIRECTORY

{"do": "up"|"destroy"|"recover", "variant": "first"|"second", "fault": {...}|null} ->
{"failed": text|null, "changes": {...}, "operations": [[operation, target]...], "state": {...}, "struck": bool}.
One process for all, because an interpreter with the SDK takes longer to start than the stack to deploy.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pulumi.automation as auto
import pulumi_aws as aws
from pulumi import ResourceOptions

from local_cloud import engine
from local_cloud.deploy import emulated_aws

PLUGINS = Path(__file__).resolve().parent
TYPE_TOY = "heartmap:test:Toy"
OPERATIONS = {
    auto.events.OpType.CREATE: "create",
    auto.events.OpType.CREATE_REPLACEMENT: "create",
    auto.events.OpType.UPDATE: "update",
    auto.events.OpType.DELETE: "delete",
    auto.events.OpType.DELETE_REPLACED: "delete",
}


def allow(action: str, principal: dict[str, str] | None = None, resource: str | None = "*") -> str:
    statement = {"Effect": "Allow", "Action": action, "Principal": principal, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [{key: value for key, value in statement.items() if value}]})


class Toy(pulumi.ComponentResource):
    """`second` differs from the first in something of nearly every resource: changed, replaced, new or left out."""

    def __init__(self, *, second: bool, opts: ResourceOptions) -> None:
        super().__init__(TYPE_TOY, "toy", None, opts)
        self._second, self._child = second, ResourceOptions(parent=self)
        self._network()
        key = aws.kms.Key("key", description=self._either("one", "two"), enable_key_rotation=True, opts=self._child)
        aws.kms.Alias("key", name="alias/toy", target_key_id=key.key_id, opts=self._child)
        self._data(key.arn)
        self._access()
        self._api()
        self.register_outputs({})

    def _either(self, first: Any, second: Any) -> Any:
        return second if self._second else first

    def _network(self) -> None:
        vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/20", enable_dns_hostnames=self._second, opts=self._child)
        aws.ec2.DefaultSecurityGroup("default", vpc_id=vpc.id, ingress=[], egress=[], opts=self._child)
        table = aws.ec2.RouteTable("table", vpc_id=vpc.id, opts=self._child)
        zone = "use1-az1"
        cidr = self._either("10.0.0.0/24", "10.0.1.0/24")  # a subnet is replaced
        subnet = aws.ec2.Subnet("subnet", vpc_id=vpc.id, cidr_block=cidr, availability_zone_id=zone, opts=self._child)
        aws.ec2.RouteTableAssociation("subnet", subnet_id=subnet.id, route_table_id=table.id, opts=self._child)
        # Replaced as well, with the same name.
        about = self._either("The first", "The second")
        group = aws.ec2.SecurityGroup("group", name="toy", description=about, vpc_id=vpc.id, opts=self._child)
        aws.vpc.SecurityGroupIngressRule(
            "group",
            security_group_id=group.id,
            cidr_ipv4="10.0.0.0/20",
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            description="HTTPS",
            opts=self._child,
        )

    def _data(self, key_arn: pulumi.Output[str]) -> None:
        bucket = aws.s3.Bucket("bucket", bucket="toy-bucket", force_destroy=True, opts=self._child)
        aws.s3.BucketPublicAccessBlock("bucket", bucket=bucket.bucket, block_public_acls=self._second, opts=self._child)
        aws.s3.BucketVersioning(
            "bucket",
            bucket=bucket.bucket,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=self._child,
        )
        aws.dynamodb.Table(
            "table",
            name="toy",
            billing_mode="PAY_PER_REQUEST",
            hash_key="pk",
            attributes=[aws.dynamodb.TableAttributeArgs(name="pk", type="S")],
            ttl=aws.dynamodb.TableTtlArgs(attribute_name="expires_at", enabled=True) if self._second else None,
            server_side_encryption=aws.dynamodb.TableServerSideEncryptionArgs(enabled=True, kms_key_arn=key_arn),
            point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=True),
            opts=self._child,
        )
        dead = aws.sqs.Queue("dead", name="toy-dead", opts=self._child)
        queue = aws.sqs.Queue(
            "work",
            name="toy-work",
            visibility_timeout_seconds=self._either(30, 60),
            redrive_policy=pulumi.Output.json_dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 3}),
            opts=self._child,
        )
        if not self._second:  # left out later
            policy = queue.arn.apply(lambda arn: allow("sqs:SendMessage", {"Service": "s3.amazonaws.com"}, arn))
            aws.sqs.QueuePolicy("work", queue_url=queue.url, policy=policy, opts=self._child)
        aws.cloudwatch.LogGroup("log", name="/toy/log", retention_in_days=self._either(7, 30), opts=self._child)
        secret = aws.secretsmanager.Secret("secret", name="toy/secret", recovery_window_in_days=0, opts=self._child)
        aws.secretsmanager.SecretVersion("secret", secret_id=secret.id, secret_string=self._either("a", "b"), opts=self._child)

    def _access(self) -> None:
        trust = allow("sts:AssumeRole", {"Service": "ecs-tasks.amazonaws.com"}, None)
        role = aws.iam.Role("role", name="toy", assume_role_policy=trust, opts=self._child)
        policy = aws.iam.Policy(
            "policy", name="toy", policy=allow(self._either("s3:GetObject", "s3:PutObject")), opts=self._child
        )
        aws.iam.RolePolicyAttachment("role", role=role.name, policy_arn=policy.arn, opts=self._child)

    def _api(self) -> None:
        api = aws.apigateway.RestApi("api", name="toy", description=self._either("one", "two"), opts=self._child)
        path = self._either("models", "config")  # replaced
        part = aws.apigateway.Resource("part", rest_api=api.id, parent_id=api.root_resource_id, path_part=path, opts=self._child)
        method = aws.apigateway.Method(
            "get", rest_api=api.id, resource_id=part.id, http_method="GET", authorization="AWS_IAM", opts=self._child
        )
        if self._second:  # new
            aws.apigateway.RequestValidator(
                "validator", rest_api=api.id, name="toy", validate_request_body=True, opts=ResourceOptions(parent=self)
            )
        aws.apigateway.Integration(
            "get",
            rest_api=api.id,
            resource_id=part.id,
            http_method=method.http_method,
            type="MOCK",
            opts=self._child,
        )


class Driver:
    def __init__(self, endpoint: str, state: Path) -> None:
        self._state, self._second = state, False
        self._fault_file = state / "fault.json"
        for name in ("work", "backend", "home"):
            (state / name).mkdir(parents=True)
        (state / "work" / "Pulumi.yaml").write_text("name: toy\nruntime: python\n")
        variables = emulated_aws(endpoint) | {
            "PATH": os.pathsep.join([str(PLUGINS), str(engine.locate().parent), os.environ["PATH"]]),
            "PULUMI_BACKEND_URL": f"file://{state / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE": "a passphrase of the test",
            "PULUMI_HOME": str(state / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "HEARTMAP_PYTHON": sys.executable,
            "FAULT_FILE": str(self._fault_file),
        }
        os.environ.update(variables)
        self._stack = auto.create_or_select_stack(
            "toy",
            project_name="toy",
            program=self._program,
            opts=auto.LocalWorkspaceOptions(work_dir=str(state / "work"), env_vars=variables),
        )

    def _program(self) -> None:
        provider = aws.Provider("aws", region="us-east-1", default_tags=aws.ProviderDefaultTagsArgs(tags={"Toy": "yes"}))
        Toy(second=self._second, opts=ResourceOptions(providers={"aws": provider}))

    def do(self, order: dict[str, Any]) -> dict[str, Any]:
        self._second = order.get("variant") == "second"
        self._fault_file.unlink(missing_ok=True)
        if order.get("fault"):
            self._fault_file.write_text(json.dumps(order["fault"]))
        operations: list[tuple[str, str]] = []
        answer: dict[str, Any] = {"failed": None, "changes": {}, "operations": operations}

        def on_event(event: auto.events.EngineEvent) -> None:
            if event.resource_pre_event and (operation := OPERATIONS.get(event.resource_pre_event.metadata.op)):
                urn = event.resource_pre_event.metadata.urn
                kind = urn.split("::")[2].rpartition("$")[2]
                if kind.startswith("aws:"):
                    operations.append((operation, f"{kind}::{urn.rpartition('::')[2]}"))

        try:
            if order["do"] == "up":
                answer["changes"] = self._stack.up(color="never", on_event=on_event).summary.resource_changes
            elif order["do"] == "destroy":
                self._stack.destroy(color="never", on_event=on_event)
            else:  # what Pulumi tells one to do after its engine died
                self._stack.cancel()
                self._stack.refresh(color="never", clear_pending_creates=True)
        except auto.errors.CommandError as error:
            answer["failed"] = str(error)[-4000:]
        return answer | {
            "state": self._checkpoint(),
            "struck": bool(order.get("fault")) and not self._fault_file.exists(),
        }

    def _checkpoint(self) -> Mapping[str, Any] | None:
        """The state; where the engine died while it wrote it, the one before, of which it keeps a copy for its operator.

        Beside each file the backend keeps one with its media type, which may be as empty, and which may be missing.
        """
        for file in (self._state / "backend").rglob("toy.json*"):
            if file.stat().st_size == 0 and file.name == "toy.json":
                shutil.copyfile(file.with_name("toy.json.bak"), file)
            elif file.stat().st_size == 0:
                file.unlink()
        return self._stack.export_stack().deployment


def main() -> None:
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever prints to the standard output must not get between the answers
    driver = Driver(sys.argv[1], Path(sys.argv[2]))
    for line in sys.stdin:
        lines.write(json.dumps(driver.do(json.loads(line))) + "\n")
        lines.flush()


if __name__ == "__main__":
    main()
