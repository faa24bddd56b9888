"""How many tasks run: the API follows its load and the working hours, the workers follow the queue, from none upwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra.compute import LoadBalancer, Services
from infra.data import Queue
from infra.naming import Names
from infra.settings import Settings

TYPE_API = "heartmap:scaling:ApiScaling"
TYPE_WORKER = "heartmap:scaling:WorkerScaling"

CPU_PERCENT = 60
REQUESTS_PER_TASK = 1200
"""A minute: what waits for DynamoDB and SQS takes no CPU, so that the one measure does not stand for the other."""
SCALE_OUT_SECONDS = 60
SCALE_IN_SECONDS = 300

# Of the workers: docs/scaling.md has the simulation that chose these.
WORKER_STEPS = 13
"""Each doubles what the one before adds, so that the last one adds as many tasks as an account can have."""
WORKER_COOLDOWN_SECONDS = 180
"""In which a task that was asked for has started, and CloudWatch knows of it."""
OUT_PERIODS, IN_PERIODS = 1, 4
"""Of a minute. Too few workers keep people waiting; too many cost the last minutes of a task that might be needed again."""

_Query = aws.cloudwatch.MetricAlarmMetricQueryArgs
_QueryMetric = aws.cloudwatch.MetricAlarmMetricQueryMetricArgs
_Step = aws.appautoscaling.PolicyStepScalingPolicyConfigurationStepAdjustmentArgs


def _scalable(
    name: str, cluster: Input[str], service: Input[str], least: int, most: int, opts: ResourceOptions
) -> aws.appautoscaling.Target:
    return aws.appautoscaling.Target(
        name,
        service_namespace="ecs",
        scalable_dimension="ecs:service:DesiredCount",
        resource_id=Output.concat("service/", cluster, "/", service),
        min_capacity=least,
        max_capacity=most,
        opts=opts,
    )


def _tracking(
    name: str,
    physical: str,
    target: aws.appautoscaling.Target,
    configuration: aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationArgs,
    child: ResourceOptions,
) -> None:
    aws.appautoscaling.Policy(
        name,
        name=physical,
        policy_type="TargetTrackingScaling",
        service_namespace=target.service_namespace,
        scalable_dimension=target.scalable_dimension,
        resource_id=target.resource_id,
        target_tracking_scaling_policy_configuration=configuration,
        opts=child,
    )


@dataclass(frozen=True, kw_only=True)
class ApiScalingArgs:
    names: Names
    settings: Settings
    services: Services
    balancer: LoadBalancer


class ApiScaling(pulumi.ComponentResource):
    """As many tasks of the API as its CPU and its requests ask for; outside the working hours, where there are any, none."""

    def __init__(self, name: str, args: ApiScalingArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_API, name, None, opts)
        self._args, self._child = args, ResourceOptions(parent=self)
        settings, services = args.settings, args.services
        # A schedule changes the two in AWS, twice a day; what the settings say reaches them with its next start.
        scheduled = ["minCapacity", "maxCapacity"] if settings.working_hours else None
        target = _scalable(
            "api",
            services.cluster_name,
            services.api_name,
            settings.api_tasks_min,
            settings.api_tasks_max,
            ResourceOptions(parent=self, ignore_changes=scheduled),
        )
        self._track(target, "cpu", CPU_PERCENT, "ECSServiceAverageCPUUtilization", None)
        label = Output.concat(args.balancer.arn_suffix, "/", args.balancer.target_group_arn_suffix)
        self._track(target, "requests", REQUESTS_PER_TASK, "ALBRequestCountPerTarget", label)
        if settings.working_hours:
            hours = settings.working_hours
            self._schedule(target, "start", hours.each_day, hours.start, settings.api_tasks_min, settings.api_tasks_max)
            self._schedule(target, "stop", hours.each_day, hours.stop, 0, 0)
        self.register_outputs({})

    def _track(self, target: aws.appautoscaling.Target, what: str, value: float, metric: str, label: Output[str] | None) -> None:
        specification = aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationPredefinedMetricSpecificationArgs
        configuration = aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationArgs(
            target_value=value,
            scale_out_cooldown=SCALE_OUT_SECONDS,
            scale_in_cooldown=SCALE_IN_SECONDS,
            predefined_metric_specification=specification(predefined_metric_type=metric, resource_label=label),
        )
        _tracking(f"api-{what}", self._args.names.of(f"api-{what}"), target, configuration, self._child)

    def _schedule(self, target: aws.appautoscaling.Target, what: str, days: str, at: time, least: int, most: int) -> None:
        aws.appautoscaling.ScheduledAction(
            f"api-{what}",
            name=self._args.names.of(f"api-{what}"),
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            schedule=f"cron({at.minute} {at.hour} ? * {days} *)",
            timezone=self._args.settings.time_zone,
            scalable_target_action=aws.appautoscaling.ScheduledActionScalableTargetActionArgs(
                min_capacity=least, max_capacity=most
            ),
            opts=self._child,
        )


@dataclass(frozen=True, kw_only=True)
class WorkerScalingArgs:
    names: Names
    settings: Settings
    services: Services
    queue: Queue


class WorkerScaling(pulumi.ComponentResource):
    """As many workers as there are jobs, waiting or running, from none upwards.

    What counts is how many jobs there are beyond the tasks that were asked for, started or not: a task takes longer to start than
    the next look, and what looked at the running ones alone would ask for the same task again. Each step adds or takes as many as
    are surely missing or idle. A task with a job is protected (heartmap_service.protection), so that scaling in ends those that
    idle. That CloudWatch hears of the queue also after a quiet night is the API's doing (heartmap_service.awake).
    https://docs.aws.amazon.com/autoscaling/application/userguide/step-scaling-policy-overview.html
    """

    def __init__(self, name: str, args: WorkerScalingArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_WORKER, name, None, opts)
        self._args, self._child = args, ResourceOptions(parent=self)
        settings, services = args.settings, args.services
        target = _scalable(
            "worker",
            services.cluster_name,
            services.worker_name,
            settings.worker_tasks_min,
            settings.worker_tasks_max,
            self._child,
        )
        sizes = [2**number for number in range(WORKER_STEPS)]
        self._step(
            target,
            "worker-out",
            "waiting + running - FILL(desired, 0)",
            "Jobs without a worker: adds workers. Nothing to look after",
            OUT_PERIODS,
            dict(zip(sizes, sizes, strict=True)),
        )
        self._step(
            target,
            "worker-in",
            "FILL(desired, 0) - waiting - running",
            "Workers without a job: takes some away. Nothing to look after",
            IN_PERIODS,
            # By halves, so that a job that comes just then finds one.
            {size: -max(1, size // 2) for size in sizes},
        )
        self.register_outputs({})

    def _step(
        self,
        target: aws.appautoscaling.Target,
        name: str,
        expression: str,
        description: str,
        periods: int,
        steps: Mapping[int, int],
    ) -> None:
        """``steps`` says, of the values of ``expression`` from which another step holds, how many tasks are added."""
        names, child, least = self._args.names, self._child, min(steps)
        ends = [str(value - least) for value in sorted(steps)]
        policy = aws.appautoscaling.Policy(
            name,
            name=names.of(name),
            policy_type="StepScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            step_scaling_policy_configuration=aws.appautoscaling.PolicyStepScalingPolicyConfigurationArgs(
                adjustment_type="ChangeInCapacity",
                metric_aggregation_type="Maximum",
                cooldown=WORKER_COOLDOWN_SECONDS,
                # A step is bounded by how far the value is above the alarm's threshold.
                step_adjustments=[
                    _Step(metric_interval_lower_bound=lower, metric_interval_upper_bound=upper, scaling_adjustment=steps[value])
                    for value, lower, upper in zip(sorted(steps), ends, [*ends[1:], None], strict=True)
                ],
            ),
            opts=child,
        )
        aws.cloudwatch.MetricAlarm(
            name,
            name=names.of(name),
            alarm_description=description,
            metric_queries=[*self._measured(), _Query(id="jobs", expression=expression, label=description, return_data=True)],
            comparison_operator="GreaterThanOrEqualToThreshold",
            threshold=least,
            evaluation_periods=periods,
            # A queue of which CloudWatch hears nothing has no messages.
            treat_missing_data="notBreaching",
            actions_enabled=True,
            alarm_actions=[policy.arn],
            opts=child,
        )

    def _measured(self) -> list[_Query]:
        services = self._args.services
        queue = {"QueueName": self._args.queue.arn.apply(lambda arn: arn.rpartition(":")[2])}
        service = {"ClusterName": services.cluster_name, "ServiceName": services.worker_name}

        def metric(id_: str, namespace: str, name: str, stat: str, dimensions: Mapping[str, Input[str]]) -> _Query:
            measured = _QueryMetric(namespace=namespace, metric_name=name, dimensions=dimensions, period=60, stat=stat)
            return _Query(id=id_, metric=measured, return_data=False)

        return [
            metric("waiting", "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", queue),
            metric("running", "AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "Maximum", queue),
            metric("desired", "ECS/ContainerInsights", "DesiredTaskCount", "Average", service),
        ]
