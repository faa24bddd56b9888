"""The Lambda authorizer: its code, the role it runs under, and its log group, which receives the audit lines.

It is not in the VPC: there, without a way to the internet, it could not refresh the user pool's key set.
"""

from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra import functions, key_set
from infra.data import PrivateBucket
from infra.functions import FunctionArgs, Package
from infra.iam import Statement
from infra.identity import Identity
from infra.naming import Names
from infra.settings import Settings
from lambda_authorizer import package

TYPE_AUTHORIZER = "heartmap:authorizer:Authorizer"

HANDLER = "lambda_authorizer.handler.handler"
BUILD_DIRECTORY = Path(__file__).resolve().parent.parent / ".tools" / "authorizer"

# CPU comes with memory, and a cold start is nothing but CPU.
MEMORY_MB = 512
TIMEOUT_SECONDS = 5
# As many as the stage lets through at once (infra.api.STAGE_BURST): an authorizer that is not started in time answers 500.
CONCURRENCY = 100


def build_package(pool_id: str, *, region: str, endpoint: str, target: package.Target) -> Package:
    """Build the authorizer with the key set of the user pool in it. Raises key_set.KeySetError and package.PackageError."""
    keys = key_set.fetch(pool_id, region=region, endpoint=endpoint)
    return Package.at(package.build(BUILD_DIRECTORY, key_set=keys, target=target))


@dataclass(frozen=True, kw_only=True)
class AuthorizerArgs:
    """``endpoint`` is the address of an emulated AWS, empty for AWS itself."""

    names: Names
    settings: Settings
    endpoint: str
    identity: Identity
    artifacts: PrivateBucket
    api_keys: aws.dynamodb.Table
    key_use: aws.dynamodb.Table
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
        self._args = args
        deployed = functions.deploy(
            name,
            FunctionArgs(
                names=args.names,
                purpose="authorizer",
                description="Decides on every request to the API",
                package=self._package(),
                artifacts=args.artifacts,
                handler=HANDLER,
                environment=self._environment(),
                statements=self._statements(),
                key_arn=args.data_key_arn,
                logs_key_arn=args.logs_key_arn,
                retention_days=args.settings.log_retention_days,
                protected=args.settings.deletion_protection,
                memory_mb=MEMORY_MB,
                timeout=TIMEOUT_SECONDS,
                concurrency=CONCURRENCY,
            ),
            ResourceOptions(parent=self),
        )
        function = deployed.function
        self.function_name, self.invoke_arn, self.log_group_name = function.name, function.invoke_arn, deployed.logs.name
        self.register_outputs({"function_name": self.function_name, "log_group_name": self.log_group_name})

    def _package(self) -> Output[Package]:
        args = self._args
        region, endpoint = args.names.region, args.endpoint
        target = functions.target(args.settings)
        return args.identity.user_pool_id.apply(
            lambda pool_id: build_package(pool_id, region=region, endpoint=endpoint, target=target)
        )

    def _environment(self) -> dict[str, Input[str]]:
        args = self._args
        variables: dict[str, Input[str]] = {
            "HEARTMAP_ENVIRONMENT": str(args.settings.environment),
            "HEARTMAP_ISSUERS": args.identity.issuer,
            "HEARTMAP_CLIENT_IDS": Output.all(*args.identity.client_ids).apply(",".join),
            "HEARTMAP_API_KEYS_TABLE": args.api_keys.name,
            "HEARTMAP_KEY_USE_TABLE": args.key_use.name,
            "HEARTMAP_LOCK_OUTS_TABLE": args.api_keys.name,
            "HEARTMAP_SECRETS": args.secret_arn,
        }
        if not args.endpoint:
            # An emulated pool never rotates its keys, and its issuer's address is not where it answers.
            variables["HEARTMAP_JWKS_URL"] = Output.concat(args.identity.issuer, "/.well-known/jwks.json")
        return variables

    def _statements(self) -> list[Statement]:
        args = self._args
        return [
            Statement(sid="Keys", actions=("dynamodb:GetItem",), resources=(args.api_keys.arn,)),
            # It notes what was used, and never needs to read it: a condition on the write says whether a nonce is new.
            Statement(sid="KeyUse", actions=("dynamodb:PutItem",), resources=(args.key_use.arn,)),
            Statement(sid="Secret", actions=("secretsmanager:GetSecretValue",), resources=(args.secret_arn,)),
            Statement(sid="Decryption", actions=("kms:Decrypt",), resources=(args.data_key_arn, args.secrets_key_arn)),
        ]
