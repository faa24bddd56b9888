"""The three stacks, deployed by the real Pulumi engine into an emulated AWS; and Prowler on prod as it stands there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from posture.controls.page import PAGE, read
from posture.proof import mutations, report
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
    return json.dumps({"deployment": engine.run("print(json.dumps(deployment.select().export_stack().deployment))")})


@about("dev", "prod")
def test_isolation_is_proved_of_what_was_deployed(exported: str) -> None:
    proof = prove(parse(exported))
    assert not proof.counterexamples, "\n".join(report.lines(proof))


@about("dev")
def test_the_proof_refuses_each_change_of_one_thing(exported: str) -> None:
    assert list(mutations.unnoticed(exported)) == []


@about("prod")
@pytest.mark.timeout(1800)
def test_prowler_finds_nothing_that_docs_controls_does_not_explain(engine: Any, first: Any) -> None:
    failures = prowler.scan(engine.endpoint)
    explained = read(PAGE.read_text(encoding="utf-8")).scanners
    assert unexplained(failures, explained, engine.stack) == []
    assert stale(failures, explained, prowler.CHECKS, engine.stack) == []


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
