"""What holds for every planned resource, whatever the settings are."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pulumi.runtime import rpc

from lambda_authorizer.access_policy import RULES
from posture.plan import ACCOUNT, Plan, Registration
from posture.policies import documents, listed

Invariant = Callable[[Plan], Iterable[str]]
INVARIANTS: dict[str, Invariant] = {}
"""Each yields one finding for each resource that breaks it."""

# Inputs that hold a secret value, under the names that pulumi_aws gives them.
SECRET_INPUT = re.compile(r"(?i)^(secretString|secretBinary|privateKey|password|masterPassword|clientSecret|tokenValue)$")
PUBLIC_INPUT = {"publiclyAccessible", "assignPublicIp", "mapPublicIpOnLaunch", "associatePublicIpAddress", "makePublic"}
KEY_INPUT = re.compile(r"(?i)^(kmsKey(Id|Arn)?|kmsMasterKeyId|keyArn|kmsKeyIdArn)$")
# Where a range may mean everywhere: lists of a subnet that say what a security group admits further, and answers on the way back.
MAY_NAME_EVERYWHERE = {"aws:ec2/networkAcl:NetworkAcl"}
EVERYWHERE = {"0.0.0.0/0", "::/0"}

# What holds data that nothing else holds.
HOLDS_DATA = {
    "aws:s3/bucket:Bucket",
    "aws:dynamodb/table:Table",
    "aws:kms/key:Key",
    "aws:secretsmanager/secret:Secret",
    "aws:cognito/userPool:UserPool",
}
# Named within the account, so that two environments could meet; the others are named by AWS, or within what they belong to.
NAMED_IN_THE_ACCOUNT = {
    "aws:iam/role:Role",
    "aws:iam/policy:Policy",
    "aws:lambda/function:Function",
    "aws:dynamodb/table:Table",
    "aws:sqs/queue:Queue",
    "aws:sns/topic:Topic",
    "aws:ecs/cluster:Cluster",
    "aws:ecr/repository:Repository",
    "aws:lb/loadBalancer:LoadBalancer",
    "aws:cloudwatch/metricAlarm:MetricAlarm",
    "aws:cloudtrail/trail:Trail",
    "aws:wafv2/webAcl:WebAcl",
    "aws:wafv2/ipSet:IpSet",
}


def invariant(check: Invariant) -> Invariant:
    """Registers a function under its name, which is the sentence that holds."""
    INVARIANTS[check.__name__] = check
    return check


def inputs_of(resource: Registration) -> Iterator[tuple[str, Any]]:
    """Every argument of a resource, however deep, with its own name."""
    return _pairs(resource.inputs)


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key, item
            yield from _pairs(item)
    elif isinstance(value, list):
        for item in value:
            yield from _pairs(item)


def texts(value: Any) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


@invariant
def every_resource_belongs_to_a_component(plan: Plan) -> Iterator[str]:
    types = {resource.urn: resource.type for resource in plan.resources}
    for resource in plan.resources:
        if resource.type.startswith("pulumi:providers:"):
            continue
        parent = types.get(resource.parent, "")
        if not parent.startswith("heartmap:") and not (not parent and resource.type.startswith("heartmap:")):
            yield f"{resource.id}: belongs to {parent or 'the stack'}"


@invariant
def every_urn_is_there_once(plan: Plan) -> Iterator[str]:
    seen: set[str] = set()
    for resource in plan.resources:
        if resource.urn in seen:
            yield f"{resource.id}: is registered twice"
        seen.add(resource.urn)


@invariant
def every_dependency_is_there(plan: Plan) -> Iterator[str]:
    there = {resource.urn for resource in plan.resources}
    for resource in plan.resources:
        yield from (f"{resource.id}: depends on {urn}" for urn in resource.dependencies if urn not in there)


@invariant
def secrets_are_marked_as_secrets(plan: Plan) -> Iterator[str]:
    for resource in plan.resources:
        for key, value in _pairs(resource.raw):
            if (
                SECRET_INPUT.match(key)
                and value
                and not rpc.is_rpc_secret(value)
                and not rpc.is_rpc_secret(resource.raw.get(key))
            ):
                yield f"{resource.id}: {key} is in plain"


@invariant
def no_input_holds_the_text_of_an_output(plan: Plan) -> Iterator[str]:
    for resource in plan.resources:
        if any("Calling __str__ on an Output" in text or "<pulumi" in text for text in texts(resource.inputs)):
            yield f"{resource.id}: holds the text of an Output"


@invariant
def nothing_is_public(plan: Plan) -> Iterator[str]:
    for resource in plan.resources:
        for key, value in inputs_of(resource):
            if key in PUBLIC_INPUT and str(value).lower() == "true":
                yield f"{resource.id}: {key}"


@invariant
def nothing_names_everywhere(plan: Plan) -> Iterator[str]:
    for resource in plan.resources:
        if resource.type not in MAY_NAME_EVERYWHERE and EVERYWHERE & set(texts(resource.inputs)):
            yield f"{resource.id}: names every address"


@invariant
def every_method_is_in_the_access_policy_or_signed(plan: Plan) -> Iterator[str]:
    resources = {one.id: one.inputs for one in plan.of("apigateway/resource:Resource")}

    def route(resource_id: str) -> str:
        if resource_id not in resources:
            return "/"
        return f"{route(resources[resource_id]['parentId']).rstrip('/')}/{resources[resource_id]['pathPart']}"

    planned = {}
    for method in plan.of("apigateway/method:Method"):
        planned[method.inputs["httpMethod"], route(method.inputs["resourceId"])] = method.inputs["authorization"]
    yield from (
        f"{method} {path}: is planned, and not in the table" for method, path in sorted(set(planned) - set(RULES) - SIGNED)
    )
    yield from (f"{method} {path}: is in the table, and not planned" for method, path in sorted(set(RULES) - set(planned)))
    for (method, path), authorization in planned.items():
        expected = "AWS_IAM" if (method, path) in SIGNED else "CUSTOM"
        if authorization != expected:
            yield f"{method} {path}: is authorised by {authorization}, not {expected}"


SIGNED = {("POST", "/token")}
"""What no credential but an IAM signature opens."""


@invariant
def policies_admit_nobody_else(plan: Plan) -> Iterator[str]:
    """An Allow for everyone is bound to this account, or to what AWS alone can say."""
    for document in documents(plan):
        for statement in document.statements:
            if statement["Effect"] != "Allow" or "Principal" not in statement:
                continue
            who = statement["Principal"]
            people = ["*"] if who == "*" else [name for kind, names in who.items() if kind != "Service" for name in listed(names)]
            conditions = json.dumps(statement.get("Condition", {}))
            for name in people:
                if name == "*" and not conditions.strip("{}"):
                    yield f"{document.resource.id}: {statement.get('Sid')} admits everyone"
                elif name != "*" and ACCOUNT not in name and not name.startswith("arn:aws:Role/"):
                    yield f"{document.resource.id}: {statement.get('Sid')} admits {name}"


@invariant
def what_is_encrypted_is_under_a_key_of_the_stack(plan: Plan) -> Iterator[str]:
    keys = {f"arn:aws:{key.id}" for key in plan.of("kms/key:Key")} | {f"{key.id}/keyId" for key in plan.of("kms/key:Key")}
    for resource in plan.resources:
        for key, value in inputs_of(resource):
            if KEY_INPUT.match(key) and value not in keys:
                yield f"{resource.id}: {key} is {value}"


@invariant
def log_groups_end(plan: Plan) -> Iterator[str]:
    for group in plan.of("cloudwatch/logGroup:LogGroup"):
        if not group.inputs.get("retentionInDays"):
            yield f"{group.id}: is kept for ever"


@invariant
def what_holds_data_is_protected_where_the_stack_is(plan: Plan) -> Iterator[str]:
    for resource in plan.resources:
        if resource.type in HOLDS_DATA and resource.protect != plan.settings.deletion_protection:
            yield f"{resource.id}: {'is protected' if resource.protect else 'can be deleted'}"


@invariant
def names_tell_the_environment(plan: Plan) -> Iterator[str]:
    prefix = f"heartmap-{plan.settings.environment}"
    for resource in plan.resources:
        name = str(resource.inputs.get("name", ""))
        if resource.type in NAMED_IN_THE_ACCOUNT and not name.startswith(prefix):
            yield f"{resource.id}: is called {name or 'as Pulumi likes'}"


@invariant
def everything_is_tagged(plan: Plan) -> Iterator[str]:
    tags = {"Project": "heartmap", "Environment": str(plan.settings.environment), "ManagedBy": "pulumi"}
    for provider in plan.resources:
        if provider.type == "pulumi:providers:aws" and json.loads(provider.inputs.get("defaultTags", "{}")).get("tags") != tags:
            yield f"{provider.id}: does not tag what it makes"
