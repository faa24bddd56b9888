"""An emulated AWS with both tables and the authorizer's secret, and the events that API Gateway would send."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_keys import config
from lambda_keys.handler import Keys
from tests.lambda_api.calls import SECRET, event

TABLE, USE = "heartmap-local-api-keys", "heartmap-local-key-use"


@pytest.fixture(scope="module")
def secret_arn(aws: Callable[[str], Any]) -> str:
    return aws("secretsmanager").create_secret(Name="heartmap-local/authorizer", SecretString=SECRET)["ARN"]


@pytest.fixture
def tables(aws: Callable[[str], Any]) -> Iterator[SimpleNamespace]:
    """Both tables, empty, and what a test does with their items."""
    dynamodb = aws("dynamodb")
    for name, key in ((TABLE, "public_id"), (USE, "id")):
        dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def get(key_id: str) -> dict[str, Any] | None:
        return dynamodb.get_item(TableName=TABLE, Key={"public_id": {"S": key_id}}).get("Item")

    def put(**item: dict[str, Any]) -> None:
        dynamodb.put_item(TableName=TABLE, Item=item)

    def used(key_id: str, at: int) -> None:
        dynamodb.put_item(TableName=USE, Item={"id": {"S": f"use#{key_id}"}, "last_used_at": {"N": str(at)}})

    yield SimpleNamespace(rows=lambda: dynamodb.scan(TableName=TABLE)["Items"], get=get, put=put, used=used)
    for name in (TABLE, USE):
        dynamodb.delete_table(TableName=name)


@pytest.fixture
def environ(moto_url: str, secret_arn: str) -> dict[str, str]:
    """The function's environment."""
    return {
        "HEARTMAP_ENVIRONMENT": "local",
        "HEARTMAP_API_KEYS_TABLE": TABLE,
        "HEARTMAP_KEY_USE_TABLE": USE,
        "HEARTMAP_SECRETS": secret_arn,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": moto_url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }


@pytest.fixture
def keys(environ: dict[str, str], tables: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Keys:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return Keys(config.load(environ))


@pytest.fixture
def make_event() -> Callable[..., dict[str, Any]]:
    """``make_event(method, route, body, key_id=…, said={…}, **changes)``: the event of a call that the authorizer let through.

    ``said`` changes what the assertion says, ``changes`` the event. A body that is no text is sent as JSON.
    """

    def make(
        method: str = "GET",
        route: str = "/keys",
        body: Any = None,
        *,
        key_id: str | None = None,
        said: Any = None,
        **changes: Any,
    ) -> dict[str, Any]:
        return event(method, route, body, parameters={"key_id": key_id} if key_id else None, said=said, **changes)

    return make
