from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

ENDPOINT = "aws:ec2clientvpn/endpoint:Endpoint"
ASSOCIATION, RULE = (
    "aws:ec2clientvpn/networkAssociation:NetworkAssociation",
    "aws:ec2clientvpn/authorizationRule:AuthorizationRule",
)
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/server"
BY_CERTIFICATE = {
    "type": "certificate-authentication",
    "rootCertificateChainArn": "arn:aws:acm:us-east-1:123456789012:certificate/c",
}
BY_FEDERATION = {"type": "federated-authentication", "samlProviderArn": "arn:aws:iam::123456789012:saml-provider/staff"}


@pytest.fixture(scope="module")
def vpc(make: Callable[..., Any]) -> Any:
    return make("aws:ec2/vpc:Vpc", cidrBlock="10.9.0.0/16")


@pytest.fixture
def endpoint(make: Callable[..., Any], vpc: Any) -> Callable[..., Any]:
    def new(way: dict[str, str]) -> Any:
        return make(
            ENDPOINT,
            description="trial",
            clientCidrBlock="10.200.0.0/22",
            serverCertificateArn=CERTIFICATE,
            authenticationOptions=[way],
            connectionLogOptions={"enabled": True, "cloudwatchLogGroup": "/vpn"},
            vpcId=vpc.id,
            securityGroupIds=["sg-1", "sg-2"],
            splitTunnel=True,
            dnsServers=["10.9.0.2"],
            sessionTimeoutHours=8,
            disconnectOnSessionTimeout=True,
            tags={"a": "b"},
        )

    return new


@pytest.mark.parametrize("way", [BY_CERTIFICATE, BY_FEDERATION], ids=lambda way: way["type"])
def test_an_endpoint_is_what_it_was_made_and_changes_in_place(endpoint: Callable[..., Any], cloud: Any, way: Any) -> None:
    made = endpoint(way)
    assert made.drift() == {}
    made.update(sessionTimeoutHours=12, securityGroupIds=["sg-3"], dnsServers=["10.9.0.3"])
    assert made.drift() == {}
    (found,) = cloud.client("ec2").describe_client_vpn_endpoints(ClientVpnEndpointIds=[made.id])["ClientVpnEndpoints"]
    assert (found["SessionTimeoutHours"], found["DnsServers"]) == (12, ["10.9.0.3"])
    made.delete()
    made.delete()
    assert made.read() is None


def test_an_endpoint_is_in_a_subnet_until_it_leaves_it(make: Callable[..., Any], vpc: Any, endpoint: Callable[..., Any]) -> None:
    subnet = make("aws:ec2/subnet:Subnet", vpcId=vpc.id, cidrBlock="10.9.1.0/24", availabilityZoneId="use1-az4")
    vpn = endpoint(BY_CERTIFICATE)
    made = make(ASSOCIATION, clientVpnEndpointId=vpn.id, subnetId=subnet.id)
    assert made.drift() == {}
    with pytest.raises(ClientError, match="disassociate them first"):
        vpn.delete()
    made.delete()
    made.delete()
    assert made.read() is None
    vpn.delete()
    assert made.read() is None


def test_a_rule_leads_to_one_network(make: Callable[..., Any], endpoint: Callable[..., Any], cloud: Any) -> None:
    vpn = endpoint(BY_CERTIFICATE)
    made = make(RULE, clientVpnEndpointId=vpn.id, targetNetworkCidr="10.9.0.0/16", authorizeAllGroups=True, description="in")
    assert made.id == f"{vpn.id},10.9.0.0/16"
    assert made.drift() == {}
    rules = cloud.client("ec2").describe_client_vpn_authorization_rules(ClientVpnEndpointId=vpn.id)["AuthorizationRules"]
    assert [(rule["DestinationCidr"], rule["AccessAll"]) for rule in rules] == [("10.9.0.0/16", True)]
    made.delete()
    made.delete()
    assert made.read() is None


def test_what_cannot_be_is_refused(refusals: Callable[..., list[str]]) -> None:
    (reason,) = refusals(RULE, clientVpnEndpointId="a", targetNetworkCidr="10.0.0.0/8")
    assert "either" in reason
    (reason,) = refusals(
        ENDPOINT,
        clientCidrBlock="10.200.0.0/22",
        serverCertificateArn=CERTIFICATE,
        authenticationOptions=[{"type": "directory-service-authentication"}],
        connectionLogOptions={"enabled": False},
    )
    assert "federated-authentication" in reason
