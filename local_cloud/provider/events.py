"""EventBridge rules of the account's own bus, and their targets."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from typing import Any

from local_cloud.provider.framework import (
    Aws,
    Failure,
    Inputs,
    Refused,
    ResourceType,
    from_tag_list,
    ignoring_gone,
    none_if_gone,
    register,
    same_json,
    tag_changes,
)
from local_cloud.provider.names import given, live


@register
class EventRule(ResourceType):
    token = "aws:cloudwatch/eventRule:EventRule"
    arguments = frozenset({"name", "description", "eventPattern", "scheduleExpression", "tags"})
    replaces = frozenset({"name"})
    computed = frozenset({"arn"})
    unique = "name"
    autoname = "name"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        if "eventPattern" not in inputs and "scheduleExpression" not in inputs:
            return [Failure("eventPattern", f"{self.token}: a rule needs an eventPattern or a scheduleExpression")]
        return []

    @staticmethod
    def _put(aws: Aws, inputs: Inputs, **more: Any) -> str:
        answer = aws.client("events").put_rule(
            Name=inputs["name"],
            State="ENABLED",
            **given(
                Description=inputs.get("description"),
                EventPattern=inputs.get("eventPattern"),
                ScheduleExpression=inputs.get("scheduleExpression"),
            ),
            **more,
        )
        return answer["RuleArn"]

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        # PutRule changes a rule that is there, as if it were the program's own.
        if none_if_gone(aws.client("events").describe_rule, Name=inputs["name"]):
            raise Refused(f"the rule {inputs['name']} is there already: choose another name or delete it")
        return inputs["name"], {"arn": self._put(aws, inputs, Tags=aws.tag_list(inputs))}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("events").describe_rule, Name=resource_id)
        if answer is None:
            return None
        tags = aws.client("events").list_tags_for_resource(ResourceARN=answer["Arn"])["Tags"]
        pattern = answer.get("EventPattern")
        arguments = live(
            state,
            description=answer.get("Description"),
            eventPattern=same_json(pattern, state.get("eventPattern")) if pattern else None,
            scheduleExpression=answer.get("ScheduleExpression"),
        )
        return arguments | {
            "arn": answer["Arn"],
            "tagsAll": from_tag_list(tags),
        }

    def update(self, aws: Aws, _resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._put(aws, new)
        events, (to_set, to_remove) = aws.client("events"), tag_changes(aws, old, new)
        if to_remove:
            events.untag_resource(ResourceARN=old["arn"], TagKeys=to_remove)
        if to_set:
            tags = [{"Key": key, "Value": value} for key, value in to_set.items()]
            events.tag_resource(ResourceARN=old["arn"], Tags=tags)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("events").delete_rule(Name=resource_id)


@register
class EventTarget(ResourceType):
    token = "aws:cloudwatch/eventTarget:EventTarget"
    arguments = frozenset({"rule", "targetId", "arn"})
    required = arguments
    replaces = frozenset({"rule", "targetId"})
    delete_before_replace = True  # a rule has one target of an id

    @staticmethod
    def _put(aws: Aws, inputs: Inputs) -> None:
        answer = aws.client("events").put_targets(Rule=inputs["rule"], Targets=[{"Id": inputs["targetId"], "Arn": inputs["arn"]}])
        if answer["FailedEntryCount"]:
            raise Refused(f"the target {inputs['targetId']} was not taken: {answer['FailedEntries'][0].get('ErrorMessage')}")

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._put(aws, inputs)
        return f"{inputs['rule']}-{inputs['targetId']}", {}

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("events").list_targets_by_rule, Rule=state["rule"])
        targets = answer["Targets"] if answer else []
        return next(({"arn": one["Arn"]} for one in targets if one["Id"] == state["targetId"]), None)

    def update(self, aws: Aws, _resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._put(aws, new)
        return {}

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("events").remove_targets(Rule=state["rule"], Ids=[state["targetId"]])
