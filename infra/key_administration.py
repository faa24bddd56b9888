"""The function behind ``/keys``: administrators make API keys, look them over, and rotate or revoke them.

Like the authorizer it is not in the VPC: all that it talks to are DynamoDB and Secrets Manager.
"""

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
from lambda_keys import package
from lambda_token.credential import PREFIX

TYPE_KEY_ADMINISTRATION = "heartmap:key_administration:KeyAdministration"

HANDLER = "lambda_keys.handler.handler"
BUILD_DIRECTORY = Path(__file__).resolve().parent.parent / ".tools" / "keys"

MEMORY_MB = 256
TIMEOUT_SECONDS = 10
# Administrators make keys by hand: as many as this ask at one moment only when something is wrong.
CONCURRENCY = 5


@dataclass(frozen=True, kw_only=True)
class KeyAdministrationArgs:
    """``api_keys`` holds the keys, ``key_use`` when each was used last."""

    names: Names
    settings: Settings
    artifacts: PrivateBucket
    api_keys: aws.dynamodb.Table
    key_use: aws.dynamodb.Table
    secret_arn: Input[str]
    data_key_arn: Input[str]
    secrets_key_arn: Input[str]
    logs_key_arn: Input[str]


class KeyAdministration(pulumi.ComponentResource):
    """The function, deployed through a bucket."""

    function_name: Output[str]
    invoke_arn: Output[str]
    log_group_name: Output[str]

    def __init__(self, name: str, args: KeyAdministrationArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_KEY_ADMINISTRATION, name, None, opts)
        built = package.build(BUILD_DIRECTORY, target=functions.target(args.settings))
        deployed = functions.deploy(
            name,
            FunctionArgs(
                names=args.names,
                purpose="keys",
                description="Makes, lists, rotates and revokes API keys",
                package=Output.from_input(str(built)).apply(lambda path: Package.at(Path(path))),
                artifacts=args.artifacts,
                handler=HANDLER,
                environment={
                    "HEARTMAP_ENVIRONMENT": str(args.settings.environment),
                    "HEARTMAP_API_KEYS_TABLE": args.api_keys.name,
                    "HEARTMAP_KEY_USE_TABLE": args.key_use.name,
                    "HEARTMAP_SECRETS": args.secret_arn,
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
    def _statements(args: KeyAdministrationArgs) -> list[Statement]:
        return [
            # Both writes of a rotation are one TransactWriteItems, which asks for the permissions of its parts:
            # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
            Statement(
                sid="Keys",
                actions=("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
                resources=(args.api_keys.arn,),
                # The credentials of roles are the token function's alone, which in turn can write nothing else.
                # Without the second test a call that names no key would pass.
                conditions={
                    "ForAllValues:StringNotLike": {"dynamodb:LeadingKeys": [f"{PREFIX}*"]},
                    "Null": {"dynamodb:LeadingKeys": "false"},
                },
            ),
            # A scan names no key, so that nothing of the table can be kept from it.
            Statement(sid="Listing", actions=("dynamodb:Scan",), resources=(args.api_keys.arn,)),
            Statement(sid="KeyUse", actions=("dynamodb:BatchGetItem",), resources=(args.key_use.arn,)),
            Statement(sid="Secret", actions=("secretsmanager:GetSecretValue",), resources=(args.secret_arn,)),
            Statement(sid="Decryption", actions=("kms:Decrypt",), resources=(args.data_key_arn, args.secrets_key_arn)),
        ]
