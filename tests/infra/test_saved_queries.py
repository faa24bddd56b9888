"""The queries ask for fields that the logs have, of log groups that there are."""

import re
from pathlib import Path
from typing import Any

import pytest

from infra.activity_alarms import FORGED_TOKENS, MISUSED_KEYS
from infra.api import ACCESS_LOG
from infra.saved_queries import DIRECTORY
from lambda_authorizer.audit_fields import CLASSES, SECRET

QUERY = "cloudwatch/queryDefinition:QueryDefinition"
FILES = sorted(DIRECTORY.glob("*.txt"))

# https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
TRAIL = {
    *("eventSource", "eventName", "userIdentity.arn", "sourceIPAddress", "errorCode", "managementEvent", "readOnly"),
    "requestParameters.roleArn",
}
FIELDS = {"audit": {name for name, kind in CLASSES.items() if kind != SECRET}, "access": set(ACCESS_LOG), "trail": TRAIL}

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
COMMANDS = {"fields", "filter", "stats", "sort", "limit"}
WORDS = {"and", "or", "in", "like", "as", "by", "asc", "desc", "not"}
FUNCTIONS = {"count", "count_distinct", "sum", "max", "min", "avg", "pct", "bin"}
BUILT_IN = {"@timestamp"}


def commands(file: Path) -> list[str]:
    """The commands of a query, without what is quoted, regular expressions and the comment."""
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    text = re.sub(r'"[^"]*"|/[^/\n]*/', "", " ".join(lines))
    return [part.strip() for part in text.split("|")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_query_asks_for_fields_that_its_logs_have(file: Path) -> None:
    made: set[str] = set()
    for command in commands(file):
        assert command.split()[0] in COMMANDS
        made |= set(re.findall(r"\bas (\w+)", command))
        words = set(re.findall(r"@?[A-Za-z_][\w.]*", re.sub(r"\b\d+[hdm]\b", "", command)))
        functions = set(re.findall(r"\b(\w+)\(", command))
        assert functions <= FUNCTIONS
        unknown = words - COMMANDS - WORDS - functions - BUILT_IN - made - FIELDS[file.stem.partition("-")[0]]
        assert unknown == set()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_query_says_first_what_it_answers_and_last_how_much(file: Path) -> None:
    lines = file.read_text().splitlines()
    assert re.fullmatch(r"# [A-Z].*\.", lines[0])
    assert re.fullmatch(r"\| limit \d+", lines[-1])
    assert not any(line.startswith("#") for line in lines[1:])
    assert len("\n".join(lines)) <= 10_000


def test_the_queries_are_saved_for_the_log_groups_that_there_are(plan: Any) -> None:
    groups = {one.inputs["name"] for one in plan.of("cloudwatch/logGroup:LogGroup")}
    saved = {one.name: one.inputs for one in plan.of(QUERY)}
    for name, query in saved.items():
        assert query["name"] == f"heartmap-{plan.stack}/{name}"
        assert query["queryString"] == (DIRECTORY / f"{name}.txt").read_text()
        assert set(query["logGroupNames"]) <= groups
    trail = {file.stem for file in FILES if file.stem.startswith("trail-")}
    assert saved.keys() == {file.stem for file in FILES} - (set() if plan.settings.audit_trail else trail)


def test_the_audit_queries_look_at_every_writer_of_audit_records(plan: Any) -> None:
    looked_at = set(plan.one(QUERY, "audit-one-request").inputs["logGroupNames"])
    purposes = ("authorizer", "token", "keys", "users", "audit", "sealing")
    functions = {f"/aws/lambda/heartmap-{plan.stack}-{purpose}" for purpose in purposes}
    assert looked_at == functions | {f"/heartmap/{plan.stack}/{task}" for task in ("api", "worker")}


def test_the_query_for_forged_credentials_asks_for_what_the_alarms_count() -> None:
    text = (DIRECTORY / "audit-forged-credentials.txt").read_text()
    (listed,) = re.findall(r"reason in \[([^]]*)\]", text)
    assert set(re.findall(r'"(\w+)"', listed)) == {*FORGED_TOKENS, *MISUSED_KEYS}
