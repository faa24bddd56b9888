import re
from collections.abc import Callable
from typing import Any

import pytest


def policies(plan: Any) -> dict[str, dict[str, Any]]:
    return {policy.name: policy.inputs for policy in plan.of("appautoscaling/policy:Policy")}


def test_both_services_scale_between_what_the_settings_say(plan: Any) -> None:
    settings = plan.settings
    expected = {
        "api": (settings.api_tasks_min, settings.api_tasks_max),
        "worker": (settings.worker_tasks_min, settings.worker_tasks_max),
    }
    targets = {target.name: target.inputs for target in plan.of("appautoscaling/target:Target")}
    assert {name: (target["minCapacity"], target["maxCapacity"]) for name, target in targets.items()} == expected
    for name, target in targets.items():
        assert target["serviceNamespace"] == "ecs"
        assert target["scalableDimension"] == "ecs:service:DesiredCount"
        service = plan.one("ecs/service:Service", name).inputs["name"]
        assert target["resourceId"] == f"service/heartmap-{plan.stack}/{service}"


def test_the_api_follows_its_cpu_and_its_requests(plan: Any) -> None:
    cpu = policies(plan)["api-cpu"]["targetTrackingScalingPolicyConfiguration"]
    requests = policies(plan)["api-requests"]["targetTrackingScalingPolicyConfiguration"]
    assert cpu["predefinedMetricSpecification"] == {"predefinedMetricType": "ECSServiceAverageCPUUtilization"}
    assert requests["predefinedMetricSpecification"] == {
        "predefinedMetricType": "ALBRequestCountPerTarget",
        "resourceLabel": "LoadBalancer/balancer/arnSuffix/TargetGroup/balancer/arnSuffix",
    }
    assert 40 <= cpu["targetValue"] <= 75
    for configuration in (cpu, requests):
        assert configuration["scaleOutCooldown"] < configuration["scaleInCooldown"]


def test_the_workers_follow_the_jobs_that_wait_and_run_by_the_tasks_that_there_are(plan: Any) -> None:
    policy = policies(plan)["worker-backlog"]["targetTrackingScalingPolicyConfiguration"]
    metrics = {metric["id"]: metric for metric in policy["customizedMetricSpecification"]["metrics"]}
    backlog = metrics.pop("backlog")
    assert (backlog["expression"], backlog["returnData"], policy["targetValue"]) == ("(waiting + running) / tasks", True, 1)
    assert "disableScaleIn" not in policy
    measured = {
        id_: (
            metric["metricStat"]["metric"]["namespace"],
            metric["metricStat"]["metric"]["metricName"],
            {one["name"]: one["value"] for one in metric["metricStat"]["metric"]["dimensions"]},
            metric["returnData"],
        )
        for id_, metric in metrics.items()
    }
    queue, service = {"QueueName": "Queue/work"}, plan.one("ecs/service:Service", "worker").inputs["name"]
    assert measured == {
        "waiting": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", queue, False),
        "running": ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", queue, False),
        "tasks": (
            "ECS/ContainerInsights",
            "RunningTaskCount",
            {"ClusterName": f"heartmap-{plan.stack}", "ServiceName": service},
            False,
        ),
    }
    # Every id of the expression is a metric: CloudWatch refuses others.
    assert set(re.findall(r"[a-z]+", backlog["expression"])) == set(metrics)


def test_a_waiting_message_adds_the_first_worker(plan: Any) -> None:
    policy = plan.one("appautoscaling/policy:Policy", "worker-wake")
    steps = policy.inputs["stepScalingPolicyConfiguration"]
    assert policy.inputs["policyType"] == "StepScaling"
    assert (steps["adjustmentType"], steps["stepAdjustments"]) == (
        "ChangeInCapacity",
        [{"metricIntervalLowerBound": "0", "scalingAdjustment": 1}],
    )
    # A worker takes about two minutes to start: no second one is added for the same message meanwhile.
    assert steps["cooldown"] >= 240
    alarm = plan.one("cloudwatch/metricAlarm:MetricAlarm", "worker-wake").inputs
    assert alarm["alarmActions"] == [f"arn:aws:{policy.id}"]
    assert (
        alarm["metricName"],
        alarm["threshold"],
        alarm["comparisonOperator"],
        alarm["period"],
        alarm["evaluationPeriods"],
    ) == (
        "ApproximateNumberOfMessagesVisible",
        1,
        "GreaterThanOrEqualToThreshold",
        60,
        1,
    )
    assert alarm["dimensions"] == {"QueueName": "Queue/work"}


def test_in_dev_the_api_runs_in_working_hours_only(planned: Callable[[str], Any]) -> None:
    plan = planned("dev")
    hours = plan.settings.working_hours
    actions = {action.name: action.inputs for action in plan.of("appautoscaling/scheduledAction:ScheduledAction")}
    assert actions["api-start"]["schedule"] == f"cron(0 {hours.start.hour} ? * MON,TUE,WED,THU,FRI *)"
    assert actions["api-stop"]["schedule"] == f"cron(0 {hours.stop.hour} ? * MON,TUE,WED,THU,FRI *)"
    assert actions["api-start"]["scalableTargetAction"] == {
        "minCapacity": plan.settings.api_tasks_min,
        "maxCapacity": plan.settings.api_tasks_max,
    }
    assert actions["api-stop"]["scalableTargetAction"] == {"minCapacity": 0, "maxCapacity": 0}
    for action in actions.values():
        assert action["timezone"] == plan.settings.time_zone
        assert action["resourceId"] == plan.one("appautoscaling/target:Target", "api").inputs["resourceId"]
    # What the schedule sets at night is no difference that an `up` would undo.
    assert plan.one("appautoscaling/target:Target", "api").ignored == ["minCapacity", "maxCapacity"]
    assert plan.one("appautoscaling/target:Target", "worker").ignored == []


@pytest.mark.parametrize("stack", ["local", "prod"])
def test_without_working_hours_nothing_is_scheduled_and_the_settings_hold(stack: str, planned: Callable[[str], Any]) -> None:
    plan = planned(stack)
    assert plan.of("appautoscaling/scheduledAction:ScheduledAction") == []
    assert [target.ignored for target in plan.of("appautoscaling/target:Target")] == [[], []]


def test_the_hours_are_those_of_the_settings(run: Callable[..., Any]) -> None:
    plan = run("dev", {"heartmap:working_hours": "SAT-SUN 0-1", "heartmap:time_zone": "Europe/Berlin"})
    action = plan.one("appautoscaling/scheduledAction:ScheduledAction", "api-start").inputs
    assert (action["schedule"], action["timezone"]) == ("cron(0 0 ? * SAT,SUN *)", "Europe/Berlin")


def test_workers_scale_from_none_where_the_settings_say_so(planned: Callable[[str], Any]) -> None:
    for stack, least in (("local", 1), ("dev", 0), ("prod", 0)):
        assert planned(stack).one("appautoscaling/target:Target", "worker").inputs["minCapacity"] == least
