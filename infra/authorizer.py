"""The Lambda authorizer: its code, the role it runs under, and its log group, which receives the audit lines.

It is not in the VPC: there, without a way to the internet, it could not refresh the user pool's key set.
"""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pulumi
import pulumi_aws as aws
from pulumi import FileAsset, Input, Output, ResourceOptions

from infra import key_set
from infra.data import PrivateBucket
from infra.iam import ServiceRole, ServiceRoleArgs, Statement
from infra.identity import Identity
from infra.naming import Names
from infra.settings import Settings
from lambda_authorizer import package

TYPE_AUTHORIZER = "heartmap:authorizer:Authorizer"

HANDLER = "lambda_authorizer.handler.handler"
AWS_TARGET = package.Target(python_version="3.13", platform="manylinux_2_28_aarch64")
BUILD_DIRECTORY = Path(__file__).resolve().parent.parent / ".tools" / "authorizer"

# CPU comes with memory, and a cold start is nothing but CPU.
MEMORY_MB = 512
TIMEOUT_SECONDS = 5


class Package(NamedTuple):
    """A built zip and the SHA-256 of its bytes."""

    path: str
    sha256: bytes


def build_package(pool_id: str, *, region: str, endpoint: str, target: package.Target) -> Package:
    """Build the authorizer with the key set of the user pool in it. Raises key_set.KeySetError and package.PackageError."""
    keys = key_set.fetch(pool_id, region=region, endpoint=endpoint)
    path = package.build(BUILD_DIRECTORY, key_set=keys, target=target)
    return Package(str(path), hashlib.sha256(path.read_bytes()).digest())


@dataclass(frozen=True, kw_only=True)
class AuthorizerArgs:
    """``endpoint`` is the address of an emulated AWS, empty for AWS itself."""

    names: Names
    settings: Settings
    endpoint: str
    identity: Identity
    artifacts: PrivateBucket
    api_keys: aws.dynamodb.Table
    secret_arn: Input[str]
    data_key_arn: Input[str]
    secrets_key_arn: Input[str]
    logs_key_arn: Input[str]


class Authorizer(pulumi.ComponentResource):
    """The function, deployed through a bucket."""

    function_name: Output[str]
    invoke_arn: Output[str]
    log_group_name: Output[str]

    def __init__(self, name: str, args: AuthorizerArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_AUTHORIZER, name, None, opts)
        self._args, self._child = args, ResourceOptions(parent=self)
        function_name = args.names.of("authorizer")
        logs = aws.cloudwatch.LogGroup(
            name,
            name=f"/aws/lambda/{function_name}",
            retention_in_days=args.settings.log_retention_days,
            kms_key_id=args.logs_key_arn,
            opts=self._child,
        )
        role = ServiceRole(
            name,
            ServiceRoleArgs(
                name=function_name,
                service="lambda.amazonaws.com",
                description="What the Lambda authorizer may do",
                statements=self._statements(logs),
            ),
            self._child,
        )
        built = self._package()
        code = aws.s3.BucketObjectv2(
            name,
            bucket=args.artifacts.bucket,
            key=built.apply(lambda zipped: f"authorizer/{zipped.sha256.hex()}.zip"),
            source=built.apply(lambda zipped: FileAsset(zipped.path)),
            opts=self._child,
        )
        function = aws.lambda_.Function(
            name,
            name=function_name,
            description="Decides on every request to the API",
            runtime=f"python{AWS_TARGET.python_version}",
            architectures=["arm64"],
            handler=HANDLER,
            role=role.arn,
            s3_bucket=code.bucket,
            s3_key=code.key,
            source_code_hash=built.apply(lambda zipped: base64.b64encode(zipped.sha256).decode("ascii")),
            memory_size=MEMORY_MB,
            timeout=TIMEOUT_SECONDS,
            environment=aws.lambda_.FunctionEnvironmentArgs(variables=self._environment()),
            logging_config=aws.lambda_.FunctionLoggingConfigArgs(log_format="Text", log_group=logs.name),
            opts=self._child,
        )
        self.function_name, self.invoke_arn, self.log_group_name = function.name, function.invoke_arn, logs.name
        self.register_outputs({"function_name": self.function_name, "log_group_name": self.log_group_name})

    def _package(self) -> Output[Package]:
        args = self._args
        region, endpoint = args.names.region, args.endpoint
        target = package.Target.host() if args.settings.is_local else AWS_TARGET
        return args.identity.user_pool_id.apply(
            lambda pool_id: build_package(pool_id, region=region, endpoint=endpoint, target=target)
        )

    def _environment(self) -> dict[str, Input[str]]:
        args = self._args
        variables: dict[str, Input[str]] = {
            "HEARTMAP_ENVIRONMENT": str(args.settings.environment),
            "HEARTMAP_ISSUERS": args.identity.issuer,
            "HEARTMAP_CLIENT_IDS": args.identity.client_id,
            "HEARTMAP_API_KEYS_TABLE": args.api_keys.name,
            "HEARTMAP_SECRETS": args.secret_arn,
        }
        if not args.endpoint:
            # An emulated pool never rotates its keys, and its issuer's address is not where it answers.
            variables["HEARTMAP_JWKS_URL"] = Output.concat(args.identity.issuer, "/.well-known/jwks.json")
        return variables

    def _statements(self, logs: aws.cloudwatch.LogGroup) -> list[Statement]:
        args = self._args
        return [
            Statement(sid="Keys", actions=("dynamodb:GetItem",), resources=(args.api_keys.arn,)),
            Statement(sid="Secret", actions=("secretsmanager:GetSecretValue",), resources=(args.secret_arn,)),
            Statement(sid="Decryption", actions=("kms:Decrypt",), resources=(args.data_key_arn, args.secrets_key_arn)),
            Statement(
                sid="Logs",
                actions=("logs:CreateLogStream", "logs:PutLogEvents"),
                resources=(Output.concat(logs.arn, ":*"),),
                reason="each instance of the function has a log stream of its own in this log group",
            ),
        ]
