from __future__ import annotations

from collections.abc import Callable
from typing import Any

LINK = "aws:apigatewayv2/vpcLink:VpcLink"


def test_a_vpc_link_can_be_made_renamed_and_deleted(make: Callable[..., Any], cloud: Any) -> None:
    made = make(LINK, name="first", subnetIds=["subnet-b", "subnet-a"], securityGroupIds=["sg-1"], tags={"old": "1"})
    assert made.state["arn"] == f"arn:aws:apigateway:us-east-1::/vpclinks/{made.id}"
    assert made.drift() == {}
    made.update(name="second", tags={"new": "1"})
    found = cloud.client("apigatewayv2").get_vpc_link(VpcLinkId=made.id)
    assert found["Name"] == "second"
    assert found["Tags"] == {"project": "heartmap", "new": "1"}
    assert made.drift() == {}
    made.delete()
    assert made.read() is None
    made.delete()


def test_other_subnets_or_groups_need_another_link(make: Callable[..., Any]) -> None:
    assert make(LINK, name="x", subnetIds=["a"], securityGroupIds=["b"]).handler.replaces == {"subnetIds", "securityGroupIds"}
