"""The change alarms against CloudTrail records, and against what scanners look for in their patterns."""

import json
import re
from typing import Any

import pytest

from infra.change_alarms import CHANGE_ALARMS
from local_cloud.filter_pattern import matches

PATTERNS = {alarm.name: alarm.pattern for alarm in CHANGE_ALARMS}

# The events of each alarm on a list of them, and the service whose they are, where the benchmark names one.
_LISTS = {
    "iam-changes": ("iam", """
        DeleteGroupPolicy DeleteRolePolicy DeleteUserPolicy PutGroupPolicy PutRolePolicy PutUserPolicy CreatePolicy
        DeletePolicy CreatePolicyVersion DeletePolicyVersion AttachRolePolicy DetachRolePolicy AttachUserPolicy
        DetachUserPolicy AttachGroupPolicy DetachGroupPolicy
    """),
    "trail-changes": ("", """
        CreateTrail UpdateTrail DeleteTrail StartLogging StopLogging
    """),
    "key-deletion": ("kms", """
        DisableKey ScheduleKeyDeletion
    """),
    "bucket-policies": ("s3", """
        PutBucketAcl PutBucketPolicy PutBucketCors PutBucketLifecycle PutBucketReplication DeleteBucketPolicy
        DeleteBucketCors DeleteBucketLifecycle DeleteBucketReplication
    """),
    "config-changes": ("config", """
        StopConfigurationRecorder DeleteDeliveryChannel PutDeliveryChannel PutConfigurationRecorder
    """),
    "security-groups": ("", """
        AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress RevokeSecurityGroupIngress
        RevokeSecurityGroupEgress CreateSecurityGroup DeleteSecurityGroup
    """),
    "network-acls": ("", """
        CreateNetworkAcl CreateNetworkAclEntry DeleteNetworkAcl DeleteNetworkAclEntry ReplaceNetworkAclEntry
        ReplaceNetworkAclAssociation
    """),
    "gateways": ("", """
        CreateCustomerGateway DeleteCustomerGateway AttachInternetGateway CreateInternetGateway DeleteInternetGateway
        DetachInternetGateway
    """),
    "route-tables": ("ec2", """
        CreateRoute CreateRouteTable ReplaceRoute ReplaceRouteTableAssociation DeleteRouteTable DeleteRoute
        DisassociateRouteTable
    """),
    "vpcs": ("", """
        CreateVpc DeleteVpc ModifyVpcAttribute AcceptVpcPeeringConnection CreateVpcPeeringConnection
        DeleteVpcPeeringConnection RejectVpcPeeringConnection AttachClassicLinkVpc DetachClassicLinkVpc
        DisableVpcClassicLink EnableVpcClassicLink
    """),
    "organization": ("organizations", """
        AcceptHandshake AttachPolicy CancelHandshake CreateAccount CreateOrganization CreateOrganizationalUnit
        CreatePolicy DeclineHandshake DeleteOrganization DeleteOrganizationalUnit DeletePolicy EnableAllFeatures
        EnablePolicyType InviteAccountToOrganization LeaveOrganization DetachPolicy DisablePolicyType MoveAccount
        RemoveAccountFromOrganization UpdateOrganizationalUnit UpdatePolicy
    """),
}  # fmt: skip
EVENTS = {name: (service, events.split()) for name, (service, events) in _LISTS.items()}

# As CloudTrail writes them: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-aws-console-sign-in-events.html
ROOT = {"type": "Root", "principalId": "111122223333", "arn": "arn:aws:iam::111122223333:root", "accountId": "111122223333"}
USER = {
    "type": "IAMUser",
    "principalId": "AIDAEXAMPLE",
    "arn": "arn:aws:iam::111122223333:user/anaya",
    "accountId": "111122223333",
    "userName": "anaya",
}
ASSUMED = {"type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/operator/anaya", "accountId": "111122223333"}


def record(source: str, event: str, **more: Any) -> str:
    """One CloudTrail record as a line of the log group."""
    common = {
        "eventVersion": "1.11",
        "userIdentity": ASSUMED,
        "eventTime": "2026-11-20T12:00:00Z",
        "eventSource": f"{source}.amazonaws.com",
        "eventName": event,
        "awsRegion": "us-east-1",
        "sourceIPAddress": "192.0.2.10",
        "userAgent": "aws-cli/2.31",
        "requestParameters": None,
        "responseElements": None,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": "111122223333",
    }
    return json.dumps(common | more)


def sign_in(identity: dict[str, Any], result: str, mfa: str = "No", **more: Any) -> str:
    return record(
        "signin",
        "ConsoleLogin",
        eventType="AwsConsoleSignIn",
        userIdentity=identity,
        responseElements={"ConsoleLogin": result},
        additionalEventData={"LoginTo": "https://console.aws.amazon.com/", "MobileVersion": "No", "MFAUsed": mfa},
        **more,
    )


FAILED = sign_in(USER, "Failure", errorMessage="Failed authentication")
DENIED = {"errorCode": "AccessDenied", "errorMessage": "User is not authorized to perform: s3:GetObject"}

# What sets off which alarms. Every record is tried on all of them.
RECORDS: list[tuple[str, str, set[str]]] = [
    ("a user signs in without a second factor", sign_in(USER, "Success"), {"sign-in-no-mfa"}),
    ("a user signs in with one", sign_in(USER, "Success", mfa="Yes"), set()),
    ("a federated person signs in, whose provider asks for the second factor", sign_in(ASSUMED, "Success"), set()),
    ("a wrong password", FAILED, {"failed-sign-ins"}),
    ("root signs in", sign_in(ROOT, "Success", mfa="Yes"), {"root-use"}),
    ("root makes a key", record("iam", "CreateAccessKey", userIdentity=ROOT), {"root-use"}),
    ("AWS acts for root", record("kms", "Decrypt", userIdentity={**ROOT, "invokedBy": "AWS Internal"}), set()),
    ("AWS does something by itself", record("kms", "RotateKey", userIdentity=ROOT, eventType="AwsServiceEvent"), set()),
    ("an object is asked for in vain", record("s3", "GetObject", **DENIED), {"denied-calls"}),
    (
        "an instance is started in vain",
        record("ec2", "RunInstances", errorCode="Client.UnauthorizedOperation"),
        {"denied-calls"},
    ),
    ("a KMS call is refused", record("kms", "Decrypt", errorCode="AccessDeniedException"), {"denied-calls"}),
    ("a bucket is looked for in vain", record("s3", "HeadBucket", **DENIED), set()),
    ("log delivery probes", record("s3", "PutObject", sourceIPAddress="delivery.logs.amazonaws.com", **DENIED), set()),
    ("a call fails for another reason", record("s3", "GetObject", errorCode="NoSuchKey"), set()),
    ("a policy is attached", record("iam", "AttachRolePolicy"), {"iam-changes"}),
    ("a policy of the organization is attached", record("organizations", "AttachPolicy"), {"organization"}),
    ("the same in another service", record("iot", "AttachPolicy"), set()),
    ("a trail is stopped", record("cloudtrail", "StopLogging"), {"trail-changes"}),
    ("a trail is looked at", record("cloudtrail", "GetTrailStatus"), set()),
    (
        "a trail is stopped in vain",
        record("cloudtrail", "StopLogging", errorCode="AccessDenied"),
        {"trail-changes", "denied-calls"},
    ),
    ("a key is put up for deletion", record("kms", "ScheduleKeyDeletion"), {"key-deletion"}),
    ("a key is used", record("kms", "GenerateDataKey"), set()),
    ("a route in the network", record("ec2", "CreateRoute"), {"route-tables"}),
    ("a route of an API of the same name", record("apigateway", "CreateRoute"), set()),
    ("an object is stored", record("s3", "PutObject", managementEvent=False), set()),
]


def test_the_alarms_are_those_of_the_benchmark_each_once() -> None:
    assert [alarm.control for alarm in CHANGE_ALARMS] == [f"5.{number}" for number in range(1, 16)]
    assert len(PATTERNS) == 15
    assert all(alarm.description for alarm in CHANGE_ALARMS)


@pytest.mark.parametrize(("record_", "expected"), [case[1:] for case in RECORDS], ids=[case[0] for case in RECORDS])
def test_a_record_sets_off_the_alarms_that_it_should_and_no_other(record_: str, expected: set[str]) -> None:
    assert {name for name, pattern in PATTERNS.items() if matches(pattern, record_)} == expected


def test_every_alarm_is_set_off_by_some_record_above_or_by_each_event_of_its_list() -> None:
    tried = set().union(*(expected for *_, expected in RECORDS))
    assert tried | EVENTS.keys() == PATTERNS.keys()


@pytest.mark.parametrize("name", EVENTS)
def test_each_event_of_a_list_sets_its_alarm_off_and_no_other_event_does(name: str) -> None:
    service, events = EVENTS[name]
    for event in events:
        assert matches(PATTERNS[name], record(service or "ec2", event)), event
        assert matches(PATTERNS[name], record("sdb", event)) == (not service), event
    assert len(re.findall(r"\$\.eventName=", PATTERNS[name])) == len(events)


def test_no_pattern_is_longer_than_cloudwatch_takes() -> None:
    assert {name for name, pattern in PATTERNS.items() if len(pattern) > 1024} == set()


# The regular expressions that Prowler 5.46 searches the patterns for, those that are not lists of events in full.
PROWLER = {
    "denied-calls": r"\$\.errorCode\s*=\s*.?\*UnauthorizedOperation.+\$\.errorCode\s*=\s*.?AccessDenied\*.?",
    "sign-in-no-mfa": r"(?=.*\$\.eventName\s*=\s*.?ConsoleLogin\b)(?=.*\$\.additionalEventData\.MFAUsed\s*!=\s*.?Yes)",
    "root-use": (
        r"\$\.userIdentity\.type\s*=\s*.?Root.+\$\.userIdentity\.invokedBy NOT EXISTS.+\$\.eventType\s*!=\s*.?AwsServiceEvent.?"
    ),
    "failed-sign-ins": r"(?=.*\$\.eventName\s*=\s*.?ConsoleLogin\b)(?=.*\$\.errorMessage\s*=\s*.?Failed\ authentication)",
}


@pytest.mark.parametrize("name", PATTERNS)
def test_a_scanner_finds_what_it_looks_for_in_the_pattern(name: str) -> None:
    if name in PROWLER:
        expected = PROWLER[name]
    else:
        service, events = EVENTS[name]
        source = rf"(?=.*\$\.eventSource\s*=\s*.?{service}\.amazonaws\.com)" if service else ""
        expected = source + "".join(rf"(?=.*\$\.eventName\s*=\s*.?{event}\b)" for event in events)
    assert re.search(expected, PATTERNS[name], flags=re.DOTALL)
