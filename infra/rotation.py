"""The rotation of the authorizer's secret: the function that carries it out, and its schedule.

The function is not in the VPC, where there is no way to Secrets Manager.
"""

from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra import functions
from infra.data import PrivateBucket, Secrets
from infra.functions import FunctionArgs, Package
from infra.iam import Statement
from infra.naming import Names
from infra.settings import Settings
from lambda_rotation import package

TYPE_ROTATION = "heartmap:rotation:Rotation"

HANDLER = "lambda_rotation.handler.handler"
BUILD_DIRECTORY = Path(__file__).resolve().parent.parent / ".tools" / "rotation"
MEMORY_MB = 256
TIMEOUT_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class RotationArgs:
    """``cluster_name`` and ``service_name`` are those of the API, whose tasks have to learn the keys."""

    names: Names
    settings: Settings
    secrets: Secrets
    artifacts: PrivateBucket
    cluster_name: Input[str]
    service_name: Input[str]
    secrets_key_arn: Input[str]
    logs_key_arn: Input[str]


class Rotation(pulumi.ComponentResource):
    """Changes the key that signs assertions every so many days."""

    function_name: Output[str]

    def __init__(self, name: str, args: RotationArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_ROTATION, name, None, opts)
        self._args = args
        child = ResourceOptions(parent=self)
        built = package.build(BUILD_DIRECTORY, target=functions.target(args.settings))
        function = functions.deploy(
            name,
            FunctionArgs(
                names=args.names,
                purpose="rotation",
                description="Rotates the keys by which the service knows the authorizer",
                package=Output.from_input(str(built)).apply(lambda path: Package.at(Path(path))),
                artifacts=args.artifacts,
                handler=HANDLER,
                environment={
                    "HEARTMAP_SECRETS": args.secrets.authorizer_arn,
                    "HEARTMAP_SERVICE_PARAMETER": args.secrets.service_parameter_name,
                    "HEARTMAP_SECRETS_KEY": args.secrets_key_arn,
                    "HEARTMAP_CLUSTER": args.cluster_name,
                    "HEARTMAP_API_SERVICE": args.service_name,
                },
                statements=self._statements(),
                key_arn=args.secrets_key_arn,
                logs_key_arn=args.logs_key_arn,
                retention_days=args.settings.log_retention_days,
                memory_mb=MEMORY_MB,
                timeout=TIMEOUT_SECONDS,
                # Two steps at once would undo each other.
                concurrency=1,
                protected=args.settings.deletion_protection,
            ),
            child,
        ).function
        allowed = aws.lambda_.Permission(
            name,
            action="lambda:InvokeFunction",
            function=function.name,
            principal="secretsmanager.amazonaws.com",
            source_account=args.names.account,
            source_arn=args.secrets.authorizer_arn,
            opts=child,
        )
        aws.secretsmanager.SecretRotation(
            name,
            secret_id=args.secrets.authorizer_arn,
            rotation_lambda_arn=function.arn,
            rotation_rules=aws.secretsmanager.SecretRotationRotationRulesArgs(
                automatically_after_days=args.settings.secret_rotation_days
            ),
            # The secret of a new stack is new. A rotation at once would restart the tasks that are just being started.
            rotate_immediately=False,
            # Secrets Manager calls the function at once, to try it out.
            opts=ResourceOptions(parent=self, depends_on=[allowed]),
        )
        self.function_name = function.name
        self.register_outputs({"function_name": self.function_name})

    def _statements(self) -> list[Statement]:
        args = self._args
        service = Output.concat(args.names.arn("ecs", "service/"), args.cluster_name, "/", args.service_name)
        return [
            Statement(
                sid="Secret",
                actions=(
                    "secretsmanager:DescribeSecret",
                    "secretsmanager:GetSecretValue",
                    "secretsmanager:PutSecretValue",
                    "secretsmanager:UpdateSecretVersionStage",
                ),
                resources=(args.secrets.authorizer_arn,),
            ),
            Statement(
                sid="Parameter",
                actions=("ssm:GetParameter", "ssm:PutParameter"),
                resources=(args.secrets.service_parameter_arn,),
            ),
            Statement(
                sid="SecretsKey",
                actions=("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"),
                resources=(args.secrets_key_arn,),
            ),
            Statement(sid="Tasks", actions=("ecs:DescribeServices", "ecs:UpdateService"), resources=(service,)),
        ]
