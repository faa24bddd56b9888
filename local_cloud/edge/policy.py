"""What an authorizer's answer means: the IAM policy in it, evaluated against the ARN of the method.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

ACTION = "execute-api:Invoke"
ARN_FIELDS = 6


class InvalidAnswer(Exception):
    """Not an answer that API Gateway accepts: AUTHORIZER_CONFIGURATION_ERROR."""


class Decision(NamedTuple):
    """``context`` holds the scalars of the answer as the text that mappings see."""

    allowed: bool
    principal: str
    context: dict[str, str]


def decide(answer: object, method_arn: str) -> Decision:
    """Reads the answer and evaluates its policy. Raises InvalidAnswer."""
    if not isinstance(answer, Mapping):
        raise InvalidAnswer
    principal, document, context = answer.get("principalId"), answer.get("policyDocument"), answer.get("context")
    if not isinstance(principal, str) or not principal or not isinstance(document, Mapping):
        raise InvalidAnswer
    return Decision(_evaluate(document, method_arn), principal, _scalars(context))


def _scalars(context: object) -> dict[str, str]:
    if context is None:
        return {}
    if not isinstance(context, Mapping):
        raise InvalidAnswer
    values = {}
    for name, value in context.items():
        if isinstance(value, bool):
            value = str(value).lower()
        if not isinstance(value, str | int | float):
            raise InvalidAnswer
        values[name] = str(value)
    return values


def _evaluate(document: Mapping[str, Any], method_arn: str) -> bool:
    """An explicit Deny wins; without an Allow the answer is no."""
    statements = document.get("Statement")
    if isinstance(statements, Mapping):
        statements = [statements]
    if document.get("Version") not in ("2012-10-17", "2008-10-17") or not isinstance(statements, list) or not statements:
        raise InvalidAnswer
    effects = {effect for effect in (_effect(statement, method_arn) for statement in statements) if effect}
    return effects == {"Allow"}


def _effect(statement: object, method_arn: str) -> str | None:
    """Allow or Deny when the statement speaks of this method. Conditions and negations are not understood, so not accepted."""
    if not isinstance(statement, Mapping) or not statement.keys() <= {"Sid", "Effect", "Action", "Resource"}:
        raise InvalidAnswer
    effect = statement.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise InvalidAnswer
    actions, resources = _texts(statement.get("Action")), _texts(statement.get("Resource"))
    # Every resource is looked at, so that one malformed ARN spoils the answer whatever stands before it.
    spoken_of = [arn_matches(resource, method_arn) for resource in resources]
    if any(matches(action.lower(), ACTION.lower()) for action in actions) and any(spoken_of):
        return effect
    return None


def _texts(value: object) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise InvalidAnswer
    return texts


def arn_matches(pattern: str, arn: str) -> bool:
    """Whether a resource pattern names the ARN: ``*`` and ``?`` are wildcards within each field, and cross slashes.

    Raises InvalidAnswer for a pattern that is neither ``*`` nor an ARN.
    """
    if pattern == "*":
        return True
    fields = pattern.split(":", ARN_FIELDS - 1)
    if len(fields) != ARN_FIELDS or fields[0] != "arn":
        raise InvalidAnswer
    return all(map(matches, fields, arn.split(":", ARN_FIELDS - 1)))


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern of IAM's, with ``*`` and ``?``, is the whole text."""
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    first, *rest = (re.escape(part).replace(r"\?", ".") for part in pattern.split("*"))
    if not rest:
        return re.compile(first, re.DOTALL)
    # Whatever stands between two stars matches at its first place or nowhere, so nothing is tried again: with plain ``.*`` a
    # pattern of many stars takes for ever to fail.
    *middle, last = rest
    return re.compile(first + "".join(f"(?>.*?{part})" for part in middle) + f".*{last}", re.DOTALL)
