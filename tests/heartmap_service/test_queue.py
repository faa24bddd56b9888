import json
from typing import Any

import pytest

from heartmap_service.queue import CheckUploads, CopyUpload, Malformed, Nothing, RejectUpload, RunAnalysis, parse

ULID = "01JD0000000000000000000000"


def event(key: str, name: str = "ObjectCreated:Post") -> dict[str, Any]:
    return {"Records": [{"eventName": name, "s3": {"bucket": {"name": "b"}, "object": {"key": key, "size": 1}}}]}


def scanned(
    result: str | None, status: str = "COMPLETED", key: str = f"uploads/{ULID}", kind: str | None = None
) -> dict[str, Any]:
    """As EventBridge passes GuardDuty's result on."""
    return {
        "version": "0",
        "detail-type": kind or "GuardDuty Malware Protection Object Scan Result",
        "source": "aws.guardduty",
        "detail": {
            "schemaVersion": "1.0",
            "scanStatus": status,
            "resourceType": "S3_OBJECT",
            "s3ObjectDetails": {"bucketName": "b", "objectKey": key, "eTag": "e", "versionId": "v", "s3Throttled": False},
            "scanResultDetails": {"scanResultStatus": result, "threats": None},
        },
    }


@pytest.mark.parametrize(
    ("document", "work"),
    [
        (scanned("NO_THREATS_FOUND"), CheckUploads((ULID,))),
        (scanned("THREATS_FOUND"), RejectUpload(ULID, "THREATS_FOUND")),
        (scanned("UNSUPPORTED", "SKIPPED"), RejectUpload(ULID, "UNSUPPORTED")),
        (scanned("NO_THREATS_FOUND", "FAILED"), RejectUpload(ULID, "NO_THREATS_FOUND")),
        (scanned("A_WORD_OF_TOMORROW"), RejectUpload(ULID, "A_WORD_OF_TOMORROW")),
        (scanned(None, "SKIPPED"), RejectUpload(ULID, "SKIPPED")),
        (scanned("NO_THREATS_FOUND", key="uploads/../jobs"), Nothing()),
        (scanned("NO_THREATS_FOUND", kind="GuardDuty Finding"), Malformed()),
        ({**scanned("NO_THREATS_FOUND"), "detail": {}}, Malformed()),
        ({"analysis_id": ULID, "request_id": "r"}, RunAnalysis(ULID, "r")),
        ({"analysis_id": ULID}, RunAnalysis(ULID, "")),
        ({"copy_upload_id": ULID}, CopyUpload(ULID)),
        ({"copy_upload_id": "../../etc"}, Malformed()),
        ({"copy_upload_id": None}, Malformed()),
        (event(f"uploads/{ULID}"), CheckUploads((ULID,))),
        (event(f"uploads%2F{ULID}", "ObjectCreated:CompleteMultipartUpload"), CheckUploads((ULID,))),
        (event(f"uploads/{ULID}", "ObjectRemoved:Delete"), Nothing()),
        (event("uploads/../jobs"), Nothing()),
        (event(f"other/{ULID}"), Nothing()),
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}, Nothing()),
        ({"analysis_id": "../../etc"}, Malformed()),
        ({"analysis_id": 1}, Malformed()),
        ({"Records": [{}]}, Malformed()),
        ({"Records": None}, Malformed()),
        ({}, Malformed()),
        ([], Malformed()),
        (1, Malformed()),
    ],
    ids=str,
)
def test_a_message_is_what_it_says_or_malformed(document: Any, work: Any) -> None:
    assert parse(json.dumps(document)) == work


@pytest.mark.parametrize("body", ["", "{", "[" * 100_000, "hello"])
def test_what_is_no_json_is_malformed(body: str) -> None:
    assert parse(body) == Malformed()
