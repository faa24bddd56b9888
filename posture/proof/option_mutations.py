"""One thing changed in a stack that has what settings add: break-glass, a VPN, a network that was there before.

As in mutations.py: the property that has to fail by it, with the rule or statement named. ``tests/engine`` tries them all.
"""

from collections.abc import Callable, Mapping
from typing import Any

from posture.proof.mutations import Export, Mutation, added, edited, gone, put, statement, with_statement, without_statement

_ROLE, _POLICY = "Role/break-glass", "Policy/break-glass"
_TRUST = "assumeRolePolicy"
_ACCOUNT = "arn:aws:iam::123456789012"


def _condition(operator: str, key: str, value: str | None) -> Callable[[Export], None]:
    """Sets a condition of who opens break-glass; None leaves it out."""

    def edit(policy: dict[str, Any]) -> None:
        (opens,) = (one for one in policy["Statement"] if one["Sid"] == "AssumeRole")
        opens["Condition"][operator].pop(key)
        if value is not None:
            opens["Condition"][operator][key] = value

    return edited(_ROLE, _TRUST, edit)


def _opens(name: str, change: Callable[[Export], None], sid: str = "AssumeRole") -> Mutation:
    return Mutation(f"break-glass is opened {name}", "rights", f"{_ROLE} [{sid}]", change)


def _may(name: str, actions: str, resource: str = "*", what: str = f"{_POLICY} [Added]") -> Mutation:
    change = with_statement(_POLICY, {"Action": actions, "Resource": resource})
    return Mutation(f"break-glass may {name}", "rights", what, change)


def _like_it(export: Export) -> None:
    who = {"Principal": {"AWS": f"{_ACCOUNT}:user/emergency"}, "Action": "sts:AssumeRole"}
    factor = {"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}
    with_statement("Role/token", who | factor, _TRUST)(export)


def _never(policy: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in policy["Statement"] if one["Sid"] == "NeverTraces")


BREAK_GLASS = (
    _opens("without a second factor", _condition("Bool", "aws:MultiFactorAuthPresent", None)),
    _opens("just without a second factor", _condition("Bool", "aws:MultiFactorAuthPresent", "false")),
    _opens("with a second factor of any age", _condition("NumericLessThan", "aws:MultiFactorAuthAge", None)),
    _opens("with a second factor of an hour ago", _condition("NumericLessThan", "aws:MultiFactorAuthAge", "3600")),
    _opens("with a second factor of a second more", _condition("NumericLessThan", "aws:MultiFactorAuthAge", "301")),
    _opens("without a reason", _condition("StringLike", "aws:RequestTag/Reason", None)),
    _opens("for any reason, however short", _condition("StringLike", "aws:RequestTag/Reason", "*")),
    _opens("under any name", _condition("StringEquals", "sts:RoleSessionName", None)),
    _opens("under one name for all", _condition("StringEquals", "sts:RoleSessionName", "operator")),
    _opens("without a source identity", _condition("StringEquals", "sts:SourceIdentity", None)),
    _opens("by whoever is of the account", statement(_ROLE, "AssumeRole", _TRUST, Principal={"AWS": f"{_ACCOUNT}:root"})),
    _opens("by a role", statement(_ROLE, "AssumeRole", _TRUST, Principal={"AWS": f"{_ACCOUNT}:role/heartmap-dev-api-task"})),
    _opens(
        "by one statement more",
        with_statement(_ROLE, {"Principal": {"AWS": f"{_ACCOUNT}:user/emergency"}, "Action": "sts:AssumeRole"}, _TRUST),
        "Added",
    ),
    _opens(
        "with tags of who has no second factor",
        statement(_ROLE, "TagSession", _TRUST, Condition={"StringLike": {"aws:RequestTag/Reason": "??????????*"}}),
        "TagSession",
    ),
    Mutation(
        "break-glass is opened by another account",
        "entry",
        f"{_ROLE} [AssumeRole]",
        statement(_ROLE, "AssumeRole", _TRUST, Principal={"AWS": "arn:aws:iam::999988887777:user/emergency"}),
    ),
    Mutation("another role is opened as break-glass is", "rights", "Role/token [Added]", _like_it),
    Mutation("break-glass does not refuse more rights", "rights", _ROLE, without_statement(_POLICY, "NeverTraces")),
    Mutation(
        "break-glass does not refuse to stop the trail",
        "rights",
        _ROLE,
        edited(_POLICY, "policy", lambda policy: _never(policy)["Action"].remove("cloudtrail:*")),
    ),
    Mutation(
        "break-glass refuses where it is told to alone",
        "rights",
        _ROLE,
        statement(_POLICY, "NeverTraces", Resource=f"{_ACCOUNT}:role/heartmap-*"),
    ),
    _may("set passwords", "cognito-idp:AdminSetUserPassword"),
    _may("administer every service", "ecs:UpdateService"),
    _may("run another task", "ecs:RunTask"),
    _may("replace a function's code", "lambda:UpdateFunctionCode"),
    _may("encrypt under any key", "kms:Encrypt"),
)


_EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
_INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
_VPN, _VPN_GROUP, _API_GROUP = "Endpoint/vpn", "{SecurityGroup/network-vpn.id}", "{SecurityGroup/network-api.id}"


_OWNERS = "{SecurityGroupEgressRule/network-api-endpoints-0.referencedSecurityGroupId}"


def _rule(type_: str, group: str, port: int = 443, **peer: str) -> Callable[[Export], None]:
    values: Mapping[str, Any] = {"securityGroupId": group, "ipProtocol": "tcp", "fromPort": port, "toPort": port, **peer}
    return added(type_, values)


def _grouped(export: Export) -> None:
    group = next(one["id"] for one in export["deployment"]["resources"] if one["urn"].endswith("SecurityGroup::network-api"))
    put(_VPN, securityGroupIds=[group])(export)


VPN = (
    Mutation(
        "clients of the VPN may call the api tasks",
        "leaving",
        "SecurityGroupEgressRule/added",
        _rule(_EGRESS, _VPN_GROUP, 8443, referencedSecurityGroupId=_API_GROUP),
    ),
    Mutation(
        "the api tasks admit clients of the VPN",
        "entry",
        "SecurityGroupIngressRule/added",
        _rule(_INGRESS, _API_GROUP, 8443, referencedSecurityGroupId=_VPN_GROUP),
    ),
    Mutation(
        "clients of the VPN may call every address",
        "leaving",
        "SecurityGroupEgressRule/added",
        _rule(_EGRESS, _VPN_GROUP, cidrIpv4="0.0.0.0/0"),
    ),
    Mutation(
        "clients of the VPN may call the load balancer by one port more",
        "leaving",
        "SecurityGroupEgressRule/network-vpn-balancer",
        put("SecurityGroupEgressRule/network-vpn-balancer", toPort=444),
    ),
    Mutation(
        "clients of the VPN have the group of the api tasks",
        "entry",
        "SecurityGroupIngressRule/network-balancer-api",
        _grouped,
    ),
    Mutation(
        "clients of the VPN have a group of somebody else",
        "understood",
        "",
        put(_VPN, securityGroupIds=["sg-0123456789abcdef0"]),
    ),
    Mutation("clients of the VPN have no group", "understood", "", put(_VPN, securityGroupIds=[])),
    Mutation("the VPN is in no subnet", "understood", "", gone("NetworkAssociation/vpn-0")),
    Mutation(
        "the VPN is in a subnet of somebody else",
        "entry",
        "subnet-0123456789abcdef0",
        put("NetworkAssociation/vpn-0", subnetId="subnet-0123456789abcdef0"),
    ),
    Mutation(
        "clients of the VPN get everywhere",
        "leaving",
        "AuthorizationRule/vpn",
        put("AuthorizationRule/vpn", targetNetworkCidr="0.0.0.0/0"),
    ),
    Mutation(
        "a route leads clients of the VPN beyond the network",
        "leaving",
        "Route/added",
        added("aws:ec2clientvpn/route:Route", {"destinationCidrBlock": "0.0.0.0/0"}),
    ),
    Mutation("nobody vouches for clients of the VPN", "entry", _VPN, put(_VPN, authenticationOptions=[])),
    Mutation(
        "another account vouches for clients of the VPN",
        "entry",
        _VPN,
        put(
            _VPN,
            authenticationOptions=[
                {
                    "type": "certificate-authentication",
                    "rootCertificateChainArn": "arn:aws:acm:us-east-1:999988887777:certificate/theirs",
                }
            ],
        ),
    ),
    Mutation(
        "a directory vouches for clients of the VPN as well",
        "entry",
        _VPN,
        edited(
            _VPN,
            "authenticationOptions",
            lambda options: options.append({"type": "directory-service-authentication", "activeDirectoryId": "d-1"}),
        ),
    ),
    Mutation(
        "the VPN hands out what clients need",
        "entry",
        _VPN,
        put(_VPN, selfServicePortal="enabled"),
    ),
)


EXISTING_NETWORK = (
    Mutation(
        "tasks may call another group of the network's owner",
        "leaving",
        "SecurityGroupEgressRule/added",
        _rule(_EGRESS, _API_GROUP, referencedSecurityGroupId="sg-0123456789abcdef0"),
    ),
    Mutation(
        "tasks may call the endpoints' group by another port",
        "leaving",
        "SecurityGroupEgressRule/network-api-endpoints-0",
        put("SecurityGroupEgressRule/network-api-endpoints-0", fromPort=22),
    ),
    Mutation(
        "the endpoints' group may call the tasks",
        "entry",
        "SecurityGroupIngressRule/added",
        _rule(_INGRESS, _API_GROUP, 8443, referencedSecurityGroupId=_OWNERS),
    ),
    Mutation(
        "tasks may call another list of addresses",
        "leaving",
        "SecurityGroupEgressRule/network-worker-s3",
        put("SecurityGroupEgressRule/network-worker-s3", prefixListId="pl-0123456789abcdef0"),
    ),
    Mutation(
        "whoever is in the network may call the tasks",
        "entry",
        "SecurityGroupIngressRule/added",
        _rule(_INGRESS, _API_GROUP, 8443, cidrIpv4="172.20.0.0/16"),
    ),
    Mutation(
        "the tasks have public addresses in it",
        "entry",
        "Service/api",
        edited("Service/api", "networkConfiguration", lambda where: where.update(assignPublicIp=True)),
    ),
    Mutation(
        "the tasks have a group of the network's owner",
        "understood",
        "",
        edited("Service/api", "networkConfiguration", lambda where: where["securityGroups"].append("sg-0123456789abcdef0")),
    ),
    Mutation(
        "a group is in another network",
        "understood",
        "",
        put("SecurityGroup/network-api", vpcId="vpc-0123456789abcdef0"),
    ),
    Mutation(
        "clients of the VPN get beyond it",
        "leaving",
        "AuthorizationRule/vpn",
        put("AuthorizationRule/vpn", targetNetworkCidr="172.16.0.0/12"),
    ),
)
