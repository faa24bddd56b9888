"""Uploads in the jobs table: the rows ``upload#<id>``, which expire."""

import time

from heartmap_service.records import Upload, UploadState, from_item, to_item, to_value
from heartmap_service.table import Table

UPLOAD_RETENTION = 30 * 24 * 3600
"""Seconds after which the record of an upload goes."""


class UploadStore(Table):
    def add(self, upload: Upload) -> None:
        item = to_item(f"upload#{upload.upload_id}", upload)
        item["expires_at"] = to_value(int(time.time()) + UPLOAD_RETENTION)
        self._dynamodb.put_item(TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(pk)")

    def find(self, upload_id: str) -> Upload | None:
        item = self._get(f"upload#{upload_id}")
        return None if item is None else from_item(Upload, item)

    def set_state(self, upload_id: str, state: UploadState, *, code: str | None = None, detail: str | None = None) -> None:
        """The newest check decides: the object may have been posted again. Nothing happens when the record is gone."""
        self._try_update(
            f"upload#{upload_id}", {"state": state, "code": code, "detail": detail}, condition="attribute_exists(pk)", values={}
        )
