from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

TARGET, POLICY, ACTION = (
    "aws:appautoscaling/target:Target",
    "aws:appautoscaling/policy:Policy",
    "aws:appautoscaling/scheduledAction:ScheduledAction",
)
PLACE = {
    "serviceNamespace": "ecs",
    "resourceId": "service/scaled/worker",
    "scalableDimension": "ecs:service:DesiredCount",
}
CPU = {
    "targetValue": 60,
    "scaleInCooldown": 300,
    "scaleOutCooldown": 60,
    "predefinedMetricSpecification": {"predefinedMetricType": "ECSServiceAverageCPUUtilization"},
}
STEPS = {
    "adjustmentType": "ChangeInCapacity",
    "cooldown": 300,
    "metricAggregationType": "Maximum",
    "stepAdjustments": [{"scalingAdjustment": 1, "metricIntervalLowerBound": "0"}],
}
BACKLOG = {
    "targetValue": 1,
    "customizedMetricSpecification": {
        "metrics": [
            {
                "id": "visible",
                "returnData": False,
                "metricStat": {
                    "metric": {
                        "metricName": "ApproximateNumberOfMessagesVisible",
                        "namespace": "AWS/SQS",
                        "dimensions": [{"name": "QueueName", "value": "work"}],
                    },
                    "stat": "Maximum",
                },
            },
            {"id": "backlog", "expression": "visible / 2", "label": "backlog", "returnData": True},
        ]
    },
}


@pytest.fixture(scope="module")
def scaling(cloud: Any) -> Any:
    """The client, with a service that can be scaled."""
    ecs = cloud.client("ecs")
    ecs.create_cluster(clusterName="scaled")
    container: dict[str, Any] = {"name": "worker", "image": "heartmap", "memory": 128}
    task = ecs.register_task_definition(family="scaled", containerDefinitions=[container])["taskDefinition"]["taskDefinitionArn"]
    ecs.create_service(cluster="scaled", serviceName="worker", taskDefinition=task, desiredCount=0)
    return cloud.client("application-autoscaling")


@pytest.fixture
def target(make: Callable[..., Any], scaling: Any) -> Iterator[Any]:
    made = make(TARGET, **PLACE, minCapacity=0, maxCapacity=2)
    yield made
    made.delete()


def found(scaling: Any) -> dict[str, Any]:
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="ecs", ResourceIds=[PLACE["resourceId"]])["ScalableTargets"]
    return target


def test_a_target_can_be_made_changed_and_deleted(target: Any, scaling: Any) -> None:
    assert target.id == "service/scaled/worker"
    assert target.drift() == {}
    arn = found(scaling)["ScalableTargetARN"]
    assert target.state["arn"] == arn
    target.update(maxCapacity=5, tags={"a": "b"})
    assert target.drift() == {}
    assert (found(scaling)["MinCapacity"], found(scaling)["MaxCapacity"]) == (0, 5)
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"project": "heartmap", "a": "b"}
    target.update(tags=None)
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"project": "heartmap"}
    target.delete()
    assert target.read() is None
    target.delete()


def test_a_change_of_another_argument_leaves_what_a_schedule_has_set(target: Any, scaling: Any) -> None:
    place = {"ServiceNamespace": "ecs", "ResourceId": target.id, "ScalableDimension": PLACE["scalableDimension"]}
    scaling.register_scalable_target(**place, MinCapacity=1)
    target.update(maxCapacity=4)
    assert (found(scaling)["MinCapacity"], found(scaling)["MaxCapacity"]) == (1, 4)
    assert target.drift() == {"minCapacity": (0, 1)}


def test_a_minimum_above_the_maximum_is_refused(refusals: Callable[..., list[str]]) -> None:
    (reason,) = refusals(TARGET, **PLACE, minCapacity=3, maxCapacity=2)
    assert "minCapacity" in reason


@pytest.mark.parametrize(
    ("kind", "key", "name", "configuration", "change"),
    [
        ("TargetTrackingScaling", "targetTrackingScalingPolicyConfiguration", "cpu", CPU, {"targetValue": 70}),
        ("TargetTrackingScaling", "targetTrackingScalingPolicyConfiguration", "backlog", BACKLOG, {"targetValue": 2}),
        ("StepScaling", "stepScalingPolicyConfiguration", "wake", STEPS, {"cooldown": 120}),
    ],
)
def test_a_policy_can_be_made_changed_and_deleted(
    make: Callable[..., Any], target: Any, scaling: Any, kind: str, key: str, name: str, configuration: Any, change: Any
) -> None:
    made = make(POLICY, name=name, policyType=kind, **PLACE, **{key: configuration})
    assert made.id == name
    assert made.drift() == {}
    arn, alarms = made.state["arn"], made.state["alarmArns"]
    made.update(**{key: {**configuration, **change}})
    assert made.drift() == {}
    assert (made.state["arn"], made.state["alarmArns"]) == (arn, alarms)
    made.delete()
    assert made.read() is None
    made.delete()


def test_a_policy_that_somebody_changed_is_found_out(make: Callable[..., Any], target: Any, scaling: Any) -> None:
    key = "stepScalingPolicyConfiguration"
    made = make(POLICY, name="changed", policyType="StepScaling", **PLACE, **{key: STEPS})
    step = {"ScalingAdjustment": 9, "MetricIntervalLowerBound": 0.0}
    scaling.put_scaling_policy(
        PolicyName="changed",
        PolicyType="StepScaling",
        ServiceNamespace="ecs",
        ResourceId=target.id,
        ScalableDimension=PLACE["scalableDimension"],
        StepScalingPolicyConfiguration={"AdjustmentType": "ChangeInCapacity", "StepAdjustments": [step]},
    )
    assert set(made.drift()) == {key}
    assert "9" in json.dumps(made.drift()[key][1])
    made.delete()


def test_the_alarms_of_target_tracking_come_and_go_with_the_policy(make: Callable[..., Any], target: Any, cloud: Any) -> None:
    def alarms() -> list[str]:
        return sorted(alarm["AlarmArn"] for alarm in cloud.client("cloudwatch").describe_alarms()["MetricAlarms"])

    before = alarms()
    key = "targetTrackingScalingPolicyConfiguration"
    made = make(POLICY, name="alarms", policyType="TargetTrackingScaling", **PLACE, **{key: CPU})
    made.update(**{key: {**CPU, "targetValue": 70}})
    assert sorted(made.state["alarmArns"]) == sorted(set(alarms()) - set(before))
    made.delete()
    assert alarms() == before


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"policyType": "PredictiveScaling", "stepScalingPolicyConfiguration": STEPS}, "policyType"),
        ({"policyType": "StepScaling"}, "stepScalingPolicyConfiguration"),
        ({"policyType": "StepScaling", "targetTrackingScalingPolicyConfiguration": CPU}, "stepScalingPolicyConfiguration"),
    ],
)
def test_a_policy_without_the_configuration_of_its_type_is_refused(
    refusals: Callable[..., list[str]], given: dict[str, Any], reason: str
) -> None:
    (told,) = refusals(POLICY, name="x", **PLACE, **given)
    assert reason in told


def test_a_scheduled_action_can_be_made_changed_and_deleted(make: Callable[..., Any], target: Any) -> None:
    made = make(
        ACTION,
        name="night",
        **PLACE,
        schedule="cron(0 18 ? * MON-FRI *)",
        timezone="Europe/Berlin",
        scalableTargetAction={"minCapacity": 0, "maxCapacity": 0},
    )
    assert made.id == "night"
    assert made.state["arn"].endswith("scheduledActionName/night")
    assert made.drift() == {}
    made.update(schedule="cron(0 19 ? * MON-FRI *)", scalableTargetAction={"minCapacity": 0, "maxCapacity": 1})
    assert made.drift() == {}
    made.delete()
    assert made.read() is None
    made.delete()


def test_a_schedule_that_is_none_is_refused(refusals: Callable[..., list[str]]) -> None:
    (reason,) = refusals(ACTION, **PLACE, schedule="0 18 * * *", scalableTargetAction={"minCapacity": 0})
    assert "cron" in reason


def test_what_does_not_exist_cannot_be_tagged(scaling: Any) -> None:
    with pytest.raises(ClientError, match="ObjectNotFoundException"):
        scaling.tag_resource(
            ResourceARN="arn:aws:application-autoscaling:us-east-1:123456789012:scalable-target/0", Tags={"a": "b"}
        )
