"""The sealing of the audit records: the key that signs, and the function that a schedule calls.

The function is not in the VPC, where there is no way to CloudWatch Logs' search.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws
from pulumi import Input, InvokeOptions, Output, ResourceOptions

from infra import functions
from infra.data import KEY_DELETION_DAYS, SEALS_PREFIX, PrivateBucket, key_owner, sealer_role_name
from infra.functions import FunctionArgs, Package
from infra.iam import Statement, document
from infra.naming import Names
from infra.settings import Settings
from lambda_sealing import package

TYPE_SIGNING_KEY = "heartmap:audit_sealing:SigningKey"
TYPE_SEALING = "heartmap:audit_sealing:Sealing"

PURPOSE = "sealing"
BUILD_DIRECTORY = Path(__file__).resolve().parent.parent / ".tools" / PURPOSE
EVERY = "rate(5 minutes)"
MEMORY_MB = 512
# Below the schedule: two calls never wait for one another.
TIMEOUT_SECONDS = 240


@dataclass(frozen=True, kw_only=True)
class SigningKeyArgs:
    """``asking`` is how KMS is asked for the public key."""

    names: Names
    asking: InvokeOptions
    protected: bool


class SigningKey(pulumi.ComponentResource):
    """A key by which the sealer alone can sign, and with which nothing can be encrypted. Whoever has the public key can check."""

    arn: Output[str]
    public_key: Output[str]

    def __init__(self, name: str, args: SigningKeyArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_SIGNING_KEY, name, None, opts)
        only_the_sealer = Statement(
            sid="OnlyTheSealerSigns",
            effect="Deny",
            principals={"AWS": ("*",)},
            actions=("kms:Sign",),
            resources=("*",),
            conditions={"ArnNotEquals": {"aws:PrincipalArn": args.names.role_arn(sealer_role_name(args.names))}},
            reason="in a key policy * is this key alone, and a refusal has to hold for everyone",
        )
        key = aws.kms.Key(
            name,
            description=f"{args.names.prefix}: Signs the seals of the audit records",
            key_usage="SIGN_VERIFY",
            customer_master_key_spec="ECC_NIST_P256",
            # KMS rotates no such key, and a new one is another key: https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html
            deletion_window_in_days=KEY_DELETION_DAYS,
            policy=document(key_owner(args.names), only_the_sealer),
            opts=ResourceOptions(parent=self, protect=args.protected),
        )
        aws.kms.Alias(name, name=f"alias/{args.names.of('signing')}", target_key_id=key.key_id, opts=ResourceOptions(parent=self))
        self.arn = key.arn
        self.public_key = aws.kms.get_public_key_output(key_id=key.arn, opts=args.asking).public_key_pem
        self.register_outputs({"arn": self.arn})


@dataclass(frozen=True, kw_only=True)
class SealingArgs:
    """``log_groups`` are the names of those that hold audit records; the function's own comes on top."""

    names: Names
    settings: Settings
    artifacts: PrivateBucket
    audit: PrivateBucket
    key: SigningKey
    log_groups: Sequence[Input[str]]
    data_key_arn: Input[str]
    logs_key_arn: Input[str]


class Sealing(pulumi.ComponentResource):
    """Seals the records of these log groups into the audit bucket, every five minutes."""

    function_name: Output[str]
    log_group_name: Output[str]

    def __init__(self, name: str, args: SealingArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_SEALING, name, None, opts)
        self._args = args
        child = ResourceOptions(parent=self)
        self._groups = [*args.log_groups, own_log_group(args.names)]
        built = package.build(BUILD_DIRECTORY, target=functions.target(args.settings))
        function, logs = functions.deploy(
            name,
            FunctionArgs(
                names=args.names,
                purpose=PURPOSE,
                description="Seals the audit records",
                package=Output.from_input(str(built)).apply(lambda path: Package.at(Path(path))),
                artifacts=args.artifacts,
                handler="lambda_sealing.handler.handler",
                environment={
                    "HEARTMAP_AUDIT_LOG_GROUPS": Output.all(*self._groups).apply(lambda groups: json.dumps(sorted(groups))),
                    "HEARTMAP_AUDIT_BUCKET": args.audit.bucket,
                    "HEARTMAP_SIGNING_KEY": args.key.arn,
                },
                statements=self._statements(),
                key_arn=args.data_key_arn,
                logs_key_arn=args.logs_key_arn,
                retention_days=args.settings.log_retention_days,
                protected=args.settings.deletion_protection,
                memory_mb=MEMORY_MB,
                timeout=TIMEOUT_SECONDS,
                # Two at once would do the same work, and one of them in vain.
                concurrency=1,
            ),
            child,
        )
        rule = aws.cloudwatch.EventRule(
            name, name=args.names.of(PURPOSE), description="Seals the audit records", schedule_expression=EVERY, opts=child
        )
        allowed = aws.lambda_.Permission(
            name,
            action="lambda:InvokeFunction",
            function=function.name,
            principal="events.amazonaws.com",
            source_account=args.names.account,
            source_arn=rule.arn,
            opts=child,
        )
        aws.cloudwatch.EventTarget(
            name,
            rule=rule.name,
            target_id=PURPOSE,
            arn=function.arn,
            # A call that is not allowed yet is lost.
            opts=ResourceOptions(parent=self, depends_on=[allowed]),
        )
        self.function_name, self.log_group_name = function.name, logs.name
        self.register_outputs({"function_name": self.function_name, "log_group_name": self.log_group_name})

    def _statements(self) -> list[Statement]:
        args, names = self._args, self._args.names
        objects = Output.concat(args.audit.arn, "/", SEALS_PREFIX, "*")
        return [
            Statement(
                sid="AuditRecords",
                actions=("logs:FilterLogEvents",),
                resources=tuple(Output.concat(names.arn("logs", "log-group:"), group, ":*") for group in self._groups),
                reason="the records are in streams of which each process makes its own",
            ),
            Statement(
                sid="Seals",
                actions=("s3:GetObject", "s3:PutObject"),
                resources=(objects,),
                reason="seals are numbered, and records are named by what they hold",
            ),
            Statement(
                sid="LastSeal",
                actions=("s3:ListBucket",),
                resources=(args.audit.arn,),
                conditions={"StringLike": {"s3:prefix": f"{SEALS_PREFIX}*"}},
            ),
            Statement(sid="Signature", actions=("kms:Sign", "kms:Verify"), resources=(args.key.arn,)),
            Statement(
                sid="BucketsKey",
                actions=("kms:Decrypt", "kms:GenerateDataKey"),
                resources=(args.logs_key_arn,),
                conditions={"StringEquals": {"kms:ViaService": f"s3.{names.region}.amazonaws.com"}},
            ),
            # Lambda decrypts the function's variables by its role.
            Statement(sid="Variables", actions=("kms:Decrypt",), resources=(args.data_key_arn,)),
        ]


def own_log_group(names: Names) -> str:
    """The name of the function's log group, which others have to know before it is made."""
    return f"/aws/lambda/{names.of(PURPOSE)}"
