"""`heartmapctl keys` as it is typed."""

import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from typer.testing import CliRunner, Result

from lambda_authorizer.access_policy import SCOPES
from operator_cli.main import app
from operator_cli.output import REPLACEMENT
from operator_cli.signing import load, public_text
from operator_cli.vocabulary import Scope

KEY_ID, OTHER_ID = "01J8ZQ4Y7M3W5X9K2B6C1D0EFJ", "01J8ZQ4Y7M3W5X9K2B6C1D0EFK"
KEY = f"hm_local_{KEY_ID}_{'s' * 43}"
HOUR = 3600


def run(*words: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, list(words), input=typed, catch_exceptions=False)


def record(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    return {
        "key_id": KEY_ID,
        "name": "nightly",
        "principal": "program:nightly",
        "scopes": ["analyses:read", "models:read"],
        "source_ranges": [],
        "signed": False,
        "created_at": now,
        "created_by": "ada",
        "expires_at": now + 90 * 24 * HOUR,
        "revoked_at": None,
        "replaced_by": None,
        "last_used_at": None,
        **changes,
    }


@pytest.fixture
def keys(server: Any, signed_in: Any, reply: Any) -> Any:
    """The routes of keys, on the fake server."""
    server.routes |= {
        ("POST", "/keys"): reply(201, record(key=KEY)),
        ("GET", "/keys"): reply(200, {"keys": [record()]}),
        ("POST", f"/keys/{KEY_ID}/rotate"): reply(201, record(key_id=OTHER_ID, key=KEY.replace(KEY_ID, OTHER_ID))),
        ("DELETE", f"/keys/{KEY_ID}"): reply(200, record(revoked_at=int(time.time()))),
    }
    return server


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import _NamedTextIOWrapper  # pyright: ignore[reportAttributeAccessIssue]

    monkeypatch.setattr(_NamedTextIOWrapper, "isatty", lambda _: True, raising=False)


# create


def test_a_key_is_made_with_its_scopes_and_no_more(keys: Any) -> None:
    result = run("keys", "create", "nightly", "--scope", "models:read", "--scope", "analyses:read", "--scope", "models:read")
    assert result.exit_code == 0, result.output
    [sent] = keys.requests("POST", "/keys")
    assert sent.json == {"name": "nightly", "scopes": ["analyses:read", "models:read"]}


def test_everything_that_can_be_said_of_a_key_is_sent(keys: Any, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    words = ["--scope", "config:write", "--expires-in-days", "7", "--from", "192.0.2.0/24", "--from", "2001:DB8::/48"]
    assert run("keys", "create", "settings", *words, "--from", "198.51.100.7", "--sign-with", str(file)).exit_code == 0
    [sent] = keys.requests("POST", "/keys")
    assert sent.json == {
        "name": "settings",
        "scopes": ["config:write"],
        "expires_in_days": 7,
        "source_ranges": ["192.0.2.0/24", "2001:db8::/48", "198.51.100.7/32"],
        "signing_key": public_text(load(file)),
    }


def test_the_key_is_printed_once_with_a_warning_and_how_to_use_it(keys: Any) -> None:
    result = run("keys", "create", "nightly", "--scope", "models:read")
    assert result.output.count(KEY) == 1
    assert KEY in result.stdout
    assert "it will not be shown again" in result.stderr
    assert "HEARTMAP_API_KEY_FILE" in result.stderr
    assert REPLACEMENT not in result.output
    assert "HEARTMAP_SIGNING_KEY_FILE" not in result.stderr


def test_for_programs_the_key_is_a_member_of_the_document(keys: Any) -> None:
    result = run("keys", "create", "nightly", "--scope", "models:read", "--json")
    document = json.loads(result.stdout)
    assert (document["key"], document["key_id"], document["created_by"]) == (KEY, KEY_ID, "ada")
    assert result.stderr == ""


def test_a_lost_answer_is_not_asked_for_again(keys: Any, reply: Any) -> None:
    """The key would be made a second time."""
    keys.routes["POST", "/keys"] = reply(503, {"code": "unavailable", "detail": "Try again."})
    assert run("keys", "create", "nightly", "--scope", "models:read").exit_code == 1
    assert len(keys.requests("POST", "/keys")) == 1


def test_a_signing_key_is_made_for_its_owner_alone_and_never_replaced(keys: Any, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    old = os.umask(0)
    try:
        made = run("keys", "create", "nightly", "--scope", "models:read", "--sign-with", str(file))
    finally:
        os.umask(old)
    assert f"The signing key was made: {file}" in made.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    written = file.read_bytes()
    load_pem_private_key(written, None)
    assert b"BEGIN PRIVATE KEY" in written
    assert written.decode() not in made.output
    again = run("keys", "rotate", KEY_ID, "--sign-with", str(file))
    assert "was made" not in again.stderr
    assert file.read_bytes() == written
    [first], [second] = keys.requests("POST", "/keys"), keys.requests("POST", f"/keys/{KEY_ID}/rotate")
    assert first.json["signing_key"] == second.json["signing_key"] == public_text(load(file))


def test_a_signed_key_says_how_to_sign(keys: Any, reply: Any, tmp_path: Path) -> None:
    keys.routes["POST", "/keys"] = reply(201, record(key=KEY, signed=True))
    file = tmp_path / "key.pem"
    assert (
        f"HEARTMAP_SIGNING_KEY_FILE={file}"
        in run("keys", "create", "n", "--scope", "models:read", "--sign-with", str(file)).stderr
    )


def test_a_file_that_is_no_signing_key_makes_no_key(keys: Any, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("my notes")
    result = run("keys", "create", "nightly", "--scope", "models:read", "--sign-with", str(file), "--json")
    assert result.exit_code == 2
    assert "not a private key in PEM" in json.loads(result.stdout)["error"]["message"]
    assert file.read_text() == "my notes"
    assert not keys.requests("POST", "/keys")


def test_a_link_to_nowhere_is_not_followed(keys: Any, tmp_path: Path) -> None:
    (tmp_path / "key.pem").symlink_to(tmp_path / "elsewhere.pem")
    assert run("keys", "create", "n", "--scope", "models:read", "--sign-with", str(tmp_path / "key.pem")).exit_code == 2
    assert not (tmp_path / "elsewhere.pem").exists()


def test_a_scope_that_only_signed_calls_may_have_says_what_to_give(keys: Any, refuse: Any) -> None:
    keys.routes["POST", "/keys"] = refuse(400, "signing_key_required", "A key with config:write has to sign its calls.")
    result = run("keys", "create", "settings", "--scope", "config:write")
    assert result.exit_code == 1
    assert "--sign-with FILE" in result.stderr


def test_the_scopes_are_those_of_the_access_policy() -> None:
    assert {scope.value for scope in Scope} == SCOPES


# list


def test_the_list_has_a_row_for_each_key(keys: Any, reply: Any) -> None:
    now = int(time.time())
    found = [
        record(last_used_at=now - HOUR, signed=True),
        record(key_id=OTHER_ID, replaced_by=KEY_ID, expires_at=now + HOUR),
        record(revoked_at=now, replaced_by=KEY_ID),
        record(expires_at=now - 1),
        record(expires_at=now - 1, replaced_by=KEY_ID),
        record(expires_at=now - 1, revoked_at=now - 2),
    ]
    keys.routes["GET", "/keys"] = reply(200, {"keys": found})
    rows = [line.split("\t") for line in run("keys", "list").stdout.splitlines()]
    assert [row[5] for row in rows] == ["active", "ending", "revoked", "ended", "ended", "revoked"]
    assert rows[0][:3] == ["nightly", KEY_ID, "analyses:read models:read"]
    assert rows[0][4] == time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now - HOUR))
    assert rows[1][3] == time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now + HOUR))
    assert [row[6] for row in rows][:2] == ["yes", "no"]
    assert rows[1][4] == "never"
    listed = json.loads(run("keys", "list", "--json").stdout)["keys"]
    assert [key["state"] for key in listed] == [row[5] for row in rows]
    assert listed[0]["created_by"] == "ada"


def test_a_key_that_was_not_made_here_is_listed_too(keys: Any, reply: Any) -> None:
    keys.routes["GET", "/keys"] = reply(200, {"keys": [record(key_id="hand0001", name=None, expires_at=None, created_by=None)]})
    assert run("keys", "list").stdout == "\thand0001\tanalyses:read models:read\tnever\tnever\tactive\tno\n"


def test_no_keys_is_no_failure(keys: Any, reply: Any) -> None:
    keys.routes["GET", "/keys"] = reply(200, {"keys": []})
    result = run("keys", "list")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No keys.\n")


def test_what_a_name_holds_cannot_steer_the_terminal(keys: Any, reply: Any) -> None:
    keys.routes["GET", "/keys"] = reply(200, {"keys": [record(name="\x1b[2J", scopes=["\x1b]0;x\x07"])]})
    assert "\x1b" not in run("keys", "list").output


# rotate


def test_a_key_is_replaced(keys: Any) -> None:
    result = run("keys", "rotate", KEY_ID, "--overlap-hours", "0")
    assert result.exit_code == 0
    assert KEY.replace(KEY_ID, OTHER_ID) in result.stdout
    assert "will not be shown again" in result.stderr
    run("keys", "rotate", KEY_ID)
    first, second = keys.requests("POST", f"/keys/{KEY_ID}/rotate")
    assert first.json == {"overlap_hours": 0}
    assert second.json == {}


def test_a_key_that_cannot_be_replaced_is_exit_1(keys: Any, refuse: Any) -> None:
    keys.routes["POST", f"/keys/{KEY_ID}/rotate"] = refuse(409, "conflict", "The key was replaced already.")
    assert run("keys", "rotate", KEY_ID).exit_code == 1


# revoke


def test_a_key_is_revoked(keys: Any) -> None:
    result = run("keys", "revoke", KEY_ID, "--yes")
    assert result.exit_code == 0
    assert "revoked" in result.stdout
    assert json.loads(run("keys", "revoke", KEY_ID, "--yes", "--json").stdout)["revoked_at"]
    assert len(keys.requests("DELETE", f"/keys/{KEY_ID}")) == 2


def test_without_a_terminal_nothing_is_revoked_unless_it_is_said(keys: Any) -> None:
    result = run("keys", "revoke", KEY_ID, "--json", typed="y\n")
    assert result.exit_code == 2
    assert "--yes" in json.loads(result.stdout)["error"]["next_step"]
    assert not keys.seen


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("yes\n", 0), ("n\n", 1), ("\n", 1), ("", 1)])
def test_on_a_terminal_it_asks(keys: Any, terminal: None, typed: str, code: int) -> None:
    result = run("keys", "revoke", KEY_ID, "--json", typed=typed)
    assert result.exit_code == code, result.output
    assert f"Revoke the key {KEY_ID} of the local environment for ever?" in result.stderr
    assert len(keys.requests("DELETE", f"/keys/{KEY_ID}")) == (code == 0)


def test_an_unknown_key_is_exit_1_and_says_where_the_known_ones_are(keys: Any, refuse: Any) -> None:
    keys.routes["DELETE", f"/keys/{OTHER_ID}"] = refuse(404, "key_not_found", "There is no such key.")
    result = run("keys", "revoke", OTHER_ID, "--yes")
    assert result.exit_code == 1
    assert "heartmapctl keys list" in result.stderr


# all of them


@pytest.mark.parametrize(
    "words",
    [
        ["create"],
        ["create", "nightly"],
        ["create", "nightly", "--scope", "everything"],
        ["create", "Nightly", "--scope", "models:read"],
        ["create", "-x", "--scope", "models:read"],
        ["create", "n" * 65, "--scope", "models:read"],
        ["create", "nightly\n", "--scope", "models:read"],
        ["create", "nightly", "--scope", "models:read", "--expires-in-days", "0"],
        ["create", "nightly", "--scope", "models:read", "--expires-in-days", "366"],
        ["create", "nightly", "--scope", "models:read", "--from", "192.0.2.1/24"],
        ["create", "nightly", "--scope", "models:read", "--from", "office"],
        ["create", "nightly", "--scope", "models:read", "--sign-with", "."],
        ["create", "nightly", "--scope", "models:read", "--sign-with", "no/such/directory/key.pem"],
        ["rotate"],
        ["rotate", "../config"],
        ["rotate", KEY],
        ["rotate", KEY_ID, "--overlap-hours", "169"],
        ["rotate", KEY_ID, "--overlap-hours", "-1"],
        ["revoke"],
        ["revoke", "..", "--yes"],
        ["revoke", "nightly", "--yes"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_exit_2_and_calls_nothing(keys: Any, words: list[str]) -> None:
    result = run("keys", *words, "--json")
    assert result.exit_code == 2, result.output
    assert json.loads(result.stdout)["error"]["message"]
    assert KEY not in result.output
    assert not keys.seen


@pytest.mark.parametrize(
    "words",
    [["create", "nightly", "--scope", "models:read"], ["list"], ["rotate", KEY_ID], ["revoke", KEY_ID, "--yes"]],
    ids=lambda words: words[0],
)
def test_without_a_session_and_with_an_old_one_it_is_exit_3(
    keys: Any, words: list[str], reply: Any, refuse: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    too_old = refuse(403, "forbidden", "You may not do this.")
    too_old.body["reason"] = "sign_in_too_old"
    keys.routes = dict.fromkeys(keys.routes, too_old)
    result = run("keys", *words, "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["error"]["next_step"] == "Sign in again, then repeat it: heartmapctl login"
    assert run("logout").exit_code in (0, 1)
    assert run("keys", *words, "--json").exit_code == 3


@pytest.mark.parametrize("verb", ["create", "list", "rotate", "revoke"])
def test_every_verb_has_help_and_the_two_options_of_all(verb: str) -> None:
    result = run("keys", verb, "--help")
    assert result.exit_code == 0
    assert {"--json", "--environment"} <= set(result.stdout.split())


def test_the_environment_may_stand_after_the_verb(keys: Any) -> None:
    assert run("keys", "list", "--environment", "local").exit_code == 0
    assert run("keys", "list", "--environment", "prod").exit_code == 1
