"""The rule for reading what was deployed: understand all of a thing, or refuse it."""

from collections.abc import Collection, Mapping
from typing import Any


class Uninterpretable(Exception):
    """Something is deployed that the edge cannot enforce as AWS would. The text names it."""


def require(condition: object, what: str) -> None:
    """Raises Uninterpretable with the text unless the condition holds."""
    if not condition:
        raise Uninterpretable(what)


def known_only(what: str, value: Mapping[str, Any], known: Collection[str]) -> None:
    """Raises Uninterpretable when ``value`` sets (to anything but nothing) a name that is not known."""
    unknown = sorted(name for name, setting in value.items() if setting not in (None, "", [], {}, False) and name not in known)
    require(not unknown, f"{what} sets {', '.join(unknown)}, which the local edge does not know how to enforce.")
