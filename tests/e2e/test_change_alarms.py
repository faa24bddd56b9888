"""The alarms on changes of the account: each is set off by calls that are made for real, and the trail has records of.

The emulated AWS writes CloudTrail's records; the deployed filters count them, and the deployed alarms speak. What rings at the
calls of one alarm is looked for in the records of those calls alone.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.change_alarms import CHANGE_ALARMS
from local_cloud import deployed, metrics
from local_cloud.alarms import ALARM, MINUTE, OK, Alarm, History, changes

pytestmark = pytest.mark.e2e

BREAK_GLASS = "break-glass-used"
# Nobody signs in to a console here, and no call of an API makes keys of the account's root. tests/infra/test_change_alarms.py
# has records of AWS's documentation for these.
ON_PAPER = {"failed-sign-ins", "root-use", "sign-in-no-mfa"}


class Cloud(NamedTuple):
    """The emulated AWS of the environment. ``stranger`` gives clients of a user who may do nothing."""

    client: Callable[[str], Any]
    stranger: Callable[[str], Any]
    alarms: dict[str, Alarm]
    filters: list[dict[str, Any]]
    group: str
    trail: str
    account: str

    def lines(self, begin: float) -> list[tuple[float, str]]:
        """The trail's records from a moment on."""
        pages = (
            self.client("logs").get_paginator("filter_log_events").paginate(logGroupName=self.group, startTime=int(begin * 1000))
        )
        return [(event["timestamp"] / 1000, event["message"]) for page in pages for event in page["events"]]

    def spoken(self, lines: list[tuple[float, str]]) -> set[str]:
        """The alarms that speak of these records, all of which are over within two of their periods."""
        history, ended = History(), max(moment for moment, _ in lines)
        metrics.counted(self.filters, {self.group: lines}, history)
        found = set()
        for name, alarm in self.alarms.items():
            told = [what for _, what in changes(alarm, history, lines[0][0], ended + MINUTE + 2 * alarm.window)]
            if ALARM in told:
                assert told[-1] == OK, name
                found.add(name)
        return found


@pytest.fixture(scope="module")
def cloud(local: Any) -> Iterator[Cloud]:
    environment = local.environment
    session: Any = boto3.Session("local", "local", region_name=environment["region"])

    def client(service: str) -> Any:
        return session.client(service, endpoint_url=environment["aws_endpoint"])

    (trail,) = client("cloudtrail").describe_trails()["trailList"]
    group = trail["CloudWatchLogsLogGroupArn"].partition(":log-group:")[2].removesuffix(":*")
    filters = client("logs").describe_metric_filters(logGroupName=group)["metricFilters"]
    counts = {one["metricName"] for each in filters for one in each["metricTransformations"]}
    alarms = {one.metric.name: one for one in metrics.deployed_alarms(client("cloudwatch")) if one.metric.name in counts}
    iam, name = client("iam"), f"stranger-{uuid.uuid4().hex}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    own: Any = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=environment["region"])
    yield Cloud(
        client=client,
        stranger=lambda service: own.client(service, endpoint_url=environment["aws_endpoint"]),
        alarms=alarms,
        filters=filters,
        group=group,
        trail=trail["Name"],
        account=deployed.outputs(local.state)["results_bucket"].split("-")[3],
    )
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)


def denied(call: Callable[..., Any], **given: Any) -> None:
    with pytest.raises(ClientError, match=r"AccessDenied|UnauthorizedOperation"):
        call(**given)


def an_account_is_looked_around_in(cloud: Cloud) -> None:
    denied(cloud.stranger("iam").list_users)
    denied(cloud.stranger("ec2").describe_instances)
    denied(cloud.stranger("secretsmanager").list_secrets)


def a_policy_is_made(cloud: Cloud) -> None:
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
    policy = cloud.client("iam").create_policy(PolicyName="everything", PolicyDocument=document)["Policy"]["Arn"]
    cloud.client("iam").delete_policy(PolicyArn=policy)


def the_trail_is_stopped(cloud: Cloud) -> None:
    cloud.client("cloudtrail").stop_logging(Name=cloud.trail)
    # Of this there is no record.
    gateway = cloud.client("ec2").create_internet_gateway()["InternetGateway"]
    cloud.client("ec2").delete_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"])
    cloud.client("cloudtrail").start_logging(Name=cloud.trail)


def a_key_is_put_up_for_deletion(cloud: Cloud) -> None:
    kms = cloud.client("kms")
    kms.schedule_key_deletion(KeyId=kms.create_key()["KeyMetadata"]["KeyId"], PendingWindowInDays=7)


def a_bucket_is_opened(cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="opened")
    s3.put_bucket_acl(Bucket="opened", ACL="public-read")
    s3.delete_bucket(Bucket="opened")


def aws_config_is_changed(cloud: Cloud) -> None:
    config = cloud.client("config")
    role = f"arn:aws:iam::{cloud.account}:role/any"
    config.put_configuration_recorder(ConfigurationRecorder={"name": "nothing", "roleARN": role})
    config.delete_configuration_recorder(ConfigurationRecorderName="nothing")


def a_security_group_is_made(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    ec2.delete_security_group(GroupId=ec2.create_security_group(GroupName="open", Description="to all")["GroupId"])


def a_network_acl_is_made(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    made = ec2.create_network_acl(VpcId=ec2.describe_vpcs()["Vpcs"][0]["VpcId"])["NetworkAcl"]
    ec2.delete_network_acl(NetworkAclId=made["NetworkAclId"])


def a_way_out_is_made(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    gateway = ec2.create_internet_gateway()["InternetGateway"]
    ec2.delete_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"])


def a_route_table_is_made(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    made = ec2.create_route_table(VpcId=ec2.describe_vpcs()["Vpcs"][0]["VpcId"])["RouteTable"]
    ec2.delete_route_table(RouteTableId=made["RouteTableId"])


def a_network_is_made(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    ec2.delete_vpc(VpcId=ec2.create_vpc(CidrBlock="10.99.0.0/24")["Vpc"]["VpcId"])


def an_organization_is_founded(cloud: Cloud) -> None:
    cloud.client("organizations").create_organization(FeatureSet="ALL")
    cloud.client("organizations").delete_organization()


def the_role_for_emergencies_is_tried(cloud: Cloud) -> None:
    role = f"arn:aws:iam::{cloud.account}:role/heartmap-local-break-glass"
    denied(cloud.stranger("sts").assume_role, RoleArn=role, RoleSessionName="anybody")


CALLS: dict[str, Callable[[Cloud], None]] = {
    "denied-calls": an_account_is_looked_around_in,
    "iam-changes": a_policy_is_made,
    "trail-changes": the_trail_is_stopped,
    "key-deletion": a_key_is_put_up_for_deletion,
    "bucket-policies": a_bucket_is_opened,
    "config-changes": aws_config_is_changed,
    "security-groups": a_security_group_is_made,
    "network-acls": a_network_acl_is_made,
    "gateways": a_way_out_is_made,
    "route-tables": a_route_table_is_made,
    "vpcs": a_network_is_made,
    "organization": an_organization_is_founded,
    BREAK_GLASS: the_role_for_emergencies_is_tried,
}


def test_every_alarm_on_the_trail_is_set_off_here_or_it_is_said_why_not(cloud: Cloud) -> None:
    assert cloud.alarms.keys() == {*CALLS, *ON_PAPER}
    assert {alarm.name for alarm in CHANGE_ALARMS} == cloud.alarms.keys() - {BREAK_GLASS}


def test_ordinary_use_sets_none_of_them_off(local: Any, cloud: Cloud) -> None:
    # Deploying is a change, and those alarms ring. Then the check signs in, uploads, analyses and fetches.
    begin = (local.state / "outputs.json").stat().st_mtime
    end = max(file.stat().st_mtime for file in (local.state / "check").rglob("*"))
    used = [(moment, line) for moment, line in cloud.lines(begin) if moment <= end]
    # The users of the environment, the authorizer's secret, and the sealer's first seal.
    assert {json.loads(line)["eventName"] for _, line in used} >= {"AdminCreateUser", "GetSecretValue", "Sign"}
    assert cloud.spoken(used) == set()


@pytest.mark.parametrize("name", CALLS)
def test_the_call_sets_its_alarm_off_and_within_two_periods_it_is_over(cloud: Cloud, name: str) -> None:
    before = len(cloud.lines(0))
    CALLS[name](cloud)
    made = cloud.lines(0)[before:]
    # Whoever is refused the role for emergencies is refused something.
    assert cloud.spoken(made) == ({name, "denied-calls"} if name == BREAK_GLASS else {name})
