"""The way in when nobody who administers can get in: a role that named people may take, with a second factor and for a reason.

It repairs: it lets people in again, restarts or stops the service, and takes back what would destroy keys and secrets. It reads
no data set, no result and no secret, gives nobody rights in AWS, and cannot touch the records of what it did. Whoever takes it
says why, which the trail keeps with who it was, and an alarm rings (infra/observability.py).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra.iam import PolicyError, Statement, document
from infra.naming import Names

TYPE_BREAK_GLASS = "heartmap:access:BreakGlass"

PURPOSE = "break-glass"
REASON_TAG = "Reason"
"""The session tag that says why. It stands in CloudTrail's record of the session's beginning."""
SHORTEST_REASON = 10
FACTOR_SECONDS = 300
"""How long ago the second factor may have been given."""
SESSION_SECONDS = 3600
"""The least that IAM lets a role's longest session be; heartmapctl asks for less."""


def role_arn(names: Names) -> str:
    """The ARN of the role, which alarms name whether or not it is there."""
    return names.role_arn(names.of(PURPOSE))


@dataclass(frozen=True, kw_only=True)
class BreakGlassArgs:
    """``users`` are the ARNs of IAM users of this account. The others are ARNs of what may be repaired. Raises PolicyError."""

    names: Names
    users: Sequence[str]
    user_pool_arn: Input[str]
    service_arns: Sequence[Input[str]]
    key_arns: Sequence[Input[str]]
    secret_arn: Input[str]

    def __post_init__(self) -> None:
        strange = [user for user in self.users if user.split(":")[4] != self.names.account]
        if not self.users or strange:
            raise PolicyError(f"break_glass_users must name users of this account, {self.names.account}: {', '.join(strange)}")


class BreakGlass(pulumi.ComponentResource):
    """The role with its one policy."""

    arn: Output[str]

    def __init__(self, name: str, args: BreakGlassArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_BREAK_GLASS, name, None, opts)
        child, full_name = ResourceOptions(parent=self), args.names.of(PURPOSE)
        role = aws.iam.Role(
            name,
            name=full_name,
            description="Repairs the stack when nobody else can; heartmapctl operate break-glass",
            assume_role_policy=trust(args.users),
            max_session_duration=SESSION_SECONDS,
            opts=child,
        )
        policy = aws.iam.Policy(
            name,
            name=full_name,
            description="What may be repaired, and what never",
            policy=document(*_statements(args)),
            opts=child,
        )
        attachment = aws.iam.RolePolicyAttachment(name, role=role.name, policy_arn=policy.arn, opts=child)
        self.arn = Output.all(role.arn, attachment.id).apply(lambda values: values[0])
        self.register_outputs({"arn": self.arn})


def trust(users: Sequence[str]) -> str:
    """The trust policy. Each of the three actions of one AssumeRole is asked for with the condition keys that it has.

    ``aws:username`` is known of IAM users alone, so that no role gets in by being named; the session is called, and stays, by it.
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html
    """
    fresh: dict[str, Any] = {
        "Bool": {"aws:MultiFactorAuthPresent": "true"},
        "NumericLessThan": {"aws:MultiFactorAuthAge": str(FACTOR_SECONDS)},
    }
    who, reason = "${aws:username}", {f"aws:RequestTag/{REASON_TAG}": "?" * SHORTEST_REASON + "*"}
    conditions = {
        "AssumeRole": {"StringEquals": {"sts:RoleSessionName": who, "sts:SourceIdentity": who}, "StringLike": reason},
        "SetSourceIdentity": {"StringEquals": {"sts:SourceIdentity": who}},
        "TagSession": {"StringLike": reason, "ForAllValues:StringEquals": {"aws:TagKeys": [REASON_TAG]}},
    }
    statements = [
        {
            "Sid": action,
            "Effect": "Allow",
            "Principal": {"AWS": sorted(users)},
            "Action": f"sts:{action}",
            "Condition": {**fresh, **more},
        }
        for action, more in conditions.items()
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))


def _statements(args: BreakGlassArgs) -> list[Statement]:
    names = args.names
    return [
        Statement(
            sid="People",
            actions=(
                "cognito-idp:AdminAddUserToGroup",
                "cognito-idp:AdminCreateUser",
                "cognito-idp:AdminDisableUser",
                "cognito-idp:AdminEnableUser",
                "cognito-idp:AdminGetUser",
                "cognito-idp:AdminListGroupsForUser",
                "cognito-idp:AdminSetUserMFAPreference",
                "cognito-idp:AdminUserGlobalSignOut",
                "cognito-idp:ListUsers",
            ),
            resources=(args.user_pool_arn,),
            reason="where no administrator can sign in, one has to be made; groups are rights in the API, and none in AWS",
        ),
        Statement(sid="Services", actions=("ecs:DescribeServices", "ecs:UpdateService"), resources=tuple(args.service_arns)),
        Statement(
            sid="Keys", actions=("kms:CancelKeyDeletion", "kms:DescribeKey", "kms:EnableKey"), resources=tuple(args.key_arns)
        ),
        Statement(
            sid="Secret", actions=("secretsmanager:DescribeSecret", "secretsmanager:RestoreSecret"), resources=(args.secret_arn,)
        ),
        Statement(
            sid="Logs",
            actions=("logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents"),
            resources=(
                names.arn("logs", f"log-group:{names.log_group('*')}"),
                names.arn("logs", f"log-group:/aws/lambda/{names.prefix}-*"),
            ),
            reason="what happened stands in any of the stack's log groups",
        ),
        Statement(
            sid="NeverTraces",
            effect="Deny",
            actions=(
                "cloudtrail:*",
                "cloudwatch:D*",
                "cloudwatch:Put*",
                "events:*",
                "iam:*",
                "kms:CreateGrant",
                "kms:Decrypt",
                "kms:DisableKey",
                "kms:PutKeyPolicy",
                "kms:ScheduleKeyDeletion",
                "logs:Delete*",
                "logs:Put*",
                "s3:*",
                "secretsmanager:GetSecretValue",
                "sns:*",
                "sts:AssumeRole",
            ),
            resources=("*",),
            reason="whatever else somebody attaches: no data, no rights, no way on, and nothing that removes record or alarm",
        ),
    ]
