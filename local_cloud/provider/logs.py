"""CloudWatch log groups and the metrics that are counted in them."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from typing import Any, ClassVar

from local_cloud.provider.framework import (
    Aws,
    Inputs,
    ResourceType,
    changed,
    ignoring_gone,
    none_if_gone,
    register,
    tag_changes,
    undoing,
)


@register
class LogGroup(ResourceType):
    token = "aws:cloudwatch/logGroup:LogGroup"
    arguments = frozenset({"name", "retentionInDays", "kmsKeyId", "skipDestroy", "tags"})
    replaces = frozenset({"name"})
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
        if changed(old, new, {"kmsKeyId"}):
            if "kmsKeyId" in new:
                logs.associate_kms_key(logGroupName=resource_id, kmsKeyId=new["kmsKeyId"])
            else:
                logs.disassociate_kms_key(logGroupName=resource_id)
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


@register
class LogMetricFilter(ResourceType):
    token = "aws:cloudwatch/logMetricFilter:LogMetricFilter"
    _transformation: ClassVar = {
        "name": "metricName",
        "namespace": "metricNamespace",
        "value": "metricValue",
        "defaultValue": "defaultValue",
        "unit": "unit",
    }
    arguments = frozenset({"name", "pattern", "logGroupName", "metricTransformation"})
    required = arguments - {"name"}
    replaces = frozenset({"name", "logGroupName"})
    nested: ClassVar = {"metricTransformation": dict.fromkeys(_transformation)}
    unique = "name"
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._put(aws, inputs)
        return inputs["name"], {}

    def _put(self, aws: Aws, inputs: Inputs) -> None:
        given = inputs["metricTransformation"]
        transformation = {key: given[name] for name, key in self._transformation.items() if name in given}
        if "defaultValue" in transformation:
            transformation["defaultValue"] = float(transformation["defaultValue"])  # Pulumi's is a text
        aws.client("logs").put_metric_filter(
            logGroupName=inputs["logGroupName"],
            filterName=inputs["name"],
            filterPattern=inputs["pattern"],
            metricTransformations=[transformation],
        )

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        pages = aws.client("logs").get_paginator("describe_metric_filters")
        found = none_if_gone(
            lambda **given: [one for page in pages.paginate(**given) for one in page["metricFilters"]],
            logGroupName=state["logGroupName"],
            filterNamePrefix=resource_id,
        )
        live = next((one for one in found or [] if one["filterName"] == resource_id), None)
        if live is None:
            return None
        transformation = live["metricTransformations"][0]
        values = {name: transformation[key] for name, key in self._transformation.items() if key in transformation}
        given = state["metricTransformation"]
        if "defaultValue" in values and float(given.get("defaultValue", "nan")) == values["defaultValue"]:
            values["defaultValue"] = given["defaultValue"]
        return {"name": resource_id, "pattern": live["filterPattern"], "metricTransformation": values}

    def update(self, aws: Aws, _resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._put(aws, new)
        return {}

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("logs").delete_metric_filter(logGroupName=state["logGroupName"], filterName=resource_id)
