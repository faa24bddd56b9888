"""Client VPN: endpoints, the subnets that they are in and the networks that they lead to."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from typing import Any, ClassVar

from local_cloud.provider.ec2 import live_tags, tag_specification
from local_cloud.provider.framework import Aws, Failure, Inputs, ResourceType, changed, ignoring_gone, none_if_gone, register
from local_cloud.provider.names import from_aws, given, one, same_set, to_aws


@register
class Endpoint(ResourceType):
    token = "aws:ec2clientvpn/endpoint:Endpoint"
    _settings: ClassVar = {
        "description": "Description",
        "disconnectOnSessionTimeout": "DisconnectOnSessionTimeout",
        "securityGroupIds": "SecurityGroupIds",
        "selfServicePortal": "SelfServicePortal",
        "serverCertificateArn": "ServerCertificateArn",
        "sessionTimeoutHours": "SessionTimeoutHours",
        "splitTunnel": "SplitTunnel",
        "vpcId": "VpcId",
        "vpnPort": "VpnPort",
    }
    nested: ClassVar = {
        "authenticationOptions": {"type": None, "rootCertificateChainArn": None, "samlProviderArn": None},
        "connectionLogOptions": {"enabled": None, "cloudwatchLogGroup": None},
    }
    arguments = frozenset({"clientCidrBlock", "transportProtocol", "dnsServers", "tags", *_settings, *nested})
    required = frozenset({"clientCidrBlock", "serverCertificateArn", "authenticationOptions", "connectionLogOptions"})
    # AWS changes tags in place; the emulated one tags what it knows the names of, and these are new to it.
    replaces = frozenset({"clientCidrBlock", "transportProtocol", "authenticationOptions", "tags"})
    defaults: ClassVar = {"transportProtocol": "udp", "vpnPort": 443, "splitTunnel": False, "selfServicePortal": "disabled"}
    computed = frozenset({"arn", "dnsName"})

    def check(self, inputs: Inputs, /) -> list[Failure]:
        ways = inputs["authenticationOptions"]
        kinds = ("certificate-authentication", "federated-authentication")
        if isinstance(ways, list) and any(isinstance(way, dict) and way.get("type") not in kinds for way in ways):
            return [Failure("authenticationOptions", f"{self.token}: the type has to be one of {', '.join(kinds)}")]
        return []

    @staticmethod
    def _authentication(way: dict[str, Any]) -> dict[str, Any]:
        if way["type"] == "federated-authentication":
            return {"Type": way["type"], "FederatedAuthentication": {"SAMLProviderArn": way["samlProviderArn"]}}
        chain = {"ClientRootCertificateChainArn": way["rootCertificateChainArn"]}
        return {"Type": way["type"], "MutualAuthentication": chain}

    def _given(self, inputs: Inputs) -> dict[str, Any]:
        return given(
            **{theirs: inputs.get(name) for name, theirs in self._settings.items()},
            ConnectionLogOptions=to_aws(one(inputs["connectionLogOptions"])),
        )

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        made = aws.client("ec2").create_client_vpn_endpoint(
            ClientCidrBlock=inputs["clientCidrBlock"],
            TransportProtocol=inputs["transportProtocol"],
            AuthenticationOptions=[self._authentication(way) for way in inputs["authenticationOptions"]],
            TagSpecifications=tag_specification(aws, "client-vpn-endpoint", inputs),
            **given(DnsServers=inputs.get("dnsServers")),
            **self._given(inputs),
        )
        endpoint_id = made["ClientVpnEndpointId"]
        return endpoint_id, {"arn": aws.arn("ec2", f"client-vpn-endpoint/{endpoint_id}"), "dnsName": made["DnsName"]}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("ec2").describe_client_vpn_endpoints, ClientVpnEndpointIds=[resource_id])
        if answer is None:
            return None
        (found,) = answer["ClientVpnEndpoints"]
        ways = [
            given(
                type=way["Type"],
                rootCertificateChainArn=way.get("MutualAuthentication", {}).get("ClientRootCertificateChain"),
                samlProviderArn=way.get("FederatedAuthentication", {}).get("SamlProviderArn"),
            )
            for way in found["AuthenticationOptions"]
        ]
        names = {name: theirs for name, theirs in self._settings.items() if name != "selfServicePortal"}
        return {
            **{name: found.get(theirs) for name, theirs in names.items() if name in state},
            "clientCidrBlock": found["ClientCidrBlock"],
            "transportProtocol": found["TransportProtocol"],
            "authenticationOptions": ways,
            "connectionLogOptions": from_aws(found["ConnectionLogOptions"]),
            "securityGroupIds": same_set(state, "securityGroupIds", found.get("SecurityGroupIds")),
            **({"dnsServers": found.get("DnsServers")} if "dnsServers" in state else {}),
            **live_tags(found),
        }

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        changes = self._given(new)
        if changed(old, new, {"dnsServers"}):
            servers = new.get("dnsServers") or []
            changes["DnsServers"] = {"CustomDnsServers": servers, "Enabled": bool(servers)}
        aws.client("ec2").modify_client_vpn_endpoint(ClientVpnEndpointId=resource_id, **changes)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("ec2").delete_client_vpn_endpoint(ClientVpnEndpointId=resource_id)


@register
class NetworkAssociation(ResourceType):
    token = "aws:ec2clientvpn/networkAssociation:NetworkAssociation"
    arguments = required = replaces = frozenset({"clientVpnEndpointId", "subnetId"})
    computed = frozenset({"associationId"})

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        association = aws.client("ec2").associate_client_vpn_target_network(
            ClientVpnEndpointId=inputs["clientVpnEndpointId"], SubnetId=inputs["subnetId"]
        )["AssociationId"]
        return association, {"associationId": association}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(
            aws.client("ec2").describe_client_vpn_target_networks,
            ClientVpnEndpointId=state["clientVpnEndpointId"],
            AssociationIds=[resource_id],
        )
        networks = answer["ClientVpnTargetNetworks"] if answer else []
        return {"subnetId": networks[0]["TargetNetworkId"]} if networks else None

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("ec2").disassociate_client_vpn_target_network(
                ClientVpnEndpointId=state["clientVpnEndpointId"], AssociationId=resource_id
            )


@register
class AuthorizationRule(ResourceType):
    token = "aws:ec2clientvpn/authorizationRule:AuthorizationRule"
    arguments = frozenset({"clientVpnEndpointId", "targetNetworkCidr", "authorizeAllGroups", "accessGroupId", "description"})
    required = frozenset({"clientVpnEndpointId", "targetNetworkCidr"})
    replaces = arguments
    delete_before_replace = True  # there is one rule for a network and a group

    def check(self, inputs: Inputs, /) -> list[Failure]:
        if bool(inputs.get("authorizeAllGroups")) == bool(inputs.get("accessGroupId")):
            return [Failure("accessGroupId", f"{self.token}: give either authorizeAllGroups or an accessGroupId")]
        return []

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        aws.client("ec2").authorize_client_vpn_ingress(
            ClientVpnEndpointId=inputs["clientVpnEndpointId"],
            TargetNetworkCidr=inputs["targetNetworkCidr"],
            **given(
                AuthorizeAllGroups=inputs.get("authorizeAllGroups"),
                AccessGroupId=inputs.get("accessGroupId"),
                Description=inputs.get("description"),
            ),
        )
        group = [inputs["accessGroupId"]] if "accessGroupId" in inputs else []
        return ",".join([inputs["clientVpnEndpointId"], inputs["targetNetworkCidr"], *group]), {}

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(
            aws.client("ec2").describe_client_vpn_authorization_rules, ClientVpnEndpointId=state["clientVpnEndpointId"]
        )
        key = (state["targetNetworkCidr"], state.get("accessGroupId") or "")
        rules = {
            (rule["DestinationCidr"], rule.get("GroupId", "")): rule for rule in (answer or {}).get("AuthorizationRules", [])
        }
        if key not in rules:
            return None
        return {"description": rules[key].get("Description") or state.get("description")}

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        group = state.get("accessGroupId")
        with ignoring_gone():
            aws.client("ec2").revoke_client_vpn_ingress(
                ClientVpnEndpointId=state["clientVpnEndpointId"],
                TargetNetworkCidr=state["targetNetworkCidr"],
                **({"AccessGroupId": group} if group else {"RevokeAllGroups": True}),
            )
