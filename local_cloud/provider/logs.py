"""CloudWatch log groups."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from typing import Any

from local_cloud.provider.framework import (
    Aws,
    Inputs,
    ResourceType,
    changed,
    ignoring_gone,
    register,
    tag_changes,
    undoing,
)


@register
class LogGroup(ResourceType):
    token = "aws:cloudwatch/logGroup:LogGroup"
    arguments = frozenset({"name", "retentionInDays", "kmsKeyId", "skipDestroy", "tags"})
    # AWS also changes the key in place, moto does not.
    replaces = frozenset({"name", "kmsKeyId"})
    computed = frozenset({"arn"})
    unique = "name"
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        name, key = inputs["name"], {"kmsKeyId": inputs["kmsKeyId"]} if "kmsKeyId" in inputs else {}
        aws.client("logs").create_log_group(logGroupName=name, tags=aws.tags(inputs), **key)
        with undoing(lambda: self.delete(aws, name, {})):
            self._set_retention(aws, name, inputs)
        return name, {"arn": self._arn(aws, name)}

    @staticmethod
    def _arn(aws: Aws, name: str) -> str:
        return aws.arn("logs", f"log-group:{name}")

    @staticmethod
    def _set_retention(aws: Aws, name: str, inputs: Inputs) -> None:
        logs, days = aws.client("logs"), inputs.get("retentionInDays")
        if days:
            logs.put_retention_policy(logGroupName=name, retentionInDays=days)
        else:
            logs.delete_retention_policy(logGroupName=name)

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        logs = aws.client("logs")
        groups = logs.describe_log_groups(logGroupNamePrefix=resource_id)["logGroups"]
        group = next((one for one in groups if one["logGroupName"] == resource_id), None)
        if group is None:
            return None
        arn = self._arn(aws, resource_id)
        return {
            "arn": arn,
            "retentionInDays": group.get("retentionInDays"),
            "kmsKeyId": group.get("kmsKeyId"),
            "tagsAll": logs.list_tags_for_resource(resourceArn=arn)["tags"],
        }

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        logs, arn = aws.client("logs"), self._arn(aws, resource_id)
        if changed(old, new, {"retentionInDays"}):
            self._set_retention(aws, resource_id, new)
        to_set, to_remove = tag_changes(aws, old, new)
        if to_remove:
            logs.untag_resource(resourceArn=arn, tagKeys=to_remove)
        if to_set:
            logs.tag_resource(resourceArn=arn, tags=to_set)
        return {}

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        if not state.get("skipDestroy"):
            with ignoring_gone():
                aws.client("logs").delete_log_group(logGroupName=resource_id)
