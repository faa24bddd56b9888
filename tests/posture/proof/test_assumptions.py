"""What is assumed of a network that was there: in its form alone, and only of what the export speaks of and does not have."""

import itertools
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from posture.proof import assumptions
from posture.proof.assumptions import Assumed
from posture.proof.exported import NotUnderstood, parse
from posture.proof.proving import prove
from posture.proof.report import lines
from tests.posture.proof.test_kinds import command, export, resource

__all__ = ["command"]
PROJECT = Path(__file__).resolve().parents[3]

GROUP = resource("aws:ec2/securityGroup:SecurityGroup", "sg-1", vpcId="vpc-1")


def test_a_network_a_group_and_lists_are_assumed_by_their_ids() -> None:
    found = assumptions.parse(["vpc-1=172.20.0.0/16", "sg-2=endpoints", "pl-3=s3", "pl-4=dynamodb"])
    assert found.ids == ["pl-3", "pl-4", "sg-2", "vpc-1"]
    assert (found.groups, found.lists) == ({"sg-2"}, {"pl-3": "s3", "pl-4": "dynamodb"})
    assert str(found.networks["vpc-1"]) == "172.20.0.0/16"


@pytest.mark.parametrize(
    "text", ["", "vpc-1", "vpc-1=everything", "vpc-1=172.20.0.1/16", "sg-1=tasks", "pl-1=ec2", "subnet-1=private", "role=fine"]
)
def test_nothing_else_is_assumed(text: str) -> None:
    with pytest.raises(NotUnderstood, match="write vpc-"):
        assumptions.parse([text])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("vpc-1=10.0.0.0/8", None),
        ("sg-1=endpoints", "it is of the stack itself, and is not to be assumed"),
        ("pl-1=s3", "nothing in the export names it"),
    ],
)
def test_what_is_in_the_export_is_proved_and_what_it_does_not_name_is_a_mistake(text: str, what: str | None) -> None:
    found = assumptions.check(parse(export(GROUP)), assumptions.parse([text]))
    assert [one.what for one in found] == ([what] if what else [])


def broken(assumed: Assumed) -> list[str]:
    return [line for line in lines(prove(parse(export(GROUP)), assumed)) if "  1 " in line or "assume" in line]


def test_without_what_is_assumed_nothing_is_proved_and_the_report_says_what_to_say() -> None:
    first, asked = broken(assumptions.NOTHING)
    assert first.startswith("  1 open ")
    assert "--assume vpc-1=ITS-RANGE" in asked


def test_what_is_assumed_stands_in_the_report() -> None:
    first, told = broken(assumptions.parse(["vpc-1=172.20.0.0/16"]))
    assert first.startswith("  1 proved ")
    assert told.startswith("  assumed, and not proved: vpc-1 is 172.20.0.0/16")


def test_the_command_of_the_page_assumes_what_it_says() -> None:
    (command,) = re.findall(r"make prove .*ASSUME=.*", (PROJECT / "docs/proof.md").read_text(encoding="utf-8"))
    done = subprocess.run(
        [*shlex.split(command), "--dry-run", "--no-print-directory"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    typed = shlex.split(done.stdout.splitlines()[-1])
    said = [after for option, after in itertools.pairwise(typed) if option == "--assume"]
    assert typed[-1 - 2 * len(said)] == "export.json"
    assert assumptions.parse(said).ids == ["pl-0123", "pl-4567", "sg-0123", "vpc-0123"]


def test_a_mistyped_assumption_is_exit_1_with_the_form(command: object, tmp_path: Path) -> None:
    file = tmp_path / "export.json"
    file.write_text(export(GROUP))
    done = CliRunner().invoke(command, [str(file), "--assume", "vpc-1"])  # pyright: ignore[reportArgumentType]
    assert done.exit_code == 1
    assert "write vpc-…=RANGE" in done.output
