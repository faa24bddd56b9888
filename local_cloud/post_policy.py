"""What S3 checks on a browser-style POST upload before it stores the object: the POST policy.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

# Fields that a policy need not mention.
UNCHECKED_FIELDS = frozenset({"policy", "file", "x-amz-signature"})
# What S3 says to the older signatures, which no bucket made since 2020 takes.
SIGNATURE_VERSION = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."


SIGNATURE_FIELDS = ("X-Amz-Algorithm", "X-Amz-Signature")


class PostRefusal(NamedTuple):
    """How S3 answers a POST upload that its policy does not allow."""

    status: int
    code: str
    message: str


def refusal(fields: Mapping[str, str], size: int, now: datetime) -> PostRefusal | None:
    """Why S3 refuses this upload, or None when the policy allows it.

    `fields` are the form's fields without the file, with the bucket's name as `bucket`; `size` is the file's, in bytes. Field
    names are compared in lower case, as S3 does. There must be a signature; it is not verified: the emulated AWS knows no secret
    keys.
    """
    given = {name.lower(): value for name, value in fields.items()}
    if "policy" not in given or not any(name.lower() in given for name in SIGNATURE_FIELDS):
        return PostRefusal(403, "AccessDenied", "Access Denied")
    for name in SIGNATURE_FIELDS:
        if not given.get(name.lower()):
            order = "If it is specified, please check the order of the fields."
            return PostRefusal(400, "InvalidArgument", f"Bucket POST must contain a field named '{name}'.  {order}")
    if given["x-amz-algorithm"] != "AWS4-HMAC-SHA256":
        return PostRefusal(400, "InvalidRequest", SIGNATURE_VERSION)
    try:
        policy = json.loads(base64.b64decode(given["policy"], validate=True))
        expires = datetime.fromisoformat(policy["expiration"])
        conditions = [_triple(condition) for condition in policy["conditions"]]
    except (binascii.Error, ValueError, KeyError, TypeError):
        return PostRefusal(400, "InvalidPolicyDocument", "Invalid Policy: Invalid JSON.")
    if expires.replace(tzinfo=expires.tzinfo or UTC) <= now:
        return PostRefusal(403, "AccessDenied", "Invalid according to Policy: Policy expired.")
    return _first_broken(conditions, given, size) or _first_extra(conditions, given)


def _triple(condition: Any) -> tuple[str, Any, Any]:
    """A condition as (operator, field or lower bound, value or upper bound)."""
    if isinstance(condition, dict):
        ((name, value),) = condition.items()
        return "eq", f"${name.lower()}", value
    operator, left, right = condition
    operator = operator.lower()
    if operator == "content-length-range":
        return operator, int(left), int(right)
    if operator not in {"eq", "starts-with"}:
        raise ValueError(operator)
    return operator, left.lower(), right


def _first_broken(conditions: list[tuple[str, Any, Any]], given: Mapping[str, str], size: int) -> PostRefusal | None:
    for operator, left, right in conditions:
        if operator == "content-length-range":
            if size < left:
                return PostRefusal(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
            if size > right:
                return PostRefusal(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
            continue
        value = given.get(left.removeprefix("$"), "")
        # A field's name without its $ names none, and the condition never holds.
        if not left.startswith("$") or not (value == right if operator == "eq" else value.startswith(right)):
            broken = json.dumps([operator, left, right])
            return PostRefusal(403, "AccessDenied", f"Invalid according to Policy: Policy Condition failed: {broken}")
    return None


def _first_extra(conditions: list[tuple[str, Any, Any]], given: Mapping[str, str]) -> PostRefusal | None:
    named = {left.removeprefix("$") for operator, left, _ in conditions if operator != "content-length-range"}
    for name in sorted(given.keys() - named - UNCHECKED_FIELDS - {"bucket"}):
        if not name.startswith("x-ignore-"):
            return PostRefusal(403, "AccessDenied", f"Invalid according to Policy: Extra input fields: {name}")
    return None
