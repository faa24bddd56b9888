"""What holds for every planned resource, whatever the settings are."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pulumi.runtime import rpc

from infra.naming import STAGE
from lambda_authorizer.access_policy import AUDIT, KEYS, RULES, SERVICE, USERS
from posture.controls.registry import at
from posture.plan import ACCOUNT, Plan, Registration
from posture.policies import allowed_to_identities, documents, listed

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


def _by_call(plan: Plan, type_: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The inputs of what belongs to a method of the API, by the method and its route."""
    resources = {one.id: one.inputs for one in plan.of("apigateway/resource:Resource")}

    def route(resource_id: str) -> str:
        if resource_id not in resources:
            return "/"
        return f"{route(resources[resource_id]['parentId']).rstrip('/')}/{resources[resource_id]['pathPart']}"

    return {(one.inputs["httpMethod"], route(one.inputs["resourceId"])): one.inputs for one in plan.of(type_)}


@invariant
def every_method_is_in_the_access_policy_or_signed(plan: Plan) -> Iterator[str]:
    planned = {call: inputs["authorization"] for call, inputs in _by_call(plan, "apigateway/method:Method").items()}
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

_NAMES = {KEYS: "key-administration", USERS: "user-administration", AUDIT: "audit-search"}
FUNCTIONS = {"POST /token": "token"} | {
    f"{rule.method} {rule.route}": _NAMES[rule.answered_by] for rule in RULES.values() if rule.answered_by != SERVICE
}
"""Which function answers a call. All others are the service's."""


@invariant
def every_method_is_answered_by_whom_the_access_policy_names(plan: Plan) -> Iterator[str]:
    balancers = {f"arn:aws:{one.id}" for one in plan.of("lb/loadBalancer:LoadBalancer")}
    for (method, path), inputs in _by_call(plan, "apigateway/integration:Integration").items():
        function = FUNCTIONS.get(f"{method} {path}")
        if function is None and not (inputs["type"] == "HTTP_PROXY" and inputs.get("integrationTarget") in balancers):
            yield f"{method} {path}: is not answered by the service"
        elif function and (inputs["type"], inputs.get("uri")) != ("AWS_PROXY", f"Function/{function}/invokeArn"):
            yield f"{method} {path}: is not answered by the function {function}"


@invariant
def functions_are_invoked_for_the_calls_that_they_answer(plan: Plan) -> Iterator[str]:
    """Each permission names one method of the one stage, whatever id stands in the path, or the authorizer."""
    names = {function.name: function.inputs["name"] for function in plan.of("lambda/function:Function")}
    (api,) = plan.of("apigateway/restApi:RestApi")
    start = f"{api.id}/executionArn"
    expected = {
        (names.get(function), f"{start}/{STAGE}/{re.sub('{[a-z_]+}', '*', call.replace(' ', '', 1))}")
        for call, function in FUNCTIONS.items()
    }
    expected |= {(names["authorizer"], f"{start}/authorizers/{one.id}") for one in plan.of("apigateway/authorizer:Authorizer")}
    given = {
        (one.inputs["function"], one.inputs.get("sourceArn"))
        for one in plan.of("lambda/permission:Permission")
        if one.inputs["principal"] == "apigateway.amazonaws.com"
    }
    yield from sorted(f"{function}: may be invoked for {source}" for function, source in given - expected)
    yield from sorted(f"{function}: may not be invoked for {source}" for function, source in expected - given)


@invariant
def failures_of_functions_are_heard_of(plan: Plan) -> Iterator[str]:
    """But for the authorizer's, which has to fail to refuse a caller: the API's log tells what of that is a fault."""
    watched = {
        at(alarm.inputs, "dimensions.FunctionName")
        for alarm in plan.of("cloudwatch/metricAlarm:MetricAlarm")
        if alarm.inputs.get("metricName") == "Errors" and alarm.inputs.get("alarmActions")
    }
    for function in plan.of("lambda/function:Function"):
        if function.name != "authorizer" and function.inputs["name"] not in watched:
            yield f"{function.id}: fails, and nobody hears of it"


KEY_TABLES = {
    ("authorizer", "api-keys"): {"GetItem"},
    ("authorizer", "key-use"): {"PutItem"},
    ("token", "api-keys"): {"PutItem"},
    ("key-administration", "api-keys"): {"GetItem", "PutItem", "UpdateItem", "Scan"},
    ("key-administration", "key-use"): {"BatchGetItem"},
    ("user-administration", "api-keys"): {"UpdateItem"},
}
"""What which function may do to the tables of API keys. Nobody deletes: a nonce that is gone would open its call again."""


@invariant
def the_tables_of_keys_are_open_to_their_functions_alone(plan: Plan) -> Iterator[str]:
    found: dict[tuple[str, str], set[str]] = {}
    for policy, statement in allowed_to_identities(plan):
        for table in ("api-keys", "key-use"):
            if f"arn:aws:Table/{table}" in listed(statement["Resource"]):
                actions = {action.removeprefix("dynamodb:") for action in listed(statement["Action"])}
                found.setdefault((policy.name, table), set()).update(actions)
    for who, table in sorted(found.keys() | KEY_TABLES.keys()):
        given, needed = found.get((who, table), set()), KEY_TABLES.get((who, table), set())
        if given != needed:
            yield f"{who}: may do {sorted(given)} to {table}, and needs {sorted(needed)}"


PEOPLE = {
    *("AdminGetUser", "AdminListGroupsForUser", "ListUsers", "ListUsersInGroup", "AdminCreateUser", "AdminDeleteSoftwareToken"),
    *("AdminAddUserToGroup", "AdminRemoveUserFromGroup", "AdminDisableUser", "AdminEnableUser", "AdminUserGlobalSignOut"),
}
"""What user administration may do: neither set a password nor change an address, with which it could sign in as somebody."""


@invariant
def people_are_administered_by_one_function_in_one_pool(plan: Plan) -> Iterator[str]:
    pools = {f"arn:aws:{pool.id}" for pool in plan.of("cognito/userPool:UserPool")}
    found: set[str] = set()
    for policy, statement in allowed_to_identities(plan):
        actions = {action for action in listed(statement["Action"]) if action.startswith("cognito-idp:")}
        if actions and policy.name != "user-administration":
            yield f"{policy.id}: {statement['Sid']} reaches into the user pool"
        if actions and not set(listed(statement["Resource"])) <= pools:
            yield f"{policy.id}: {statement['Sid']} is about more than the user pool"
        found |= {action.removeprefix("cognito-idp:") for action in actions}
    if found != PEOPLE:
        yield f"user-administration: may do {sorted(found)}, and needs {sorted(PEOPLE)}"


@invariant
def the_audit_records_are_read_by_two_functions(plan: Plan) -> Iterator[str]:
    """They read the logs that hold records, and no others. API Gateway's own role has to be able to read all logs."""
    names = [function.inputs["name"] for function in plan.of("lambda/function:Function") if function.name in _RECORDING]
    tasks = [f"/heartmap/{plan.settings.environment}/{task}" for task in ("api", "worker")]
    expected = {f"log-group:{group}:*" for group in (*(f"/aws/lambda/{name}" for name in names), *tasks)}
    for policy, statement in allowed_to_identities(plan):
        reads = {"logs:FilterLogEvents", "logs:GetLogEvents", "logs:StartQuery"} & set(listed(statement["Action"]))
        if not reads or policy.name == "api-logs":
            continue
        resources = {resource.split(":", 5)[5] for resource in listed(statement["Resource"])}
        if policy.name not in _READERS or reads != {"logs:FilterLogEvents"} or resources != expected:
            yield f"{policy.id}: {statement['Sid']} reads {sorted(resources)} by {sorted(reads)}"


_RECORDING = {"authorizer", "token", "sealing", *_NAMES.values()}
"""The functions that leave audit records."""
_READERS = {"audit-search", "sealing"}


@invariant
def the_writers_of_api_keys_write_different_ones(plan: Plan) -> Iterator[str]:
    """The token function writes those whose id begins with ``role``, user administration the list of who is locked out, key
    administration all others, and no call passes untold."""
    tests = {
        "token": ("ForAllValues:StringLike", ["role*"]),
        "key-administration": ("ForAllValues:StringNotLike", ["role*"]),
        "user-administration": ("ForAllValues:StringEquals", ["locked"]),
    }
    for policy, statement in allowed_to_identities(plan):
        writes = {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"} & set(listed(statement["Action"]))
        if not writes or "arn:aws:Table/api-keys" not in listed(statement["Resource"]):
            continue
        operator, ids = tests.get(policy.name, ("", []))
        expected = {operator: {"dynamodb:LeadingKeys": ids}, "Null": {"dynamodb:LeadingKeys": "false"}}
        if statement.get("Condition") != expected:
            yield f"{policy.id}: {statement['Sid']} lets it write over what is not its own"


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
