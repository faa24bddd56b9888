"""API keys for programs: ``hm_<environment>_<public id>_<secret>``.

The secret is 256 random bits, so a fast keyed hash is enough: the table holds HMAC-SHA256 of the whole key under a pepper that is
not in the table. A key is looked up by its public id, and proved by comparing the digests in constant time.

An item: ``public_id`` S, ``digest`` S (hex), ``peppers`` S (which it was made under: the module ``peppers``), ``principal`` S,
``scopes`` SS (absent: none), ``expires_at`` N and ``revoked_at`` N (both optional, seconds since the epoch; ``revoked_at`` counts
from the moment it is there), ``source_ranges`` SS (the CIDR blocks that the key may be used from; absent: anywhere) and
``signing_key`` S (base64url of an Ed25519 public key, with whose other half every call has to be signed; absent: none). What
``POST /token`` gives to an IAM role is such a key as well: its principal is the role, and it has ``groups`` SS, which only a key
that ends may have. Other attributes are not for the authorizer.
"""

import hmac
import re
from collections import OrderedDict
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from lambda_authorizer import peppers
from lambda_authorizer.access_policy import GROUPS, SCOPES
from lambda_authorizer.aws import Aws, AwsError
from lambda_authorizer.bounded import remember
from lambda_authorizer.encoding import from_b64url
from lambda_authorizer.peppers import OtherPeppers
from lambda_authorizer.policy import API_KEY, Caller, Written, written
from lambda_authorizer.reasons import Fault, Reason, Refused
from lambda_authorizer.secret_store import SecretSource

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

MAX_AGE = 1.0
"""Seconds for which a record that was read is believed: so long, at most, does a key outlive its revocation."""
MAX_REMEMBERED = 1000
"""Keys."""

# 43 characters of base64url are 256 bits.
_KEY = r"hm_(?P<environment>[a-z]{1,16})_(?P<public_id>[A-Za-z0-9]{8,32})_[A-Za-z0-9_-]{43,128}"
_DIGEST = r"[0-9a-f]{64}"
_PRINCIPAL = r"[!-~]{1,256}"
_PUBLIC_KEY = r"[A-Za-z0-9_-]{43}"  # 32 bytes: RFC 8032, section 5.1.5
_NO_DIGEST = "0" * 64


class Key(NamedTuple):
    """A key whose secret was proved. ``expires_at`` is in seconds since the epoch, None for a key that does not end.

    ``written`` is how the caller is written down. ``answers`` is for whoever decides, to keep what it found out about this
    caller.
    """

    caller: Caller
    written: Written
    answers: dict[Any, Any]
    expires_at: int | None
    source_ranges: "tuple[IPv4Network | IPv6Network, ...] | None"
    signing_key: bytes | None

    def opens_from(self, source_ip: str | None) -> bool:
        """Whether the key may be used from this address."""
        if self.source_ranges is None:
            return True
        from ipaddress import ip_address

        try:
            address = ip_address(source_ip or "")
        except ValueError:
            return False
        return any(address in network for network in self.source_ranges)


class KeyVerifier:
    """Says whose a key is, and remembers it for a second.

    A key is remembered by its SHA-256, once its secret was proved. The key itself is not kept.
    """

    def __init__(self, table: "KeyTable | None", secrets: SecretSource, *, environment: str) -> None:
        self._table = table
        self._secrets = secrets
        self._environment = environment
        self._known: OrderedDict[bytes, tuple[float, Key]] = OrderedDict()

    def verify(self, key: str, *, region: str, now: float, deadline: float) -> Key:
        """The key, if it is good now: in seconds since the epoch. ``deadline`` is on the clock of ``time.monotonic``.

        Raises Refused, and Fault.
        """
        name = sha256(key.encode()).digest()
        read_at, known = self._known.get(name, (0.0, None))
        if known is None or not 0 <= now - read_at < MAX_AGE:
            key_id = public_id(key, environment=self._environment)
            if self._table is None:
                raise Refused(Reason.KEYS_DISABLED)
            secrets = self._secrets.get(now=now, deadline=deadline)
            item = self._table.get(key_id, region=region, deadline=deadline)
            known = verify(key, key_id, item, pepper=secrets.api_key_pepper, others=secrets.other_peppers)
            remember(self._known, name, (now, known), MAX_REMEMBERED)
        if known.expires_at is not None and now >= known.expires_at:
            raise Refused(Reason.KEY_EXPIRED)
        return known


def digest(key: str, pepper: bytes) -> str:
    """What the table holds for a new key: HMAC-SHA256 in lower-case hex. The item's ``peppers`` is then this pepper's name."""
    return peppers.digest(key, (pepper,))


def public_id(key: str, *, environment: str) -> str:
    """The public id of a key that has the form of this environment's. Raises Refused."""
    match = re.fullmatch(_KEY, key)
    if match is None:
        raise Refused(Reason.KEY_MALFORMED)
    if match["environment"] != environment:
        raise Refused(Reason.KEY_ENVIRONMENT)
    return match["public_id"]


class KeyTable:
    """The DynamoDB table of API keys."""

    def __init__(self, name: str, aws: Aws) -> None:
        self._name = name
        self._aws = aws

    def get(self, key_id: str, *, region: str, deadline: float) -> dict[str, Any] | None:
        """The item with this public id as DynamoDB writes it, None if there is none. Raises Fault."""
        try:
            answer = self._aws.call(
                "dynamodb",
                "DynamoDB_20120810.GetItem",
                # Consistent: a key that was revoked a moment ago is revoked.
                {"TableName": self._name, "Key": {"public_id": {"S": key_id}}, "ConsistentRead": True},
                region=region,
                deadline=deadline,
            )
        except AwsError:
            raise Fault(Reason.KEY_STORE_UNAVAILABLE) from None
        item = answer.get("Item")
        if item is not None and not isinstance(item, dict):
            raise Fault(Reason.KEY_STORE_UNAVAILABLE)
        return item


def verify(key: str, key_id: str, item: dict[str, Any] | None, *, pepper: bytes, others: OtherPeppers = peppers.NONE) -> Key:
    """The key, given the table's item under its public id. Whether it has ended is left to the caller.

    Raises Refused, or Fault when the item is not of the form that it must have.
    """
    # With no item the same work is done: the time an answer takes does not tell which public ids exist.
    stored = _NO_DIGEST if item is None else _string(item, "digest", _DIGEST)
    matches = hmac.compare_digest(peppers.digest(key, _layers(item, pepper, others)), stored)
    if item is None:
        raise Refused(Reason.KEY_UNKNOWN)
    if not matches:
        raise Refused(Reason.KEY_SECRET)
    if "revoked_at" in item:
        _number(item, "revoked_at")
        raise Refused(Reason.KEY_REVOKED)
    end = _number(item, "expires_at")
    groups, scopes = GROUPS & _names(item, "groups"), SCOPES & _names(item, "scopes")
    if groups and end is None:
        raise Fault(Reason.KEY_RECORD_MALFORMED)
    caller = Caller(_string(item, "principal", _PRINCIPAL), groups, scopes, API_KEY, key_id=key_id)
    return Key(caller, written(caller), {}, end, _networks(item), _signing_key(item))


def _layers(item: dict[str, Any] | None, pepper: bytes, others: OtherPeppers) -> tuple[bytes, ...]:
    names = None if item is None or "peppers" not in item else _string(item, "peppers", peppers.NAMES)
    try:
        return peppers.layers(names, pepper, others)
    except LookupError:
        raise Fault(Reason.KEY_RECORD_MALFORMED) from None


def _networks(item: dict[str, Any]) -> "tuple[IPv4Network | IPv6Network, ...] | None":
    if "source_ranges" not in item:
        return None
    # Few keys are bound to addresses: the others do not pay for the import.
    from ipaddress import ip_network

    try:
        return tuple(ip_network(text) for text in _names(item, "source_ranges"))
    except ValueError:
        raise Fault(Reason.KEY_RECORD_MALFORMED) from None


def _signing_key(item: dict[str, Any]) -> bytes | None:
    if "signing_key" not in item:
        return None
    try:
        return from_b64url(_string(item, "signing_key", _PUBLIC_KEY))
    except ValueError:
        raise Fault(Reason.KEY_RECORD_MALFORMED) from None


def _attribute(item: dict[str, Any], name: str, kind: str) -> Any:
    """An attribute's value, None without the attribute. Raises Fault when it is of another type (S, N, SS)."""
    attribute = item.get(name)
    if attribute is None:
        return None
    if not isinstance(attribute, dict) or attribute.keys() != {kind}:
        raise Fault(Reason.KEY_RECORD_MALFORMED)
    return attribute[kind]


def _string(item: dict[str, Any], name: str, pattern: str) -> str:
    value = _attribute(item, name, "S")
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise Fault(Reason.KEY_RECORD_MALFORMED)
    return value


def _number(item: dict[str, Any], name: str) -> int | None:
    value = _attribute(item, name, "N")
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,12}", value):
        raise Fault(Reason.KEY_RECORD_MALFORMED)
    return int(value)


def _names(item: dict[str, Any], attribute: str) -> frozenset[str]:
    names = _attribute(item, attribute, "SS")
    if names is None:
        return frozenset()
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Fault(Reason.KEY_RECORD_MALFORMED)
    return frozenset(names)
