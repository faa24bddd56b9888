"""Whether the names that the stack will take are free: left over from an earlier stack, or somebody else's."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from operator_cli.preflight.place import Line, Place, code_of
from operator_cli.preflight.registry import check

SHOWN = 4


class Lookup(NamedTuple):
    """How a name is asked for: the call, its argument, and how the refusals read that mean that the name is free."""

    argument: str
    service: str
    operation: str
    arguments: Callable[[Place, str], dict[str, Any]]
    free: tuple[str, ...]


def _one(key: str) -> Callable[[Place, str], dict[str, Any]]:
    return lambda _, name: {key: name}


def _several(key: str) -> Callable[[Place, str], dict[str, Any]]:
    return lambda _, name: {key: [name]}


def _policy(place: Place, name: str) -> dict[str, Any]:
    return {"PolicyArn": f"arn:{place.partition}:iam::{place.account}:policy/{name}"}


LOOKUPS = {
    "s3/bucket:Bucket": Lookup("bucket", "s3", "head_bucket", _one("Bucket"), ("404",)),
    "secretsmanager/secret:Secret": Lookup(
        "name", "secretsmanager", "describe_secret", _one("SecretId"), ("ResourceNotFoundException",)
    ),
    "iam/role:Role": Lookup("name", "iam", "get_role", _one("RoleName"), ("NoSuchEntity",)),
    "iam/policy:Policy": Lookup("name", "iam", "get_policy", _policy, ("NoSuchEntity",)),
    "iam/instanceProfile:InstanceProfile": Lookup(
        "name", "iam", "get_instance_profile", _one("InstanceProfileName"), ("NoSuchEntity",)
    ),
    "dynamodb/table:Table": Lookup("name", "dynamodb", "describe_table", _one("TableName"), ("ResourceNotFoundException",)),
    "sqs/queue:Queue": Lookup(
        "name", "sqs", "get_queue_url", _one("QueueName"), ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
    ),
    "kms/alias:Alias": Lookup("name", "kms", "describe_key", _one("KeyId"), ("NotFoundException",)),
    "ecr/repository:Repository": Lookup(
        "name", "ecr", "describe_repositories", _several("repositoryNames"), ("RepositoryNotFoundException",)
    ),
    "lambda/function:Function": Lookup(
        "name", "lambda", "get_function_configuration", _one("FunctionName"), ("ResourceNotFoundException",)
    ),
    "lb/loadBalancer:LoadBalancer": Lookup(
        "name", "elbv2", "describe_load_balancers", _several("Names"), ("LoadBalancerNotFound",)
    ),
    "lb/targetGroup:TargetGroup": Lookup("name", "elbv2", "describe_target_groups", _several("Names"), ("TargetGroupNotFound",)),
    "ssm/document:Document": Lookup("name", "ssm", "describe_document", _one("Name"), ("InvalidDocument",)),
    "cloudtrail/trail:Trail": Lookup("name", "cloudtrail", "get_trail", _one("Name"), ("TrailNotFoundException",)),
    "apigateway/domainName:DomainName": Lookup(
        "domainName", "apigateway", "get_domain_name", _one("domainName"), ("NotFoundException",)
    ),
}


@check("names")
def names(place: Place) -> Iterator[Line]:
    """Everything whose name may exist once. What the stack's own state holds is no leftover."""
    taken, looked = [], 0
    for kind, name, state in (*_looked_up(place), *_log_groups(place), *_records(place)):
        looked += 1
        if state and not (place.deployed and name in place.deployed):
            taken.append(f"{kind} {name} {state}")
    if taken:
        shown = "; ".join(taken[:SHOWN]) + (f"; and {len(taken) - SHOWN} more" if len(taken) > SHOWN else "")
        known = "" if place.deployed is not None else ", as far as can be told without the stack's state (`pulumi login`)"
        yield Line(
            name="names",
            state="fail" if place.deployed is not None else "warn",
            detail=f"{len(taken)} of {looked} names are taken{known}: {shown}",
            next_step="Left over from an earlier stack: take them in (`pulumi import`) or remove them, see docs/teardown.md.",
            items=tuple(taken),
        )
    else:
        what = "free, or the stack's own" if place.deployed else "free"
        yield Line(name="names", state="pass", detail=f"{looked} names are {what}")


Found = tuple[str, str, str | None]
"""The kind, the name, and in what way it is taken; None where it is free."""


def _looked_up(place: Place) -> Iterator[Found]:
    for type_, lookup in LOOKUPS.items():
        for name in place.names(type_, lookup.argument):
            yield type_.rpartition(":")[2], name, _taken(place, lookup, name)


def _taken(place: Place, lookup: Lookup, name: str) -> str | None:
    from botocore.exceptions import ClientError

    try:
        answer = getattr(place.client(lookup.service), lookup.operation)(**lookup.arguments(place, name))
    except ClientError as error:
        code = code_of(error)
        if code in lookup.free:
            return None
        if lookup.service == "s3" and code == "403":
            return "belongs to another account, or you may not see it"
        raise
    return _how(answer)


def _how(answer: Mapping[str, Any]) -> str:
    if ends := answer.get("DeletedDate"):
        return f"is scheduled for deletion since {ends:%Y-%m-%d}: aws secretsmanager restore-secret, or wait"
    return "exists"


def _log_groups(place: Place) -> Iterator[Found]:
    for name in place.names("cloudwatch/logGroup:LogGroup", "name"):
        # That of the API's executions is named by an id that the API has yet to be given.
        if not name.startswith("API-Gateway-Execution-Logs"):
            groups = place.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=name)
            yield "LogGroup", name, "exists" if any(group["logGroupName"] == name for group in groups) else None


def _records(place: Place) -> Iterator[Found]:
    """Records of the domain, which Route 53 makes once. Those that prove certificates are named by the certificate."""
    zone = place.settings.hosted_zone_id
    wanted = {
        (record.inputs["name"], record.inputs["type"])
        for record in place.plan.of("route53/record:Record")
        if record.inputs.get("zoneId") == zone and record.inputs["type"] in ("A", "AAAA")
    }
    if not wanted or _no_zone(place, zone):
        return
    there = {
        (record["Name"].rstrip("."), record["Type"])
        for record in place.pages("route53", "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=zone)
    }
    for name, type_ in sorted(wanted):
        yield f"{type_} record", name, "exists" if there & {(name, type_), (name, "CNAME")} else None


def _no_zone(place: Place, zone: str) -> bool:
    """Whether there is no such zone, which another check tells."""
    from botocore.exceptions import ClientError

    try:
        place.client("route53").get_hosted_zone(Id=zone)
    except ClientError as error:
        return code_of(error) in ("NoSuchHostedZone", "InvalidInput")
    return False
