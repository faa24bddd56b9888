"""IAM as data: a statement is a dataclass, and every policy document is rendered and linted here.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

TYPE_ROLE = "heartmap:iam:ServiceRole"

_ACTION = re.compile(r"[a-z0-9-]+:[A-Za-z0-9*]+")
_SID = re.compile(r"[A-Za-z0-9]+")
# All resources of a service, or all of one kind in an account. What comes before the slash is no kind in S3, but a bucket.
_EVERYTHING = re.compile(r"\*|arn:[^:]*:[^:]*:[^:]*:[^:]*:\*|arn:[^:]*:(?!s3:)[^:]*:[^:]*:[^:]*:[a-z-]+[/:]\*")

# Whoever may do one of these to the right resource can make rights of it that nobody gave him.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-reference-policy-checks.html
ESCALATING = frozenset(
    {
        "cloudformation:CreateStack",
        "cloudformation:UpdateStack",
        "codebuild:StartBuild",
        "cognito-idp:AdminAddUserToGroup",
        "cognito-idp:AdminCreateUser",
        "cognito-idp:AdminSetUserPassword",
        "ec2:RunInstances",
        "ecs:ExecuteCommand",
        "ecs:RegisterTaskDefinition",
        "ecs:RunTask",
        "iam:AddUserToGroup",
        "iam:AttachGroupPolicy",
        "iam:AttachRolePolicy",
        "iam:AttachUserPolicy",
        "iam:CreateAccessKey",
        "iam:CreateLoginProfile",
        "iam:CreatePolicyVersion",
        "iam:CreateRole",
        "iam:CreateUser",
        "iam:PassRole",
        "iam:PutGroupPolicy",
        "iam:PutRolePolicy",
        "iam:PutUserPolicy",
        "iam:SetDefaultPolicyVersion",
        "iam:UpdateAssumeRolePolicy",
        "iam:UpdateLoginProfile",
        "kms:CreateGrant",
        "kms:PutKeyPolicy",
        "lambda:AddPermission",
        "lambda:CreateFunction",
        "lambda:UpdateFunctionCode",
        "lambda:UpdateFunctionConfiguration",
        "s3:PutBucketPolicy",
        "secretsmanager:PutResourcePolicy",
        "ssm:SendCommand",
        "sts:AssumeRole",
    }
)
# What carries data or secrets away.
READING = frozenset(
    {
        "dynamodb:BatchGetItem",
        "dynamodb:ExportTableToPointInTime",
        "dynamodb:GetItem",
        "dynamodb:Query",
        "dynamodb:Scan",
        "kms:Decrypt",
        "kms:ReEncryptFrom",
        "s3:GetObject",
        "s3:GetObjectVersion",
        "secretsmanager:GetSecretValue",
        "sqs:ReceiveMessage",
        "ssm:GetParameter",
        "ssm:GetParameters",
        "ssm:GetParametersByPath",
    }
)


class PolicyError(ValueError):
    """A statement says more than it should, or less than it must."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement of a policy.

    A wildcard in ``actions`` or ``resources``, and the principal ``*``, need a ``reason``, which is for the reader and is not
    part of the document. ``principals`` belongs to resource policies alone. In the others, what reads data must not be allowed on
    everything, whatever the reason; what gives rights needs exact resources and a reason, and iam:PassRole the service that the
    role is for. Raises PolicyError.
    """

    sid: str
    actions: Sequence[str]
    resources: Sequence[Input[str]]
    effect: Literal["Allow", "Deny"] = "Allow"
    principals: Mapping[Literal["AWS", "Service"], Sequence[Input[str]]] = field(default_factory=dict)
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reason: str = ""

    def __post_init__(self) -> None:
        if not _SID.fullmatch(self.sid):
            raise PolicyError(f"the sid {self.sid!r} must be letters and digits")
        if not self.actions or not self.resources:
            raise PolicyError(f"statement {self.sid} names no action or no resource")
        for action in self.actions:
            if action == "*" or action == "*:*" or not _ACTION.fullmatch(action):
                raise PolicyError(f"statement {self.sid}: {action!r} is no action of one service")
        self._need_reason([*self.actions, *(r for r in self.resources if isinstance(r, str))])
        self._need_limits([r for r in self.resources if isinstance(r, str)])
        for identifiers in self.principals.values():
            if self.effect == "Allow" and not self.conditions and "*" in identifiers:
                raise PolicyError(f"statement {self.sid} allows everyone without a condition")

    def _need_reason(self, texts: Sequence[str]) -> None:
        wild = next((text for text in texts if "*" in text), None)
        if wild is not None and not self.reason:
            raise PolicyError(f"statement {self.sid}: {wild!r} holds a wildcard and gives no reason")

    def _covers(self, actions: frozenset[str]) -> str | None:
        """The first of these that the statement allows by an identity policy, also by a wildcard."""
        if self.effect == "Deny" or self.principals:
            return None
        return next((one for one in sorted(actions) if any(fnmatchcase(one, action) for action in self.actions)), None)

    def _need_limits(self, resources: Sequence[str]) -> None:
        reading, escalating = self._covers(READING), self._covers(ESCALATING)
        everything = next((resource for resource in resources if _EVERYTHING.fullmatch(resource)), None)
        if reading and everything:
            raise PolicyError(f"statement {self.sid} allows {reading} on {everything}: name what it reads")
        if escalating and (not self.reason or any("*" in resource for resource in resources)):
            raise PolicyError(
                f"statement {self.sid} allows {escalating}, which gives rights: name exact resources and the reason"
            )
        passed = "iam:PassedToService" in {key for keys in self.conditions.values() for key in keys}
        if self._covers(frozenset({"iam:PassRole"})) and not passed:
            raise PolicyError(f"statement {self.sid} allows iam:PassRole without the condition iam:PassedToService")

    def render(self) -> Output[dict[str, Any]]:
        """The statement as IAM's JSON object. A wildcard that only a computed ARN reveals is refused there: PolicyError."""

        def rendered(values: dict[str, Any]) -> dict[str, Any]:
            self._need_reason(values["resources"])
            self._need_limits(values["resources"])
            out: dict[str, Any] = {"Sid": self.sid, "Effect": self.effect}
            if values["principals"]:
                out["Principal"] = values["principals"]
            out |= {"Action": sorted(self.actions), "Resource": values["resources"]}
            if values["conditions"]:
                out["Condition"] = values["conditions"]
            return out

        return Output.from_input(
            {
                "resources": list(self.resources),
                "principals": {kind: list(identifiers) for kind, identifiers in self.principals.items()},
                "conditions": {test: dict(keys) for test, keys in self.conditions.items()},
            }
        ).apply(rendered)


def document(*statements: Statement) -> Output[str]:
    """A policy document as JSON text. Raises PolicyError for one without statements or with a sid twice."""
    if not statements:
        raise PolicyError("a policy needs a statement")
    sids = [statement.sid for statement in statements]
    if len(sids) != len(set(sids)):
        raise PolicyError("a sid stands twice in one policy: " + ", ".join(sids))
    return Output.all(*(statement.render() for statement in statements)).apply(
        lambda rendered: json.dumps({"Version": "2012-10-17", "Statement": rendered}, separators=(",", ":"))
    )


def tls_only(resources: Sequence[Input[str]], action: str) -> Statement:
    """The statement of a resource policy that refuses whoever comes without TLS."""
    return Statement(
        sid="TlsOnly",
        effect="Deny",
        principals={"AWS": ("*",)},
        actions=(action,),
        resources=resources,
        conditions={"Bool": {"aws:SecureTransport": "false"}},
        reason="a refusal has to hold for everyone, every action and every object",
    )


def own_account_only(account: str, resources: Sequence[Input[str]], action: str) -> Statement:
    """The statement of a resource policy that refuses whoever is of another account, or of none.

    AWS services that act for an account's resources are let by: the statements that admit them name those resources.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_data-perimeters.html
    """
    return Statement(
        sid="OwnAccountOnly",
        effect="Deny",
        principals={"AWS": ("*",)},
        actions=(action,),
        resources=resources,
        conditions={
            "StringNotEquals": {"aws:PrincipalAccount": account},
            "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
        },
        reason="a refusal has to hold for everyone, every action and every object",
    )


@dataclass(frozen=True, kw_only=True)
class ServiceRoleArgs:
    """``service`` is the principal that takes the role.

    ``account`` binds it to work for this account, and ``source_arn``, a pattern, to that for some resources of it. Where AWS does
    not say what its service sends, ``unbound`` says why there is neither. Raises PolicyError without any.
    """

    name: str
    service: str
    description: str
    statements: Sequence[Statement]
    account: str | None = None
    source_arn: str | None = None
    unbound: str = ""

    def __post_init__(self) -> None:
        if bool(self.account) == bool(self.unbound):
            raise PolicyError(f"the trust of role {self.name} needs its account, or the reason why there is none")
        if self.source_arn and not self.account:
            raise PolicyError(f"the trust of role {self.name} names a source without its account")


class ServiceRole(pulumi.ComponentResource):
    """A role that one AWS service takes, with one managed policy of its own: no inline and no AWS-managed policies."""

    arn: Output[str]
    name: Output[str]

    def __init__(self, name: str, args: ServiceRoleArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_ROLE, name, None, opts)
        child = ResourceOptions(parent=self)
        trust: dict[str, Any] = {
            "Sid": "Trust",
            "Effect": "Allow",
            "Principal": {"Service": args.service},
            "Action": "sts:AssumeRole",
        }
        if args.account:
            # Otherwise another account could have the service act with this role: the confused deputy.
            trust["Condition"] = {"StringEquals": {"aws:SourceAccount": args.account}}
        if args.source_arn:
            trust["Condition"]["ArnLike"] = {"aws:SourceArn": args.source_arn}
        role = aws.iam.Role(
            name,
            name=args.name,
            description=args.description,
            assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}, separators=(",", ":")),
            opts=child,
        )
        policy = aws.iam.Policy(name, name=args.name, description=args.description, policy=document(*args.statements), opts=child)
        attachment = aws.iam.RolePolicyAttachment(name, role=role.name, policy_arn=policy.arn, opts=child)
        # Whoever uses the role finds the policy attached already.
        self.arn = Output.all(role.arn, attachment.id).apply(lambda values: values[0])
        self.name = Output.all(role.name, attachment.id).apply(lambda values: values[0])
        self.register_outputs({"arn": self.arn})
