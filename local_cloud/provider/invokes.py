"""What the program asks AWS: who it is and where, and secrets that others keep."""
# ruff: noqa: S105  # the token of a Pulumi function is not a password

from __future__ import annotations

import base64
from typing import Any

from local_cloud.provider.framework import Aws, Function, Inputs, Refused, none_if_gone, register


@register
class GetCallerIdentity(Function):
    token = "aws:index/getCallerIdentity:getCallerIdentity"

    def invoke(self, aws: Aws, _args: Inputs, /) -> dict[str, Any]:
        identity = aws.client("sts").get_caller_identity()
        account = identity["Account"]
        return {"accountId": account, "arn": identity["Arn"], "userId": identity["UserId"], "id": account}


@register
class GetRegion(Function):
    token = "aws:index/getRegion:getRegion"

    def invoke(self, aws: Aws, _args: Inputs, /) -> dict[str, Any]:
        endpoint = f"ec2.{aws.region}.{aws.dns_suffix}"
        return {"region": aws.region, "name": aws.region, "id": aws.region, "endpoint": endpoint, "description": aws.region}


@register
class GetPartition(Function):
    token = "aws:index/getPartition:getPartition"

    def invoke(self, aws: Aws, _args: Inputs, /) -> dict[str, Any]:
        reverse = ".".join(reversed(aws.dns_suffix.split(".")))
        return {"partition": aws.partition, "id": aws.partition, "dnsSuffix": aws.dns_suffix, "reverseDnsPrefix": reverse}


@register
class GetAvailabilityZones(Function):
    token = "aws:index/getAvailabilityZones:getAvailabilityZones"
    arguments = frozenset({"state"})

    def invoke(self, aws: Aws, args: Inputs, /) -> dict[str, Any]:
        filters = [{"Name": "state", "Values": [args["state"]]}] if "state" in args else []
        zones = aws.client("ec2").describe_availability_zones(Filters=filters)["AvailabilityZones"]
        if not zones:
            raise Refused(f"the region {aws.region} has no such availability zones")
        # In the order of the names, as pulumi_aws answers.
        zones = sorted(zones, key=lambda zone: zone["ZoneName"])
        return {
            **args,
            "id": aws.region,
            "names": [zone["ZoneName"] for zone in zones],
            "zoneIds": [zone["ZoneId"] for zone in zones],
            "groupNames": sorted({zone.get("GroupName", aws.region) for zone in zones}),
        }


@register
class GetSecretVersion(Function):
    token = "aws:secretsmanager/getSecretVersion:getSecretVersion"
    arguments = frozenset({"secretId"})

    def invoke(self, aws: Aws, args: Inputs, /) -> dict[str, Any]:
        answer = none_if_gone(aws.client("secretsmanager").get_secret_value, SecretId=args["secretId"])
        if answer is None:
            raise Refused(f"there is no secret {args['secretId']}, or it has no value: make it before the deployment")
        return {
            **args,
            "id": f"{args['secretId']}|AWSCURRENT",
            "arn": answer["ARN"],
            "secretString": answer.get("SecretString", ""),
            "versionId": answer["VersionId"],
            "versionStages": answer["VersionStages"],
        }


@register
class GetVpc(Function):
    """A VPC that was there before the stack."""

    token = "aws:ec2/getVpc:getVpc"
    arguments = frozenset({"id"})

    def invoke(self, aws: Aws, args: Inputs, /) -> dict[str, Any]:
        ec2, vpc_id = aws.client("ec2"), args["id"]
        found = none_if_gone(ec2.describe_vpcs, VpcIds=[vpc_id])
        if found is None:
            raise Refused(f"there is no VPC {vpc_id}")
        vpc = found["Vpcs"][0]
        switches = {
            name: ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute=name)[name[0].upper() + name[1:]]["Value"]
            for name in ("enableDnsSupport", "enableDnsHostnames")
        }
        return {"id": vpc_id, "arn": aws.arn("ec2", f"vpc/{vpc_id}"), "cidrBlock": vpc["CidrBlock"], **switches}


@register
class GetSubnet(Function):
    """A subnet that was there before the stack."""

    token = "aws:ec2/getSubnet:getSubnet"
    arguments = frozenset({"id"})

    def invoke(self, aws: Aws, args: Inputs, /) -> dict[str, Any]:
        found = none_if_gone(aws.client("ec2").describe_subnets, SubnetIds=[args["id"]])
        if found is None:
            raise Refused(f"there is no subnet {args['id']}")
        subnet = found["Subnets"][0]
        return {
            "id": args["id"],
            "vpcId": subnet["VpcId"],
            "cidrBlock": subnet["CidrBlock"],
            "availabilityZoneId": subnet["AvailabilityZoneId"],
            "mapPublicIpOnLaunch": subnet["MapPublicIpOnLaunch"],
        }


@register
class GetVpcEndpoint(Function):
    """The endpoint of one service in a VPC that was there before the stack."""

    token = "aws:ec2/getVpcEndpoint:getVpcEndpoint"
    arguments = frozenset({"vpcId", "serviceName", "state"})

    def invoke(self, aws: Aws, args: Inputs, /) -> dict[str, Any]:
        endpoints = aws.client("ec2").describe_vpc_endpoints()["VpcEndpoints"]
        found = [one for one in endpoints if (one["VpcId"], one["ServiceName"]) == (args["vpcId"], args["serviceName"])]
        if len(found) != 1:
            raise Refused(f"{args['vpcId']} has {len(found)} endpoints for {args['serviceName']}")
        named = [{"Name": "prefix-list-name", "Values": [args["serviceName"]]}]
        lists = aws.client("ec2").describe_managed_prefix_lists(Filters=named)["PrefixLists"]
        return {
            **args,
            "id": found[0]["VpcEndpointId"],
            "vpcEndpointType": found[0]["VpcEndpointType"],
            "securityGroupIds": [group["GroupId"] for group in found[0].get("Groups", [])],
            "prefixListId": lists[0]["PrefixListId"] if found[0]["VpcEndpointType"] == "Gateway" else "",
        }


@register
class GetPublicKey(Function):
    """The public key of a KMS key that signs."""

    token = "aws:kms/getPublicKey:getPublicKey"
    arguments = frozenset({"keyId"})

    def invoke(self, aws: Aws, args: Inputs, /) -> dict[str, Any]:
        found = none_if_gone(aws.client("kms").get_public_key, KeyId=args["keyId"])
        if found is None:
            raise Refused(f"there is no key {args['keyId']}")
        der = base64.b64encode(found["PublicKey"]).decode("ascii")
        lines = [der[at : at + 64] for at in range(0, len(der), 64)]
        return {
            **args,
            "id": found["KeyId"],
            "arn": found["KeyId"],
            "publicKey": der,
            "publicKeyPem": "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""]),
        }
