"""The assertion by which the authorizer tells the service who is calling, and which the service demands on every call.

``v1.<key id>.<payload>.<tag>``: the payload is JSON, the tag an HMAC-SHA256 over everything before it, both in base64url. An
assertion names one route and one method and lives 30 seconds, so what leaks from a log opens next to nothing. Several keys are
valid at a time and one of them signs: keys rotate without a refusal. Standard library only.
"""

import base64
import hmac
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from lambda_authorizer.encoding import b64url, from_b64url, json_names, json_object, json_string

HEADER = "X-HeartMAP-Assertion"
LIFETIME = 30
"""Seconds after its issue at which an assertion ends. The gateway gives up on the service after 29."""
SKEW = 5
"""Seconds by which the issuer's clock may be ahead of the verifier's."""
KEY_BYTES = 32
MAX_LENGTH = 4096
"""Characters. API Gateway caps all headers of a call at 10,240 bytes."""

_VERSION = "v1"
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_PAYLOAD_KEYS = {"sub", "groups", "scopes", "route", "method", "request_id", "iat"}


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
        if not _KEY_ID.fullmatch(key_id):
            raise ValueError("an assertion key's id must be 1 to 64 characters of A-Z a-z 0-9 _ -")
        try:
            decoded[key_id] = base64.b64decode(text, validate=True)
        except (TypeError, ValueError):
            raise ValueError("an assertion key is not base64") from None
        if len(decoded[key_id]) != KEY_BYTES:
            raise ValueError(f"an assertion key must be {KEY_BYTES} bytes")
    return decoded


class Template:
    """The assertions of one caller on one route, which differ in their request id and time alone. Raises KeyError without the key
    that signs."""

    def __init__(
        self, keys: Keys, *, principal: str, groups: Iterable[str], scopes: Iterable[str], route: str, method: str
    ) -> None:
        self._payload = (
            f'{{"sub":{json_string(principal)},"groups":{json_names(frozenset(groups))},"scopes":{json_names(frozenset(scopes))},'
            f'"route":{json_string(route)},"method":{json_string(method)}'
        )
        self._prefix = f"{_VERSION}.{keys.current}."
        self._key = keys.keys[keys.current]

    def mint(self, *, request_id: str, now: float) -> str:
        """An assertion signed with the current key. ``now`` is in seconds since the epoch."""
        payload = f'{self._payload},"request_id":{json_string(request_id)},"iat":{int(now)}}}'
        signed = self._prefix + b64url(payload.encode("ascii"))
        return f"{signed}.{b64url(_tag(self._key, signed))}"


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
    template = Template(keys, principal=principal, groups=groups, scopes=scopes, route=route, method=method)
    return template.mint(request_id=request_id, now=now)


def verify(text: str, keys: Mapping[str, bytes], *, now: float) -> Assertion:
    """What a valid assertion says. The caller still compares ``route``, ``method`` and ``request_id`` with the call's own.

    ``now`` is in seconds since the epoch. Raises AssertionRefused for every text that no holder of a key wrote within the last
    30 seconds.
    """
    if len(text) > MAX_LENGTH or not text.isascii():
        raise AssertionRefused("malformed")
    parts = text.split(".")
    if len(parts) != 4 or parts[0] != _VERSION:
        raise AssertionRefused("malformed")
    _, key_id, body, tag = parts
    key = keys.get(key_id)
    if key is None:
        raise AssertionRefused("unknown key")
    # Nothing of the payload is read before the tag holds. Comparing the texts also refuses a second spelling of the tag.
    if not hmac.compare_digest(b64url(_tag(key, text.rpartition(".")[0])), tag):
        raise AssertionRefused("wrong tag")
    try:
        payload = json_object(from_b64url(body))
    except ValueError:
        raise AssertionRefused("malformed payload") from None
    assertion = _read(payload)
    age = now - assertion.issued_at
    if age > LIFETIME:
        raise AssertionRefused("expired")
    if age < -SKEW:
        raise AssertionRefused("issued in the future")
    return assertion


# An HMAC that has taken in its key costs half of one that has not.
@lru_cache(maxsize=8)
def _keyed(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod="sha256")


def _tag(key: bytes, signed: str) -> bytes:
    mac = _keyed(key).copy()
    mac.update(signed.encode("ascii"))
    return mac.digest()


def _read(payload: dict[str, Any]) -> Assertion:
    texts = [payload.get(name) for name in ("sub", "route", "method", "request_id")]
    lists = [payload.get(name) for name in ("groups", "scopes")]
    if (
        payload.keys() != _PAYLOAD_KEYS
        or not all(isinstance(text, str) and text for text in texts)
        or not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists)
        or type(payload["iat"]) is not int
    ):
        raise AssertionRefused("malformed payload")
    return Assertion(
        payload["sub"],
        frozenset(payload["groups"]),
        frozenset(payload["scopes"]),
        payload["route"],
        payload["method"],
        payload["request_id"],
        payload["iat"],
    )
