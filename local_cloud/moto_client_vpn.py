"""Client VPN, which moto lacks: endpoints, the subnets that they are in, the networks that they lead to, and
the certificates that they refuse. Nobody can connect.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateClientVpnEndpoint.html
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from cryptography import x509
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response

from local_cloud.moto_patching import add

SETTINGS = (
    "ConnectionLogOptions",
    "Description",
    "DisconnectOnSessionTimeout",
    "SecurityGroupIds",
    "SelfServicePortal",
    "ServerCertificateArn",
    "SessionTimeoutHours",
    "SplitTunnel",
    "VpcId",
    "VpnPort",
)
"""What ModifyClientVpnEndpoint changes as it was given; DNS servers have a form of their own there."""
FIXED = ("AuthenticationOptions", "ClientCidrBlock", "TransportProtocol")
DONE = {"Return": True}


class _Endpoint:
    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.networks: dict[str, str] = {}
        self.rules: dict[tuple[str, str], dict[str, Any]] = {}
        self.revocation_list: str | None = None

    @property
    def status(self) -> dict[str, str]:
        return {"Code": "available" if self.networks else "pending-associate"}


def _endpoints(response: Any) -> dict[str, _Endpoint]:
    """Those of the request's account and region."""
    backend = response.ec2_backend
    if not hasattr(backend, "client_vpn_endpoints"):
        backend.client_vpn_endpoints = {}
    return backend.client_vpn_endpoints


def _the_endpoint(response: Any) -> tuple[str, _Endpoint]:
    endpoint_id = response._get_param("ClientVpnEndpointId")
    if endpoint_id not in _endpoints(response):
        raise _not_found("ClientVpnEndpointId", endpoint_id)
    return endpoint_id, _endpoints(response)[endpoint_id]


def _not_found(kind: str, name: str) -> EC2ClientError:
    return EC2ClientError(f"Invalid{kind}.NotFound", f"{name} does not exist")


def _given(response: Any, names: tuple[str, ...]) -> dict[str, Any]:
    values = {name: response._get_param(name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def create_client_vpn_endpoint(self: Any) -> ActionResult:
    endpoint_id = f"cvpn-endpoint-{secrets.token_hex(8)}"
    settings = _given(self, (*SETTINGS, *FIXED, "DnsServers"))
    settings["AuthenticationOptions"] = [_described(one) for one in settings.get("AuthenticationOptions", [])]
    settings["Tags"] = [tag for kind in self._get_param("TagSpecifications", []) for tag in kind.get("Tags", [])]
    endpoint = _endpoints(self)[endpoint_id] = _Endpoint(settings)
    return ActionResult({"ClientVpnEndpointId": endpoint_id, "Status": endpoint.status, "DnsName": _dns_name(self, endpoint_id)})


def _dns_name(response: Any, endpoint_id: str) -> str:
    return f"*.{endpoint_id}.prod.clientvpn.{response.region}.amazonaws.com"


def _described(authentication: dict[str, Any]) -> dict[str, Any]:
    """How AWS tells what a request said: the names differ."""
    if "MutualAuthentication" in authentication:
        chain = authentication["MutualAuthentication"].get("ClientRootCertificateChainArn")
        return {"Type": authentication["Type"], "MutualAuthentication": {"ClientRootCertificateChain": chain}}
    saml = authentication.get("FederatedAuthentication", {}).get("SAMLProviderArn")
    return {"Type": authentication["Type"], "FederatedAuthentication": {"SamlProviderArn": saml}}


def describe_client_vpn_endpoints(self: Any) -> ActionResult:
    there, asked = _endpoints(self), self._get_param("ClientVpnEndpointIds", [])
    for endpoint_id in asked:
        if endpoint_id not in there:
            raise _not_found("ClientVpnEndpointId", endpoint_id)
    found = [
        {
            **endpoint.settings,
            "ClientVpnEndpointId": endpoint_id,
            "Status": endpoint.status,
            "DnsName": _dns_name(self, endpoint_id),
            "VpnProtocol": "openvpn",
        }
        for endpoint_id, endpoint in there.items()
        if not asked or endpoint_id in asked
    ]
    return ActionResult({"ClientVpnEndpoints": found})


def modify_client_vpn_endpoint(self: Any) -> ActionResult:
    _, endpoint = _the_endpoint(self)
    endpoint.settings |= _given(self, SETTINGS)
    servers = self._get_param("DnsServers")
    if servers:
        endpoint.settings["DnsServers"] = servers.get("CustomDnsServers", []) if servers.get("Enabled") else []
    return ActionResult(DONE)


def delete_client_vpn_endpoint(self: Any) -> ActionResult:
    endpoint_id, endpoint = _the_endpoint(self)
    if endpoint.networks:
        raise EC2ClientError("OperationNotPermitted", f"{endpoint_id} has target networks: disassociate them first")
    del _endpoints(self)[endpoint_id]
    return ActionResult({"Status": {"Code": "deleting"}})


def associate_client_vpn_target_network(self: Any) -> ActionResult:
    _, endpoint = _the_endpoint(self)
    subnet_id = self._get_param("SubnetId")
    self.ec2_backend.get_subnet(subnet_id)
    if subnet_id in endpoint.networks.values():
        raise EC2ClientError("InvalidClientVpnDuplicateAssociationException", f"{subnet_id} is associated already")
    association_id = f"cvpn-assoc-{secrets.token_hex(8)}"
    endpoint.networks[association_id] = subnet_id
    return ActionResult({"AssociationId": association_id, "Status": {"Code": "associated"}})


def describe_client_vpn_target_networks(self: Any) -> ActionResult:
    endpoint_id, endpoint = _the_endpoint(self)
    asked = self._get_param("AssociationIds", [])
    found = [
        {
            "AssociationId": association_id,
            "TargetNetworkId": subnet_id,
            "ClientVpnEndpointId": endpoint_id,
            "Status": {"Code": "associated"},
        }
        for association_id, subnet_id in endpoint.networks.items()
        if not asked or association_id in asked
    ]
    return ActionResult({"ClientVpnTargetNetworks": found})


def disassociate_client_vpn_target_network(self: Any) -> ActionResult:
    _, endpoint = _the_endpoint(self)
    association_id = self._get_param("AssociationId")
    if endpoint.networks.pop(association_id, None) is None:
        raise _not_found("ClientVpnAssociationId", association_id)
    return ActionResult({"AssociationId": association_id, "Status": {"Code": "disassociating"}})


def authorize_client_vpn_ingress(self: Any) -> ActionResult:
    endpoint_id, endpoint = _the_endpoint(self)
    cidr, group = self._get_param("TargetNetworkCidr"), self._get_param("AccessGroupId") or ""
    endpoint.rules[cidr, group] = {
        "ClientVpnEndpointId": endpoint_id,
        "DestinationCidr": cidr,
        "GroupId": group,
        "AccessAll": not group,
        "Description": self._get_param("Description") or "",
        "Status": {"Code": "active"},
    }
    return ActionResult({"Status": {"Code": "active"}})


def describe_client_vpn_authorization_rules(self: Any) -> ActionResult:
    _, endpoint = _the_endpoint(self)
    return ActionResult({"AuthorizationRules": list(endpoint.rules.values())})


def revoke_client_vpn_ingress(self: Any) -> ActionResult:
    _, endpoint = _the_endpoint(self)
    cidr, group = self._get_param("TargetNetworkCidr"), self._get_param("AccessGroupId") or ""
    if endpoint.rules.pop((cidr, group), None) is None:
        raise _not_found("ClientVpnEndpointAuthorizationRule", cidr)
    return ActionResult({"Status": {"Code": "revoking"}})


def import_client_vpn_client_certificate_revocation_list(self: Any) -> ActionResult:
    _, endpoint = _the_endpoint(self)
    text = self._get_param("CertificateRevocationList")
    try:
        x509.load_pem_x509_crl(text.encode("ascii"))
    except ValueError:
        raise EC2ClientError("InvalidParameterValue", "The certificate revocation list is no CRL in PEM") from None
    endpoint.revocation_list = text
    return ActionResult(DONE)


def export_client_vpn_client_certificate_revocation_list(self: Any) -> ActionResult:
    _, endpoint = _the_endpoint(self)
    if endpoint.revocation_list is None:
        return ActionResult({})
    return ActionResult({"CertificateRevocationList": endpoint.revocation_list, "Status": {"Code": "active"}})


CALLS: tuple[Callable[[Any], ActionResult], ...] = (
    create_client_vpn_endpoint,
    describe_client_vpn_endpoints,
    modify_client_vpn_endpoint,
    delete_client_vpn_endpoint,
    associate_client_vpn_target_network,
    describe_client_vpn_target_networks,
    disassociate_client_vpn_target_network,
    authorize_client_vpn_ingress,
    describe_client_vpn_authorization_rules,
    revoke_client_vpn_ingress,
    import_client_vpn_client_certificate_revocation_list,
    export_client_vpn_client_certificate_revocation_list,
)


def know_client_vpn() -> None:
    """EC2: the calls of Client VPN. moto has none of them."""
    for call in CALLS:
        add(EC2Response, call.__name__, call)
