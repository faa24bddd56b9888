"""Whether the identity that deploys may do what the deployment does.

What it does is derived from the plan: `calls.yaml` has, for each resource type, what HashiCorp's AWS provider, which Pulumi's
wraps, was seen to call when it made, read and deleted one. IAM simulates the identity's policies over that.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from operator_cli.preflight.place import Line, Place
from operator_cli.preflight.registry import check

CALLS = Path(__file__).with_name("calls.yaml")
AT_ONCE = 60
"""Actions in one call of the simulation."""
SHOWN = 6

UNCOVERED = (
    "not covered: session policies, key policies and other policies of resources, conditions on tags, and what a service "
    "control policy makes depend on them"
)

# Policies of deployers are often bound to names. An action is asked about one resource of the stack, where its service has names.
RESOURCES = {
    "cloudtrail": "arn:{partition}:cloudtrail:{region}:{account}:trail/{prefix}",
    "dynamodb": "arn:{partition}:dynamodb:{region}:{account}:table/{prefix}-jobs",
    "iam": "arn:{partition}:iam::{account}:role/{prefix}-api-task",
    "lambda": "arn:{partition}:lambda:{region}:{account}:function:{prefix}-authorizer",
    "logs": "arn:{partition}:logs:{region}:{account}:log-group:/heartmap/{environment}/api:*",
    "s3": "arn:{partition}:s3:::{prefix}-uploads-{account}-{region}",
    "secretsmanager": "arn:{partition}:secretsmanager:{region}:{account}:secret:{prefix}/authorizer-AbCdEf",
    "sns": "arn:{partition}:sns:{region}:{account}:{prefix}-alarms",
    "sqs": "arn:{partition}:sqs:{region}:{account}:{prefix}-work",
}


@cache
def calls() -> dict[str, list[str]]:
    """The actions by resource type, such as `aws:s3/bucket:Bucket`."""
    import yaml

    document = yaml.safe_load(CALLS.read_text(encoding="utf-8"))
    types = {*document["seen"], *document["beside"]}
    return {type_: [*document["seen"].get(type_, ()), *document["beside"].get(type_, ())] for type_ in types}


def needed(place: Place) -> tuple[list[str], list[str]]:
    """The actions that the plan takes, and its resource types of which nobody has said what they take."""
    types = {resource.type for resource in place.plan.resources if resource.type.startswith(("aws:", "awsx:"))}
    known = calls()
    return sorted({action for type_ in types & known.keys() for action in known[type_]}), sorted(types - known.keys())


@check("permissions")
def permissions(place: Place) -> Iterator[Line]:
    """IAM's own simulation, for the identity of this shell."""
    actions, unknown = needed(place)
    if unknown:
        yield Line(
            name="permissions",
            state="warn",
            detail=f"nobody has written down what these types need: {', '.join(unknown)}",
            next_step="Add them to operator_cli/preflight/calls.yaml.",
            items=tuple(unknown),
        )
    principal = _principal(place)
    if principal is None:
        yield _not_simulated(place)
        return
    decisions = dict(_simulated(place, principal, actions))
    refused = [action for action in actions if decisions.get(action) != "allowed"]
    if not refused:
        detail = f"{principal} may do all {len(actions)} actions of the plan ({UNCOVERED})"
        yield Line(name="permissions", state="pass", detail=detail)
        return
    shown = ", ".join(refused[:SHOWN]) + (f" and {len(refused) - SHOWN} more" if len(refused) > SHOWN else "")
    yield Line(
        name="permissions",
        state="fail",
        detail=f"{principal} may not do {len(refused)} of {len(actions)} actions: {shown}",
        next_step="Give it a policy that allows them (all are in `items` of --json), or deploy as somebody else.",
        items=tuple(refused),
    )


def _not_simulated(place: Place) -> Line:
    if place.caller.endswith(":root"):
        detail = "this shell has the account's root user, who may do everything and should do nothing"
        return Line(name="permissions", state="warn", detail=detail, next_step="Deploy with a role: docs/preflight.md")
    detail = f"IAM cannot simulate {place.caller}, which is neither a user nor a role"
    return Line(name="permissions", state="warn", detail=detail, next_step="Deploy with a role: docs/preflight.md")


def _principal(place: Place) -> str | None:
    """The ARN of the user or role behind the credentials: a session's own ARN leaves the path of its role out."""
    _, _, service, _, _, resource = place.caller.split(":", 5)
    kind, _, rest = resource.partition("/")
    if service == "sts" and kind == "assumed-role":
        return place.client("iam").get_role(RoleName=rest.split("/")[0])["Role"]["Arn"]
    return place.caller if service == "iam" and kind in ("user", "role") else None


def _simulated(place: Place, principal: str, actions: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each action with its decision: allowed, explicitDeny or implicitDeny."""
    for service, own in groupby(actions, key=lambda action: action.split(":")[0]):
        asked = list(own)
        for some in (asked[at : at + AT_ONCE] for at in range(0, len(asked), AT_ONCE)):
            answers: Any = place.pages(
                "iam",
                "simulate_principal_policy",
                "EvaluationResults",
                PolicySourceArn=principal,
                ActionNames=some,
                ResourceArns=[_resource(place, service)],
                ContextEntries=[
                    {
                        "ContextKeyName": "aws:RequestedRegion",
                        "ContextKeyValues": [place.settings.region],
                        "ContextKeyType": "string",
                    }
                ],
            )
            yield from ((answer["EvalActionName"], answer["EvalDecision"]) for answer in answers)


def _resource(place: Place, service: str) -> str:
    return RESOURCES.get(service, "*").format(
        partition=place.partition,
        region=place.settings.region,
        account=place.account,
        prefix=place.prefix,
        environment=place.settings.environment,
    )
