"""What a stack's policies come to, as text for people: docs/effective/<stack>.txt.

Roles and what they may do, resource policies, web ACL, routes, and what the network lets through. An ARN that AWS would make up
stands as the kind and name of the resource: ``Key/data``.
"""

import ipaddress
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lambda_authorizer.access_policy import RULES, Rule
from posture.plan import ROOT, Plan, Registration
from posture.policies import Document, documents, listed, roles, statements_of

DIRECTORY = ROOT / "docs" / "effective"


def path(stack: str) -> Path:
    """Where the text of a stack is kept."""
    return DIRECTORY / f"{stack}.txt"


def render(plan: Plan) -> str:
    """The whole text, which is the same for the same plan."""
    sections = (
        ("Roles: who takes them, and what they may do", _roles(plan)),
        ("Policies for people", _unattached(plan)),
        ("Resource policies", _resource_policies(plan)),
        ("Functions: who may call them", _permissions(plan)),
        ("Web ACLs: the rules in their order", _web_acls(plan)),
        ("Routes: who may call them, and how often", _routes(plan)),
        ("Sign-in", _sign_in(plan)),
        ("Security groups: what they let through", _security_groups(plan)),
        ("Network ACLs", _network_acls(plan)),
    )
    head = f"What the policies of the stack {plan.stack} come to. Made by `make docs` from the plan; do not edit."
    parts = [head]
    for title, lines in sections:
        body = list(lines)
        parts.append("\n".join(["", f"# {title}", *(body or ["  (none)"])]))
    return "\n".join(parts) + "\n"


def _short(value: Any) -> str:
    return str(value).removeprefix("arn:aws:") if str(value).startswith("arn:aws:") and "/" in str(value) else str(value)


def _texts(value: Any) -> str:
    return ", ".join(sorted(_short(item) for item in listed(value)))


def _principals(statement: dict[str, Any]) -> str:
    who = statement["Principal"]
    return "everyone" if who == "*" else "; ".join(f"{kind} {_texts(names)}" for kind, names in sorted(who.items()))


def _statement(statement: dict[str, Any]) -> Iterator[str]:
    who = f" {_principals(statement)}" if "Principal" in statement else ""
    yield f"    {statement['Effect']}{who}  [{statement.get('Sid', '')}]"
    yield from (f"      {action}" for action in sorted(listed(statement["Action"])))
    yield from (f"      on {_short(resource)}" for resource in sorted(map(str, listed(statement.get("Resource")))))
    for test, keys in sorted((statement.get("Condition") or {}).items()):
        yield from (f"      if {test} {key} {_texts(value)}" for key, value in sorted(keys.items()))


def _roles(plan: Plan) -> Iterator[str]:
    for role, policies in sorted(roles(plan), key=lambda pair: pair[0].inputs["name"]):
        yield f"  {role.inputs['name']}: {role.inputs.get('description', '')}"
        for trust in listed(json.loads(role.inputs["assumeRolePolicy"])["Statement"]):
            yield f"    taken by {_principals(trust)}"
            for test, keys in sorted((trust.get("Condition") or {}).items()):
                yield from (f"      if {test} {key} {_texts(value)}" for key, value in sorted(keys.items()))
        for policy in policies:
            for statement in statements_of(policy):
                yield from _statement(statement)


def _unattached(plan: Plan) -> Iterator[str]:
    attached = {policy.urn for _, policies in roles(plan) for policy in policies}
    for policy in plan.of("iam/policy:Policy"):
        if policy.urn not in attached:
            yield f"  {policy.inputs['name']}: {policy.inputs.get('description', '')}"
            for statement in statements_of(policy):
                yield from _statement(statement)


def _resource_policies(plan: Plan) -> Iterator[str]:
    for document in sorted(documents(plan), key=lambda one: one.resource.id):
        if document.resource.type.startswith("aws:iam/"):
            continue
        yield f"  {_holder(document)}"
        for statement in document.statements:
            yield from _statement(statement)


def _holder(document: Document) -> str:
    service = document.resource.inputs.get("serviceName")
    return f"{document.resource.id}{f' ({service})' if service else ''}"


def _permissions(plan: Plan) -> Iterator[str]:
    # By their ids: they are registered in whichever order their functions' packages are ready.
    for one in sorted(plan.of("lambda/permission:Permission"), key=lambda one: one.id):
        inputs = one.inputs
        account = f" of {inputs['sourceAccount']}" if "sourceAccount" in inputs else ""
        source = _short(inputs.get("sourceArn", "anything"))
        yield f"  {inputs['principal']} may {inputs['action']} {_short(inputs['function'])} for {source}{account}"


def _web_acls(plan: Plan) -> Iterator[str]:
    ip_sets = {f"arn:aws:{one.id}": one.inputs for one in plan.of("wafv2/ipSet:IpSet")}
    for acl in plan.of("wafv2/webAcl:WebAcl"):
        associated = [
            _short(one.inputs["resourceArn"])
            for one in plan.of("wafv2/webAclAssociation:WebAclAssociation")
            if one.inputs["webAclArn"] == f"arn:aws:{acl.id}"
        ]
        yield f"  {acl.inputs['name']} guards {', '.join(sorted(associated)) or 'nothing'}"
        yield f"    by default: {', '.join(acl.inputs['defaultAction'])}"
        yield f"    bodies: {_compact(acl.inputs.get('associationConfig'))}"
        for rule in sorted(acl.inputs["rules"], key=lambda one: one["priority"]):
            action = rule.get("action") or {f"group's own, override {key}": {} for key in rule.get("overrideAction") or {}}
            yield f"    {rule['priority']} {rule['name']}: {', '.join(action)}"
            yield from (f"      {line}" for line in _condition(rule["statement"], ip_sets))
    for log in plan.of("wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration"):
        hidden = [_compact(field) for field in log.inputs.get("redactedFields", [])]
        yield f"  log of {_short(log.inputs['resourceArn'])} to {_texts(log.inputs['logDestinationConfigs'])} without {hidden}"


def _condition(statement: dict[str, Any], ip_sets: dict[str, dict[str, Any]]) -> Iterator[str]:
    """A rule's condition, one line a part, the ranges of IP sets in place of their ARNs."""
    for kind, body in statement.items():
        if kind == "ipSetReferenceStatement":
            yield f"address in {', '.join(ip_sets[body['arn']]['addresses']) or 'no range'}"
        elif kind == "notStatement":
            yield from (f"not {line}" for line in _condition(body["statement"], ip_sets))
        elif kind in ("orStatement", "andStatement"):
            word = kind.removesuffix("Statement")
            yield f"({word}: " + "; ".join(line for part in body["statements"] for line in _condition(part, ip_sets)) + ")"
        elif kind == "rateBasedStatement":
            yield f"more than {body['limit']} in {body.get('evaluationWindowSec', 300)} s by {body.get('aggregateKeyType')}"
            if "scopeDownStatement" in body:
                yield from (f"among: {line}" for line in _condition(body["scopeDownStatement"], ip_sets))
        else:
            yield f"{kind.removesuffix('Statement')} {_compact(body)}"


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(", ", ": ")) if value is not None else "-"


def _routes(plan: Plan) -> Iterator[str]:
    resources = {one.id: one for one in plan.of("apigateway/resource:Resource")}
    throttles = {one.inputs["methodPath"]: one.inputs["settings"] for one in plan.of("apigateway/methodSettings:MethodSettings")}
    integrations = {
        (one.inputs["httpMethod"], one.inputs["resourceId"]): _short(one.inputs.get("integrationTarget") or one.inputs["uri"])
        for one in plan.of("apigateway/integration:Integration")
    }
    lines = []
    for method in plan.of("apigateway/method:Method"):
        route, verb = _route(method.inputs["resourceId"], resources), method.inputs["httpMethod"]
        limit = throttles.get(f"{route.replace('/', '~1')}/{verb}", throttles.get("*/*", {}))
        rate = f"{limit.get('throttlingRateLimit', '-')}/s, burst {limit.get('throttlingBurstLimit', '-')}"
        authorizer = _short(method.inputs.get("authorizerId", "-"))
        who, by = _who(RULES.get((verb, route))), integrations.get((verb, method.inputs["resourceId"]), "nobody")
        lines.append(f"  {verb:6} {route:36} {method.inputs['authorization']} {authorizer}; {who}; answered by {by}; {rate}")
    yield from sorted(lines, key=lambda line: (line.split()[1], line.split()[0]))
    rest = throttles.get("*/*", {})
    yield f"  all together: {rest.get('throttlingRateLimit', '-')}/s, burst {rest.get('throttlingBurstLimit', '-')}"


def _route(resource_id: str, resources: dict[str, Registration]) -> str:
    """The path of a resource of the REST API, whose root is known by no registration."""
    if resource_id not in resources:
        return "/"
    inputs = resources[resource_id].inputs
    return f"{_route(inputs['parentId'], resources).rstrip('/')}/{inputs['pathPart']}"


def _who(rule: Rule | None) -> str:
    if rule is None:
        return "by an IAM signature, no group"
    who = f"groups {', '.join(sorted(rule.groups))}; scopes {', '.join(sorted(rule.scopes)) or '-'}"
    who += "; any principal" if rule.any_principal else ""
    return who + ("" if rule.sign_in_age is None else f"; people who signed in within {rule.sign_in_age} s")


def _sign_in(plan: Plan) -> Iterator[str]:
    for client in plan.of("cognito/userPoolClient:UserPoolClient"):
        inputs = client.inputs
        flows = ", ".join([*inputs.get("allowedOauthFlows", []), *inputs.get("explicitAuthFlows", [])])
        yield f"  client {inputs['name']}: {flows}"
        yield f"    scopes {', '.join(sorted(inputs.get('allowedOauthScopes', []))) or '-'}"
        yield f"    providers {', '.join(sorted(inputs.get('supportedIdentityProviders', []))) or '-'}"
        yield from (f"    comes back to {url}" for url in inputs.get("callbackUrls", []))
    for group in plan.of("cognito/userGroup:UserGroup"):
        yield f"  group {group.inputs['name']}: {group.inputs.get('description', '')}"


def _security_groups(plan: Plan) -> Iterator[str]:
    lines = []
    for direction, arrow in (("Ingress", "from"), ("Egress", "to")):
        for rule in plan.of(f"vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule"):
            inputs = rule.inputs
            other = next(
                inputs[key] for key in ("referencedSecurityGroupId", "prefixListId", "cidrIpv4", "cidrIpv6") if key in inputs
            )
            ports = f"{inputs.get('ipProtocol')} {inputs.get('fromPort', 'all')}-{inputs.get('toPort', 'all')}"
            word = direction.lower()
            lines.append(f"  {inputs['securityGroupId']} {word} {ports} {arrow} {other}: {inputs.get('description', '')}")
    yield from sorted(lines)


def _network_acls(plan: Plan) -> Iterable[str]:
    for acl in plan.of("ec2/networkAcl:NetworkAcl"):
        yield f"  {acl.id} of {', '.join(sorted(acl.inputs.get('subnetIds') or []))}"
        for direction in ("ingress", "egress"):
            rules = acl.inputs.get(direction) or []
            for rule in sorted(rules, key=lambda one: (one["ruleNo"], _range(one))):
                ports = f"{rule['protocol']} {rule.get('fromPort')}-{rule.get('toPort')}"
                yield f"    {direction} {rule['ruleNo']} {rule['action']} {ports} {_range(rule)}"


def _range(rule: dict[str, Any]) -> str:
    text = rule.get("cidrBlock") or rule.get("ipv6CidrBlock") or "-"
    return str(ipaddress.ip_network(text)) if "/" in text else text
