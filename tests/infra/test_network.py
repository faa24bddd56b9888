from ipaddress import IPv4Network
from typing import Any

import pytest

from infra.network import NetworkPlanError, choose_zones, plan_subnets

# Who may call whom: (caller's security group, called security group, port). Nothing else is let in anywhere.
FLOWS = {
    ("network-link", "network-balancer", 443),
    ("network-balancer", "network-api", 8443),
    ("network-api", "network-endpoints", 443),
    ("network-worker", "network-endpoints", 443),
}
WAYS_OUT = (
    "InternetGateway",
    "NatGateway",
    "EgressOnlyInternetGateway",
    "Eip",
    "Route",
    "VpcPeeringConnection",
    "VpnGateway",
)


def group(security_group_id: str) -> str:
    return security_group_id.removeprefix("SecurityGroup/")


def test_nothing_leads_to_or_from_the_internet(plan: Any) -> None:
    for resource in plan.resources:
        if resource.type.startswith("aws:ec2/"):
            assert resource.type.split(":")[-1] not in WAYS_OUT, resource.urn
    assert [table.inputs.get("routes") for table in plan.of("ec2/routeTable:RouteTable")] == [None]
    assert {subnet.inputs["mapPublicIpOnLaunch"] for subnet in plan.of("ec2/subnet:Subnet")} == {False}


def test_exactly_the_listed_flows_are_let_in_and_each_also_out(plan: Any) -> None:
    rules = {}
    for kind, called, caller in (
        ("Ingress", "securityGroupId", "referencedSecurityGroupId"),
        ("Egress", "referencedSecurityGroupId", "securityGroupId"),
    ):
        found = plan.of(f"vpc/securityGroup{kind}Rule:SecurityGroup{kind}Rule")
        by_group = [rule.inputs for rule in found if "prefixListId" not in rule.inputs]
        for rule in by_group:
            assert rule["ipProtocol"] == "tcp"
            assert rule["fromPort"] == rule["toPort"]
        rules[kind] = {(group(rule[caller]), group(rule[called]), rule["fromPort"]) for rule in by_group}
        assert len(by_group) == len(rules[kind])
    assert rules == {"Ingress": FLOWS, "Egress": FLOWS}


def test_no_rule_names_an_address_range_and_every_rule_says_what_it_is_for(plan: Any) -> None:
    rules = plan.of("vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    rules += plan.of("vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    for rule in rules:
        assert not {"cidrIpv4", "cidrIpv6"} & set(rule.inputs), rule.urn
        assert rule.inputs["description"]
    for security_group in plan.of("ec2/securityGroup:SecurityGroup"):
        assert not {"ingress", "egress"} & set(security_group.inputs)
        assert security_group.inputs["description"]


def test_the_prefix_lists_lead_to_s3_and_dynamodb_only(plan: Any) -> None:
    egress = [rule.inputs for rule in plan.of("vpc/securityGroupEgressRule:SecurityGroupEgressRule")]
    lists = {(group(rule["securityGroupId"]), rule["prefixListId"]) for rule in egress if "prefixListId" in rule}
    assert lists == {
        (f"network-{task}", f"VpcEndpoint/network-{service}/prefixListId")
        for task in ("api", "worker")
        for service in ("s3", "dynamodb")
    }


def test_the_default_security_group_lets_nothing_through(plan: Any) -> None:
    default = plan.one("ec2/defaultSecurityGroup:DefaultSecurityGroup").inputs
    assert (default["ingress"], default["egress"]) == ([], [])


def test_the_tasks_reach_the_aws_services_that_they_use_through_endpoints(plan: Any) -> None:
    endpoints = [endpoint.inputs for endpoint in plan.of("ec2/vpcEndpoint:VpcEndpoint")]
    kinds = {
        endpoint["serviceName"].removeprefix("com.amazonaws.us-east-1."): endpoint["vpcEndpointType"] for endpoint in endpoints
    }
    assert kinds == {"s3": "Gateway", "dynamodb": "Gateway"} | dict.fromkeys(
        ("ecr.api", "ecr.dkr", "logs", "secretsmanager", "sqs"), "Interface"
    )
    for endpoint in endpoints:
        if endpoint["vpcEndpointType"] == "Interface":
            assert endpoint["securityGroupIds"] == ["SecurityGroup/network-endpoints"]
            assert endpoint["privateDnsEnabled"] is True


def test_subnets_avoid_the_zone_without_vpc_links(plan: Any) -> None:
    zones = [subnet.inputs["availabilityZoneId"] for subnet in plan.of("ec2/subnet:Subnet")]
    assert zones == ["use1-az1", "use1-az2"]


def test_a_region_with_too_few_zones_is_refused_with_the_setting_to_change() -> None:
    with pytest.raises(NetworkPlanError, match="lower heartmap:availability_zones from 2"):
        choose_zones(["use1-az3", "use1-az1"], 2)


@pytest.mark.parametrize(
    ("zone_ids", "chosen"),
    [
        # An account that has opted into them is told of local zones and wavelength zones too, which sort before the others.
        (["use1-atl1-az1", "use1-az2", "use1-az1", "use1-wl1-bos-wlz1"], ["use1-az1", "use1-az2"]),
        (["cac1-az4", "cac1-az2", "cac1-az1"], ["cac1-az1", "cac1-az2"]),
        (["euw3-az1", "euw3-az2", "euw3-az3"], ["euw3-az1", "euw3-az3"]),
        (["eun1-az1", "eun1-az2", "eun1-az3"], ["eun1-az1", "eun1-az2"]),
    ],
)
def test_only_availability_zones_with_vpc_links_are_chosen(zone_ids: list[str], chosen: list[str]) -> None:
    assert choose_zones(zone_ids, 2) == chosen


def test_subnets_are_equal_disjoint_parts_of_the_network() -> None:
    assert [str(subnet) for subnet in plan_subnets(IPv4Network("10.40.0.0/16"), 3)] == [
        "10.40.0.0/20",
        "10.40.16.0/20",
        "10.40.32.0/20",
    ]
