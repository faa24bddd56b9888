"""What nobody does in this account without being noticed: the monitoring section (5) of the CIS AWS Foundations Benchmark.

The filter patterns name the events that the benchmark names, in its order, and are read by scanners: a change of spelling is a
change of meaning there. https://docs.aws.amazon.com/securityhub/latest/userguide/cloudwatch-controls.html
"""

from collections.abc import Sequence
from typing import NamedTuple


class ChangeAlarm(NamedTuple):
    """An event worth a message. ``control`` is its number in the benchmark (v7.0), ``pattern`` matches its CloudTrail records."""

    control: str
    name: str
    pattern: str
    description: str


def _named(events: Sequence[str]) -> str:
    return " || ".join(f"($.eventName={event})" for event in events)


def _any(*events: str) -> str:
    return f"{{{_named(events)}}}"


def _of(source: str, *events: str) -> str:
    """Events of one service, whose names another service may have too."""
    return f"{{($.eventSource={source}) && ({_named(events)})}}"


CHANGE_ALARMS: tuple[ChangeAlarm, ...] = (
    ChangeAlarm(
        "5.1",
        "denied-calls",
        # Two that come without anybody's doing are left out, as in the benchmark.
        '{(($.errorCode="*UnauthorizedOperation") || ($.errorCode="AccessDenied*"))'
        ' && ($.sourceIPAddress!="delivery.logs.amazonaws.com") && ($.eventName!="HeadBucket")}',
        "Somebody called AWS for what they may not do",
    ),
    ChangeAlarm(
        "5.2",
        "sign-in-no-mfa",
        '{($.eventName="ConsoleLogin") && ($.additionalEventData.MFAUsed!="Yes") && ($.userIdentity.type="IAMUser")'
        ' && ($.responseElements.ConsoleLogin="Success")}',
        "A user signed in to the console without a second factor",
    ),
    ChangeAlarm(
        "5.3",
        "root-use",
        '{$.userIdentity.type="Root" && $.userIdentity.invokedBy NOT EXISTS && $.eventType!="AwsServiceEvent"}',
        "Somebody used the account's root user",
    ),
    ChangeAlarm(
        "5.4",
        "iam-changes",
        _of(
            "iam.amazonaws.com",
            "DeleteGroupPolicy",
            "DeleteRolePolicy",
            "DeleteUserPolicy",
            "PutGroupPolicy",
            "PutRolePolicy",
            "PutUserPolicy",
            "CreatePolicy",
            "DeletePolicy",
            "CreatePolicyVersion",
            "DeletePolicyVersion",
            "AttachRolePolicy",
            "DetachRolePolicy",
            "AttachUserPolicy",
            "DetachUserPolicy",
            "AttachGroupPolicy",
            "DetachGroupPolicy",
        ),
        "Somebody changed what identities may do",
    ),
    ChangeAlarm(
        "5.5",
        "trail-changes",
        _any("CreateTrail", "UpdateTrail", "DeleteTrail", "StartLogging", "StopLogging"),
        "Somebody changed or stopped a trail",
    ),
    ChangeAlarm(
        "5.6",
        "failed-sign-ins",
        '{($.eventName=ConsoleLogin) && ($.errorMessage="Failed authentication")}',
        "A sign-in to the console failed",
    ),
    ChangeAlarm(
        "5.7",
        "key-deletion",
        _of("kms.amazonaws.com", "DisableKey", "ScheduleKeyDeletion"),
        "Somebody disabled a key or is deleting it",
    ),
    ChangeAlarm(
        "5.8",
        "bucket-policies",
        _of(
            "s3.amazonaws.com",
            "PutBucketAcl",
            "PutBucketPolicy",
            "PutBucketCors",
            "PutBucketLifecycle",
            "PutBucketReplication",
            "DeleteBucketPolicy",
            "DeleteBucketCors",
            "DeleteBucketLifecycle",
            "DeleteBucketReplication",
        ),
        "Somebody changed who gets at a bucket, or what is kept in it",
    ),
    ChangeAlarm(
        "5.9",
        "config-changes",
        _of(
            "config.amazonaws.com",
            "StopConfigurationRecorder",
            "DeleteDeliveryChannel",
            "PutDeliveryChannel",
            "PutConfigurationRecorder",
        ),
        "Somebody changed or stopped AWS Config",
    ),
    ChangeAlarm(
        "5.10",
        "security-groups",
        _any(
            "AuthorizeSecurityGroupIngress",
            "AuthorizeSecurityGroupEgress",
            "RevokeSecurityGroupIngress",
            "RevokeSecurityGroupEgress",
            "CreateSecurityGroup",
            "DeleteSecurityGroup",
        ),
        "Somebody changed a security group",
    ),
    ChangeAlarm(
        "5.11",
        "network-acls",
        _any(
            "CreateNetworkAcl",
            "CreateNetworkAclEntry",
            "DeleteNetworkAcl",
            "DeleteNetworkAclEntry",
            "ReplaceNetworkAclEntry",
            "ReplaceNetworkAclAssociation",
        ),
        "Somebody changed a network ACL",
    ),
    ChangeAlarm(
        "5.12",
        "gateways",
        _any(
            "CreateCustomerGateway",
            "DeleteCustomerGateway",
            "AttachInternetGateway",
            "CreateInternetGateway",
            "DeleteInternetGateway",
            "DetachInternetGateway",
        ),
        "Somebody changed a way between a network and the outside",
    ),
    ChangeAlarm(
        "5.13",
        "route-tables",
        _of(
            "ec2.amazonaws.com",
            "CreateRoute",
            "CreateRouteTable",
            "ReplaceRoute",
            "ReplaceRouteTableAssociation",
            "DeleteRouteTable",
            "DeleteRoute",
            "DisassociateRouteTable",
        ),
        "Somebody changed a route",
    ),
    ChangeAlarm(
        "5.14",
        "vpcs",
        _any(
            "CreateVpc",
            "DeleteVpc",
            "ModifyVpcAttribute",
            "AcceptVpcPeeringConnection",
            "CreateVpcPeeringConnection",
            "DeleteVpcPeeringConnection",
            "RejectVpcPeeringConnection",
            "AttachClassicLinkVpc",
            "DetachClassicLinkVpc",
            "DisableVpcClassicLink",
            "EnableVpcClassicLink",
        ),
        "Somebody changed a VPC or joined it to another",
    ),
    ChangeAlarm(
        "5.15",
        "organization",
        _of(
            "organizations.amazonaws.com",
            "AcceptHandshake",
            "AttachPolicy",
            "CancelHandshake",
            "CreateAccount",
            "CreateOrganization",
            "CreateOrganizationalUnit",
            "CreatePolicy",
            "DeclineHandshake",
            "DeleteOrganization",
            "DeleteOrganizationalUnit",
            "DeletePolicy",
            "EnableAllFeatures",
            "EnablePolicyType",
            "InviteAccountToOrganization",
            "LeaveOrganization",
            "DetachPolicy",
            "DisablePolicyType",
            "MoveAccount",
            "RemoveAccountFromOrganization",
            "UpdateOrganizationalUnit",
            "UpdatePolicy",
        ),
        "Somebody changed the organization that the account is in",
    ),
)
