"""A private network: subnets without any route to or from the internet, and endpoints to the AWS services that the tasks use."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_aws as aws
from pulumi import Output, ResourceOptions

from infra.naming import Names

TYPE_NETWORK = "heartmap:network:Network"

# A VPC link v2 cannot have a network interface there: what the table of supported zones leaves out of its regions.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-vpc-links-v2.html
ZONES_WITHOUT_VPC_LINK = frozenset(
    {"use1-az3", "usw1-az2", "ape1-az1", "apne1-az3", "apne2-az4", "cac1-az3", "cac1-az4", "euw3-az2"}
)
# An account that uses local or wavelength zones is told of them too. They are named otherwise: use1-bos1-az1, use1-wl1-bos-wlz1.
AVAILABILITY_ZONE_ID = re.compile(r"[a-z0-9]+-az\d+")

HTTPS_PORT = 443
SERVICE_PORT = 8443

INTERFACE_ENDPOINTS = ("ecr.api", "ecr.dkr", "logs", "secretsmanager", "sqs")
GATEWAY_ENDPOINTS = ("s3", "dynamodb")

# A /24 of a /16 leaves room for 256 subnets; smaller networks get as many bits for theirs.
SUBNET_BITS = 4


class NetworkPlanError(ValueError):
    """The network does not fit into the region or the address range."""


def choose_zones(zone_ids: Sequence[str], count: int) -> list[str]:
    """The first ``count`` zone ids in which everything of this stack can be. Raises NetworkPlanError when there are too few."""
    usable = sorted(zone for zone in zone_ids if AVAILABILITY_ZONE_ID.fullmatch(zone) and zone not in ZONES_WITHOUT_VPC_LINK)
    if len(usable) < count:
        raise NetworkPlanError(
            f"the region has {len(usable)} availability zones with VPC links: lower heartmap:availability_zones from {count}"
        )
    return usable[:count]


def plan_subnets(network: IPv4Network, count: int) -> list[IPv4Network]:
    """The first ``count`` of the sixteen equal parts of ``network``; the rest stays free for later."""
    return list(network.subnets(prefixlen_diff=SUBNET_BITS))[:count]


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """``zone_ids`` are all availability zone ids of the region, ``zones`` says how many of them to use."""

    names: Names
    cidr: IPv4Network
    zone_ids: Sequence[str]
    zones: int


class Network(pulumi.ComponentResource):
    """VPC, private subnets, endpoints, and one security group for each part of the request path."""

    vpc_id: Output[str]
    subnet_ids: list[Output[str]]
    link_security_group_id: Output[str]
    load_balancer_security_group_id: Output[str]
    api_security_group_id: Output[str]
    worker_security_group_id: Output[str]

    def __init__(self, name: str, args: NetworkArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_NETWORK, name, None, opts)
        self._name, self._args, self._child = name, args, ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(
            name,
            cidr_block=str(args.cidr),
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=self._tags(),
            opts=self._child,
        )
        self.vpc_id = vpc.id
        # Whatever is put into the VPC without a group of its own gets this one, which lets nothing in or out.
        aws.ec2.DefaultSecurityGroup(name, vpc_id=vpc.id, ingress=[], egress=[], tags=self._tags("default"), opts=self._child)
        route_table = aws.ec2.RouteTable(name, vpc_id=vpc.id, tags=self._tags(), opts=self._child)
        self.subnet_ids = self._subnets(route_table)
        self._security_groups()
        self._endpoints(route_table)
        self._rules()
        self.register_outputs({"vpc_id": self.vpc_id, "subnet_ids": self.subnet_ids})

    def _tags(self, purpose: str = "") -> dict[str, str]:
        return {"Name": self._args.names.of(purpose) if purpose else self._args.names.prefix}

    def _subnets(self, route_table: aws.ec2.RouteTable) -> list[Output[str]]:
        zones = choose_zones(self._args.zone_ids, self._args.zones)
        ids: list[Output[str]] = []
        for zone, cidr in zip(zones, plan_subnets(self._args.cidr, len(zones)), strict=True):
            subnet = aws.ec2.Subnet(
                f"{self._name}-{zone}",
                vpc_id=self.vpc_id,
                cidr_block=str(cidr),
                availability_zone_id=zone,
                map_public_ip_on_launch=False,
                tags=self._tags(f"private-{zone}"),
                opts=self._child,
            )
            aws.ec2.RouteTableAssociation(
                f"{self._name}-{zone}", subnet_id=subnet.id, route_table_id=route_table.id, opts=self._child
            )
            ids.append(subnet.id)
        return ids

    def _security_group(self, purpose: str, description: str) -> Output[str]:
        group = aws.ec2.SecurityGroup(
            f"{self._name}-{purpose}",
            name=self._args.names.of(purpose),
            description=description,
            vpc_id=self.vpc_id,
            tags=self._tags(purpose),
            opts=self._child,
        )
        return group.id

    def _security_groups(self) -> None:
        self.link_security_group_id = self._security_group("link", "VPC link of the API gateway")
        self.load_balancer_security_group_id = self._security_group("balancer", "Internal load balancer")
        self.api_security_group_id = self._security_group("api", "Tasks of the HeartMAP API")
        self.worker_security_group_id = self._security_group("worker", "Tasks that run analyses")
        self._endpoint_security_group_id = self._security_group("endpoints", "Interface endpoints of AWS services")

    def _endpoints(self, route_table: aws.ec2.RouteTable) -> None:
        region = self._args.names.region
        self._prefix_lists: dict[str, Output[str]] = {}
        for service in GATEWAY_ENDPOINTS:
            endpoint = aws.ec2.VpcEndpoint(
                f"{self._name}-{service}",
                vpc_id=self.vpc_id,
                service_name=f"com.amazonaws.{region}.{service}",
                vpc_endpoint_type="Gateway",
                route_table_ids=[route_table.id],
                tags=self._tags(service),
                opts=self._child,
            )
            self._prefix_lists[service] = endpoint.prefix_list_id
        for service in INTERFACE_ENDPOINTS:
            aws.ec2.VpcEndpoint(
                f"{self._name}-{service}",
                vpc_id=self.vpc_id,
                service_name=f"com.amazonaws.{region}.{service}",
                vpc_endpoint_type="Interface",
                subnet_ids=self.subnet_ids,
                security_group_ids=[self._endpoint_security_group_id],
                private_dns_enabled=True,
                tags=self._tags(service.replace(".", "-")),
                opts=self._child,
            )

    def _rules(self) -> None:
        link, balancer = self.link_security_group_id, self.load_balancer_security_group_id
        api, worker, endpoints = self.api_security_group_id, self.worker_security_group_id, self._endpoint_security_group_id
        self._flow("link-balancer", link, balancer, HTTPS_PORT, "Requests from the VPC link to the load balancer")
        self._flow("balancer-api", balancer, api, SERVICE_PORT, "Requests from the load balancer to the API tasks")
        for purpose, group in (("api", api), ("worker", worker)):
            self._flow(f"{purpose}-endpoints", group, endpoints, HTTPS_PORT, f"Calls of the {purpose} tasks to AWS services")
            for service, prefix_list in self._prefix_lists.items():
                aws.vpc.SecurityGroupEgressRule(
                    f"{self._name}-{purpose}-{service}",
                    security_group_id=group,
                    prefix_list_id=prefix_list,
                    ip_protocol="tcp",
                    from_port=HTTPS_PORT,
                    to_port=HTTPS_PORT,
                    description=f"Calls of the {purpose} tasks to {service} through its gateway endpoint",
                    opts=self._child,
                )

    def _flow(self, purpose: str, source: Output[str], target: Output[str], port: int, description: str) -> None:
        """Lets ``source`` call ``target``: the two rules belong together."""
        aws.vpc.SecurityGroupEgressRule(
            f"{self._name}-{purpose}",
            security_group_id=source,
            referenced_security_group_id=target,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description=description,
            opts=self._child,
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{self._name}-{purpose}",
            security_group_id=target,
            referenced_security_group_id=source,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description=description,
            opts=self._child,
        )
