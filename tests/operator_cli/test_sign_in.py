import secrets
import socket
import threading
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from operator_cli import sign_in
from operator_cli.environments import Environment
from operator_cli.errors import CliError
from operator_cli.sign_in import Answer, Attempt, CallbackServer, read_callback


def parameters(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def test_the_registered_ports_are_the_fixed_three() -> None:
    assert sign_in.CALLBACK_PORTS == (8400, 8401, 8402)


def test_every_attempt_has_secrets_of_its_own_and_asks_for_s256(environment: Environment) -> None:
    one, two = (parameters(Attempt.start(8400).address(environment)) for _ in range(2))
    assert one["code_challenge_method"] == "S256"
    assert one["redirect_uri"] == "http://localhost:8400/callback"
    assert "openid" in one["scope"]
    for name in ("state", "nonce", "code_challenge"):
        assert one[name] != two[name]
        assert len(one[name]) >= 43


def test_the_verifier_is_not_in_the_address(environment: Environment) -> None:
    attempt = Attempt.start(8400)
    assert attempt.verifier not in attempt.address(environment)
    assert 43 <= len(attempt.verifier) <= 128  # RFC 7636 4.1


@pytest.mark.parametrize(
    "target",
    [
        "/callback",
        "/callback?code=c",
        "/callback?code=c&state=",
        "/callback?code=c&state=wrong",
        "/callback?code=c&state=s&state=s",
        "/callback?code=c&code=d&state=s",
        "/callback?state=s",
        "/callback?code=c&error=e&state=s",
        "/callback/?code=c&state=s",
        "/?code=c&state=s",
        "/callback?code=c&state=%ff",
        "/callback?code=c&state=s&" + "&".join(f"x{i}=1" for i in range(50)),
        "//callback?code=c&state=s",
    ],
)
def test_what_is_not_the_answer_to_this_sign_in_is_no_answer(target: str) -> None:
    assert read_callback(target, "s") is None


def test_the_answer_is_a_code_or_an_error() -> None:
    assert read_callback("/callback?code=c&state=s", "s") == Answer("c", None, None)
    assert read_callback("/callback?error=access_denied&error_description=No&state=s", "s") == Answer(None, "access_denied", "No")


def test_only_the_loopback_address_is_listened_on(callback_ports: tuple[int, ...]) -> None:
    server = CallbackServer()
    try:
        assert server._server.server_address == ("127.0.0.1", callback_ports[0])
        import psutil

        mine = [each.laddr for each in psutil.Process().net_connections("inet") if each.laddr.port == server.port]
        assert {address.ip for address in mine} == {"127.0.0.1"}
    finally:
        server.close()


def test_the_ports_are_tried_in_order(callback_ports: tuple[int, ...]) -> None:
    with socket.create_server(("127.0.0.1", callback_ports[0])):
        server = CallbackServer()
        assert server.port == callback_ports[1]
        server.close()


def test_busy_ports_are_named(callback_ports: tuple[int, ...]) -> None:
    held = [socket.create_server(("127.0.0.1", port)) for port in callback_ports]
    with pytest.raises(CliError, match=", ".join(map(str, callback_ports))):
        CallbackServer()
    for each in held:
        each.close()


def test_a_foreign_callback_neither_ends_nor_replaces_the_sign_in(callback_ports: tuple[int, ...]) -> None:
    server = CallbackServer()
    state, answers = secrets.token_urlsafe(16), []
    waiting = threading.Thread(target=lambda: answers.append(server.wait(state, 20)))
    waiting.start()
    base = f"http://127.0.0.1:{server.port}"
    assert httpx.get(f"{base}/callback?code=evil&state=guess").status_code == 400
    assert httpx.get(f"{base}/other?code=evil&state={state}").status_code == 400
    assert httpx.post(f"{base}/callback?code=evil&state={state}").status_code == 501
    good = httpx.get(f"{base}/callback?code=good&state={state}")
    waiting.join(10)
    server.close()
    assert good.status_code == 200
    assert good.headers["content-security-policy"].startswith("default-src 'none'")
    assert "good" not in good.text
    assert answers == [Answer("good", None, None)]


def test_a_silent_connection_does_not_hold_up_the_answer(callback_ports: tuple[int, ...]) -> None:
    server = CallbackServer()
    answers: list[Answer] = []
    waiting = threading.Thread(target=lambda: answers.append(server.wait("s", 20)))
    with socket.create_connection(("127.0.0.1", server.port)):
        waiting.start()
        httpx.get(f"http://127.0.0.1:{server.port}/callback?code=c&state=s")
        waiting.join(5)
        assert answers
    server.close()


def test_nobody_comes_and_the_time_limit_ends_it(callback_ports: tuple[int, ...]) -> None:
    server = CallbackServer()
    began = time.monotonic()
    with pytest.raises(CliError, match="Nobody signed in"):
        server.wait("s", 0.2)
    server.close()
    assert time.monotonic() - began < 5


def test_a_refusal_at_the_page_is_told(environment: Environment) -> None:
    with pytest.raises(CliError, match="You may not") as refused:
        Attempt.start(8400).finish(environment, Answer(None, "access_denied", "You may not"))
    assert refused.value.code == "access_denied"


def code_for(environment: Environment, attempt: Attempt, pool: Any) -> Answer:
    pool._codes["c"] = parameters(attempt.address(environment))
    return Answer("c", None, None)


def test_a_code_is_exchanged_for_tokens(environment: Environment, pool: Any) -> None:
    attempt = Attempt.start(8400)
    assert attempt.finish(environment, code_for(environment, attempt, pool)).fresh


def test_a_code_of_another_attempt_is_refused(environment: Environment, pool: Any) -> None:
    answer = code_for(environment, Attempt.start(8400), pool)
    with pytest.raises(CliError, match="refused") as refused:
        Attempt.start(8400).finish(environment, answer)
    assert refused.value.code == "invalid_grant"


@pytest.mark.parametrize(
    "claims",
    [{"nonce": "other"}, {"nonce": None}, {"iss": "https://elsewhere"}, {"aud": "other"}, {"token_use": "access"}, {"exp": 1}],
)
def test_an_identity_token_that_is_not_for_this_sign_in_is_refused(
    environment: Environment, pool: Any, claims: dict[str, Any]
) -> None:
    pool.id_claims = claims
    attempt = Attempt.start(8400)
    with pytest.raises(CliError, match=r"not for this sign-in|already ended"):
        attempt.finish(environment, code_for(environment, attempt, pool))


@pytest.mark.parametrize("claims", [{"iss": "https://elsewhere"}, {"client_id": "other"}, {"token_use": "id"}, {"exp": "soon"}])
def test_an_access_token_that_is_not_of_this_pool_and_client_is_refused(
    environment: Environment, pool: Any, claims: dict[str, Any]
) -> None:
    pool.access_claims = claims
    attempt = Attempt.start(8400)
    with pytest.raises(CliError, match=r"not for this sign-in|without an end"):
        attempt.finish(environment, code_for(environment, attempt, pool))


def test_an_untrusted_certificate_ends_the_sign_in(environment: Environment, pool: Any) -> None:
    attempt = Attempt.start(8400)
    answer = code_for(environment, attempt, pool)
    with pytest.raises(CliError, match=r"certificate of localhost:[0-9]+ is not trusted"):
        attempt.finish(environment.model_copy(update={"ca_bundle": None}), answer)
    assert not pool.server.requests("POST", "/oauth2/token")
