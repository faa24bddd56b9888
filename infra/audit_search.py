"""The function behind ``/audit``: administrators search the lines that the authorizer and the functions behind the API leave."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pulumi import Input, Output, ResourceOptions

from infra.api_functions import ApiFunction, ApiFunctionArgs, Surroundings
from infra.data import SEALS_PREFIX, PrivateBucket
from infra.iam import Statement
from lambda_audit import package

TYPE_AUDIT_SEARCH = "heartmap:audit_search:AuditSearch"

PURPOSE = "audit"
# Below what API Gateway waits, 29 seconds.
TIMEOUT_SECONDS = 25


@dataclass(frozen=True, kw_only=True)
class AuditSearchArgs:
    """``log_groups`` are the names of those that are searched, by their streams (lambda_audit.lines); its own comes on top.

    ``audit`` keeps the seals, ``public_key`` (PEM) is the one that they are verified by.
    """

    surroundings: Surroundings
    audit: PrivateBucket
    public_key: Input[str]
    log_groups: Mapping[str, Input[str]]


class AuditSearch(ApiFunction):
    """Reads these log groups and no others, and the seals, and writes to nothing but its own log group."""

    def __init__(self, name: str, args: AuditSearchArgs, opts: ResourceOptions | None = None) -> None:
        names = args.surroundings.names
        # Who reads is recorded as well, and found here; named before it is made, for the function is told of it.
        groups = {**args.log_groups, PURPOSE: f"/aws/lambda/{names.of(PURPOSE)}"}
        own = ApiFunctionArgs(
            purpose=PURPOSE,
            description="Searches the audit lines",
            build=package.build,
            environment={
                "HEARTMAP_AUDIT_LOG_GROUPS": Output.all(**groups).apply(_as_json),
                "HEARTMAP_AUDIT_BUCKET": args.audit.bucket,
                "HEARTMAP_AUDIT_PUBLIC_KEY": args.public_key,
                "HEARTMAP_AUDIT_KEPT_DAYS": str(args.surroundings.settings.log_retention_days),
            },
            statements=[
                Statement(
                    sid="AuditLines",
                    actions=("logs:FilterLogEvents",),
                    resources=tuple(Output.concat(names.arn("logs", "log-group:"), group, ":*") for group in groups.values()),
                    reason="the lines are in streams of which each instance of a function makes its own",
                ),
                *_seals(args),
            ],
            timeout=TIMEOUT_SECONDS,
        )
        super().__init__(TYPE_AUDIT_SEARCH, name, args.surroundings, own, opts)


def _seals(args: AuditSearchArgs) -> list[Statement]:
    """What the addresses allow that administrators get of seals, and the list of them."""
    around = args.surroundings
    return [
        Statement(
            sid="Seals",
            actions=("s3:GetObject",),
            resources=(Output.concat(args.audit.arn, "/", SEALS_PREFIX, "*"),),
            reason="seals are numbered, and records are named by what they hold",
        ),
        Statement(
            sid="ListSeals",
            actions=("s3:ListBucket",),
            resources=(args.audit.arn,),
            conditions={"StringLike": {"s3:prefix": f"{SEALS_PREFIX}*"}},
        ),
        Statement(
            sid="BucketsKey",
            actions=("kms:Decrypt",),
            resources=(around.logs_key_arn,),
            conditions={"StringEquals": {"kms:ViaService": f"s3.{around.names.region}.amazonaws.com"}},
        ),
    ]


def _as_json(groups: Mapping[str, str]) -> str:
    return json.dumps(groups, sort_keys=True, separators=(",", ":"))
