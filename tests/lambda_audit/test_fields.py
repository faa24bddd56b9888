"""Every writer of audit records is held to the fields and their classes."""

import dataclasses
import json
import time
from typing import Any

import pytest

import heartmap_service.audit
import lambda_api.audit
import lambda_audit.audit
import lambda_keys.audit
import lambda_token.audit
import lambda_users.audit
from lambda_audit.lines import EVENTS
from lambda_authorizer import audit
from lambda_authorizer.audit_chain import parse
from lambda_authorizer.audit_fields import CHAINED, CLASSES, ENVELOPE, PUBLIC, SECRET, SENSITIVE, WRITTEN, open_line
from lambda_authorizer.events import Origin
from lambda_authorizer.reasons import Reason
from tests.lambda_api.calls import event

FUNCTIONS = [module.Call for module in (lambda_audit.audit, lambda_keys.audit, lambda_token.audit, lambda_users.audit)]
CALL, OUTCOME = heartmap_service.audit.Call, heartmap_service.audit.Outcome
SEALER = {"seal", "suspicion"}


def written_by(writer: Any) -> None:
    """Write a record with whatever the writer knows."""
    if writer is audit.Line:
        writer(audit.ERROR, Reason.INTERNAL).write(Origin(None, None))
    elif writer is CALL:
        writer("r").write(200)
    elif writer is OUTCOME:
        writer("r", "anna", heartmap_service.audit.ANALYSIS_FAILED, "01JD").write()
    else:
        lambda_api.audit.write("allow", "done", writer.of(event("GET", "/keys")))


@pytest.mark.parametrize("writer", [audit.Line, *FUNCTIONS, CALL, OUTCOME], ids=lambda writer: writer.__module__)
def test_a_record_begins_with_the_common_fields_and_ends_with_its_place_in_the_chain(
    writer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    written_by(writer)
    (line,) = capsys.readouterr().out.splitlines()
    record = json.loads(line)
    assert tuple(record)[: len(ENVELOPE)] == ENVELOPE
    assert tuple(record)[-len(CHAINED) :] == CHAINED
    assert all(CLASSES[name] in (PUBLIC, SENSITIVE) for name in record)
    assert (record["version"], type(record["time"])) == (2, int)
    assert abs(record["time"] - 1000 * time.time()) < 60_000
    link = parse(line)
    assert link is not None
    assert link.hash == link.computed


def test_each_event_has_a_stream_and_each_stream_a_writer() -> None:
    events = {"authorization", *SEALER, *(writer.EVENT for writer in (*FUNCTIONS, CALL, OUTCOME))}
    assert events == {event for of_stream in EVENTS.values() for event in of_stream}


def test_whatever_a_writer_may_know_has_a_class_that_may_be_written() -> None:
    known = {field.name for writer in (*FUNCTIONS, CALL, OUTCOME) for field in dataclasses.fields(writer)}
    assert known <= set(WRITTEN)


def test_every_class_is_one_of_three_and_what_opens_or_names_somebody_is_secret() -> None:
    assert set(CLASSES.values()) == {PUBLIC, SENSITIVE, SECRET}
    assert {CLASSES[name] for name in ("assertion", "token", "key", "password", "signature", "url", "email", "username")} == {
        SECRET
    }
    assert {CLASSES[name] for name in ("principal", "source_ip", "resource", "subject", "session", "key_id")} == {SENSITIVE}
    assert set(ENVELOPE) | set(CHAINED) <= set(WRITTEN)


@pytest.mark.parametrize("name", ["token", "email", "assertion", "url", "no_such_field"])
def test_a_field_that_is_secret_or_unknown_is_never_written(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        open_line("keys", "allow", "created", **{name: "something"})


def test_a_function_takes_the_method_and_the_route_of_a_call_that_there_is_and_repeats_no_other() -> None:
    asked = lambda_keys.audit.Call.of(event("POST", "/keys/{key_id}/rotate"))
    assert (asked.method, asked.route) == ("POST", "/keys/{key_id}/rotate")
    for strange in (event("POST", "/whatever/they/sent"), event("POST", "/keys") | {"httpMethod": ["POST"]}, None, [], "x"):
        other = lambda_keys.audit.Call.of(strange)
        assert (other.method, other.route) == (None, None)
