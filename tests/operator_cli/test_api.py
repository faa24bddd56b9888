from collections.abc import Callable, Iterable
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from operator_cli.api import Api
from operator_cli.credentials import SessionCredential
from operator_cli.environments import Environment
from operator_cli.errors import CliError, NotSignedIn, WrongUse
from operator_cli.session import Session
from operator_cli.tokens import Tokens


class Anything(BaseModel):
    ok: bool


class Wire:
    """Answers in turn, the last one for ever; an exception among them is raised."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


OK = httpx.Response(200, json={"ok": True})


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def over(environment: Environment, signed_in: Tokens, pauses: list[float]) -> Callable[..., tuple[Api, Wire]]:
    def make(*answers: httpx.Response | Exception) -> tuple[Api, Wire]:
        wire = Wire(*answers)
        credential = SessionCredential(environment, Session(environment))
        return Api(environment, credential, httpx.Client(transport=httpx.MockTransport(wire)), sleep=pauses.append), wire

    return make


def statuses(*codes: int) -> Iterable[httpx.Response]:
    return (httpx.Response(code) for code in codes)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_call_that_can_be_repeated_is(over: Any, status: int) -> None:
    api, wire = over(httpx.Response(status), httpx.Response(status), OK)
    assert api.call("GET", "/", Anything).ok
    assert len(wire.requests) == 3


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_call_that_may_have_been_carried_out_is_not_repeated(over: Any, status: int) -> None:
    api, wire = over(httpx.Response(status))
    with pytest.raises(CliError):
        api.call("POST", "/analyses", Anything, {})
    assert len(wire.requests) == 1


def test_a_lost_answer_to_a_post_is_not_asked_for_again(over: Any) -> None:
    api, wire = over(httpx.ReadTimeout("slow"))
    with pytest.raises(CliError, match="did not answer in time"):
        api.call("POST", "/analyses", Anything, {})
    assert len(wire.requests) == 1


def test_a_post_that_was_throttled_or_never_connected_is_repeated(over: Any) -> None:
    api, wire = over(httpx.Response(429), httpx.ConnectError("refused"), OK)
    assert api.call("POST", "/analyses", Anything, {}).ok
    assert len(wire.requests) == 3


def test_tries_come_to_an_end(over: Any) -> None:
    api, wire = over(httpx.Response(503))
    with pytest.raises(CliError, match="503"):
        api.call("GET", "/", Anything)
    assert len(wire.requests) == 4


def test_retry_after_is_kept_to_within_reason(over: Any, pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operator_cli.api.LONGEST_PAUSE", 20)
    answers = [httpx.Response(429, headers={"Retry-After": text}) for text in ("3", "20", "tomorrow")]
    api, _ = over(*answers, OK)
    api.call("GET", "/", Anything)
    assert pauses[:2] == [3, 20]
    assert 0 <= pauses[2] <= 20


@pytest.mark.parametrize(("seconds", "told"), [(60, "in 1 minute"), (61, "in 2 minutes"), (40_000, "in 12 hours")])
def test_nobody_waits_here_for_a_quota_that_ends_later_and_it_is_told_when(
    over: Any, pauses: list[float], seconds: int, told: str
) -> None:
    body = {"code": "quota_jobs_per_day", "detail": "You have begun 200 analyses today, which is the quota."}
    api, wire = over(httpx.Response(429, json=body, headers={"Retry-After": str(seconds)}), OK)
    with pytest.raises(CliError, match="You have begun 200 analyses today") as refused:
        api.call("POST", "/analyses", Anything, {})
    assert (refused.value.code, refused.value.next_step) == ("quota_jobs_per_day", f"Try again {told}.")
    assert (len(wire.requests), pauses) == (1, [])


def test_a_call_with_a_key_is_sent_again_under_the_same_key_and_one_without_is_not(over: Any) -> None:
    api, wire = over(httpx.ReadTimeout("late"), httpx.Response(503), OK)
    api.call("POST", "/analyses", Anything, {"a": 1}, key="one-key")
    assert [request.headers["idempotency-key"] for request in wire.requests] == ["one-key"] * 3
    api, wire = over(httpx.Response(503), OK)
    with pytest.raises(CliError, match="503"):
        api.call("POST", "/analyses", Anything, {"a": 1})
    assert "idempotency-key" not in wire.requests[0].headers


def test_nothing_there_says_what_to_do(over: Any) -> None:
    api, wire = over(httpx.ConnectError("[Errno 111] Connection refused"))
    with pytest.raises(CliError, match=r"localhost:\d+ cannot be reached") as failed:
        api.call("GET", "/", Anything)
    assert "make local" in str(failed.value.next_step)
    assert "Errno" not in failed.value.message
    assert len(wire.requests) == 4


def test_a_401_is_answered_once_with_a_new_token(over: Any, signed_in: Tokens, pool: Any) -> None:
    api, wire = over(httpx.Response(401), OK)
    assert api.call("GET", "/", Anything).ok
    first, second = (request.headers["authorization"] for request in wire.requests)
    assert first == f"Bearer {signed_in.access_token}"
    assert second not in (first, "")


def test_a_second_401_is_the_end_of_the_session(over: Any) -> None:
    body = {"code": "unauthenticated", "request_id": "r1", "detail": "No."}
    api, wire = over(httpx.Response(401, json=body))
    with pytest.raises(NotSignedIn) as refused:
        api.call("GET", "/", Anything)
    assert (refused.value.code, refused.value.request_id) == ("unauthenticated", "r1")
    assert len(wire.requests) == 2


@pytest.mark.parametrize("path", ["models", "//evil.example/", "https://evil.example/", "/a\\b", "/a\nb", "/é", ""])
def test_a_path_that_could_lead_elsewhere_is_wrong_use(over: Any, path: str) -> None:
    api, wire = over(OK)
    with pytest.raises(WrongUse):
        api.send("GET", path)
    assert not wire.requests


@pytest.mark.parametrize("path", ["/models", "/@evil.example/", "/:443@evil.example", "/..//evil.example"])
def test_the_token_goes_to_the_environments_api_alone(over: Any, environment: Environment, path: str) -> None:
    api, wire = over(OK)
    api.send("GET", path)
    (request,) = wire.requests
    assert request.url.netloc == httpx.URL(environment.api).netloc
    assert request.url.scheme == "https"


def test_a_redirect_is_not_followed(over: Any) -> None:
    api, wire = over(httpx.Response(302, headers={"Location": "https://evil.example/"}))
    with pytest.raises(CliError):
        api.call("GET", "/", Anything)
    assert len(wire.requests) == 1


def test_a_stage_in_the_address_is_kept(environment: Environment, signed_in: Tokens) -> None:
    wire = Wire(OK)
    staged = environment.model_copy(update={"api": environment.api + "/live"})
    Api(staged, SessionCredential(staged, Session(environment)), httpx.Client(transport=httpx.MockTransport(wire))).send(
        "GET", "/models"
    )
    assert wire.requests[0].url.path == "/live/models"


def test_the_gateways_own_refusal_has_a_request_id_too(over: Any) -> None:
    api, _ = over(httpx.Response(403, text="<html>", headers={"x-amzn-RequestId": "aws-1"}))
    with pytest.raises(CliError) as refused:
        api.call("GET", "/", Anything)
    assert (refused.value.code, refused.value.request_id) == ("http_403", "aws-1")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"ok": "perhaps"}', b"<html>"])
def test_an_answer_that_is_not_understood_is_told(over: Any, content: bytes) -> None:
    api, _ = over(httpx.Response(200, content=content, headers={"x-request-id": "r2"}))
    with pytest.raises(CliError, match="not what this version") as failed:
        api.call("GET", "/", Anything)
    assert failed.value.request_id == "r2"


@pytest.mark.parametrize(("status", "word"), [(413, "heartmapctl upload"), (429, "Wait"), (500, "request id")])
def test_a_refusal_says_what_to_do_next(over: Any, status: int, word: str) -> None:
    api, _ = over(httpx.Response(status, json={"code": "x", "detail": "No."}))
    with pytest.raises(CliError) as refused:
        api.call("POST", "/uploads", Anything, {})
    assert word in str(refused.value.next_step)


@pytest.mark.parametrize(
    ("code", "word"),
    [("forbidden", "heartmapctl whoami"), ("blocked", "network"), ("no_such_route", "path"), ("no_such_analysis", "jobs list")],
)
def test_a_code_says_what_to_do_next(over: Any, code: str, word: str) -> None:
    api, _ = over(httpx.Response(403, json={"code": code, "detail": "No."}))
    with pytest.raises(CliError) as refused:
        api.call("GET", "/", Anything)
    assert word in str(refused.value.next_step)


def test_every_field_that_is_wrong_is_named_once(over: Any) -> None:
    errors = [{"field": "options.a", "rule": "must be a number"}, {"field": "options.b", "rule": "is not an option"}]
    api, _ = over(httpx.Response(422, json={"code": "x", "detail": "options.a must be a number.", "errors": errors}))
    with pytest.raises(CliError) as refused:
        api.call("POST", "/analyses", Anything, {})
    assert refused.value.message == "options.a must be a number. (options.b is not an option)"


def test_a_post_that_the_service_may_get_twice_is_repeated(over: Any) -> None:
    api, wire = over(httpx.Response(502), httpx.ReadTimeout("slow"), OK)
    assert api.call("POST", "/uploads/x/complete", Anything, {}, repeatable=True).ok
    assert len(wire.requests) == 3


def test_a_sign_in_that_is_too_long_ago_is_told_as_what_it_is(over: Any) -> None:
    body = {"code": "forbidden", "reason": "sign_in_too_old", "detail": "You may not do this.", "request_id": "r1"}
    api, wire = over(httpx.Response(403, json=body))
    with pytest.raises(NotSignedIn, match="of the last 15 minutes") as refused:
        api.call("POST", "/keys", Anything, {})
    assert (refused.value.exit_code, refused.value.code, refused.value.request_id) == (3, "forbidden", "r1")
    assert refused.value.next_step == "Sign in again, then repeat it: heartmapctl login"
    assert len(wire.requests) == 1


@pytest.mark.parametrize(("reason", "word"), [("not_permitted", "whoami"), ("key_source", "--from"), (None, "whoami")])
def test_the_authorizers_reason_says_what_to_do_next(over: Any, reason: str | None, word: str) -> None:
    api, _ = over(httpx.Response(403, json={"code": "forbidden", "reason": reason, "detail": "No."}))
    with pytest.raises(CliError) as refused:
        api.call("GET", "/", Anything)
    assert word in str(refused.value.next_step)
    assert refused.value.exit_code == 1
