"""A private network: subnets without a route to or from the internet, and endpoints to the AWS services called from inside."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Literal

import pulumi
import pulumi_aws as aws
from pulumi import Input, InvokeOptions, Output, ResourceOptions

from infra.iam import ServiceRole, ServiceRoleArgs, Statement, document
from infra.naming import Names

TYPE_NETWORK = "heartmap:network:Network"
TYPE_FLOW_LOG = "heartmap:network:FlowLog"

# A VPC link v2 cannot have a network interface there: what the table of supported zones leaves out of its regions.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-vpc-links-v2.html
ZONES_WITHOUT_VPC_LINK = frozenset(
    {"use1-az3", "usw1-az2", "ape1-az1", "apne1-az3", "apne2-az4", "cac1-az3", "cac1-az4", "euw3-az2"}
)
# An account that uses local or wavelength zones is told of them too. They are named otherwise: use1-bos1-az1, use1-wl1-bos-wlz1.
AVAILABILITY_ZONE_ID = re.compile(r"[a-z0-9]+-az\d+")

HTTPS_PORT = 443
SERVICE_PORT = 8443

# What the tasks call: the registry of their image, their log, the queue, and the parameter that holds the assertion keys.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/vpc-endpoints.html
TASK_ENDPOINTS = ("ecr.api", "ecr.dkr", "logs", "sqs", "ssm")
# What Session Manager's agent calls beyond them: the channels of a session, and the key under which a session is encrypted.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/setup-create-vpc.html
BASTION_ENDPOINTS = ("kms", "ssmmessages")
GATEWAY_ENDPOINTS = ("s3", "dynamodb")

# The ports from which a caller calls. Those of Linux are what the tasks and the bastion use; what AWS runs, such as the load
# balancer, may use any port that is not a well-known one.
# https://docs.aws.amazon.com/vpc/latest/userguide/custom-network-acl.html#nacl-ephemeral-ports
EPHEMERAL_PORTS = (1024, 65535)
LINUX_EPHEMERAL_PORTS = (32768, 60999)
EVERYWHERE = "0.0.0.0/0"

# A /24 of a /16 leaves room for 256 subnets; smaller networks get as many bits for theirs.
SUBNET_BITS = 4


class NetworkPlanError(ValueError):
    """The network does not fit into the region or the address range."""


def _has_vpc_links(zone_id: str) -> bool:
    return bool(AVAILABILITY_ZONE_ID.fullmatch(zone_id)) and zone_id not in ZONES_WITHOUT_VPC_LINK


def choose_zones(zone_ids: Sequence[str], count: int) -> list[str]:
    """The first ``count`` zone ids in which everything of this stack can be. Raises NetworkPlanError when there are too few."""
    usable = sorted(filter(_has_vpc_links, zone_ids))
    if len(usable) < count:
        raise NetworkPlanError(
            f"the region has {len(usable)} availability zones with VPC links: lower heartmap:availability_zones from {count}"
        )
    return usable[:count]


def plan_subnets(network: IPv4Network, count: int) -> list[IPv4Network]:
    """The first ``count`` of the sixteen equal parts of ``network``; the rest stays free for later."""
    return list(network.subnets(prefixlen_diff=SUBNET_BITS))[:count]


@dataclass(frozen=True, kw_only=True)
class ExistingNetwork:
    """A VPC that was there before the stack, and what of it the stack uses. Its routes, lists and endpoints are its owner's.

    ``endpoint_security_group_ids`` are those of the interface endpoints, ``prefix_lists`` are by gateway service.
    """

    vpc_id: str
    cidr: IPv4Network
    subnet_ids: Sequence[str]
    endpoint_security_group_ids: Sequence[str]
    prefix_lists: Mapping[str, str]


def interface_endpoints(*, bastion: bool) -> tuple[str, ...]:
    """The services that are called through interface endpoints, as their names end."""
    return tuple(sorted(TASK_ENDPOINTS + BASTION_ENDPOINTS)) if bastion else TASK_ENDPOINTS


def find_network(
    vpc_id: str, subnet_ids: Sequence[str], *, bastion: bool, names: Names, asking: InvokeOptions
) -> ExistingNetwork:
    """Look an existing VPC up. Raises NetworkPlanError when the stack could not run in it, or would be less private there."""
    vpc = aws.ec2.get_vpc(id=vpc_id, opts=asking)
    if not (vpc.enable_dns_support and vpc.enable_dns_hostnames):
        raise NetworkPlanError(f"{vpc_id} has no DNS support or no DNS host names: enable both, its endpoints need them")
    zones: list[str] = []
    for subnet_id in subnet_ids:
        subnet = aws.ec2.get_subnet(id=subnet_id, opts=asking)
        zone, instead = subnet.availability_zone_id, "name another in heartmap:existing_subnet_ids"
        if subnet.vpc_id != vpc_id:
            raise NetworkPlanError(f"{subnet_id} is not in {vpc_id}: {instead}")
        if subnet.map_public_ip_on_launch:
            raise NetworkPlanError(f"{subnet_id} gives out public addresses: {instead}")
        if not _has_vpc_links(zone):
            raise NetworkPlanError(f"{subnet_id} is in {zone}, where there are no VPC links: {instead}")
        if zone in zones:
            raise NetworkPlanError(f"{subnet_id} is in {zone} like another of the subnets: {instead}")
        zones.append(zone)
    interfaces = [_find_endpoint(vpc_id, service, names, asking) for service in interface_endpoints(bastion=bastion)]
    return ExistingNetwork(
        vpc_id=vpc_id,
        cidr=IPv4Network(vpc.cidr_block),
        subnet_ids=tuple(subnet_ids),
        endpoint_security_group_ids=sorted({group for endpoint in interfaces for group in endpoint.security_group_ids}),
        prefix_lists={service: _find_endpoint(vpc_id, service, names, asking).prefix_list_id for service in GATEWAY_ENDPOINTS},
    )


def _find_endpoint(vpc_id: str, service: str, names: Names, asking: InvokeOptions) -> aws.ec2.GetVpcEndpointResult:
    name = f"com.amazonaws.{names.region}.{service}"
    try:
        return aws.ec2.get_vpc_endpoint(vpc_id=vpc_id, service_name=name, state="available", opts=asking)
    except Exception as error:  # the SDK raises nothing more exact for an answer of "not found"
        raise NetworkPlanError(f"{vpc_id} has no endpoint for {name}, without which nothing in it reaches the service") from error


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """``zone_ids`` are all availability zone ids of the region, ``zones`` says how many of them to use.

    ``endpoint_zones`` of these have interface endpoints, which cost by the hour and zone; the others reach them across.
    ``bastion`` and ``vpn`` say who else reaches the load balancer. ``existing`` is a VPC to use instead of making one.
    ``import_buckets`` may be read from inside, whoever's they are.
    """

    names: Names
    cidr: IPv4Network
    zone_ids: Sequence[str]
    zones: int
    endpoint_zones: int
    bastion: bool
    vpn: bool
    existing: ExistingNetwork | None
    import_buckets: Sequence[str]


class Network(pulumi.ComponentResource):
    """VPC, private subnets, endpoints, and one security group for each part of the request path.

    ``vpc_endpoint_ids`` are by service, and empty in an existing VPC. The groups of bastion and VPN are None without them.
    """

    vpc_id: Output[str]
    cidr: IPv4Network
    is_existing: bool
    subnet_ids: list[Output[str]]
    vpc_endpoint_ids: dict[str, Output[str]]
    link_security_group_id: Output[str]
    load_balancer_security_group_id: Output[str]
    api_security_group_id: Output[str]
    worker_security_group_id: Output[str]
    bastion_security_group_id: Output[str] | None
    vpn_security_group_id: Output[str] | None

    def __init__(self, name: str, args: NetworkArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_NETWORK, name, None, opts)
        self._name, self._args, self._child = name, args, ResourceOptions(parent=self)
        self.is_existing, self.vpc_endpoint_ids = args.existing is not None, {}
        self._prefix_lists: dict[str, Input[str]] = {}
        if args.existing is None:
            self.cidr = args.cidr
            self._make_network()
        else:
            self._adopt(args.existing)
        self._rules()
        self.register_outputs({"vpc_id": self.vpc_id, "subnet_ids": self.subnet_ids})

    def _make_network(self) -> None:
        vpc = aws.ec2.Vpc(
            self._name,
            cidr_block=str(self.cidr),
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=self._tags(),
            opts=self._child,
        )
        self.vpc_id = vpc.id
        # Whatever is put into the VPC without a group of its own gets this one, which lets nothing in or out.
        aws.ec2.DefaultSecurityGroup(
            self._name, vpc_id=vpc.id, ingress=[], egress=[], tags=self._tags("default"), opts=self._child
        )
        route_table = aws.ec2.RouteTable(self._name, vpc_id=vpc.id, tags=self._tags(), opts=self._child)
        self.subnet_ids = self._subnets(route_table)
        self._network_acls(vpc)
        self._security_groups()
        self._endpoint_security_groups: list[Output[str]] = [
            self._security_group("endpoints", "Interface endpoints of AWS services")
        ]
        self._gateway_endpoints(route_table)
        self._interface_endpoints()

    def _adopt(self, existing: ExistingNetwork) -> None:
        self.vpc_id, self.cidr = Output.from_input(existing.vpc_id), existing.cidr
        self.subnet_ids = [Output.from_input(subnet_id) for subnet_id in existing.subnet_ids]
        self._security_groups()
        self._endpoint_security_groups = [Output.from_input(group) for group in existing.endpoint_security_group_ids]
        self._prefix_lists |= existing.prefix_lists

    def _tags(self, purpose: str = "") -> dict[str, str]:
        return {"Name": self._args.names.of(purpose) if purpose else self._args.names.prefix}

    def _subnets(self, route_table: aws.ec2.RouteTable) -> list[Output[str]]:
        zones = choose_zones(self._args.zone_ids, self._args.zones)
        ids: list[Output[str]] = []
        for zone, cidr in zip(zones, plan_subnets(self.cidr, len(zones)), strict=True):
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

    def _network_acls(self, vpc: aws.ec2.Vpc) -> None:
        """What may cross the border of a subnet at all, whatever a security group says. These lists know no connections."""
        ingress, egress = aws.ec2.NetworkAclIngressArgs, aws.ec2.NetworkAclEgressArgs
        inside = str(self.cidr)
        private = aws.ec2.NetworkAcl(
            self._name,
            vpc_id=vpc.id,
            subnet_ids=self.subnet_ids,
            ingress=[
                ingress(rule_no=rule, protocol="tcp", action="allow", cidr_block=source, from_port=first, to_port=last)
                for rule, source, (first, last) in (
                    (100, inside, (HTTPS_PORT, HTTPS_PORT)),
                    # Answers to AWS's own callers, and calls of the service's port, which lies among theirs.
                    (110, inside, EPHEMERAL_PORTS),
                    # Answers of S3 and DynamoDB. Their addresses change and a list like this cannot follow them; that nothing
                    # else answers is up to the routes, which lead to these two services and nowhere else.
                    (120, EVERYWHERE, LINUX_EPHEMERAL_PORTS),
                )
            ],
            egress=[
                egress(rule_no=rule, protocol="tcp", action="allow", cidr_block=target, from_port=first, to_port=last)
                for rule, target, (first, last) in (
                    (100, EVERYWHERE, (HTTPS_PORT, HTTPS_PORT)),
                    (110, inside, EPHEMERAL_PORTS),
                )
            ],
            tags=self._tags("private"),
            opts=self._child,
        )
        # A subnet that somebody adds gets this one. Emptied only once our subnets have theirs, so that no traffic is cut.
        aws.ec2.DefaultNetworkAcl(
            self._name,
            default_network_acl_id=vpc.default_network_acl_id,
            ingress=[],
            egress=[],
            tags=self._tags("default"),
            opts=ResourceOptions(parent=self, depends_on=[private]),
        )

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
        self.bastion_security_group_id = self.vpn_security_group_id = None
        if self._args.bastion:
            self.bastion_security_group_id = self._security_group("bastion", "Bastion that operators reach by Session Manager")
        if self._args.vpn:
            self.vpn_security_group_id = self._security_group("vpn", "Clients of the VPN")

    def _endpoint_policy(self, service: str) -> Output[str]:
        """Who may use an endpoint for what: this account's own principals, on what belongs to this account."""
        names = self._args.names
        statements = [
            Statement(
                sid="ThisAccount",
                principals={"AWS": ("*",)},
                # ecr.api and ecr.dkr are two doors of one service.
                actions=(f"{service.partition('.')[0]}:*",),
                resources=("*",),
                conditions={"StringEquals": {"aws:PrincipalAccount": names.account, "aws:ResourceAccount": names.account}},
                reason="an endpoint's policy grants nothing: it bounds what roles allow, here to one account on both sides",
            )
        ]
        if service == "s3":
            statements.append(
                Statement(
                    sid="ImageLayers",
                    principals={"AWS": ("*",)},
                    actions=("s3:GetObject",),
                    resources=(f"arn:{names.partition}:s3:::prod-{names.region}-starport-layer-bucket/*",),
                    # The principal is ECR's, which signs the address of each layer.
                    conditions={"Bool": {"aws:SecureTransport": "true"}},
                    reason="https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html#ecr-minimum-s3-perms",
                )
            )
            statements += self._imports()
        return document(*statements)

    def _imports(self) -> list[Statement]:
        """What this account may read of the buckets that others gave: objects, and whether there is one."""
        names = self._args.names
        buckets = [f"arn:{names.partition}:s3:::{bucket}" for bucket in self._args.import_buckets]
        if not buckets:
            return []
        conditions = {"StringEquals": {"aws:PrincipalAccount": names.account}}
        everyone: dict[Literal["AWS", "Service"], tuple[str, ...]] = {"AWS": ("*",)}
        return [
            Statement(
                sid="Imports",
                principals=everyone,
                actions=("s3:GetObject",),
                resources=[f"{bucket}/*" for bucket in buckets],
                conditions=conditions,
                reason="which object is analysed, people say; their bucket's own policy has to agree",
            ),
            Statement(
                sid="MissingImports",
                principals=everyone,
                actions=("s3:ListBucket",),
                resources=buckets,
                conditions=conditions,
                reason="an endpoint's policy grants nothing; the principals are bound by their account",
            ),
        ]

    def _gateway_endpoints(self, route_table: aws.ec2.RouteTable) -> None:
        for service in GATEWAY_ENDPOINTS:
            endpoint = aws.ec2.VpcEndpoint(
                f"{self._name}-{service}",
                vpc_id=self.vpc_id,
                service_name=f"com.amazonaws.{self._args.names.region}.{service}",
                vpc_endpoint_type="Gateway",
                route_table_ids=[route_table.id],
                policy=self._endpoint_policy(service),
                tags=self._tags(service),
                opts=self._child,
            )
            self._prefix_lists[service] = endpoint.prefix_list_id
            self.vpc_endpoint_ids[service] = endpoint.id

    def _interface_endpoints(self) -> None:
        for service in interface_endpoints(bastion=self._args.bastion):
            self.vpc_endpoint_ids[service] = aws.ec2.VpcEndpoint(
                f"{self._name}-{service}",
                vpc_id=self.vpc_id,
                service_name=f"com.amazonaws.{self._args.names.region}.{service}",
                vpc_endpoint_type="Interface",
                subnet_ids=self.subnet_ids[: self._args.endpoint_zones],
                security_group_ids=self._endpoint_security_groups,
                private_dns_enabled=True,
                policy=self._endpoint_policy(service),
                tags=self._tags(service.replace(".", "-")),
                opts=self._child,
            ).id

    def _rules(self) -> None:
        balancer, api = self.load_balancer_security_group_id, self.api_security_group_id
        for purpose, caller, who in (
            ("link", self.link_security_group_id, "the VPC link"),
            ("bastion", self.bastion_security_group_id, "operators on the bastion"),
            ("vpn", self.vpn_security_group_id, "clients of the VPN"),
        ):
            if caller is not None:
                self._flow(f"{purpose}-balancer", caller, balancer, HTTPS_PORT, f"Requests from {who} to the load balancer")
        self._flow("balancer-api", balancer, api, SERVICE_PORT, "Requests from the load balancer to the API tasks")
        self._services("api", api, "the api tasks", GATEWAY_ENDPOINTS)
        self._services("worker", self.worker_security_group_id, "the worker tasks", GATEWAY_ENDPOINTS)
        if self.bastion_security_group_id is not None:
            # S3 takes the record of each session.
            self._services("bastion", self.bastion_security_group_id, "the agent of Session Manager", ("s3",))

    def _services(self, purpose: str, group: Output[str], who: str, gateways: Sequence[str]) -> None:
        """Lets ``group`` call AWS services through the interface endpoints and these gateway endpoints."""
        calls = f"Calls of {who} to"
        for number, endpoints in enumerate(self._endpoint_security_groups):
            if self._args.existing is None:
                self._flow(f"{purpose}-endpoints", group, endpoints, HTTPS_PORT, f"{calls} AWS services")
            else:
                # The other half stands in a group that is not ours to change.
                self._egress(f"{purpose}-endpoints-{number}", group, endpoints, HTTPS_PORT, f"{calls} AWS services")
        for service in gateways:
            aws.vpc.SecurityGroupEgressRule(
                f"{self._name}-{purpose}-{service}",
                security_group_id=group,
                prefix_list_id=self._prefix_lists[service],
                ip_protocol="tcp",
                from_port=HTTPS_PORT,
                to_port=HTTPS_PORT,
                description=f"{calls} {service} through its gateway endpoint",
                opts=self._child,
            )

    def _flow(self, purpose: str, source: Output[str], target: Output[str], port: int, description: str) -> None:
        """Lets ``source`` call ``target``: the two rules belong together."""
        self._egress(purpose, source, target, port, description)
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

    def _egress(self, purpose: str, source: Output[str], target: Output[str], port: int, description: str) -> None:
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


@dataclass(frozen=True, kw_only=True)
class FlowLogArgs:
    """``retention_days`` is the log retention of the stack, ``protected`` whether the log may be deleted with it."""

    names: Names
    network: Network
    logs_key_arn: Input[str]
    retention_days: int
    protected: bool


class FlowLog(pulumi.ComponentResource):
    """Who talked to whom: every connection, accepted or rejected. In an existing VPC those of the stack's subnets alone."""

    log_group_name: Output[str]

    def __init__(self, name: str, args: FlowLogArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_FLOW_LOG, name, None, opts)
        names, child = args.names, ResourceOptions(parent=self)
        logs = aws.cloudwatch.LogGroup(
            name,
            name=names.log_group("flow"),
            retention_in_days=args.retention_days,
            kms_key_id=args.logs_key_arn,
            opts=ResourceOptions(parent=self, protect=args.protected),
        )
        # https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
        role = ServiceRole(
            name,
            ServiceRoleArgs(
                name=names.of("flow-log"),
                service="vpc-flow-logs.amazonaws.com",
                description="Writes the flow log of the network",
                account=names.account,
                source_arn=names.arn("ec2", "vpc-flow-log/*"),
                statements=(
                    Statement(
                        sid="Write",
                        actions=("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
                        resources=(Output.concat(logs.arn, ":*"),),
                        reason="the streams of this one log group, which are named after network interfaces",
                    ),
                    Statement(
                        sid="Find",
                        actions=("logs:DescribeLogGroups",),
                        resources=(names.arn("logs", "log-group:*"),),
                        reason="the action lists names and cannot be bound to one log group",
                    ),
                ),
            ),
            child,
        )
        for suffix, where in self._logged(args.network):
            aws.ec2.FlowLog(
                name + suffix,
                vpc_id=where.get("vpc_id"),
                subnet_id=where.get("subnet_id"),
                traffic_type="ALL",
                log_destination_type="cloud-watch-logs",
                log_destination=logs.arn,
                iam_role_arn=role.arn,
                tags={"Name": names.of("flow-log")},
                opts=child,
            )
        self.log_group_name = logs.name
        self.register_outputs({"log_group_name": self.log_group_name})

    @staticmethod
    def _logged(network: Network) -> list[tuple[str, dict[str, Output[str]]]]:
        if network.is_existing:
            return [(f"-{number}", {"subnet_id": subnet_id}) for number, subnet_id in enumerate(network.subnet_ids)]
        return [("", {"vpc_id": network.vpc_id})]
