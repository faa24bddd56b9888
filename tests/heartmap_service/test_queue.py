import json
from typing import Any

import pytest

from heartmap_service.queue import CheckUploads, Malformed, Nothing, RunAnalysis, parse

ULID = "01JD0000000000000000000000"


def event(key: str, name: str = "ObjectCreated:Post") -> dict[str, Any]:
    return {"Records": [{"eventName": name, "s3": {"bucket": {"name": "b"}, "object": {"key": key, "size": 1}}}]}


@pytest.mark.parametrize(
    ("document", "work"),
    [
        ({"analysis_id": ULID, "request_id": "r"}, RunAnalysis(ULID, "r")),
        ({"analysis_id": ULID}, RunAnalysis(ULID, "")),
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
