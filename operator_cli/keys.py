"""API keys of programs: made, listed, replaced, revoked."""

import ipaddress
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from operator_cli import signing
from operator_cli.answers import KeyRecord, KeyRecords, NewKey
from operator_cli.api import Api
from operator_cli.errors import WrongUse
from operator_cli.output import Output
from operator_cli.vocabulary import Scope

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


def check_name(name: str) -> str:
    """The name of a program. Raises WrongUse."""
    if not NAME.fullmatch(name):
        raise WrongUse("NAME is 1 to 64 lower-case letters, digits and hyphens, and begins with no hyphen.")
    return name


def parse_ranges(texts: Sequence[str]) -> list[str]:
    """Address ranges in the one spelling that the service takes; an address alone is the range of itself. Raises WrongUse."""
    ranges = []
    for text in texts:
        try:
            ranges.append(str(ipaddress.ip_network(text)))
        except ValueError:
            raise WrongUse(
                f"--from {text}: write an address range as 192.0.2.0/24 or 2001:db8::/48, with no bit set after its prefix."
            ) from None
    return ranges


def signing_key(output: Output, file: Path | None) -> dict[str, str]:
    """What registers the public half of the signing key in a file, which is made where there is none. Raises WrongUse."""
    if file is None:
        return {}
    key, made = signing.load_or_make(file)
    if made:
        output.note(f"The signing key was made: {file}. Only the program needs it.")
    return {"signing_key": signing.public_text(key)}


def create(
    api: Api, name: str, scopes: Sequence[Scope], *, days: int | None, ranges: Sequence[str], registered: dict[str, str]
) -> NewKey:
    """A new key. `days` is its lifetime, None for the service's own default."""
    body: dict[str, Any] = {"name": name, "scopes": sorted(set(scopes)), **registered}
    if days is not None:
        body["expires_in_days"] = days
    if ranges:
        body["source_ranges"] = list(ranges)
    return api.call("POST", "/keys", NewKey, body)


def every(api: Api) -> list[KeyRecord]:
    """The keys that are valid, and those that ended within the last 30 days."""
    return api.call("GET", "/keys", KeyRecords).keys


def rotate(api: Api, key_id: str, *, hours: int | None, registered: dict[str, str]) -> NewKey:
    """The key that takes another one's place. `hours` is how long the old one goes on, None for the service's own default."""
    body: dict[str, Any] = {**registered} if hours is None else {"overlap_hours": hours, **registered}
    return api.call("POST", f"/keys/{key_id}/rotate", NewKey, body)


def revoke(api: Api, key_id: str) -> KeyRecord:
    """End a key now."""
    return api.call("DELETE", f"/keys/{key_id}", KeyRecord)


def state(key: KeyRecord) -> str:
    """revoked, ended, ending (another has taken its place, and it goes on until its end) or active."""
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= time.time():
        return "ended"
    return "active" if key.replaced_by is None else "ending"
