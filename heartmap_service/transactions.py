"""Several writes to DynamoDB that happen together or not at all.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

TransactItem = dict[str, Any]
"""One entry of TransactWriteItems: ``{"Put" | "Update" | "Delete" | "ConditionCheck": {…}}``."""

ATTEMPTS = 12
"""How often a transaction is tried that met another one at the same row: three seconds or so in all."""
_MET_ANOTHER = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


class ConditionNotMet(Exception):  # what it is, not an error of ours
    """The condition of a step did not hold, and the step does not say what that means. ``index`` is the step's."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class Step(NamedTuple):
    """One write. ``refusal`` makes what is raised when its condition does not hold."""

    write: TransactItem
    refusal: Callable[[], Exception] | None = None


def commit(dynamodb: "DynamoDBClient", steps: Sequence[Step]) -> None:
    """Writes all of the steps, or none.

    A transaction that meets another is tried again, ATTEMPTS times. botocore gives each a token of its own, by which DynamoDB
    knows a request that is repeated because its answer was lost.

    Raises the refusal of the first step whose condition does not hold, ConditionNotMet when that step has none, and ClientError
    for whatever else AWS refuses.
    """
    again = Retrying(
        retry=retry_if_exception(_met_another),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.02, max=1),
        reraise=True,
    )
    try:
        again(dynamodb.transact_write_items, TransactItems=[step.write for step in steps])
    except ClientError as error:
        index = next((i for i, reason in enumerate(_reasons(error)) if reason == "ConditionalCheckFailed"), None)
        if index is None:
            raise
        refusal = steps[index].refusal
        raise (refusal() if refusal else ConditionNotMet(index)) from None


def _met_another(error: BaseException) -> bool:
    """Whether nothing but other calls at the same moment stood in the way."""
    if not isinstance(error, ClientError):
        return False
    reasons = set(_reasons(error))
    return bool(reasons & _MET_ANOTHER) and "ConditionalCheckFailed" not in reasons


def _reasons(error: ClientError) -> list[str]:
    """Why DynamoDB cancelled the transaction, one code a step, ``None`` for a step that was not the cause."""
    response: Any = error.response
    return [reason.get("Code", "None") for reason in response.get("CancellationReasons", [])]
