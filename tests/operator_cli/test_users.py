"""`heartmapctl users` as it is typed."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from operator_cli.main import app

ADA = {
    "username": "ada@example.org",
    "subject": "7af6d5e0-2331-4077-a805-b1883881b4ba",
    "email": "ada@example.org",
    "groups": ["analyst"],
    "enabled": True,
    "status": "FORCE_CHANGE_PASSWORD",
    "mfa": False,
    "created_at": 1_790_000_000,
    "changed_at": 1_790_000_001,
}


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["users", *words], catch_exceptions=False)


@pytest.fixture
def users(server: Any, signed_in: Any, reply: Any) -> Any:
    server.routes |= {
        ("GET", "/users"): reply(200, {"users": [ADA]}),
        ("POST", "/users"): reply(201, ADA),
        ("PATCH", "/users"): reply(200, ADA),
    }
    return server


def body(server: Any) -> Any:
    return server.seen[-1].json


def test_somebody_is_invited(users: Any) -> None:
    result = run("add", "Ada@Example.org", "--group", "analyst")
    assert result.exit_code == 0
    assert "invited" in result.stdout
    assert body(users) == {"email": "Ada@Example.org", "group": "analyst"}


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        (("disable", "--yes"), {"enabled": False}),
        (("enable",), {"enabled": True}),
        (("set-group", "viewer"), {"group": "viewer"}),
        (("set-group", "admin", "--yes"), {"group": "admin"}),
        (("set-group", "none", "--yes"), {"group": None}),
        (("reset-mfa", "--yes"), {"reset_mfa": True}),
    ],
)
def test_each_change_is_one_call_with_the_name_in_its_body(users: Any, words: tuple[str, ...], changes: dict[str, Any]) -> None:
    verb, *rest = words
    result = run(verb, "ada@example.org", *rest, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, ADA)
    assert body(users) == {"username": "ada@example.org"} | changes
    assert users.seen[-1].path == "/users"


@pytest.mark.parametrize("words", [("disable",), ("set-group", "admin"), ("set-group", "none"), ("reset-mfa",)])
def test_what_hurts_asks_first(users: Any, words: tuple[str, ...]) -> None:
    verb, *rest = words
    before = len(users.seen)
    result = run(verb, "ada@example.org", *rest)
    assert result.exit_code == 2
    assert len(users.seen) == before


def test_the_list_has_every_page(users: Any, reply: Any) -> None:
    pages = [{"users": [ADA], "next_cursor": "a+b/c="}, {"users": [ADA | {"username": "bob", "mfa": None}]}]
    users.routes["GET", "/users"] = lambda request: reply(200, pages["cursor" in request.path])
    result = run("list")
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["ada@example.org", "bob"]
    assert users.seen[-1].path.endswith("cursor=a%2Bb%2Fc%3D")
    assert [user["username"] for user in json.loads(run("list", "--limit", "1", "--json").stdout)["users"]] == ["ada@example.org"]


@pytest.mark.parametrize(
    ("code", "words"), [("no_such_user", "users list"), ("user_exists", "users set-group"), ("no_admin_any_more", "login")]
)
def test_a_refusal_says_what_to_do(users: Any, reply: Any, code: str, words: str) -> None:
    users.routes["PATCH", "/users"] = reply(409, {"code": code, "detail": "No.", "request_id": "r1"})
    result = run("enable", "ada@example.org")
    assert result.exit_code == 1
    assert f"heartmapctl {words}" in result.stderr
