"""The table of API keys, and the one in which the authorizer notes their use.

``deadline`` is on the clock of ``time.monotonic`` everywhere, ``now`` in seconds since the epoch. All raise AwsError.
"""

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from lambda_authorizer.aws import Aws, AwsError
from lambda_authorizer.lock_outs import ITEM as LOCKED
from lambda_keys.records import READ, ROLES, Item, number

LISTED_AFTER_END = 30 * 24 * 3600
"""Seconds for which a key is listed once it has ended or was revoked."""
MOST_LISTED = 1000
"""Keys."""
PAGE = 100
"""Items that one page of a scan looks at: no more than this are an answer of less than ``bounded_http.MAX_BYTES``."""
BATCH = 100
"""Items, BatchGetItem's own limit:
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html."""
PAUSE = 0.05
"""Seconds before what DynamoDB left unread is asked for again; twice as many each time."""

# Some of the names are words of DynamoDB's own: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ReservedWords.html
_PROJECTION = ",".join(f"#{name}" for name in sorted(READ))
_PROJECTED = {f"#{name}": name for name in READ}
_LISTED = (
    # One item is no key, but the list of who is locked out.
    "public_id <> :locked AND NOT begins_with(public_id, :roles)"
    " AND (attribute_not_exists(expires_at) OR expires_at > :since)"
    " AND (attribute_not_exists(revoked_at) OR revoked_at > :since)"
)


class Listing(NamedTuple):
    """The keys, the oldest first. ``truncated`` when there are more."""

    items: list[Item]
    truncated: bool


class Store:
    """The two tables."""

    def __init__(self, *, keys: str, use: str, aws: Aws, region: str) -> None:
        self._keys = keys
        self._use = use
        self._aws = aws
        self._region = region

    def add(self, item: Item, *, deadline: float) -> None:
        """Store a new key. One that is there already is somebody's, and stays."""
        self._call("PutItem", self._new(item), deadline)

    def get(self, key_id: str, *, deadline: float) -> Item | None:
        """The key with this public id, None if there is none."""
        parameters = {"TableName": self._keys, "Key": _key(key_id), "ConsistentRead": True}
        return self._call("GetItem", parameters, deadline).get("Item")

    def listed(self, *, now: float, scan_until: float, deadline: float) -> Listing:
        """The keys that are valid or ended a short time ago, but for the credentials of roles. No page is begun after
        ``scan_until``, on the clock of ``time.monotonic``."""
        parameters: dict[str, Any] = {
            "TableName": self._keys,
            "ConsistentRead": True,
            "Limit": PAGE,
            "FilterExpression": _LISTED,
            "ExpressionAttributeValues": {
                ":locked": {"S": LOCKED},
                ":roles": {"S": ROLES},
                ":since": {"N": str(int(now) - LISTED_AFTER_END)},
            },
            "ProjectionExpression": _PROJECTION,
            "ExpressionAttributeNames": _PROJECTED,
        }
        items: list[Item] = []
        while True:
            answer = self._call("Scan", parameters, deadline)
            items += answer.get("Items", [])
            following = answer.get("LastEvaluatedKey")
            if following is None or len(items) > MOST_LISTED or time.monotonic() >= scan_until:
                break
            parameters["ExclusiveStartKey"] = following
        truncated = following is not None or len(items) > MOST_LISTED
        return Listing(sorted(items[:MOST_LISTED], key=lambda item: item["public_id"]["S"]), truncated)

    def replace(self, old: Item, new: Item, *, ends: int, deadline: float) -> bool:
        """Store a new key and let the old one end at ``ends``, in seconds since the epoch, both or neither.

        False when the old one is not as it was any more, or somebody else writes to it just now.
        """
        update = {
            "TableName": self._keys,
            "Key": _key(old["public_id"]["S"]),
            "UpdateExpression": "SET expires_at = :ends, replaced_by = :new",
            "ConditionExpression": (
                "digest = :digest AND expires_at = :end"
                " AND attribute_not_exists(revoked_at) AND attribute_not_exists(replaced_by)"
            ),
            "ExpressionAttributeValues": {
                ":ends": {"N": str(ends)},
                ":new": new["public_id"],
                ":digest": old["digest"],
                ":end": old["expires_at"],
            },
        }
        try:
            self._call("TransactWriteItems", {"TransactItems": [{"Put": self._new(new)}, {"Update": update}]}, deadline)
        except AwsError as error:
            if error.code == "TransactionCanceledException":
                return False
            raise
        return True

    def revoke(self, key_id: str, *, by: str, now: float, deadline: float) -> tuple[Item | None, bool]:
        """End a key now; ``by`` is who does. The key, None if there is none, and whether it was not revoked before."""
        parameters = {
            "TableName": self._keys,
            "Key": _key(key_id),
            "UpdateExpression": "SET revoked_at = :now, revoked_by = :by",
            "ConditionExpression": "attribute_exists(public_id) AND attribute_not_exists(revoked_at)",
            "ExpressionAttributeValues": {":now": {"N": str(int(now))}, ":by": {"S": by}},
            "ReturnValues": "ALL_NEW",
        }
        try:
            return self._call("UpdateItem", parameters, deadline)["Attributes"], True
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException":
                raise
        return self.get(key_id, deadline=deadline), False

    def last_used(self, key_ids: Iterable[str], *, deadline: float) -> dict[str, int]:
        """When keys were used last, to the hour, in seconds since the epoch, by their public ids. A key of which no use is known
        is not among them."""
        wanted = [{"id": {"S": f"use#{key_id}"}} for key_id in key_ids]
        found: dict[str, int] = {}
        for start in range(0, len(wanted), BATCH):
            for item in self._batch(wanted[start : start + BATCH], deadline):
                used = number(item, "last_used_at")
                if used is not None:
                    found[item["id"]["S"].removeprefix("use#")] = used
        return found

    def _batch(self, keys: list[dict[str, Any]], deadline: float) -> list[Item]:
        requested: dict[str, Any] = {self._use: {"Keys": keys, "ProjectionExpression": "id, last_used_at"}}
        items: list[Item] = []
        pause = PAUSE
        while True:
            answer = self._call("BatchGetItem", {"RequestItems": requested}, deadline)
            items += answer.get("Responses", {}).get(self._use, [])
            requested = answer.get("UnprocessedKeys") or {}
            if not requested:
                return items
            # After the deadline the next call raises.
            time.sleep(max(0.0, min(pause, deadline - time.monotonic())))
            pause *= 2

    def _new(self, item: Item) -> dict[str, Any]:
        return {"TableName": self._keys, "Item": item, "ConditionExpression": "attribute_not_exists(public_id)"}

    def _call(self, operation: str, parameters: dict[str, Any], deadline: float) -> dict[str, Any]:
        return self._aws.call("dynamodb", f"DynamoDB_20120810.{operation}", parameters, region=self._region, deadline=deadline)


def _key(key_id: str) -> Item:
    return {"public_id": {"S": key_id}}
