import threading
import time
from typing import Any

import pytest

from operator_cli.environments import Environment
from operator_cli.errors import CliError, NotSignedIn
from operator_cli.session import Session
from operator_cli.tokens import Tokens


@pytest.fixture
def expired(environment: Environment, signed_in: Tokens) -> Tokens:
    old = signed_in.model_copy(update={"expires_at": time.time() - 1})
    Session(environment).start(old)
    return old


def refreshes(server: Any) -> int:
    return len(server.requests("POST", "/oauth2/token"))


def test_a_fresh_token_needs_no_call(environment: Environment, signed_in: Tokens, server: Any) -> None:
    assert Session(environment).tokens() == signed_in
    assert refreshes(server) == 0


def test_an_ended_token_is_renewed_and_the_rotated_refresh_token_kept(
    environment: Environment, expired: Tokens, pool: Any
) -> None:
    first = Session(environment).tokens()
    assert first.access_token != expired.access_token
    assert {first.refresh_token} == pool.refresh_tokens
    assert Session(environment).tokens() == first
    second = Session(environment).tokens(rejected=first.access_token)
    assert {second.refresh_token} == pool.refresh_tokens


def test_without_rotation_the_refresh_token_stays(
    environment: Environment, expired: Tokens, pool: Any, server: Any, reply: Any
) -> None:
    server.routes["POST", "/oauth2/token"] = lambda _: reply(200, pool.issue())
    assert Session(environment).tokens().refresh_token == expired.refresh_token


def test_many_processes_renew_once(environment: Environment, expired: Tokens, server: Any) -> None:
    found: list[Tokens] = []
    threads = [threading.Thread(target=lambda: found.append(Session(environment).tokens())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({each.access_token for each in found}) == 1
    assert refreshes(server) == 1


def test_a_refused_refresh_ends_the_session(environment: Environment, expired: Tokens, pool: Any) -> None:
    pool.refuse_refresh = True
    with pytest.raises(NotSignedIn, match="has ended"):
        Session(environment).tokens()
    assert Session(environment).place() is None


def test_a_pool_that_cannot_be_asked_does_not_end_the_session(
    environment: Environment, expired: Tokens, server: Any, reply: Any
) -> None:
    server.routes["POST", "/oauth2/token"] = reply(503)
    with pytest.raises(CliError) as failed:
        Session(environment).tokens()
    assert failed.value.exit_code == 1
    assert Session(environment).place() == "file"


def test_a_renewed_token_of_another_pool_is_not_taken(environment: Environment, expired: Tokens, pool: Any) -> None:
    pool.access_claims = {"iss": "https://elsewhere.example"}
    with pytest.raises(CliError, match="not for this sign-in"):
        Session(environment).tokens()


def test_a_session_without_a_refresh_token_ends_with_its_token(environment: Environment, pool: Any) -> None:
    Session(environment).start(Tokens(access_token="a.b.c", expires_at=time.time() - 1))
    with pytest.raises(NotSignedIn):
        Session(environment).tokens()
