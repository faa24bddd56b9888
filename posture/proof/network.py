"""Network: each layer alone keeps to the specification, so that one mistake in one of them opens nothing.

Four layers are proved by themselves: what security groups admit, what they let go, what the network ACLs of the subnets let by,
and where the routes lead. A packet's peer is any of 2^128 addresses; whoever has no security group of the stack is a stranger.
"""

import ipaddress
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import z3

from posture.proof import specification as spec
from posture.proof.assumptions import Assumed
from posture.proof.exported import Resource, Stack
from posture.proof.findings import Counterexample
from posture.proof.logic import chosen, none_of
from posture.proof.nodes import Node, groups_of, nodes
from posture.proof.packets import Packet, Rule, rule_of, rules_within, within
from posture.proof.packets import acl_entries as entries_of
from posture.proof.paths import path_to
from posture.proof.solving import Solver

EVERYWHERE = "an address"


def rules(stack: Stack) -> list[Rule]:
    """Every rule of every security group."""
    found: list[Rule] = []
    for kind, ingress in (("Ingress", True), ("Egress", False)):
        type_ = f"vpc/securityGroup{kind}Rule:SecurityGroup{kind}Rule"
        found += [rule_of(resource, ingress=ingress) for resource in stack.of(type_)]
        for group in groups_of(stack):
            found += rules_within(group, ingress=ingress)
    return found


class Flows:
    """What the rules let by between the nodes, and what of that is not in the specification."""

    def __init__(self, stack: Stack, assumed: Assumed, solver: Solver) -> None:
        self.nodes, self.solver, self._stack, self._assumed = nodes(stack, assumed), solver, stack, assumed
        self._rules = rules(stack)
        self._prefix_lists = {
            endpoint.get("prefixListId"): endpoint.text("serviceName").rsplit(".", 1)[-1]
            for endpoint in stack.of("ec2/vpcEndpoint:VpcEndpoint")
            if endpoint.get("vpcEndpointType") == "Gateway"
        } | dict(assumed.lists)

    def edges(self) -> set[tuple[str, str]]:
        """Who may call whom as far as the callee's groups say, strangers included."""
        found: set[tuple[str, str]] = set()
        for node in self.nodes:
            for rule in self._of(node, ingress=True):
                found |= {(peer, node.name) for peer in self._peers(rule)}
        return found

    def strays(self, *, ingress: bool) -> Iterator[tuple[Node, str, Rule, Mapping[str, str]]]:
        """What rules let by that is in no flow: the node whose rule it is, who is on the other side, and such a packet."""
        for node in self.nodes:
            for rule in self._of(node, ingress=ingress):
                for peer in self._peers(rule):
                    about = (rule, peer, node.name, ingress)
                    example = self.solver.concluded(("stray", *about), lambda about=about: self._stray(*about))
                    if example is not None:
                        yield node, peer, rule, example

    def _stray(self, rule: Rule, peer: str, node: str, ingress: bool) -> Mapping[str, str] | None:
        packet = Packet()
        wanted = [rule.of_protocol(packet), none_of(self._meant(packet, node, peer, ingress))]
        if rule.networks:
            wanted.append(rule.of_networks(packet))
        model = self.solver.find(wanted)
        if model is None:
            return None
        shown = packet.example(model)
        # Where a rule names no address, that of the example says nothing.
        return shown if rule.networks else {**shown, "peer": ""}

    def _of(self, node: Node, *, ingress: bool) -> list[Rule]:
        return [rule for rule in self._rules if rule.ingress == ingress and rule.group_id in node.groups]

    def _peers(self, rule: Rule) -> list[str]:
        """Who is on the other side: nodes of the group that it names, a service, or whoever has the address."""
        if rule.prefix_list:
            return [f"the service {self._prefix_lists.get(rule.prefix_list, rule.prefix_list)}"]
        if not rule.peer_group:
            return [spec.OUTSIDE]
        if rule.peer_group in self._assumed.groups:
            return [spec.ENDPOINTS]
        if not any(one.id == rule.peer_group for one in groups_of(self._stack)):
            return [f"the security group {rule.peer_group} of somebody else"]
        return sorted({node.name for node in self.nodes if rule.peer_group in node.groups})

    @staticmethod
    def _meant(packet: Packet, node: str, peer: str, ingress: bool) -> z3.BoolRef:
        port = spec.FLOWS.get((peer, node) if ingress else (node, peer))
        if not ingress and peer.removeprefix("the service ") in spec.GATEWAYS.get(node, frozenset()):
            port = spec.HTTPS
        return packet.is_tcp(port) if port else z3.BoolVal(False)


def groups_admit(flows: Flows) -> Iterator[Counterexample]:
    """Security groups admit what is in the specification, and nobody by an address."""
    edges = flows.edges()
    for node, peer, rule, example in flows.strays(ingress=True):
        path = path_to(node.name, edges, through=(peer, node.name))
        yield Counterexample("entry", rule.title, f"it admits {peer} to {node.resource.title}", path, example)


def groups_let_go(flows: Flows) -> Iterator[Counterexample]:
    """Security groups let go what is in the specification, and nobody to an address."""
    for node, peer, rule, example in flows.strays(ingress=False):
        yield Counterexample("leaving", rule.title, f"it lets {node.resource.title} call {peer}", (node.name, peer), {**example})


def nothing_is_public(stack: Stack, flows: Flows) -> Iterator[Counterexample]:
    """Nothing has an address on the internet, and nothing in a subnet gets one."""
    for node in flows.nodes:
        if node.public:
            what = f"it gives {node.name} an address on the internet ({node.public})"
            yield Counterexample("entry", node.resource.title, what, (spec.OUTSIDE, node.name))
        if node.resource.get("enableExecuteCommand"):
            what = "it lets commands be run in a task beside the API (enableExecuteCommand)"
            yield Counterexample("entry", node.resource.title, what, (spec.OUTSIDE, node.name))
    for subnet in stack.of("ec2/subnet:Subnet"):
        if subnet.get("mapPublicIpOnLaunch"):
            yield Counterexample("entry", subnet.title, "it gives addresses on the internet", (spec.OUTSIDE, subnet.title))


def subnets_in_use(stack: Stack, flows: Flows) -> Iterator[tuple[Resource | None, str]]:
    """The subnets of the stack's network that nodes are in, with their ids; None for one that is not in the export."""
    for subnet in sorted({subnet for node in flows.nodes if node.in_own_network for subnet in node.subnets}):
        yield stack.one("ec2/subnet:Subnet", "id", subnet), subnet


def _own_networks(stack: Stack) -> list[Any]:
    return [ipaddress.ip_network(vpc.text("cidrBlock")) for vpc in stack.of("ec2/vpc:Vpc")]


def lists_keep(stack: Stack, flows: Flows, solver: Solver) -> Iterator[Counterexample]:
    """Network ACLs: from outside come answers at most, and to the outside goes HTTPS at most."""
    lists = [*stack.of("ec2/networkAcl:NetworkAcl"), *stack.of("ec2/defaultNetworkAcl:DefaultNetworkAcl")]
    for subnet, subnet_id in subnets_in_use(stack, flows):
        name = subnet.title if subnet else subnet_id
        acl = next((one for one in lists if subnet_id in one.list("subnetIds")), None)
        if acl is None:
            yield Counterexample("entry", name, "it follows a network ACL that is not in the export", (spec.OUTSIDE, name))
            continue
        for direction, property_, meant in (
            ("ingress", "entry", spec.ANSWER_PORTS),
            ("egress", "leaving", (spec.HTTPS, spec.HTTPS)),
        ):
            own = _own_networks(stack)
            premises = ("list", acl.title, json.dumps(acl.list(direction)), direction, meant, *own)
            about = (acl, direction, meant, own, solver)
            found = solver.concluded(premises, lambda about=about: _stray_entry(*about))
            if found:
                number, example = found
                ways = (spec.OUTSIDE, name) if direction == "ingress" else (name, spec.OUTSIDE)
                what = f"its {direction} entry {number} lets more by at the border of {name} than is meant"
                yield Counterexample(property_, f"{acl.title} {direction} {number}", what, ways, example)


def _stray_entry(
    acl: Resource, direction: str, meant: tuple[int, int], own: Sequence[Any], solver: Solver
) -> tuple[str, Mapping[str, str]] | None:
    packet = Packet()
    entries = entries_of(acl, direction, packet)
    admitted = z3.BoolVal(False)
    for _, allow, fits in reversed(entries):
        admitted = chosen(fits, z3.BoolVal(allow), admitted)
    foreign = none_of(*(within(packet.peer, network) for network in own))
    model = solver.find([admitted, foreign, none_of(packet.is_tcp(*meant))])
    if model is None:
        return None
    number = next(number for number, _, fits in entries if z3.is_true(model.eval(fits, model_completion=True)))
    return number, packet.example(model)


def routes_lead_nowhere(stack: Stack, flows: Flows) -> Iterator[Counterexample]:
    """From every subnet in use routes lead to the network itself and to gateway endpoints, and nowhere else."""
    gateways = {one.id for one in stack.of("ec2/vpcEndpoint:VpcEndpoint") if one.get("vpcEndpointType") == "Gateway"}
    for subnet, subnet_id in subnets_in_use(stack, flows):
        name = subnet.title if subnet else subnet_id
        association = stack.one("ec2/routeTableAssociation:RouteTableAssociation", "subnetId", subnet_id)
        table = association and stack.one("ec2/routeTable:RouteTable", "id", association.text("routeTableId"))
        if not table:
            yield Counterexample("leaving", name, "it follows a route table that is not in the export", (name, spec.OUTSIDE))
            continue
        for offender, route in _routes(stack, table):
            target = _target(route)
            if target != "local" and target not in gateways:
                path = (name, table.title, target, spec.OUTSIDE)
                yield Counterexample(
                    "leaving", offender, f"it leads from {name} to {target}", path, {"peer": _destination(route)}
                )


def _routes(stack: Stack, table: Resource) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from ((table.title, route) for route in table.list("routes"))
    yield from ((table.title, {"gatewayId": gateway}) for gateway in table.list("propagatingVgws"))
    for route in stack.of("ec2/route:Route"):
        if route.get("routeTableId") == table.id:
            yield route.title, route.values


_TARGETS = ("gatewayId", "natGatewayId", "vpcEndpointId", "transitGatewayId", "vpcPeeringConnectionId", "networkInterfaceId")


def _target(route: Mapping[str, Any]) -> str:
    named = (str(route[key]) for key in _TARGETS if route.get(key))
    others = (str(value) for key, value in route.items() if key.endswith(("Id", "Arn", "GatewayId")) and value)
    return next(named, next(others, "somewhere"))


def _destination(route: Mapping[str, Any]) -> str:
    keys = ("cidrBlock", "destinationCidrBlock", "ipv6CidrBlock", "destinationIpv6CidrBlock", "destinationPrefixListId")
    return next((str(route[key]) for key in keys if route.get(key)), "any address")


def check(stack: Stack, assumed: Assumed, solver: Solver) -> Iterator[Counterexample]:
    """All layers; in a network that is assumed, those that are in the export."""
    flows = Flows(stack, assumed, solver)
    yield from groups_admit(flows)
    yield from groups_let_go(flows)
    yield from nothing_is_public(stack, flows)
    yield from lists_keep(stack, flows, solver)
    yield from routes_lead_nowhere(stack, flows)
