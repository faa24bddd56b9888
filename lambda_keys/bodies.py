"""The bodies of the calls: what a program's key is to be."""

import re
from typing import Any, NamedTuple

from lambda_api import members
from lambda_api.members import Broken, Rules
from lambda_authorizer.access_policy import ACCESS_POLICY, SCOPES
from lambda_authorizer.encoding import from_b64url
from lambda_authorizer.problems import Refused
from lambda_keys import answers, ed25519

DAY, HOUR = 24 * 3600, 3600
"""Seconds."""

MAX_DAYS, DEFAULT_DAYS = 365, 90
MAX_OVERLAP_HOURS, DEFAULT_OVERLAP_HOURS = 168, 24
MAX_RANGES = 16

SIGNED_SCOPES = frozenset(scope for rule in ACCESS_POLICY if rule.sign_in_age is not None for scope in rule.scopes)
"""Open what a person needs a fresh sign-in for. A program has none: it signs."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
# As ipaddress reads them, but for an IPv6 zone, which no address of a caller has.
_RANGE = re.compile(r"[0-9A-Fa-f:.]{2,45}(/[0-9]{1,3})?")


class NewKey(NamedTuple):
    """``POST /keys``. ``lifetime`` is in seconds; ``source_ranges`` are in canonical form, None for anywhere."""

    name: str
    scopes: frozenset[str]
    lifetime: int
    source_ranges: frozenset[str] | None
    signing_key: str | None


class Rotation(NamedTuple):
    """``POST /keys/{key_id}/rotate``. ``overlap`` is in seconds; without a ``signing_key`` the old key's one stays."""

    overlap: int
    signing_key: str | None


def new_key(data: bytes) -> NewKey:
    """What the body of ``POST /keys`` asks for. Raises Refused."""
    given = members.of_body(
        data,
        {
            "name": _name,
            "scopes": _scopes,
            "expires_in_days": lambda value: members.whole_number(value, 1, MAX_DAYS),
            "source_ranges": _ranges,
            "signing_key": _signing_key,
        },
        required=("name", "scopes"),
    )
    check_signing(given["scopes"], given.get("signing_key"))
    return NewKey(
        given["name"],
        given["scopes"],
        given.get("expires_in_days", DEFAULT_DAYS) * DAY,
        given.get("source_ranges"),
        given.get("signing_key"),
    )


def rotation(data: bytes) -> Rotation:
    """What the body of ``POST /keys/{key_id}/rotate`` asks for; it may be left out. Raises Refused."""
    rules: Rules = {
        "overlap_hours": lambda value: members.whole_number(value, 0, MAX_OVERLAP_HOURS),
        "signing_key": _signing_key,
    }
    given = members.of_body(data or b"{}", rules)
    return Rotation(given.get("overlap_hours", DEFAULT_OVERLAP_HOURS) * HOUR, given.get("signing_key"))


def check_signing(scopes: frozenset[str], signing_key: str | None) -> None:
    """Raises Refused for a key that has to sign its calls and could not."""
    if signing_key is None and not SIGNED_SCOPES.isdisjoint(scopes):
        raise Refused(answers.SIGNING_KEY_REQUIRED)


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise Broken("must be 1 to 64 lower-case letters, digits and hyphens, and begin with no hyphen")
    return value


def _scopes(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not value or not _all_different(value) or not SCOPES.issuperset(value):
        raise Broken(f"must be a list of different scopes, at least one, out of {', '.join(sorted(SCOPES))}")
    return frozenset(value)


def _ranges(value: object) -> frozenset[str]:
    # Few keys are bound to addresses: the others do not pay for the import.
    from ipaddress import ip_network

    try:
        if isinstance(value, list) and 1 <= len(value) <= MAX_RANGES and _all_different(value):
            ranges = frozenset(str(ip_network(text)) for text in value if _RANGE.fullmatch(text))
            if len(ranges) == len(value):
                return ranges
    except ValueError:
        pass
    raise Broken(
        f"must be a list of 1 to {MAX_RANGES} different address ranges such as 192.0.2.0/24 or 2001:db8::/48, with no bit set "
        "after the prefix"
    )


def _signing_key(value: object) -> str:
    try:
        if isinstance(value, str) and ed25519.is_public_key(from_b64url(value)):
            return value
    except ValueError:
        pass
    raise Broken("must be an Ed25519 public key: its 32 bytes in base64url, without padding")


def _all_different(values: list[Any]) -> bool:
    """Whether these are texts, and none of them occurs twice."""
    return all(isinstance(value, str) for value in values) and len(set(values)) == len(values)
