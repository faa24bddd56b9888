"""Clients of a VPN: who they are is proved before they are let in, and they get into the network and nowhere beyond."""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from posture.proof import specification as spec
from posture.proof.assumptions import Assumed
from posture.proof.exported import Resource, Stack
from posture.proof.findings import Counterexample
from posture.proof.paths import VPN_DOOR

_AUTHORITIES = {
    "certificate-authentication": ("rootCertificateChainArn", "acm"),
    "federated-authentication": ("samlProviderArn", "iam"),
}
"""By what clients prove who they are: the argument that names who vouches for them, and the service that holds it."""


def _vouched(stack: Stack, option: Mapping[str, Any]) -> bool:
    key, service = _AUTHORITIES.get(str(option.get("type")), ("", ""))
    parts = str(option.get(key, "")).split(":")
    return len(parts) > 5 and (parts[1], parts[2], parts[4]) == (stack.partition, service, stack.account)


def _endpoint(stack: Stack, endpoint: Resource) -> Iterator[str]:
    """What is wrong with it."""
    options = endpoint.list("authenticationOptions")
    if not options or not all(_vouched(stack, option) for option in options):
        yield "it lets clients in for whom no certificate authority and no identity provider of this account vouches"
    if endpoint.get("selfServicePortal") not in (None, "disabled"):
        yield "it hands out what clients need to connect, to whoever asks its portal"


def check(stack: Stack, assumed: Assumed) -> Iterator[Counterexample]:
    """Every endpoint asks for a certificate or a sign-in, and leads into the network that the stack is in alone."""
    inside = {ipaddress.ip_network(vpc.text("cidrBlock")) for vpc in stack.of("ec2/vpc:Vpc")} | {*assumed.networks.values()}
    for endpoint in stack.of("ec2clientvpn/endpoint:Endpoint"):
        for what in _endpoint(stack, endpoint):
            yield Counterexample("entry", endpoint.title, what, (spec.OUTSIDE, VPN_DOOR, spec.VPN))
    for rule in stack.of("ec2clientvpn/authorizationRule:AuthorizationRule"):
        target = ipaddress.ip_network(rule.text("targetNetworkCidr"))
        if target not in inside:
            what = f"it leads clients of the VPN to {target}, which is not the network that the stack is in"
            yield Counterexample("leaving", rule.title, what, (spec.VPN, str(target)))


def told(stack: Stack) -> Iterator[str]:
    """Who gets in by a VPN, and where they get to, for the report."""
    for endpoint in stack.of("ec2clientvpn/endpoint:Endpoint"):
        keys = {key for key, _ in _AUTHORITIES.values()}
        who = [str(option[key]) for option in endpoint.list("authenticationOptions") for key in keys & {*option}]
        yield f"{endpoint.name} lets in for whom {', '.join(who)} vouches, to the load balancer's port {spec.HTTPS} alone"
