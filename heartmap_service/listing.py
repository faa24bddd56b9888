"""Lists of records, newest first: for each list in which a record appears, a row ``listing#<list>#<id>`` of its own.

The lists are the partitions of the index ``listing`` of the jobs table. Its sort key, ``created_at``, ends in the record's id:
no two rows of a list sort alike, so that a page can go on exactly where another ended. The record itself is in no list, so
that its progress does not rewrite the index.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from heartmap_service.records import Visibility
from heartmap_service.transactions import Step, TransactItem

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

INDEX = "listing"


class Page(NamedTuple):
    """``ids``, newest first. ``next`` is the sort key after which the next page begins, None at the end."""

    ids: list[str]
    next: str | None


class Entry(NamedTuple):
    """What a record's rows say of it. ``kind`` begins the names of its lists; ``expires_at`` is in seconds since the epoch."""

    kind: str
    record_id: str
    created_at: str
    expires_at: int | None = None

    def row(self, name: str) -> dict[str, Any]:
        row = {
            "pk": {"S": f"listing#{self.kind}{name}#{self.record_id}"},
            "listing_key": {"S": f"{self.kind}{name}"},
            "created_at": {"S": f"{self.created_at}#{self.record_id}"},
        }
        return row if self.expires_at is None else row | {"expires_at": {"N": str(self.expires_at)}}


def everywhere(table: str, entry: Entry, owner: str, visibility: Visibility) -> list[Step]:
    """Puts a new record into its lists."""
    names = [f"owner#{owner}", "all", *visibility_lists(visibility)]
    return [Step({"Put": {"TableName": table, "Item": entry.row(name)}}) for name in names]


def moves(table: str, entry: Entry, old: Visibility, new: Visibility) -> list[Step]:
    """Takes a record out of the lists that its visibility no longer puts it into, and puts it into those that it now does."""
    before, after = set(visibility_lists(old)), set(visibility_lists(new))
    puts: list[TransactItem] = [{"Put": {"TableName": table, "Item": entry.row(name)}} for name in sorted(after - before)]
    deletes: list[TransactItem] = [
        {"Delete": {"TableName": table, "Key": {"pk": entry.row(name)["pk"]}}} for name in sorted(before - after)
    ]
    return [Step(write) for write in puts + deletes]


def page(dynamodb: "DynamoDBClient", table: str, lists: Sequence[str], *, limit: int, before: str | None) -> Page:
    """The newest ``limit`` records that appear in any of the lists, of those that sort before ``before``.

    The index is eventually consistent: whether somebody may see a record is for the record to say.
    """
    found: dict[str, str] = {}
    for name in lists:
        condition, values = "listing_key = :list", {":list": {"S": name}}
        if before is not None:
            condition, values = f"{condition} AND created_at < :before", values | {":before": {"S": before}}
        answer: Any = dynamodb.query(
            TableName=table,
            IndexName=INDEX,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            ScanIndexForward=False,
            Limit=limit + 1,
        )
        found |= {item["pk"]["S"].rpartition("#")[2]: item["created_at"]["S"] for item in answer["Items"]}
    newest = sorted(found, key=lambda record_id: found[record_id], reverse=True)
    shown = newest[:limit]
    return Page(shown, found[shown[-1]] if len(newest) > limit else None)


def visibility_lists(visibility: Visibility) -> list[str]:
    """The lists that a visibility puts a record into, beside its owner's and that of all."""
    if isinstance(visibility, list):
        return [f"named#{principal}" for principal in visibility]
    return ["shared"] if visibility == "shared" else []
