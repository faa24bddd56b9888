"""What is kept of what happened, and who hears of it: the account's trail, the web ACL's decisions, and alarms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra.alarms import (
    AlarmTopic,
    CountedAlarm,
    Declared,
    MetricAlarm,
    alarm_on_log,
    alarm_on_metric,
    encrypted_topic,
)
from infra.change_alarms import CHANGE_ALARMS
from infra.compute import LoadBalancer
from infra.data import TRAIL_PREFIX, PrivateBucket, Queue, Tables, trail_arn
from infra.iam import ServiceRole, ServiceRoleArgs, Statement
from infra.naming import STAGE, Names

TYPE_WEB_ACL_LOG = "heartmap:observability:WebAclLog"
TYPE_AUDIT_TRAIL = "heartmap:observability:AuditTrail"
TYPE_SERVICE_ALARMS = "heartmap:observability:ServiceAlarms"

# AWS WAF writes to log groups whose name begins like this, and to no others.
LOG_GROUP_PREFIX = "aws-waf-logs-"

REDACTED_HEADERS = ("authorization", "cookie")

INSIGHTS = ("ApiCallRateInsight", "ApiErrorRateInsight")

BREAK_GLASS = "break-glass"
"""The purpose in the name of the role that is for emergencies."""

MINUTE, DAY = 60, 24 * 3600

FAILED_REQUESTS = 5
"""Failures within a period that are more than a mishap."""
BLOCKED_REQUESTS = 500
"""Requests that the web ACL blocks within a period when somebody tries something."""
OLDEST_MESSAGE_SECONDS = 3 * 3600
"""More than the two hours that a job may take (heartmap_service.sandbox.Limits) and the start of a worker."""
CERTIFICATE_DAYS = 30
"""ACM renews a certificate 60 days before it expires: below this many, it has failed to."""


@dataclass(frozen=True, kw_only=True)
class AuditTrailArgs:
    """``audit`` is the bucket that keeps the records, ``tables`` are those whose every item access is recorded."""

    names: Names
    audit: PrivateBucket
    tables: Tables
    logs_key_arn: Input[str]
    retention_days: int
    alarms: AlarmTopic
    protected: bool


class AuditTrail(pulumi.ComponentResource):
    """The account's trail: every call in every region, every access to an object and to an item; and the alarms on changes.

    Where the records go the trail itself cannot delete them, and CloudTrail signs what it delivers.
    """

    arn: Output[str]
    log_group_name: Output[str]
    alarms: Sequence[Declared]

    def __init__(self, name: str, args: AuditTrailArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_AUDIT_TRAIL, name, None, opts)
        self._name, self._args, self._child = name, args, ResourceOptions(parent=self)
        logs = aws.cloudwatch.LogGroup(
            name,
            name=args.names.log_group("trail"),
            retention_in_days=args.retention_days,
            kms_key_id=args.logs_key_arn,
            opts=ResourceOptions(parent=self, protect=args.protected),
        )
        trail = aws.cloudtrail.Trail(
            name,
            name=args.names.prefix,
            is_multi_region_trail=True,
            include_global_service_events=True,
            enable_log_file_validation=True,
            enable_logging=True,
            kms_key_id=args.logs_key_arn,
            s3_bucket_name=args.audit.bucket,
            s3_key_prefix=TRAIL_PREFIX,
            cloud_watch_logs_group_arn=Output.concat(logs.arn, ":*"),
            cloud_watch_logs_role_arn=self._role(logs),
            sns_topic_name=self._deliveries(),
            advanced_event_selectors=self._selectors(),
            insight_selectors=[aws.cloudtrail.TrailInsightSelectorArgs(insight_type=insight) for insight in INSIGHTS],
            opts=ResourceOptions(parent=self, protect=args.protected),
        )
        counted = [
            *(
                CountedAlarm(name=alarm.name, pattern=alarm.pattern, description=f"CIS {alarm.control}: {alarm.description}")
                for alarm in CHANGE_ALARMS
            ),
            _break_glass(args.names),
        ]
        self.alarms = [alarm_on_log(args.alarms, alarm, logs.name, self._child) for alarm in counted]
        self.arn, self.log_group_name = trail.arn, logs.name
        self.register_outputs({"arn": self.arn, "log_group_name": self.log_group_name})

    def _role(self, logs: aws.cloudwatch.LogGroup) -> Output[str]:
        names = self._args.names
        # CloudTrail names its streams itself, by account and region.
        streams = Output.concat(logs.arn, f":log-stream:{names.account}_CloudTrail_{names.region}*")
        args = ServiceRoleArgs(
            name=names.of("trail"),
            service="cloudtrail.amazonaws.com",
            description="Lets CloudTrail write its records to their log group",
            statements=[
                Statement(
                    sid="Logs",
                    actions=("logs:CreateLogStream", "logs:PutLogEvents"),
                    resources=(streams,),
                    reason="CloudTrail numbers its log streams",
                )
            ],
            # Seen to end deliveries: https://github.com/prowler-cloud/prowler/issues/4714
            unbound="CloudTrail says neither for whom nor for which trail it takes this role; to name it, one has to pass it",
        )
        return ServiceRole(self._name, args, self._child).arn

    def _deliveries(self) -> Output[str]:
        """The name of the topic that says when a file of records is there: one every few minutes, so not where alarms speak."""
        names, topic = self._args.names, self._args.names.of("trail-deliveries")
        speaker = Statement(
            sid="Deliveries",
            principals={"Service": ("cloudtrail.amazonaws.com",)},
            actions=("sns:Publish",),
            resources=(names.arn("sns", topic),),
            conditions={"StringEquals": {"aws:SourceArn": trail_arn(names)}},
        )
        return encrypted_topic("trail-deliveries", topic, self._args.logs_key_arn, (speaker,), self._child).name

    def _selectors(self) -> list[aws.cloudtrail.TrailAdvancedEventSelectorArgs]:
        tables = self._args.tables
        return [
            # Scanners know the first one by this name.
            _selector("Management events selector", _field(field="eventCategory", equals=["Management"])),
            # All buckets of the account, the audit bucket too: what CloudTrail itself writes there is an event every few minutes.
            _selector(
                "Access to objects",
                _field(field="eventCategory", equals=["Data"]),
                _field(field="resources.type", equals=["AWS::S3::Object"]),
            ),
            _selector(
                "Access to items",
                _field(field="eventCategory", equals=["Data"]),
                _field(field="resources.type", equals=["AWS::DynamoDB::Table"]),
                _field(
                    field="resources.ARN",
                    starts_withs=[table.arn for table in (tables.jobs, tables.config, tables.api_keys, tables.key_use)],
                ),
            ),
        ]


def _break_glass(names: Names) -> CountedAlarm:
    role = names.of(BREAK_GLASS)
    # The record of an attempt that was refused does not say which role was asked for, but in the message.
    which = f'($.requestParameters.roleArn="{names.role_arn(role)}") || ($.errorMessage="*role/{role}*")'
    return CountedAlarm(
        name="break-glass-used",
        pattern=f'{{($.eventSource="sts.amazonaws.com") && ($.eventName="AssumeRole") && ({which})}}',
        description="Somebody took the role for emergencies, or was refused it",
    )


_field = aws.cloudtrail.TrailAdvancedEventSelectorFieldSelectorArgs


def _selector(
    name: str, *fields: aws.cloudtrail.TrailAdvancedEventSelectorFieldSelectorArgs
) -> aws.cloudtrail.TrailAdvancedEventSelectorArgs:
    return aws.cloudtrail.TrailAdvancedEventSelectorArgs(name=name, field_selectors=list(fields))


@dataclass(frozen=True, kw_only=True)
class ServiceAlarmsArgs:
    """What is watched.

    ``access_log_group`` is the API's. ``authorizer`` is the name of the function that decides on requests, ``functions`` are
    the names of the others, by what they are for. ``certificates`` are ARNs, by whose they are. ``always_on`` is whether somebody
    has to answer at every hour.
    """

    names: Names
    alarms: AlarmTopic
    access_log_group: Input[str]
    authorizer: Input[str]
    functions: Mapping[str, Input[str]]
    balancer: LoadBalancer
    queue: Queue
    certificates: Mapping[str, Input[str]]
    always_on: bool


class ServiceAlarms(pulumi.ComponentResource):
    """Alarms on what callers feel, on work that does not get done, and on who tries to get in."""

    alarms: Sequence[Declared]

    def __init__(self, name: str, args: ServiceAlarmsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_SERVICE_ALARMS, name, None, opts)
        child = ResourceOptions(parent=self)
        # Not the function's own count of errors: to refuse a caller who is unknown, it has to fail.
        faults = CountedAlarm(
            name="authorizer-faults",
            pattern='{$.error="AUTHORIZER_*"}',
            description="The authorizer failed, or is not set up as API Gateway needs it: requests end with status 500",
        )
        on_metrics = (*_request_alarms(args), *_balancer_alarms(args), *_work_alarms(args), *_certificate_alarms(args))
        self.alarms = [
            *(alarm_on_metric(args.alarms, alarm, child) for alarm in on_metrics),
            alarm_on_log(args.alarms, faults, args.access_log_group, child),
        ]
        self.register_outputs({})


def _request_alarms(args: ServiceAlarmsArgs) -> Sequence[MetricAlarm]:
    names = args.names
    return [
        MetricAlarm(
            name="api-5xx",
            description="Requests to the API ended with a status of 500 or more",
            namespace="AWS/ApiGateway",
            metric="5XXError",
            dimensions={"ApiName": names.prefix, "Stage": STAGE},
            threshold=FAILED_REQUESTS,
            recovers=True,
        ),
        MetricAlarm(
            name="authorizer-limit",
            description="More requests came at once than there may be instances of the authorizer: some ended with status 500",
            namespace="AWS/Lambda",
            metric="Throttles",
            dimensions={"FunctionName": args.authorizer},
            recovers=True,
        ),
        *(
            MetricAlarm(
                name=f"{purpose}-errors",
                description=f"The function {purpose} failed",
                namespace="AWS/Lambda",
                metric="Errors",
                dimensions={"FunctionName": function},
                recovers=True,
            )
            for purpose, function in args.functions.items()
        ),
        MetricAlarm(
            name="blocked-burst",
            description="The web ACL blocked many requests: somebody tries something, or an allowed range is missing",
            namespace="AWS/WAFV2",
            metric="BlockedRequests",
            dimensions={"WebACL": names.prefix, "Region": names.region, "Rule": "ALL"},
            threshold=BLOCKED_REQUESTS,
            recovers=True,
        ),
    ]


def _balancer_alarms(args: ServiceAlarmsArgs) -> Sequence[MetricAlarm]:
    balancer = {"LoadBalancer": args.balancer.arn_suffix}
    both = {**balancer, "TargetGroup": args.balancer.target_group_arn_suffix}
    alarms = [
        MetricAlarm(
            name="unhealthy-hosts",
            description="A task of the API has not answered its health check for five minutes",
            namespace="AWS/ApplicationELB",
            metric="UnHealthyHostCount",
            dimensions=both,
            statistic="Maximum",
            seconds=MINUTE,
            periods=5,
            recovers=True,
        ),
        MetricAlarm(
            name="service-5xx",
            description="The service answered requests with a status of 500 or more",
            namespace="AWS/ApplicationELB",
            metric="HTTPCode_Target_5XX_Count",
            dimensions=both,
            threshold=FAILED_REQUESTS,
            recovers=True,
        ),
        MetricAlarm(
            name="balancer-5xx",
            description="The load balancer had nobody to hand requests to, or no answer in time",
            namespace="AWS/ApplicationELB",
            metric="HTTPCode_ELB_5XX_Count",
            dimensions=balancer,
            threshold=FAILED_REQUESTS,
            recovers=True,
        ),
    ]
    if args.always_on:
        nobody = MetricAlarm(
            name="no-healthy-hosts",
            description="No task of the API answers",
            namespace="AWS/ApplicationELB",
            metric="HealthyHostCount",
            dimensions=both,
            statistic="Maximum",
            comparison="LessThanThreshold",
            seconds=MINUTE,
            periods=3,
            missing="breaching",
            recovers=True,
        )
        alarms.append(nobody)
    return alarms


def _work_alarms(args: ServiceAlarmsArgs) -> Sequence[MetricAlarm]:
    queue = args.queue.arn.apply(lambda arn: arn.rpartition(":")[2])
    dead = args.queue.dead_letter_arn.apply(lambda arn: arn.rpartition(":")[2])
    return [
        MetricAlarm(
            name="queue-age",
            description="Work has waited, or gone on, for longer than a job may take: no worker takes it",
            namespace="AWS/SQS",
            metric="ApproximateAgeOfOldestMessage",
            dimensions={"QueueName": queue},
            statistic="Maximum",
            threshold=OLDEST_MESSAGE_SECONDS,
            recovers=True,
        ),
        MetricAlarm(
            name="dead-letters",
            description="Work was given up after several tries; it waits in the queue of dead letters",
            namespace="AWS/SQS",
            metric="ApproximateNumberOfMessagesVisible",
            dimensions={"QueueName": dead},
            statistic="Maximum",
            recovers=True,
        ),
    ]


def _certificate_alarms(args: ServiceAlarmsArgs) -> Sequence[MetricAlarm]:
    return [
        MetricAlarm(
            name=f"{whose}-expiry",
            description=f"The certificate of the {whose} expires within {CERTIFICATE_DAYS} days and was not renewed",
            namespace="AWS/CertificateManager",
            metric="DaysToExpiry",
            dimensions={"CertificateArn": arn},
            statistic="Minimum",
            comparison="LessThanThreshold",
            threshold=CERTIFICATE_DAYS,
            seconds=DAY,
            recovers=True,
        )
        for whose, arn in args.certificates.items()
    ]


@dataclass(frozen=True, kw_only=True)
class WebAclLogArgs:
    names: Names
    web_acl_arn: Input[str]
    logs_key_arn: Input[str]
    retention_days: int


class WebAclLog(pulumi.ComponentResource):
    """One entry a request that the web ACL saw, without credentials."""

    log_group_name: Output[str]

    def __init__(self, name: str, args: WebAclLogArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_WEB_ACL_LOG, name, None, opts)
        child = ResourceOptions(parent=self)
        logs = aws.cloudwatch.LogGroup(
            name,
            name=LOG_GROUP_PREFIX + args.names.prefix,
            retention_in_days=args.retention_days,
            kms_key_id=args.logs_key_arn,
            opts=child,
        )
        redacted = aws.wafv2.WebAclLoggingConfigurationRedactedFieldArgs
        aws.wafv2.WebAclLoggingConfiguration(
            name,
            resource_arn=args.web_acl_arn,
            log_destination_configs=[logs.arn],
            redacted_fields=[
                redacted(single_header=aws.wafv2.WebAclLoggingConfigurationRedactedFieldSingleHeaderArgs(name=header))
                for header in REDACTED_HEADERS
            ],
            opts=child,
        )
        self.log_group_name = logs.name
        self.register_outputs({"log_group_name": self.log_group_name})
