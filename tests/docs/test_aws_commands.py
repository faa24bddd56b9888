"""Every `aws` command of every page is one that the AWS CLI takes; those that make the first administrator are run."""

import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from tests.docs.aws_cli import call_of, problems
from tests.docs.markdown import page, pages

SHELL = {"sh", "bash", "", "console"}
LINE = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(aws .*)$", re.MULTILINE)
INLINE = re.compile(r"`(aws [a-z0-9]+ [a-z][^`]* [^`]*--[^`]*)`")


def commands(text: str, blocks: list[tuple[str, str]]) -> list[str]:
    """The `aws` command lines of a page: in its blocks, and between backquotes where they have options."""
    in_blocks = [line for language, block in blocks if language in SHELL for line in LINE.findall(block.replace("\\\n", " "))]
    return [*in_blocks, *(" ".join(line.split()) for line in INLINE.findall(text))]


def _text(name: str) -> str:
    return "\n".join(token.content for token in page(name).tokens if token.type == "inline")


ALL = [(str(each.path), line) for each in pages() for line in commands(_text(str(each.path)), each.blocks)]


@pytest.mark.parametrize("name", sorted({name for name, _ in ALL}))
def test_every_command_is_one_that_the_cli_takes(name: str) -> None:
    assert [found for where, line in ALL if where == name for found in problems(line)] == []


def test_the_commands_are_found() -> None:
    """An empty list would pass."""
    assert sum(name == "docs/runbook.md" for name, _ in ALL) > 50
    assert sum(name == "README.md" for name, _ in ALL) == 2


@pytest.mark.parametrize(
    "line",
    [
        "aws nowhere list-things",
        "aws sqs list-things",
        "aws sqs list-queues --nonsense x",
        "aws sqs get-queue-attributes --attribute-names All",
        "aws sqs get-queue-attributes --queue-url https://q --attribute-names Nonsense",
        "aws logs tail /group --nonsense",
        "aws cloudtrail lookup-events --lookup-attributes Nonsense=1",
        "aws sqs list-queues and what else",
    ],
)
def test_what_the_cli_would_refuse_is_seen(line: str) -> None:
    assert list(problems(line))


def test_the_first_administrator_is_made_as_the_readme_says(aws: Callable[[str], Any]) -> None:
    pools = aws("cognito-idp")
    pool = pools.create_user_pool(PoolName="people", AutoVerifiedAttributes=["email"])["UserPool"]["Id"]
    pools.create_group(UserPoolId=pool, GroupName="admin")
    for line in commands("", page("README.md").blocks):
        service, method, arguments = call_of(line.replace('"$POOL"', shlex.quote(pool)))
        getattr(aws(service), method)(**arguments)
    people = pools.list_users_in_group(UserPoolId=pool, GroupName="admin")["Users"]
    assert [person["Username"] for person in people] == ["jane@example.org"]
    told = {each["Name"]: each["Value"] for each in people[0]["Attributes"]}
    assert (told["email"], told["email_verified"]) == ("jane@example.org", "true")
