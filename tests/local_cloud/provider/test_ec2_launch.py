from __future__ import annotations

from collections.abc import Callable
from typing import Any

TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
GIVEN: dict[str, Any] = {
    "imageId": "resolve:ssm:/aws/service/image",
    "instanceType": "t4g.nano",
    "ebsOptimized": "true",
    "disableApiTermination": True,
    "userData": "I2Nsb3VkLWNvbmZpZw==",
    "iamInstanceProfile": {"arn": "arn:aws:iam::123456789012:instance-profile/trial"},
    "metadataOptions": {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1},
    "monitoring": {"enabled": True},
    "blockDeviceMappings": [
        {
            "deviceName": "/dev/xvda",
            "ebs": {"encrypted": "true", "volumeSize": 8, "volumeType": "gp3", "deleteOnTermination": "true"},
        }
    ],
    "networkInterfaces": [{"deviceIndex": 0, "associatePublicIpAddress": "false", "securityGroups": ["sg-1"]}],
    "tagSpecifications": [{"resourceType": "instance", "tags": {"Name": "trial"}}],
}


def versions(cloud: Any, template_id: str) -> list[dict[str, Any]]:
    return cloud.client("ec2").describe_launch_template_versions(LaunchTemplateId=template_id)["LaunchTemplateVersions"]


def test_a_template_says_what_its_instances_are(make: Callable[..., Any], cloud: Any) -> None:
    made = make(TEMPLATE, name="trial-data", tags={"a": "b"}, **GIVEN)
    (version,) = versions(cloud, made.id)
    data = version["LaunchTemplateData"]
    assert data["MetadataOptions"] == {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    assert data["Monitoring"] == {"Enabled": True}
    assert data["EbsOptimized"] is True
    assert data["DisableApiTermination"] is True
    assert data["IamInstanceProfile"] == {"Arn": "arn:aws:iam::123456789012:instance-profile/trial"}
    assert data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    assert data["NetworkInterfaces"] == [{"DeviceIndex": 0, "AssociatePublicIpAddress": False, "Groups": ["sg-1"]}]
    assert {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "trial"}]} in data["TagSpecifications"]
    assert made.drift() == {}
    made.delete()
    made.delete()
    assert made.read() is None


def test_a_change_is_a_new_version_and_the_default_one_when_that_is_said(make: Callable[..., Any], cloud: Any) -> None:
    made = make(TEMPLATE, name="trial-versions", **GIVEN)
    state = made.update(instanceType="t4g.micro")
    assert (state["latestVersion"], state["defaultVersion"]) == (2, 1)
    state = made.update(instanceType="t4g.small", updateDefaultVersion=True)
    assert (state["latestVersion"], state["defaultVersion"]) == (3, 3)
    assert made.update(tags={"a": "b"})["latestVersion"] == 3
    assert [version["LaunchTemplateData"]["InstanceType"] for version in versions(cloud, made.id)][-1] == "t4g.small"
    assert made.drift() == {}


def test_a_version_that_somebody_added_is_found_by_a_refresh(make: Callable[..., Any], cloud: Any) -> None:
    made = make(TEMPLATE, name="trial-added", **GIVEN)
    cloud.client("ec2").create_launch_template_version(LaunchTemplateId=made.id, LaunchTemplateData={"InstanceType": "t4g.large"})
    assert made.drift() == {"latestVersion": (1, 2)}


def test_what_a_template_cannot_say_here_is_refused(refusals: Callable[..., list[str]]) -> None:
    (reason,) = refusals(TEMPLATE, name="a", metadataOptions={"httpProtocolIpv6": "enabled"})
    assert "httpProtocolIpv6" in reason
