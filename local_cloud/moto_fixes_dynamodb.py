"""What moto does otherwise than DynamoDB. Applied with the other fixes, see `moto_fixes`.

Tests that let threads use moto within their process apply these by themselves, which takes no import of other services.
"""

import copy
import functools
import json
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from moto.core.responses import ActionResult
from moto.dynamodb import exceptions, models
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler

from local_cloud.moto_patching import replace

TOKEN_SECONDS = 600
"""For so long DynamoDB knows a ClientRequestToken."""

_lock = threading.RLock()
_tokens: dict[tuple[Any, str], tuple[float, str]] = {}


class IdempotentParameterMismatch(exceptions.DynamodbException):
    """The token came before with another request."""

    def __init__(self) -> None:
        super().__init__("IdempotentParameterMismatchException", "The provided client token was used with another request.")


@functools.cache
def isolate_transactions() -> None:
    """DynamoDB: a transaction happens at one moment, or leaves no trace. moto lets other calls in between, and puts the whole
    table back as it was before when one is refused, with the loss of what others wrote meanwhile."""

    def alone(original: Any) -> Any:
        def call_action(self: Any) -> Any:
            with _lock:
                return original(self)

        return call_action

    def transact(original: Any) -> Any:
        def transact_write_items(self: Any, transact_items: list[dict[str, Any]]) -> None:
            with _lock:
                undo = [_undo(self, next(iter(item.values()))) for item in transact_items]
                try:
                    original(self, transact_items)
                except Exception:
                    for put_back in undo:
                        put_back()
                    raise

        return transact_write_items

    # moto's own copies of whole tables, to be put back; backups copy tables as well, but not by this name.
    replace(models, "copy", lambda _: SimpleNamespace(deepcopy=_copy_but_tables))
    replace(DynamoHandler, "call_action", alone)
    replace(models.DynamoDBBackend, "transact_write_items", transact)


def _copy_but_tables(thing: Any) -> Any:
    return thing if isinstance(thing, Table) else copy.deepcopy(thing)


def _undo(backend: Any, operation: dict[str, Any]) -> Callable[[], None]:
    """Puts back what the operation is about to change."""
    table = backend.get_table(operation["TableName"])
    place = operation.get("Key") or operation["Item"]
    hash_key = DynamoType(place[table.hash_key_attr])
    range_key = DynamoType(place[table.range_key_attr]) if table.has_range_key else None
    before = copy.deepcopy(table.get_item(hash_key, range_key))

    def put_back() -> None:
        if before is None:
            table.delete_item(hash_key, range_key)
        elif range_key is None:
            table.items[hash_key] = before
        else:
            table.items[hash_key][range_key] = before

    return put_back


@functools.cache
def know_request_tokens() -> None:
    """DynamoDB: a transaction that is repeated with its ClientRequestToken succeeds again without being carried out again. moto
    carries it out.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
    """

    def make(original: Any) -> Any:
        def transact_write_items(self: Any) -> Any:
            token = self.body.get("ClientRequestToken")
            known, now = (self.dynamodb_backend, token), time.monotonic()
            request = json.dumps(self.body["TransactItems"], sort_keys=True)
            for old in [key for key, (at, _) in _tokens.items() if now - at > TOKEN_SECONDS]:
                del _tokens[old]
            if token and known in _tokens:
                if _tokens[known][1] != request:
                    raise IdempotentParameterMismatch
                return ActionResult({})
            answer = original(self)
            if token:
                _tokens[known] = (now, request)
            return answer

        return transact_write_items

    replace(DynamoHandler, "transact_write_items", make)


FIXES: tuple[Callable[[], None], ...] = (isolate_transactions, know_request_tokens)
