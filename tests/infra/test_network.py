import json
import re
from collections.abc import Callable
from ipaddress import IPv4Network
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import network
from infra.naming import Names
from infra.network import NetworkPlanError, choose_zones, find_network, plan_subnets
from infra.settings import Environment
from posture.controls.network import account_only
from posture.policies import documents

ACCOUNT = "123456789012"

# Who may call whom: (caller's security group, called security group, port). Nothing else is let in anywhere.
FLOWS = {
    ("network-link", "network-balancer", 443),
    ("network-balancer", "network-api", 8443),
    ("network-api", "network-endpoints", 443),
    ("network-worker", "network-endpoints", 443),
}
BASTION_FLOWS = {("network-bastion", "network-balancer", 443), ("network-bastion", "network-endpoints", 443)}
VPN_FLOWS = {("network-vpn", "network-balancer", 443)}
VPN = {
    "heartmap:vpn": "certificate",
    "heartmap:vpn_cidr": "10.200.0.0/22",
    "heartmap:vpn_server_certificate_arn": f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/server",
    "heartmap:vpn_client_certificate_arn": f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/clients",
}

TASK_SERVICES = {"ecr.api", "ecr.dkr", "logs", "sqs", "ssm"}
BASTION_SERVICES = {"kms", "ssmmessages"}

WAYS_OUT = (
    "InternetGateway",
    "NatGateway",
    "EgressOnlyInternetGateway",
    "Eip",
    "Route",
    "VpcPeeringConnection",
    "VpnGateway",
)

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html
DESCRIPTION = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}")


def group(security_group_id: str) -> str:
    return security_group_id.removeprefix("SecurityGroup/")


def rules(plan: Any, kind: str) -> list[Any]:
    return plan.of(f"vpc/securityGroup{kind}Rule:SecurityGroup{kind}Rule")


def flows(plan: Any, kind: str) -> set[tuple[str, str, int]]:
    """The rules between security groups; each may stand once and opens one TCP port."""
    called, caller = ("securityGroupId", "referencedSecurityGroupId")[:: 1 if kind == "Ingress" else -1]
    found = [rule.inputs for rule in rules(plan, kind) if "referencedSecurityGroupId" in rule.inputs]
    for rule in found:
        assert rule["ipProtocol"] == "tcp"
        assert rule["fromPort"] == rule["toPort"]
    named = {(group(rule[caller]), group(rule[called]), rule["fromPort"]) for rule in found}
    assert len(named) == len(found)
    return named


def expected_flows(plan: Any) -> set[tuple[str, str, int]]:
    return FLOWS | (BASTION_FLOWS if plan.settings.bastion else set())


def test_nothing_leads_to_or_from_the_internet(plan: Any) -> None:
    for resource in plan.resources:
        if resource.type.startswith("aws:ec2/"):
            assert resource.type.split(":")[-1] not in WAYS_OUT, resource.urn
    assert [table.inputs.get("routes") for table in plan.of("ec2/routeTable:RouteTable")] == [None]
    assert {subnet.inputs["mapPublicIpOnLaunch"] for subnet in plan.of("ec2/subnet:Subnet")} == {False}


def test_exactly_the_listed_flows_are_let_in_and_each_also_out(plan: Any) -> None:
    assert flows(plan, "Ingress") == expected_flows(plan)
    assert flows(plan, "Egress") == expected_flows(plan)


def test_clients_of_the_vpn_reach_the_load_balancer_alone(run: Callable[..., Any]) -> None:
    plan = run("dev", VPN)
    assert flows(plan, "Ingress") == flows(plan, "Egress") == expected_flows(plan) | VPN_FLOWS


def test_without_a_bastion_nobody_has_its_security_group_or_its_endpoints(run: Callable[..., Any]) -> None:
    plan = run("dev", {"heartmap:bastion": "false"})
    assert flows(plan, "Ingress") == FLOWS
    assert {endpoint for endpoint, _ in endpoints(plan, "Interface")} == TASK_SERVICES


def test_no_rule_names_an_address_range_and_every_rule_says_what_it_is_for(plan: Any) -> None:
    for rule in rules(plan, "Ingress") + rules(plan, "Egress"):
        assert not {"cidrIpv4", "cidrIpv6"} & set(rule.inputs), rule.urn
        assert DESCRIPTION.fullmatch(rule.inputs["description"]), rule.inputs["description"]
    for security_group in plan.of("ec2/securityGroup:SecurityGroup"):
        assert not {"ingress", "egress"} & set(security_group.inputs)
        assert DESCRIPTION.fullmatch(security_group.inputs["description"])


def test_the_prefix_lists_lead_the_tasks_to_s3_and_dynamodb_and_the_bastion_to_s3_only(plan: Any) -> None:
    egress = [rule.inputs for rule in rules(plan, "Egress")]
    lists = {
        (group(rule["securityGroupId"]), rule["prefixListId"], rule["fromPort"], rule["toPort"])
        for rule in egress
        if "prefixListId" in rule
    }
    reached = [("api", "s3"), ("api", "dynamodb"), ("worker", "s3"), ("worker", "dynamodb")]
    reached += [("bastion", "s3")] if plan.settings.bastion else []
    assert lists == {
        (f"network-{caller}", f"VpcEndpoint/network-{service}/prefixListId", 443, 443) for caller, service in reached
    }


def test_the_default_security_group_and_the_default_list_let_nothing_through(plan: Any) -> None:
    default = plan.one("ec2/defaultSecurityGroup:DefaultSecurityGroup").inputs
    assert (default["ingress"], default["egress"]) == ([], [])
    acl = plan.one("ec2/defaultNetworkAcl:DefaultNetworkAcl")
    assert (acl.inputs["ingress"], acl.inputs["egress"]) == ([], [])
    assert acl.inputs["defaultNetworkAclId"] == "Vpc/network/defaultNetworkAclId"


def test_the_default_list_is_emptied_only_when_the_subnets_have_another(plan: Any) -> None:
    acl = plan.one("ec2/defaultNetworkAcl:DefaultNetworkAcl")
    assert plan.one("ec2/networkAcl:NetworkAcl").urn in acl.dependencies


def test_the_list_of_the_private_subnets_admits_just_what_flows(plan: Any) -> None:
    acl = plan.one("ec2/networkAcl:NetworkAcl").inputs
    assert acl["subnetIds"] == [f"Subnet/{subnet.name}" for subnet in plan.of("ec2/subnet:Subnet")]
    vpc = str(plan.settings.vpc_cidr)
    for rule in acl["ingress"] + acl["egress"]:
        assert (rule["protocol"], rule["action"]) == ("tcp", "allow")
    admitted = {
        direction: {(rule["ruleNo"], rule["cidrBlock"], rule["fromPort"], rule["toPort"]) for rule in acl[direction]}
        for direction in ("ingress", "egress")
    }
    assert admitted == {
        "ingress": {(100, vpc, 443, 443), (110, vpc, 1024, 65535), (120, "0.0.0.0/0", 32768, 60999)},
        "egress": {(100, "0.0.0.0/0", 443, 443), (110, vpc, 1024, 65535)},
    }


def endpoints(plan: Any, kind: str) -> list[tuple[str, Any]]:
    every = [endpoint.inputs for endpoint in plan.of("ec2/vpcEndpoint:VpcEndpoint")]
    prefix = "com.amazonaws.us-east-1."
    return [(one["serviceName"].removeprefix(prefix), one) for one in every if one["vpcEndpointType"] == kind]


def test_the_services_that_are_called_are_reached_through_endpoints(plan: Any) -> None:
    assert {service for service, _ in endpoints(plan, "Gateway")} == {"s3", "dynamodb"}
    interfaces = endpoints(plan, "Interface")
    assert {service for service, _ in interfaces} == TASK_SERVICES | (BASTION_SERVICES if plan.settings.bastion else set())
    subnets = [f"Subnet/{subnet.name}" for subnet in plan.of("ec2/subnet:Subnet")]
    for _, endpoint in interfaces:
        assert endpoint["securityGroupIds"] == ["SecurityGroup/network-endpoints"]
        assert endpoint["privateDnsEnabled"] is True
        assert endpoint["subnetIds"] == subnets[: plan.settings.endpoint_zones]


def test_every_endpoint_admits_this_account_on_both_sides_and_s3_the_layers_of_images(plan: Any) -> None:
    layers = {
        "Sid": "ImageLayers",
        "Effect": "Allow",
        "Principal": {"AWS": ["*"]},
        "Action": ["s3:GetObject"],
        "Resource": ["arn:aws:s3:::prod-us-east-1-starport-layer-bucket/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "true"}},
    }
    for service, endpoint in endpoints(plan, "Gateway") + endpoints(plan, "Interface"):
        account, *others = json.loads(endpoint["policy"])["Statement"]
        assert account == {
            "Sid": "ThisAccount",
            "Effect": "Allow",
            "Principal": {"AWS": ["*"]},
            "Action": [f"{service.split('.')[0]}:*"],
            "Resource": ["*"],
            "Condition": {"StringEquals": {"aws:PrincipalAccount": ACCOUNT, "aws:ResourceAccount": ACCOUNT}},
        }
        assert others == ([layers] if service == "s3" else [])


def test_s3s_endpoint_lets_this_account_read_the_buckets_of_imports_and_no_more(run: Callable[..., Any]) -> None:
    plan = run("prod", {"heartmap:import_buckets": '["atlas", "labdata"]'})
    for service, endpoint in endpoints(plan, "Gateway") + endpoints(plan, "Interface"):
        given = {one["Sid"]: one for one in json.loads(endpoint["policy"])["Statement"] if "Imports" in one["Sid"]}
        assert set(given) == ({"Imports", "MissingImports"} if service == "s3" else set())
        for one in given.values():
            assert one["Condition"] == {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}
        if given:
            objects, lists = given["Imports"], given["MissingImports"]
            assert (objects["Action"], objects["Resource"]) == (
                ["s3:GetObject"],
                ["arn:aws:s3:::atlas/*", "arn:aws:s3:::labdata/*"],
            )
            assert (lists["Action"], lists["Resource"]) == (["s3:ListBucket"], ["arn:aws:s3:::atlas", "arn:aws:s3:::labdata"])
    # What admits reading elsewhere is not taken for what the settings name.
    documents_ = [one for one in documents(plan) if one.resource.type == "aws:ec2/vpcEndpoint:VpcEndpoint"]
    (s3,) = [one for one in documents_ if "labdata" in one.resource.inputs["policy"]]
    assert account_only(s3, ["atlas", "labdata"])
    assert not account_only(s3, ["atlas"])


def test_all_traffic_of_the_network_is_recorded_under_the_key_of_logs(plan: Any) -> None:
    log = plan.one("ec2/flowLog:FlowLog").inputs
    assert log["vpcId"] == "Vpc/network"
    assert (log["trafficType"], log["logDestinationType"]) == ("ALL", "cloud-watch-logs")
    logs = plan.one("cloudwatch/logGroup:LogGroup", "flow-log")
    assert log["logDestination"] == "arn:aws:LogGroup/flow-log"
    assert logs.inputs["kmsKeyId"] == "arn:aws:Key/logs"
    assert logs.inputs["retentionInDays"] == plan.settings.log_retention_days
    assert logs.protect is plan.settings.deletion_protection


def test_the_role_of_the_flow_log_writes_to_its_log_group_alone(plan: Any) -> None:
    trust = json.loads(plan.one("iam/role:Role", "flow-log").inputs["assumeRolePolicy"])["Statement"]
    assert [statement["Principal"] for statement in trust] == [{"Service": "vpc-flow-logs.amazonaws.com"}]
    assert trust[0]["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:ec2:us-east-1:{ACCOUNT}:vpc-flow-log/*"},
    }
    write, find = json.loads(plan.one("iam/policy:Policy", "flow-log").inputs["policy"])["Statement"]
    assert write["Resource"] == ["arn:aws:LogGroup/flow-log:*"]
    assert set(write["Action"]) == {"logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"}
    assert find["Action"] == ["logs:DescribeLogGroups"]


def test_what_runs_in_the_network_waits_for_its_lists_endpoints_and_rules(plan: Any) -> None:
    awaited = {resource.urn for resource in plan.resources if resource.parent.endswith("Network::network") and resource.custom}
    assert len(awaited) > 30
    for service in plan.of("ecs/service:Service"):
        assert awaited <= set(service.dependencies)


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


@given(
    network=st.integers(16, 22).flatmap(
        lambda length: st.sampled_from(list(IPv4Network("10.0.0.0/15").subnets(new_prefix=length)))
    ),
    count=st.integers(2, 3),
)
def test_any_network_that_the_settings_accept_has_room_for_its_subnets(network: IPv4Network, count: int) -> None:
    subnets = plan_subnets(network, count)
    assert len(subnets) == count
    assert all(subnet.subnet_of(network) for subnet in subnets)
    assert not any(one.overlaps(other) for one in subnets for other in subnets if one != other)
    # AWS keeps five addresses of each; an internal load balancer wants eight free ones beside tasks and endpoints.
    assert all(subnet.num_addresses - 5 >= 48 for subnet in subnets)


SUBNETS = ("subnet-0123456789abcdef0", "subnet-0123456789abcdef1")
EXISTING = {
    "heartmap:existing_vpc_id": "vpc-0123456789abcdef0",
    "heartmap:existing_subnet_ids": json.dumps(SUBNETS),
    "heartmap:vpc_cidr": "10.40.0.0/16",
}


class Owner:
    """A VPC of somebody else's, as AWS describes it."""

    def __init__(self) -> None:
        self.vpc = {"cidr_block": "172.20.0.0/16", "enable_dns_support": True, "enable_dns_hostnames": True}
        self.subnets = {
            subnet: {"vpc_id": "vpc-0123456789abcdef0", "availability_zone_id": zone, "map_public_ip_on_launch": False}
            for subnet, zone in zip(SUBNETS, ("use1-az1", "use1-az4"), strict=True)
        }
        self.lacking: set[str] = set()

    def get_vpc_endpoint(self, *, service_name: str, **_: Any) -> SimpleNamespace:
        service = service_name.removeprefix("com.amazonaws.us-east-1.")
        if service in self.lacking:
            raise Exception("no matching EC2 VPC Endpoint found")  # noqa: TRY002 - as the SDK does
        if service in {"s3", "dynamodb"}:
            return SimpleNamespace(prefix_list_id=f"pl-{service}", security_group_ids=[])
        return SimpleNamespace(prefix_list_id="", security_group_ids=["sg-owner"] + (["sg-logs"] if service == "logs" else []))


@pytest.fixture
def owner(monkeypatch: pytest.MonkeyPatch) -> Owner:
    there = Owner()
    monkeypatch.setattr(network.aws.ec2, "get_vpc", lambda **_: SimpleNamespace(**there.vpc))
    monkeypatch.setattr(network.aws.ec2, "get_subnet", lambda **given: SimpleNamespace(**there.subnets[given["id"]]))
    monkeypatch.setattr(network.aws.ec2, "get_vpc_endpoint", there.get_vpc_endpoint)
    return there


def test_in_an_existing_vpc_the_stack_makes_security_groups_and_changes_nothing_else(
    run: Callable[..., Any], owner: Owner
) -> None:
    plan = run("dev", EXISTING)
    made = {resource.type for resource in plan.resources if resource.parent.endswith("Network::network") and resource.custom}
    assert made == {
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
    }
    assert {one.inputs["vpcId"] for one in plan.of("ec2/securityGroup:SecurityGroup")} == {"vpc-0123456789abcdef0"}
    assert plan.one("lb/loadBalancer:LoadBalancer").inputs["subnets"] == list(SUBNETS)


def test_in_an_existing_vpc_services_are_reached_through_its_owners_endpoints_alone(
    run: Callable[..., Any], owner: Owner
) -> None:
    plan = run("dev", EXISTING | {"heartmap:bastion": "true"})
    callers = ("network-api", "network-worker", "network-bastion")
    ours = {flow for flow in FLOWS | BASTION_FLOWS if flow[1] != "network-endpoints"}
    assert flows(plan, "Ingress") == ours
    assert flows(plan, "Egress") == ours | {(caller, sg, 443) for caller in callers for sg in ("sg-owner", "sg-logs")}
    lists = {rule.inputs["prefixListId"] for rule in rules(plan, "Egress") if "prefixListId" in rule.inputs}
    assert lists == {"pl-s3", "pl-dynamodb"}


def test_in_an_existing_vpc_the_traffic_of_the_stacks_subnets_is_recorded(run: Callable[..., Any], owner: Owner) -> None:
    logs = run("dev", EXISTING).of("ec2/flowLog:FlowLog")
    assert [(log.inputs.get("vpcId"), log.inputs["subnetId"]) for log in logs] == [(None, subnet) for subnet in SUBNETS]


def look_up(*, bastion: bool = False) -> network.ExistingNetwork:
    names = Names(environment=Environment.DEV, partition="aws", region="us-east-1", account=ACCOUNT)
    return find_network("vpc-0123456789abcdef0", SUBNETS, bastion=bastion, names=names, asking=pulumi.InvokeOptions())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"vpc_id": "vpc-other"}, "is not in vpc-0123456789abcdef0"),
        ({"availability_zone_id": "use1-az1"}, "is in use1-az1 like another"),
        ({"availability_zone_id": "use1-az3"}, "no VPC links"),
        ({"map_public_ip_on_launch": True}, "public addresses"),
    ],
)
def test_a_subnet_that_does_not_fit_is_refused(owner: Owner, change: dict[str, Any], reason: str) -> None:
    owner.subnets[SUBNETS[1]] |= change
    with pytest.raises(NetworkPlanError, match=f"{SUBNETS[1]}.*{reason}.*existing_subnet_ids"):
        look_up()


@pytest.mark.parametrize("lacking", ["enable_dns_support", "enable_dns_hostnames"])
def test_a_vpc_whose_endpoints_would_have_no_names_is_refused(owner: Owner, lacking: str) -> None:
    owner.vpc[lacking] = False
    with pytest.raises(NetworkPlanError, match="DNS"):
        look_up()


def test_a_vpc_without_an_endpoint_that_is_needed_is_refused(owner: Owner) -> None:
    owner.lacking = {"kms"}
    assert look_up().cidr == IPv4Network("172.20.0.0/16")
    with pytest.raises(NetworkPlanError, match=r"no endpoint for com\.amazonaws\.us-east-1\.kms"):
        look_up(bastion=True)


def test_an_existing_vpc_that_does_not_fit_is_told_in_plain_words(run: Callable[..., Any], owner: Owner) -> None:
    owner.lacking = {"s3"}
    with pytest.raises(pulumi.RunError, match=r"no endpoint for com\.amazonaws\.us-east-1\.s3"):
        run("dev", EXISTING)
