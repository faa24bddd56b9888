"""API Gateway v2: the VPC link, which REST APIs reach a load balancer through."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from typing import Any

from local_cloud.provider.framework import (
    Aws,
    Inputs,
    ResourceType,
    changed,
    ignoring_gone,
    none_if_gone,
    register,
    tag_changes,
)
from local_cloud.provider.names import same_set


@register
class VpcLink(ResourceType):
    """Its subnets and security groups cannot be changed (API Gateway v2 API, UpdateVpcLink)."""

    token = "aws:apigatewayv2/vpcLink:VpcLink"
    arguments = frozenset({"name", "securityGroupIds", "subnetIds", "tags"})
    required = frozenset({"securityGroupIds", "subnetIds"})
    replaces = frozenset({"securityGroupIds", "subnetIds"})
    computed = frozenset({"arn"})
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        link = aws.client("apigatewayv2").create_vpc_link(
            Name=inputs["name"],
            SecurityGroupIds=inputs["securityGroupIds"],
            SubnetIds=inputs["subnetIds"],
            Tags=aws.tags(inputs),
        )
        return link["VpcLinkId"], {"arn": self._arn(aws, link["VpcLinkId"])}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        link = none_if_gone(aws.client("apigatewayv2").get_vpc_link, VpcLinkId=resource_id)
        if link is None:
            return None
        return {
            "arn": self._arn(aws, resource_id),
            "name": link["Name"],
            "securityGroupIds": same_set(state, "securityGroupIds", link["SecurityGroupIds"]),
            "subnetIds": same_set(state, "subnetIds", link["SubnetIds"]),
            "tagsAll": link.get("Tags") or {},
        }

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        client, arn = aws.client("apigatewayv2"), self._arn(aws, resource_id)
        if changed(old, new, {"name"}):
            client.update_vpc_link(VpcLinkId=resource_id, Name=new["name"])
        to_set, to_remove = tag_changes(aws, old, new)
        if to_remove:
            client.untag_resource(ResourceArn=arn, TagKeys=to_remove)
        if to_set:
            client.tag_resource(ResourceArn=arn, Tags=to_set)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("apigatewayv2").delete_vpc_link(VpcLinkId=resource_id)

    def _arn(self, aws: Aws, link_id: str) -> str:
        return f"arn:{aws.partition}:apigateway:{aws.region}::/vpclinks/{link_id}"
