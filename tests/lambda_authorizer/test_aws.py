import json
import re
import time

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lambda_authorizer.aws import Aws, AwsError, endpoint_of, partition_of

pytestmark = pytest.mark.usefixtures("aws_credentials")


def call(aws: Aws, service: str = "dynamodb"):
    return aws.call(
        service, "DynamoDB_20120810.GetItem", {"TableName": "keys"}, region="eu-central-1", deadline=time.monotonic() + 2
    )


@pytest.mark.parametrize("session", ["", "a-session-token"])
@pytest.mark.parametrize("service", ["dynamodb", "secretsmanager"])
def test_the_signature_is_botocores(server, monkeypatch: pytest.MonkeyPatch, service: str, session: str) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", session)
    assert call(Aws(endpoint=server.url, own_addresses=False), service) == {}
    (sent,) = server.requests
    signed = re.search(r"SignedHeaders=([^,]+)", sent.headers["Authorization"])
    assert signed
    lower = {name.lower(): value for name, value in sent.headers.items()}
    request = AWSRequest("POST", f"{server.url}/", headers={name: lower[name] for name in signed[1].split(";")}, data=sent.body)
    request.context["timestamp"] = sent.headers["X-Amz-Date"]
    oracle = SigV4Auth(Credentials("local", "local", session or None), service, "eu-central-1")
    expected = oracle.signature(oracle.string_to_sign(request, oracle.canonical_request(request)), request)
    assert sent.headers["Authorization"].endswith(f"Signature={expected}")
    assert {"host", "x-amz-date", "x-amz-target"} <= set(signed[1].split(";"))
    assert ("x-amz-security-token" in signed[1]) == bool(session)
    assert abs(time.time() - time.mktime(time.strptime(sent.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ")) + time.timezone) < 60


@pytest.mark.parametrize("status", [301, 400, 403, 429, 500, 503])
def test_an_error_is_an_error(server, status: int) -> None:
    server.answer = lambda request: server.reply(request, json.dumps({"Item": {}, "message": "secret"}).encode(), status=status)
    with pytest.raises(AwsError) as caught:
        call(Aws(endpoint=server.url, own_addresses=False))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"Item": 1, "Item": 2}'])
def test_an_answer_that_is_no_object_is_an_error(server, body: bytes) -> None:
    server.answer = lambda request: server.reply(request, body)
    with pytest.raises(AwsError):
        call(Aws(endpoint=server.url, own_addresses=False))


def test_without_credentials_there_is_no_call(server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AwsError, match="credentials"):
        call(Aws(endpoint=server.url, own_addresses=False))
    assert server.requests == []


def test_without_an_endpoint_local_calls_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lambda_authorizer.aws.exchange", lambda *_, **__: pytest.fail("it called"))
    with pytest.raises(AwsError, match="no AWS here"):
        call(Aws(endpoint=None, own_addresses=False))


@pytest.mark.parametrize(
    ("region", "partition", "url"),
    [
        ("us-east-1", "aws", "https://dynamodb.us-east-1.amazonaws.com"),
        ("eu-central-1", "aws", "https://dynamodb.eu-central-1.amazonaws.com"),
        ("us-gov-west-1", "aws-us-gov", "https://dynamodb.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "aws-cn", "https://dynamodb.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_a_region_has_its_partition_and_addresses(region: str, partition: str, url: str) -> None:
    assert partition_of(region) == partition
    assert endpoint_of("dynamodb", region) == url
