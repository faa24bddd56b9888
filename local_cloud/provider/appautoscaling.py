"""Application Auto Scaling: what may be scaled, by which policies, and at which hours."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from local_cloud.provider.framework import (
    UNKNOWN,
    Aws,
    Failure,
    Inputs,
    ResourceType,
    changed,
    ignoring_gone,
    register,
    tag_changes,
)
from local_cloud.provider.names import from_aws, to_aws

SERVICE: Final = "application-autoscaling"
# https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScheduledAction.html
_SCHEDULE: Final = re.compile(r"(at|rate|cron)\(.+\)")
_PLACE: Final = ("serviceNamespace", "resourceId", "scalableDimension")


def _place(inputs: Mapping[str, Any]) -> dict[str, str]:
    """What is scaled, as every call names it."""
    return {"ServiceNamespace": inputs[_PLACE[0]], "ResourceId": inputs[_PLACE[1]], "ScalableDimension": inputs[_PLACE[2]]}


@register
class Target(ResourceType):
    token = "aws:appautoscaling/target:Target"
    arguments = frozenset({*_PLACE, "minCapacity", "maxCapacity", "tags"})
    required = arguments - {"tags"}
    replaces = frozenset(_PLACE)
    computed = frozenset({"arn"})
    unique = "resourceId"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        least, most = inputs["minCapacity"], inputs["maxCapacity"]
        if isinstance(least, int) and isinstance(most, int) and not 0 <= least <= most:
            return [Failure("minCapacity", f"{self.token}: minCapacity has to be from 0 to maxCapacity")]
        return []

    @staticmethod
    def _capacity(inputs: Mapping[str, Any]) -> dict[str, int]:
        return {"MinCapacity": inputs["minCapacity"], "MaxCapacity": inputs["maxCapacity"]}

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        answer = aws.client(SERVICE).register_scalable_target(**_place(inputs), **self._capacity(inputs), Tags=aws.tags(inputs))
        return inputs["resourceId"], {"arn": answer["ScalableTargetARN"]}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        client, place = aws.client(SERVICE), _place(state)
        found = client.describe_scalable_targets(
            ServiceNamespace=place["ServiceNamespace"],
            ResourceIds=[resource_id],
            ScalableDimension=place["ScalableDimension"],
        )["ScalableTargets"]
        if not found:
            return None
        return {
            "arn": found[0]["ScalableTargetARN"],
            "minCapacity": found[0]["MinCapacity"],
            "maxCapacity": found[0]["MaxCapacity"],
            "tagsAll": client.list_tags_for_resource(ResourceARN=found[0]["ScalableTargetARN"])["Tags"],
        }

    def update(self, aws: Aws, _resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        client = aws.client(SERVICE)
        # What did not change stays unsaid: a scheduled action may have set it to something else since.
        capacity = {name: value for name, value in self._capacity(new).items() if value != self._capacity(old)[name]}
        if capacity:
            client.register_scalable_target(**_place(new), **capacity)
        to_set, to_remove = tag_changes(aws, old, new)
        if to_remove:
            client.untag_resource(ResourceARN=old["arn"], TagKeys=to_remove)
        if to_set:
            client.tag_resource(ResourceARN=old["arn"], Tags=to_set)
        return {}

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client(SERVICE).deregister_scalable_target(**_place(state))


_METRIC_STAT: Final = {
    "metric": {"metricName": None, "namespace": None, "dimensions": {"name": None, "value": None}},
    "stat": None,
    "unit": None,
}


@register
class Policy(ResourceType):
    token = "aws:appautoscaling/policy:Policy"
    _kinds: ClassVar = {
        "StepScaling": "stepScalingPolicyConfiguration",
        "TargetTrackingScaling": "targetTrackingScalingPolicyConfiguration",
    }
    arguments = frozenset({"name", "policyType", *_PLACE, *_kinds.values()})
    required = frozenset({"policyType", *_PLACE})
    replaces = frozenset({"name", "policyType", *_PLACE})
    nested: ClassVar = {
        "stepScalingPolicyConfiguration": {
            "adjustmentType": None,
            "cooldown": None,
            "metricAggregationType": None,
            "stepAdjustments": {"scalingAdjustment": None, "metricIntervalLowerBound": None, "metricIntervalUpperBound": None},
        },
        "targetTrackingScalingPolicyConfiguration": {
            "targetValue": None,
            "disableScaleIn": None,
            "scaleInCooldown": None,
            "scaleOutCooldown": None,
            "predefinedMetricSpecification": {"predefinedMetricType": None, "resourceLabel": None},
            "customizedMetricSpecification": {
                "metrics": {"id": None, "expression": None, "label": None, "returnData": None, "metricStat": _METRIC_STAT}
            },
        },
    }
    computed = frozenset({"arn", "alarmArns"})
    unique = "name"
    autoname = "name"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        kind = inputs["policyType"]
        if kind is UNKNOWN:
            return []
        if kind not in self._kinds:
            return [Failure("policyType", f"{self.token}: policyType has to be one of {', '.join(self._kinds)}")]
        wanted = self._kinds[kind]
        given = [name for name in self._kinds.values() if name in inputs]
        if given != [wanted]:
            return [Failure(wanted, f"{self.token}: a policy of the type {kind} has {wanted} and no other configuration")]
        return []

    def _rendered(self, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """The name of the configuration in the API, and the configuration."""
        name = self._kinds[inputs["policyType"]]
        rendered = to_aws(inputs[name])
        for step in rendered.get("StepAdjustments", []):
            for bound in ("MetricIntervalLowerBound", "MetricIntervalUpperBound"):
                if bound in step:
                    step[bound] = float(step[bound])  # Pulumi knows them as text
        return name[:1].upper() + name[1:], rendered

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        return inputs["name"], self._put(aws, inputs)

    def _put(self, aws: Aws, inputs: Inputs) -> dict[str, Any]:
        name, configuration = self._rendered(inputs)
        answer = aws.client(SERVICE).put_scaling_policy(
            PolicyName=inputs["name"], PolicyType=inputs["policyType"], **_place(inputs), **{name: configuration}
        )
        return {"arn": answer["PolicyARN"], "alarmArns": [alarm["AlarmARN"] for alarm in answer["Alarms"]]}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        # By the place and not by the name: what else is told there is a handful.
        answer = aws.client(SERVICE).describe_scaling_policies(**_place(state))["ScalingPolicies"]
        found = next((policy for policy in answer if policy["PolicyName"] == resource_id), None)
        if found is None:
            return None
        name, configuration = self._rendered(state)
        live: dict[str, Any] = {
            "arn": found["PolicyARN"],
            "policyType": found["PolicyType"],
            "alarmArns": [alarm["AlarmARN"] for alarm in found["Alarms"]],
        }
        if found.get(name) != configuration:
            live[self._kinds[state["policyType"]]] = from_aws(found.get(name))
        return live

    def update(self, aws: Aws, _resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        return self._put(aws, new)

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client(SERVICE).delete_scaling_policy(PolicyName=resource_id, **_place(state))


@register
class ScheduledAction(ResourceType):
    token = "aws:appautoscaling/scheduledAction:ScheduledAction"
    arguments = frozenset({"name", "schedule", "timezone", "scalableTargetAction", *_PLACE})
    required = frozenset({"schedule", "scalableTargetAction", *_PLACE})
    replaces = frozenset({"name", *_PLACE})
    nested: ClassVar = {"scalableTargetAction": {"minCapacity": None, "maxCapacity": None}}
    defaults: ClassVar = {"timezone": "UTC"}
    computed = frozenset({"arn"})
    unique = "name"
    autoname = "name"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        schedule = inputs["schedule"]
        if isinstance(schedule, str) and not _SCHEDULE.fullmatch(schedule):
            return [Failure("schedule", f"{self.token}: the schedule has to be at(...), rate(...) or cron(...)")]
        return []

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._put(aws, inputs)
        return inputs["name"], {"arn": self._found(aws, inputs["name"], inputs)["ScheduledActionARN"]}

    @staticmethod
    def _put(aws: Aws, inputs: Inputs) -> None:
        aws.client(SERVICE).put_scheduled_action(
            ScheduledActionName=inputs["name"],
            Schedule=inputs["schedule"],
            Timezone=inputs["timezone"],
            ScalableTargetAction=to_aws(inputs["scalableTargetAction"]),
            **_place(inputs),
        )

    @staticmethod
    def _found(aws: Aws, name: str, state: Mapping[str, Any]) -> dict[str, Any]:
        answer = aws.client(SERVICE).describe_scheduled_actions(ScheduledActionNames=[name], **_place(state))
        return next(iter(answer["ScheduledActions"]), {})

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        found = self._found(aws, resource_id, state)
        if not found:
            return None
        return {
            "arn": found["ScheduledActionARN"],
            "schedule": found["Schedule"],
            "timezone": found["Timezone"],
            "scalableTargetAction": from_aws(found["ScalableTargetAction"]),
        }

    def update(self, aws: Aws, _resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        if changed(old, new, self.arguments):
            self._put(aws, new)
        return {}

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client(SERVICE).delete_scheduled_action(ScheduledActionName=resource_id, **_place(state))
