"""The bodies of the calls, read by hand: a library for it would cost more of a cold start than all the rest.

A refusal names the member and the rule that it breaks, never what was sent.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from lambda_authorizer.access_policy import ACCESS_POLICY, SCOPES
from lambda_authorizer.encoding import from_b64url, json_object
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


class _Broken(Exception):
    """A member breaks this rule."""


def new_key(data: bytes) -> NewKey:
    """What the body of ``POST /keys`` asks for. Raises Refused."""
    given = _members(
        data,
        {
            "name": _name,
            "scopes": _scopes,
            "expires_in_days": lambda value: _whole(value, 1, MAX_DAYS),
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
    rules: dict[str, Callable[[Any], Any]] = {
        "overlap_hours": lambda value: _whole(value, 0, MAX_OVERLAP_HOURS),
        "signing_key": _signing_key,
    }
    given = _members(data or b"{}", rules)
    return Rotation(given.get("overlap_hours", DEFAULT_OVERLAP_HOURS) * HOUR, given.get("signing_key"))


def check_signing(scopes: frozenset[str], signing_key: str | None) -> None:
    """Raises Refused for a key that has to sign its calls and could not."""
    if signing_key is None and not SIGNED_SCOPES.isdisjoint(scopes):
        raise Refused(answers.SIGNING_KEY_REQUIRED)


def _members(data: bytes, rules: Mapping[str, Callable[[Any], Any]], *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    try:
        given = json_object(data)
    except ValueError:
        raise Refused(answers.invalid([("body", "must be one JSON object in UTF-8, in which no member occurs twice")])) from None
    read: dict[str, Any] = {}
    errors = [(name, "is required") for name in required if name not in given]
    for name, rule in rules.items():
        try:
            if name in given:
                read[name] = rule(given[name])
        except _Broken as broken:
            errors.append((name, str(broken)))
    if not given.keys() <= rules.keys():
        errors.append(("body", f"must have no other members than {', '.join(rules)}"))
    if errors:
        raise Refused(answers.invalid(errors))
    return read


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise _Broken("must be 1 to 64 lower-case letters, digits and hyphens, and begin with no hyphen")
    return value


def _scopes(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not value or not _all_different(value) or not SCOPES.issuperset(value):
        raise _Broken(f"must be a list of different scopes, at least one, out of {', '.join(sorted(SCOPES))}")
    return frozenset(value)


def _whole(value: object, least: int, most: int) -> int:
    # Not isinstance: true is an int.
    if type(value) is not int or not least <= value <= most:
        raise _Broken(f"must be a whole number from {least} to {most}")
    return value


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
    raise _Broken(
        f"must be a list of 1 to {MAX_RANGES} different address ranges such as 192.0.2.0/24 or 2001:db8::/48, with no bit set "
        "after the prefix"
    )


def _signing_key(value: object) -> str:
    try:
        if isinstance(value, str) and ed25519.is_public_key(from_b64url(value)):
            return value
    except ValueError:
        pass
    raise _Broken("must be an Ed25519 public key: its 32 bytes in base64url, without padding")


def _all_different(values: list[Any]) -> bool:
    """Whether these are texts, and none of them occurs twice."""
    return all(isinstance(value, str) for value in values) and len(set(values)) == len(values)
