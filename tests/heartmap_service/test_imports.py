"""Data sets that are already in S3."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from starlette.testclient import TestClient

from heartmap_service.api import create_app
from heartmap_service.clients import Clients
from heartmap_service.storage import ObjectTooLarge, Uploads, parse_source
from tests.heartmap_service.conftest import HOST, REGION, Person

SOURCE = "s3://atlas/hearts/2026 heart ü.h5ad"


@pytest.fixture
def person(api_settings: Any, clients: Clients) -> Callable[[str], Person]:
    """Callers of an API that takes objects of two buckets, and, by mistake, of its own."""
    settings = api_settings.model_copy(update={"import_buckets": frozenset({"atlas", "lab", "uploads", "results"})})
    http = TestClient(create_app(settings, clients), base_url=f"https://{HOST}", raise_server_exceptions=False)
    return lambda name: Person(http, name, ("analyst",))


@pytest.fixture
def atlas(aws: dict[str, Any], clients: Clients) -> bytes:
    body = b"x" * 1000
    clients.s3.create_bucket(Bucket="atlas", CreateBucketConfiguration={"LocationConstraint": REGION})
    clients.s3.put_object(
        Bucket="atlas", Key=parse_source(SOURCE).key, Body=body, Tagging="GuardDutyMalwareScanStatus=NO_THREATS_FOUND"
    )
    return body


def copies(clients: Clients, aws: dict[str, Any]) -> list[str]:
    answer = clients.sqs.receive_message(QueueUrl=aws["queue_url"], MaxNumberOfMessages=10, VisibilityTimeout=0)
    bodies = [json.loads(message.get("Body", "")) for message in answer.get("Messages", [])]
    return [body["copy_upload_id"] for body in bodies if "copy_upload_id" in body]


def test_an_object_of_an_allowed_bucket_is_asked_for(person: Any, clients: Clients, aws: dict[str, Any]) -> None:
    answer = person("anna").call("POST", "/uploads", json={"source": SOURCE, "visibility": ["omar"], "bytes": 5000})
    assert answer.status_code == 201
    new = answer.json()
    assert (set(new), new["state"]) == ({"upload_id", "state", "expires_at"}, "pending")
    assert copies(clients, aws) == [new["upload_id"]]
    path = f"/uploads/{new['upload_id']}"
    assert person("anna").call("GET", path).json()["source"] == SOURCE
    assert "source" not in person("omar").call("GET", path).json()
    assert person("vera").call("GET", path).status_code == 404
    answer = person("anna").call("POST", f"{path}/parts", json={"numbers": [1]})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_in_parts")
    answer = person("anna").call("POST", "/analyses", json={"upload_id": new["upload_id"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_incomplete")


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("s3://secrets/heart.h5ad", "source_not_allowed"),
        # Other people's data sets are in these.
        ("s3://uploads/uploads/01JD0000000000000000000000", "source_not_allowed"),
        ("s3://results/results/01JD0000000000000000000000/1/x.h5ad", "source_not_allowed"),
        ("s3://atlas", "invalid_source"),
        ("s3://atlas/", "invalid_source"),
        ("s3://Atlas/x", "invalid_source"),
        ("s3:///x", "invalid_source"),
        ("https://atlas.s3.amazonaws.com/x", "invalid_source"),
        ("arn:aws:s3:eu-west-1:1:accesspoint/atlas/x", "invalid_source"),
        ("s3://atlas/a\nb", "invalid_source"),
        ("s3://atlas/a\u202eb", "invalid_source"),
        ("s3://atlas/" + "x" * 1025, "invalid_source"),
        ("s3://atlas/" + "ü" * 513, "invalid_source"),
        (" s3://atlas/x", "invalid_source"),
        ("", "invalid_request"),
        (5, "invalid_request"),
    ],
)
def test_any_other_source_is_refused(person: Any, clients: Clients, aws: dict[str, Any], source: Any, code: str) -> None:
    answer = person("anna").call("POST", "/uploads", json={"source": source})
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert person("anna").call("GET", "/uploads").json() == {"uploads": []}
    assert copies(clients, aws) == []


def test_keys_are_taken_as_they_are() -> None:
    for key in ("x" * 1024, "../../etc/passwd", "a//b", "%2e%2e", "a?versionId=3", "s3://other/x", " "):
        assert parse_source(f"s3://atlas/{key}") == ("atlas", key)


def test_where_no_bucket_is_allowed_there_is_none_to_name(analyst: Any) -> None:
    answer = analyst.call("POST", "/uploads", json={"source": SOURCE})
    assert answer.json()["code"] == "source_not_allowed"
    assert "There is none here" in answer.json()["detail"]


def test_a_copy_that_the_queue_did_not_take_is_asked_for_again(
    person: Any, clients: Clients, aws: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise EndpointConnectionError(endpoint_url="http://queue")

    call = {"json": {"source": SOURCE}, "headers": {"Idempotency-Key": "1"}}
    with monkeypatch.context() as broken:
        broken.setattr("heartmap_service.queue.Queue.send_copy", unreachable)
        answer = person("anna").call("POST", "/uploads", **call)
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "queue_unavailable", "5")
    again = person("anna").call("POST", "/uploads", **call)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert copies(clients, aws) == [again.json()["upload_id"]]


# The copy itself


def test_a_copy_takes_the_bytes_and_neither_tags_nor_metadata(atlas: bytes, clients: Clients) -> None:
    uploads = Uploads(clients.s3, "uploads")
    assert uploads.copy_from(SOURCE, "u", most=1000, request_id="request-9") is True
    copy = clients.s3.get_object(Bucket="uploads", Key="uploads/u")
    assert (copy["Body"].read(), copy["Metadata"]) == (atlas, {"request-id": "request-9"})
    assert clients.s3.get_object_tagging(Bucket="uploads", Key="uploads/u")["TagSet"] == []


def test_a_copy_of_too_much_or_of_nothing_is_not_made(atlas: bytes, clients: Clients) -> None:
    uploads = Uploads(clients.s3, "uploads")
    with pytest.raises(ObjectTooLarge):
        uploads.copy_from(SOURCE, "u", most=999, request_id="r")
    assert uploads.copy_from("s3://atlas/nothing", "u", most=1000, request_id="r") is False
    assert uploads.size("u") is None


@pytest.mark.parametrize(
    ("status", "code", "outcome"), [(403, "403", False), (403, "AccessDenied", False), (500, "InternalError", None)]
)
def test_what_may_not_be_read_is_not_there_and_a_fault_is_a_fault(
    atlas: bytes, clients: Clients, monkeypatch: pytest.MonkeyPatch, status: int, code: str, outcome: bool | None
) -> None:
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "HeadObject")  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(clients.s3, "head_object", refuse)
    if outcome is None:
        with pytest.raises(ClientError):
            Uploads(clients.s3, "uploads").copy_from(SOURCE, "u", most=1000, request_id="r")
    else:
        assert Uploads(clients.s3, "uploads").copy_from(SOURCE, "u", most=1000, request_id="r") is outcome


def test_what_was_replaced_since_it_was_measured_is_not_copied(
    atlas: bytes, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = clients.s3.head_object

    def then_replaced(**where: Any) -> Any:
        answer = head(**where)
        clients.s3.put_object(**where, Body=b"y" * 5000)
        return answer

    monkeypatch.setattr(clients.s3, "head_object", then_replaced)
    with pytest.raises(ClientError):
        Uploads(clients.s3, "uploads").copy_from(SOURCE, "u", most=1000, request_id="r")
    assert Uploads(clients.s3, "uploads").size("u") is None
