from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

GROUP, SCHEDULE = "aws:autoscaling/group:Group", "aws:autoscaling/schedule:Schedule"
NAME = {"key": "Name", "value": "trial", "propagateAtLaunch": True}


@pytest.fixture(scope="module")
def vpc(make: Callable[..., Any]) -> Any:
    return make("aws:ec2/vpc:Vpc", cidrBlock="10.7.0.0/16")


@pytest.fixture(scope="module")
def subnets(make: Callable[..., Any], vpc: Any) -> list[str]:
    zones = (("10.7.0.0/24", "use1-az4"), ("10.7.1.0/24", "use1-az6"))
    return [make("aws:ec2/subnet:Subnet", vpcId=vpc.id, cidrBlock=cidr, availabilityZoneId=zone).id for cidr, zone in zones]


@pytest.fixture(scope="module")
def closed(make: Callable[..., Any], vpc: Any) -> str:
    return make("aws:ec2/securityGroup:SecurityGroup", name="closed", vpcId=vpc.id).id


@pytest.fixture
def group(make: Callable[..., Any], subnets: list[str], closed: str, request: pytest.FixtureRequest) -> Any:
    template = make(
        "aws:ec2/launchTemplate:LaunchTemplate",
        name=request.node.name[:60],
        imageId="ami-1",
        instanceType="t4g.nano",
        metadataOptions={"httpTokens": "required"},
        monitoring={"enabled": True},
        blockDeviceMappings=[{"deviceName": "/dev/xvda", "ebs": {"encrypted": "true", "volumeSize": 8}}],
        networkInterfaces=[{"deviceIndex": 0, "associatePublicIpAddress": "false", "securityGroups": [closed]}],
    )
    made = make(
        GROUP,
        name=request.node.name[:60],
        minSize=0,
        maxSize=1,
        desiredCapacity=1,
        launchTemplate={"id": template.id, "version": "1"},
        vpcZoneIdentifiers=subnets,
        tags=[NAME],
    )
    yield made
    made.delete()


def described(cloud: Any, group: Any) -> dict[str, Any]:
    (found,) = cloud.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group.id])["AutoScalingGroups"]
    return found


def running(cloud: Any, group: Any) -> dict[str, Any]:
    (instance,) = described(cloud, group)["Instances"]
    (reservation,) = cloud.client("ec2").describe_instances(InstanceIds=[instance["InstanceId"]])["Reservations"]
    return reservation["Instances"][0]


def test_an_instance_is_what_the_template_of_its_group_says(group: Any, cloud: Any, closed: str) -> None:
    instance = running(cloud, group)
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["Monitoring"] == {"State": "enabled"}
    assert [one["GroupId"] for one in instance["SecurityGroups"]] == [closed]
    assert "PublicIpAddress" not in instance
    volumes = [device["Ebs"]["VolumeId"] for device in instance["BlockDeviceMappings"]]
    (disk,) = cloud.client("ec2").describe_volumes(VolumeIds=volumes)["Volumes"]
    assert disk["Encrypted"] is True
    assert cloud.client("kms").describe_key(KeyId=disk["KmsKeyId"])["KeyMetadata"]["KeyManager"] == "AWS"


def test_a_group_runs_its_instances_with_the_tags_that_are_passed_on(group: Any, cloud: Any) -> None:
    assert {"Key": "Name", "Value": "trial"} in running(cloud, group)["Tags"]
    assert group.drift() == {}
    group.delete()
    group.delete()
    assert group.read() is None


def test_the_size_that_a_schedule_set_stays_unless_another_is_said(group: Any, cloud: Any) -> None:
    cloud.client("autoscaling").set_desired_capacity(AutoScalingGroupName=group.id, DesiredCapacity=0)
    assert group.drift() == {"desiredCapacity": (1, 0)}
    group.update(tags=[NAME, {"key": "a", "value": "b", "propagateAtLaunch": False}])
    group.update(maxSize=2)
    assert described(cloud, group)["DesiredCapacity"] == 0
    group.update(desiredCapacity=2)
    assert len(described(cloud, group)["Instances"]) == 2
    assert group.drift() == {}
    group.update(tags=[NAME])
    assert [tag["Key"] for tag in described(cloud, group)["Tags"]] == ["Name"]
    assert group.drift() == {}


def test_a_size_out_of_range_is_refused(refusals: Callable[..., list[str]]) -> None:
    sizes = {"minSize": 0, "maxSize": 1, "desiredCapacity": 2}
    (reason,) = refusals(GROUP, name="a", launchTemplate={"id": "lt-1"}, vpcZoneIdentifiers=["subnet-1"], **sizes)
    assert "from minSize to maxSize" in reason


def test_a_schedule_sets_the_size_at_its_times(make: Callable[..., Any], group: Any, cloud: Any) -> None:
    given = {"minSize": 0, "maxSize": 1, "desiredCapacity": 0, "recurrence": "0 18 * * MON-FRI", "timeZone": "Europe/Berlin"}
    made = make(SCHEDULE, scheduledActionName="off", autoscalingGroupName=group.id, **given)
    (action,) = cloud.client("autoscaling").describe_scheduled_actions(AutoScalingGroupName=group.id)[
        "ScheduledUpdateGroupActions"
    ]
    assert (action["Recurrence"], action["TimeZone"], action["DesiredCapacity"]) == ("0 18 * * MON-FRI", "Europe/Berlin", 0)
    assert made.drift() == {}
    made.update(recurrence="0 19 * * MON-FRI")
    assert made.drift() == {}
    made.delete()
    made.delete()
    assert made.read() is None


def test_a_recurrence_that_is_no_cron_expression_is_refused(refusals: Callable[..., list[str]]) -> None:
    (reason,) = refusals(SCHEDULE, scheduledActionName="off", autoscalingGroupName="a", recurrence="rate(1 day)")
    assert "weekday" in reason
