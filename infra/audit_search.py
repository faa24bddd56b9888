"""The function behind ``/audit``: administrators search the lines that the authorizer and the functions behind the API leave."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pulumi import Input, Output, ResourceOptions

from infra.api_functions import ApiFunction, ApiFunctionArgs, Surroundings
from infra.iam import Statement
from lambda_audit import package

TYPE_AUDIT_SEARCH = "heartmap:audit_search:AuditSearch"

PURPOSE = "audit"
# Below what API Gateway waits, 29 seconds.
TIMEOUT_SECONDS = 25


@dataclass(frozen=True, kw_only=True)
class AuditSearchArgs:
    """``log_groups`` are the names of those that are searched, by their streams (lambda_audit.lines); its own comes on top."""

    surroundings: Surroundings
    log_groups: Mapping[str, Input[str]]


class AuditSearch(ApiFunction):
    """Reads these log groups and no others, and writes to none but its own."""

    def __init__(self, name: str, args: AuditSearchArgs, opts: ResourceOptions | None = None) -> None:
        names = args.surroundings.names
        # Who reads is recorded as well, and found here; named before it is made, for the function is told of it.
        groups = {**args.log_groups, PURPOSE: f"/aws/lambda/{names.of(PURPOSE)}"}
        own = ApiFunctionArgs(
            purpose=PURPOSE,
            description="Searches the audit lines",
            build=package.build,
            environment={"HEARTMAP_AUDIT_LOG_GROUPS": Output.all(**groups).apply(_as_json)},
            statements=[
                Statement(
                    sid="AuditLines",
                    actions=("logs:FilterLogEvents",),
                    resources=tuple(Output.concat(names.arn("logs", "log-group:"), group, ":*") for group in groups.values()),
                    reason="the lines are in streams of which each instance of a function makes its own",
                )
            ],
            timeout=TIMEOUT_SECONDS,
        )
        super().__init__(TYPE_AUDIT_SEARCH, name, args.surroundings, own, opts)


def _as_json(groups: Mapping[str, str]) -> str:
    return json.dumps(groups, sort_keys=True, separators=(",", ":"))
