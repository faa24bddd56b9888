"""The rows of analyses, and of what puts them in order, as steps of transactions.

heartmap_service.job_store says what the rows mean.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from heartmap_service.quotas import NothingToRelease, release_job
from heartmap_service.records import Analysis, from_item, to_item, to_value
from heartmap_service.table import Table
from heartmap_service.transactions import ConditionNotMet, Step, commit

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

QUEUED = "queued"
"""The list of what waits, in the order in which it is to be started."""
TOKEN_RETENTION = 30 * 24 * 3600
"""Seconds for which the row of a token is kept: longer than SQS keeps any message."""
CLOCK = "turn#"

_NAME = re.compile(r"#([a-z_]+)", re.ASCII)
_log = structlog.get_logger()


def analysis_key(analysis_id: str) -> str:
    return f"analysis#{analysis_id}"


def token_key(token: str) -> str:
    return f"token#{token}"


def turn_key(owner: str) -> str:
    return f"turn#{owner}"


class Rows:
    """Makes the steps, for one table."""

    def __init__(self, table: str) -> None:
        self._table = table

    def put_new(self, item: Mapping[str, Any], refusal: Any = None) -> Step:
        put = {"TableName": self._table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}
        return Step({"Put": put}, refusal)

    def update(self, pk: str, expression: str, condition: str, values: Mapping[str, Any], refusal: Any = None) -> Step:
        """``#name`` stands for the attribute of that name: some are words of DynamoDB's."""
        update: dict[str, Any] = {
            "TableName": self._table,
            "Key": {"pk": {"S": pk}},
            "UpdateExpression": expression,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {f"#{name}": name for name in _NAME.findall(expression + condition)},
            "ExpressionAttributeValues": {name: to_value(value) for name, value in values.items()},
        }
        return Step({"Update": update}, refusal)

    def new_analysis(self, analysis: Analysis) -> Step:
        """The record, whose own token owes it."""
        item = to_item(analysis_key(analysis.analysis_id), analysis)
        return self.put_new({**item, "token": to_value(analysis.analysis_id)})

    def new_token(self, token: str, *, owes: str | None, now: float, refusal: Any = None) -> Step:
        """A token that owes an analysis, or, void, none for ever."""
        item = {"pk": to_value(token_key(token)), "expires_at": to_value(int(now) + TOKEN_RETENTION)}
        return self.put_new(item if owes is None else {**item, "owes": to_value(owes)}, refusal)

    def owe(self, token: str, *, before: str, now: str) -> Step:
        return self.update(token_key(token), "SET #owes = :now", "#owes = :before", {":before": before, ":now": now})

    def take_turn(self, owner: str, *, last: int | None, turn: int, refusal: Any) -> Step:
        condition = "attribute_not_exists(#turn)" if last is None else "#turn = :last"
        values = {":turn": turn} | ({} if last is None else {":last": last})
        return self.update(turn_key(owner), "SET #turn = :turn", condition, values, refusal)

    def list_in(self, name: str, analysis: Analysis) -> Step:
        return Step({"Put": {"TableName": self._table, "Item": listing_row(name, analysis)}})

    def unlist(self, name: str, analysis_id: str) -> Step:
        return Step({"Delete": {"TableName": self._table, "Key": {"pk": {"S": listing_key(name, analysis_id)}}}})


def listing_key(name: str, analysis_id: str) -> str:
    return f"listing#{name}#{analysis_id}"


def listing_row(name: str, analysis: Analysis) -> dict[str, Any]:
    """In the list of what waits, the index is sorted by the turn, and among equal turns by who came first."""
    order = f"{analysis.turn:015d}#{analysis.analysis_id}" if name == QUEUED else f"{analysis.created_at}#{analysis.analysis_id}"
    return {
        "pk": {"S": listing_key(name, analysis.analysis_id)},
        "listing_key": {"S": name},
        "created_at": {"S": order},
        "analysis_id": {"S": analysis.analysis_id},
    }


def as_text(document: Any) -> str:
    """A document as records.to_item keeps it."""
    return json.dumps(document)


class JobTable(Table):
    """The base of what reads and writes analyses."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        super().__init__(dynamodb, table)
        self._rows = Rows(table)

    def analysis(self, analysis_id: str) -> Analysis | None:
        item = self._get(analysis_key(analysis_id))
        return None if item is None else from_item(Analysis, item)

    def _done(self, steps: Sequence[Step]) -> bool:
        """Writes the steps together. False when a condition did not hold."""
        try:
            commit(self._dynamodb, steps)
        except ConditionNotMet:
            return False
        return True

    def _ended(self, analysis: Analysis, steps: Sequence[Step]) -> bool:
        """Writes the steps that end an analysis, and takes it off its owner's count. False when a condition did not hold."""
        try:
            return self._done([*steps, release_job(self._table, analysis.owner)])
        except NothingToRelease:
            _log.exception("nothing to release", analysis_id=analysis.analysis_id)
            return self._done(steps)
