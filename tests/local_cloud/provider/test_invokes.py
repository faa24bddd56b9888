from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from local_cloud.provider.framework import FUNCTIONS, Refused


@pytest.fixture
def secret_version(cloud: Any) -> Any:
    handler = FUNCTIONS["aws:secretsmanager/getSecretVersion:getSecretVersion"]
    return lambda name: handler.invoke(cloud, {"secretId": name})


def test_a_secret_that_others_keep_can_be_read(cloud: Any, secret_version: Any) -> None:
    made = cloud.client("secretsmanager").create_secret(Name="of-the-identity-provider", SecretString="value")
    answer = secret_version(made["ARN"])
    assert (answer["secretString"], answer["arn"], answer["versionId"]) == ("value", made["ARN"], made["VersionId"])
    assert answer["versionStages"] == ["AWSCURRENT"]


def test_a_secret_that_is_not_there_or_empty_is_told(cloud: Any, secret_version: Any) -> None:
    cloud.client("secretsmanager").create_secret(Name="empty")
    for name in ("absent", "empty"):
        with pytest.raises(Refused, match=f"no secret {name}, or it has no value"):
            secret_version(name)


@pytest.fixture(scope="module")
def ask(cloud: Any) -> Callable[..., dict[str, Any]]:
    return lambda name, **args: FUNCTIONS[f"aws:ec2/{name}:{name}"].invoke(cloud, args)


def test_a_network_that_exists_is_told_as_it_is(make: Callable[..., Any], ask: Callable[..., Any]) -> None:
    vpc = make("aws:ec2/vpc:Vpc", cidrBlock="10.11.0.0/16", enableDnsHostnames=True).id
    told = ask("getVpc", id=vpc)
    assert (told["cidrBlock"], told["enableDnsSupport"], told["enableDnsHostnames"]) == ("10.11.0.0/16", True, True)

    subnet = make("aws:ec2/subnet:Subnet", vpcId=vpc, cidrBlock="10.11.1.0/24", availabilityZoneId="use1-az4").id
    told = ask("getSubnet", id=subnet)
    assert (told["vpcId"], told["availabilityZoneId"], told["mapPublicIpOnLaunch"]) == (vpc, "use1-az4", False)

    group = make("aws:ec2/securityGroup:SecurityGroup", name="owner", vpcId=vpc).id
    table = make("aws:ec2/routeTable:RouteTable", vpcId=vpc).id
    endpoint, service = "aws:ec2/vpcEndpoint:VpcEndpoint", "com.amazonaws.us-east-1"
    interface = {"vpcEndpointType": "Interface", "subnetIds": [subnet], "securityGroupIds": [group]}
    make(endpoint, vpcId=vpc, serviceName=f"{service}.sqs", **interface)
    s3 = make(endpoint, vpcId=vpc, serviceName=f"{service}.s3", routeTableIds=[table])
    assert ask("getVpcEndpoint", vpcId=vpc, serviceName=f"{service}.sqs", state="available")["securityGroupIds"] == [group]
    assert ask("getVpcEndpoint", vpcId=vpc, serviceName=f"{service}.s3")["prefixListId"] == s3.state["prefixListId"]
    with pytest.raises(Refused, match=rf"{vpc} has 0 endpoints for {service}\.kms"):
        ask("getVpcEndpoint", vpcId=vpc, serviceName=f"{service}.kms")


@pytest.mark.parametrize(("name", "missing"), [("getVpc", "vpc-0123456789abcdef0"), ("getSubnet", "subnet-0123456789abcdef0")])
def test_what_does_not_exist_is_refused(ask: Callable[..., Any], name: str, missing: str) -> None:
    with pytest.raises(Refused, match=missing):
        ask(name, id=missing)
