"""A program in place of a person: what the environment variables name, and what is sent with it."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner, Result

from lambda_authorizer import signature
from operator_cli.credentials import KEY_FILE_VARIABLE, KEY_VARIABLE, SIGNING_KEY_FILE_VARIABLE, api_key
from operator_cli.environments import Environment
from operator_cli.errors import WrongUse
from operator_cli.main import app
from operator_cli.signing import load_or_make

KEY_ID = "01J8ZQ4Y7M3W5X9K2B6C1D0EFJ"
SECRET = "s_e-c" * 9
KEY = f"hm_local_{KEY_ID}_{SECRET}"


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


@pytest.fixture
def signing_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ed25519PrivateKey:
    file = tmp_path / "key.pem"
    monkeypatch.setenv(SIGNING_KEY_FILE_VARIABLE, str(file))
    return load_or_make(file)[0]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)


def verified(request: Any, key: Ed25519PrivateKey) -> signature.Signed:
    """What the authorizer makes of a request that reached the server. Raises Refused."""
    import time
    from urllib.parse import parse_qs, urlsplit

    parts = urlsplit(request.path)
    headers = {name: [value] for name, value in request.headers.items()}
    query = parse_qs(parts.query, keep_blank_values=True)
    signed = signature.read(headers, method=request.method, path=parts.path, parameters=query)
    signature.verify(signed, key_id=KEY_ID, public_key=key.public_key().public_bytes_raw(), now=time.time())
    assert request.headers["content-digest"] == signature.content_digest(request.body)
    return signed


# Every verb that calls the service


@pytest.mark.parametrize(
    "words",
    [
        ["upload", "FILE", "--wait"],
        ["analyze", "FILE", "--type", "basic", "--wait", "--output", "OUT"],
        ["jobs", "list"],
        ["jobs", "show", "01J8ZQ4Y7M3W5X9K2B6C1D0EFH"],
        ["jobs", "cancel", "01J8ZQ4Y7M3W5X9K2B6C1D0EFH"],
        ["results", "01J8ZQ4Y7M3W5X9K2B6C1D0EFH", "--output", "OUT"],
        ["api", "GET", "/models"],
        ["keys", "list"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
@pytest.mark.parametrize("signs", [False, True])
def test_a_program_calls_with_its_key_and_without_a_session(
    routes: Any, program: None, words: list[str], tmp_path: Path, signs: bool, request: pytest.FixtureRequest
) -> None:
    key = request.getfixturevalue("signing_key") if signs else None
    file = tmp_path / "cells.h5ad"
    file.write_bytes(b"\x89HDF\r\n\x1a\n" + b"cells" * 1000)
    result = run(*({"FILE": str(file), "OUT": str(tmp_path / "out")}.get(word, word) for word in words))
    assert result.exit_code == 0, result.output
    assert routes.server.seen
    for sent in routes.server.seen:
        assert sent.headers["authorization"] == f"ApiKey {KEY}"
        assert ("signature" in sent.headers) == signs
        if key is not None:
            verified(sent, key)
    assert all("authorization" not in sent.headers for sent in routes.bucket.seen)
    assert SECRET not in result.output
    assert not list((tmp_path / "local-state").glob("heartmapctl/*.json"))


@pytest.fixture
def routes(service_routes: Any, reply: Any) -> Any:
    service_routes.server.routes["GET", "/keys"] = reply(200, {"keys": []})
    return service_routes


def test_a_session_that_is_there_is_not_used(routes: Any, signed_in: Any, program: None) -> None:
    assert run("jobs", "list").exit_code == 0
    assert signed_in.access_token not in str(routes.server.seen)


def test_the_key_may_stand_in_a_file(routes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(tmp_path / "key"))
    assert run("jobs", "list").exit_code == 0
    assert routes.server.seen[0].headers["authorization"] == f"ApiKey {KEY}"


def test_empty_variables_are_unset(routes: Any, signed_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (KEY_VARIABLE, KEY_FILE_VARIABLE, SIGNING_KEY_FILE_VARIABLE):
        monkeypatch.setenv(name, "")
    assert run("jobs", "list").exit_code == 0
    assert routes.server.seen[0].headers["authorization"] == f"Bearer {signed_in.access_token}"


def test_each_try_is_signed_anew(routes: Any, program: None, signing_key: Ed25519PrivateKey, reply: Any) -> None:
    from collections import deque

    routes.server.routes["GET", "/models"] = deque([reply(503), reply(503), reply(200, {})])
    assert run("api", "GET", "/models").exit_code == 0
    assert len({verified(sent, signing_key).nonce for sent in routes.server.seen}) == 3


def test_the_query_is_sent_in_the_spelling_that_is_signed(routes: Any, program: None, signing_key: Ed25519PrivateKey) -> None:
    assert run("api", "GET", "/models?b=2+3&a=%7e%2f&b=1&c&a=é".replace("é", "%C3%A9")).exit_code == 0
    [sent] = routes.server.seen
    assert sent.path == "/models?a=%C3%A9&a=~%2F&b=1&b=2%203&c="
    verified(sent, signing_key)


def test_a_query_that_is_no_text_is_not_sent(routes: Any, program: None, signing_key: Ed25519PrivateKey) -> None:
    assert run("api", "GET", "/models?a=%FF").exit_code == 2
    assert not routes.server.seen


def test_whoami_tells_the_key_and_not_its_secret(routes: Any, signed_in: Any, program: None) -> None:
    result = run("whoami", "--json")
    caller = {"environment": "local", "key_id": KEY_ID, "signed": False, "key_from": "HEARTMAP_API_KEY"}
    assert json.loads(result.stdout).items() >= caller.items()
    assert KEY_ID in run("whoami").stdout
    assert SECRET not in result.output + run("whoami").output


def test_a_sign_in_beside_a_key_says_which_one_counts(state: Path, program: None) -> None:
    result = run("login", "--as", "analyst")
    assert result.exit_code == 0
    assert "analyst-1" in result.stdout
    assert "An API key is set" in result.stderr


def test_a_key_that_the_service_refuses_is_exit_3_and_is_tried_once(routes: Any, program: None, refuse: Any) -> None:
    routes.server.routes["GET", "/analyses"] = refuse(401, "unauthenticated", "No.", "req-401")
    result = run("jobs", "list", "--json")
    assert result.exit_code == 3
    error = json.loads(result.stdout)["error"]
    assert error["message"] == "The service does not accept this API key."
    assert error["request_id"] == "req-401"
    assert SIGNING_KEY_FILE_VARIABLE in error["next_step"]
    assert len(routes.server.seen) == 1


def test_a_signed_call_that_is_refused_asks_for_key_and_clock(routes: Any, program: None, signing_key: Any, refuse: Any) -> None:
    routes.server.routes["GET", "/analyses"] = refuse(401, "unauthenticated", "No.")
    assert "clock" in run("jobs", "list").stderr


# What is no credential


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("secret-text", "not an API key"),
        (KEY + " ", "not an API key"),
        (KEY + "\n", "not an API key"),
        (f"hm_local_{KEY_ID}", "not an API key"),
        (f"Bearer {KEY}", "not an API key"),
        (f"hm_local_{KEY_ID}_sécret" + "s" * 43, "not an API key"),
        (KEY.replace("local", "prod"), "not one of the local environment"),
    ],
)
def test_what_is_no_key_of_the_environment_is_wrong_use_and_is_not_repeated(
    routes: Any, monkeypatch: pytest.MonkeyPatch, value: str, told: str
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, value)
    result = run("jobs", "list", "--json")
    assert result.exit_code == 2
    assert told in json.loads(result.stdout)["error"]["message"]
    assert KEY_VARIABLE in result.stderr
    assert value not in result.output
    assert not routes.server.seen


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"x" * 5000])
def test_a_file_without_a_key_is_wrong_use(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (tmp_path / "key").write_bytes(content)
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(tmp_path / "key"))
    with pytest.raises(WrongUse):
        api_key(environment)


def test_a_file_that_is_not_there_is_named(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_FILE_VARIABLE, "/no/such/file")
    with pytest.raises(WrongUse, match="/no/such/file cannot be read"):
        api_key(environment)


def test_two_keys_are_wrong_use(environment: Environment, program: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_FILE_VARIABLE, "key")
    with pytest.raises(WrongUse, match="both set"):
        api_key(environment)


def test_a_signing_key_without_an_api_key_is_wrong_use(routes: Any, signed_in: Any, signing_key: Any) -> None:
    """The session would be used, and the service refuses a signature beside one."""
    assert run("jobs", "list").exit_code == 2
    assert not routes.server.seen


def test_a_signing_key_that_is_none_is_wrong_use(
    routes: Any, program: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SIGNING_KEY_FILE_VARIABLE, str(tmp_path / "nothing.pem"))
    result = run("jobs", "list")
    assert result.exit_code == 2
    assert "nothing.pem cannot be read" in result.stderr
    assert not (tmp_path / "nothing.pem").exists()
    assert not routes.server.seen
