"""The function behind ``POST /token``: IAM roles get credentials of 15 minutes, with the groups in ``heartmap:iam_roles``.

Like the authorizer it is not in the VPC: all that it talks to are DynamoDB and Secrets Manager.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra import functions
from infra.data import PrivateBucket
from infra.functions import FunctionArgs, Package
from infra.iam import Statement
from infra.naming import Names
from infra.settings import Settings
from lambda_token import package, roles
from lambda_token.credential import PREFIX

TYPE_TOKEN_EXCHANGE = "heartmap:token_exchange:TokenExchange"  # noqa: S105  # a type, not a token

HANDLER = "lambda_token.handler.handler"
BUILD_DIRECTORY = Path(__file__).resolve().parent.parent / ".tools" / "token"

MEMORY_MB = 256
TIMEOUT_SECONDS = 10
# A credential lasts 15 minutes: as many as this ask at one moment only when something is wrong.
CONCURRENCY = 5


class RoleError(pulumi.RunError):
    """A role in ``heartmap:iam_roles`` cannot be let in. The text says why."""


def check_roles(iam_roles: Mapping[str, Sequence[str]], *, account: str) -> None:
    """Raises RoleError for a table that the function would refuse to start with, and for a role of another account."""
    try:
        grants = roles.table(iam_roles)
    except roles.RolesError as error:
        raise RoleError(f"heartmap:iam_roles: {error}") from None
    for (_, owner, _), grant in grants.items():
        if owner != account:
            # AWS admits other accounts only where the API's own policy does, and that policy admits nobody.
            raise RoleError(f"heartmap:iam_roles: {grant.role} is not of this account, {account}: name a role of it instead")


@dataclass(frozen=True, kw_only=True)
class TokenExchangeArgs:
    names: Names
    settings: Settings
    artifacts: PrivateBucket
    api_keys: aws.dynamodb.Table
    secret_arn: Input[str]
    data_key_arn: Input[str]
    secrets_key_arn: Input[str]
    logs_key_arn: Input[str]


class TokenExchange(pulumi.ComponentResource):
    """The function, deployed through a bucket. Raises RoleError."""

    function_name: Output[str]
    invoke_arn: Output[str]
    log_group_name: Output[str]

    def __init__(self, name: str, args: TokenExchangeArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_TOKEN_EXCHANGE, name, None, opts)
        check_roles(args.settings.iam_roles, account=args.names.account)
        built = package.build(BUILD_DIRECTORY, target=functions.target(args.settings))
        deployed = functions.deploy(
            name,
            FunctionArgs(
                names=args.names,
                purpose="token",
                description="Gives IAM roles a credential of 15 minutes",
                package=Output.from_input(str(built)).apply(lambda path: Package.at(Path(path))),
                artifacts=args.artifacts,
                handler=HANDLER,
                environment={
                    "HEARTMAP_ENVIRONMENT": str(args.settings.environment),
                    "HEARTMAP_API_KEYS_TABLE": args.api_keys.name,
                    "HEARTMAP_SECRETS": args.secret_arn,
                    "HEARTMAP_IAM_ROLES": json.dumps(args.settings.iam_roles, sort_keys=True, separators=(",", ":")),
                },
                statements=self._statements(args),
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

    @staticmethod
    def _statements(args: TokenExchangeArgs) -> list[Statement]:
        return [
            Statement(
                sid="Keys",
                actions=("dynamodb:PutItem",),
                resources=(args.api_keys.arn,),
                # It can write over no key that somebody was given in another way: https://docs.aws.amazon.com/amazondynamodb/
                # latest/developerguide/specifying-conditions.html. Without the second test a call that names no key would pass.
                conditions={
                    "ForAllValues:StringLike": {"dynamodb:LeadingKeys": [f"{PREFIX}*"]},
                    "Null": {"dynamodb:LeadingKeys": "false"},
                },
            ),
            Statement(sid="Secret", actions=("secretsmanager:GetSecretValue",), resources=(args.secret_arn,)),
            Statement(sid="Decryption", actions=("kms:Decrypt",), resources=(args.data_key_arn, args.secrets_key_arn)),
        ]
