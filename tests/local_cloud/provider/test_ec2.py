from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

VPC, GROUP, ENDPOINT = "aws:ec2/vpc:Vpc", "aws:ec2/securityGroup:SecurityGroup", "aws:ec2/vpcEndpoint:VpcEndpoint"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
OPEN = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


@pytest.fixture(scope="module")
def vpc(make: Callable[..., Any]) -> Any:
    return make(VPC, cidrBlock="10.1.0.0/16")


def rules(cloud: Any, group: str) -> list[dict[str, Any]]:
    filters = [{"Name": "group-id", "Values": [group]}]
    return cloud.client("ec2").describe_security_group_rules(Filters=filters)["SecurityGroupRules"]


def test_a_security_group_starts_without_the_open_egress_rule_of_aws(make: Callable[..., Any], vpc: Any, cloud: Any) -> None:
    assert rules(cloud, make(GROUP, name="closed", vpcId=vpc.id).id) == []


def test_the_default_security_group_lets_nothing_through(make: Callable[..., Any], cloud: Any) -> None:
    network = make(VPC, cidrBlock="10.2.0.0/16")
    group = network.state["defaultSecurityGroupId"]
    assert len(rules(cloud, group)) > 0
    made = make(DEFAULT_GROUP, vpcId=network.id, ingress=[], egress=[])
    assert made.id == group
    assert rules(cloud, group) == []

    cloud.client("ec2").authorize_security_group_ingress(GroupId=group, IpPermissions=[OPEN])
    assert set(made.drift()) == {"ingress"}
    made.state["ingress"] = [{"protocol": "-1"}]
    made.update(tags={"a": "b"})
    assert rules(cloud, group) == []


def test_a_rule_in_the_default_security_group_is_refused(refusals: Callable[..., list[str]]) -> None:
    (reason,) = refusals(DEFAULT_GROUP, vpcId="vpc-1", ingress=[{}])
    assert "ingress" in reason


def test_a_gateway_endpoint_gives_its_prefix_list_and_puts_it_into_the_route_tables(
    make: Callable[..., Any], vpc: Any, cloud: Any
) -> None:
    table = make("aws:ec2/routeTable:RouteTable", vpcId=vpc.id).id
    given = {"serviceName": "com.amazonaws.us-east-1.s3", "vpcEndpointType": "Gateway", "routeTableIds": [table]}

    def destinations() -> set[str]:
        (found,) = cloud.client("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"]
        return {route["DestinationPrefixListId"] for route in found["Routes"] if "DestinationPrefixListId" in route}

    made = make(ENDPOINT, vpcId=vpc.id, **given)
    assert destinations() == {made.state["prefixListId"]}
    assert made.drift() == {}
    made.delete()
    assert made.read() is None
    assert destinations() == set()


def test_a_rule_names_exactly_one_other_side(refusals: Callable[..., list[str]]) -> None:
    given = {"securityGroupId": "sg-1", "ipProtocol": "tcp"}
    assert refusals(INGRESS, **given, cidrIpv4="10.0.0.0/8") == []
    for other in ({}, {"cidrIpv4": "10.0.0.0/8", "cidrIpv6": "fd00::/8"}):
        (reason,) = refusals(INGRESS, **given, **other)
        assert "give exactly one of" in reason


def test_a_rule_carries_its_ports_and_description(make: Callable[..., Any], vpc: Any, cloud: Any) -> None:
    group = make(GROUP, name="ruled", vpcId=vpc.id).id
    made = make(
        INGRESS,
        securityGroupId=group,
        ipProtocol="tcp",
        fromPort=443,
        toPort=443,
        cidrIpv4="10.0.0.0/8",
        description="from inside",
    )
    (rule,) = rules(cloud, group)
    assert (rule["FromPort"], rule["ToPort"], rule["CidrIpv4"], rule["Description"]) == (443, 443, "10.0.0.0/8", "from inside")
    assert rule["IsEgress"] is False
    assert made.drift() == {}
    made.delete()
    assert rules(cloud, group) == []


def test_a_subnet_is_in_the_zone_of_its_id(make: Callable[..., Any], vpc: Any, refusals: Callable[..., list[str]]) -> None:
    made = make("aws:ec2/subnet:Subnet", vpcId=vpc.id, cidrBlock="10.1.1.0/24", availabilityZoneId="use1-az4")
    assert made.state["availabilityZoneId"] == "use1-az4"
    both = {"availabilityZoneId": "use1-az4", "availabilityZone": "us-east-1a"}
    (reason,) = refusals("aws:ec2/subnet:Subnet", vpcId=vpc.id, cidrBlock="10.1.2.0/24", **both)
    assert "not both" in reason
