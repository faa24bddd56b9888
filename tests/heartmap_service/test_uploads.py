import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from heartmap_service import uploads
from heartmap_service.clients import Clients, connect
from heartmap_service.storage import URL_SECONDS, Uploads


def policy_of(new: dict[str, Any]) -> dict[str, Any]:
    return json.loads(base64.b64decode(new["fields"]["policy"]))


def test_an_upload_is_one_post_of_exactly_the_declared_size(analyst: Any) -> None:
    answer = analyst.call("POST", "/uploads", json={"name": "heart.h5ad", "bytes": 1234})
    assert answer.status_code == 201
    new = answer.json()
    policy = policy_of(new)
    key = f"uploads/{new['upload_id']}"
    assert ["content-length-range", 1234, 1234] in policy["conditions"]
    assert {"key": key} in policy["conditions"]
    assert {"bucket": "uploads"} in policy["conditions"]
    assert {"x-amz-meta-request-id": "request-1"} in policy["conditions"]
    assert new["fields"]["key"] == key
    assert new["max_bytes"] == 1234
    ends = datetime.fromisoformat(policy["expiration"])
    assert 0 < (ends - datetime.now(UTC)).total_seconds() <= URL_SECONDS
    assert new["expires_at"].endswith("Z")


def test_the_post_goes_to_the_regions_own_address(analyst: Any, worker_settings: Any, clients: Clients) -> None:
    assert analyst.call("POST", "/uploads", json={}).json()["url"] == "https://uploads.s3.eu-west-1.amazonaws.com/"
    for region in ("us-east-1", "eu-central-1"):
        s3 = connect(worker_settings.model_copy(update={"region": region})).s3
        post = Uploads(s3, "bucket").presigned_post("x", least=1, most=2, request_id="r")
        assert post.url == f"https://bucket.s3.{region}.amazonaws.com/"


def test_an_emulator_is_addressed_by_path(worker_settings: Any, aws: Any) -> None:
    s3 = connect(worker_settings.model_copy(update={"aws_endpoint_url": "http://127.0.0.1:4999"})).s3
    assert Uploads(s3, "bucket").presigned_post("x", least=1, most=2, request_id="r").url == "http://127.0.0.1:4999/bucket"


def test_without_a_size_the_environments_largest_holds(analyst: Any, api_settings: Any) -> None:
    for arguments in ({}, {"json": {}}, {"json": {"name": "x"}}):
        new = analyst.call("POST", "/uploads", **arguments).json()
        assert ["content-length-range", 1, api_settings.max_upload_bytes] in policy_of(new)["conditions"]


@pytest.mark.parametrize(
    "body", [{"bytes": 0}, {"bytes": -1}, {"bytes": "12"}, {"bytes": 1.5}, {"name": ""}, {"name": "a\x00b"}, {"name": "x" * 256}]
)
def test_a_size_or_name_that_is_none_is_refused(analyst: Any, body: dict[str, Any]) -> None:
    assert analyst.call("POST", "/uploads", json=body).status_code == 422


def test_more_than_the_environment_takes_is_refused_with_the_figure(analyst: Any, api_settings: Any) -> None:
    answer = analyst.call("POST", "/uploads", json={"bytes": api_settings.max_upload_bytes + 1})
    assert answer.json()["code"] == "upload_too_large"
    assert f"{api_settings.max_upload_bytes:,}" in answer.json()["detail"]


def test_an_upload_is_shown_to_its_owner_and_administrators_only(
    analyst: Any, other_analyst: Any, admin: Any, program: Callable[..., Any]
) -> None:
    upload_id = analyst.call("POST", "/uploads", json={}).json()["upload_id"]
    path = f"/uploads/{upload_id}"
    pending = {"upload_id": upload_id, "state": "pending", "code": None, "detail": None}
    assert analyst.call("GET", path).json() == pending
    assert admin.call("GET", path).json() == pending
    for stranger in (other_analyst, program("uploads:read")):
        answer = stranger.call("GET", path)
        assert (answer.status_code, answer.json()["code"]) == (404, "no_such_upload")
    unknown = analyst.call("GET", "/uploads/01JD0000000000000000000000").json()
    assert unknown["detail"] == other_analyst.call("GET", path).json()["detail"]


def test_the_correlation_id_travels_into_the_objects_metadata(upload: Callable[..., str], clients: Clients) -> None:
    upload_id = upload(b"x" * 100)
    head = clients.s3.head_object(Bucket="uploads", Key=f"uploads/{upload_id}")
    assert head["Metadata"]["request-id"] == "request-1"


@pytest.fixture
def in_parts(analyst: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An upload of 12 MiB in parts of 5 MiB, S3's least."""
    monkeypatch.setattr(uploads, "ONE_POST", 1024)
    monkeypatch.setattr(uploads, "PART_BYTES", 5 * 1024 * 1024)
    answer = analyst.call("POST", "/uploads", json={"bytes": 12 * 1024 * 1024})
    assert answer.status_code == 201
    return answer.json()


def send_parts(person: Any, upload_id: str, sizes: dict[int, int]) -> list[dict[str, Any]]:
    urls = person.call("POST", f"/uploads/{upload_id}/parts", json={"numbers": list(sizes)}).json()["parts"]
    return [
        {
            "number": part["number"],
            "etag": requests.put(part["url"], data=bytes(sizes[part["number"]]), timeout=10).headers["ETag"],
        }
        for part in urls
    ]


SIZES = {1: 5 * 1024 * 1024, 2: 5 * 1024 * 1024, 3: 2 * 1024 * 1024}


def test_64_megabytes_go_in_one_post_and_more_in_parts(analyst: Any) -> None:
    most = 64 * 1024 * 1024
    assert "url" in analyst.call("POST", "/uploads", json={"bytes": most}).json()
    new = analyst.call("POST", "/uploads", json={"bytes": most + 1}).json()
    assert set(new) == {"upload_id", "part_bytes", "parts", "expires_at"}
    assert new["parts"] == 5
    assert new["part_bytes"] * 4 <= most < new["part_bytes"] * 5


def test_an_upload_in_parts_can_be_resumed_and_completed_twice(analyst: Any, in_parts: dict[str, Any], clients: Clients) -> None:
    upload_id = in_parts["upload_id"]
    assert (in_parts["parts"], in_parts["part_bytes"]) == (3, 5 * 1024 * 1024)
    sent = send_parts(analyst, upload_id, {1: SIZES[1]})
    early = analyst.call("POST", f"/uploads/{upload_id}/complete", json={"parts": sent})
    assert (early.status_code, early.json()["code"]) == (409, "parts_incomplete")
    assert "2, 3" in early.json()["detail"]
    sent += send_parts(analyst, upload_id, {2: SIZES[2], 3: SIZES[3]})
    for _ in range(2):
        done = analyst.call("POST", f"/uploads/{upload_id}/complete", json={"parts": sent})
        assert (done.status_code, done.json()["state"]) == (200, "pending")
    head = clients.s3.head_object(Bucket="uploads", Key=f"uploads/{upload_id}")
    assert head["ContentLength"] == 12 * 1024 * 1024
    after = analyst.call("POST", f"/uploads/{upload_id}/parts", json={"numbers": [1]})
    assert (after.status_code, after.json()["code"]) == (409, "upload_complete")


def test_a_part_of_another_size_does_not_complete(analyst: Any, in_parts: dict[str, Any]) -> None:
    sent = send_parts(analyst, in_parts["upload_id"], {**SIZES, 3: 6 * 1024 * 1024})
    answer = analyst.call("POST", f"/uploads/{in_parts['upload_id']}/complete", json={"parts": sent})
    assert (answer.status_code, answer.json()["code"]) == (409, "parts_incomplete")
    assert answer.json()["detail"].endswith(": 3.")


def test_an_etag_that_is_not_the_parts_own_does_not_complete(analyst: Any, in_parts: dict[str, Any]) -> None:
    sent = send_parts(analyst, in_parts["upload_id"], SIZES)
    sent[1]["etag"] = sent[2]["etag"]
    answer = analyst.call("POST", f"/uploads/{in_parts['upload_id']}/complete", json={"parts": sent})
    assert answer.json()["code"] == "parts_incomplete"


def test_parts_are_for_uploads_in_parts_and_their_owner(analyst: Any, other_analyst: Any, in_parts: dict[str, Any]) -> None:
    path = f"/uploads/{in_parts['upload_id']}/parts"
    assert analyst.call("POST", path, json={"numbers": [4]}).json()["code"] == "no_such_part"
    assert analyst.call("POST", path, json={"numbers": []}).status_code == 422
    assert other_analyst.call("POST", path, json={"numbers": [1]}).status_code == 404
    simple = analyst.call("POST", "/uploads", json={}).json()["upload_id"]
    answer = analyst.call("POST", f"/uploads/{simple}/parts", json={"numbers": [1]})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_in_parts")
