"""The policy documents of a plan, found wherever they stand."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from posture.plan import Plan, Registration


@dataclass(frozen=True)
class Document:
    """A policy document: the resource and the argument that hold it, and its statements."""

    resource: Registration
    argument: str
    statements: tuple[dict[str, Any], ...]


def listed(value: Any) -> list[Any]:
    """IAM writes a list of one without its brackets."""
    return value if isinstance(value, list) else [] if value is None else [value]


def documents(plan: Plan) -> Iterator[Document]:
    """Every policy document among the inputs of every resource, as JSON text or as an object."""
    for resource in plan.resources:
        for argument, value in resource.inputs.items():
            parsed = _parsed(value)
            if parsed is not None:
                yield Document(resource, argument, tuple(listed(parsed["Statement"])))


def _parsed(value: Any) -> dict[str, Any] | None:
    if isinstance(value, str) and value.startswith("{") and '"Statement"' in value:
        value = json.loads(value)
    return value if isinstance(value, dict) and "Statement" in value else None


def roles(plan: Plan) -> list[tuple[Registration, list[Registration]]]:
    """Each IAM role with the policies that are attached to it."""
    policies = {f"arn:aws:{policy.id}": policy for policy in plan.of("iam/policy:Policy")}
    attached: dict[str, list[Registration]] = {}
    for attachment in plan.of("iam/rolePolicyAttachment:RolePolicyAttachment"):
        policy = policies.get(attachment.inputs["policyArn"])
        if policy is not None:
            attached.setdefault(attachment.inputs["role"], []).append(policy)
    return [(role, attached.get(role.inputs["name"], [])) for role in plan.of("iam/role:Role")]


def statements_of(policy: Registration) -> list[dict[str, Any]]:
    """The statements of an ``iam.Policy``."""
    return listed(json.loads(policy.inputs["policy"])["Statement"])


def allowed_to_identities(plan: Plan) -> Iterator[tuple[Registration, dict[str, Any]]]:
    """Each Allow statement of an identity policy, with the policy."""
    for policy in plan.of("iam/policy:Policy"):
        for statement in statements_of(policy):
            if statement["Effect"] == "Allow":
                yield policy, statement
