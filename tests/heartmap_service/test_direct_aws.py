import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from heartmap_service import direct_aws
from heartmap_service.direct_aws import DirectAws
from lambda_authorizer import aws as by_hand
from lambda_authorizer.aws import AwsError
from lambda_authorizer.bounded_http import Response

KEY = {"TableName": "keys", "Key": {"public_id": {"S": "a"}}, "ConsistentRead": True}
GET = "DynamoDB_20120810.GetItem"


@pytest.fixture
def endpoint(aws: Any) -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_a_row_is_read_as_dynamodb_writes_it(endpoint: str) -> None:
    dynamodb = boto3.client("dynamodb", region_name="eu-west-1", endpoint_url=endpoint)
    dynamodb.create_table(
        TableName="keys",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "public_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "public_id", "AttributeType": "S"}],
    )
    dynamodb.put_item(TableName="keys", Item={"public_id": {"S": "a"}, "scopes": {"SS": ["models:read"]}})
    found = DirectAws(endpoint=endpoint, own_addresses=False)
    answer = found.call("dynamodb", GET, KEY, region="eu-west-1", deadline=time.monotonic() + 10)
    assert answer["Item"] == {"public_id": {"S": "a"}, "scopes": {"SS": ["models:read"]}}
    with pytest.raises(AwsError) as refused:
        found.call("dynamodb", GET, {**KEY, "TableName": "none"}, region="eu-west-1", deadline=time.monotonic() + 10)
    assert refused.value.code == "ResourceNotFoundException"


def test_a_call_is_signed_as_the_authorizer_signs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    sent: list[Any] = []

    def exchange(method: str, url: str, *, headers: Any, body: bytes, deadline: float) -> Response:
        sent.append((method, url, dict(headers), body))
        return Response(200, b"{}")

    callers = []
    for module, caller in ((direct_aws, DirectAws), (by_hand, by_hand.Aws)):
        monkeypatch.setattr(module, "exchange", exchange)
        callers.append(caller(endpoint=None, own_addresses=True))
    # Until both are of one second, which they sign.
    while len(sent) < 2 or len({headers["X-Amz-Date"] for _, _, headers, _ in sent}) > 1:
        sent.clear()
        for caller in callers:
            caller.call("dynamodb", GET, KEY, region="eu-west-1", deadline=0.0)
    (_, url, ours, body), (_, their_url, theirs, their_body) = sent
    assert (url, json.loads(body)) == (their_url, json.loads(their_body))
    for name in ("X-Amz-Security-Token", "X-Amz-Target", "Content-Type"):
        assert ours[name] == theirs[name]
    assert ours["Authorization"] == theirs["Authorization"]


def test_without_credentials_or_an_aws_nothing_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AwsError):
        DirectAws(endpoint=None, own_addresses=False).call("dynamodb", GET, KEY, region="eu-west-1", deadline=0.0)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AwsError, match="credentials"):
        DirectAws(endpoint=None, own_addresses=True).call("dynamodb", GET, KEY, region="eu-west-1", deadline=0.0)


def test_an_aws_that_does_not_answer_in_time_is_an_error_without_its_words(endpoint: str) -> None:
    with pytest.raises(AwsError, match="no usable answer"):
        DirectAws(endpoint=endpoint, own_addresses=False).call(
            "dynamodb", GET, KEY, region="eu-west-1", deadline=time.monotonic() - 1
        )
