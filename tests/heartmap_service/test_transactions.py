from typing import Any

import pytest
from botocore.exceptions import ClientError

from heartmap_service import transactions
from heartmap_service.clients import Clients
from heartmap_service.transactions import ATTEMPTS, ConditionNotMet, Step, commit


def put(pk: str, condition: str | None = "attribute_not_exists(pk)", refusal: Any = None) -> Step:
    conditional = {"ConditionExpression": condition} if condition else {}
    return Step({"Put": {"TableName": "jobs", "Item": {"pk": {"S": pk}}, **conditional}}, refusal)


def rows(clients: Clients) -> set[str]:
    items: list[Any] = clients.dynamodb.scan(TableName="jobs")["Items"]
    return {item["pk"]["S"] for item in items}


def test_either_all_is_written_or_nothing(aws: dict[str, Any], clients: Clients) -> None:
    commit(clients.dynamodb, [put("a"), put("b")])
    with pytest.raises(ConditionNotMet) as refused:
        commit(clients.dynamodb, [put("c"), put("a")])
    assert refused.value.index == 1
    assert rows(clients) == {"a", "b"}


def test_the_first_step_that_does_not_hold_says_what_that_means(aws: dict[str, Any], clients: Clients) -> None:
    commit(clients.dynamodb, [put("a"), put("b")])
    with pytest.raises(KeyError):
        commit(clients.dynamodb, [put("c"), put("a", refusal=KeyError), put("b", refusal=IndexError)])


class Meeting:
    """DynamoDB, to which other transactions come as well: it cancels the first calls for the reasons given."""

    def __init__(self, *reasons: list[str]) -> None:
        self.reasons = list(reasons)
        self.calls = 0

    def transact_write_items(self, **_: Any) -> None:
        self.calls += 1
        if self.reasons:
            response: Any = {
                "Error": {"Code": "TransactionCanceledException"},
                "CancellationReasons": [{"Code": code} for code in self.reasons.pop(0)],
            }
            raise ClientError(response, "TransactWriteItems")


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "wait_random_exponential", lambda **_: lambda _state: 0)


@pytest.mark.parametrize("reason", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_a_transaction_that_meets_another_is_tried_again(reason: str) -> None:
    dynamodb: Any = Meeting(["None", reason], [reason, "None"])
    commit(dynamodb, [put("a"), put("b")])
    assert dynamodb.calls == 3


def test_it_is_given_up_in_the_end_and_aws_is_to_blame() -> None:
    dynamodb: Any = Meeting(*[["TransactionConflict"]] * 100)
    with pytest.raises(ClientError):
        commit(dynamodb, [put("a")])
    assert dynamodb.calls == ATTEMPTS


@pytest.mark.parametrize(
    ("reasons", "error"),
    [(["TransactionConflict", "ConditionalCheckFailed"], ConditionNotMet), (["ValidationError", "None"], ClientError)],
)
def test_what_would_fail_again_is_not_tried_again(reasons: list[str], error: type[Exception]) -> None:
    dynamodb: Any = Meeting(reasons)
    with pytest.raises(error):
        commit(dynamodb, [put("a"), put("b")])
    assert dynamodb.calls == 1
