"""Access tokens of the user pool: JWTs (RFC 7519) signed with RS256, read as strictly as RFC 8725 allows.

Nothing of the payload is looked at before the signature holds, and the header is believed only as far as choosing among our own
keys goes. What Cognito's tokens say:
https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
"""

from collections import OrderedDict
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from lambda_authorizer.access_policy import GROUPS, RESOURCE_SERVER, SCOPES
from lambda_authorizer.bounded import remember
from lambda_authorizer.encoding import from_b64url, is_printable, json_object
from lambda_authorizer.keys import KeySource
from lambda_authorizer.policy import TOKEN, TOLERANCE, Caller, Written, written
from lambda_authorizer.reasons import Reason, Refused

MAX_LENGTH = 4096
"""Characters."""
MAX_LIFETIME = 24 * 3600
"""Seconds from ``iat`` to ``exp``; Cognito's own maximum for an access token."""

MAX_REMEMBERED = 1000
"""Tokens, of about a kilobyte each in memory."""

_MAX_HEADERS = 4
_HEADER_KEYS = frozenset({"alg", "kid", "typ"})
_TYPES = ("JWT", "at+jwt")  # RFC 7519 and RFC 9068; Cognito leaves it out
# As an access token spells them.
_SCOPES = {f"{RESOURCE_SERVER}/{scope}": scope for scope in SCOPES}
_MAX_TIME = 2**40
_PADDING = PKCS1v15()
# RFC 8017, section 9.2, note 1: what a signature with SHA-256 is of begins with these, and ends with the hash.
_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
# A named tuple's own constructor takes three times as long.
_tuple = tuple.__new__


class Verified(NamedTuple):
    """A token whose signature held: its caller, the key that said so, and its times in seconds since the epoch.

    ``written`` is how the caller is written down. ``answers`` is for whoever decides, to keep what it found out about callers
    whose tokens say the same of them but for who they are: they share it.
    """

    caller: Caller
    written: Written
    answers: dict[Any, Any]
    key_id: str
    key: RSAPublicKey
    starts: int
    expires: int
    issued: int


class TokenVerifier:
    """Says who an access token of the user pool belongs to, and remembers it while the token lives.

    A token is remembered by the SHA-256 of all of it, signature included, once that signature held: nothing that nobody vouched
    for is the key to anything. The token itself is not kept.
    """

    def __init__(self, keys: KeySource, *, issuers: frozenset[str], client_ids: frozenset[str]) -> None:
        self._keys = keys
        # Tuples: whether one of them is there can be asked of a list or an object from JSON too.
        self._issuers, self._client_ids = tuple(issuers), tuple(client_ids)
        self._verified: OrderedDict[bytes, Verified] = OrderedDict()
        # What the header segments of tokens say whose signature held. A pool has one or two.
        self._key_ids: OrderedDict[bytes, str] = OrderedDict()

    def verify(self, token: str, now: float, deadline: float) -> Verified:
        """Who the token belongs to. ``now`` is in seconds since the epoch, ``deadline`` on the clock of ``time.monotonic``.

        Raises Refused for whatever is not an access token from one of the issuers for one of the clients, or is not valid now,
        and Fault when the keys are too old to tell.
        """
        if len(token) > MAX_LENGTH:
            raise Refused(Reason.TOKEN_TOO_LONG)
        try:
            data = token.encode("ascii")
        except UnicodeEncodeError:
            raise Refused(Reason.TOKEN_MALFORMED) from None
        digest = sha256(data).digest()
        known = self._verified.get(digest)
        if known is not None:
            _, _, _, key_id, key, starts, expires, _ = known
            # Another key under that id, or none: the pool's keys changed, and the token has to hold against those.
            if self._keys.get(key_id, now, deadline) is key:
                _check_window(starts, expires, now)
                return known
        known = self._read(data, now, deadline)
        remember(self._verified, digest, known, MAX_REMEMBERED)
        return known

    def _read(self, data: bytes, now: float, deadline: float) -> Verified:
        signed, _, signature = data.rpartition(b".")
        head, _, payload = signed.partition(b".")
        # A fourth part would be a dot in the payload, which base64url does not know.
        if not payload:
            raise Refused(Reason.TOKEN_MALFORMED)
        try:
            proof, content = from_b64url(signature), from_b64url(payload)
            known = self._key_ids.get(head)
            key_id = known or _key_id(json_object(from_b64url(head)))
        except ValueError:
            raise Refused(Reason.TOKEN_MALFORMED) from None
        key = self._keys.get(key_id, now, deadline)
        if key is None:
            raise Refused(Reason.TOKEN_UNKNOWN_KEY)
        check_signature(key, proof, signed)
        if known is None:
            remember(self._key_ids, head, key_id, _MAX_HEADERS)
        try:
            claims = json_object(content)
        except ValueError:
            raise Refused(Reason.TOKEN_MALFORMED) from None
        starts, expires, issued = _window(claims, now)
        caller, answers = _caller(claims, self._issuers, self._client_ids)
        return _tuple(Verified, (caller, written(caller), answers, key_id, key, starts, expires, issued))


def check_signature(key: RSAPublicKey, proof: bytes, signed: bytes) -> None:
    """Raises Refused unless ``proof`` is the key's signature of ``signed``: RSASSA-PKCS1-v1_5 with SHA-256.

    As RFC 8017, section 8.2.2, has it: what the proof is of, whole, is what it must be of. ``key.verify`` does the same and
    takes a tenth longer, most of it to find the hash by its name.
    """
    try:
        found = key.recover_data_from_signature(proof, _PADDING, None)
    except InvalidSignature:
        raise Refused(Reason.TOKEN_SIGNATURE) from None
    if found != _DIGEST_INFO + sha256(signed).digest():
        raise Refused(Reason.TOKEN_SIGNATURE)


def _key_id(header: dict[str, Any]) -> str:
    """The key id of a header that says nothing else than that it is an RS256 JWT."""
    key_id = header.get("kid")
    if not header.keys() <= _HEADER_KEYS or not isinstance(key_id, str) or header.get("typ", "JWT") not in _TYPES:
        raise Refused(Reason.TOKEN_HEADER)
    if header.get("alg") != "RS256":
        raise Refused(Reason.TOKEN_ALGORITHM)
    return key_id


def _caller(claims: dict[str, Any], issuers: tuple[str, ...], client_ids: tuple[str, ...]) -> tuple[Caller, dict[Any, Any]]:
    if claims.get("iss") not in issuers:
        raise Refused(Reason.TOKEN_ISSUER)
    if claims.get("token_use") != "access":
        raise Refused(Reason.TOKEN_USE)
    client_id = claims.get("client_id")
    if client_id not in client_ids:
        raise Refused(Reason.TOKEN_CLIENT)
    if "aud" in claims:
        _check_audience(claims["aud"], client_ids)
    groups = claims.get("cognito:groups", [])
    if type(groups) is not list:
        raise Refused(Reason.TOKEN_CLAIMS)
    try:
        groups, scopes, answers = _kind(client_id, claims.get("scope", ""), *groups)
    except TypeError:
        # A list or an object, where there should be a text, is no key of what is known already.
        raise Refused(Reason.TOKEN_CLAIMS) from None
    token_id = _identifier(claims["jti"]) if "jti" in claims else None
    signed_in_at = _time(claims["auth_time"]) if "auth_time" in claims else None
    caller = (_identifier(claims.get("sub")), groups, scopes, TOKEN, client_id, token_id, None, signed_in_at)
    return _tuple(Caller, caller), answers


def _check_audience(audience: object, client_ids: tuple[str, ...]) -> None:
    """Cognito names no audience unless the client asked for a token for another resource: then it is not for us.

    RFC 7519, section 4.1.3: who does not find itself in ``aud`` must refuse the token.
    """
    names = audience if isinstance(audience, list) else [audience]
    if not all(isinstance(name, str) for name in names):
        raise Refused(Reason.TOKEN_CLAIMS)
    if not any(name in client_ids for name in names):
        raise Refused(Reason.TOKEN_CLIENT)


def _window(claims: dict[str, Any], now: float) -> tuple[int, int, int]:
    """From when until when the token says that it is valid, if that is now, and when it was issued."""
    expires, issued = _time(claims.get("exp")), _time(claims.get("iat"))
    starts = max(issued, _time(claims["nbf"])) if "nbf" in claims else issued
    _check_window(starts, expires, now)
    if not 0 < expires - issued <= MAX_LIFETIME or starts >= expires:
        raise Refused(Reason.TOKEN_LIFETIME)
    return starts, expires, issued


def _check_window(starts: int, expires: int, now: float) -> None:
    if now >= expires + TOLERANCE:
        raise Refused(Reason.TOKEN_EXPIRED)
    if starts > now + TOLERANCE:
        raise Refused(Reason.TOKEN_NOT_YET_VALID)


def _time(value: object) -> int:
    # Not isinstance: true is an int. A float can be infinite, and 1e400 is.
    if type(value) is not int or not 0 <= value <= _MAX_TIME:
        raise Refused(Reason.TOKEN_CLAIMS)
    return value


def _identifier(value: object) -> str:
    if not isinstance(value, str) or not is_printable(value, 256):
        raise Refused(Reason.TOKEN_CLAIMS)
    return value


# People of one group have the same groups, and a client asks for the same scopes at each sign-in.
@lru_cache(maxsize=64)
def _kind(client_id: str, scope: object, *groups: object) -> tuple[frozenset[str], frozenset[str], dict[Any, Any]]:  # noqa: ARG001  # who has another client shares no answers
    """The groups and the scopes that the access policy knows, and the answers to callers who have these."""
    if not isinstance(scope, str) or not all(isinstance(group, str) for group in groups):
        raise Refused(Reason.TOKEN_CLAIMS)
    return GROUPS.intersection(groups), frozenset(map(_SCOPES.__getitem__, _SCOPES.keys() & scope.split(" "))), {}
