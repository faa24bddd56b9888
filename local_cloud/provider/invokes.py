"""What the program asks AWS: who it is and where, and secrets that others keep."""
# ruff: noqa: S105  # the token of a Pulumi function is not a password

from __future__ import annotations

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
