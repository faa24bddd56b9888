"""Each fix shown through the API that a client of AWS uses: a fix that is removed turns its test red."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_cloud.moto_server import running_moto

WRITERS = 8
WRITES = 25


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Any]:
    with running_moto() as url:
        client = boto3.client(
            "dynamodb",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(max_pool_connections=2 * WRITERS),
        )
        client.create_table(
            TableName="t",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        )
        yield client


def put(pk: str, condition: str | None = None) -> Any:
    return {"Put": {"TableName": "t", "Item": {"pk": {"S": pk}}} | ({"ConditionExpression": condition} if condition else {})}


def value(dynamodb: Any, pk: str) -> Any:
    return dynamodb.get_item(TableName="t", Key={"pk": {"S": pk}}, ConsistentRead=True).get("Item")


def test_a_refused_transaction_leaves_no_trace_of_itself_and_all_that_others_wrote(dynamodb: Any) -> None:
    dynamodb.put_item(TableName="t", Item={"pk": {"S": "kept"}, "n": {"N": "1"}})
    update = {"TableName": "t", "Key": {"pk": {"S": "kept"}}, "UpdateExpression": "SET n = :two"}
    steps = [
        {"Update": {**update, "ExpressionAttributeValues": {":two": {"N": "2"}}}},
        put("new"),
        {"Put": {"TableName": "t", "Item": {"pk": {"S": "no"}}, "ConditionExpression": "attribute_exists(pk)"}},
    ]

    def refuse(_: int) -> None:
        with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as error:
            dynamodb.transact_write_items(TransactItems=steps)
        reasons = [reason["Code"] for reason in error.value.response["CancellationReasons"]]
        assert reasons == ["None", "None", "ConditionalCheckFailed"]

    def write(number: int) -> None:
        dynamodb.put_item(TableName="t", Item={"pk": {"S": f"other-{number}"}})

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda number: (refuse if number % 2 else write)(number), range(2 * WRITES)))
    assert all(value(dynamodb, f"other-{number}") for number in range(0, 2 * WRITES, 2))
    assert value(dynamodb, "kept") == {"pk": {"S": "kept"}, "n": {"N": "1"}}
    assert value(dynamodb, "new") is None


def test_transactions_at_one_counter_count_each(dynamodb: Any) -> None:
    add = {"TableName": "t", "Key": {"pk": {"S": "count"}}, "UpdateExpression": "ADD n :one"}
    step: Any = {"Update": {**add, "ExpressionAttributeValues": {":one": {"N": "1"}}}}
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda _: dynamodb.transact_write_items(TransactItems=[step]), range(WRITES)))
    assert value(dynamodb, "count")["n"] == {"N": str(WRITES)}


def test_a_transaction_repeated_with_its_token_is_carried_out_once(dynamodb: Any) -> None:
    request = {"TransactItems": [put("once", "attribute_not_exists(pk)")], "ClientRequestToken": "a-token"}
    assert "CancellationReasons" not in dynamodb.transact_write_items(**request)
    dynamodb.transact_write_items(**request)
    with pytest.raises(ClientError) as error:
        dynamodb.transact_write_items(**request | {"ClientRequestToken": "another"})
    assert error.value.response["Error"]["Code"] == "TransactionCanceledException"  # pyright: ignore[reportTypedDictNotRequiredAccess]
    with pytest.raises(ClientError) as error:
        dynamodb.transact_write_items(TransactItems=[put("twice")], ClientRequestToken="a-token")
    assert error.value.response["Error"]["Code"] == "IdempotentParameterMismatchException"  # pyright: ignore[reportTypedDictNotRequiredAccess]
