"""What ``whoami`` tells: who calls, from where, until when, what is missing, and the command that repairs it."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from operator_cli.environments import Environment
from operator_cli.main import app
from operator_cli.session import Session
from operator_cli.tokens import Tokens


@pytest.fixture
def session(environment: Environment, pool: Any) -> Any:
    """Starts the session of somebody with these claims."""

    def start(**claims: Any) -> None:
        pool.access_claims = claims
        answer = pool.issue(refresh_token="refresh-1")
        tokens = Tokens(access_token=answer["access_token"], expires_at=time.time() + 600, email="someone@example.org")
        Session(environment).start(tokens)

    return start


def whoami(*words: str) -> Any:
    return CliRunner().invoke(app, ["whoami", *words])


def test_it_names_the_account_the_environment_the_place_and_the_times(session: Any, state: Path, server: Any) -> None:
    session(auth_time=int(time.time()) - 3700)
    text = whoami().stdout
    (file,) = (state / "heartmapctl").glob("*.json")
    for part in ("analyst-1", "someone@example.org", f"local ({server.url})", "analyst", str(file), "1 h 1 min ago", "renewed"):
        assert part in text


def test_its_document_is_for_programs(session: Any, server: Any) -> None:
    session(auth_time=1_700_000_000)
    me = json.loads(whoami("--json").stdout)
    assert me["email"] == "someone@example.org"
    assert (me["api"], me["subject"], me["stored_in"], me["signed_in_at"]) == (server.url, "subject", "file", 1_700_000_000)
    assert me["missing"] == []


def test_without_a_group_it_says_what_an_administrator_has_to_run(session: Any) -> None:
    session(**{"cognito:groups": []})
    result = whoami()
    assert "none" in result.stdout
    assert "heartmapctl users set-group analyst-1 viewer" in result.stderr


@pytest.mark.parametrize(("minutes", "told"), [(14, False), (16, True)])
def test_an_administrator_is_told_when_the_sign_in_is_too_old_for_changes(session: Any, minutes: int, told: bool) -> None:
    session(auth_time=int(time.time()) - minutes * 60, **{"cognito:groups": ["admin"]})
    result = whoami("--json")
    assert [each["repair"] for each in json.loads(result.stdout)["missing"]] == (["heartmapctl login"] if told else [])


def test_nobody_is_an_error_with_the_command_to_sign_in(state: Path) -> None:
    result = CliRunner().invoke(app, ["whoami", "--json"])
    assert result.exit_code == 3
    assert json.loads(result.stdout)["error"]["next_step"] == "Sign in: heartmapctl login"
