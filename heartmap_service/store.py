"""Uploads and analyses in the jobs table, and who may see which analysis.

Keys (``pk``): ``upload#<id>``, ``analysis#<id>``, and for each list in which an analysis appears a row ``listing#<list>#<id>``
of its own. The lists are the partitions of the index ``listing``: ``owner#<principal>``, ``all``, ``shared`` and
``named#<principal>``. The analysis itself is in none, so that its progress does not rewrite the index.

Every change of an analysis's state is one conditional write. ``attempt`` is the fencing token: a worker that lost its lease
still knows the old number, and its writes fail.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

UploadState = Literal["pending", "checking", "accepted", "rejected"]
AnalysisState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Visibility = str | list[str]
"""``private``, ``shared`` (whoever may read analyses), or a list of principals."""

UPLOAD_RETENTION = 30 * 24 * 3600
"""Seconds after which the record of an upload goes."""
BATCH = 100
"""DynamoDB's limit of keys in a BatchGetItem."""

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize

# Documents, kept as JSON text: DynamoDB has no floats, and nothing is ever looked up inside them.
_DOCUMENTS = frozenset({"visibility", "options", "config", "files", "summary"})


@dataclass(frozen=True, kw_only=True)
class Upload:
    """``bytes`` is the size that was declared; ``multipart_id`` is S3's, of an upload in parts of ``part_bytes``."""

    upload_id: str
    owner: str
    state: UploadState
    created_at: str
    request_id: str
    max_bytes: int
    name: str | None = None
    bytes: int | None = None
    multipart_id: str | None = None
    part_bytes: int | None = None
    parts: int | None = None
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """``config`` is what the pipeline runs with: the version that was current at the request, and the request's options over
    it."""

    analysis_id: str
    upload_id: str
    owner: str
    visibility: Visibility
    analysis_type: str
    options: dict[str, Any]
    config_version: int
    config: dict[str, Any]
    state: AnalysisState
    created_at: str
    request_id: str
    stage: str = "queued"
    progress: float = 0.0
    attempt: int = 0
    lease_until: float = 0.0
    started_at: str | None = None
    finished_at: str | None = None
    code: str | None = None
    detail: str | None = None
    files: list[dict[str, Any]] | None = None
    summary: dict[str, Any] | None = None


_Record = TypeVar("_Record", Upload, Analysis)


def timestamp() -> str:
    """Now, in UTC, as ISO 8601 with milliseconds: sorts as text."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JobStore:
    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    # Uploads

    def add_upload(self, upload: Upload) -> None:
        item = _item(f"upload#{upload.upload_id}", upload)
        item["expires_at"] = _value(int(time.time()) + UPLOAD_RETENTION)
        self._dynamodb.put_item(TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(pk)")

    def upload(self, upload_id: str) -> Upload | None:
        item = self._get(f"upload#{upload_id}")
        return None if item is None else _record(Upload, item)

    def set_upload_state(self, upload_id: str, state: UploadState, *, code: str | None = None, detail: str | None = None) -> None:
        """The newest check decides: the object may have been posted again. Nothing happens when the record is gone."""
        self._try_update(
            f"upload#{upload_id}", {"state": state, "code": code, "detail": detail}, condition="attribute_exists(pk)", values={}
        )

    # Analyses

    def add_analysis(self, analysis: Analysis) -> None:
        puts = [_item(f"analysis#{analysis.analysis_id}", analysis)]
        lists = [f"owner#{analysis.owner}", "all", *_visibility_lists(analysis.visibility)]
        puts += [_listing_row(name, analysis) for name in lists]
        self._dynamodb.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": self._table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}
                for item in puts
            ]
        )

    def analysis(self, analysis_id: str) -> Analysis | None:
        item = self._get(f"analysis#{analysis_id}")
        return None if item is None else _record(Analysis, item)

    def analyses(self, lists: Sequence[str], limit: int) -> list[Analysis]:
        """The newest analyses that appear in any of the lists, newest first, at most ``limit`` (up to 100)."""
        found: dict[str, str] = {}
        for name in lists:
            answer: Any = self._dynamodb.query(
                TableName=self._table,
                IndexName="listing",
                KeyConditionExpression="listing_key = :list",
                ExpressionAttributeValues={":list": {"S": name}},
                ScanIndexForward=False,
                Limit=limit,
            )
            found |= {item["analysis_id"]["S"]: item["created_at"]["S"] for item in answer["Items"]}
        newest = sorted(found, key=lambda analysis_id: (found[analysis_id], analysis_id), reverse=True)[: min(limit, BATCH)]
        records = self._get_many([f"analysis#{analysis_id}" for analysis_id in newest])
        return [
            _record(Analysis, records[key]) for key in (f"analysis#{analysis_id}" for analysis_id in newest) if key in records
        ]

    def set_visibility(self, analysis: Analysis, visibility: Visibility) -> bool:
        """False when it has changed since ``analysis`` was read."""
        old, new = set(_visibility_lists(analysis.visibility)), set(_visibility_lists(visibility))
        steps: list[Any] = [
            {
                "Update": {
                    "TableName": self._table,
                    "Key": {"pk": {"S": f"analysis#{analysis.analysis_id}"}},
                    "UpdateExpression": "SET visibility = :new",
                    "ConditionExpression": "visibility = :old",
                    "ExpressionAttributeValues": {
                        ":new": _value(json.dumps(visibility)),
                        ":old": _value(json.dumps(analysis.visibility)),
                    },
                }
            }
        ]
        steps += [{"Put": {"TableName": self._table, "Item": _listing_row(name, analysis)}} for name in sorted(new - old)]
        steps += [
            {"Delete": {"TableName": self._table, "Key": {"pk": _listing_row(name, analysis)["pk"]}}}
            for name in sorted(old - new)
        ]
        try:
            self._dynamodb.transact_write_items(TransactItems=steps)
        except self._dynamodb.exceptions.TransactionCanceledException:
            return False
        return True

    def claim(self, analysis_id: str, *, now: float, lease_seconds: float) -> Analysis | None:
        """Takes a queued analysis, or a running one whose lease has run out, for one more attempt; None when it is neither."""
        try:
            answer = self._dynamodb.update_item(
                TableName=self._table,
                Key={"pk": {"S": f"analysis#{analysis_id}"}},
                UpdateExpression="SET #state = :running, attempt = attempt + :one, lease_until = :lease, "
                "stage = :stage, progress = :zero, started_at = if_not_exists(started_at, :at)",
                ConditionExpression="#state = :queued OR (#state = :running AND lease_until < :now)",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={
                    ":running": {"S": "running"},
                    ":queued": {"S": "queued"},
                    ":one": {"N": "1"},
                    ":zero": {"N": "0"},
                    ":lease": _value(now + lease_seconds),
                    ":now": _value(now),
                    ":stage": {"S": "downloading"},
                    ":at": {"S": timestamp()},
                },
                ReturnValues="ALL_NEW",
            )
        except ClientError as error:
            if _is_conflict(error):
                return None
            raise
        return _record(Analysis, answer["Attributes"])

    def heartbeat(self, analysis: Analysis, *, stage: str, progress: float, lease_until: float) -> bool:
        """Keeps the lease and shows progress. False when the analysis is no longer this attempt's: cancelled, or taken over."""
        return self._update_running(analysis, {"stage": stage, "progress": progress, "lease_until": lease_until})

    def succeed(self, analysis: Analysis, *, files: list[dict[str, Any]], summary: dict[str, Any]) -> bool:
        """Publishes the results. False when the analysis is no longer this attempt's."""
        return self._update_running(
            analysis,
            {
                "state": "succeeded",
                "stage": "done",
                "progress": 1.0,
                "files": json.dumps(files),
                "summary": json.dumps(summary),
                "finished_at": timestamp(),
            },
        )

    def fail(self, analysis: Analysis, *, code: str, detail: str) -> bool:
        return self._update_running(analysis, {"state": "failed", "code": code, "detail": detail, "finished_at": timestamp()})

    def release(self, analysis: Analysis) -> bool:
        """Gives the analysis back to the queue, unfinished."""
        return self._update_running(analysis, {"state": "queued", "stage": "queued", "progress": 0.0, "lease_until": 0.0})

    def abandon(self, analysis_id: str, *, code: str, detail: str) -> bool:
        """Ends a queued analysis that no worker will ever hear of."""
        return self._try_update(
            f"analysis#{analysis_id}",
            {"state": "failed", "code": code, "detail": detail, "finished_at": timestamp()},
            condition="#state = :queued",
            values={":queued": "queued"},
        )

    def cancel(self, analysis_id: str) -> bool:
        """Queued or running becomes cancelled; False when it had ended. A running attempt notices at its next heartbeat."""
        return self._try_update(
            f"analysis#{analysis_id}",
            {"state": "cancelled", "finished_at": timestamp()},
            condition="#state IN (:queued, :running)",
            values={":queued": "queued", ":running": "running"},
        )

    def _update_running(self, analysis: Analysis, changes: Mapping[str, Any]) -> bool:
        return self._try_update(
            f"analysis#{analysis.analysis_id}",
            changes,
            condition="#state = :running AND attempt = :attempt",
            values={":running": "running", ":attempt": analysis.attempt},
        )

    def _try_update(self, pk: str, changes: Mapping[str, Any], *, condition: str, values: Mapping[str, Any]) -> bool:
        try:
            self._update(pk, changes, condition=condition, values=values)
        except ClientError as error:
            if _is_conflict(error):
                return False
            raise
        return True

    def _update(self, pk: str, changes: Mapping[str, Any], *, condition: str, values: Mapping[str, Any]) -> None:
        """Sets the attributes; None removes one."""
        names = {f"#{name}": name for name in {*changes, *(["state"] if "#state" in condition else [])}}
        kept = [name for name, value in changes.items() if value is not None]
        removed = [name for name, value in changes.items() if value is None]
        expression = "SET " + ", ".join(f"#{name} = :{name}_" for name in kept)
        if removed:
            expression += " REMOVE " + ", ".join(f"#{name}" for name in removed)
        arguments = {f":{name}_": _value(changes[name]) for name in kept} | {
            name: _value(value) for name, value in values.items()
        }
        self._dynamodb.update_item(
            TableName=self._table,
            Key={"pk": {"S": pk}},
            UpdateExpression=expression,
            ConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=arguments,
        )

    def _get(self, pk: str) -> dict[str, Any] | None:
        return self._dynamodb.get_item(TableName=self._table, Key={"pk": {"S": pk}}, ConsistentRead=True).get("Item")

    def _get_many(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        records: dict[str, dict[str, Any]] = {}
        pending: list[Any] = [{"pk": {"S": key}} for key in keys]
        while pending:
            answer: Any = self._dynamodb.batch_get_item(RequestItems={self._table: {"Keys": pending, "ConsistentRead": True}})
            records |= {item["pk"]["S"]: item for item in answer["Responses"].get(self._table, [])}
            pending = answer["UnprocessedKeys"].get(self._table, {}).get("Keys", [])
        return records


def _visibility_lists(visibility: Visibility) -> list[str]:
    if isinstance(visibility, list):
        return [f"named#{principal}" for principal in visibility]
    return ["shared"] if visibility == "shared" else []


def _listing_row(name: str, analysis: Analysis) -> dict[str, Any]:
    return {
        "pk": {"S": f"listing#{name}#{analysis.analysis_id}"},
        "listing_key": {"S": name},
        "created_at": {"S": analysis.created_at},
        "analysis_id": {"S": analysis.analysis_id},
    }


def _is_conflict(error: ClientError) -> bool:
    return error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException"


def _value(value: Any) -> Any:
    return {"N": repr(value)} if isinstance(value, float) else _serialize(value)


def _item(pk: str, record: Upload | Analysis) -> dict[str, Any]:
    item = {"pk": _value(pk)}
    for field in fields(record):
        value = getattr(record, field.name)
        if value is not None:
            item[field.name] = _value(json.dumps(value) if field.name in _DOCUMENTS else value)
    return item


def _record(kind: type[_Record], item: Mapping[str, Any]) -> _Record:
    values: dict[str, Any] = {}
    for field in fields(kind):
        if field.name in item:
            value = _deserialize(item[field.name])
            if field.name in _DOCUMENTS:
                value = json.loads(value)
            elif isinstance(value, Decimal):
                value = int(value) if field.type is int or field.type == int | None else float(value)
            values[field.name] = value
    return kind(**values)
