"""Groups of EC2 instances, and when they grow and shrink."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from typing import Any, ClassVar

from botocore.exceptions import ClientError

from local_cloud.provider.framework import Aws, Failure, Inputs, ResourceType, changed, register, undoing
from local_cloud.provider.names import given, live, one, same_set


@register
class Group(ResourceType):
    """Its tags are a list that says for each whether instances get it; the provider's default tags do not reach it."""

    token = "aws:autoscaling/group:Group"
    nested: ClassVar = {
        "launchTemplate": {"id": None, "version": None},
        "tags": {"key": None, "value": None, "propagateAtLaunch": None},
    }
    arguments = frozenset({"name", "minSize", "maxSize", "desiredCapacity", "vpcZoneIdentifiers", *nested})
    required = frozenset({"minSize", "maxSize", "launchTemplate", "vpcZoneIdentifiers"})
    replaces = frozenset({"name"})
    computed = frozenset({"arn"})
    unique = "name"
    autoname = "name"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        least, wanted, most = (inputs.get(name) for name in ("minSize", "desiredCapacity", "maxSize"))
        sizes = [size for size in (least, wanted, most) if isinstance(size, int | float)]
        if sizes != sorted(sizes):
            return [Failure("desiredCapacity", f"{self.token}: desiredCapacity has to be from minSize to maxSize")]
        return []

    @staticmethod
    def _settings(inputs: Inputs) -> dict[str, Any]:
        template = one(inputs["launchTemplate"])
        return {
            "AutoScalingGroupName": inputs["name"],
            "MinSize": inputs["minSize"],
            "MaxSize": inputs["maxSize"],
            "VPCZoneIdentifier": ",".join(inputs["vpcZoneIdentifiers"]),
            "LaunchTemplate": {"LaunchTemplateId": template["id"], "Version": template.get("version", "$Default")},
        }

    @staticmethod
    def _tags(inputs: Inputs) -> list[dict[str, Any]]:
        return [
            {
                "ResourceId": inputs["name"],
                "ResourceType": "auto-scaling-group",
                "Key": tag["key"],
                "Value": tag["value"],
                "PropagateAtLaunch": tag["propagateAtLaunch"],
            }
            for tag in inputs.get("tags") or []
        ]

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        name = inputs["name"]
        aws.client("autoscaling").create_auto_scaling_group(
            **self._settings(inputs), **given(DesiredCapacity=inputs.get("desiredCapacity")), Tags=self._tags(inputs)
        )
        with undoing(lambda: self.delete(aws, name, inputs)):
            group = self._describe(aws, name)
            return name, {"arn": group["AutoScalingGroupARN"] if group else ""}

    @staticmethod
    def _describe(aws: Aws, name: str) -> dict[str, Any] | None:
        groups = aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
        return groups[0] if groups else None

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        group = self._describe(aws, resource_id)
        if group is None:
            return None
        template, mine = group.get("LaunchTemplate", {}), one(state["launchTemplate"])
        found = {"id": template.get("LaunchTemplateId"), "version": template.get("Version")}
        tags = [
            {"key": tag["Key"], "value": tag["Value"], "propagateAtLaunch": tag["PropagateAtLaunch"]} for tag in group["Tags"]
        ]
        same_tags = sorted(tags, key=lambda tag: tag["key"]) == sorted(state.get("tags") or [], key=lambda tag: tag["key"])
        return {
            "arn": group["AutoScalingGroupARN"],
            "minSize": group["MinSize"],
            "maxSize": group["MaxSize"],
            "vpcZoneIdentifiers": same_set(state, "vpcZoneIdentifiers", group["VPCZoneIdentifier"].split(",")),
            "launchTemplate": state["launchTemplate"] if found == mine else found,
            **({} if same_tags else {"tags": tags}),
            **live(state, desiredCapacity=group["DesiredCapacity"]),
        }

    def update(self, aws: Aws, _resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        client, differing = aws.client("autoscaling"), changed(old, new, self.arguments)
        # The size is what schedules set meanwhile: it is said only by who wants another one.
        wanted = new.get("desiredCapacity") if "desiredCapacity" in differing else None
        if differing - {"tags"}:
            client.update_auto_scaling_group(**self._settings(new), **given(DesiredCapacity=wanted))
        if "tags" in differing:
            before, after = self._tags({**old, "name": new["name"]}), self._tags(new)
            kept = {tag["Key"] for tag in after}
            if removed := [tag for tag in before if tag["Key"] not in kept]:
                client.delete_tags(Tags=removed)
            if after:
                client.create_or_update_tags(Tags=after)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        if self._describe(aws, resource_id) is not None:
            # With its instances: they are nothing without their group.
            aws.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=resource_id, ForceDelete=True)


@register
class Schedule(ResourceType):
    """What a group's size becomes at certain times."""

    token = "aws:autoscaling/schedule:Schedule"
    _settings: ClassVar = {
        "minSize": "MinSize",
        "maxSize": "MaxSize",
        "desiredCapacity": "DesiredCapacity",
        "recurrence": "Recurrence",
        "timeZone": "TimeZone",
    }
    arguments = frozenset({"scheduledActionName", "autoscalingGroupName", *_settings})
    required = frozenset({"scheduledActionName", "autoscalingGroupName", "recurrence"})
    replaces = frozenset({"scheduledActionName", "autoscalingGroupName"})
    computed = frozenset({"arn"})
    unique = "scheduledActionName"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        recurrence = inputs["recurrence"]
        if isinstance(recurrence, str) and len(recurrence.split()) != 5:
            return [Failure("recurrence", f"{self.token}: the recurrence has to be minute, hour, day, month and weekday")]
        return []

    def _put(self, aws: Aws, inputs: Inputs) -> None:
        aws.client("autoscaling").put_scheduled_update_group_action(
            AutoScalingGroupName=inputs["autoscalingGroupName"],
            ScheduledActionName=inputs["scheduledActionName"],
            **given(**{theirs: inputs.get(name) for name, theirs in self._settings.items()}),
        )

    @staticmethod
    def _describe(aws: Aws, state: Inputs) -> dict[str, Any] | None:
        actions = aws.client("autoscaling").describe_scheduled_actions(
            AutoScalingGroupName=state["autoscalingGroupName"], ScheduledActionNames=[state["scheduledActionName"]]
        )["ScheduledUpdateGroupActions"]
        return actions[0] if actions else None

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._put(aws, inputs)
        group, name = inputs["autoscalingGroupName"], inputs["scheduledActionName"]
        arn = aws.arn("autoscaling", f"scheduledUpdateGroupAction:*:autoScalingGroupName/{group}:scheduledActionName/{name}")
        return name, {"arn": arn}

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        action = self._describe(aws, state)
        if action is None:
            return None
        return live(state, **{name: action.get(theirs) for name, theirs in self._settings.items()})

    def update(self, aws: Aws, _resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._put(aws, new)
        return {}

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        if self._describe(aws, state) is not None:
            try:
                aws.client("autoscaling").delete_scheduled_action(
                    AutoScalingGroupName=state["autoscalingGroupName"], ScheduledActionName=state["scheduledActionName"]
                )
            except ClientError:
                # It went with its group meanwhile.
                if self._describe(aws, state) is not None:
                    raise
