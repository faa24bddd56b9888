import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from heartmap_service import upload_store, uploads
from heartmap_service.clients import Clients, connect
from heartmap_service.storage import URL_SECONDS, Uploads
from heartmap_service.upload_store import UploadStore
from infra import data


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


def test_a_private_upload_is_its_owners_and_the_administrators(
    analyst: Any, other_analyst: Any, admin: Any, program: Callable[..., Any]
) -> None:
    upload_id = analyst.call("POST", "/uploads", json={"name": "heart.h5ad"}).json()["upload_id"]
    path = f"/uploads/{upload_id}"
    pending = analyst.call("GET", path).json()
    ends = datetime.fromisoformat(pending.pop("expires_at")) - datetime.fromisoformat(pending.pop("created_at"))
    assert ends.total_seconds() == pytest.approx(30 * 24 * 3600, abs=2)
    assert pending == {
        "upload_id": upload_id,
        "state": "pending",
        "code": None,
        "detail": None,
        "name": "heart.h5ad",
        "bytes": None,
        "owner": "anna",
        "visibility": "private",
    }
    assert admin.call("GET", path).json() == analyst.call("GET", path).json()
    for stranger in (other_analyst, program("uploads:read")):
        answer = stranger.call("GET", path)
        assert (answer.status_code, answer.json()["code"]) == (404, "no_such_upload")
    unknown = analyst.call("GET", "/uploads/01JD0000000000000000000000").json()
    assert unknown["detail"] == other_analyst.call("GET", path).json()["detail"]


def test_uploads_expire_together_with_their_objects() -> None:
    assert data.UPLOADS_KEPT_DAYS * 24 * 3600 == upload_store.UPLOAD_RETENTION


def test_what_has_expired_is_gone_before_it_is_deleted(analyst: Any, upload: Callable[..., str], clients: Clients) -> None:
    upload_id = upload(b"x")
    clients.dynamodb.update_item(
        TableName="jobs",
        Key={"pk": {"S": f"upload#{upload_id}"}},
        UpdateExpression="SET expires_at = :past",
        ExpressionAttributeValues={":past": {"N": "1"}},
    )
    assert analyst.call("GET", f"/uploads/{upload_id}").status_code == 404
    assert analyst.call("GET", "/uploads").json() == {"uploads": []}


FACTS = {"cells": 3000, "genes": 2000, "matrix": "X", "var": "var", "counts": True, "legacy": False, "values": 600_000}
FACTS |= {"sparse": True, "declared_bytes": 7_000_000}


def test_an_accepted_upload_shows_its_facts_and_what_analysing_it_takes(
    analyst: Any, upload: Callable[..., str], clients: Clients
) -> None:
    upload_id = upload(b"x")
    store = UploadStore(clients.dynamodb, "jobs")
    store.accept(upload_id, FACTS)
    shown = analyst.call("GET", f"/uploads/{upload_id}").json()
    assert shown["dataset"] == {name: value for name, value in FACTS.items() if name not in ("matrix", "var", "legacy")}
    assert set(shown["estimates"]) == {"basic", "advanced_communication", "multi_chamber", "comprehensive"}
    assert set(shown["estimates"]["basic"]) == {"memory_bytes", "seconds", "usd"}
    store.begin_check(upload_id, most=3)
    assert "dataset" not in analyst.call("GET", f"/uploads/{upload_id}").json()


def test_the_owner_changes_who_sees_an_upload_and_nobody_else_goes_on_with_it(
    analyst: Any, other_analyst: Any, admin: Any, in_parts: dict[str, Any]
) -> None:
    path = f"/uploads/{in_parts['upload_id']}"
    for visibility, sees in (("shared", True), ("private", False), (["omar", "omar"], True), ([], False), (["omar"], True)):
        answer = analyst.call("PATCH", path, json={"visibility": visibility})
        assert answer.status_code == 200, answer.text
        listed = [upload["upload_id"] for upload in other_analyst.call("GET", "/uploads").json()["uploads"]]
        assert listed == ([in_parts["upload_id"]] if sees else [])
        assert (other_analyst.call("GET", path).status_code == 200) is sees
    shown = other_analyst.call("GET", path).json()
    assert (shown["visibility"], shown["owner"]) == (["omar"], "anna")
    assert {"parts", "parts_received", "part_bytes"}.isdisjoint(shown)
    for call, body in (
        ("parts", {"numbers": [1]}),
        ("complete", {"parts": [{"number": 1, "etag": "x"}]}),
    ):
        answer = other_analyst.call("POST", f"{path}/{call}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_the_owner")
    for person in (other_analyst, admin):
        answer = person.call("PATCH", path, json={"visibility": "shared"})
        assert (answer.status_code, answer.json()["code"]) == (403, "not_the_owner")
    assert admin.call("POST", f"{path}/parts", json={"numbers": [1]}).status_code == 200


def test_a_change_of_an_upload_is_made_to_what_the_caller_has_seen(analyst: Any, upload: Callable[..., str]) -> None:
    path = f"/uploads/{upload(b'x')}"
    seen = analyst.call("GET", path).headers["etag"]
    changed = analyst.call("PATCH", path, json={"visibility": "shared"}, headers={"If-Match": seen})
    assert (changed.status_code, changed.headers["etag"]) == (200, analyst.call("GET", path).headers["etag"])
    answer = analyst.call("PATCH", path, json={"visibility": "private"}, headers={"If-Match": seen})
    assert (answer.status_code, answer.json()["code"]) == (412, "upload_changed")


def test_a_change_of_visibility_that_came_too_late_is_refused(analyst: Any, upload: Callable[..., str], clients: Clients) -> None:
    store = UploadStore(clients.dynamodb, "jobs")
    stale = store.find(upload(b"x"))
    assert stale is not None
    assert analyst.call("PATCH", f"/uploads/{stale.upload_id}", json={"visibility": ["omar"]}).status_code == 200
    assert store.set_visibility(stale, "shared") is False


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
    assert analyst.call("GET", f"/uploads/{upload_id}").json()["parts_received"] == [1]
    early = analyst.call("POST", f"/uploads/{upload_id}/complete", json={"parts": sent})
    assert (early.status_code, early.json()["code"]) == (409, "parts_incomplete")
    assert "2, 3" in early.json()["detail"]
    sent += send_parts(analyst, upload_id, {2: SIZES[2], 3: SIZES[3]})
    for _ in range(2):
        done = analyst.call("POST", f"/uploads/{upload_id}/complete", json={"parts": sent})
        assert (done.status_code, done.json()["state"]) == (200, "pending")
    assert "parts_received" not in analyst.call("GET", f"/uploads/{upload_id}").json()
    head = clients.s3.head_object(Bucket="uploads", Key=f"uploads/{upload_id}")
    assert head["ContentLength"] == 12 * 1024 * 1024
    after = analyst.call("POST", f"/uploads/{upload_id}/parts", json={"numbers": [1]})
    assert (after.status_code, after.json()["code"]) == (409, "upload_complete")


def test_a_part_of_another_size_does_not_complete(analyst: Any, in_parts: dict[str, Any]) -> None:
    sent = send_parts(analyst, in_parts["upload_id"], {**SIZES, 3: 6 * 1024 * 1024})
    answer = analyst.call("POST", f"/uploads/{in_parts['upload_id']}/complete", json={"parts": sent})
    assert (answer.status_code, answer.json()["code"]) == (409, "parts_incomplete")
    assert answer.json()["detail"].endswith(": 3.")
    shown = analyst.call("GET", f"/uploads/{in_parts['upload_id']}").json()
    assert (shown["parts_received"], shown["parts"], shown["part_bytes"]) == ([1, 2], 3, 5 * 1024 * 1024)


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
