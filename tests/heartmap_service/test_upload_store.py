from typing import Any

import pytest

from heartmap_service.clients import Clients
from heartmap_service.records import Upload
from heartmap_service.upload_store import UploadStore


@pytest.fixture
def uploads(aws: dict[str, Any], clients: Clients) -> UploadStore:
    return UploadStore(clients.dynamodb, "jobs")


def test_what_is_written_is_read_back(uploads: UploadStore) -> None:
    upload = Upload(upload_id="u", owner="o", state="pending", created_at="t", request_id="r", max_bytes=5, bytes=4, parts=2)
    uploads.add(upload)
    assert uploads.find("u") == upload
    assert uploads.find("other") is None


def test_a_state_of_an_upload_that_is_gone_changes_nothing(uploads: UploadStore, clients: Clients) -> None:
    uploads.set_state("gone", "accepted")
    assert uploads.find("gone") is None
    assert clients.dynamodb.scan(TableName="jobs")["Items"] == []
