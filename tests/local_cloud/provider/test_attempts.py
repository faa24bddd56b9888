"""Creations that broke off, as the next provider process finds them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from local_cloud.provider.attempts import Attempts
from local_cloud.provider.framework import REGISTRY, Aws, Refused

VPC, QUEUE = "aws:ec2/vpc:Vpc", "aws:sqs/queue:Queue"
REFUSAL: Any = {"Error": {"Code": "Faulted", "Message": "a fault of the test"}}


def urn(name: str) -> str:
    return f"urn:pulumi:local::heartmap::{VPC}::{name}"


@pytest.fixture
def aws(aws_endpoint: str, cloud: Aws) -> Aws:
    """A connection of this test's own, so that its events are."""
    return Aws(aws_endpoint, "us-east-1", {})


@pytest.fixture
def vpcs(cloud: Aws) -> Callable[[], set[str]]:
    """The ids of the VPCs that there are."""
    return lambda: {vpc["VpcId"] for vpc in cloud.client("ec2").describe_vpcs()["Vpcs"]}


@pytest.fixture
def make(aws: Aws) -> Callable[..., Any]:
    """Creates a VPC by an `Attempts` of its own, as another provider process has."""

    def create(name: str, attempts: Attempts | None = None) -> Any:
        inputs = {**REGISTRY[VPC].defaults, "cidrBlock": "10.9.0.0/24"}
        return (attempts or Attempts(aws)).create(REGISTRY[VPC], urn(name), inputs)

    return create


def fail_once(aws: Aws, call: str, *, after: bool) -> None:
    """The next such call is refused, or carried out and its answer lost."""
    events, event = aws.client("ec2").meta.events, f"{'response-received' if after else 'before-send'}.ec2.{call}"

    def strike(**_: Any) -> None:
        events.unregister(event, strike)
        raise ClientError(REFUSAL, call)

    events.register(event, strike)


@pytest.mark.parametrize(
    ("call", "after"),
    [("CreateVpc", False), ("CreateVpc", True), ("ModifyVpcAttribute", False), ("DescribeNetworkAcls", True)],
)
def test_a_creation_that_fails_leaves_nothing(aws: Aws, make: Any, vpcs: Any, call: str, after: bool) -> None:
    before = vpcs()
    fail_once(aws, call, after=after)
    with pytest.raises(ClientError):
        make(f"failing-{call}-{after}")
    assert vpcs() == before
    made, _ = make(f"failing-{call}-{after}")
    assert vpcs() == before | {made}


def test_what_a_dead_provider_left_is_taken_back_before_the_first_change(
    aws: Aws, aws_endpoint: str, make: Any, vpcs: Any
) -> None:
    before = vpcs()
    code = (
        "import os\nfrom local_cloud.provider.framework import REGISTRY, Aws, load_handlers\n"
        "from local_cloud.provider.attempts import Attempts\nload_handlers()\n"
        f"aws = Aws({aws_endpoint!r}, 'us-east-1', {{}})\n"
        "aws.client('ec2').meta.events.register('response-received.ec2.CreateVpc', lambda **_: os._exit(7))\n"
        f"handler = REGISTRY[{VPC!r}]\n"
        f"Attempts(aws).create(handler, {urn('orphan')!r}, handler.defaults | {{'cidrBlock': '10.9.0.0/24'}})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, check=False, timeout=120)
    assert done.returncode == 7
    assert len(vpcs() - before) == 1
    attempts = Attempts(aws)
    attempts.take_back_abandoned()
    assert vpcs() == before


def test_a_resource_that_the_engine_never_heard_of_goes_when_it_is_created_again(make: Any, vpcs: Any) -> None:
    lost, _ = make("lost")
    again, _ = make("lost")
    assert (lost in vpcs(), again in vpcs()) == (False, True)


def test_a_predecessor_that_the_engine_knows_stays_until_the_engine_deletes_it(aws: Aws, make: Any, vpcs: Any) -> None:
    old, _ = make("replaced")
    attempts = Attempts(aws)
    attempts.know(urn("replaced"), old)
    new, _ = make("replaced", attempts)
    assert {old, new} <= vpcs()
    attempts.delete(REGISTRY[VPC], urn("replaced"), old, {})
    # The record of the new one outlives the deletion of the old one.
    newest, _ = make("replaced")
    assert (old in vpcs(), new in vpcs(), newest in vpcs()) == (False, False, True)


def test_a_deleted_resource_has_no_record(aws: Aws, aws_endpoint: str, make: Any) -> None:
    made, _ = make("deleted")
    before = len(httpx.get(f"{aws_endpoint}/moto-api/attempts").json())
    Attempts(aws).delete(REGISTRY[VPC], urn("deleted"), made, {})
    assert len(httpx.get(f"{aws_endpoint}/moto-api/attempts").json()) == before - 1


def test_a_call_that_is_only_repeated_gets_the_first_answer_again(aws_endpoint: str) -> None:
    httpx.put(f"{aws_endpoint}/moto-api/attempts/one", json={"token": VPC, "owner": 1, "inputs": {}})
    headers = {
        "X-HeartMAP-Attempt": "one",
        "X-HeartMAP-Call": "ec2.CreateVpc",
        "amz-sdk-invocation-id": "the same",
        "Authorization": "AWS4-HMAC-SHA256 Credential=local/20261124/us-east-1/ec2/aws4_request",
    }
    form = {"Action": "CreateVpc", "Version": "2016-11-15", "CidrBlock": "10.9.0.0/24"}
    first, second = (httpx.post(aws_endpoint, data=form, headers=headers).text for _ in range(2))
    assert first == second
    other = httpx.post(aws_endpoint, data=form, headers=headers | {"amz-sdk-invocation-id": "another"}).text
    assert other != first
    httpx.delete(f"{aws_endpoint}/moto-api/attempts/one")


def test_an_emulated_aws_that_keeps_no_record_is_refused(aws: Aws, monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    monkeypatch.setattr("local_cloud.provider.attempts.PATH", "/moto-api/nothing")
    with pytest.raises(Refused, match="not the emulated AWS of this project"):
        make("refused")
