"""Uploads in the jobs table: the rows ``upload#<id>`` and those of their lists (listing), which expire together.

A check is begun, and then ends in a verdict or is given back. What a check began is counted, so that a data set that kills
every worker that looks at it is not looked at for ever.
"""

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from heartmap_service import listing
from heartmap_service.idempotency import Idempotency
from heartmap_service.listing import Entry
from heartmap_service.quotas import Quotas, charge_bytes
from heartmap_service.records import Upload, Visibility, from_item, to_item, to_value
from heartmap_service.table import Table, is_conflict
from heartmap_service.transactions import ConditionNotMet, Step, commit

UPLOAD_RETENTION = 30 * 24 * 3600
"""Seconds after which an upload goes: its record, and by the bucket's lifecycle its object."""
KIND = "uploads#"
"""What the names of the lists of uploads begin with."""


class ChecksSpent(Exception):  # what it is, not an error of ours
    """The upload was checked as often as it may be, and no check came to an end."""


class UploadStore(Table):
    def add(self, upload: Upload, *, quotas: Quotas | None = None, idempotency: Idempotency | None = None) -> Upload:
        """Writes a new upload, in one transaction with what it costs its owner and what remembers the call; as it is kept.

        The upload costs its ``max_bytes``. Raises QuotaExceeded, and AlreadyMade when another call with the key was first.
        """
        now = time.time()
        upload = replace(upload, expires_at=int(now) + UPLOAD_RETENTION)
        record = {
            "TableName": self._table,
            "Item": to_item(_key(upload.upload_id), upload),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        steps = [Step({"Put": record}), *listing.everywhere(self._table, _entry(upload), upload.owner, upload.visibility)]
        if idempotency is not None:
            steps.append(idempotency.item(self._table, upload.upload_id))
        if quotas is not None:
            steps += charge_bytes(self._table, upload.owner, upload.max_bytes, quotas, now)
        commit(self._dynamodb, steps)
        return upload

    def made(self, idempotency: Idempotency | None) -> Upload | None:
        """The upload that an earlier call with this key made. Raises Problem 422 when that call asked for something else."""
        made_id = idempotency.made(self._dynamodb, self._table) if idempotency else None
        return self.find(made_id) if made_id else None

    def find(self, upload_id: str) -> Upload | None:
        """None also for one that has expired: DynamoDB deletes those some time later."""
        item = self._get(_key(upload_id))
        return None if item is None else _alive(from_item(Upload, item))

    def page(self, lists: Sequence[str], *, limit: int, before: str | None) -> tuple[list[Upload], str | None]:
        """The newest uploads of the lists, and after which sort key the next page begins."""
        page = listing.page(self._dynamodb, self._table, [KIND + name for name in lists], limit=limit, before=before)
        records = self._get_many([_key(upload_id) for upload_id in page.ids])
        found = (from_item(Upload, records[_key(upload_id)]) for upload_id in page.ids if _key(upload_id) in records)
        return [upload for upload in found if _alive(upload)], page.next

    def set_visibility(self, upload: Upload, visibility: Visibility) -> bool:
        """False when it has changed since ``upload`` was read."""
        update = {
            "TableName": self._table,
            "Key": {"pk": {"S": _key(upload.upload_id)}},
            "UpdateExpression": "SET visibility = :new",
            "ConditionExpression": "visibility = :old",
            "ExpressionAttributeValues": {
                ":new": to_value(json.dumps(visibility)),
                ":old": to_value(json.dumps(upload.visibility)),
            },
        }
        try:
            commit(
                self._dynamodb,
                [Step({"Update": update}), *listing.moves(self._table, _entry(upload), upload.visibility, visibility)],
            )
        except ConditionNotMet:
            return False
        return True

    def begin_check(self, upload_id: str, *, most: int) -> Upload | None:
        """Counts a check, and shows that it goes on. None when the upload is gone; raises ChecksSpent after ``most``."""
        try:
            answer = self._dynamodb.update_item(
                TableName=self._table,
                Key={"pk": {"S": _key(upload_id)}},
                # What an earlier check found is of another object: this one may have been posted since.
                UpdateExpression="SET #state = :checking ADD checks :one REMOVE dataset, code, detail",
                ConditionExpression="attribute_exists(pk) AND (attribute_not_exists(checks) OR checks < :most)",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={":checking": {"S": "checking"}, ":one": {"N": "1"}, ":most": {"N": str(most)}},
                ReturnValues="ALL_NEW",
            )
        except ClientError as error:
            if not is_conflict(error):
                raise
            if self.find(upload_id) is None:
                return None
            raise ChecksSpent from None
        return from_item(Upload, answer["Attributes"])

    def accept(self, upload_id: str, dataset: dict[str, Any]) -> None:
        """The newest check decides: the object may have been posted again. Nothing happens when the record is gone."""
        self._decide(upload_id, {"state": "accepted", "dataset": json.dumps(dataset), "code": None, "detail": None})

    def reject(self, upload_id: str, code: str, detail: str) -> None:
        """As ``accept``."""
        self._decide(upload_id, {"state": "rejected", "dataset": None, "code": code, "detail": detail})

    def give_back(self, upload_id: str) -> None:
        """Ends a check that came to nothing, through no fault of the upload, and does not count it."""
        with contextlib.suppress(self._dynamodb.exceptions.ConditionalCheckFailedException):
            self._dynamodb.update_item(
                TableName=self._table,
                Key={"pk": {"S": _key(upload_id)}},
                UpdateExpression="SET #state = :pending, checks = checks - :one",
                # Another check may have come to a verdict meanwhile.
                ConditionExpression="#state = :checking AND checks >= :one",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={
                    ":pending": {"S": "pending"},
                    ":checking": {"S": "checking"},
                    ":one": {"N": "1"},
                },
            )

    def _decide(self, upload_id: str, changes: dict[str, Any]) -> None:
        self._try_update(_key(upload_id), {**changes, "checks": 0}, condition="attribute_exists(pk)", values={})


def _key(upload_id: str) -> str:
    return f"upload#{upload_id}"


def _entry(upload: Upload) -> Entry:
    return Entry(KIND, upload.upload_id, upload.created_at, upload.expires_at)


def _alive(upload: Upload) -> Upload | None:
    return None if upload.expires_at is not None and upload.expires_at <= time.time() else upload
