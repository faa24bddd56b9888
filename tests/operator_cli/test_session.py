import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from operator_cli.environments import Environment
from operator_cli.errors import CliError, NotSignedIn
from operator_cli.session import Session
from operator_cli.tokens import Tokens, TokenStore
from operator_cli.vocabulary import EnvironmentName


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


RENEW = """
import sys

from operator_cli.environments import load
from operator_cli.session import Session
from operator_cli.vocabulary import EnvironmentName

session = Session(load(EnvironmentName.LOCAL))
print("ready", flush=True)
sys.stdin.readline()
print(session.tokens().access_token)
"""


def renewing() -> subprocess.Popen[str]:
    """A process that is ready to renew, and does so at the next line that it is given."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", RENEW], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def test_eight_processes_renew_once_and_keep_the_session(environment: Environment, expired: Tokens, pool: Any) -> None:
    """The pool takes a refresh token once: a second renewal with it would end the session."""
    renew = pool.server.routes["POST", "/oauth2/token"]

    def slowly(request: Any) -> Any:
        reply = renew(request)
        time.sleep(0.5)
        return reply

    pool.server.routes["POST", "/oauth2/token"] = slowly
    processes = [renewing() for _ in range(8)]
    for process in processes:
        go(process)
    ends = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, ends
    assert len({out for out, _ in ends}) == 1
    assert refreshes(pool.server) == 1
    again = Session(environment).tokens(rejected=Session(environment).tokens().access_token)
    assert {again.refresh_token} == pool.refresh_tokens


def test_threads_of_one_process_renew_once(environment: Environment, expired: Tokens, server: Any) -> None:
    found: list[Tokens] = []
    session = Session(environment)
    threads = [threading.Thread(target=lambda: found.append(session.tokens())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({each.access_token for each in found}) == 1
    assert refreshes(server) == 1


def test_a_process_killed_in_the_middle_of_a_renewal_leaves_a_session_that_can_be_used(
    environment: Environment, expired: Tokens, pool: Any, state: Path
) -> None:
    """The pool has rotated, and the answer never arrives. Within its grace it takes the old token once more."""
    asked, answer = threading.Event(), threading.Event()
    renew = pool.server.routes["POST", "/oauth2/token"]

    def rotate_and_hold(request: Any) -> Any:
        reply = renew(request)
        pool.refresh_tokens.add(expired.refresh_token)
        asked.set()
        answer.wait(20)
        return reply

    pool.server.routes["POST", "/oauth2/token"] = rotate_and_hold
    process = renewing()
    go(process)
    assert asked.wait(20)
    process.kill()
    process.communicate()
    answer.set()
    pool.server.routes["POST", "/oauth2/token"] = renew
    (file,) = (state / "heartmapctl").glob("*.json")
    assert Tokens.model_validate_json(file.read_text()) == expired
    began = time.monotonic()
    renewed = Session(environment).tokens()
    assert renewed.fresh
    assert renewed.refresh_token in pool.refresh_tokens
    assert time.monotonic() - began < 5, "the lock of a process that is gone is free"


def test_a_lock_that_is_held_for_long_is_told(environment: Environment, expired: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    held = TokenStore(environment).lock()
    with held:
        monkeypatch.setattr("operator_cli.tokens.LOCK_SECONDS", 0.1)
        session = Session(environment)
        for use in (session.tokens, session.end, lambda: session.start(expired)):
            with pytest.raises(CliError, match="has been renewing"):
                use()


def test_environments_have_a_session_each(environment: Environment, pool: Any) -> None:
    others = [environment.model_copy(update={"name": name}) for name in (EnvironmentName.DEV, EnvironmentName.PROD)]
    places = [environment, *others]
    for place in places:
        answer = pool.issue(refresh_token=f"refresh-{place.name}")
        tokens = Tokens(access_token=answer["access_token"], refresh_token=f"refresh-{place.name}", expires_at=time.time() + 600)
        Session(place).start(tokens)
    assert [Session(place).tokens().refresh_token for place in places] == ["refresh-local", "refresh-dev", "refresh-prod"]
    assert Session(others[0]).end()
    assert pool.refresh_tokens == {"refresh-local", "refresh-prod"}
    with pytest.raises(NotSignedIn, match="dev environment") as missing:
        Session(others[0]).tokens()
    assert missing.value.next_step == "Sign in: heartmapctl login --environment dev"
    for place in (environment, others[1]):
        assert Session(place).tokens().refresh_token == f"refresh-{place.name}"


def test_a_renewal_keeps_the_address_of_the_person(environment: Environment, pool: Any) -> None:
    answer = pool.issue(refresh_token="refresh-1")
    old = Tokens(
        access_token=answer["access_token"], refresh_token="refresh-1", expires_at=time.time() - 1, email="someone@example.org"
    )
    Session(environment).start(old)
    assert Session(environment).tokens().email == "someone@example.org"


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
