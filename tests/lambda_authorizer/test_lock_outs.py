"""People who are locked out: their tokens open nothing within half a minute, and nothing is opened by guessing."""

import json
import time
from typing import Any

import pytest

from lambda_authorizer import config
from lambda_authorizer.aws import Aws
from lambda_authorizer.handler import Authorizer, Unauthorized
from lambda_authorizer.lock_outs import ITEM, MAX_AGE, RETRY_AFTER, STALE_AGE, LockOuts
from lambda_authorizer.reasons import Fault, Reason

NOW = 1_800_000_000.0
ADA, GRACE = "5f0d3c1e-0c4c-4b5e-9a6e-2f4ad9f3c001", "5f0d3c1e-0c4c-4b5e-9a6e-2f4ad9f3c002"

pytestmark = pytest.mark.usefixtures("aws_credentials")


def say(server, moments: Any, status: int = 200) -> None:
    item = {"public_id": {"S": ITEM}} | {who: {"N": str(moment)} for who, moment in moments.items()}
    body = json.dumps({"Item": item}).encode()
    server.answer = lambda request: server.reply(request, body, status=status)


@pytest.fixture
def lock_outs(server) -> LockOuts:
    return LockOuts("keys", Aws(endpoint=server.url, own_addresses=False))


def locked(lock_outs: LockOuts, subject: str = ADA, *, issued: float = NOW - 100, later: float = 0) -> bool:
    return lock_outs.locked(subject, int(issued), region="eu-central-1", now=NOW + later, deadline=time.monotonic() + 1)


def test_a_token_of_before_the_moment_is_locked_out_and_one_of_after_it_is_not(lock_outs: LockOuts, server) -> None:
    say(server, {ADA: int(NOW)})
    assert locked(lock_outs)
    assert locked(lock_outs, issued=NOW)
    assert not locked(lock_outs, issued=NOW + 1)
    assert not locked(lock_outs, GRACE)
    (request,) = server.requests
    assert json.loads(request.body) == {"TableName": "keys", "Key": {"public_id": {"S": ITEM}}, "ConsistentRead": True}


def test_whoever_was_never_locked_out_is_not_where_there_is_no_list(lock_outs: LockOuts, server) -> None:
    server.answer = lambda request: server.reply(request, b"{}")
    assert not locked(lock_outs, issued=0)


def test_the_list_is_read_again_within_half_a_minute_and_not_for_each_call(lock_outs: LockOuts, server) -> None:
    say(server, {})
    assert not locked(lock_outs)
    say(server, {ADA: int(NOW)})
    assert not locked(lock_outs, later=MAX_AGE)
    assert len(server.requests) == 1
    assert locked(lock_outs, later=MAX_AGE + 0.1)
    assert len(server.requests) == 2
    assert MAX_AGE <= 30


def test_a_clock_that_was_set_back_has_it_read_again(lock_outs: LockOuts, server) -> None:
    say(server, {})
    assert not locked(lock_outs)
    say(server, {ADA: int(NOW)})
    assert locked(lock_outs, later=-60)


@pytest.mark.parametrize("broken", ["down", {ADA: "x"}, {ADA: ""}, {ADA: -1}])
def test_a_list_that_cannot_be_read_is_believed_for_a_while_and_then_nobody_is(lock_outs: LockOuts, server, broken: Any) -> None:
    say(server, {ADA: int(NOW)})
    assert locked(lock_outs)
    say(server, {} if broken == "down" else broken, status=500 if broken == "down" else 200)
    assert locked(lock_outs, later=MAX_AGE + 1)
    # Not with each call.
    assert locked(lock_outs, later=MAX_AGE + RETRY_AFTER)
    assert len(server.requests) == 2
    assert not locked(lock_outs, GRACE, later=STALE_AGE)
    assert len(server.requests) == 3
    with pytest.raises(Fault) as caught:
        locked(lock_outs, GRACE, later=STALE_AGE + 1)
    assert caught.value.reason is Reason.LOCK_OUTS_UNAVAILABLE


@pytest.mark.parametrize("item", [{ADA: "1"}, {ADA: {"S": "1"}}, {ADA: {"N": 1}}])
def test_an_item_that_nothing_of_ours_writes_is_not_believed(lock_outs: LockOuts, server, item: Any) -> None:
    server.answer = lambda request: server.reply(request, json.dumps({"Item": item}).encode())
    with pytest.raises(Fault):
        locked(lock_outs, GRACE)


def test_a_list_that_was_never_read_lets_nobody_in(lock_outs: LockOuts, server) -> None:
    say(server, {}, status=500)
    with pytest.raises(Fault):
        locked(lock_outs)


# ---- In the authorizer ----


@pytest.fixture
def authorizer(environ: dict[str, str], server) -> Authorizer:
    return Authorizer(config.load(environ | {"HEARTMAP_LOCK_OUTS_TABLE": "keys", "AWS_ENDPOINT_URL": server.url}))


def test_a_token_is_refused_within_the_bound_of_its_holders_lock_out(
    authorizer: Authorizer, server, make_event, pool, names, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.time()
    token = pool.token(**{"cognito:groups": ["viewer"], "iat": int(began), "exp": int(began) + 3600})
    event = make_event("GET", "/models", f"Bearer {token}")
    say(server, {})
    assert authorizer.decide(event)["policyDocument"]["Statement"][0]["Effect"] == "Allow"
    say(server, {names.subject: int(began) + 2})
    # Not before the list was read: a clock that was set back has it read again.
    began = time.time()
    moment = [began]
    monkeypatch.setattr("lambda_authorizer.handler.time.time", lambda: moment[0])
    refused_after = None
    for second in range(61):
        moment[0] = began + second
        try:
            authorizer.decide(event)
        except Unauthorized:
            refused_after = second
            break
    assert refused_after is not None
    assert 30 <= refused_after <= 31
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["reason"], line["principal"]) == ("token_locked_out", names.subject)
    assert (line["groups"], line["client_id"]) == (["viewer"], names.client_id)
    # Of a minute's calls, one more looked at the table, in the region of the function.
    assert [json.loads(request.body)["TableName"] for request in server.requests] == ["keys", "keys"]
    assert all("/us-east-1/dynamodb/" in request.headers["Authorization"] for request in server.requests)


def test_a_list_out_of_reach_is_our_fault_and_not_the_callers(authorizer: Authorizer, server, make_event, pool) -> None:
    say(server, {}, status=500)
    with pytest.raises(Fault):
        authorizer.decide(make_event("GET", "/models", f"Bearer {pool.token()}"))


def test_where_there_is_no_list_nobody_is_asked(environ: dict[str, str], server, make_event, pool) -> None:
    authorizer = Authorizer(config.load(environ | {"AWS_ENDPOINT_URL": server.url}))
    authorizer.decide(make_event("GET", "/models", f"Bearer {pool.token()}"))
    assert server.requests == []
