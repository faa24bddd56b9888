import hashlib
from pathlib import Path
from typing import Any

import pytest

from heartmap_service import storage
from heartmap_service.clients import Clients
from heartmap_service.storage import DownloadStopped, ObjectTooLarge, Part, Uploads


@pytest.fixture
def uploads(aws: dict[str, Any], clients: Clients) -> Uploads:
    return Uploads(clients.s3, "uploads")


def test_a_download_says_what_it_wrote(
    uploads: Uploads, clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "CHUNK", 1000)
    body = bytes(range(256)) * 10
    clients.s3.put_object(Bucket="uploads", Key="uploads/u", Body=body)
    written = uploads.download("u", tmp_path / "x", most=len(body), wanted=lambda: True)
    assert written == (len(body), hashlib.sha256(body).hexdigest())
    assert (tmp_path / "x").read_bytes() == body
    assert uploads.download("v", tmp_path / "y", most=1, wanted=lambda: True) is None
    with pytest.raises(ObjectTooLarge):
        uploads.download("u", tmp_path / "z", most=len(body) - 1, wanted=lambda: True)
    with pytest.raises(DownloadStopped):
        uploads.download("u", tmp_path / "z", most=len(body), wanted=lambda: False)


def test_of_two_calls_that_complete_at_once_the_second_does_nothing(uploads: Uploads, clients: Clients) -> None:
    multipart_id = uploads.start_multipart("u", request_id="r")
    etag = clients.s3.upload_part(Bucket="uploads", Key="uploads/u", UploadId=multipart_id, PartNumber=1, Body=b"abc")["ETag"]
    for _ in range(2):
        uploads.complete_multipart("u", multipart_id, [Part(1, etag, 3)])
    assert uploads.size("u") == 3
    # What is over cannot be given up, and nobody is told.
    uploads.abort_multipart("u", multipart_id)
    assert uploads.size("u") == 3
