"""DynamoDB tables."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from local_cloud.provider.framework import (
    Aws,
    Failure,
    Inputs,
    Refused,
    ResourceType,
    changed,
    from_tag_list,
    ignoring_gone,
    none_if_gone,
    register,
    tag_changes,
    undoing,
)

ON_DEMAND = "PAY_PER_REQUEST"


@register
class Table(ResourceType):
    token = "aws:dynamodb/table:Table"
    arguments = frozenset(
        {
            "name",
            "billingMode",
            "hashKey",
            "rangeKey",
            "attributes",
            "globalSecondaryIndexes",
            "ttl",
            "serverSideEncryption",
            "pointInTimeRecovery",
            "deletionProtectionEnabled",
            "tags",
        }
    )
    required = frozenset({"hashKey", "attributes", "billingMode"})
    replaces = frozenset({"name", "hashKey", "rangeKey", "billingMode"})
    nested: ClassVar = {
        "attributes": {"name": None, "type": None},
        "globalSecondaryIndexes": {
            "name": None,
            "hashKey": None,
            "rangeKey": None,
            "projectionType": None,
            "nonKeyAttributes": None,
        },
        "ttl": {"attributeName": None, "enabled": None},
        "serverSideEncryption": {"enabled": None, "kmsKeyArn": None},
        "pointInTimeRecovery": {"enabled": None},
    }
    defaults: ClassVar = {"deletionProtectionEnabled": False}
    computed = frozenset({"arn"})
    unique = "name"
    autoname = "name"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        if inputs["billingMode"] != ON_DEMAND:
            return [Failure("billingMode", f"{self.token}: the local cloud knows only billingMode {ON_DEMAND}")]
        return []

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        name, optional = inputs["name"], {}
        indexes = [_index(index) for index in inputs.get("globalSecondaryIndexes", [])]
        if indexes:
            optional["GlobalSecondaryIndexes"] = indexes
        if "serverSideEncryption" in inputs:
            optional["SSESpecification"] = _encryption(inputs["serverSideEncryption"])
        table = aws.client("dynamodb").create_table(
            TableName=name,
            BillingMode=ON_DEMAND,
            KeySchema=_keys(inputs),
            AttributeDefinitions=_attributes(inputs),
            DeletionProtectionEnabled=inputs["deletionProtectionEnabled"],
            Tags=aws.tag_list(inputs),
            **optional,
        )["TableDescription"]
        with undoing(lambda: aws.client("dynamodb").delete_table(TableName=name)):
            self._after_creation(aws, name, {}, inputs)
        return name, {"arn": table["TableArn"]}

    @staticmethod
    def _after_creation(aws: Aws, name: str, old: Mapping[str, Any], new: Inputs) -> None:
        """What has calls of its own: time to live and recovery."""
        dynamodb, differing = aws.client("dynamodb"), changed(old, new, {"ttl", "pointInTimeRecovery"})
        if "ttl" in differing:
            # A changed attribute has to be switched off under its old name first.
            before, after = old.get("ttl") or {}, new.get("ttl") or {}
            if before.get("enabled") and before["attributeName"] != after.get("attributeName"):
                off = {"AttributeName": before["attributeName"], "Enabled": False}
                dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=off)
            if after and (after["enabled"] or before.get("attributeName") == after["attributeName"]):
                setting = {"AttributeName": after["attributeName"], "Enabled": after["enabled"]}
                dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=setting)
        if "pointInTimeRecovery" in differing:
            enabled = (new.get("pointInTimeRecovery") or {}).get("enabled", False)
            setting = {"PointInTimeRecoveryEnabled": enabled}
            dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=setting)

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        dynamodb = aws.client("dynamodb")
        answer = none_if_gone(dynamodb.describe_table, TableName=resource_id)
        if answer is None:
            return None
        table = answer["Table"]
        live = {
            "arn": table["TableArn"],
            "deletionProtectionEnabled": table.get("DeletionProtectionEnabled", False),
            "tagsAll": from_tag_list(dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]),
        }
        ttl = dynamodb.describe_time_to_live(TableName=resource_id)["TimeToLiveDescription"]
        if state.get("ttl") or ttl["TimeToLiveStatus"] == "ENABLED":
            live["ttl"] = {"attributeName": ttl.get("AttributeName"), "enabled": ttl["TimeToLiveStatus"] == "ENABLED"}
        backups = dynamodb.describe_continuous_backups(TableName=resource_id)["ContinuousBackupsDescription"]
        recovery = backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") == "ENABLED"
        if "pointInTimeRecovery" in state or recovery:
            live["pointInTimeRecovery"] = {"enabled": recovery}
        names = {index["IndexName"] for index in table.get("GlobalSecondaryIndexes", [])}
        known = state.get("globalSecondaryIndexes") or []
        if names != {index["name"] for index in known}:
            live["globalSecondaryIndexes"] = [index for index in known if index["name"] in names]
        return live

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        dynamodb, differing = aws.client("dynamodb"), changed(old, new, self.arguments)
        for change in _index_changes(old, new):  # AWS takes one a call
            dynamodb.update_table(
                TableName=resource_id, AttributeDefinitions=_attributes(new), GlobalSecondaryIndexUpdates=[change]
            )
        if "serverSideEncryption" in differing:
            setting = _encryption(new.get("serverSideEncryption") or {"enabled": False})
            dynamodb.update_table(TableName=resource_id, SSESpecification=setting)
        if "deletionProtectionEnabled" in differing:
            dynamodb.update_table(TableName=resource_id, DeletionProtectionEnabled=new["deletionProtectionEnabled"])
        self._after_creation(aws, resource_id, old, new)
        to_set, to_remove = tag_changes(aws, old, new)
        if to_remove:
            dynamodb.untag_resource(ResourceArn=old["arn"], TagKeys=to_remove)
        if to_set:
            tags = [{"Key": key, "Value": value} for key, value in to_set.items()]
            dynamodb.tag_resource(ResourceArn=old["arn"], Tags=tags)
        return {}

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        if state.get("deletionProtectionEnabled"):
            raise Refused("is protected against deletion: set deletion_protection to false, deploy, then try again")
        with ignoring_gone():
            aws.client("dynamodb").delete_table(TableName=resource_id)


def _keys(inputs: Mapping[str, Any]) -> list[Any]:
    keys = [{"AttributeName": inputs["hashKey"], "KeyType": "HASH"}]
    if inputs.get("rangeKey"):
        keys.append({"AttributeName": inputs["rangeKey"], "KeyType": "RANGE"})
    return keys


def _attributes(inputs: Mapping[str, Any]) -> list[Any]:
    return [{"AttributeName": one["name"], "AttributeType": one["type"]} for one in inputs["attributes"]]


def _index(index: Mapping[str, Any]) -> dict[str, Any]:
    projection = {"ProjectionType": index["projectionType"]}
    if index.get("nonKeyAttributes"):
        projection["NonKeyAttributes"] = index["nonKeyAttributes"]
    return {"IndexName": index["name"], "KeySchema": _keys(index), "Projection": projection}


def _index_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    before = {index["name"]: index for index in old.get("globalSecondaryIndexes") or []}
    after = {index["name"]: index for index in new.get("globalSecondaryIndexes") or []}
    deletions = [name for name in before if before[name] != after.get(name)]
    creations = [name for name in after if after[name] != before.get(name)]
    return [{"Delete": {"IndexName": name}} for name in deletions] + [{"Create": _index(after[name])} for name in creations]


def _encryption(setting: Mapping[str, Any]) -> dict[str, Any]:
    if not setting["enabled"]:
        return {"Enabled": False}
    key = {"KMSMasterKeyId": setting["kmsKeyArn"]} if "kmsKeyArn" in setting else {}
    return {"Enabled": True, "SSEType": "KMS", **key}
