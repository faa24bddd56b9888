"""API keys for programs: ``hm_<environment>_<public id>_<secret>``.

The secret is 256 random bits, so a fast keyed hash is enough: the table holds HMAC-SHA256 of the whole key under a pepper that is
not in the table. A key is looked up by its public id, and proved by comparing the digests in constant time.

An item: ``public_id`` S, ``digest`` S (hex), ``principal`` S, ``scopes`` SS (absent: none), ``expires_at`` N and ``revoked_at`` N
(both optional, seconds since the epoch; ``revoked_at`` counts from the moment it is there). What ``POST /token`` gives to an IAM
role is such a key as well: its principal is the role, and it has ``groups`` SS, which only a key that ends may have.
"""

import hmac
import re
from typing import Any

from lambda_authorizer.access_policy import GROUPS, SCOPES
from lambda_authorizer.aws import Aws, AwsError
from lambda_authorizer.policy import API_KEY, Caller
from lambda_authorizer.reasons import Fault, Reason, Refused

# 43 characters of base64url are 256 bits.
_KEY = re.compile(r"hm_(?P<environment>[a-z]{1,16})_(?P<public_id>[A-Za-z0-9]{8,32})_[A-Za-z0-9_-]{43,128}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PRINCIPAL = re.compile(r"[!-~]{1,256}")
_NO_DIGEST = "0" * 64


def digest(key: str, pepper: bytes) -> str:
    """What the table holds for a key: HMAC-SHA256 in lower-case hex."""
    return hmac.new(pepper, key.encode("ascii"), "sha256").hexdigest()


def public_id(key: str, *, environment: str) -> str:
    """The public id of a key that has the form of this environment's. Raises Refused."""
    match = _KEY.fullmatch(key)
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


def verify(key: str, key_id: str, item: dict[str, Any] | None, *, pepper: bytes, now: float) -> Caller:
    """Who the key belongs to, given the table's item under its public id. ``now`` is in seconds since the epoch.

    Raises Refused, or Fault when the item is not of the form that it must have.
    """
    # With no item the same work is done: the time an answer takes does not tell which public ids exist.
    stored = _NO_DIGEST if item is None else _string(item, "digest", _DIGEST)
    matches = hmac.compare_digest(digest(key, pepper), stored)
    if item is None:
        raise Refused(Reason.KEY_UNKNOWN)
    if not matches:
        raise Refused(Reason.KEY_SECRET)
    if _number(item, "revoked_at") is not None:
        raise Refused(Reason.KEY_REVOKED)
    end = _number(item, "expires_at")
    if end is not None and now >= end:
        raise Refused(Reason.KEY_EXPIRED)
    groups, scopes = GROUPS & _names(item, "groups"), SCOPES & _names(item, "scopes")
    if groups and end is None:
        raise Fault(Reason.KEY_RECORD_MALFORMED)
    return Caller(_string(item, "principal", _PRINCIPAL), groups, scopes, API_KEY, key_id=key_id)


def _attribute(item: dict[str, Any], name: str, kind: str) -> Any:
    """An attribute's value, None without the attribute. Raises Fault when it is of another type (S, N, SS)."""
    attribute = item.get(name)
    if attribute is None:
        return None
    if not isinstance(attribute, dict) or attribute.keys() != {kind}:
        raise Fault(Reason.KEY_RECORD_MALFORMED)
    return attribute[kind]


def _string(item: dict[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = _attribute(item, name, "S")
    if not isinstance(value, str) or not pattern.fullmatch(value):
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
