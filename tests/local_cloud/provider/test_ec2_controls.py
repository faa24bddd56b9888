from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ACL, DEFAULT_ACL = "aws:ec2/networkAcl:NetworkAcl", "aws:ec2/defaultNetworkAcl:DefaultNetworkAcl"
FLOW_LOG = "aws:ec2/flowLog:FlowLog"
HTTPS = {"ruleNo": 100, "action": "allow", "protocol": "tcp", "cidrBlock": "10.0.0.0/8", "fromPort": 443, "toPort": 443}
RETURN = HTTPS | {"ruleNo": 110, "fromPort": 1024, "toPort": 65535}


@pytest.fixture(scope="module")
def vpc(make: Callable[..., Any]) -> Any:
    return make("aws:ec2/vpc:Vpc", cidrBlock="10.3.0.0/16")


@pytest.fixture
def subnet(make: Callable[..., Any], vpc: Any) -> Any:
    made = make("aws:ec2/subnet:Subnet", vpcId=vpc.id, cidrBlock="10.3.1.0/24", availabilityZoneId="use1-az4")
    yield made
    made.delete()


def acl_of(cloud: Any, subnet: Any) -> str:
    has = [{"Name": "association.subnet-id", "Values": [subnet.id]}]
    (acl,) = cloud.client("ec2").describe_network_acls(Filters=has)["NetworkAcls"]
    return acl["NetworkAclId"]


def ports(cloud: Any, acl_id: str) -> set[tuple[bool, int, int, int]]:
    (acl,) = cloud.client("ec2").describe_network_acls(NetworkAclIds=[acl_id])["NetworkAcls"]
    return {
        (entry["Egress"], entry["RuleNumber"], entry.get("PortRange", {}).get("From"), entry.get("PortRange", {}).get("To"))
        for entry in acl["Entries"]
    }


def test_a_list_has_exactly_its_rules_and_takes_the_subnets(make: Callable[..., Any], cloud: Any, vpc: Any, subnet: Any) -> None:
    made = make(ACL, vpcId=vpc.id, subnetIds=[subnet.id], ingress=[HTTPS], egress=[RETURN], tags={"a": "b"})
    assert acl_of(cloud, subnet) == made.id
    assert ports(cloud, made.id) == {(False, 100, 443, 443), (True, 110, 1024, 65535)}
    assert made.drift() == {}
    made.update(ingress=[RETURN, HTTPS], egress=None)
    assert ports(cloud, made.id) == {(False, 100, 443, 443), (False, 110, 1024, 65535)}
    assert made.drift() == {}
    made.delete()
    made.delete()
    assert made.read() is None
    assert acl_of(cloud, subnet) == vpc.state["defaultNetworkAclId"]


def test_a_subnet_that_leaves_a_list_gets_the_default_one(make: Callable[..., Any], cloud: Any, vpc: Any, subnet: Any) -> None:
    made = make(ACL, vpcId=vpc.id, subnetIds=[subnet.id], ingress=[HTTPS])
    made.update(subnetIds=None)
    assert acl_of(cloud, subnet) == vpc.state["defaultNetworkAclId"]
    assert made.drift() == {}
    made.delete()


def test_a_rule_that_somebody_added_is_found_and_removed(make: Callable[..., Any], cloud: Any, vpc: Any) -> None:
    made = make(ACL, vpcId=vpc.id, ingress=[HTTPS])
    cloud.client("ec2").create_network_acl_entry(
        NetworkAclId=made.id, Egress=False, RuleNumber=1, RuleAction="allow", Protocol="-1", CidrBlock="0.0.0.0/0"
    )
    assert set(made.drift()) == {"ingress"}
    made.state["ingress"] = made.read()["ingress"]
    made.update(tags={"a": "b"})
    assert ports(cloud, made.id) == {(False, 100, 443, 443)}
    made.delete()


def test_the_default_list_loses_the_open_rules_of_aws(make: Callable[..., Any], cloud: Any) -> None:
    network = make("aws:ec2/vpc:Vpc", cidrBlock="10.4.0.0/16")
    default = network.state["defaultNetworkAclId"]
    assert {number for _, number, *_ in ports(cloud, default)} == {100, 32767}
    made = make(DEFAULT_ACL, defaultNetworkAclId=default, ingress=[], egress=[], tags={"a": "b"})
    assert made.id == default
    assert {number for _, number, *_ in ports(cloud, default)} == {32767}
    assert made.drift() == {}
    made.delete()
    assert made.read() is not None


def test_a_protocol_that_is_not_known_is_refused(refusals: Callable[..., list[str]]) -> None:
    (reason,) = refusals(ACL, vpcId="vpc-1", ingress=[HTTPS | {"protocol": "sctp"}])
    assert "'sctp'" in reason
    (reason,) = refusals(ACL, vpcId="vpc-1", ingress=[HTTPS | {"ipv6CidrBlock": "::/0"}])
    assert "ipv6CidrBlock" in reason


def test_a_flow_log_records_all_traffic_of_one_target(make: Callable[..., Any], vpc: Any, refusals: Callable[..., Any]) -> None:
    given = {
        "trafficType": "ALL",
        "logDestination": "arn:aws:logs:us-east-1:123456789012:log-group:flow",
        "iamRoleArn": "arn:aws:iam::123456789012:role/flow",
    }
    made = make(FLOW_LOG, vpcId=vpc.id, tags={"a": "b"}, **given)
    assert made.drift() == {}
    assert made.update(tags={"a": "c"})["tagsAll"]["a"] == "c"
    assert made.drift() == {}
    made.delete()
    made.delete()
    assert made.read() is None
    (reason,) = refusals(FLOW_LOG, vpcId="vpc-1", subnetId="subnet-1", **given)
    assert "exactly one of vpcId, subnetId" in reason
