"""The assertion by which the authorizer tells the service who is calling, and which the service demands on every call.

``v2.<key id>.<grant>.<issue time>.<request id>.<tag>``: the grant is JSON in base64url and says who may make which call. What
all callers of a group have in common stands first in it, and is written once for all of them. The time is in seconds since the
epoch. The tag is HMAC-SHA256 (RFC 2104) over everything before it, in hex. An assertion names one route and one method and
lives 30 seconds, so what leaks from a log opens next to nothing. Several keys are valid at a time and one of them signs: keys
rotate without a refusal. Standard library only.
"""

import binascii
import hmac
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from lambda_authorizer.encoding import b64url, from_b64url, json_names, json_object, json_string

HEADER = "X-HeartMAP-Assertion"
LIFETIME = 30
"""Seconds after its issue at which an assertion ends. The gateway gives up on the service after 29."""
SKEW = 5
"""Seconds by which the issuer's clock may be ahead of the verifier's."""
KEY_BYTES = 32
_BLOCK = 64
"""Bytes that SHA-256 takes in at a time."""
MAX_LENGTH = 4096
"""Characters. API Gateway caps all headers of a call at 10,240 bytes."""

_VERSION = "v2"
_KEY_ID = r"[A-Za-z0-9_-]{1,64}"
_ISSUED_AT = r"[0-9]{1,12}"
_REQUEST_ID = r"[!-~]{1,128}"
_GRANT_KEYS = {"sub", "groups", "scopes", "route", "method"}


class AssertionRefused(Exception):
    """The assertion does not prove anything. The text says why, in fixed words, for the log only."""


class Keys(NamedTuple):
    """All keys by id, and the id of the one that signs."""

    current: str
    keys: Mapping[str, bytes]


class Assertion(NamedTuple):
    """Who may call what, as the authorizer decided. ``issued_at`` is in seconds since the epoch."""

    principal: str
    groups: frozenset[str]
    scopes: frozenset[str]
    route: str
    method: str
    request_id: str
    issued_at: int


def decode_keys(assertion_keys: object) -> dict[str, bytes]:
    """The keys in a secret's ``assertion_keys`` member, ``{key_id: base64 of 32 bytes}``.

    Raises ValueError when there is none, an id holds other characters than ``A-Z a-z 0-9 _ -``, or a value is not 32 bytes.
    """
    if not isinstance(assertion_keys, dict) or not assertion_keys:
        raise ValueError("assertion_keys must be an object with at least one key")
    decoded: dict[str, bytes] = {}
    for key_id, text in assertion_keys.items():
        if not re.fullmatch(_KEY_ID, key_id):
            raise ValueError("an assertion key's id must be 1 to 64 characters of A-Z a-z 0-9 _ -")
        try:
            decoded[key_id] = binascii.a2b_base64(text, strict_mode=True)
        except (TypeError, ValueError):
            raise ValueError("an assertion key is not base64") from None
        if len(decoded[key_id]) != KEY_BYTES:
            raise ValueError(f"an assertion key must be {KEY_BYTES} bytes")
    return decoded


def subject(principal: str) -> str:
    """Who is calling, as the end of a grant."""
    return b64url(f"{json_string(principal)}}}".encode("ascii"))


class Template:
    """The assertions on one route of all callers with the same groups and scopes: they differ in who it is, the time and the
    request id alone. Raises KeyError without the key that signs."""

    __slots__ = ("_beginning", "_inner", "_outer")

    def __init__(self, keys: Keys, call: tuple[str, str], groups: frozenset[str], scopes: frozenset[str]) -> None:
        method, route = call
        grant = (
            f'{{"groups":{json_names(groups)},"scopes":{json_names(scopes)},'
            f'"route":{json_string(route)},"method":{json_string(method)},"sub":'
        )
        # White space up to a multiple of three bytes: base64 can be written in two parts there.
        grant += -len(grant) % 3 * " "
        self._beginning = f"{_VERSION}.{keys.current}.{b64url(grant.encode('ascii'))}"
        # By RFC 2104's two hashes, which have taken in the key: Python's own class of an HMAC takes as long to copy as they take
        # to compute.
        block = keys.keys[keys.current].ljust(_BLOCK, b"\0")
        self._inner, self._outer = sha256(bytes(byte ^ 0x36 for byte in block)), sha256(bytes(byte ^ 0x5C for byte in block))
        self._inner.update(self._beginning.encode("ascii"))

    def mint(self, subject: str, request_id: str, now: float) -> str:
        """An assertion signed with the current key. ``subject`` is the principal as the function of that name writes it, and
        ``now`` is in seconds since the epoch."""
        rest = f"{subject}.{int(now)}.{request_id}"
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(rest.encode("ascii"))
        outer.update(inner.digest())
        return f"{self._beginning}{rest}.{outer.hexdigest()}"


def mint(
    keys: Keys,
    *,
    principal: str,
    groups: Iterable[str],
    scopes: Iterable[str],
    route: str,
    method: str,
    request_id: str,
    now: float,
) -> str:
    """One assertion, where no more are to come. Raises KeyError without the key that signs."""
    template = Template(keys, (method, route), frozenset(groups), frozenset(scopes))
    return template.mint(subject(principal), request_id, now)


def verify(text: str, keys: Mapping[str, bytes], *, now: float) -> Assertion:
    """What a valid assertion says. The caller still compares ``route``, ``method`` and ``request_id`` with the call's own.

    ``now`` is in seconds since the epoch. Raises AssertionRefused for every text that no holder of a key wrote within the last
    30 seconds.
    """
    if len(text) > MAX_LENGTH or not text.isascii():
        raise AssertionRefused("malformed")
    signed, _, tag = text.rpartition(".")
    parts = signed.split(".", 4)
    if len(parts) != 5 or parts[0] != _VERSION:
        raise AssertionRefused("malformed")
    _, key_id, grant, issued_at, request_id = parts
    key = keys.get(key_id)
    if key is None:
        raise AssertionRefused("unknown key")
    # Nothing else is read before the tag holds. Comparing the texts also refuses a second spelling of the tag.
    if not hmac.compare_digest(hmac.new(key, signed.encode("ascii"), "sha256").hexdigest(), tag):
        raise AssertionRefused("wrong tag")
    if not re.fullmatch(_ISSUED_AT, issued_at) or not re.fullmatch(_REQUEST_ID, request_id):
        raise AssertionRefused("malformed payload")
    try:
        assertion = _read(json_object(from_b64url(grant)), request_id, int(issued_at))
    except ValueError:
        raise AssertionRefused("malformed payload") from None
    age = now - assertion.issued_at
    if age > LIFETIME:
        raise AssertionRefused("expired")
    if age < -SKEW:
        raise AssertionRefused("issued in the future")
    return assertion


def _read(grant: dict[str, Any], request_id: str, issued_at: int) -> Assertion:
    texts = [grant.get(name) for name in ("sub", "route", "method")]
    lists = [grant.get(name) for name in ("groups", "scopes")]
    if (
        grant.keys() != _GRANT_KEYS
        or not all(isinstance(text, str) and text for text in texts)
        or not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists)
    ):
        raise AssertionRefused("malformed payload")
    groups, scopes = frozenset(grant["groups"]), frozenset(grant["scopes"])
    return Assertion(grant["sub"], groups, scopes, grant["route"], grant["method"], request_id, issued_at)
