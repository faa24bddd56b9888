"""One DynamoDB table of rows under ``pk``: what every store of its rows does with it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from heartmap_service.records import to_value

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

BATCH = 100
"""DynamoDB's limit of keys in a BatchGetItem."""


class Table:
    """The base of the stores. Reads are consistent."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def _try_update(self, pk: str, changes: Mapping[str, Any], *, condition: str, values: Mapping[str, Any]) -> bool:
        try:
            self._update(pk, changes, condition=condition, values=values)
        except ClientError as error:
            if is_conflict(error):
                return False
            raise
        return True

    def _update(self, pk: str, changes: Mapping[str, Any], *, condition: str, values: Mapping[str, Any]) -> None:
        """Sets the attributes; None removes one."""
        names = {f"#{name}": name for name in {*changes, *(["state"] if "#state" in condition else [])}}
        kept = [name for name, value in changes.items() if value is not None]
        removed = [name for name, value in changes.items() if value is None]
        expression = "SET " + ", ".join(f"#{name} = :{name}_" for name in kept)
        if removed:
            expression += " REMOVE " + ", ".join(f"#{name}" for name in removed)
        arguments = {f":{name}_": to_value(changes[name]) for name in kept} | {
            name: to_value(value) for name, value in values.items()
        }
        self._dynamodb.update_item(
            TableName=self._table,
            Key={"pk": {"S": pk}},
            UpdateExpression=expression,
            ConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=arguments,
        )

    def _get(self, pk: str) -> dict[str, Any] | None:
        return self._dynamodb.get_item(TableName=self._table, Key={"pk": {"S": pk}}, ConsistentRead=True).get("Item")

    def _get_many(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        records: dict[str, dict[str, Any]] = {}
        pending: list[Any] = [{"pk": {"S": key}} for key in keys]
        while pending:
            answer: Any = self._dynamodb.batch_get_item(RequestItems={self._table: {"Keys": pending, "ConsistentRead": True}})
            records |= {item["pk"]["S"]: item for item in answer["Responses"].get(self._table, [])}
            pending = answer["UnprocessedKeys"].get(self._table, {}).get("Keys", [])
        return records


def is_conflict(error: ClientError) -> bool:
    return error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException"
