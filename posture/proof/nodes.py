"""What has an address in the network: tasks, bastion, load balancer, VPC link, endpoints, functions that are put into it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from posture.proof import specification as spec
from posture.proof.assumptions import Assumed
from posture.proof.exported import NotUnderstood, Resource, Stack


@dataclass(frozen=True)
class Node:
    """One of them. ``name`` is the specification's, ``public`` says what gives it a public address, if anything does.

    ``in_own_network`` is whether the network is of the stack, and not assumed.
    """

    name: str
    resource: Resource
    subnets: tuple[str, ...]
    groups: frozenset[str]
    public: str = ""
    in_own_network: bool = True


def _node(name: str, resource: Resource, subnets: Sequence[str], groups: Sequence[str], public: str = "") -> Node:
    if not subnets or not groups:
        raise NotUnderstood(f"{resource.title}: names no subnet or no security group, so that AWS chooses them")
    return Node(name, resource, tuple(subnets), frozenset(groups), public)


def groups_of(stack: Stack) -> list[Resource]:
    """The security groups of the stack."""
    return [*stack.of("ec2/securityGroup:SecurityGroup"), *stack.of("ec2/defaultSecurityGroup:DefaultSecurityGroup")]


def nodes(stack: Stack, assumed: Assumed) -> list[Node]:
    """All of them. Raises NotUnderstood where their networks or groups are neither in the export nor assumed."""
    networks = {group.id: group.text("vpcId") for group in groups_of(stack)}
    own = {vpc.id for vpc in stack.of("ec2/vpc:Vpc")}
    for vpc in sorted({*networks.values()} - own - {*assumed.networks}):
        raise NotUnderstood(
            f"the network {vpc} is not in the export (heartmap:existing_vpc_id): what is not exported cannot be proved. Say what "
            f"is to be assumed of it: --assume {vpc}=ITS-RANGE, see docs/proof.md"
        )
    found = [*_tasks(stack), *_bastions(stack), *_doors(stack), *_clients(stack), *_endpoints(stack), *_functions(stack)]
    for node in found:
        for group in sorted(node.groups - {*networks}):
            raise NotUnderstood(f"{node.resource.title}: what its security group {group} admits is not in the export")
    return [replace(node, in_own_network={networks[group] for group in node.groups} <= own) for node in found]


def _tasks(stack: Stack) -> Iterator[Node]:
    for service in stack.of("ecs/service:Service"):
        where = service.get("networkConfiguration") or {}
        public = "assignPublicIp" if where.get("assignPublicIp") else ""
        yield _node(service.name, service, where.get("subnets") or [], where.get("securityGroups") or [], public)


def _bastions(stack: Stack) -> Iterator[Node]:
    for group in stack.of("autoscaling/group:Group"):
        template = stack.one("ec2/launchTemplate:LaunchTemplate", "id", (group.get("launchTemplate") or {}).get("id", ""))
        if template is None:
            raise NotUnderstood(f"{group.title}: its launch template is not in the export")
        for interface in template.list("networkInterfaces") or [{}]:
            public = "associatePublicIpAddress" if str(interface.get("associatePublicIpAddress")) != "false" else ""
            yield _node(group.name, template, group.list("vpcZoneIdentifiers"), interface.get("securityGroups") or [], public)


def _doors(stack: Stack) -> Iterator[Node]:
    for balancer in stack.of("lb/loadBalancer:LoadBalancer"):
        public = "" if balancer.get("internal") is True else "internal is not true"
        yield _node(balancer.name, balancer, balancer.list("subnets"), balancer.list("securityGroups"), public)
    for link in stack.of("apigatewayv2/vpcLink:VpcLink"):
        yield _node(spec.LINK, link, link.list("subnetIds"), link.list("securityGroupIds"))


def _clients(stack: Stack) -> Iterator[Node]:
    """Clients of a VPN call from interfaces in the subnets that their endpoint is in, and have the groups of these."""
    associations = stack.of("ec2clientvpn/networkAssociation:NetworkAssociation")
    for endpoint in stack.of("ec2clientvpn/endpoint:Endpoint"):
        subnets = [one.text("subnetId") for one in associations if one.get("clientVpnEndpointId") == endpoint.id]
        yield _node(spec.VPN, endpoint, subnets, endpoint.list("securityGroupIds"))


def _endpoints(stack: Stack) -> Iterator[Node]:
    for endpoint in stack.of("ec2/vpcEndpoint:VpcEndpoint"):
        if endpoint.get("vpcEndpointType") == "Interface":
            yield _node(spec.ENDPOINTS, endpoint, endpoint.list("subnetIds"), endpoint.list("securityGroupIds"))


def _functions(stack: Stack) -> Iterator[Node]:
    for function in stack.of("lambda/function:Function"):
        where = function.get("vpcConfig") or {}
        if where.get("subnetIds"):
            yield _node(f"function {function.name}", function, where["subnetIds"], where.get("securityGroupIds") or [])
