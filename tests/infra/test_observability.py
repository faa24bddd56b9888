import json
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from heartmap_service.sandbox import Limits
from infra import observability
from infra.api import ACCESS_LOG
from infra.change_alarms import CHANGE_ALARMS
from infra.gateway_responses import GATEWAY_RESPONSES
from local_cloud.filter_pattern import matches

ACCOUNT = "123456789012"
ALARM, FILTER = "cloudwatch/metricAlarm:MetricAlarm", "cloudwatch/logMetricFilter:LogMetricFilter"
TRAIL_ARN = f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/heartmap-prod"
TOPIC, LOGS_KEY = "arn:aws:Topic/alarms", "arn:aws:Key/logs"


@pytest.fixture
def prod(planned: Callable[[str], Any]) -> Any:
    return planned("prod")


def statements(policy: str) -> dict[str, Any]:
    """The statements of a policy by their sids."""
    return {statement["Sid"]: statement for statement in json.loads(policy)["Statement"]}


def all_allowed(policy: str, service: str) -> list[dict[str, Any]]:
    """What a policy lets a service do."""
    return [
        statement
        for statement in json.loads(policy)["Statement"]
        if statement["Effect"] == "Allow" and statement["Principal"].get("Service") == [service]
    ]


# --- log groups


def test_every_log_group_is_under_the_logs_key_and_kept_as_long_as_the_stack_says(plan: Any) -> None:
    groups = plan.of("cloudwatch/logGroup:LogGroup")
    assert len(groups) >= 6
    for group in groups:
        assert group.inputs["kmsKeyId"] == LOGS_KEY, group.urn
        assert group.inputs["retentionInDays"] == plan.settings.log_retention_days, group.urn


def test_the_log_of_container_insights_is_there_before_the_cluster_that_would_make_one(plan: Any) -> None:
    cluster = plan.one("ecs/cluster:Cluster")
    log = plan.one("cloudwatch/logGroup:LogGroup", "container-insights")
    assert log.inputs["name"] == f"/aws/ecs/containerinsights/{cluster.inputs['name']}/performance"
    assert log.urn in cluster.dependencies


def test_the_web_acls_log_holds_no_credentials(plan: Any) -> None:
    log = plan.one("wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration").inputs
    assert {field["singleHeader"]["name"] for field in log["redactedFields"]} == {"authorization", "cookie"}


# --- the trail


def test_the_trail_records_every_region_signs_its_files_and_encrypts_them(prod: Any) -> None:
    trail = prod.one("cloudtrail/trail:Trail")
    assert trail.inputs | {"advancedEventSelectors": None} == {
        "name": "heartmap-prod",
        "isMultiRegionTrail": True,
        "includeGlobalServiceEvents": True,
        "enableLogFileValidation": True,
        "enableLogging": True,
        "kmsKeyId": LOGS_KEY,
        "s3BucketName": f"heartmap-prod-audit-{ACCOUNT}-us-east-1",
        "s3KeyPrefix": "cloudtrail",
        "cloudWatchLogsGroupArn": "arn:aws:LogGroup/audit-trail:*",
        "cloudWatchLogsRoleArn": "arn:aws:Role/audit-trail",
        "snsTopicName": "heartmap-prod-trail-deliveries",
        "insightSelectors": [{"insightType": "ApiCallRateInsight"}, {"insightType": "ApiErrorRateInsight"}],
        "advancedEventSelectors": None,
    }


def test_the_trail_records_all_calls_all_access_to_objects_and_to_the_items_of_the_tables(prod: Any) -> None:
    selectors = prod.one("cloudtrail/trail:Trail").inputs["advancedEventSelectors"]
    recorded = [
        {one["field"]: one.get("equals") or one.get("startsWiths") for one in selector["fieldSelectors"]}
        for selector in selectors
    ]
    tables = {f"arn:aws:{table.id}" for table in prod.of("dynamodb/table:Table")}
    assert recorded[:2] == [
        {"eventCategory": ["Management"]},
        {"eventCategory": ["Data"], "resources.type": ["AWS::S3::Object"]},
    ]
    assert {**recorded[2], "resources.ARN": set(recorded[2]["resources.ARN"])} == {
        "eventCategory": ["Data"],
        "resources.type": ["AWS::DynamoDB::Table"],
        "resources.ARN": tables,
    }
    assert len(recorded) == 3
    # Prowler asks for the name.
    assert selectors[0]["name"] == "Management events selector"


def test_the_trail_may_write_to_the_audit_bucket_where_it_does_and_nowhere_else(prod: Any) -> None:
    trail = prod.one("cloudtrail/trail:Trail").inputs
    bucket, prefix = trail["s3BucketName"], trail["s3KeyPrefix"]
    allowed = all_allowed(prod.one("s3/bucketPolicy:BucketPolicy", "audit").inputs["policy"], "cloudtrail.amazonaws.com")
    files = f"arn:aws:s3:::{bucket}/{prefix}/AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/2026/11/24/file.json.gz"
    may = {action: statement for statement in allowed for action in statement["Action"]}
    assert may.keys() == {"s3:GetBucketAcl", "s3:PutObject"}
    assert all(statement["Condition"]["StringEquals"]["aws:SourceArn"] == TRAIL_ARN for statement in may.values())
    assert any(fnmatchcase(files, resource) for resource in may["s3:PutObject"]["Resource"])
    assert not any(fnmatchcase(f"arn:aws:s3:::{bucket}/other", resource) for resource in may["s3:PutObject"]["Resource"])
    others = [policy for policy in prod.of("s3/bucketPolicy:BucketPolicy") if policy.name != "audit"]
    assert not any(all_allowed(policy.inputs["policy"], "cloudtrail.amazonaws.com") for policy in others)


def test_the_logs_key_lets_the_trail_and_the_alarms_encrypt_and_the_other_keys_do_not(prod: Any) -> None:
    keys = {key.name: key.inputs["policy"] for key in prod.of("kms/key:Key")}
    (trail,) = all_allowed(keys["logs"], "cloudtrail.amazonaws.com")
    assert trail["Action"] == ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*"]
    assert trail["Condition"] == {"StringEquals": {"aws:SourceArn": TRAIL_ARN}}
    (alarms,) = all_allowed(keys["logs"], "cloudwatch.amazonaws.com")
    assert alarms["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert alarms["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
    for name in keys.keys() - {"logs"}:
        for service in ("cloudtrail.amazonaws.com", "cloudwatch.amazonaws.com"):
            assert all_allowed(keys[name], service) == []


def test_the_trails_role_writes_to_its_own_streams_alone(prod: Any) -> None:
    policy = prod.one("iam/policy:Policy", "audit-trail").inputs["policy"]
    assert statements(policy) == {
        "Logs": {
            "Sid": "Logs",
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": [f"arn:aws:LogGroup/audit-trail:log-stream:{ACCOUNT}_CloudTrail_us-east-1*"],
        }
    }
    (trust,) = json.loads(prod.one("iam/role:Role", "audit-trail").inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "cloudtrail.amazonaws.com"}


def test_the_trail_and_its_log_group_are_protected_where_deletion_is_not_easy(prod: Any, run: Callable[..., Any]) -> None:
    kept = ("cloudtrail/trail:Trail", None), ("cloudwatch/logGroup:LogGroup", "audit-trail")
    assert all(prod.one(*which).protect for which in kept)
    disposable = run("dev", {"heartmap:audit_trail": "true"})
    assert not any(disposable.one(*which).protect for which in kept)


# --- who hears


def test_an_alarm_of_this_stack_and_nobody_else_may_speak_on_the_topic(plan: Any) -> None:
    policy = statements(plan.one("sns/topicPolicy:TopicPolicy", "alarms").inputs["policy"])
    assert policy.keys() == {"TlsOnly", "Alarms", "Budget"}
    assert (policy["TlsOnly"]["Effect"], policy["TlsOnly"]["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    speaker = policy["Alarms"]
    assert (speaker["Principal"], speaker["Action"]) == ({"Service": ["cloudwatch.amazonaws.com"]}, ["sns:Publish"])
    assert speaker["Resource"] == [f"arn:aws:sns:us-east-1:{ACCOUNT}:heartmap-{plan.stack}-alarms"]
    assert speaker["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
    pattern = speaker["Condition"]["ArnLike"]["aws:SourceArn"]
    alarms = [f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:{alarm.inputs['name']}" for alarm in plan.of(ALARM)]
    assert all(fnmatchcase(arn, pattern) for arn in alarms)
    assert not fnmatchcase(f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:other", pattern)


def test_of_aws_budgets_only_this_accounts_may_speak_on_the_topic_and_encrypt_for_it(plan: Any) -> None:
    speaker = statements(plan.one("sns/topicPolicy:TopicPolicy", "alarms").inputs["policy"])["Budget"]
    assert (speaker["Principal"], speaker["Action"]) == ({"Service": ["budgets.amazonaws.com"]}, ["sns:Publish"])
    assert speaker["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:budgets::{ACCOUNT}:*"},
    }
    (use,) = all_allowed(plan.one("kms/key:Key", "logs").inputs["policy"], "budgets.amazonaws.com")
    assert use["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert use["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_the_topic_hears_what_the_month_costs_and_what_it_is_going_to(prod: Any, run: Callable[..., Any]) -> None:
    budget = prod.one("budgets/budget:Budget").inputs
    assert (budget["name"], budget["limitAmount"], budget["limitUnit"], budget["timeUnit"], budget["budgetType"]) == (
        "heartmap-prod",
        str(prod.settings.monthly_budget_usd),
        "USD",
        "MONTHLY",
        "COST",
    )
    heard = [(one["notificationType"], one["threshold"], one["subscriberSnsTopicArns"]) for one in budget["notifications"]]
    assert heard == [("ACTUAL", 80, [TOPIC]), ("ACTUAL", 100, [TOPIC]), ("FORECASTED", 100, [TOPIC])]
    assert {one["comparisonOperator"] for one in budget["notifications"]} == {"GREATER_THAN"}
    assert run("dev", {"heartmap:monthly_budget_usd": "0"}).of("budgets/budget:Budget") == []


def test_only_the_trail_may_say_that_a_file_is_there_and_not_where_alarms_speak(prod: Any) -> None:
    policy = statements(prod.one("sns/topicPolicy:TopicPolicy", "trail-deliveries").inputs["policy"])
    assert policy.keys() == {"TlsOnly", "Deliveries"}
    assert policy["Deliveries"]["Principal"] == {"Service": ["cloudtrail.amazonaws.com"]}
    assert policy["Deliveries"]["Condition"] == {"StringEquals": {"aws:SourceArn": TRAIL_ARN}}


def test_every_topic_is_encrypted_under_the_logs_key_and_has_a_policy(plan: Any) -> None:
    topics = plan.of("sns/topic:Topic")
    assert {topic.name for topic in topics} == {"alarms"} | ({"trail-deliveries"} if plan.settings.audit_trail else set())
    assert {topic.inputs["kmsMasterKeyId"] for topic in topics} == {LOGS_KEY}
    assert {policy.inputs["arn"] for policy in plan.of("sns/topicPolicy:TopicPolicy")} == {f"arn:aws:{one.id}" for one in topics}


def test_the_address_in_the_settings_hears_of_alarms_and_of_nothing_else(prod: Any, run: Callable[..., Any]) -> None:
    heard = [one.inputs for one in prod.of("sns/topicSubscription:TopicSubscription")]
    assert heard == [{"topic": TOPIC, "protocol": "email", "endpoint": prod.settings.alarm_email}]
    silent = run("dev", {"heartmap:alarm_email": ""})
    assert silent.of("sns/topicSubscription:TopicSubscription") == []


# --- alarms

RUNBOOK = Path(__file__).resolve().parents[2] / "docs" / "runbook.md"


def test_each_message_leads_to_the_section_of_the_runbook_that_says_what_to_do(plan: Any, run: Callable[..., Any]) -> None:
    sections = set(re.findall(r"^## (\S+)$", RUNBOOK.read_text(), re.MULTILINE))
    alarms = watched(plan)
    assert {*alarms, "budget"} - sections == set()
    for name, alarm in alarms.items():
        assert alarm["name"] == f"heartmap-{plan.stack}-{name}"
        assert alarm["alarmDescription"].endswith(f". Runbook: docs/runbook.md#{name}")
        assert len(alarm["alarmDescription"]) <= 1024
    if plan.stack == "dev":
        elsewhere = run("dev", {"heartmap:runbook": "https://wiki.example.org/heartmap"})
        assert all("https://wiki.example.org/heartmap#" in alarm["alarmDescription"] for alarm in watched(elsewhere).values())


def watched(plan: Any) -> dict[str, dict[str, Any]]:
    """The alarms that call somebody, by what they are on."""
    return {alarm.name: alarm.inputs for alarm in plan.of(ALARM) if TOPIC in alarm.inputs["alarmActions"]}


def test_whoever_takes_the_role_for_emergencies_or_is_refused_it_is_heard_of(prod: Any) -> None:
    counted = prod.one(FILTER, "break-glass-used").inputs
    assert counted["logGroupName"] == prod.one("cloudwatch/logGroup:LogGroup", "audit-trail").inputs["name"]
    assert watched(prod)["break-glass-used"]["threshold"] == 1
    role = "role/heartmap-prod-break-glass"
    call = {"eventSource": "sts.amazonaws.com", "eventName": "AssumeRole"}
    taken = call | {"requestParameters": {"roleArn": f"arn:aws:iam::{ACCOUNT}:{role}"}}
    refused = call | {
        "errorCode": "AccessDenied",
        "errorMessage": f"is not authorized to perform it on arn:aws:iam::{ACCOUNT}:{role}",
    }
    other = call | {"requestParameters": {"roleArn": f"arn:aws:iam::{ACCOUNT}:role/heartmap-prod-authorizer"}}
    read = {
        "eventSource": "iam.amazonaws.com",
        "eventName": "GetRole",
        "requestParameters": {"roleName": "heartmap-prod-break-glass"},
    }
    heard = [matches(counted["pattern"], json.dumps(one)) for one in (taken, refused, other, read)]
    assert heard == [True, True, False, False]


def test_every_change_alarm_counts_the_trails_records_and_acts_on_the_first(prod: Any) -> None:
    filters, alarms = {one.name: one.inputs for one in prod.of(FILTER)}, watched(prod)
    for change in CHANGE_ALARMS:
        counted, alarm = filters[change.name], alarms[change.name]
        assert counted["pattern"] == change.pattern
        assert counted["logGroupName"] == prod.one("cloudwatch/logGroup:LogGroup", "audit-trail").inputs["name"]
        metric = counted["metricTransformation"]
        assert metric == {"name": change.name, "namespace": "heartmap/prod", "value": "1"}
        assert (alarm["namespace"], alarm["metricName"]) == (metric["namespace"], metric["name"])
        assert "dimensions" not in alarm
        assert (alarm["statistic"], alarm["comparisonOperator"], alarm["threshold"], alarm["evaluationPeriods"]) == (
            "Sum",
            "GreaterThanOrEqualToThreshold",
            1,
            1,
        )
        assert (alarm["actionsEnabled"], alarm["treatMissingData"]) == (True, "notBreaching")
        assert change.control in alarm["alarmDescription"]


def test_a_trail_brings_the_change_alarms_and_no_trail_brings_none(planned: Any, run: Callable[..., Any]) -> None:
    names = {alarm.name for alarm in CHANGE_ALARMS}
    assert names <= watched(planned("local")).keys()
    assert not names & watched(planned("dev")).keys()
    assert planned("dev").of("cloudtrail/trail:Trail") == []
    assert names <= watched(run("dev", {"heartmap:audit_trail": "true"})).keys()


# What each service alarm is on: namespace, metric, dimensions, statistic, threshold, seconds, periods, what silence means.
BALANCER = {"LoadBalancer": "LoadBalancer/balancer/arnSuffix"}
TARGETS = {**BALANCER, "TargetGroup": "TargetGroup/balancer/arnSuffix"}
SERVICE_ALARMS: dict[str, tuple[Any, ...]] = {
    "api-5xx": ("AWS/ApiGateway", "5XXError", {"ApiName": "heartmap-prod", "Stage": "live"}, "Sum", 5, 300, 1, "notBreaching"),
    "authorizer-limit": (
        "AWS/Lambda",
        "Throttles",
        {"FunctionName": "heartmap-prod-authorizer"},
        "Sum",
        1,
        300,
        1,
        "notBreaching",
    ),
    "authorizer-faults": ("heartmap/prod", "authorizer-faults", None, "Sum", 1, 300, 1, "notBreaching"),
    "blocked-burst": (
        "AWS/WAFV2",
        "BlockedRequests",
        {"WebACL": "heartmap-prod", "Region": "us-east-1", "Rule": "ALL"},
        "Sum",
        500,
        300,
        1,
        "notBreaching",
    ),
    "unhealthy-hosts": ("AWS/ApplicationELB", "UnHealthyHostCount", TARGETS, "Maximum", 1, 60, 5, "notBreaching"),
    "no-healthy-hosts": ("AWS/ApplicationELB", "HealthyHostCount", TARGETS, "Maximum", 1, 60, 3, "breaching"),
    "service-5xx": ("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", TARGETS, "Sum", 5, 300, 1, "notBreaching"),
    "balancer-5xx": ("AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", BALANCER, "Sum", 5, 300, 1, "notBreaching"),
    "queue-age": (
        "AWS/SQS",
        "ApproximateAgeOfOldestMessage",
        {"QueueName": "Queue/work"},
        "Maximum",
        10800,
        300,
        1,
        "notBreaching",
    ),
    "dead-letters": (
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        {"QueueName": "Queue/dead-letters"},
        "Maximum",
        1,
        300,
        1,
        "notBreaching",
    ),
    "api-expiry": (
        "AWS/CertificateManager",
        "DaysToExpiry",
        {"CertificateArn": "arn:aws:Certificate/domain"},
        "Minimum",
        30,
        86400,
        1,
        "notBreaching",
    ),
    "balancer-expiry": (
        "AWS/CertificateManager",
        "DaysToExpiry",
        {"CertificateArn": "arn:aws:Certificate/balancer"},
        "Minimum",
        30,
        86400,
        1,
        "notBreaching",
    ),
}
LOW_IS_BAD = {"no-healthy-hosts", "api-expiry", "balancer-expiry"}


@pytest.mark.parametrize("name", SERVICE_ALARMS)
def test_what_goes_wrong_calls_somebody(prod: Any, name: str) -> None:
    alarm = watched(prod)[name]
    found = (
        alarm["namespace"],
        alarm["metricName"],
        alarm.get("dimensions"),
        alarm["statistic"],
        alarm["threshold"],
        alarm["period"],
        alarm["evaluationPeriods"],
        alarm["treatMissingData"],
    )
    assert found == SERVICE_ALARMS[name]
    low = "LessThanThreshold" if name in LOW_IS_BAD else "GreaterThanOrEqualToThreshold"
    assert (alarm["comparisonOperator"], alarm["actionsEnabled"]) == (low, True)


def test_what_an_alarm_watches_is_what_the_stack_has(prod: Any) -> None:
    assert prod.one("apigateway/restApi:RestApi").inputs["name"] == SERVICE_ALARMS["api-5xx"][2]["ApiName"]
    assert prod.one("apigateway/stage:Stage").inputs["stageName"] == SERVICE_ALARMS["api-5xx"][2]["Stage"]
    acl = prod.one("wafv2/webAcl:WebAcl").inputs["visibilityConfig"]
    assert (acl["metricName"], acl["cloudwatchMetricsEnabled"]) == (SERVICE_ALARMS["blocked-burst"][2]["WebACL"], True)
    functions = {function.inputs["name"] for function in prod.of("lambda/function:Function")}
    assert SERVICE_ALARMS["authorizer-limit"][2]["FunctionName"] in functions


def test_a_failing_authorizer_is_seen_in_the_access_log_and_a_refused_caller_is_no_fault(plan: Any) -> None:
    counted = plan.one(FILTER, "authorizer-faults").inputs
    assert counted["logGroupName"] == plan.one("cloudwatch/logGroup:LogGroup", "api-access").inputs["name"]
    types = [response.response_type for response in GATEWAY_RESPONSES]
    errors = [key for key, value in ACCESS_LOG.items() if value == "$context.error.responseType"]
    faults = {kind for kind in [*types, "-"] if matches(counted["pattern"], json.dumps(dict.fromkeys(errors, kind)))}
    assert faults == {"AUTHORIZER_FAILURE", "AUTHORIZER_CONFIGURATION_ERROR"}


def test_nobody_is_called_for_an_empty_api_outside_the_working_hours(planned: Any) -> None:
    assert planned("dev").settings.working_hours is not None
    assert "no-healthy-hosts" not in watched(planned("dev"))


def test_a_job_that_takes_as_long_as_it_may_is_no_reason_to_call() -> None:
    assert Limits(memory=0).wall < observability.OLDEST_MESSAGE_SECONDS


def test_what_recovers_says_so_and_what_somebody_did_is_not_undone(prod: Any) -> None:
    recovering = {name for name, alarm in watched(prod).items() if alarm.get("okActions") == [TOPIC]}
    assert recovering >= SERVICE_ALARMS.keys() - {"authorizer-faults"}
    assert not recovering & {alarm.name for alarm in CHANGE_ALARMS}
