"""The user pool's public keys: baked into the package at deploy, refreshed when Cognito rotates them.

A refresh follows from what a caller sent, so it is bounded: one attempt a minute however it ends, 1.5 seconds, no redirect.
"""

import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from lambda_authorizer.bounded_http import HttpError, exchange
from lambda_authorizer.encoding import from_b64url, json_object
from lambda_authorizer.reasons import Fault, Reason

COOLDOWN = 60
"""Seconds from one attempt to refresh to the next."""
SOFT_AGE = 3600
"""Seconds after which even a known key prompts a refresh: a key that Cognito withdrew must go."""
HARD_AGE = 24 * 3600
"""Seconds after which keys that could not be refreshed are no longer believed."""
TIMEOUT = 1.5
"""Seconds for one attempt."""

_MIN_BITS, _MAX_BITS = 2048, 4096
_PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def parse_key_set(document: bytes) -> dict[str, RSAPublicKey]:
    """The RS256 verification keys of a JWKS (RFC 7517) by key id. Keys of other kinds or uses are passed over.

    Raises ValueError when the document is malformed, holds a private key, a weak one or one id twice, or no key at all.
    """
    entries = json_object(document).get("keys")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("keys must be a list of objects")
    keys: dict[str, RSAPublicKey] = {}
    for entry in entries:
        if not _PRIVATE.isdisjoint(entry):
            raise ValueError("a private key has no place here")
        if not _verifies_rs256(entry):
            continue
        key_id = entry.get("kid")
        if not isinstance(key_id, str) or not key_id or key_id in keys:
            raise ValueError("each key needs an id of its own")
        keys[key_id] = _public_key(entry)
    if not keys:
        raise ValueError("there is no key for RS256")
    return keys


def _verifies_rs256(entry: dict[str, Any]) -> bool:
    """Whether the key is meant for that, as far as it says: RFC 7517, sections 4.1 to 4.4."""
    operations = entry.get("key_ops", ["verify"])
    return (
        entry.get("kty") == "RSA"
        and entry.get("use", "sig") == "sig"
        and entry.get("alg", "RS256") == "RS256"
        and isinstance(operations, list)
        and "verify" in operations
    )


def _public_key(entry: dict[str, Any]) -> RSAPublicKey:
    numbers: list[int] = []
    for name in ("e", "n"):
        text = entry.get(name)
        if not isinstance(text, str):
            raise ValueError("an RSA key needs n and e")  # noqa: TRY004  # the document is wrong
        numbers.append(int.from_bytes(from_b64url(text), "big"))
    exponent, modulus = numbers
    if not _MIN_BITS <= modulus.bit_length() <= _MAX_BITS or modulus % 2 == 0:
        raise ValueError(f"an RSA key must have {_MIN_BITS} to {_MAX_BITS} bits")
    # FIPS 186-5, A.1.1, on the public exponent; larger than 32 bits only slows verification.
    if not 2**16 < exponent < 2**32 or exponent % 2 == 0:
        raise ValueError("an RSA key's exponent must be odd and above 65,536")
    return RSAPublicNumbers(exponent, modulus).public_key()


class KeySource:
    """The keys in force. ``url`` is the JWKS to refresh from, None for never."""

    def __init__(self, keys: dict[str, RSAPublicKey], url: str | None, *, now: float) -> None:
        self._keys = keys
        self._url = url
        self._refreshed_at = now
        self._attempted_at = float("-inf")

    def get(self, key_id: str, now: float, deadline: float) -> RSAPublicKey | None:
        """The key with this id, None if the user pool has none.

        ``now`` is in seconds since the epoch, ``deadline`` on the clock of ``time.monotonic``. Raises Fault.
        """
        key, age = self._keys.get(key_id), now - self._refreshed_at
        if self._url and (key is None or age > SOFT_AGE):
            if now - self._attempted_at >= COOLDOWN:
                # Before the attempt: one that fails counts too, or unknown key ids would buy a fetch each.
                self._attempted_at = now
                self._refresh(self._url, now, min(deadline, time.monotonic() + TIMEOUT))
            if now - self._refreshed_at > HARD_AGE:
                raise Fault(Reason.KEY_SET_STALE)
            return self._keys.get(key_id)
        return key

    def _refresh(self, url: str, now: float, deadline: float) -> None:
        try:
            response = exchange("GET", url, headers={"Accept": "application/json"}, body=b"", deadline=deadline)
            if response.status == 200:
                self._keys, self._refreshed_at = parse_key_set(response.body), now
        except (HttpError, ValueError):
            return
