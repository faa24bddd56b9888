from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from local_cloud.provider.framework import Refused

TABLE = "aws:dynamodb/table:Table"
KEYS = {"billingMode": "PAY_PER_REQUEST", "hashKey": "pk", "attributes": [{"name": "pk", "type": "S"}]}
INDEX = {"name": "by_time", "hashKey": "pk", "rangeKey": "at", "projectionType": "ALL"}
WITH_INDEX = {"attributes": [*KEYS["attributes"], {"name": "at", "type": "S"}], "globalSecondaryIndexes": [INDEX]}


def test_a_protected_table_is_not_deleted(make: Callable[..., Any]) -> None:
    made = make(TABLE, name="protected", **KEYS, deletionProtectionEnabled=True)
    with pytest.raises(Refused, match="deletion_protection"):
        made.delete()
    made.update(deletionProtectionEnabled=False)
    made.delete()
    assert made.read() is None


def test_indexes_come_and_go_in_place(make: Callable[..., Any], cloud: Any) -> None:
    made = make(TABLE, name="indexed", **KEYS)
    describe = cloud.client("dynamodb").describe_table
    made.update(**WITH_INDEX)
    (index,) = describe(TableName="indexed")["Table"]["GlobalSecondaryIndexes"]
    assert index["Projection"] == {"ProjectionType": "ALL"}
    made.update(**WITH_INDEX | {"globalSecondaryIndexes": [{**INDEX, "projectionType": "KEYS_ONLY"}]})
    (index,) = describe(TableName="indexed")["Table"]["GlobalSecondaryIndexes"]
    assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    assert made.drift() == {}


def test_a_table_that_could_not_be_finished_is_removed_again(
    make: Callable[..., Any], cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**_: Any) -> None:
        raise Refused("no time to live")

    monkeypatch.setattr(cloud.client("dynamodb"), "update_time_to_live", fails)
    with pytest.raises(Refused, match="no time to live"):
        make(TABLE, name="half", **KEYS, ttl={"attributeName": "expires_at", "enabled": True})
    assert "half" not in cloud.client("dynamodb").list_tables()["TableNames"]


def test_provisioned_capacity_is_refused(refusals: Callable[..., list[str]]) -> None:
    (reason,) = refusals(TABLE, name="x", **KEYS | {"billingMode": "PROVISIONED"})
    assert "PAY_PER_REQUEST" in reason
