"""CloudTrail trails."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from local_cloud.provider.framework import (
    Aws,
    Failure,
    Inputs,
    ResourceType,
    changed,
    from_tag_list,
    ignoring_gone,
    none_if_gone,
    register,
    tag_changes,
    undoing,
)

_FIELD: Final = {
    "field": "Field",
    "equals": "Equals",
    "notEquals": "NotEquals",
    "startsWiths": "StartsWith",
    "notStartsWiths": "NotStartsWith",
    "endsWiths": "EndsWith",
    "notEndsWiths": "NotEndsWith",
}
# What a trail records when nothing is said, in the other kind of selector.
_EVERY_MANAGEMENT_EVENT: Final = [{"ReadWriteType": "All", "IncludeManagementEvents": True, "DataResources": []}]


@register
class Trail(ResourceType):
    token = "aws:cloudtrail/trail:Trail"
    _settings: ClassVar = {
        "s3BucketName": "S3BucketName",
        "s3KeyPrefix": "S3KeyPrefix",
        "snsTopicName": "SnsTopicName",
        "includeGlobalServiceEvents": "IncludeGlobalServiceEvents",
        "isMultiRegionTrail": "IsMultiRegionTrail",
        "enableLogFileValidation": "EnableLogFileValidation",
        "cloudWatchLogsGroupArn": "CloudWatchLogsLogGroupArn",
        "cloudWatchLogsRoleArn": "CloudWatchLogsRoleArn",
        "kmsKeyId": "KmsKeyId",
    }
    arguments = frozenset({"name", "enableLogging", "advancedEventSelectors", "insightSelectors", "tags", *_settings})
    required = frozenset({"s3BucketName"})
    replaces = frozenset({"name"})
    defaults: ClassVar = {
        "enableLogging": True,
        "enableLogFileValidation": False,
        "includeGlobalServiceEvents": True,
        "isMultiRegionTrail": False,
    }
    nested: ClassVar = {
        "advancedEventSelectors": {"name": None, "fieldSelectors": dict.fromkeys(_FIELD)},
        "insightSelectors": {"insightType": None},
    }
    computed = frozenset({"arn", "homeRegion"})
    unique = "name"
    autoname = "name"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        if ("cloudWatchLogsGroupArn" in inputs) != ("cloudWatchLogsRoleArn" in inputs):
            return [Failure("cloudWatchLogsRoleArn", f"{self.token}: a log group and a role to write to it go together")]
        group = inputs.get("cloudWatchLogsGroupArn")
        if isinstance(group, str) and not group.endswith(":*"):
            return [Failure("cloudWatchLogsGroupArn", f'{self.token}: the ARN of the log group has to end with ":*"')]
        return []

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        trail = aws.client("cloudtrail")
        arn = trail.create_trail(Name=inputs["name"], TagsList=aws.tag_list(inputs), **self._arguments(inputs))["TrailARN"]
        with undoing(lambda: self.delete(aws, arn, inputs)):
            self._set_state(aws, arn, inputs, {name for name in self._state_arguments if name in inputs})
        return arn, {"arn": arn, "homeRegion": aws.region}

    _state_arguments: ClassVar = {"advancedEventSelectors", "enableLogging", "insightSelectors"}

    def _arguments(self, inputs: Inputs) -> dict[str, Any]:
        return {key: inputs[name] for name, key in self._settings.items() if name in inputs}

    @staticmethod
    def _set_state(aws: Aws, arn: str, inputs: Inputs, arguments: set[str]) -> None:
        """What a trail is told by calls of its own, after it was made."""
        trail = aws.client("cloudtrail")
        if "advancedEventSelectors" in arguments:
            advanced = [_aws_selector(selector) for selector in inputs.get("advancedEventSelectors", [])]
            selectors = {"AdvancedEventSelectors": advanced} if advanced else {"EventSelectors": _EVERY_MANAGEMENT_EVENT}
            trail.put_event_selectors(TrailName=arn, **selectors)
        if "insightSelectors" in arguments:
            kinds = [{"InsightType": one["insightType"]} for one in inputs.get("insightSelectors", [])]
            trail.put_insight_selectors(TrailName=arn, InsightSelectors=kinds)
        if "enableLogging" in arguments:
            # Last: nothing is recorded before what to record is said.
            (trail.start_logging if inputs["enableLogging"] else trail.stop_logging)(Name=arn)

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        trail = aws.client("cloudtrail")
        answer = none_if_gone(trail.get_trail, Name=resource_id)
        if answer is None:
            return None
        found = answer["Trail"]
        live = {name: None if found.get(key) == "" else found.get(key) for name, key in self._settings.items()}
        live["enableLogFileValidation"] = found["LogFileValidationEnabled"]
        advanced = trail.get_event_selectors(TrailName=resource_id).get("AdvancedEventSelectors")
        live["advancedEventSelectors"] = [_program_selector(selector) for selector in advanced or []] or None
        live["insightSelectors"] = self._insights(aws, resource_id)
        tags = trail.list_tags(ResourceIdList=[resource_id])["ResourceTagList"][0]["TagsList"]
        return {
            **live,
            "name": found["Name"],
            "arn": resource_id,
            "homeRegion": found.get("HomeRegion", aws.region),
            "enableLogging": trail.get_trail_status(Name=resource_id)["IsLogging"],
            "tagsAll": from_tag_list(tags),
        }

    @staticmethod
    def _insights(aws: Aws, arn: str) -> list[dict[str, str]] | None:
        answer = aws.client("cloudtrail").get_insight_selectors(TrailName=arn)
        return [{"insightType": one["InsightType"]} for one in answer.get("InsightSelectors", [])] or None

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        trail, differing = aws.client("cloudtrail"), changed(old, new, self.arguments)
        if differing & self._settings.keys():
            # An empty text takes away what the program no longer gives.
            gone = {self._settings[name]: "" for name in differing & self._settings.keys() if name not in new}
            trail.update_trail(Name=resource_id, **{**self._arguments(new), **gone})
        self._set_state(aws, resource_id, new, differing)
        to_set, to_remove = tag_changes(aws, old, new)
        if to_remove:
            before = old.get("tagsAll") or {}
            trail.remove_tags(ResourceId=resource_id, TagsList=[{"Key": key, "Value": before[key]} for key in to_remove])
        if to_set:
            trail.add_tags(ResourceId=resource_id, TagsList=[{"Key": key, "Value": value} for key, value in to_set.items()])
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("cloudtrail").delete_trail(Name=resource_id)


def _aws_selector(selector: Mapping[str, Any]) -> dict[str, Any]:
    fields = [{_FIELD[name]: value for name, value in one.items()} for one in selector["fieldSelectors"]]
    return {"Name": selector.get("name", ""), "FieldSelectors": fields}


def _program_selector(selector: Mapping[str, Any]) -> dict[str, Any]:
    names = {key: name for name, key in _FIELD.items()}
    fields = [{names[key]: value for key, value in one.items()} for one in selector["FieldSelectors"]]
    name = {"name": selector["Name"]} if selector.get("Name") else {}
    return {**name, "fieldSelectors": fields}
