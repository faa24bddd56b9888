"""The network: VPC, subnets, route tables, endpoints, security groups and their rules (ec2, and vpc in Pulumi's naming)."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from typing import Any, ClassVar

from local_cloud.provider.framework import (
    Aws,
    Failure,
    Inputs,
    Refused,
    ResourceType,
    changed,
    from_tag_list,
    ignoring_gone,
    none_if_gone,
    register,
    same_json,
    tag_changes,
    undoing,
)


def tag_specification(aws: Aws, kind: str, inputs: Inputs) -> list[Any]:
    """The TagSpecifications with which a resource of this kind gets its tags when it is made."""
    tags = aws.tag_list(inputs)
    return [{"ResourceType": kind, "Tags": tags}] if tags else []


def update_tags(aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs) -> None:
    """Bring the tags from the old state to the new inputs."""
    to_set, to_remove = tag_changes(aws, old, new)
    ec2 = aws.client("ec2")
    if to_remove:
        ec2.delete_tags(Resources=[resource_id], Tags=[{"Key": key} for key in to_remove])
    if to_set:
        ec2.create_tags(Resources=[resource_id], Tags=[{"Key": key, "Value": value} for key, value in to_set.items()])


def live_tags(answer: dict[str, Any]) -> dict[str, Any]:
    """The tags in an answer of EC2, as the state has them."""
    return {"tagsAll": from_tag_list(answer.get("Tags"))}


class Ec2Type(ResourceType):
    """Types of which an update changes the tags and what `_modify` changes."""

    def _modify(self, _aws: Aws, _resource_id: str, differing: set[str], _old: dict[str, Any], _new: Inputs, /) -> None:
        raise Refused(f"cannot be changed in place; changed: {', '.join(sorted(differing))}")

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        differing = changed(old, new, self.arguments - {"tags"})
        if differing:
            self._modify(aws, resource_id, differing, old, new)
        update_tags(aws, resource_id, old, new)
        return {}


@register
class Vpc(Ec2Type):
    token = "aws:ec2/vpc:Vpc"
    arguments = frozenset({"cidrBlock", "enableDnsSupport", "enableDnsHostnames", "instanceTenancy", "tags"})
    required = frozenset({"cidrBlock"})
    replaces = frozenset({"cidrBlock", "instanceTenancy"})
    defaults: ClassVar = {"enableDnsSupport": True, "enableDnsHostnames": False, "instanceTenancy": "default"}
    computed = frozenset(
        {
            "arn",
            "ownerId",
            "mainRouteTableId",
            "defaultRouteTableId",
            "defaultSecurityGroupId",
            "defaultNetworkAclId",
            "dhcpOptionsId",
        }
    )

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        vpc = aws.client("ec2").create_vpc(
            CidrBlock=inputs["cidrBlock"],
            InstanceTenancy=inputs["instanceTenancy"],
            TagSpecifications=tag_specification(aws, "vpc", inputs),
        )["Vpc"]
        with undoing(lambda: self.delete(aws, vpc["VpcId"], {})):
            self._modify(aws, vpc["VpcId"], {"enableDnsSupport", "enableDnsHostnames"}, {}, inputs)
            return vpc["VpcId"], self._outputs(aws, vpc)

    def _modify(self, aws: Aws, resource_id: str, differing: set[str], _old: dict[str, Any], new: Inputs, /) -> None:
        # AWS takes one attribute a call.
        for argument in sorted(differing):
            attribute = argument[0].upper() + argument[1:]
            aws.client("ec2").modify_vpc_attribute(VpcId=resource_id, **{attribute: {"Value": new[argument]}})

    @staticmethod
    def _outputs(aws: Aws, vpc: dict[str, Any]) -> dict[str, Any]:
        ec2, of_this_vpc = aws.client("ec2"), {"Name": "vpc-id", "Values": [vpc["VpcId"]]}
        main = {"Name": "association.main", "Values": ["true"]}
        route_table = ec2.describe_route_tables(Filters=[of_this_vpc, main])["RouteTables"][0]["RouteTableId"]
        default = {"Name": "group-name", "Values": ["default"]}
        group = ec2.describe_security_groups(Filters=[of_this_vpc, default])["SecurityGroups"][0]["GroupId"]
        acl = ec2.describe_network_acls(Filters=[of_this_vpc, {"Name": "default", "Values": ["true"]}])["NetworkAcls"][0]
        return {
            "arn": aws.arn("ec2", f"vpc/{vpc['VpcId']}"),
            "ownerId": aws.account,
            "mainRouteTableId": route_table,
            "defaultRouteTableId": route_table,
            "defaultSecurityGroupId": group,
            "defaultNetworkAclId": acl["NetworkAclId"],
            "dhcpOptionsId": vpc["DhcpOptionsId"],
        }

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        ec2 = aws.client("ec2")
        answer = none_if_gone(ec2.describe_vpcs, VpcIds=[resource_id])
        if answer is None:
            return None
        vpc = answer["Vpcs"][0]
        live = {"cidrBlock": vpc["CidrBlock"], "instanceTenancy": vpc["InstanceTenancy"]}
        for argument in ("enableDnsSupport", "enableDnsHostnames"):
            attribute = ec2.describe_vpc_attribute(VpcId=resource_id, Attribute=argument)
            live[argument] = attribute[argument[0].upper() + argument[1:]]["Value"]
        return {**live, **self._outputs(aws, vpc), **live_tags(vpc)}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("ec2").delete_vpc(VpcId=resource_id)


@register
class Subnet(Ec2Type):
    token = "aws:ec2/subnet:Subnet"
    arguments = frozenset({"vpcId", "cidrBlock", "availabilityZone", "availabilityZoneId", "mapPublicIpOnLaunch", "tags"})
    required = frozenset({"vpcId", "cidrBlock"})
    replaces = frozenset({"vpcId", "cidrBlock", "availabilityZone", "availabilityZoneId"})
    defaults: ClassVar = {"mapPublicIpOnLaunch": False}
    computed = frozenset({"arn", "ownerId", "availabilityZone", "availabilityZoneId"})
    delete_before_replace = True  # two subnets of one VPC cannot overlap

    def check(self, inputs: Inputs, /) -> list[Failure]:
        if "availabilityZone" in inputs and "availabilityZoneId" in inputs:
            return [Failure("availabilityZoneId", f"{self.token}: give availabilityZone or availabilityZoneId, not both")]
        return []

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        zone = {}
        if "availabilityZone" in inputs:
            zone["AvailabilityZone"] = inputs["availabilityZone"]
        if "availabilityZoneId" in inputs:
            zone["AvailabilityZoneId"] = inputs["availabilityZoneId"]
        subnet = aws.client("ec2").create_subnet(
            VpcId=inputs["vpcId"],
            CidrBlock=inputs["cidrBlock"],
            TagSpecifications=tag_specification(aws, "subnet", inputs),
            **zone,
        )["Subnet"]
        with undoing(lambda: self.delete(aws, subnet["SubnetId"], {})):
            self._modify(aws, subnet["SubnetId"], {"mapPublicIpOnLaunch"}, {}, inputs)
        return subnet["SubnetId"], self._outputs(aws, subnet)

    def _modify(self, aws: Aws, resource_id: str, _differing: set[str], _old: dict[str, Any], new: Inputs, /) -> None:
        aws.client("ec2").modify_subnet_attribute(SubnetId=resource_id, MapPublicIpOnLaunch={"Value": new["mapPublicIpOnLaunch"]})

    @staticmethod
    def _outputs(aws: Aws, subnet: dict[str, Any]) -> dict[str, Any]:
        return {
            "arn": aws.arn("ec2", f"subnet/{subnet['SubnetId']}"),
            "ownerId": aws.account,
            "availabilityZone": subnet["AvailabilityZone"],
            "availabilityZoneId": subnet["AvailabilityZoneId"],
        }

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("ec2").describe_subnets, SubnetIds=[resource_id])
        if answer is None:
            return None
        subnet = answer["Subnets"][0]
        return {
            **self._outputs(aws, subnet),
            "vpcId": subnet["VpcId"],
            "cidrBlock": subnet["CidrBlock"],
            "mapPublicIpOnLaunch": subnet["MapPublicIpOnLaunch"],
            **live_tags(subnet),
        }

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("ec2").delete_subnet(SubnetId=resource_id)


@register
class RouteTable(Ec2Type):
    token = "aws:ec2/routeTable:RouteTable"
    arguments = frozenset({"vpcId", "tags"})
    required = frozenset({"vpcId"})
    replaces = frozenset({"vpcId"})
    computed = frozenset({"arn", "ownerId"})

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        table = aws.client("ec2").create_route_table(
            VpcId=inputs["vpcId"], TagSpecifications=tag_specification(aws, "route-table", inputs)
        )["RouteTable"]
        arn = aws.arn("ec2", f"route-table/{table['RouteTableId']}")
        return table["RouteTableId"], {"arn": arn, "ownerId": aws.account}

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("ec2").describe_route_tables, RouteTableIds=[resource_id])
        if answer is None:
            return None
        table = answer["RouteTables"][0]
        return {"vpcId": table["VpcId"], **live_tags(table)}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("ec2").delete_route_table(RouteTableId=resource_id)


@register
class RouteTableAssociation(ResourceType):
    token = "aws:ec2/routeTableAssociation:RouteTableAssociation"
    arguments = frozenset({"routeTableId", "subnetId"})
    required = frozenset({"routeTableId", "subnetId"})
    replaces = frozenset({"routeTableId", "subnetId"})
    delete_before_replace = True  # a subnet has one association

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        answer = aws.client("ec2").associate_route_table(RouteTableId=inputs["routeTableId"], SubnetId=inputs["subnetId"])
        return answer["AssociationId"], {}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("ec2").describe_route_tables, RouteTableIds=[state["routeTableId"]])
        associations = answer["RouteTables"][0]["Associations"] if answer else []
        found = next((one for one in associations if one["RouteTableAssociationId"] == resource_id), None)
        return {"routeTableId": found["RouteTableId"], "subnetId": found["SubnetId"]} if found else None

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("ec2").disassociate_route_table(AssociationId=resource_id)


@register
class VpcEndpoint(Ec2Type):
    token = "aws:ec2/vpcEndpoint:VpcEndpoint"
    _lists: ClassVar = {"subnetIds": "SubnetIds", "securityGroupIds": "SecurityGroupIds"}
    arguments = frozenset(
        {"vpcId", "serviceName", "vpcEndpointType", "policy", "privateDnsEnabled", "routeTableIds", "tags", *_lists}
    )
    required = frozenset({"vpcId", "serviceName"})
    # AWS also changes the last two in place; moto forgets the one, and the routes that belong to the other.
    replaces = frozenset({"vpcId", "serviceName", "vpcEndpointType", "privateDnsEnabled", "routeTableIds"})
    delete_before_replace = True  # two endpoints of one service would claim the same routes or host names
    defaults: ClassVar = {"vpcEndpointType": "Gateway"}
    computed = frozenset({"arn", "ownerId", "state", "dnsEntries", "networkInterfaceIds", "prefixListId"})
    volatile = frozenset({"dnsEntries", "networkInterfaceIds"})

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        optional = {key: inputs[name] for name, key in self._lists.items() if name in inputs}
        if "routeTableIds" in inputs:
            optional["RouteTableIds"] = inputs["routeTableIds"]
        if "policy" in inputs:
            optional["PolicyDocument"] = inputs["policy"]
        if "privateDnsEnabled" in inputs:
            optional["PrivateDnsEnabled"] = inputs["privateDnsEnabled"]
        endpoint = aws.client("ec2").create_vpc_endpoint(
            VpcId=inputs["vpcId"],
            ServiceName=inputs["serviceName"],
            VpcEndpointType=inputs["vpcEndpointType"],
            TagSpecifications=tag_specification(aws, "vpc-endpoint", inputs),
            **optional,
        )["VpcEndpoint"]
        with undoing(lambda: self.delete(aws, endpoint["VpcEndpointId"], {})):
            return endpoint["VpcEndpointId"], self._outputs(aws, endpoint)

    @staticmethod
    def _outputs(aws: Aws, endpoint: dict[str, Any]) -> dict[str, Any]:
        outputs = {
            "arn": aws.arn("ec2", f"vpc-endpoint/{endpoint['VpcEndpointId']}"),
            "ownerId": aws.account,
            "state": endpoint["State"],
            "dnsEntries": [
                {"dnsName": entry.get("DnsName", ""), "hostedZoneId": entry.get("HostedZoneId", "")}
                for entry in endpoint.get("DnsEntries", [])
            ],
            "networkInterfaceIds": endpoint.get("NetworkInterfaceIds", []),
        }
        if endpoint["VpcEndpointType"] == "Gateway":
            by_service = [{"Name": "prefix-list-name", "Values": [endpoint["ServiceName"]]}]
            lists = aws.client("ec2").describe_managed_prefix_lists(Filters=by_service)["PrefixLists"]
            if not lists:
                raise Refused(f"{endpoint['ServiceName']} has no prefix list: only S3 and DynamoDB have gateway endpoints")
            outputs["prefixListId"] = lists[0]["PrefixListId"]
        return outputs

    def _modify(self, aws: Aws, resource_id: str, differing: set[str], old: dict[str, Any], new: Inputs, /) -> None:
        changes: dict[str, Any] = {}
        for name, key in self._lists.items():
            if name in differing:
                before, after = set(old.get(name) or []), set(new.get(name) or [])
                changes[f"Add{key}"], changes[f"Remove{key}"] = sorted(after - before), sorted(before - after)
        if "policy" in differing:
            if "policy" not in new:
                raise Refused("the local cloud cannot reset the policy of an endpoint: write the policy out")
            changes["PolicyDocument"] = new["policy"]
        aws.client("ec2").modify_vpc_endpoint(
            VpcEndpointId=resource_id, **{key: value for key, value in changes.items() if value}
        )

    def _describe(self, aws: Aws, resource_id: str) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("ec2").describe_vpc_endpoints, VpcEndpointIds=[resource_id])
        endpoint = answer["VpcEndpoints"][0] if answer and answer["VpcEndpoints"] else None
        return endpoint if endpoint and endpoint["State"].lower() not in {"deleted", "deleting"} else None

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        super().update(aws, resource_id, old, new)
        endpoint = self._describe(aws, resource_id)
        if endpoint is None:
            raise Refused("is gone: run a refresh")
        return self._outputs(aws, endpoint)

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        endpoint = self._describe(aws, resource_id)
        if endpoint is None:
            return None
        live: dict[str, Any] = {"vpcId": endpoint["VpcId"], "serviceName": endpoint["ServiceName"]}
        if "policy" in state:
            live["policy"] = same_json(endpoint["PolicyDocument"], state["policy"])
        listed = {
            "routeTableIds": endpoint.get("RouteTableIds", []),
            "subnetIds": endpoint.get("SubnetIds", []),
            "securityGroupIds": [group["GroupId"] for group in endpoint.get("Groups", [])],
        }
        # The order means nothing to AWS: keep the program's when the members are the same.
        live |= {name: ids for name, ids in listed.items() if set(ids) != set(state.get(name) or [])}
        return {**live, **self._outputs(aws, endpoint), **live_tags(endpoint)}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[resource_id])


def _remove_all_rules(aws: Aws, group: dict[str, Any]) -> None:
    ec2 = aws.client("ec2")
    if group["IpPermissions"]:
        ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])
    if group["IpPermissionsEgress"]:
        ec2.revoke_security_group_egress(GroupId=group["GroupId"], IpPermissions=group["IpPermissionsEgress"])


def _security_group(aws: Aws, group_id: str) -> dict[str, Any] | None:
    answer = none_if_gone(aws.client("ec2").describe_security_groups, GroupIds=[group_id])
    return answer["SecurityGroups"][0] if answer else None


@register
class SecurityGroup(Ec2Type):
    """Rules are resources of their own; a group starts with none, not with AWS's open egress rule (as pulumi_aws does)."""

    token = "aws:ec2/securityGroup:SecurityGroup"
    arguments = frozenset({"name", "description", "vpcId", "revokeRulesOnDelete", "tags"})
    required = frozenset({"vpcId"})
    replaces = frozenset({"name", "description", "vpcId"})
    defaults: ClassVar = {"description": "Managed by Pulumi"}
    computed = frozenset({"arn", "ownerId"})
    unique = "name"
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        group_id = aws.client("ec2").create_security_group(
            GroupName=inputs["name"],
            Description=inputs["description"],
            VpcId=inputs["vpcId"],
            TagSpecifications=tag_specification(aws, "security-group", inputs),
        )["GroupId"]
        with undoing(lambda: self.delete(aws, group_id, {})):
            group = _security_group(aws, group_id)
            if group is None:
                raise Refused("vanished while it was made")
            _remove_all_rules(aws, group)
        return group_id, {"arn": aws.arn("ec2", f"security-group/{group_id}"), "ownerId": aws.account}

    def _modify(self, _aws: Aws, _resource_id: str, differing: set[str], _old: dict[str, Any], _new: Inputs, /) -> None:
        if differing - {"revokeRulesOnDelete"}:  # which only matters when it is deleted
            raise Refused(f"cannot be changed in place; changed: {', '.join(sorted(differing))}")

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        group = _security_group(aws, resource_id)
        if group is None:
            return None
        return {"name": group["GroupName"], "description": group["Description"], "vpcId": group["VpcId"], **live_tags(group)}

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        if state.get("revokeRulesOnDelete"):
            group = _security_group(aws, resource_id)
            if group:
                _remove_all_rules(aws, group)
        with ignoring_gone():
            aws.client("ec2").delete_security_group(GroupId=resource_id)


@register
class DefaultSecurityGroup(Ec2Type):
    """The group that every VPC has: adopted and emptied. It goes with its VPC, so that deleting it here changes nothing."""

    token = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
    arguments = frozenset({"vpcId", "ingress", "egress", "tags"})
    required = frozenset({"vpcId"})
    replaces = frozenset({"vpcId"})
    computed = frozenset({"arn", "ownerId", "name", "description"})

    def check(self, inputs: Inputs, /) -> list[Failure]:
        return [
            Failure(name, f'{self.token}: the local cloud takes no rules in "{name}": leave the default security group empty')
            for name in ("ingress", "egress")
            if inputs.get(name)
        ]

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        filters = [{"Name": "vpc-id", "Values": [inputs["vpcId"]]}, {"Name": "group-name", "Values": ["default"]}]
        groups = aws.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
        if not groups:
            raise Refused(f"the VPC {inputs['vpcId']} does not exist")
        group = groups[0]
        _remove_all_rules(aws, group)
        update_tags(aws, group["GroupId"], {"tagsAll": from_tag_list(group.get("Tags"))}, inputs)
        return group["GroupId"], self._outputs(aws, group)

    @staticmethod
    def _outputs(aws: Aws, group: dict[str, Any]) -> dict[str, Any]:
        return {
            "arn": aws.arn("ec2", f"security-group/{group['GroupId']}"),
            "ownerId": aws.account,
            "name": group["GroupName"],
            "description": group["Description"],
        }

    def _modify(self, aws: Aws, resource_id: str, _differing: set[str], _old: dict[str, Any], _new: Inputs, /) -> None:
        # Only ingress and egress get here, and both are empty in the program: a refresh found rules that somebody added.
        group = _security_group(aws, resource_id)
        if group:
            _remove_all_rules(aws, group)

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        group = _security_group(aws, resource_id)
        if group is None:
            return None
        added = {"ingress": group["IpPermissions"], "egress": group["IpPermissionsEgress"]}
        rules = {name: [{"protocol": str(rule["IpProtocol"])} for rule in found] for name, found in added.items()}
        return {"vpcId": group["VpcId"], **rules, **self._outputs(aws, group), **live_tags(group)}

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        pass


class _SecurityGroupRule(Ec2Type):
    """One rule. AWS changes rules in place; moto only those with IPv4 ranges, so that a change replaces the rule here."""

    _targets: ClassVar = {
        "referencedSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
        "prefixListId": ("PrefixListIds", "PrefixListId"),
        "cidrIpv4": ("IpRanges", "CidrIp"),
        "cidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
    }
    arguments = frozenset({"securityGroupId", "ipProtocol", "fromPort", "toPort", "description", "tags", *_targets})
    required = frozenset({"securityGroupId", "ipProtocol"})
    replaces = arguments - {"tags"}
    computed = frozenset({"arn", "securityGroupRuleId"})
    delete_before_replace = True  # AWS refuses a second rule of the same content
    _direction: ClassVar[str]

    def check(self, inputs: Inputs, /) -> list[Failure]:
        given = [name for name in self._targets if name in inputs]
        if len(given) != 1:
            return [Failure("", f"{self.token}: give exactly one of {', '.join(self._targets)}")]
        return []

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        argument = next(name for name in self._targets if name in inputs)
        family, key = self._targets[argument]
        target = {key: inputs[argument]}
        if "description" in inputs:
            target["Description"] = inputs["description"]
        permission: dict[str, Any] = {"IpProtocol": inputs["ipProtocol"], family: [target]}
        if "fromPort" in inputs:
            permission["FromPort"] = inputs["fromPort"]
        if "toPort" in inputs:
            permission["ToPort"] = inputs["toPort"]
        authorize = getattr(aws.client("ec2"), f"authorize_security_group_{self._direction}")
        rule = authorize(
            GroupId=inputs["securityGroupId"],
            IpPermissions=[permission],
            TagSpecifications=tag_specification(aws, "security-group-rule", inputs),
        )["SecurityGroupRules"][0]
        rule_id = rule["SecurityGroupRuleId"]
        return rule_id, {"arn": aws.arn("ec2", f"security-group-rule/{rule_id}"), "securityGroupRuleId": rule_id}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("ec2").describe_security_group_rules, SecurityGroupRuleIds=[resource_id])
        if not answer or not answer["SecurityGroupRules"]:
            return None
        rule = answer["SecurityGroupRules"][0]
        live = {"securityGroupId": rule["GroupId"], "ipProtocol": rule["IpProtocol"], "cidrIpv4": rule.get("CidrIpv4")}
        live |= {"cidrIpv6": rule.get("CidrIpv6"), "prefixListId": rule.get("PrefixListId")}
        live["referencedSecurityGroupId"] = rule.get("ReferencedGroupInfo", {}).get("GroupId")
        ports = {"fromPort": rule.get("FromPort"), "toPort": rule.get("ToPort")}
        live |= {name: port for name, port in ports.items() if name in state}
        return {**live, **live_tags(rule)}

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        revoke = getattr(aws.client("ec2"), f"revoke_security_group_{self._direction}")
        with ignoring_gone():
            revoke(GroupId=state["securityGroupId"], SecurityGroupRuleIds=[resource_id])


@register
class SecurityGroupIngressRule(_SecurityGroupRule):
    token = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
    _direction = "ingress"


@register
class SecurityGroupEgressRule(_SecurityGroupRule):
    token = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
    _direction = "egress"
