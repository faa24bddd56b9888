"""A packet with nothing about it fixed, and which rules of security groups and network ACLs let it by.

Addresses are bit-vectors of 128 bits (IPv4 as ::ffff:0:0/96), ports of 16, protocols of 8, so that every set of them is a union
of intervals over all values.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import z3

from posture.proof.exported import NotUnderstood, Resource
from posture.proof.logic import all_of, any_of, same

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

BITS = 128
_V4 = ipaddress.IPv6Network("::ffff:0:0/96")
TCP = 6
ICMP = {1, 58}
_PROTOCOLS = {"tcp": TCP, "udp": 17, "icmp": 1, "icmpv6": 58}
_ALL = ("-1", "all")


def _bounds(network: Network) -> tuple[int, int]:
    shift = int(_V4.network_address) if network.version == 4 else 0
    return int(network.network_address) + shift, int(network.broadcast_address) + shift


def within(address: z3.BitVecRef, network: Network) -> z3.BoolRef:
    """Whether an address is of a network."""
    first, last = _bounds(network)
    return all_of(z3.UGE(address, first), z3.ULE(address, last))


def shown(value: int) -> str:
    """An address for people."""
    address = ipaddress.IPv6Address(value)
    return str(address.ipv4_mapped or address)


class Packet:
    """The first packet of a connection, or any packet where nothing knows connections. ``peer`` is the other side's address."""

    def __init__(self) -> None:
        self.peer = z3.BitVec("peer", BITS)
        self.protocol = z3.BitVec("protocol", 8)
        self.port = z3.BitVec("port", 16)

    def is_tcp(self, first: int, last: int | None = None) -> z3.BoolRef:
        """TCP to one of these ports."""
        until = first if last is None else last
        return all_of(same(self.protocol, TCP), z3.UGE(self.port, first), z3.ULE(self.port, until))

    def example(self, model: z3.ModelRef) -> dict[str, str]:
        """The packet in a model."""

        def value(variable: z3.BitVecRef) -> int:
            return model.eval(variable, model_completion=True).as_long()  # pyright: ignore[reportAttributeAccessIssue]

        protocol = next(
            (name for name, number in _PROTOCOLS.items() if number == value(self.protocol)), str(value(self.protocol))
        )
        return {"peer": shown(value(self.peer)), "protocol": protocol, "port": str(value(self.port))}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What one rule lets by. Of ``networks``, ``prefix_list`` and ``group`` those that are set say who the peer is."""

    title: str
    group_id: str = ""
    ingress: bool = False
    protocol: str
    first: int
    last: int
    networks: tuple[Network, ...] = ()
    prefix_list: str = ""
    peer_group: str = ""

    def of_protocol(self, packet: Packet) -> z3.BoolRef:
        """Whether protocol and port are the rule's."""
        if self.protocol in _ALL:
            return z3.BoolVal(True)
        number = _PROTOCOLS.get(self.protocol) or (int(self.protocol) if self.protocol.isdigit() else None)
        if number is None:
            raise NotUnderstood(f"{self.title}: the protocol {self.protocol} is not known to the proof")
        if number in ICMP:
            # Their types stand where ports do.
            return same(packet.protocol, number)
        return all_of(same(packet.protocol, number), z3.UGE(packet.port, self.first), z3.ULE(packet.port, self.last))

    def of_networks(self, packet: Packet) -> z3.BoolRef:
        """Whether the peer's address is one of the rule's."""
        return any_of(*(within(packet.peer, network) for network in self.networks))


def _networks(*texts: Any) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts if text)


def _port(value: Any, otherwise: int) -> int:
    return otherwise if value in (None, "", -1) else int(value)


def rule_of(resource: Resource, *, ingress: bool) -> Rule:
    """A rule that is a resource of its own."""
    return Rule(
        title=resource.title,
        group_id=resource.text("securityGroupId"),
        ingress=ingress,
        protocol=str(resource.get("ipProtocol")),
        first=_port(resource.get("fromPort"), 0),
        last=_port(resource.get("toPort"), 65535),
        networks=_networks(resource.get("cidrIpv4"), resource.get("cidrIpv6")),
        prefix_list=resource.get("prefixListId") or "",
        peer_group=resource.get("referencedSecurityGroupId") or "",
    )


def rules_within(resource: Resource, *, ingress: bool) -> list[Rule]:
    """The rules that stand in a security group itself."""
    found: list[Rule] = []
    for one in resource.list("ingress" if ingress else "egress"):
        networks = _networks(*(one.get("cidrBlocks") or []), *(one.get("ipv6CidrBlocks") or []))
        peers: list[Mapping[str, Any]] = [{"networks": networks}]
        peers += [{"prefix_list": text} for text in one.get("prefixListIds") or []]
        peers += [{"peer_group": text} for text in one.get("securityGroups") or []]
        peers += [{"peer_group": resource.id}] if one.get("self") else []
        found += [
            Rule(
                title=resource.title,
                group_id=resource.id,
                ingress=ingress,
                protocol=str(one.get("protocol")),
                first=_port(one.get("fromPort"), 0),
                last=_port(one.get("toPort"), 65535),
                **peer,
            )
            for peer in peers
        ]
    return found


def acl_entries(acl: Resource, direction: str, packet: Packet) -> list[tuple[str, bool, z3.BoolRef]]:
    """The entries of a network ACL in their order, of which the first that fits decides: number, whether it allows, its fit."""
    found: list[tuple[str, bool, z3.BoolRef]] = []
    for entry in sorted(acl.list(direction), key=lambda one: int(one["ruleNo"])):
        rule = Rule(
            title=f"{acl.title} {direction} {entry['ruleNo']}",
            protocol=str(entry["protocol"]),
            first=_port(entry.get("fromPort"), 0),
            last=_port(entry.get("toPort"), 65535),
            networks=_networks(entry.get("cidrBlock"), entry.get("ipv6CidrBlock")),
        )
        fits = all_of(rule.of_protocol(packet), rule.of_networks(packet))
        found.append((str(entry["ruleNo"]), str(entry["action"]).lower() == "allow", fits))
    return found
