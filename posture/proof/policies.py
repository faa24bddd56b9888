"""Policy documents as statements.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from posture.proof.exported import NotUnderstood, Resource, Secret

_OPERATOR = re.compile(r"(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?")
_PARTS = {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
PRINCIPALS = {"AWS", "Service", "Federated", "CanonicalUser"}


@dataclass(frozen=True)
class Condition:
    """One test of one key. ``quantifier`` is that of a key with several values; the key is in lower case, as AWS compares it."""

    operator: str
    key: str
    values: tuple[str, ...]
    quantifier: str
    if_exists: bool


@dataclass(frozen=True)
class Statement:
    """One statement and where it stands. ``principals`` is None in a policy of an identity, else (kind, identifier) pairs."""

    place: str
    sid: str
    allow: bool
    principals: tuple[tuple[str, str], ...] | None
    not_principal: bool
    actions: tuple[str, ...]
    not_action: bool
    resources: tuple[str, ...]
    not_resource: bool
    conditions: tuple[Condition, ...]

    @property
    def title(self) -> str:
        """Where it stands, for people: ``BucketPolicy/audit [TrailWrites]``."""
        return f"{self.place} [{self.sid or 'without a sid'}]"


def listed(value: Any) -> list[Any]:
    """IAM writes a list of one as its element."""
    return value if isinstance(value, list) else [value]


def read(resource: Resource, key: str) -> list[Statement]:
    """The statements of the policy that a resource has under a key. Raises NotUnderstood."""
    return parse(resource.title, resource.get(key))


def parse(place: str, policy: Any) -> list[Statement]:
    """The statements of a policy, text or object. Raises NotUnderstood for what is no policy, or has parts that are not known."""
    if isinstance(policy, Secret) or not policy:
        raise NotUnderstood(f"{place}: its policy is not in the export, or encrypted there")
    return [*_parsed(place, policy if isinstance(policy, str) else json.dumps(policy))]


# Each is read for several questions.
@functools.lru_cache(maxsize=4096)
def _parsed(place: str, text: str) -> tuple[Statement, ...]:
    try:
        return tuple(_statement(place, one) for one in listed(json.loads(text)["Statement"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NotUnderstood(f"{place}: its policy is not written as IAM's grammar says") from None


def _statement(place: str, one: dict[str, Any]) -> Statement:
    sid = str(one.get("Sid", ""))
    unknown = set(one) - _PARTS
    if unknown or one["Effect"] not in ("Allow", "Deny"):
        raise NotUnderstood(f"{place} [{sid}]: {', '.join(sorted(unknown)) or one['Effect']} is not known to the proof")
    who = one.get("Principal", one.get("NotPrincipal"))
    return Statement(
        place,
        sid,
        one["Effect"] == "Allow",
        None if who is None else tuple(_principals(place, who)),
        "NotPrincipal" in one,
        tuple(str(action).lower() for action in listed(one["Action"] if "Action" in one else one["NotAction"])),
        "NotAction" in one,
        # A trust policy is about the role that it belongs to, and names no resource.
        tuple(map(str, listed(one.get("Resource", one.get("NotResource", "*"))))),
        "NotResource" in one,
        tuple(_conditions(place, one.get("Condition") or {})),
    )


def _principals(place: str, who: Any) -> Iterator[tuple[str, str]]:
    if who == "*":
        yield "AWS", "*"
        return
    for kind, names in who.items():
        if kind not in PRINCIPALS:
            raise NotUnderstood(f"{place}: principals of the kind {kind} are not known to the proof")
        yield from ((kind, str(name)) for name in listed(names))


def _conditions(place: str, conditions: dict[str, dict[str, Any]]) -> Iterator[Condition]:
    for written, keys in conditions.items():
        found = _OPERATOR.fullmatch(written)
        if not found:
            raise NotUnderstood(f"{place}: the condition {written} is not known to the proof")
        quantifier, operator, if_exists = found.groups()
        for key, values in keys.items():
            texts = tuple(str(value).lower() if isinstance(value, bool) else str(value) for value in listed(values))
            yield Condition(operator, key.lower(), texts, quantifier or "", bool(if_exists))
