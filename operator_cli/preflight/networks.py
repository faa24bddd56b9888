"""Whether the address ranges of the stack are free where it may have to be joined to others."""

from collections.abc import Iterator
from ipaddress import IPv4Network

from operator_cli.preflight.place import Line, Place, State, code_of
from operator_cli.preflight.registry import check


@check("networks")
def networks(place: Place) -> Iterator[Line]:
    """VPCs may overlap until somebody joins them. Ranges that are joined already, by peering or VPN, may not."""
    wanted = {"vpc_cidr": place.settings.vpc_cidr}
    if place.settings.vpn_cidr:
        wanted["vpn_cidr"] = place.settings.vpn_cidr
    if place.settings.existing_vpc_id:
        yield from _existing(place)
        del wanted["vpc_cidr"]
    clashes = 0
    for state, what, range_ in (*_vpcs(place), *_peers(place), *_vpns(place)):
        for key, own in wanted.items():
            if own.overlaps(IPv4Network(range_, strict=False)):
                clashes += 1
                yield Line(
                    name="networks",
                    state=state,
                    detail=f"heartmap:{key} {own} overlaps with {range_} of {what}",
                    next_step=f"Choose a range for heartmap:{key} that nobody uses"
                    + ("." if state == "fail" else ", if the two are ever to be joined."),
                )
    if not clashes:
        yield Line(name="networks", state="pass", detail=f"{', '.join(map(str, wanted.values())) or 'no range'}: nobody has it")


Range = tuple[State, str, str]


def _vpcs(place: Place) -> Iterator[Range]:
    for vpc in place.pages("ec2", "describe_vpcs", "Vpcs"):
        if not place.is_own(vpc.get("Tags", [])):
            for block in vpc.get("CidrBlockAssociationSet", []):
                yield "warn", vpc["VpcId"], block["CidrBlock"]


def _peers(place: Place) -> Iterator[Range]:
    """What VPCs of this account are joined to, here or elsewhere."""
    for peering in place.pages("ec2", "describe_vpc_peering_connections", "VpcPeeringConnections"):
        if peering["Status"]["Code"] not in ("active", "pending-acceptance", "provisioning"):
            continue
        for side in ("AccepterVpcInfo", "RequesterVpcInfo"):
            if range_ := peering[side].get("CidrBlock"):
                yield "fail", f"{peering['VpcPeeringConnectionId']}, which joins VPCs", range_


def _vpns(place: Place) -> Iterator[Range]:
    for connection in place.client("ec2").describe_vpn_connections()["VpnConnections"]:
        if connection["State"] in ("available", "pending"):
            for route in connection.get("Routes", []):
                yield "fail", connection["VpnConnectionId"], route["DestinationCidrBlock"]
    for endpoint in place.pages("ec2", "describe_client_vpn_endpoints", "ClientVpnEndpoints"):
        if not place.is_own(endpoint.get("Tags", [])) and (range_ := endpoint.get("ClientCidrBlock")):
            yield "fail", endpoint["ClientVpnEndpointId"], range_


def _existing(place: Place) -> Iterator[Line]:
    """The VPC that the settings name."""
    from botocore.exceptions import ClientError

    vpc, ec2 = place.settings.existing_vpc_id, place.client("ec2")
    try:
        ec2.describe_vpcs(VpcIds=[vpc])
        ec2.describe_subnets(SubnetIds=list(place.settings.existing_subnet_ids))
        names = ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")["EnableDnsHostnames"]["Value"]
    except ClientError as error:
        if not code_of(error).endswith(".NotFound"):
            raise
        yield Line(
            name="networks",
            state="fail",
            detail=f"{vpc} or one of its subnets is not in this account and region",
            next_step="Correct heartmap:existing_vpc_id and heartmap:existing_subnet_ids.",
        )
        return
    if names:
        yield Line(name="networks", state="pass", detail=f"{vpc} and its subnets are there")
    else:
        step = f"aws ec2 modify-vpc-attribute --vpc-id {vpc} --enable-dns-hostnames"
        yield Line(name="networks", state="fail", detail=f"{vpc} has no DNS host names, which its endpoints need", next_step=step)
