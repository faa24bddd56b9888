"""Access tokens of the user pool: JWTs (RFC 7519) signed with RS256, read as strictly as RFC 8725 allows.

Nothing of the payload is looked at before the signature holds, and the header is believed only as far as choosing among our own
keys goes. What Cognito's tokens say:
https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
"""

import re
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from lambda_authorizer.access_policy import GROUPS, RESOURCE_SERVER, SCOPES
from lambda_authorizer.encoding import from_b64url, json_object
from lambda_authorizer.policy import TOKEN, Caller
from lambda_authorizer.reasons import Reason, Refused

MAX_LENGTH = 4096
"""Characters."""
TOLERANCE = 60
"""Seconds by which the issuer's clock and ours may differ."""
MAX_LIFETIME = 24 * 3600
"""Seconds from ``iat`` to ``exp``; Cognito's own maximum for an access token."""

_HEADER_KEYS = frozenset({"alg", "kid", "typ"})
_TYPES = frozenset({"JWT", "at+jwt"})  # RFC 7519 and RFC 9068; Cognito leaves it out
_PREFIX = f"{RESOURCE_SERVER}/"
_MAX_TIME = 2**40
_IDENTIFIER = re.compile(r"[!-~]{1,256}")
_PADDING, _HASH = PKCS1v15(), SHA256()


def verify(
    token: str,
    key_for: Callable[[str], RSAPublicKey | None],
    *,
    issuers: frozenset[str],
    client_ids: frozenset[str],
    now: float,
) -> Caller:
    """Who the token belongs to. ``key_for`` gives the user pool's key of an id; ``now`` is in seconds since the epoch.

    Raises Refused for whatever is not an access token from one of ``issuers`` for one of ``client_ids``, or is not valid now.
    """
    claims = _verified_claims(token, key_for)
    _check_times(claims, now)
    if not _is_one_of(claims.get("iss"), issuers):
        raise Refused(Reason.TOKEN_ISSUER)
    if claims.get("token_use") != "access":
        raise Refused(Reason.TOKEN_USE)
    if not _is_one_of(claims.get("client_id"), client_ids):
        raise Refused(Reason.TOKEN_CLIENT)
    _check_audience(claims, client_ids)
    return Caller(
        _identifier(claims, "sub"),
        _groups(claims),
        _scopes(claims),
        TOKEN,
        client_id=claims["client_id"],
        token_id=_identifier(claims, "jti") if "jti" in claims else None,
    )


def _verified_claims(token: str, key_for: Callable[[str], RSAPublicKey | None]) -> dict[str, Any]:
    if len(token) > MAX_LENGTH:
        raise Refused(Reason.TOKEN_TOO_LONG)
    parts = token.split(".")
    if len(parts) != 3 or not token.isascii():
        raise Refused(Reason.TOKEN_MALFORMED)
    head, payload, signature = (_decoded(part) for part in parts)
    key = key_for(_key_id(_object(head)))
    if key is None:
        raise Refused(Reason.TOKEN_UNKNOWN_KEY)
    try:
        key.verify(signature, f"{parts[0]}.{parts[1]}".encode("ascii"), _PADDING, _HASH)
    except InvalidSignature:
        raise Refused(Reason.TOKEN_SIGNATURE) from None
    return _object(payload)


def _decoded(part: str) -> bytes:
    try:
        return from_b64url(part)
    except ValueError:
        raise Refused(Reason.TOKEN_MALFORMED) from None


def _object(data: bytes) -> dict[str, Any]:
    try:
        return json_object(data)
    except ValueError:
        raise Refused(Reason.TOKEN_MALFORMED) from None


def _key_id(header: dict[str, Any]) -> str:
    """The key id of a header that says nothing else than that it is an RS256 JWT."""
    key_id = header.get("kid")
    if not header.keys() <= _HEADER_KEYS or not isinstance(key_id, str) or not _is_one_of(header.get("typ", "JWT"), _TYPES):
        raise Refused(Reason.TOKEN_HEADER)
    if header.get("alg") != "RS256":
        raise Refused(Reason.TOKEN_ALGORITHM)
    return key_id


def _is_one_of(value: object, known: frozenset[str]) -> bool:
    # A list or an object from JSON cannot even be looked up in a set.
    return isinstance(value, str) and value in known


def _check_audience(claims: dict[str, Any], client_ids: frozenset[str]) -> None:
    """Cognito names no audience unless the client asked for a token for another resource: then it is not for us.

    RFC 7519, section 4.1.3: who does not find itself in ``aud`` must refuse the token.
    """
    if "aud" not in claims:
        return
    audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if not all(isinstance(name, str) for name in audience):
        raise Refused(Reason.TOKEN_CLAIMS)
    if client_ids.isdisjoint(audience):
        raise Refused(Reason.TOKEN_CLIENT)


def _check_times(claims: dict[str, Any], now: float) -> None:
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    starts = _time(claims, "nbf") if "nbf" in claims else issued
    if now >= expires + TOLERANCE:
        raise Refused(Reason.TOKEN_EXPIRED)
    if max(issued, starts) > now + TOLERANCE:
        raise Refused(Reason.TOKEN_NOT_YET_VALID)
    if not 0 < expires - issued <= MAX_LIFETIME or starts >= expires:
        raise Refused(Reason.TOKEN_LIFETIME)


def _time(claims: dict[str, Any], name: str) -> int:
    value = claims.get(name)
    # Not isinstance: true is an int. A float can be infinite, and 1e400 is.
    if type(value) is not int or not 0 <= value <= _MAX_TIME:
        raise Refused(Reason.TOKEN_CLAIMS)
    return value


def _identifier(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise Refused(Reason.TOKEN_CLAIMS)
    return value


def _groups(claims: dict[str, Any]) -> frozenset[str]:
    groups = claims.get("cognito:groups", [])
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise Refused(Reason.TOKEN_CLAIMS)
    return GROUPS.intersection(groups)


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    scope = claims.get("scope", "")
    if not isinstance(scope, str):
        raise Refused(Reason.TOKEN_CLAIMS)
    return SCOPES.intersection(name.removeprefix(_PREFIX) for name in scope.split(" ") if name.startswith(_PREFIX))
