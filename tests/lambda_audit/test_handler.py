import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lambda_audit import config, lines, package, search
from lambda_audit.handler import Trail, handler
from lambda_authorizer.access_policy import ACCESS_POLICY, AUDIT
from lambda_authorizer.audit_fields import CLASSES, PUBLIC, SECRET, SENSITIVE
from lambda_authorizer.aws import Aws, AwsError
from lambda_authorizer.building.target import Target
from local_cloud import filter_pattern
from tests.lambda_api.calls import ADMIN, REQUEST_ID, event, everyone_else
from tests.lambda_audit.conftest import GROUPS, OTHER, Logs

SECOND, HOUR = 1000, 3600 * 1000


class Api:
    """Calls the function, and keeps what it printed and what it asked of AWS."""

    def __init__(self, trail: Trail, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        self._trail, self._capsys = trail, capsys
        self.line: dict[str, Any] = {}
        self.asked: list[dict[str, Any]] = []
        call = Aws.call

        def keep(aws: Aws, service: str, operation: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
            if service == "logs":
                assert operation == "Logs_20140328.FilterLogEvents"
                self.asked.append(dict(parameters))
            return call(aws, service, operation, parameters, **more)

        monkeypatch.setattr(Aws, "call", keep)

    def __call__(self, status: int, query: dict[str, Any] | None = None, *, route: str = "/audit", **changes: Any) -> Any:
        answer = self._trail.answer(event("GET", route, query=query, **changes))
        (text,) = self._capsys.readouterr().out.splitlines()
        self.line = json.loads(text)
        assert answer["statusCode"] == status, answer["body"]
        return json.loads(answer["body"])

    def found(self, **query: str) -> list[Any]:
        """The reasons of the records, which the tests tell them apart by."""
        return [record.get("reason") for record in self(200, query)["records"]]


@pytest.fixture
def api(trail: Trail, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Api:
    return Api(trail, monkeypatch, capsys)


def test_the_rows_that_are_answered_here_are_these() -> None:
    rows = [(rule.method, rule.route) for rule in ACCESS_POLICY if rule.answered_by == AUDIT]
    assert rows == [("GET", "/audit"), ("GET", "/audit/seals")]


@pytest.mark.parametrize(("who", "changes", "status"), everyone_else(), ids=[who for who, *_ in everyone_else()])
def test_nobody_else_is_let_in(api: Api, logs: Logs, who: str, changes: dict[str, Any], status: int) -> None:
    logs.write("keys", 5, decision="allow", reason="created")
    api(status, **changes)
    assert (api.line["decision"], api.line["principal"], api.asked) == ("deny", None, [])


def test_the_lines_of_all_functions_are_found_newest_first(api: Api, logs: Logs) -> None:
    for ago, stream in enumerate(GROUPS, 1):
        logs.write(stream, ago * SECOND, decision="allow", reason=stream, request_id=f"r{ago}", groups=["admin"])
    answer = api(200)
    assert [record["stream"] for record in answer["records"]] == list(GROUPS)
    assert [record["request_id"] for record in answer["records"]] == [f"r{ago}" for ago in range(1, len(GROUPS) + 1)]
    first = answer["records"][0]
    assert first == {
        "time": lines.rfc3339(logs.now - SECOND),
        "stream": "authorizer",
        "event": "authorization",
        "version": 2,
        "decision": "allow",
        "reason": "authorizer",
        "request_id": "r1",
        "groups": ["admin"],
    }
    assert first["time"].endswith("Z")
    assert "next_cursor" not in answer


def test_whoever_searches_is_recorded(api: Api, logs: Logs) -> None:
    logs.write("keys", 5, decision="deny", reason="one")
    api(200, {"decision": "deny", "text": "one", "since": "1790000000", "until": "2026-12-31T00:00:00Z"})
    told = {name: api.line[name] for name in ("event", "decision", "reason", "request_id", "source_ip", "action", "principal")}
    assert told == {
        "event": "audit",
        "decision": "allow",
        "reason": "searched",
        "request_id": REQUEST_ID,
        "source_ip": "192.0.2.7",
        "action": "search",
        "principal": ADMIN,
    }
    assert (api.line["since"], api.line["filters"], api.line["records"]) == (1790000000, ["decision", "text"], 1)


# ---- What is a record ----


@pytest.mark.parametrize(
    "line",
    [
        "START RequestId: 5f0d3c1e Version: $LATEST",
        "{",
        "[]",
        '"allow"',
        '{"event":"keys"}',
        '{"event":"authorization_"}',
        '{"no":"event"}',
    ],
)
def test_what_else_is_in_a_log_is_no_record(api: Api, logs: Logs, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    logs.raw("authorizer", (5, line))
    logs.write("authorizer", 6, reason="a record")
    assert api.found() == ["a record"]
    # The function knows it even if the log group gave every line.
    monkeypatch.setattr("lambda_audit.queries.Query.pattern", lambda *_: "")
    assert api.found() == ["a record"]


def test_a_line_that_is_nested_too_deep_is_none() -> None:
    assert lines.record("keys", "[" * 100_000, 0) is None


def test_a_record_is_never_more_than_its_own_fields(api: Api, logs: Logs) -> None:
    more = {"key": "hm_local_01J_secret", "email": "ada@example.org", "stream": "forged", "time": "2000"}
    logs.raw("keys", (5, json.dumps({"event": "keys", "version": 2, "reason": "created"} | more)))
    (record,) = api(200)["records"]
    assert record.keys() == {"time", "stream", "event", "version", "reason"}
    assert (record["stream"], record["time"]) == ("keys", lines.rfc3339(logs.now - 5))


def test_what_is_shown_is_what_may_be_written() -> None:
    assert {CLASSES[name] for name in lines.FIELDS} == {PUBLIC, SENSITIVE}
    assert set(lines.FIELDS) == {name for name, of in CLASSES.items() if of != SECRET}


def test_the_records_of_the_service_and_of_the_worker_are_found_among_their_other_lines(api: Api, logs: Logs) -> None:
    logs.raw("service", (3, '{"event":"call","request_id":"r1","reason":"done"}'))
    logs.write("service", 4, reason="done", action="results_read", resource="01JD", files=2)
    logs.raw("worker", (5, '{"event":"analysis succeeded"}'))
    logs.write("worker", 6, reason="done", action="analysis_succeeded", resource="01JD")
    found = api(200)["records"]
    assert [(record["stream"], record["action"]) for record in found] == [
        ("service", "results_read"),
        ("worker", "analysis_succeeded"),
    ]
    assert found[0]["files"] == 2


def test_a_stream_may_hold_several_events(api: Api, logs: Logs) -> None:
    logs.write("sealing", 5, event="seal", reason="sealed")
    logs.write("sealing", 6, event="suspicion", reason="unusual_downloads")
    logs.write("sealing", 7, event="other", reason="none")
    assert api.found() == ["sealed", "unusual_downloads"]
    assert api.found(reason="sealed") == ["sealed"]


def test_no_other_log_group_is_read(api: Api, logs: Logs) -> None:
    logs.raw(OTHER, (5, '{"event":"authorization","reason":"elsewhere"}'))
    assert api.found() == []
    assert {asked["logGroupName"] for asked in api.asked} == set(GROUPS.values())
    api(400, {"log_group": OTHER})


# ---- Filters ----

RECORD = {
    "decision": "deny",
    "principal": "arn:aws:iam::123456789012:role/ci/publisher",
    "reason": "not_permitted",
    "request_id": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
    "method": "PATCH",
    "route": "/uploads/{upload_id}",
    "source_ip": "2001:db8::1",
    "key_id": "role0a1b2c",
    "action": "upload_shared",
    "resource": "01JD0000000000000000000000",
}
OTHERS = {
    "decision": "allow",
    "principal": "program:nightly",
    "reason": "allowed",
    "request_id": "d7",
    "method": "GET",
    "route": "/uploads",
    "source_ip": "192.0.2.7",
    "key_id": "01J8ZQ4Y7M3W5X9K2B6C1D0EFG",
    "action": "uploads_listed",
    "resource": "01JD0000000000000000000001",
}


@pytest.mark.parametrize("name", RECORD)
def test_each_filter_finds_what_has_this_value_and_nothing_else(
    api: Api, logs: Logs, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    logs.write("authorizer", 5, **RECORD)
    logs.write("authorizer", 6, **(RECORD | {name: OTHERS[name]}))
    logs.write("authorizer", 7, **{key: value for key, value in RECORD.items() if key != name})
    expected = [lines.rfc3339(logs.now - 5)]
    assert [record["time"] for record in api(200, {name: RECORD[name]})["records"]] == expected
    # With or without the pattern: what a log group takes a pattern to mean decides on nothing.
    monkeypatch.setattr("lambda_audit.queries.Query.pattern", lambda *_: "")
    assert [record["time"] for record in api(200, {name: RECORD[name]})["records"]] == expected


def test_filters_add_up_and_the_log_groups_do_most_of_it(api: Api, logs: Logs) -> None:
    logs.write("authorizer", 5, **RECORD)
    logs.write("authorizer", 6, **(RECORD | {"decision": "allow"}))
    assert len(api(200, {"decision": "deny", "reason": "not_permitted", "route": "/uploads/{upload_id}"})["records"]) == 1
    asked = {asked["logGroupName"]: asked["filterPattern"] for asked in api.asked}
    assert asked[GROUPS["users"]] == '{ ($.event = "users") && ($.decision = "deny") && ($.reason = "not_permitted") }'
    assert all(filter_pattern.parse(pattern) for pattern in asked.values())


@pytest.mark.parametrize(("text", "times"), [("NIGHTLY", 1), ("program:", 1), ("2001:db8", 1), ("decision", 0), ("a" * 100, 0)])
def test_a_text_is_found_in_any_field_in_any_case(api: Api, logs: Logs, text: str, times: int) -> None:
    logs.write("authorizer", 5, principal="program:Nightly", source_ip="2001:db8::1")
    assert len(api(200, {"text": text})["records"]) == times


INJECTIONS = [
    '" || ($.event = "authorization',
    'x") || ($.decision = "allow',
    'deny" }',
    "*",
    "deny*",
    "%.*%",
    "\\",
    'a\\"b',
    "deny\n",
    "$.event",
    "{ $.event = * }",
    "ünï",
    "",
]


@pytest.mark.parametrize("value", INJECTIONS)
@pytest.mark.parametrize("name", RECORD)
def test_nothing_with_a_meaning_in_a_pattern_gets_into_one(api: Api, name: str, value: str) -> None:
    answer = api(400, {name: value})
    assert (answer["code"], answer["errors"][0]["field"]) == ("invalid_request", name)
    assert api.asked == []
    assert not value or value not in json.dumps(answer)


@pytest.mark.parametrize("value", [value for value in INJECTIONS if value.isprintable() and value])
def test_a_text_is_in_no_pattern_at_all(api: Api, logs: Logs, value: str) -> None:
    logs.write("keys", 5, reason="created")
    assert api.found(text=value) == []
    patterns = {asked["filterPattern"] for asked in api.asked}
    api.asked.clear()
    api.found()
    assert patterns == {asked["filterPattern"] for asked in api.asked}


@pytest.mark.parametrize(
    "query",
    [
        *({"since": when} for when in ("", "yesterday", "2026-11-30", "2026-11-30T09:00:00", "-1", "1e9", "1" * 12, "nan")),
        *({"until": when} for when in ("1969-12-31T23:59:59Z", "9" * 10 + ".1234567")),
        *({"limit": limit} for limit in ("0", "1001", "x", "-1")),
        *({"cursor": cursor} for cursor in ("", "1", "1.", "a.1", "1.1.1", "-1.1")),
        *({"text": text} for text in ("", "a" * 101, "a\nb", "\x00")),
        *({"since": ["1", "2"]}, {"since": "1790000001", "until": "1790000000"}, {"decision": "maybe"}, {"stream": "keys"}),
        {"method": "OPTIONS"},
        {"route": "/nowhere"},
    ],
)
def test_a_query_that_breaks_a_rule_is_refused(api: Api, query: dict[str, Any]) -> None:
    assert api(400, query)["code"] == "invalid_request"
    assert (api.line["decision"], api.line["reason"], api.asked) == ("deny", "invalid_request", [])


# ---- Time and pages ----


def test_without_a_beginning_it_is_the_last_day(api: Api, logs: Logs) -> None:
    logs.write("keys", 23 * HOUR, reason="today")
    logs.write("keys", 25 * HOUR, reason="the day before")
    assert api.found() == ["today"]
    assert api.found(since="2026-01-01T00:00:00+00:00") == ["today", "the day before"]
    assert api.found(until=lines.rfc3339(logs.now - 24 * HOUR)) == ["the day before"]


def test_both_ends_are_in_it_to_the_millisecond(api: Api, logs: Logs) -> None:
    for ago in (1000, 1001, 2000, 2001):
        logs.write("keys", ago, reason=f"{ago}")
    since, until = lines.rfc3339(logs.now - 2000), lines.rfc3339(logs.now - 1001)
    assert api.found(since=since, until=until) == ["1001", "2000"]
    assert api.found(since=f"{(logs.now - 2000) / 1000:.3f}", until=f"{(logs.now - 1001) / 1000:.3f}") == ["1001", "2000"]


def every_page(api: Api, **query: str) -> list[Any]:
    found: list[Any] = []
    for _ in range(200):
        page = api(200, query)
        found += [record["reason"] for record in page["records"]]
        if "next_cursor" not in page:
            return found
        query["cursor"] = page["next_cursor"]
    raise AssertionError("it never ends")


@pytest.mark.parametrize("limit", ["1", "3", "7"])
def test_page_by_page_every_record_comes_once_also_those_of_one_moment(api: Api, logs: Logs, limit: str) -> None:
    moments = [5, 5, 5, 5, 9, 9, 700_000, 700_000, 3_000_000, 50_000_000]
    for number, ago in enumerate(moments):
        logs.write("keys" if number % 2 else "users", ago, reason=f"{number}")
    until = lines.rfc3339(logs.now)
    found = every_page(api, limit=limit, until=until, since=lines.rfc3339(logs.now - 24 * HOUR))
    assert len(found) == len(moments) == len(set(found))
    assert [moments[int(number)] for number in found] == moments


def test_a_flood_of_lines_is_read_from_its_newest_end(api: Api, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST", 40)
    monkeypatch.setattr(search, "PAGE", 15)
    entries = [(ago, f'{{"event":"authorization","reason":"{ago}"}}') for ago in range(1000, 301_000, 1000)]
    logs.raw("authorizer", *entries)
    assert api.found(limit="5", until=lines.rfc3339(logs.now)) == ["1000", "2000", "3000", "4000", "5000"]
    found = every_page(api, limit="100", until=lines.rfc3339(logs.now), since=lines.rfc3339(logs.now - HOUR))
    assert found == [str(ago) for ago in range(1000, 301_000, 1000)]


def test_a_flood_within_a_millisecond_does_not_stop_it(api: Api, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST", 5)
    logs.raw("authorizer", *[(1000, f'{{"event":"authorization","reason":"{number}"}}') for number in range(20)])
    logs.write("keys", 2000, reason="before it")
    assert api(200, {"limit": "1000"})["records"][-1]["reason"] == "before it"


def test_a_long_search_ends_in_time_and_can_go_on(api: Api, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    logs.write("keys", 5, reason="new")
    logs.write("keys", 20 * HOUR, reason="old")
    pieces = search.Search._piece

    def slow(self: search.Search, query: Any, begin: int, end: int, threads: Any) -> Any:
        if end < logs.now - HOUR:
            raise search.OutOfTime
        return pieces(self, query, begin, end, threads)

    monkeypatch.setattr(search.Search, "_piece", slow)
    page = api(200)
    assert [record["reason"] for record in page["records"]] == ["new"]
    assert page["read_back_to"] < lines.rfc3339(logs.now - SECOND)
    monkeypatch.setattr(search.Search, "_piece", pieces)
    following = api(200, {"cursor": page["next_cursor"]})
    assert [record["reason"] for record in following["records"]] == ["old"]
    assert "next_cursor" not in following


def test_when_there_was_no_time_for_anything_the_call_has_to_be_made_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lambda_audit.handler.SEARCH_BUDGET", 0.0)
    assert api(503)["code"] == "unavailable"


def test_an_empty_page_of_the_log_group_is_not_its_end(api: Api, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    logs.write("keys", 5, reason="after the empty page")
    call = Aws.call

    def empty_first(aws: Aws, service: str, operation: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
        if service != "logs" or parameters.get("nextToken") == "more":
            parameters = {name: value for name, value in parameters.items() if name != "nextToken"}
            return call(aws, service, operation, parameters, **more)
        return {"events": [], "nextToken": "more"}

    monkeypatch.setattr(Aws, "call", empty_first)
    assert api.found() == ["after the empty page"]


def test_a_log_group_that_cannot_be_read_fails_the_search(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Aws.call

    def fail(aws: Aws, service: str, operation: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
        if parameters.get("logGroupName") == GROUPS["token"]:
            raise AwsError("no", "AccessDeniedException")
        return call(aws, service, operation, parameters, **more)

    monkeypatch.setattr(Aws, "call", fail)
    assert api(503)["code"] == "unavailable"
    assert api.line["decision"] == "error"


def test_what_cannot_be_recorded_is_not_given(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, _text: str) -> None:
            raise OSError("no space left")

    monkeypatch.setattr("sys.stdout", Full())
    with pytest.raises(OSError, match="no space"):
        api(200)


# ---- The package ----


@pytest.mark.parametrize(
    "groups",
    [
        "",
        "[]",
        "x",
        "{}",
        json.dumps(GROUPS | {"more": "/x"}),
        json.dumps(GROUPS | {"keys": "*"}),
        json.dumps(GROUPS | {"keys": 1}),
    ],
)
def test_without_its_log_groups_it_does_not_start(environ: dict[str, str], groups: str) -> None:
    with pytest.raises(Exception, match="HEARTMAP_AUDIT_LOG_GROUPS"):
        config.load(environ | {"HEARTMAP_AUDIT_LOG_GROUPS": groups})


def test_the_handler_starts_from_the_package_alone_and_needs_no_library_and_all_that_is_in_it(
    tmp_path: Path, environ: dict[str, str], logs: Logs
) -> None:
    path = package.build(tmp_path, target=Target.host())
    zipfile.ZipFile(path).extractall(tmp_path / "task")
    script = (
        "import json, sys; sys.path.insert(0, sys.argv[1])\n"
        "from lambda_audit.handler import handler\n"
        "print(handler(json.loads(sys.argv[2]), None)['statusCode'])\n"
        "print(json.dumps(sorted(name for name in sys.modules if name.startswith('lambda_'))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, str(tmp_path / "task"), json.dumps(event("GET", "/audit"))],
        env=environ | {"AWS_LAMBDA_FUNCTION_NAME": "audit"},
        capture_output=True,
        text=True,
        check=True,
    )
    status, loaded = done.stdout.splitlines()[-2:]
    assert (status, done.stderr) == ("200", "")
    packaged = {f"{folder}.{name}" for folder, names in package.MODULES.items() for name in names}
    assert set(json.loads(loaded)) == {name.removesuffix(".__init__") for name in packaged}


def test_a_process_without_a_configuration_answers_nobody() -> None:
    with pytest.raises(Exception, match="HEARTMAP_ENVIRONMENT is not set"):
        handler(event("GET", "/audit"), None)
