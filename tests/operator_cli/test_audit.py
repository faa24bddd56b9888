"""`heartmapctl audit` as it is typed."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner, Result

from heartmap_service.audit import ACTIONS as SERVICE_ACTIONS
from lambda_audit.lines import FIELDS
from lambda_keys.calls import ACTIONS as KEY_ACTIONS
from lambda_users.handler import ACTIONS as USER_ACTIONS
from operator_cli import audit
from operator_cli.errors import WrongUse
from operator_cli.json_fields import DOCUMENTS
from operator_cli.main import app
from operator_cli.questions import CHANGES, QUESTIONS
from operator_cli.verbs.audit import Asked


def record(**changes: Any) -> dict[str, Any]:
    return {
        "time": "2026-11-30T09:51:25.008Z",
        "stream": "authorizer",
        "decision": "deny",
        "reason": "not_permitted",
        "request_id": "r1",
        "method": "PATCH",
        "route": "/users",
        "principal": "7ea23147",
    } | changes


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["audit", *words], catch_exceptions=False)


def asked(server: Any, number: int = -1) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(server.seen[number].path).query).items()}


@pytest.fixture
def trail(server: Any, signed_in: Any, reply: Any) -> Any:
    server.routes["GET", "/audit"] = reply(200, {"records": [record()], "read_back_to": "2026-11-29T09:51:25.008Z"})
    return server


def test_every_filter_is_asked_for_by_its_name(trail: Any) -> None:
    given = {
        "decision": "deny",
        "principal": "arn:aws:iam::123456789012:role/a+b",
        "reason": "not_permitted",
        "action": "results_read",
        "resource": "01JD0000000000000000000000",
        "request_id": "r1",
        "method": "GET",
        "route": "/analyses/{analysis_id}",
        "source_ip": "2001:db8::1",
        "key_id": "01J8ZQ4Y7M3W5X9K2B6C1D0EFG",
        "text": 'a "word" & more',
        "since": "2026-11-30T09:00:00+00:00",
    }
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    assert run("search", *words, "--limit", "7").exit_code == 0
    sent = asked(trail)
    assert sent.pop("until").startswith("20")
    assert sent == given | {"limit": "7"}


def test_the_records_of_all_pages_are_one_list(trail: Any, reply: Any) -> None:
    pages = [
        {"records": [record(request_id="r1")], "next_cursor": "1.0"},
        {"records": [], "next_cursor": "2.0"},
        {"records": [record(request_id="r3")]},
    ]
    trail.routes["GET", "/audit"] = lambda request: reply(200, pages.pop(0))
    found = json.loads(run("search", "--json").stdout)["records"]
    assert [one["request_id"] for one in found] == ["r1", "r3"]
    # Each page ends at the same moment, or the cursor would be of another search.
    assert len({asked(trail, number)["until"] for number in (-3, -2, -1)}) == 1


def test_a_line_says_what_who_and_why(trail: Any, reply: Any) -> None:
    made = record(route=None, method=None, stream="keys", action="create", key_id="01J", decision="allow", reason="created")
    trail.routes["GET", "/audit"] = reply(200, {"records": [record(source_ip="198.51.100.7"), made]})
    first, second = (line.split("\t") for line in run("search").stdout.splitlines())
    assert first[1:] == ["deny", "PATCH /users", "7ea23147", "not_permitted", "r1", "198.51.100.7"]
    assert second[1:5] == ["allow", "keys create 01J", "7ea23147", "created"]


def test_a_record_of_the_service_is_told_by_what_was_done_to_what(trail: Any, reply: Any) -> None:
    read = record(stream="service", method="GET", route="/analyses/{analysis_id}/results", action="results_read", resource="01JD")
    given = read | {"files": 2, "bytes": 4200}
    changed = record(stream="service", action="config_changed", changes=["min_genes", "resolution"])
    trail.routes["GET", "/audit"] = reply(200, {"records": [read, given, changed]})
    assert [line.split("\t")[2] for line in run("search").stdout.splitlines()] == [
        "service results_read 01JD",
        "service results_read 01JD (2 files, 4,200 bytes)",
        "service config_changed min_genes resolution",
    ]


def test_the_fields_of_a_record_are_those_that_the_service_shows() -> None:
    assert set(DOCUMENTS["audit search"].fields) == {"stream", *FIELDS}


# ---- Questions ----

SERVICE: dict[str, Any] = {"stream": "service", "decision": "allow", "reason": "done"}


@pytest.mark.parametrize(
    ("question", "asked_for", "answer", "others"),
    [
        (
            "who-read",
            {"resource": "X", "decision": "allow"},
            [SERVICE | {"action": "results_read", "files": 3}, SERVICE | {"action": "analysis_started", "files": 2}],
            [SERVICE | {"action": "analysis_read"}, {"stream": "worker", "action": "analysis_succeeded", "files": 3}, {}],
        ),
        (
            "last-use",
            {"key_id": "X", "decision": "allow"},
            [{"decision": "allow", "reason": "allowed", "request_id": "newest"}],
            [{"decision": "allow", "request_id": "older"}, {"stream": "keys", "action": "create"}],
        ),
        (
            "changes-by",
            {"principal": "X", "decision": "allow"},
            [SERVICE | {"action": "config_changed", "changes": ["min_genes"]}, {"stream": "users", "action": "change"}],
            [SERVICE | {"action": "config_read"}, {"stream": "users", "action": "list"}, {}],
        ),
        ("refusals-of", {"principal": "X", "decision": "deny"}, [{}, SERVICE | {"action": "uploads_listed"}], []),
        ("history-of", {"resource": "X"}, [{}, {"stream": "worker", "action": "analysis_failed"}], [{"stream": "audit"}]),
        ("story-of", {"request_id": "X"}, [{}, {"stream": "worker"}], []),
    ],
)
def test_a_question_is_answered_by_the_records_that_answer_it(
    trail: Any, reply: Any, question: str, asked_for: dict[str, str], answer: list[Any], others: list[Any]
) -> None:
    pages = [
        {"records": [record(**one) for one in answer], "next_cursor": "1.0"},
        {"records": [record(**one) for one in others]},
    ]
    trail.routes["GET", "/audit"] = lambda request: reply(200, pages.pop(0))
    found = json.loads(run("ask", question, "X", "--json").stdout)["records"]
    assert found == [record(**one) for one in answer]
    sent = asked(trail)
    assert {name: sent[name] for name in asked_for} == asked_for
    assert (datetime.now(UTC) - datetime.fromisoformat(sent["since"])).days == 30


def test_every_question_that_can_be_asked_has_an_answer() -> None:
    assert {str(one) for one in Asked} == set(QUESTIONS)
    assert run("ask", "who-is-it", "X").exit_code == 2


def test_the_actions_that_change_something_are_actions_that_there_are() -> None:
    assert {*SERVICE_ACTIONS.values(), *KEY_ACTIONS.values(), *USER_ACTIONS.values()} >= CHANGES
    reading = ("read", "listed", "list", "continued")
    assert {one for one in SERVICE_ACTIONS.values() if not one.endswith(reading)} == {one for one in CHANGES if "_" in one}


@pytest.mark.parametrize(("span", "seconds"), [("90s", 90), ("30m", 1800), ("24h", 86400), ("7d", 604800)])
def test_a_span_is_before_now(span: str, seconds: int) -> None:
    moment = datetime.fromisoformat(audit.moment("--since", span))
    assert abs((datetime.now(UTC) - moment).total_seconds() - seconds) < 5


@pytest.mark.parametrize("text", ["", "7y", "h", "-1h", "yesterday", "123456h", "1.5h"])
def test_what_is_no_time_is_wrong_use(text: str) -> None:
    with pytest.raises(WrongUse, match="--since"):
        audit.moment("--since", text)


class Trail:
    """The audit trail, which looks at it leave lines in as well."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def call(self, _method: str, _path: str, kind: Any) -> Any:
        newest_first = [*reversed(self.records)]
        self.records.append(record(route="/audit", method="GET", request_id=f"look{len(self.records)}"))
        self.records.append(record(route=None, stream="audit", request_id=f"look{len(self.records)}"))
        return kind(records=newest_first)


def test_following_tells_each_record_once_in_their_order_and_not_its_own_looks() -> None:
    trail = Trail()
    new = [[record(request_id="1"), record(request_id="2")], [], [record(request_id="3")]]

    def sleep(_seconds: float) -> None:
        trail.records += new.pop(0) if new else []

    told = islice(audit.follow(trail, {}, sleep), 3)  # pyright: ignore[reportArgumentType]  # of the API it is what is called
    assert [one["request_id"] for one in told] == ["1", "2", "3"]


def test_ctrl_c_ends_the_following(trail: Any) -> None:
    words = [sys.executable, "-m", "operator_cli.main", "audit", "tail", "--json"]
    with subprocess.Popen(words, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        begun = time.monotonic()
        # By the second look, what the first one found is printed.
        while len(trail.requests("GET", "/audit")) < 2 and time.monotonic() - begun < 60:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(out[: out.index("\n}") + 2])["request_id"] == "r1"
