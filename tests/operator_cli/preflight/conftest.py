"""An account in which nothing stands in the way of `pulumi up`, and a DNS server that delegates its zone."""

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import boto3
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest

from operator_cli.preflight import run
from operator_cli.preflight.account import LINKED_ROLES
from operator_cli.preflight.place import Line, Place, reading_only
from posture.plan import ACCOUNT, Plan, plan_of

REGION = "us-east-1"
LOOKED_UP = (
    "api",
    "authorizer",
    "balancer",
    "bastion",
    "data",
    "dead-letters",
    "domain-a",
    "domain",
    "jobs",
    "results",
    "uploads",
)
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


class Zones(socketserver.UDPServer):
    """DNS on the loopback: what `records` hold, NXDOMAIN for everything else, or no answer at all while it is `silent`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.records: dict[tuple[str, str], list[str]] = {}
        self.silent = False


class Answer(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, socket = self.request
        zones: Any = self.server
        if zones.silent:
            return
        question = dns.message.from_wire(data)
        name, kind = question.question[0].name, dns.rdatatype.to_text(question.question[0].rdtype)
        answer = dns.message.make_response(question)
        found = zones.records.get((name.to_text().rstrip("."), kind))
        if found:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *found))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        socket.sendto(answer.to_wire(), self.client_address)


@pytest.fixture(scope="module")
def zones() -> Iterator[Zones]:
    with Zones() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def zone(aws: Callable[[str], Any], zones: Zones) -> str:
    """The id of the domain's zone, which DNS knows."""
    made = aws("route53").create_hosted_zone(Name="example.org", CallerReference="test")
    zones.records[("example.org", "NS")] = [f"{server}." for server in made["DelegationSet"]["NameServers"]]
    return made["HostedZone"]["Id"].rsplit("/", 1)[-1]


@pytest.fixture(scope="module")
def plan(zone: str) -> Plan:
    """That of `prod`, with this zone and a region's detector."""
    prod = plan_of("prod")
    resources = [
        replace(one, inputs=one.inputs | {"zoneId": zone}) if one.inputs.get("zoneId") == "Z0123456789EXAMPLE" else one
        for one in prod.resources
    ]
    settings = prod.settings.model_copy(update={"hosted_zone_id": zone})
    return Plan(prod.stack, settings, resources, prod.outputs)


@pytest.fixture(scope="module")
def role(aws: Callable[[str], Any]) -> str:
    """The name of a role that may do everything."""
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}
    iam = aws("iam")
    iam.create_role(RoleName="deployer", Path="/people/", AssumeRolePolicyDocument=json.dumps(trust))
    iam.put_role_policy(RoleName="deployer", PolicyName="all", PolicyDocument=json.dumps(ALL))
    for name, service in LINKED_ROLES.values():
        iam.create_role(RoleName=name, Path=f"/aws-service-role/{service}/", AssumeRolePolicyDocument=json.dumps(trust))
    return "deployer"


@pytest.fixture(scope="module")
def place(moto_url: str, plan: Plan, role: str, zones: Zones) -> Place:
    """The stack's place in that account, for checks that break it and heal it again."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port, resolver.lifetime = ["127.0.0.1"], zones.server_address[1], 0.5
    session = Session(moto_url)
    return Place(
        settings=plan.settings,
        plan=plan,
        session=reading_only(session),
        account=ACCOUNT,
        caller=f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/jane",
        deployed=frozenset(),
        resolver=resolver,
    )


class Session(boto3.Session):
    """One whose clients all talk to the emulated AWS, once each."""

    def __init__(self, endpoint: str) -> None:
        super().__init__("local", "local", region_name=REGION)
        self._endpoint = endpoint

    def client(self, *args: Any, **kwargs: Any) -> Any:
        return super().client(*args, endpoint_url=self._endpoint, **kwargs)


@pytest.fixture(scope="module")
def look(place: Place) -> Callable[..., list[Line]]:
    """The lines of one check, at this place or one that differs."""

    def look(name: str, **differing: Any) -> list[Line]:
        if name == "names":
            # Some of each type, for the sake of time.
            differing["plan"] = replace(place.plan, resources=[one for one in place.plan.resources if one.name in LOOKED_UP])
        return list(run.guarded(name, replace(place, **differing)))

    return look
