"""Calls that make something, repeated without making it again: the header Idempotency-Key.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/. A key belongs to its principal, and is remembered
in the row ``idempotency#<principal>#<SHA-256 of the key>`` for a day. The row is a step of the very transaction that writes what
the call makes, so that of two calls at once with one key exactly one makes something.
"""

import hashlib
import json
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

from heartmap_service.problems import Problem
from heartmap_service.transactions import Step

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

HEADER = "Idempotency-Key"
REPLAYED = {"Idempotency-Replayed": "true"}
"""The header of an answer about what an earlier call made."""
KEPT_SECONDS = 24 * 3600

_KEY = re.compile(r"[!-~]{1,255}", re.ASCII)


class AlreadyMade(Problem):
    """Another call with the same key was first; who made what is to be asked again. 409 where that does not help."""

    def __init__(self) -> None:
        detail = f"Another call with this {HEADER} is being made. Try again."
        super().__init__(409, "idempotency_key_in_use", detail, headers={"Retry-After": "1"})


class Idempotency(NamedTuple):
    """The key of one call, and the ``fingerprint`` of what it asks for."""

    principal: str
    key: str
    fingerprint: str

    @property
    def row(self) -> str:
        return f"idempotency#{self.principal}#{hashlib.sha256(self.key.encode('ascii')).hexdigest()}"

    def part(self, name: str) -> "Idempotency":
        """The key of one part of the call, which makes something of its own. No caller can send it: it has a space in it."""
        return self._replace(key=f"{name} {self.key}")

    def item(self, table: str, made_id: str) -> Step:
        """Remembers what the call made. Raises AlreadyMade when another call with the key was first."""
        now = int(time.time())
        put = {
            "TableName": table,
            "Item": {
                "pk": {"S": self.row},
                "fingerprint": {"S": self.fingerprint},
                "made_id": {"S": made_id},
                "expires_at": {"N": str(now + KEPT_SECONDS)},
            },
            # DynamoDB deletes what has expired some time later.
            "ConditionExpression": "attribute_not_exists(pk) OR expires_at <= :now",
            "ExpressionAttributeValues": {":now": {"N": str(now)}},
        }
        return Step({"Put": put}, AlreadyMade)

    def made(self, dynamodb: "DynamoDBClient", table: str) -> str | None:
        """The id of what an earlier call with this key made; None when there was none.

        Raises Problem 422 idempotency_key_reused when that call asked for something else.
        """
        answer: Any = dynamodb.get_item(TableName=table, Key={"pk": {"S": self.row}}, ConsistentRead=True)
        row = answer.get("Item")
        if row is None or int(row["expires_at"]["N"]) <= int(time.time()):
            return None
        if row["fingerprint"]["S"] != self.fingerprint:
            detail = "This Idempotency-Key was used for another request. Send a new key with each new request."
            raise Problem(422, "idempotency_key_reused", detail)
        return row["made_id"]["S"]


def of_call(principal: str, key: str | None, route: str, body: Any) -> Idempotency | None:
    """None for a call without a key. ``body`` is what the call asks for: models, and whatever JSON knows.

    Raises Problem 422 for a key that is not 1 to 255 visible ASCII characters.
    """
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        detail = f"{HEADER} must be 1 to 255 visible ASCII characters. Send a new random value with each new request."
        raise Problem(422, "invalid_idempotency_key", detail)
    try:
        canonical = json.dumps([route, body], sort_keys=True, separators=(",", ":"), default=BaseModel.model_dump)
    except (ValueError, RecursionError):
        raise Problem(422, "invalid_request", "The request is nested too deeply.") from None
    return Idempotency(principal, key, hashlib.sha256(canonical.encode("ascii")).hexdigest())
