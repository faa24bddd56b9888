"""How many tasks run: the API follows its load and the working hours, the workers follow the queue, from none upwards."""

from dataclasses import dataclass
from datetime import time

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra.alarms import MetricAlarm, alarm_on_metric
from infra.compute import LoadBalancer, Services
from infra.data import Queue
from infra.naming import Names
from infra.settings import Settings

TYPE_API = "heartmap:scaling:ApiScaling"
TYPE_WORKER = "heartmap:scaling:WorkerScaling"

CPU_PERCENT = 60
REQUESTS_PER_TASK = 1200
"""A minute: what waits for DynamoDB and SQS takes no CPU, so that the one measure does not stand for the other."""
MESSAGES_PER_TASK = 1
"""A worker runs one job at a time, for minutes."""

SCALE_OUT_SECONDS = 60
SCALE_IN_SECONDS = 300
WAKE_SECONDS = 300
"""In which a first worker starts, and takes what it was started for."""

# The SDK names the parts of a metric by where they stand.
_PolicyMetric = aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationCustomizedMetricSpecificationMetricArgs
_Stat = aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationCustomizedMetricSpecificationMetricMetricStatArgs
_Metric = aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationCustomizedMetricSpecificationMetricMetricStatMetricArgs
_Dimension = aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationCustomizedMetricSpecificationMetricMetricStatMetricDimensionArgs  # fmt: skip # noqa: E501


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
    """As many workers as there are jobs, waiting or running.

    The backlog of each task is what there is to do by the tasks that run. Without any it is not a number, and nothing follows
    from it: a step goes from none to one as soon as a message waits, and on for as long as one does. A task with a job is
    protected (heartmap_service.protection), so that scaling in ends those that idle. That CloudWatch hears of the queue also
    after a quiet night is the API's doing (heartmap_service.awake).
    https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-target-tracking-metric-math.html
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
        configuration = aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationArgs(
            target_value=MESSAGES_PER_TASK,
            scale_out_cooldown=SCALE_OUT_SECONDS,
            scale_in_cooldown=SCALE_IN_SECONDS,
            customized_metric_specification=(
                aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationCustomizedMetricSpecificationArgs(
                    metrics=self._backlog_of_a_task()
                )
            ),
        )
        _tracking("worker-backlog", args.names.of("worker-backlog"), target, configuration, self._child)
        self._wake(target)
        self.register_outputs({})

    @property
    def _queue_name(self) -> Output[str]:
        return self._args.queue.arn.apply(lambda arn: arn.rpartition(":")[2])

    def _backlog_of_a_task(self) -> list[_PolicyMetric]:
        services = self._args.services
        queue = [_Dimension(name="QueueName", value=self._queue_name)]
        service = [
            _Dimension(name="ClusterName", value=services.cluster_name),
            _Dimension(name="ServiceName", value=services.worker_name),
        ]

        def metric(id_: str, namespace: str, name: str, stat: str, dimensions: list[_Dimension]) -> _PolicyMetric:
            measured = _Metric(namespace=namespace, metric_name=name, dimensions=dimensions)
            return _PolicyMetric(id=id_, metric_stat=_Stat(metric=measured, stat=stat), return_data=False)

        return [
            metric("waiting", "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", queue),
            metric("running", "AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "Maximum", queue),
            metric("tasks", "ECS/ContainerInsights", "RunningTaskCount", "Average", service),
            _PolicyMetric(id="backlog", expression="(waiting + running) / tasks", label="Jobs of each task", return_data=True),
        ]

    def _wake(self, target: aws.appautoscaling.Target) -> None:
        names = self._args.names
        step = aws.appautoscaling.PolicyStepScalingPolicyConfigurationStepAdjustmentArgs(
            metric_interval_lower_bound="0", scaling_adjustment=1
        )
        policy = aws.appautoscaling.Policy(
            "worker-wake",
            name=names.of("worker-wake"),
            policy_type="StepScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            step_scaling_policy_configuration=aws.appautoscaling.PolicyStepScalingPolicyConfigurationArgs(
                adjustment_type="ChangeInCapacity",
                metric_aggregation_type="Maximum",
                cooldown=WAKE_SECONDS,
                step_adjustments=[step],
            ),
            opts=self._child,
        )
        waiting = MetricAlarm(
            name="worker-wake",
            description="A job waits: adds a worker. Nothing to look after",
            namespace="AWS/SQS",
            metric="ApproximateNumberOfMessagesVisible",
            dimensions={"QueueName": self._queue_name},
            statistic="Maximum",
            seconds=60,
        )
        alarm_on_metric(names, waiting, policy.arn, self._child)
