"""Rules and lists let by what AWS's own would: intervals of addresses and ports, to the last."""

import ipaddress
from typing import Any

import pytest
import z3

from posture.proof.exported import NotUnderstood, Resource
from posture.proof.logic import all_of
from posture.proof.packets import TCP, Packet, Rule, acl_entries, rule_of, rules_within, shown, within
from posture.proof.solving import Solver


def resource(**values: Any) -> Resource:
    return Resource("urn:pulumi:x::y::aws:vpc/thing:Thing::name", "aws:vpc/thing:Thing", "sg-1", values, values)


def number(address: str) -> int:
    parsed = ipaddress.ip_address(address)
    return int(parsed) + (int(ipaddress.ip_address("::ffff:0:0")) if parsed.version == 4 else 0)


def admits(rule: Rule, port: int, protocol: int = TCP, peer: str = "192.0.2.1") -> bool:
    packet = Packet()
    wanted = [rule.of_protocol(packet), packet.protocol == protocol, packet.port == port, packet.peer == number(peer)]
    if rule.networks:
        wanted.append(rule.of_networks(packet))
    return Solver().find(wanted) is not None  # pyright: ignore[reportArgumentType]


def rule(**values: Any) -> Rule:
    return rule_of(resource(securityGroupId="sg-1", **values), ingress=True)


def test_ports_from_the_first_to_the_last() -> None:
    one = rule(ipProtocol="tcp", fromPort=443, toPort=445)
    assert [port for port in range(440, 450) if admits(one, port)] == [443, 444, 445]
    assert not admits(one, 443, protocol=17)


@pytest.mark.parametrize("protocol", ["-1", "all"])
def test_every_protocol_is_every_port(protocol: str) -> None:
    one = rule(ipProtocol=protocol, fromPort=1, toPort=1)
    assert admits(one, 9, protocol=132)


def test_addresses_from_the_first_to_the_last() -> None:
    one = rule(ipProtocol="tcp", fromPort=0, toPort=65535, cidrIpv4="192.0.2.64/27")
    peers = [f"192.0.2.{last}" for last in (63, 64, 95, 96)]
    assert [admits(one, 1, peer=peer) for peer in peers] == [False, True, True, False]


def test_every_ipv4_address_is_no_ipv6_address() -> None:
    one = rule(ipProtocol="tcp", fromPort=0, toPort=65535, cidrIpv4="0.0.0.0/0")
    assert admits(one, 1, peer="255.255.255.255")
    assert not admits(one, 1, peer="2001:db8::1")


def test_rules_within_a_group_are_read_as_those_beside_it() -> None:
    inside = {
        "protocol": "tcp",
        "fromPort": 1,
        "toPort": 2,
        "cidrBlocks": ["10.0.0.0/8"],
        "securityGroups": ["sg-2"],
        "self": True,
    }
    found = rules_within(resource(ingress=[inside]), ingress=True)
    assert [(one.peer_group, len(one.networks)) for one in found] == [("", 1), ("sg-2", 0), ("sg-1", 0)]


def test_a_protocol_that_is_not_known_is_refused() -> None:
    with pytest.raises(NotUnderstood, match="carrier pigeon"):
        admits(rule(ipProtocol="carrier pigeon"), 1)


def entry(number: int, action: str, network: str, first: int = 0, last: int = 65535, protocol: str = "tcp") -> dict[str, Any]:
    return {"ruleNo": number, "action": action, "cidrBlock": network, "fromPort": first, "toPort": last, "protocol": protocol}


def test_of_a_list_the_first_entry_that_fits_decides() -> None:
    acl = resource(ingress=[entry(200, "allow", "0.0.0.0/0"), entry(100, "deny", "192.0.2.0/24", 22, 22)])
    packet = Packet()
    found = acl_entries(acl, "ingress", packet)
    assert [(number, allow) for number, allow, _ in found] == [("100", False), ("200", True)]
    (_, _, denies), _ = found
    model = Solver().find([all_of(denies, within(packet.peer, ipaddress.ip_network("0.0.0.0/0")))])
    assert model is not None
    assert packet.example(model)["port"] == "22"


def test_addresses_are_shown_as_people_write_them() -> None:
    assert shown(number("192.0.2.1")) == "192.0.2.1"
    assert shown(number("2001:db8::1")) == "2001:db8::1"
    assert z3.BitVec("peer", 128).size() == Packet().peer.size()
