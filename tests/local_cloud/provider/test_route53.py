from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from local_cloud.provider.framework import Refused

RECORD = "aws:route53/record:Record"


@pytest.fixture(scope="module")
def zone(cloud: Any) -> str:
    answer = cloud.client("route53").create_hosted_zone(Name="example.org", CallerReference="records")
    return answer["HostedZone"]["Id"].rpartition("/")[2]


def test_an_alias_leads_to_its_target(make: Callable[..., Any], zone: str, cloud: Any) -> None:
    alias = {"name": "d-1.execute-api.us-east-1.amazonaws.com", "zoneId": "Z1UJRXOUMOOFQ8", "evaluateTargetHealth": False}
    made = make(RECORD, zoneId=zone, name="api.example.org", type="A", aliases=[alias])
    assert (made.id, made.state["fqdn"]) == (f"{zone}_api.example.org_A", "api.example.org")
    assert made.drift() == {}
    made.update(aliases=[{**alias, "name": "d-2.execute-api.us-east-1.amazonaws.com"}])
    assert made.drift() == {}
    made.delete()
    assert made.read() is None
    made.delete()


def test_a_relative_name_belongs_to_its_zone(make: Callable[..., Any], zone: str) -> None:
    made = make(RECORD, zoneId=zone, name="proof", type="TXT", ttl=60, records=['"x"'])
    assert made.state["fqdn"] == "proof.example.org"
    assert made.drift() == {}


def test_a_record_that_is_there_is_overwritten_only_when_the_program_says_so(make: Callable[..., Any], zone: str) -> None:
    given = {"zoneId": zone, "name": "taken.example.org", "type": "CNAME", "ttl": 60}
    make(RECORD, **given, records=["a.example.org"])
    with pytest.raises(Refused, match=r"taken\.example\.org CNAME is there already"):
        make(RECORD, **given, records=["b.example.org"])
    assert make(RECORD, **given, records=["b.example.org"], allowOverwrite=True).drift() == {}


def test_a_record_says_what_it_holds_in_one_way(refusals: Callable[..., list[str]]) -> None:
    given = {"zoneId": "Z1", "name": "a", "type": "A"}
    assert "either records" in refusals(RECORD, **given)[0]
    assert "need a ttl" in refusals(RECORD, **given, records=["192.0.2.1"])[0]


ZONE = "aws:route53/zone:Zone"


def test_a_private_zone_is_known_in_its_vpc_alone(make: Callable[..., Any], cloud: Any) -> None:
    vpc = make("aws:ec2/vpc:Vpc", cidrBlock="10.8.0.0/16").id
    made = make(ZONE, name="internal.example.net", comment="inside", vpcs=[{"vpcId": vpc}], tags={"a": "b"})
    found = cloud.client("route53").get_hosted_zone(Id=made.state["zoneId"])
    assert found["HostedZone"]["Config"]["PrivateZone"] is True
    assert [one["VPCId"] for one in found["VPCs"]] == [vpc]
    assert made.drift() == {}
    assert made.update(tags={"a": "c"})["tagsAll"]["a"] == "c"
    assert made.drift() == {}
    made.delete()
    made.delete()
    assert made.read() is None


def test_a_public_zone_is_refused(refusals: Callable[..., list[str]]) -> None:
    (reason,) = refusals(ZONE, name="example.net")
    assert "vpcs" in reason
    (reason,) = refusals(ZONE, name="example.net", vpcs=[{"vpcId": "vpc-1"}], forceDestroy=True)
    assert "records are gone" in reason
