"""Nested values in the spelling of Pulumi (camelCase) and of an AWS API, and what an answer of AWS says about an argument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Renames = Mapping[str, str]
"""Keys of which the API's spelling does not follow the rule, as Pulumi name -> AWS name."""


def pascal(name: str) -> str:
    """The rule of most APIs: the first letter is a capital one."""
    return name[:1].upper() + name[1:]


def to_aws(value: Any, renames: Renames | None = None) -> Any:
    """The value with its keys as the API spells them; what is None is left out."""
    if isinstance(value, Mapping):
        exceptions = renames or {}
        items = {exceptions.get(key) or pascal(key): to_aws(item, renames) for key, item in value.items()}
        return {key: item for key, item in items.items() if item is not None}
    return [to_aws(item, renames) for item in value] if isinstance(value, list) else value


def from_aws(value: Any, renames: Renames | None = None) -> Any:
    """The way back from `to_aws` by its usual rule, with the same exceptions."""
    if isinstance(value, Mapping):
        back = {aws_name: name for name, aws_name in (renames or {}).items()}
        items = {back.get(key) or key[:1].lower() + key[1:]: from_aws(item, renames) for key, item in value.items()}
        return {key: item for key, item in items.items() if item is not None}
    return [from_aws(item, renames) for item in value] if isinstance(value, list) else value


def one(value: Any) -> Any:
    """The object itself where Pulumi sends a list of at most one; None for none."""
    if isinstance(value, list):
        return value[0] if value else None
    return value


def given(**arguments: Any) -> dict[str, Any]:
    """The arguments of an API call without those that the program left out."""
    return {name: value for name, value in arguments.items() if value is not None}


def live(state: Mapping[str, Any], **found: Any) -> dict[str, Any]:
    """What AWS says about the arguments that the program gave: others have AWS's defaults, and are no difference."""
    return {name: value for name, value in found.items() if state.get(name) is not None}


def same_set(state: Mapping[str, Any], name: str, found: list[Any] | None) -> list[Any]:
    """A list whose order means nothing to AWS, in the program's order when it holds the same."""
    mine, theirs = state.get(name) or [], found or []
    return mine if sorted(mine) == sorted(theirs) else theirs


def replacing(path: str, value: Any) -> dict[str, str]:
    """One `replace` of API Gateway's patch operations, which know nothing but text."""
    text = str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
    return {"op": "replace", "path": path, "value": text}
