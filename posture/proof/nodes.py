"""What has an address in the network: tasks, bastion, load balancer, VPC link, endpoints, functions that are put into it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from posture.proof import specification as spec
from posture.proof.exported import NotUnderstood, Resource, Stack


@dataclass(frozen=True)
class Node:
    """One of them. ``name`` is the specification's, ``public`` says what gives it a public address, if anything does."""

    name: str
    resource: Resource
    subnets: tuple[str, ...]
    groups: frozenset[str]
    public: str = ""


def _node(name: str, resource: Resource, subnets: Sequence[str], groups: Sequence[str], public: str = "") -> Node:
    if not subnets or not groups:
        raise NotUnderstood(f"{resource.title}: names no subnet or no security group, so that AWS chooses them")
    return Node(name, resource, tuple(subnets), frozenset(groups), public)


def nodes(stack: Stack) -> list[Node]:
    """All of them. Raises NotUnderstood where the network is not part of the stack."""
    if not stack.of("ec2/vpc:Vpc"):
        raise NotUnderstood("the network is not in the export (heartmap:existing_vpc_id): what is not exported cannot be proved")
    return [*_tasks(stack), *_bastions(stack), *_doors(stack), *_endpoints(stack), *_functions(stack)]


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


def _endpoints(stack: Stack) -> Iterator[Node]:
    for endpoint in stack.of("ec2/vpcEndpoint:VpcEndpoint"):
        if endpoint.get("vpcEndpointType") == "Interface":
            yield _node(spec.ENDPOINTS, endpoint, endpoint.list("subnetIds"), endpoint.list("securityGroupIds"))


def _functions(stack: Stack) -> Iterator[Node]:
    for function in stack.of("lambda/function:Function"):
        where = function.get("vpcConfig") or {}
        if where.get("subnetIds"):
            yield _node(f"function {function.name}", function, where["subnetIds"], where.get("securityGroupIds") or [])
