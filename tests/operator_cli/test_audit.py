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

from operator_cli import audit
from operator_cli.errors import WrongUse
from operator_cli.main import app


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
    trail.routes["GET", "/audit"] = reply(200, {"records": [record(), made]})
    first, second = (line.split("\t") for line in run("search").stdout.splitlines())
    assert first[1:5] == ["deny", "PATCH /users", "7ea23147", "not_permitted"]
    assert second[1:5] == ["allow", "keys create 01J", "7ea23147", "created"]


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
