"""Functions that answer calls of the API, or go between it and IAM: what they have in common.

Like the authorizer they are not in the VPC: all that they talk to are services of AWS.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
from pulumi import Input, Output, ResourceOptions

from infra import functions
from infra.data import PrivateBucket
from infra.functions import FunctionArgs, Package
from infra.iam import Statement
from infra.naming import Names
from infra.settings import Settings

BUILD_DIRECTORY = Path(__file__).resolve().parent.parent / ".tools"

MEMORY_MB = 256
TIMEOUT_SECONDS = 10
# People make such calls by hand, and programs every few minutes: as many as this come at one moment only when something is wrong.
CONCURRENCY = 5


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What each of the functions needs of the stack. The secret holds what the assertions are checked with."""

    names: Names
    settings: Settings
    artifacts: PrivateBucket
    secret_arn: Input[str]
    data_key_arn: Input[str]
    secrets_key_arn: Input[str]
    logs_key_arn: Input[str]


@dataclass(frozen=True, kw_only=True)
class ApiFunctionArgs:
    """What one function is: ``purpose`` names it and its package, ``build`` makes that. ``environment`` and ``statements`` are
    its own, beside those that all have."""

    purpose: str
    description: str
    build: Callable[..., Path]
    environment: Mapping[str, Input[str]]
    statements: Sequence[Statement]
    timeout: int = TIMEOUT_SECONDS


class ApiFunction(pulumi.ComponentResource):
    """The function, deployed through a bucket."""

    function_name: Output[str]
    invoke_arn: Output[str]
    log_group_name: Output[str]

    def __init__(
        self, type_: str, name: str, surroundings: Surroundings, args: ApiFunctionArgs, opts: ResourceOptions | None = None
    ) -> None:
        super().__init__(type_, name, None, opts)
        settings = surroundings.settings
        built = args.build(BUILD_DIRECTORY / args.purpose, target=functions.target(settings))
        deployed = functions.deploy(
            name,
            FunctionArgs(
                names=surroundings.names,
                purpose=args.purpose,
                description=args.description,
                package=Output.from_input(str(built)).apply(lambda path: Package.at(Path(path))),
                artifacts=surroundings.artifacts,
                handler=f"lambda_{args.purpose}.handler.handler",
                environment={
                    "HEARTMAP_ENVIRONMENT": str(settings.environment),
                    "HEARTMAP_SECRETS": surroundings.secret_arn,
                    **args.environment,
                },
                statements=[*args.statements, *_every_function(surroundings)],
                key_arn=surroundings.data_key_arn,
                logs_key_arn=surroundings.logs_key_arn,
                retention_days=settings.log_retention_days,
                protected=settings.deletion_protection,
                memory_mb=MEMORY_MB,
                timeout=args.timeout,
                concurrency=CONCURRENCY,
            ),
            ResourceOptions(parent=self),
        )
        function = deployed.function
        self.function_name, self.invoke_arn, self.log_group_name = function.name, function.invoke_arn, deployed.logs.name
        self.register_outputs({"function_name": self.function_name, "log_group_name": self.log_group_name})


def _every_function(surroundings: Surroundings) -> list[Statement]:
    keys = (surroundings.data_key_arn, surroundings.secrets_key_arn)
    return [
        Statement(sid="Secret", actions=("secretsmanager:GetSecretValue",), resources=(surroundings.secret_arn,)),
        Statement(sid="Decryption", actions=("kms:Decrypt",), resources=keys),
    ]
