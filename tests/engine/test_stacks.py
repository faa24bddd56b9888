"""The three stacks, deployed by the real Pulumi engine into an emulated AWS; and Prowler on prod as it stands there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from infra.network import GATEWAY_ENDPOINTS, interface_endpoints
from operator_cli.operations import rotate
from operator_cli.operations.stack import Stack
from posture.controls.page import PAGE, read
from posture.proof import assumptions, mutations, option_mutations, report
from posture.proof.exported import parse
from posture.proof.proving import prove
from posture.scanners import prowler
from posture.scanners.results import stale, unexplained

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module", params=["local", "dev", "prod"])
def engine(request: pytest.FixtureRequest, engine_of: Callable[[str], Any]) -> Any:
    made = engine_of(request.param)
    httpx.post(f"{made.endpoint}/moto-api/reset", timeout=30).raise_for_status()
    if made.stack == "prod":
        # The zone that prod's placeholder stands for: it exists before the stack does.
        zone = made.client("route53").create_hosted_zone(Name="example.org", CallerReference="test")["HostedZone"]["Id"]
        file = made.project / "Pulumi.prod.yaml"
        file.write_text(re.sub("Z0123456789EXAMPLE", zone.rsplit("/", 1)[-1], file.read_text()))
    return made


@pytest.fixture(scope="module")
def first(engine: Any) -> Any:
    return engine.up()


def test_the_engine_creates_the_whole_stack(first: Any) -> None:
    changes, outputs = first
    assert set(changes) == {"create"}
    assert changes["create"] > 100
    assert outputs["api_url"].startswith("https://")


def test_a_second_up_changes_nothing(engine: Any, first: Any) -> None:
    changes, outputs = engine.up()
    assert set(changes) == {"same"}
    assert outputs == first[1]


def test_no_secret_of_the_stack_is_in_the_state_in_the_clear(engine: Any, first: Any) -> None:
    authorizer = next(
        secret["Name"]
        for secret in engine.client("secretsmanager").list_secrets()["SecretList"]
        if "authorizer" in secret["Name"]
    )
    pepper = json.loads(engine.client("secretsmanager").get_secret_value(SecretId=authorizer)["SecretString"])["api_key_pepper"]
    for file in engine.state.rglob("*"):
        if file.is_file():
            assert pepper.encode() not in file.read_bytes(), f"the pepper is readable in {file.name}"


def about(*stacks: str) -> Callable[[Any], Any]:
    """Marks a test that is about these stacks alone."""

    def mark(test: Any) -> Any:
        test.stacks = stacks
        return test

    return mark


@pytest.fixture(scope="module")
def exported(engine: Any, first: Any) -> str:
    """What `pulumi stack export` would write of the stack as it stands."""
    return engine.exported()


@about("dev", "prod")
def test_isolation_is_proved_of_what_was_deployed(exported: str) -> None:
    proof = prove(parse(exported))
    assert not proof.counterexamples, "\n".join(report.lines(proof))


@about("dev")
def test_the_proof_refuses_each_change_of_one_thing(exported: str) -> None:
    assert list(mutations.unnoticed(exported)) == []


# Ways in that no stack has unless it is asked for.
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate"
OPTIONS: dict[str, Any] = {
    "audit_trail": True,
    "bastion": True,
    "break_glass_users": ["arn:aws:iam::123456789012:user/emergency"],
    "vpn": "certificate",
    "vpn_cidr": "10.200.0.0/22",
    "vpn_server_certificate_arn": f"{CERTIFICATE}/server",
    "vpn_client_certificate_arn": f"{CERTIFICATE}/clients",
}


def with_settings(engine: Any, settings: dict[str, Any]) -> None:
    """Writes settings into the stack's file, in place of what it says of them."""
    file = engine.project / f"Pulumi.{engine.stack}.yaml"
    kept = [
        line for line in file.read_text().splitlines() if line.strip().removeprefix("heartmap:").split(":")[0] not in settings
    ]
    file.write_text("\n".join([*kept, *(f"  heartmap:{key}: {json.dumps(value)}" for key, value in settings.items())]) + "\n")


@about("dev")
def test_isolation_is_proved_of_the_ways_in_that_settings_add(engine: Any, first: Any) -> None:
    with_settings(engine, OPTIONS)
    engine.up()
    text = engine.exported()
    proof = prove(parse(text))
    lines = "\n".join(report.lines(proof))
    assert not proof.counterexamples, lines
    assert "break-glass may be taken by arn:aws:iam::123456789012:user/emergency: with a second factor" in lines
    assert f"vpn lets in for whom {CERTIFICATE}/clients vouches, to the load balancer's port 443 alone" in lines
    assert list(mutations.unnoticed(text, (*option_mutations.BREAK_GLASS, *option_mutations.VPN))) == []


@about("prod")
@pytest.mark.timeout(1800)
def test_prowler_finds_nothing_that_docs_controls_does_not_explain(engine: Any, first: Any) -> None:
    failures = prowler.scan(engine.endpoint)
    explained = read(PAGE.read_text(encoding="utf-8")).scanners
    assert unexplained(failures, explained, engine.stack) == []
    assert stale(failures, explained, prowler.CHECKS, engine.stack) == []


# An `up` that looks at AWS first; what it changes.
REFRESHED = """
changed = []
def on_event(event):
    if event.resource_pre_event and event.resource_pre_event.metadata.op.value not in ("same", "refresh"):
        changed.append([event.resource_pre_event.metadata.op.value, event.resource_pre_event.metadata.urn])
deployment.select().up(refresh=True, on_event=on_event, color="never")
print(json.dumps(changed))
"""


def serial(engine: Any, stack: Stack) -> str:
    """That of the load balancer's certificate."""
    elb, acm = engine.client("elbv2"), engine.client("acm")
    (listener,) = elb.describe_listeners(LoadBalancerArn=stack.output("load_balancer_arn"))["Listeners"]
    arn = listener["Certificates"][0]["CertificateArn"]
    return acm.describe_certificate(CertificateArn=arn)["Certificate"]["Serial"]


@about("local")
def test_what_a_rotation_of_certificates_changes_is_no_drift(engine: Any, first: Any) -> None:
    """Neither undone nor taken for a difference, also where the engine asks AWS what there is."""
    stack = Stack("local", first[1], engine.endpoint)
    before = serial(engine, stack)
    rotate.certificates(stack, tell=lambda _: None)
    gateway, stage = engine.client("apigateway"), {"restApiId": first[1]["rest_api_id"], "stageName": first[1]["stage_name"]}
    rotated, renewed = gateway.get_stage(**stage)["clientCertificateId"], serial(engine, stack)
    assert renewed != before
    changed = [change for change in engine.run(REFRESHED) if "ertificate" in change[1] or "apigateway/stage" in change[1]]
    assert changed == []
    assert gateway.get_stage(**stage)["clientCertificateId"] == rotated
    assert serial(engine, stack) == renewed
    described = {one["clientCertificateId"]: one["description"] for one in gateway.get_client_certificates()["items"]}
    assert sorted(described.values()) == ["heartmap-local", "heartmap-local, rotated"]
    rotate.forget_certificates(gateway, "local")


# What `heartmapctl operate teardown` decides and has the engine do; the types of what it leaves.
TEARDOWN = """
import boto3
from operator_cli.operations import teardown
stack = deployment.select()
session = boto3.Session(region_name="us-east-1")
decided = teardown.plan(stack.export_stack().deployment, stack="prod", account="123456789012", session=session)
teardown.destroy(stack, decided, lambda _: None)
left = [one for one in stack.export_stack().deployment["resources"] if one.get("custom")]
buckets = sorted(one["id"] for one in left if one["type"] == teardown.BUCKET)
fine = ("pulumi:", "aws:s3/bucket", teardown.LOGS, teardown.KEY, teardown.ALIAS)
others = [one["type"] for one in left if not one["type"].startswith(fine)]
print(json.dumps({"buckets": buckets, "others": others}))
"""


def test_destroy_leaves_nothing_behind(engine: Any, first: Any) -> None:
    file = engine.project / f"Pulumi.{engine.stack}.yaml"
    if "deletion_protection: true" in file.read_text():
        # The way to take a protected stack down on purpose: before it, engine and provider refuse to delete its data.
        last = "deletion_protection: false\n  heartmap:decommission: true"
        file.write_text(file.read_text().replace("deletion_protection: true", last))
        engine.up()
    if engine.stack == "prod":
        kept = engine.run(TEARDOWN)
        assert sorted(bucket["Name"] for bucket in engine.client("s3").list_buckets()["Buckets"]) == kept["buckets"]
        assert [name for name in kept["buckets"] if "-audit-" not in name] == []
        assert {group["logGroupName"] for group in engine.client("logs").describe_log_groups()["logGroups"]} >= {
            "/heartmap/prod/trail"
        }
        assert not kept["others"]
    engine.run("deployment.destroy()\nprint('{}')")
    assert [resource["type"] for resource in engine.export() if resource["type"] != "pulumi:pulumi:Stack"] == []
    assert engine.account.left() == {}


def owners_network(ec2: Any) -> tuple[str, list[str], str, dict[str, str]]:
    """A network that is there already: its id, its subnets, the group of its endpoints, and the lists of addresses by service."""
    vpc = ec2.create_vpc(CidrBlock="172.20.0.0/16")["Vpc"]["VpcId"]
    for attribute in ("EnableDnsSupport", "EnableDnsHostnames"):
        ec2.modify_vpc_attribute(VpcId=vpc, **{attribute: {"Value": True}})
    subnets: list[str] = []
    for number, zone in enumerate(("use1-az1", "use1-az2")):
        made = ec2.create_subnet(VpcId=vpc, CidrBlock=f"172.20.{number}.0/24", AvailabilityZoneId=zone)["Subnet"]["SubnetId"]
        ec2.modify_subnet_attribute(SubnetId=made, MapPublicIpOnLaunch={"Value": False})
        subnets.append(made)
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    group = ec2.create_security_group(VpcId=vpc, GroupName="endpoints", Description="The owner's")["GroupId"]
    about = {"VpcId": vpc, "VpcEndpointType": "Gateway", "RouteTableIds": [table]}
    for service in GATEWAY_ENDPOINTS:
        ec2.create_vpc_endpoint(ServiceName=f"com.amazonaws.us-east-1.{service}", **about)
    about = {"VpcId": vpc, "VpcEndpointType": "Interface", "SubnetIds": subnets, "SecurityGroupIds": [group]}
    for service in interface_endpoints(bastion=True):
        ec2.create_vpc_endpoint(ServiceName=f"com.amazonaws.us-east-1.{service}", PrivateDnsEnabled=True, **about)
    lists = {one["PrefixListName"].rpartition(".")[2]: one["PrefixListId"] for one in ec2.describe_prefix_lists()["PrefixLists"]}
    return vpc, subnets, group, {service: lists[service] for service in GATEWAY_ENDPOINTS}


def found_by(account: Any) -> dict[str, Any]:
    """What is there; of subnets their ids, since the emulated AWS gives no address back that something had in them."""
    left = account.left()
    return {**left, "subnets": [subnet["SubnetId"] for subnet in left["subnets"]]}


@about("dev")
def test_in_a_network_that_was_there_what_the_stack_made_is_proved_and_the_rest_is_named(
    engine_of: Callable[[str], Any], engine: Any, first: Any
) -> None:
    """After the stack of this module is gone: in the same emulated AWS, and it is left as it was found."""
    existing = engine_of("dev")
    vpc, subnets, group, lists = owners_network(existing.client("ec2"))
    before = found_by(existing.account)
    with_settings(existing, {**OPTIONS, "existing_vpc_id": vpc, "existing_subnet_ids": subnets})
    existing.up()
    text = existing.exported()
    assert f"--assume {vpc}=" in "\n".join(report.lines(prove(parse(text))))

    said = [f"{vpc}=172.20.0.0/16", f"{group}=endpoints", *(f"{one}={service}" for service, one in lists.items())]
    assumed = assumptions.parse(said)
    proof = prove(parse(text), assumed)
    lines = "\n".join(report.lines(proof))
    assert not proof.counterexamples, lines
    assert [one for one in (vpc, group, *lists.values()) if f"assumed, and not proved: {one}" not in lines] == []
    changes = (*option_mutations.EXISTING_NETWORK, *option_mutations.BREAK_GLASS)
    assert list(mutations.unnoticed(text, changes, assumed)) == []
    for left_out in said:
        less = assumptions.parse(one for one in said if one != left_out)
        assert prove(parse(text), less).counterexamples, f"the proof holds without {left_out}"

    existing.run("deployment.destroy()\nprint('{}')")
    assert found_by(existing.account) == before
