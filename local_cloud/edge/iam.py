"""Whether IAM lets a principal make a call: the policies of the principal, evaluated against the ARN of the method.

Understood are statements of effect, action and resource. One that says more (a condition, a negation) is closed: it allows
nothing, and it denies whatever it might speak of. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import json
from collections.abc import Sequence
from typing import Any

from local_cloud.edge.policy import ACTION, InvalidAnswer, arn_matches, matches

_PLAIN = {"Sid", "Effect", "Action", "Resource"}


def allows(documents: Sequence[str], limits: Sequence[str], method_arn: str) -> bool:
    """Whether a document allows ``execute-api:Invoke`` of the method, each of the limits does as well, and none denies it."""
    return _allowed(documents, method_arn) and all(_allowed([limit], method_arn) for limit in limits)


def _allowed(documents: Sequence[str], method_arn: str) -> bool:
    effects = {effect for text in documents for effect in _effects(text, method_arn)}
    return effects == {"Allow"}


def _effects(text: str, method_arn: str) -> set[str]:
    statements = json.loads(text).get("Statement") or []
    listed = statements if isinstance(statements, list) else [statements]
    return {effect for effect in (_effect(statement, method_arn) for statement in listed) if effect}


def _effect(statement: dict[str, Any], method_arn: str) -> str | None:
    plain = statement.keys() <= _PLAIN
    if statement["Effect"] == "Allow":
        return "Allow" if plain and _speaks_of(statement, method_arn) else None
    # One that is not understood may mean this call.
    return "Deny" if not plain or _speaks_of(statement, method_arn) else None


def _speaks_of(statement: dict[str, Any], method_arn: str) -> bool:
    actions, resources = _list(statement["Action"]), _list(statement["Resource"])
    return any(matches(action.lower(), ACTION.lower()) for action in actions) and any(
        _names(resource, method_arn) for resource in resources
    )


def _names(resource: str, method_arn: str) -> bool:
    try:
        return arn_matches(resource, method_arn)
    except InvalidAnswer:
        return False


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
