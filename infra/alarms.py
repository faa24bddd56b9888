"""Alarms: the topic on which they speak, and the three kinds there are: on a metric, on its usual course, on lines of a log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra.iam import Statement, document, tls_only
from infra.naming import Names
from infra.settings import PROJECT

TYPE_ALARM_TOPIC = "heartmap:alarms:AlarmTopic"

PERIOD_SECONDS = 300


class Topic(NamedTuple):
    """A topic by its ARN and its name, both to be had once its policy is there."""

    arn: Output[str]
    name: Output[str]


def encrypted_topic(name: str, topic: str, key_arn: Input[str], speakers: Sequence[Statement], child: ResourceOptions) -> Topic:
    """Declare an encrypted topic on which these services may speak, and nobody else."""
    made = aws.sns.Topic(name, name=topic, kms_master_key_id=key_arn, opts=child)
    # SNS refuses a policy with actions, such as sns:*, that are none of a topic's.
    policy = aws.sns.TopicPolicy(name, arn=made.arn, policy=document(tls_only((made.arn,), "sns:Publish"), *speakers), opts=child)
    return Topic(*(Output.all(value, policy.id).apply(lambda values: values[0]) for value in (made.arn, made.name)))


@dataclass(frozen=True, kw_only=True)
class AlarmTopicArgs:
    """``email`` hears of every alarm, once its owner has confirmed the message that AWS sends there; empty: nobody does.

    ``runbook`` is the address of the page that has a section for each alarm, of its name.
    """

    names: Names
    logs_key_arn: Input[str]
    email: str
    runbook: str


class AlarmTopic(pulumi.ComponentResource):
    """Where this stack's alarms and its budget speak, and nothing else does."""

    arn: Output[str]
    names: Names
    runbook: str

    def __init__(self, name: str, args: AlarmTopicArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_ALARM_TOPIC, name, None, opts)
        child, names, topic = ResourceOptions(parent=self), args.names, args.names.of("alarms")
        self.names, self.runbook = names, args.runbook
        arn = names.arn("sns", topic)
        speakers = (
            _speaker("Alarms", "cloudwatch", arn, names, names.arn("cloudwatch", f"alarm:{names.prefix}-*")),
            # https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-sns-policy.html
            _speaker("Budget", "budgets", arn, names, f"arn:{names.partition}:budgets::{names.account}:*"),
        )
        self.arn = encrypted_topic(name, topic, args.logs_key_arn, speakers, child).arn
        if args.email:
            aws.sns.TopicSubscription(name, topic=self.arn, protocol="email", endpoint=args.email, opts=child)
        self.register_outputs({"arn": self.arn})

    def described(self, alarm: str, meaning: str) -> str:
        """What the message of an alarm says: what it means, and where it is written what to do."""
        return f"{meaning}. Runbook: {self.runbook}#{alarm}"


def _speaker(sid: str, service: str, topic_arn: str, names: Names, source: str) -> Statement:
    return Statement(
        sid=sid,
        principals={"Service": (f"{service}.amazonaws.com",)},
        actions=("sns:Publish",),
        resources=(topic_arn,),
        conditions={"StringEquals": {"aws:SourceAccount": names.account}, "ArnLike": {"aws:SourceArn": source}},
    )


@dataclass(frozen=True, kw_only=True)
class MetricAlarm:
    """An alarm on a metric: ``statistic`` of each of ``periods`` periods of ``seconds`` reaches ``threshold``.

    ``missing`` is what silence means. ``recovers`` alarms say too when it is over.
    """

    name: str
    description: str
    namespace: str
    metric: str
    dimensions: Mapping[str, Input[str]] = field(default_factory=dict)
    statistic: Literal["Maximum", "Minimum", "Sum"] = "Sum"
    comparison: Literal["GreaterThanOrEqualToThreshold", "LessThanThreshold"] = "GreaterThanOrEqualToThreshold"
    threshold: float = 1
    seconds: int = PERIOD_SECONDS
    periods: int = 1
    missing: Literal["breaching", "notBreaching"] = "notBreaching"
    recovers: bool = False


class Declared(NamedTuple):
    """An alarm that the stack has. Of one that is on a metric's usual course, ``on`` has no threshold of its own to speak of."""

    on: "MetricAlarm | AnomalyAlarm"
    made: aws.cloudwatch.MetricAlarm


def alarm_on_metric(topic: AlarmTopic, alarm: MetricAlarm, child: ResourceOptions) -> Declared:
    """Declare an alarm, under a name from which the topic's policy knows that it is of this stack."""
    made = aws.cloudwatch.MetricAlarm(
        alarm.name,
        name=topic.names.of(alarm.name),
        alarm_description=topic.described(alarm.name, alarm.description),
        namespace=alarm.namespace,
        metric_name=alarm.metric,
        dimensions=alarm.dimensions or None,
        statistic=alarm.statistic,
        comparison_operator=alarm.comparison,
        threshold=alarm.threshold,
        period=alarm.seconds,
        evaluation_periods=alarm.periods,
        treat_missing_data=alarm.missing,
        actions_enabled=True,
        alarm_actions=[topic.arn],
        ok_actions=[topic.arn] if alarm.recovers else None,
        opts=child,
    )
    return Declared(alarm, made)


@dataclass(frozen=True, kw_only=True)
class AnomalyAlarm:
    """An alarm on a metric that goes above its usual course.

    CloudWatch learns a band for each hour of the week out of up to two weeks; ``width`` is half of it, in standard deviations.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Anomaly_Detection.html
    """

    name: str
    description: str
    namespace: str
    metric: str
    dimensions: Mapping[str, Input[str]]
    statistic: Literal["Maximum", "Minimum", "Sum"] = "Sum"
    width: int = 4
    seconds: int = 3 * PERIOD_SECONDS


def alarm_on_anomaly(topic: AlarmTopic, alarm: AnomalyAlarm, child: ResourceOptions) -> Declared:
    """Declare an alarm that has a band in the place of a threshold. Without a band yet, it is silent."""
    queries, metric = aws.cloudwatch.MetricAlarmMetricQueryArgs, aws.cloudwatch.MetricAlarmMetricQueryMetricArgs
    measured = metric(
        namespace=alarm.namespace,
        metric_name=alarm.metric,
        dimensions=alarm.dimensions,
        period=alarm.seconds,
        stat=alarm.statistic,
    )
    made = aws.cloudwatch.MetricAlarm(
        alarm.name,
        name=topic.names.of(alarm.name),
        alarm_description=topic.described(alarm.name, alarm.description),
        metric_queries=[
            queries(id="measured", metric=measured, return_data=True),
            queries(id="band", expression=f"ANOMALY_DETECTION_BAND(measured, {alarm.width})", label="As usual", return_data=True),
        ],
        comparison_operator="GreaterThanUpperThreshold",
        threshold_metric_id="band",
        evaluation_periods=1,
        treat_missing_data="notBreaching",
        actions_enabled=True,
        alarm_actions=[topic.arn],
        ok_actions=[topic.arn],
        opts=child,
    )
    return Declared(alarm, made)


@dataclass(frozen=True, kw_only=True)
class CountedAlarm:
    """An alarm on the lines of a log that match a pattern, once there are ``lines`` of them within five minutes."""

    name: str
    pattern: str
    description: str
    lines: int = 1
    recovers: bool = False


def alarm_on_log(topic: AlarmTopic, alarm: CountedAlarm, log_group: Input[str], child: ResourceOptions) -> Declared:
    """Declare an alarm on a log group, with the metric that counts its lines."""
    # The namespace of the metrics that are counted in logs.
    namespace = f"{PROJECT}/{topic.names.environment}"
    aws.cloudwatch.LogMetricFilter(
        alarm.name,
        name=alarm.name,
        log_group_name=log_group,
        pattern=alarm.pattern,
        metric_transformation=aws.cloudwatch.LogMetricFilterMetricTransformationArgs(
            name=alarm.name, namespace=namespace, value="1"
        ),
        opts=child,
    )
    watched = MetricAlarm(
        name=alarm.name,
        description=alarm.description,
        namespace=namespace,
        metric=alarm.name,
        threshold=alarm.lines,
        recovers=alarm.recovers,
    )
    return alarm_on_metric(topic, watched, child)
