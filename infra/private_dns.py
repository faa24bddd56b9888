"""The name of the internal load balancer for who is inside: those on the bastion, and clients of the VPN."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import Input, ResourceOptions

from infra.network import Network

TYPE_PRIVATE_DNS = "heartmap:private_dns:PrivateDns"


@dataclass(frozen=True, kw_only=True)
class PrivateDnsArgs:
    """``host`` is the name in the load balancer's certificate, ``target`` and ``target_zone_id`` are what AWS calls it."""

    network: Network
    host: str
    target: Input[str]
    target_zone_id: Input[str]


class PrivateDns(pulumi.ComponentResource):
    """A zone of this one name, known in the VPC alone: it hides nothing else of the domain."""

    def __init__(self, name: str, args: PrivateDnsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_PRIVATE_DNS, name, None, opts)
        child = ResourceOptions(parent=self)
        zone = aws.route53.Zone(
            name,
            name=args.host,
            comment="The internal load balancer",
            vpcs=[aws.route53.ZoneVpcArgs(vpc_id=args.network.vpc_id)],
            opts=child,
        )
        aws.route53.Record(
            name,
            zone_id=zone.zone_id,
            name=args.host,
            type="A",
            aliases=[aws.route53.RecordAliasArgs(name=args.target, zone_id=args.target_zone_id, evaluate_target_health=False)],
            opts=child,
        )
        self.register_outputs({})
