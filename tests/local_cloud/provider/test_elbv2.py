from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

BALANCER = "aws:lb/loadBalancer:LoadBalancer"


@pytest.fixture(scope="module")
def subnets(cloud: Any) -> list[str]:
    ec2 = cloud.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    zones = (("10.0.0.0/24", "us-east-1a"), ("10.0.1.0/24", "us-east-1b"))
    return [ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone)["Subnet"]["SubnetId"] for cidr, zone in zones]


@pytest.mark.parametrize(("argument", "key"), [("accessLogs", "access_logs"), ("connectionLogs", "connection_logs")])
def test_a_load_balancer_keeps_where_its_logs_go(
    make: Callable[..., Any], cloud: Any, subnets: list[str], argument: str, key: str
) -> None:
    logs = {"bucket": "logs", "prefix": "balancer", "enabled": True}
    made = make(BALANCER, name=f"logs-{argument}"[:32], internal=True, subnets=subnets, **{argument: logs})

    def attribute(name: str) -> str | None:
        listed = cloud.client("elbv2").describe_load_balancer_attributes(LoadBalancerArn=made.id)["Attributes"]
        return next((one["Value"] for one in listed if one["Key"] == f"{key}.s3.{name}"), None)

    assert [attribute(name) for name in ("bucket", "prefix", "enabled")] == ["logs", "balancer", "true"]
    assert made.drift() == {}
    made.update(**{argument: {**logs, "prefix": "other"}})
    assert attribute("prefix") == "other"
    assert made.drift() == {}
    cloud.client("elbv2").modify_load_balancer_attributes(
        LoadBalancerArn=made.id, Attributes=[{"Key": f"{key}.s3.enabled", "Value": "false"}]
    )
    assert set(made.drift()) == {argument}
    made.update(**{argument: None})
    assert attribute("enabled") == "false"
    made.delete()
    assert made.read() is None
    made.delete()
