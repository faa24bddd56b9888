"""Lambda functions: each from a zip in a bucket, under a role of its own, its variables under a key, its instances bounded."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pulumi_aws as aws
from pulumi import FileAsset, Input, Output, ResourceOptions

from infra.data import PrivateBucket
from infra.iam import ServiceRole, ServiceRoleArgs, Statement
from infra.naming import Names
from infra.settings import Settings
from lambda_authorizer.building.target import Target

PYTHON_VERSION = "3.13"
AWS_TARGET = Target(python_version=PYTHON_VERSION, platform="manylinux_2_28_aarch64")


def target(settings: Settings) -> Target:
    """Where the functions of a stack run: in Lambda, or for the local one here."""
    return Target.host() if settings.is_local else AWS_TARGET


@dataclass(frozen=True)
class Package:
    """A built zip and the SHA-256 of its bytes."""

    path: str
    sha256: bytes

    @classmethod
    def at(cls, path: Path) -> "Package":
        """The zip at this path."""
        return cls(str(path), hashlib.sha256(path.read_bytes()).digest())


@dataclass(frozen=True, kw_only=True)
class FunctionArgs:
    """``purpose`` names the function, ``description`` says what it does, ``package`` is its zip.

    ``statements`` say what it may do beyond its logs and traces; ``key_arn`` encrypts its variables. ``protected`` logs, those of
    decisions, cannot be deleted. At most ``concurrency`` instances run at once, for at most ``timeout`` seconds each.
    """

    names: Names
    purpose: str
    description: str
    package: Output[Package]
    artifacts: PrivateBucket
    handler: str
    environment: Mapping[str, Input[str]]
    statements: Sequence[Statement]
    key_arn: Input[str]
    logs_key_arn: Input[str]
    retention_days: int
    protected: bool = False
    memory_mb: int
    timeout: int
    concurrency: int


class DeployedFunction(NamedTuple):
    """The function, and the log group that it writes to."""

    function: aws.lambda_.Function
    logs: aws.cloudwatch.LogGroup


def deploy(name: str, args: FunctionArgs, opts: ResourceOptions) -> DeployedFunction:
    """Declare the function with everything that is its own. ``opts`` name the component that it belongs to."""
    function_name = args.names.of(args.purpose)
    logs = aws.cloudwatch.LogGroup(
        name,
        name=f"/aws/lambda/{function_name}",
        retention_in_days=args.retention_days,
        kms_key_id=args.logs_key_arn,
        opts=ResourceOptions.merge(opts, ResourceOptions(protect=args.protected)),
    )
    role = ServiceRole(
        name,
        ServiceRoleArgs(
            name=function_name,
            service="lambda.amazonaws.com",
            account=args.names.account,
            description=f"What the Lambda {args.purpose} may do",
            statements=[*args.statements, *_every_function(logs)],
        ),
        opts,
    )
    code = aws.s3.BucketObjectv2(
        name,
        bucket=args.artifacts.bucket,
        key=args.package.apply(lambda zipped: f"{args.purpose}/{zipped.sha256.hex()}.zip"),
        source=args.package.apply(lambda zipped: FileAsset(zipped.path)),
        opts=opts,
    )
    function = aws.lambda_.Function(
        name,
        name=function_name,
        description=args.description,
        runtime=f"python{PYTHON_VERSION}",
        architectures=["arm64"],
        handler=args.handler,
        role=role.arn,
        s3_bucket=code.bucket,
        s3_key=code.key,
        source_code_hash=args.package.apply(lambda zipped: base64.b64encode(zipped.sha256).decode("ascii")),
        memory_size=args.memory_mb,
        timeout=args.timeout,
        # What is reserved is also the most: a flood of calls cannot use up the account's instances.
        reserved_concurrent_executions=args.concurrency,
        environment=aws.lambda_.FunctionEnvironmentArgs(variables=dict(args.environment)),
        kms_key_arn=args.key_arn,
        tracing_config=aws.lambda_.FunctionTracingConfigArgs(mode="Active"),
        logging_config=aws.lambda_.FunctionLoggingConfigArgs(log_format="Text", log_group=logs.name),
        opts=opts,
    )
    return DeployedFunction(function, logs)


def _every_function(logs: aws.cloudwatch.LogGroup) -> list[Statement]:
    return [
        Statement(
            sid="Logs",
            actions=("logs:CreateLogStream", "logs:PutLogEvents"),
            resources=(Output.concat(logs.arn, ":*"),),
            reason="each instance of the function has a log stream of its own in this log group",
        ),
        Statement(
            sid="Traces",
            actions=("xray:PutTelemetryRecords", "xray:PutTraceSegments"),
            resources=("*",),
            reason="X-Ray knows no resource to name for traces",
        ),
    ]
