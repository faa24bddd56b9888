from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from infra import network
from infra.network import NetworkPlanError

ACCOUNT = "123456789012"
CERTIFICATES = {
    "heartmap:vpn_cidr": "10.200.0.0/22",
    "heartmap:vpn_server_certificate_arn": f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/server",
}
BY_CERTIFICATE = CERTIFICATES | {
    "heartmap:vpn": "certificate",
    "heartmap:vpn_client_certificate_arn": f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/clients",
}
BY_FEDERATION = CERTIFICATES | {
    "heartmap:vpn": "federated",
    "heartmap:vpn_saml_provider_arn": f"arn:aws:iam::{ACCOUNT}:saml-provider/staff",
}


def endpoint(plan: Any) -> dict[str, Any]:
    return plan.one("ec2clientvpn/endpoint:Endpoint").inputs


def test_no_stack_has_a_vpn_unless_it_is_asked_for(plan: Any) -> None:
    assert not [resource for resource in plan.resources if "ec2clientvpn" in resource.type]
    assert "vpn_endpoint_id" not in plan.outputs


def test_clients_prove_who_they_are_by_a_certificate(run: Callable[..., Any]) -> None:
    plan = run("dev", BY_CERTIFICATE)
    assert endpoint(plan)["authenticationOptions"] == [
        {
            "type": "certificate-authentication",
            "rootCertificateChainArn": BY_CERTIFICATE["heartmap:vpn_client_certificate_arn"],
        }
    ]
    assert endpoint(plan)["serverCertificateArn"] == CERTIFICATES["heartmap:vpn_server_certificate_arn"]
    assert plan.outputs["vpn_endpoint_id"] == "Endpoint/vpn"


def test_clients_prove_who_they_are_to_an_identity_provider(run: Callable[..., Any]) -> None:
    assert endpoint(run("dev", BY_FEDERATION))["authenticationOptions"] == [
        {"type": "federated-authentication", "samlProviderArn": BY_FEDERATION["heartmap:vpn_saml_provider_arn"]}
    ]


def test_clients_get_into_the_vpc_and_nowhere_else(run: Callable[..., Any]) -> None:
    plan = run("dev", BY_CERTIFICATE)
    made = endpoint(plan)
    assert made["splitTunnel"] is True
    assert made["securityGroupIds"] == ["SecurityGroup/network-vpn"]
    assert (made["vpcId"], made["clientCidrBlock"]) == ("Vpc/network", "10.200.0.0/22")
    rules = [one.inputs for one in plan.of("ec2clientvpn/authorizationRule:AuthorizationRule")]
    assert [(one["targetNetworkCidr"], one["authorizeAllGroups"]) for one in rules] == [("10.40.0.0/16", True)]
    assert not plan.of("ec2clientvpn/route:Route")


def test_clients_ask_the_resolver_of_the_vpc_which_knows_the_load_balancer(run: Callable[..., Any]) -> None:
    plan = run("dev", BY_CERTIFICATE | {"heartmap:bastion": "false"})
    assert endpoint(plan)["dnsServers"] == ["10.40.0.2"]
    assert plan.one("route53/zone:Zone").inputs["name"] == plan.settings.internal_host


def test_connections_are_recorded_under_the_key_of_logs_and_end_after_a_working_day(run: Callable[..., Any]) -> None:
    plan = run("dev", BY_CERTIFICATE)
    made = endpoint(plan)
    assert made["connectionLogOptions"] == {"enabled": True, "cloudwatchLogGroup": "/heartmap/dev/vpn"}
    assert (made["sessionTimeoutHours"], made["disconnectOnSessionTimeout"]) == (8, True)
    assert made["selfServicePortal"] == "disabled"
    logs = plan.one("cloudwatch/logGroup:LogGroup", "vpn").inputs
    assert (logs["kmsKeyId"], logs["retentionInDays"]) == ("arn:aws:Key/logs", plan.settings.log_retention_days)


@pytest.mark.parametrize(("stack", "zones"), [("dev", 1), ("prod", 2)])
def test_the_vpn_is_in_as_many_zones_as_the_endpoints(run: Callable[..., Any], stack: str, zones: int) -> None:
    plan = run(stack, BY_CERTIFICATE)
    subnets = [f"Subnet/{subnet.name}" for subnet in plan.of("ec2/subnet:Subnet")]
    associated = [one.inputs["subnetId"] for one in plan.of("ec2clientvpn/networkAssociation:NetworkAssociation")]
    assert associated == subnets[:zones]


def test_a_range_that_overlaps_with_an_existing_network_is_refused(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    vpc = {"cidr_block": "10.200.0.0/16", "enable_dns_support": True, "enable_dns_hostnames": True}
    zones = {"subnet-0123456789abcdef0": "use1-az1", "subnet-0123456789abcdef1": "use1-az2"}

    def subnet(**asked: Any) -> SimpleNamespace:
        zone = zones[asked["id"]]
        return SimpleNamespace(vpc_id="vpc-0123456789abcdef0", availability_zone_id=zone, map_public_ip_on_launch=False)

    ec2 = network.aws.ec2
    monkeypatch.setattr(ec2, "get_vpc", lambda **_: SimpleNamespace(**vpc))
    monkeypatch.setattr(ec2, "get_subnet", subnet)
    monkeypatch.setattr(ec2, "get_vpc_endpoint", lambda **_: SimpleNamespace(prefix_list_id="pl", security_group_ids=["sg"]))
    existing = {
        "heartmap:existing_vpc_id": "vpc-0123456789abcdef0",
        "heartmap:existing_subnet_ids": '["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]',
    }
    with pytest.raises(NetworkPlanError, match=r"vpn_cidr 10\.200\.0\.0/22 overlaps with the network's 10\.200\.0\.0/16"):
        run("dev", BY_CERTIFICATE | existing)
