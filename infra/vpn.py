"""AWS Client VPN for remote users: another way to the internal load balancer, and to nothing else."""

from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra.naming import Names
from infra.network import Network, NetworkPlanError
from infra.setting_types import Vpn

TYPE_CLIENT_VPN = "heartmap:vpn:ClientVpn"

SESSION_HOURS = 8
"""After which a client signs in again; the shortest that Client VPN has."""


@dataclass(frozen=True, kw_only=True)
class ClientVpnArgs:
    """``kind`` says how clients prove who they are: by a certificate of the chain ``client_certificate_arn`` (an ARN in ACM), or
    to the identity provider ``saml_provider_arn`` (an ARN in IAM).

    ``cidr`` is the range of the clients' addresses, ``zones`` how many zones the VPN is in, each of which costs by the hour.
    Raises NetworkPlanError when the range overlaps with the network's.
    """

    names: Names
    network: Network
    security_group_id: Input[str]
    kind: Vpn
    cidr: IPv4Network
    zones: int
    server_certificate_arn: str
    client_certificate_arn: str
    saml_provider_arn: str
    logs_key_arn: Input[str]
    retention_days: int
    protected: bool

    def __post_init__(self) -> None:
        # The settings know the range of a network that is made, not that of one that exists.
        if self.cidr.overlaps(self.network.cidr):
            raise NetworkPlanError(f"heartmap:vpn_cidr {self.cidr} overlaps with the network's {self.network.cidr}")


class ClientVpn(pulumi.ComponentResource):
    """The endpoint that clients connect to, and how far they get: into the VPC, where their security group bounds them."""

    endpoint_id: Output[str]
    log_group_name: Output[str]

    def __init__(self, name: str, args: ClientVpnArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_CLIENT_VPN, name, None, opts)
        child = ResourceOptions(parent=self)
        logs = aws.cloudwatch.LogGroup(
            name,
            name=args.names.log_group("vpn"),
            retention_in_days=args.retention_days,
            kms_key_id=args.logs_key_arn,
            opts=ResourceOptions(parent=self, protect=args.protected),
        )
        inside = args.network.cidr
        endpoint = aws.ec2clientvpn.Endpoint(
            name,
            description="Remote users of HeartMAP",
            client_cidr_block=str(args.cidr),
            server_certificate_arn=args.server_certificate_arn,
            authentication_options=[self._authentication(args)],
            vpc_id=args.network.vpc_id,
            security_group_ids=[args.security_group_id],
            # What is not for the VPC stays outside of the tunnel: there is no way on from the VPC.
            split_tunnel=True,
            # The resolver of the VPC, at its second address, knows the private names.
            # https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html
            dns_servers=[str(inside.network_address + 2)],
            transport_protocol="udp",
            vpn_port=443,
            session_timeout_hours=SESSION_HOURS,
            disconnect_on_session_timeout=True,
            self_service_portal="disabled",
            connection_log_options=aws.ec2clientvpn.EndpointConnectionLogOptionsArgs(
                enabled=True, cloudwatch_log_group=logs.name
            ),
            tags={"Name": args.names.of("vpn")},
            opts=child,
        )
        for number, subnet_id in enumerate(args.network.subnet_ids[: args.zones]):
            aws.ec2clientvpn.NetworkAssociation(
                f"{name}-{number}", client_vpn_endpoint_id=endpoint.id, subnet_id=subnet_id, opts=child
            )
        aws.ec2clientvpn.AuthorizationRule(
            name,
            client_vpn_endpoint_id=endpoint.id,
            target_network_cidr=str(inside),
            authorize_all_groups=True,
            description="Whoever may connect reaches the VPC and nothing beyond",
            opts=child,
        )
        self.endpoint_id, self.log_group_name = endpoint.id, logs.name
        self.register_outputs({"endpoint_id": self.endpoint_id})

    @staticmethod
    def _authentication(args: ClientVpnArgs) -> aws.ec2clientvpn.EndpointAuthenticationOptionArgs:
        if args.kind is Vpn.FEDERATED:
            return aws.ec2clientvpn.EndpointAuthenticationOptionArgs(
                type="federated-authentication", saml_provider_arn=args.saml_provider_arn
            )
        return aws.ec2clientvpn.EndpointAuthenticationOptionArgs(
            type="certificate-authentication", root_certificate_chain_arn=args.client_certificate_arn
        )
