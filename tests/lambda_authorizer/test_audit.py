import json
import re
import time
from pathlib import Path

import pytest

from lambda_authorizer import audit, reasons
from lambda_authorizer.audit_chain import parse
from lambda_authorizer.audit_fields import CHAINED, ENVELOPE
from lambda_authorizer.events import Origin, Request
from lambda_authorizer.policy import Caller, written
from lambda_authorizer.reasons import Reason

OWN = ("groups", "auth_method", "client_id", "token_id", "key_id")
ULID = "01JD0000000000000000000000"


def request(method: str = "GET", route: str = "/models") -> Request:
    return Request((method, route), {}, "arn:x", "us-east-1", route, settled=True)


def test_a_line_says_who_may_do_what_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    caller = Caller("someone", frozenset({"viewer", "admin"}), frozenset(), "token", client_id="c", token_id="t")
    line = audit.Line(audit.ALLOW, Reason.ALLOWED, request=request(), caller=caller)
    line.write(Origin("r-1", "192.0.2.7"), None, written(caller))
    output = capsys.readouterr()
    assert output.out.count("\n") == 1
    record = json.loads(output.out)
    written_at = record.pop("time")
    assert type(written_at) is int
    assert 0 <= time.time() * 1000 - written_at < 60_000
    assert {name: value for name, value in record.items() if name not in CHAINED} == {
        "event": "authorization",
        "version": 2,
        "decision": "allow",
        "reason": "allowed",
        "action": None,
        "request_id": "r-1",
        "principal": "someone",
        "source_ip": "192.0.2.7",
        "method": "GET",
        "route": "/models",
        "resource": None,
        "groups": ["admin", "viewer"],
        "auth_method": "token",
        "client_id": "c",
        "token_id": "t",
        "key_id": None,
    }
    assert output.err == ""


def test_the_fields_are_always_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    audit.Line(audit.ERROR, Reason.INTERNAL).write(Origin(None, None))
    line = json.loads(capsys.readouterr().out)
    assert tuple(line) == (*ENVELOPE, *OWN, *CHAINED)
    assert [name for name in (*ENVELOPE, *OWN) if line[name] is not None] == ["event", "version", "time", "decision", "reason"]


def test_the_record_names_the_id_in_the_path_and_nothing_else_that_stands_there(capsys: pytest.CaptureFixture[str]) -> None:
    line = audit.Line(audit.DENY, Reason.NOT_PERMITTED)
    for parameters in ({"analysis_id": ULID}, {"analysis_id": "anna-smith"}, {}, None):
        line.write(Origin("r", None), request()._replace(parameters=parameters))
    written = [json.loads(text)["resource"] for text in capsys.readouterr().out.splitlines()]
    assert written == [ULID, None, None, None]


def test_records_of_one_process_are_one_chain(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        audit.Line(audit.ALLOW, Reason.ALLOWED, request=request()).write(Origin("r", None))
    links = [parse(text) for text in capsys.readouterr().out.splitlines()]
    assert all(link and link.hash == link.computed for link in links)
    assert [link and link.previous for link in links[1:]] == [link and link.hash for link in links[:-1]]


def test_an_unknown_route_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    audit.Line(audit.DENY, Reason.NO_SUCH_ROUTE, request=request(route="/whatever/they/sent")).write(Origin("r", None))
    assert "whatever" not in capsys.readouterr().out


def test_no_value_can_begin_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    forged = 'a\n{"decision":"allow"}\r\u2028\x1b[2J\x85é'
    caller = Caller(forged, frozenset(), frozenset(), "token")
    audit.Line(audit.DENY, Reason.NOT_PERMITTED, caller=caller).write(Origin(forged, forged), None, written(caller))
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 1
    assert re.fullmatch(r"[ -~]+\n", out)
    assert json.loads(out)["principal"] == forged


def test_every_code_is_explained_and_no_other() -> None:
    table = Path(reasons.__file__).read_text().split('"""')[1]
    explained = re.findall(r"^([a-z_]+)  +\S", table, re.MULTILINE)
    assert explained == [reason.value for reason in Reason]
