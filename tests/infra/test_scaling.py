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


# How many tasks are added when so many jobs have no worker, or so many workers no job.
OUT = {1: 1, 2: 2, 3: 2, 4: 4, 7: 4, 8: 8, 4095: 2048, 4096: 4096, 1_000_000: 4096}
IN = {1: -1, 2: -1, 3: -1, 4: -2, 7: -2, 8: -4, 4096: -2048, 1_000_000: -2048}


def adjustment(plan: Any, name: str, value: float) -> int:
    """What AWS does at this value of the alarm's metric: a lower bound belongs to its step, an upper one to the next."""
    threshold = plan.one("cloudwatch/metricAlarm:MetricAlarm", name).inputs["threshold"]
    found = [
        step["scalingAdjustment"]
        for step in policies(plan)[name]["stepScalingPolicyConfiguration"]["stepAdjustments"]
        if float(step["metricIntervalLowerBound"]) <= value - threshold < float(step.get("metricIntervalUpperBound", "inf"))
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(("name", "expected"), [("worker-out", OUT), ("worker-in", IN)])
def test_workers_are_added_and_taken_away_by_how_many_are_missing_or_idle(plan: Any, name: str, expected: dict[int, int]) -> None:
    policy = policies(plan)[name]
    assert policy["policyType"] == "StepScaling"
    assert policy["stepScalingPolicyConfiguration"]["adjustmentType"] == "ChangeInCapacity"
    # A worker takes about two minutes to start: none is added for the same job meanwhile.
    assert policy["stepScalingPolicyConfiguration"]["cooldown"] >= 180
    # More AWS does not take.
    assert len(policy["stepScalingPolicyConfiguration"]["stepAdjustments"]) <= 20
    assert {value: adjustment(plan, name, value) for value in expected} == expected
    alarm = plan.one("cloudwatch/metricAlarm:MetricAlarm", name).inputs
    assert alarm["alarmActions"] == [f"arn:aws:{plan.one('appautoscaling/policy:Policy', name).id}"]
    assert (alarm["threshold"], alarm["comparisonOperator"]) == (1, "GreaterThanOrEqualToThreshold")


def test_no_more_workers_are_taken_away_than_idle(plan: Any) -> None:
    for idle in range(1, 5000):
        assert -idle <= adjustment(plan, "worker-in", idle) <= -1
        assert 1 <= adjustment(plan, "worker-out", idle) <= idle


def test_workers_come_at_once_and_go_after_minutes(plan: Any) -> None:
    alarms = {name: plan.one("cloudwatch/metricAlarm:MetricAlarm", name).inputs for name in ("worker-out", "worker-in")}
    assert (alarms["worker-out"]["evaluationPeriods"], alarms["worker-in"]["evaluationPeriods"]) == (1, 4)


def test_what_is_missing_are_jobs_beyond_the_tasks_that_were_asked_for(plan: Any) -> None:
    queue, service = {"QueueName": "Queue/work"}, plan.one("ecs/service:Service", "worker").inputs["name"]
    for name, expression in (
        ("worker-out", "waiting + running - FILL(desired, 0)"),
        ("worker-in", "FILL(desired, 0) - waiting - running"),
    ):
        metrics = {one["id"]: one for one in plan.one("cloudwatch/metricAlarm:MetricAlarm", name).inputs["metricQueries"]}
        jobs = metrics.pop("jobs")
        assert (jobs["expression"], jobs["returnData"]) == (expression, True)
        measured = {
            id_: (*(one["metric"][key] for key in ("namespace", "metricName", "stat", "period", "dimensions")), one["returnData"])
            for id_, one in metrics.items()
        }
        tasks = {"ClusterName": f"heartmap-{plan.stack}", "ServiceName": service}
        assert measured == {
            "waiting": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", 60, queue, False),
            "running": ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "Maximum", 60, queue, False),
            # Those that still start are among them; those that run are not yet all there are.
            "desired": ("ECS/ContainerInsights", "DesiredTaskCount", "Average", 60, tasks, False),
        }
        # Every id of the expression is a metric: CloudWatch refuses others.
        assert set(re.findall(r"[a-z]+", expression)) == set(metrics)


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
