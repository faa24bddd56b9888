"""Which types are read, open a way, or open none: no type twice, and nothing passes that is in no table."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer import Typer
from typer.testing import CliRunner

from posture.proof import kinds
from posture.proof.__main__ import main
from posture.proof.exported import NotUnderstood, parse

ARN = "arn:aws:iam::123456789012:role/any"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:x"}
TRUST = json.dumps({"Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}})


def resource(type_: str, name: str = "any", **values: Any) -> dict[str, Any]:
    return {"urn": f"urn:pulumi:test::heartmap::{type_}::{name}", "type": type_, "id": name, "inputs": values, "outputs": values}


def export(*resources: dict[str, Any], **more: Any) -> str:
    role = resource("aws:iam/role:Role", arn=ARN, assumeRolePolicy=TRUST)
    role["inputs"] = {"assumeRolePolicy": TRUST}
    return json.dumps({"version": 3, "deployment": {"resources": [role, *resources], **more}})


def found(*resources: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.property, one.offender) for one in kinds.check(parse(export(*resources)))]


def test_no_type_is_in_two_tables() -> None:
    tables = [set(kinds.READ), set(kinds.OPENING), set(kinds.IRRELEVANT)]
    assert sum(map(len, tables)) == len(set.union(*tables))


def test_every_type_that_opens_no_way_says_why() -> None:
    assert all(len(why) > 10 for why in kinds.IRRELEVANT.values())


def test_a_type_in_no_table_is_refused() -> None:
    assert found(resource("aws:mq/broker:Broker")) == [("understood", "Broker/any")]
    assert found(resource("gcp:compute/instance:Instance")) == [("understood", "Instance/any")]


def test_an_argument_that_nobody_looked_at_is_refused() -> None:
    assert found(resource("aws:ec2/subnet:Subnet", assignIpv6AddressOnCreation=True)) == [("understood", "Subnet/any")]


@pytest.mark.parametrize("type_", sorted(kinds.OPENING))
def test_what_opens_a_way_is_refused_by_being_there(type_: str) -> None:
    assert [property_ for property_, _ in found(resource(f"aws:{type_}"))] == [kinds.OPENING[type_][0]]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"deployment": 1}', '{"deployment": {"resources": []}}'])
def test_what_is_no_export_is_refused(text: str) -> None:
    with pytest.raises(NotUnderstood, match="pulumi stack export"):
        parse(text)


def test_an_interrupted_update_is_refused() -> None:
    with pytest.raises(NotUnderstood, match="interrupted"):
        parse(export(pending_operations=[{"type": "creating"}]))


def test_what_the_proof_needs_to_read_must_not_be_encrypted() -> None:
    stack = parse(export(resource("aws:ec2/subnet:Subnet", cidrBlock=SECRET)))
    with pytest.raises(NotUnderstood, match="encrypted"):
        stack.of("ec2/subnet:Subnet")[0].get("cidrBlock")


@pytest.fixture
def command() -> Typer:
    app = Typer()
    app.command()(main)
    return app


def test_a_users_export_that_breaks_a_property_is_exit_1_with_the_counterexample(command: Typer, tmp_path: Path) -> None:
    file = tmp_path / "export.json"
    file.write_text(export(resource("aws:lambda/functionUrl:FunctionUrl", "open")))
    done = CliRunner().invoke(command, [str(file)])
    assert done.exit_code == 1
    assert "FunctionUrl/open: it makes a function answer beside the API" in done.output
    assert "1 REFUSED" in done.output


def test_a_file_that_is_no_export_is_exit_1_with_what_to_do(command: Typer, tmp_path: Path) -> None:
    file = tmp_path / "export.json"
    file.write_text("not JSON")
    done = CliRunner().invoke(command, [str(file)])
    assert (done.exit_code, done.exception.__class__) == (1, SystemExit)
    assert "pulumi stack export" in done.output
    assert CliRunner().invoke(command, [str(tmp_path / "missing")]).exit_code == 1
