"""What is recorded, and who hears of it: log groups, alarms, CloudTrail, sessions, certificates."""

import json
import re
from collections.abc import Iterable

from posture.controls.registry import at, control, covers, each
from posture.plan import Plan

LOG_GROUP, ALARM = "cloudwatch/logGroup:LogGroup", "cloudwatch/metricAlarm:MetricAlarm"
FILTER, TRAIL = "cloudwatch/logMetricFilter:LogMetricFilter", "cloudtrail/trail:Trail"

YEAR_DAYS = 365

# What the filter of each CIS alarm has to look for: CIS AWS Foundations Benchmark v7.0, 5.1 to 5.15, in its order.
CIS_ALARMS: dict[str, tuple[str, ...]] = {
    "unauthorised calls": ("UnauthorizedOperation", "AccessDenied"),
    "sign-in without MFA": ("ConsoleLogin", "MFAUsed"),
    "root": ('userIdentity.type="Root"', "userIdentity.invokedBy NOT EXISTS"),
    "IAM": ("DeleteGroupPolicy", "PutRolePolicy", "CreatePolicy", "AttachRolePolicy", "DetachGroupPolicy"),
    "trail": ("CreateTrail", "UpdateTrail", "DeleteTrail", "StopLogging"),
    "failed sign-ins": ("ConsoleLogin", "Failed authentication"),
    "key deletion": ("DisableKey", "ScheduleKeyDeletion"),
    "bucket policy": ("PutBucketPolicy", "DeleteBucketPolicy", "PutBucketAcl"),
    "Config": ("StopConfigurationRecorder", "PutConfigurationRecorder"),
    "security groups": ("AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress", "DeleteSecurityGroup"),
    "NACLs": ("CreateNetworkAcl", "DeleteNetworkAclEntry", "ReplaceNetworkAclAssociation"),
    "gateways": ("CreateCustomerGateway", "AttachInternetGateway", "DeleteInternetGateway"),
    "routes": ("CreateRoute", "ReplaceRoute", "DeleteRouteTable"),
    "VPC": ("CreateVpc", "DeleteVpc", "ModifyVpcAttribute", "AcceptVpcPeeringConnection"),
    "Organizations": ("organizations.amazonaws.com", "LeaveOrganization", "CreateAccount"),
}


@control("103")
def who_reads_objects_is_recorded(plan: Plan) -> Iterable[str]:
    def selectors(trail: dict) -> str:
        return json.dumps([trail.get("eventSelectors"), trail.get("advancedEventSelectors")])

    return each(
        plan, TRAIL, lambda trail: "AWS::S3::Object" in selectors(trail), "does not record reading and writing of objects"
    )


@control("117")
def log_groups_are_under_our_key(plan: Plan) -> Iterable[str]:
    keys = {f"arn:aws:{key.id}" for key in plan.of("kms/key:Key")}
    return each(plan, LOG_GROUP, lambda one: one.get("kmsKeyId") in keys, "is under AWS's key")


@control("118")
def logs_are_kept_a_year(plan: Plan) -> Iterable[str]:
    return each(plan, LOG_GROUP, lambda one: one.get("retentionInDays", 0) >= YEAR_DAYS, "is not kept for a year")


@control("120-134")
def changes_of_the_account_raise_an_alarm(plan: Plan) -> Iterable[str]:
    watched = {at(alarm.inputs, "metricName") for alarm in plan.of(ALARM)}
    groups = {at(trail.inputs, "cloudWatchLogsGroupArn") for trail in plan.of(TRAIL)}
    logged = {group.inputs["name"] for group in plan.of(LOG_GROUP) if any(group.id in str(arn) for arn in groups)}
    patterns = [
        one.inputs["pattern"].replace(" = ", "=")
        for one in plan.of(FILTER)
        if one.inputs["logGroupName"] in logged and at(one.inputs, "metricTransformation.name") in watched
    ]
    for purpose, words in CIS_ALARMS.items():
        if not any(all(re.search(re.escape(word), pattern) for word in words) for pattern in patterns):
            yield f"{purpose}: no alarm"


@control("135")
def alarms_act(plan: Plan) -> Iterable[str]:
    doers = {f"arn:aws:{one.id}" for type_ in ("sns/topic:Topic", "appautoscaling/policy:Policy") for one in plan.of(type_)}

    def holds(alarm: dict) -> bool:
        return bool(set(alarm.get("alarmActions") or []) & doers) and alarm.get("actionsEnabled", True)

    return each(plan, ALARM, holds, "does nothing and tells nobody")


@control("136-138")
def the_trail_is_whole_and_verifiable(plan: Plan) -> Iterable[str]:
    keys = {f"arn:aws:{key.id}" for key in plan.of("kms/key:Key")}
    yield from each(plan, TRAIL, lambda trail: trail.get("isMultiRegionTrail") is True, "records one region")
    yield from each(plan, TRAIL, lambda trail: trail.get("enableLogFileValidation") is True, "can be changed unseen")
    yield from each(plan, TRAIL, lambda trail: trail.get("kmsKeyId") in keys, "is under AWS's key")
    yield from each(plan, TRAIL, lambda trail: trail.get("enableLogging", True), "records nothing")


@control("139")
def the_trail_reaches_the_alarms(plan: Plan) -> Iterable[str]:
    return each(
        plan,
        TRAIL,
        lambda trail: trail.get("cloudWatchLogsGroupArn") and trail.get("cloudWatchLogsRoleArn"),
        "does not reach CloudWatch Logs",
    )


@control("141")
def the_trail_tells_and_sees_what_is_unusual(plan: Plan) -> Iterable[str]:
    yield from each(plan, TRAIL, lambda trail: trail.get("snsTopicName"), "tells nobody of new files")
    yield from each(plan, TRAIL, lambda trail: trail.get("insightSelectors"), "does not look for what is unusual")


@control("142")
def certificates_are_proved_by_dns(plan: Plan) -> Iterable[str]:
    certificate = "acm/certificate:Certificate"

    def holds(one: dict) -> bool:
        names = [one.get("domainName", "*"), *one.get("subjectAlternativeNames", [])]
        return one.get("validationMethod") == "DNS" and not any("*" in name for name in names)

    yield from each(plan, certificate, holds, "nobody vouches for it, or for more names than one")
    arns = {f"arn:aws:{one.id}" for one in plan.of(certificate) if holds(one.inputs)}
    yield from covers(
        plan, "acm/certificateValidation:CertificateValidation", "certificateArn", arns, "is used before it is issued"
    )


@control("154")
def sessions_are_recorded(plan: Plan) -> Iterable[str]:
    def holds(document: dict) -> bool:
        inputs = (json.loads(document["content"]) if document.get("documentType") == "Session" else {}).get("inputs", {})
        to_logs = inputs.get("cloudWatchLogGroupName") and inputs.get("cloudWatchEncryptionEnabled") is True
        to_bucket = inputs.get("s3BucketName") and inputs.get("s3EncryptionEnabled") is True
        return bool(inputs.get("kmsKeyId") and to_logs and to_bucket)

    return each(plan, "ssm/document:Document", holds, "sessions are not encrypted and recorded")


@control("156")
def the_configuration_is_recorded(plan: Plan) -> Iterable[str]:
    return each(plan, "cfg/recorder:Recorder", lambda _: True, "")
