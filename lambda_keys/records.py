"""A key as the table has it, and as the API shows it: ``lambda_authorizer.api_keys`` says what the authorizer reads of it.

Beside that an item has ``name`` S, ``created_at`` N and ``created_by`` S, ``replaced_by`` S once a rotation made another key in
its place, and ``revoked_by`` S. The table may hold keys that were not made here: of those, what is not there is shown as null.
"""

import re
import secrets
from typing import Any, NamedTuple

from lambda_authorizer import api_keys, peppers
from lambda_authorizer.access_policy import SCOPES
from lambda_keys import ulids
from lambda_keys.bodies import DAY, MAX_DAYS, NewKey

ROLES = "role"
"""Begins the public ids of what ``POST /token`` gives to IAM roles, which is shown to nobody."""
PROGRAMS = "program:"
"""Begins the principals of keys. Keys of one name are one program."""

WRITTEN = frozenset(
    {
        *("public_id", "digest", "peppers", "principal", "scopes", "source_ranges", "signing_key", "expires_at", "revoked_at"),
        *("name", "created_at", "created_by", "replaced_by", "revoked_by"),
    }
)
"""The attributes that are ever written here. ``groups`` is not among them: a program's key never opens what a group opens."""
READ = WRITTEN - {"digest", "peppers", "revoked_by"}
"""The attributes that are shown, or that what is shown depends on."""

_ALWAYS = frozenset({"public_id", "digest", "principal", "scopes", "expires_at", "name", "created_at", "created_by"})
_SECRET_BYTES = 32
_WHOLE = re.compile(r"[0-9]{1,12}")

Item = dict[str, dict[str, Any]]
"""As DynamoDB writes it: {attribute: {type: value}}."""


class Made(NamedTuple):
    """A new key, which is of no use before its item is stored."""

    key: str
    item: Item


def make(wanted: NewKey, *, environment: str, pepper: bytes, by: str, now: float) -> Made:
    """A new key. ``by`` is the principal who makes it, ``now`` in seconds since the epoch."""
    key_id = ulids.new(now)
    key = f"hm_{environment}_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    item: Item = {
        "public_id": {"S": key_id},
        "digest": {"S": api_keys.digest(key, pepper)},
        "peppers": {"S": peppers.name(pepper)},
        "principal": {"S": f"{PROGRAMS}{wanted.name}"},
        "scopes": {"SS": sorted(wanted.scopes)},
        "expires_at": {"N": str(int(now) + wanted.lifetime)},
        "name": {"S": wanted.name},
        "created_at": {"N": str(int(now))},
        "created_by": {"S": by},
    }
    if wanted.source_ranges is not None:
        item["source_ranges"] = {"SS": sorted(wanted.source_ranges)}
    if wanted.signing_key is not None:
        item["signing_key"] = {"S": wanted.signing_key}
    return Made(key, item)


def like(item: Item) -> NewKey | None:
    """What asks for a key of the same program, with the same rights and for as long; None for an item that was not made here."""
    if not item.keys() >= _ALWAYS or "groups" in item:
        return None
    name, created, end = text(item, "name"), number(item, "created_at"), number(item, "expires_at")
    scopes = SCOPES.intersection(_texts(item, "scopes"))
    if text(item, "principal") != f"{PROGRAMS}{name}" or created is None or end is None or created >= end or not scopes:
        return None
    ranges = frozenset(_texts(item, "source_ranges")) if "source_ranges" in item else None
    return NewKey(name or "", scopes, min(end - created, MAX_DAYS * DAY), ranges, text(item, "signing_key"))


def shown(item: Item, *, last_used_at: int | None) -> dict[str, Any]:
    """The key as the API shows it. ``last_used_at`` is in seconds since the epoch, None where no use is known."""
    return {
        "key_id": text(item, "public_id"),
        "name": text(item, "name"),
        "principal": text(item, "principal"),
        "scopes": sorted(_texts(item, "scopes")),
        "source_ranges": sorted(_texts(item, "source_ranges")),
        "signed": "signing_key" in item,
        "created_at": number(item, "created_at"),
        "created_by": text(item, "created_by"),
        "expires_at": number(item, "expires_at"),
        "revoked_at": number(item, "revoked_at"),
        "replaced_by": text(item, "replaced_by"),
        "last_used_at": last_used_at,
    }


def text(item: Item, name: str) -> str | None:
    """An attribute's text; None where there is none."""
    return item.get(name, {}).get("S")


def number(item: Item, name: str) -> int | None:
    """An attribute's whole number; None where there is none."""
    value = item.get(name, {}).get("N", "")
    return int(value) if _WHOLE.fullmatch(value) else None


def _texts(item: Item, name: str) -> list[str]:
    return item.get(name, {}).get("SS", [])
