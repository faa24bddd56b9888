import json
import re
from pathlib import Path

import pytest

from lambda_authorizer import audit, reasons
from lambda_authorizer.events import Origin, Request
from lambda_authorizer.policy import Caller
from lambda_authorizer.reasons import Reason

FIELDS = [
    "event",
    "version",
    "decision",
    "reason",
    "request_id",
    "source_ip",
    "method",
    "route",
    "principal",
    "groups",
    "auth_method",
    "client_id",
    "token_id",
    "key_id",
]


def request(method: str = "GET", route: str = "/models") -> Request:
    return Request((method, route), {}, "arn:x", "us-east-1", route, settled=True)


def test_a_line_says_who_may_do_what_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    caller = Caller("someone", frozenset({"viewer", "admin"}), frozenset(), "token", client_id="c", token_id="t")
    audit.Line(audit.ALLOW, Reason.ALLOWED, request=request(), caller=caller).write(Origin("r-1", "192.0.2.7"))
    output = capsys.readouterr()
    assert output.out.count("\n") == 1
    assert json.loads(output.out) == {
        "event": "authorization",
        "version": 1,
        "decision": "allow",
        "reason": "allowed",
        "request_id": "r-1",
        "source_ip": "192.0.2.7",
        "method": "GET",
        "route": "/models",
        "principal": "someone",
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
    assert list(line) == FIELDS
    assert [name for name in FIELDS if line[name] is not None] == ["event", "version", "decision", "reason"]


def test_an_unknown_route_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    audit.Line(audit.DENY, Reason.NO_SUCH_ROUTE, request=request(route="/whatever/they/sent")).write(Origin("r", None))
    assert "whatever" not in capsys.readouterr().out


def test_no_value_can_begin_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    forged = 'a\n{"decision":"allow"}\r\u2028\x1b[2J\x85é'
    caller = Caller(forged, frozenset(), frozenset(), "token")
    audit.Line(audit.DENY, Reason.NOT_PERMITTED, caller=caller).write(Origin(forged, forged))
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 1
    assert re.fullmatch(r"[ -~]+\n", out)
    assert json.loads(out)["principal"] == forged


def test_every_code_is_explained_and_no_other() -> None:
    table = Path(reasons.__file__).read_text().split('"""')[1]
    explained = re.findall(r"^([a-z_]+)  +\S", table, re.MULTILINE)
    assert explained == [reason.value for reason in Reason]
