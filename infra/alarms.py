"""Alarms: the topic on which they speak, and the two kinds there are, on a metric and on the lines of a log."""

from collections.abc import Mapping
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


def encrypted_topic(name: str, topic: str, key_arn: Input[str], speaker: Statement, child: ResourceOptions) -> Topic:
    """Declare an encrypted topic on which one service may speak, and nobody else."""
    made = aws.sns.Topic(name, name=topic, kms_master_key_id=key_arn, opts=child)
    # SNS refuses a policy with actions, such as sns:*, that are none of a topic's.
    policy = aws.sns.TopicPolicy(name, arn=made.arn, policy=document(tls_only((made.arn,), "sns:Publish"), speaker), opts=child)
    return Topic(*(Output.all(value, policy.id).apply(lambda values: values[0]) for value in (made.arn, made.name)))


@dataclass(frozen=True, kw_only=True)
class AlarmTopicArgs:
    """``email`` hears of every alarm, once its owner has confirmed the message that AWS sends there; empty: nobody does."""

    names: Names
    logs_key_arn: Input[str]
    email: str


class AlarmTopic(pulumi.ComponentResource):
    """Where this stack's alarms speak, and nothing else does."""

    arn: Output[str]

    def __init__(self, name: str, args: AlarmTopicArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_ALARM_TOPIC, name, None, opts)
        child, names, topic = ResourceOptions(parent=self), args.names, args.names.of("alarms")
        speaker = Statement(
            sid="Alarms",
            principals={"Service": ("cloudwatch.amazonaws.com",)},
            actions=("sns:Publish",),
            resources=(names.arn("sns", topic),),
            conditions={
                "StringEquals": {"aws:SourceAccount": names.account},
                "ArnLike": {"aws:SourceArn": names.arn("cloudwatch", f"alarm:{names.prefix}-*")},
            },
        )
        self.arn = encrypted_topic(name, topic, args.logs_key_arn, speaker, child).arn
        if args.email:
            aws.sns.TopicSubscription(name, topic=self.arn, protocol="email", endpoint=args.email, opts=child)
        self.register_outputs({"arn": self.arn})


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


def alarm_on_metric(
    names: Names, alarm: MetricAlarm, action_arn: Input[str], child: ResourceOptions
) -> aws.cloudwatch.MetricAlarm:
    """Declare an alarm, under a name from which the topic's policy knows that it is of this stack.

    ``action_arn`` is what hears of it: the topic, or a scaling policy.
    """
    return aws.cloudwatch.MetricAlarm(
        alarm.name,
        name=names.of(alarm.name),
        alarm_description=alarm.description,
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
        alarm_actions=[action_arn],
        ok_actions=[action_arn] if alarm.recovers else None,
        opts=child,
    )


@dataclass(frozen=True, kw_only=True)
class CountedAlarm:
    """An alarm on the first line of a log that matches a pattern."""

    name: str
    pattern: str
    description: str


def alarm_on_log(names: Names, alarm: CountedAlarm, log_group: Input[str], topic_arn: Input[str], child: ResourceOptions) -> None:
    """Declare an alarm on a log group, with the metric that counts its lines."""
    aws.cloudwatch.LogMetricFilter(
        alarm.name,
        name=alarm.name,
        log_group_name=log_group,
        pattern=alarm.pattern,
        metric_transformation=aws.cloudwatch.LogMetricFilterMetricTransformationArgs(
            name=alarm.name, namespace=_metrics(names), value="1"
        ),
        opts=child,
    )
    watched = MetricAlarm(name=alarm.name, description=alarm.description, namespace=_metrics(names), metric=alarm.name)
    alarm_on_metric(names, watched, topic_arn, child)


def _metrics(names: Names) -> str:
    """The namespace of the metrics that are counted in logs."""
    return f"{PROJECT}/{names.environment}"
