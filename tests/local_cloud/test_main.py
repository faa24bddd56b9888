"""What `make local` refuses before it starts anything."""

from __future__ import annotations

import json
import shutil
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from filelock import FileLock
from moto import mock_aws
from typer.testing import CliRunner, Result

from infra.settings import SettingsError
from local_cloud import __main__ as local
from local_cloud import engine
from local_cloud.supervisor import Supervisor


class Disk(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state directory on a machine on which everything is in order, until a test says otherwise."""
    monkeypatch.setattr(engine, "locate", lambda: Path("/bin/true"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(100 * 1024**3, 0, 100 * 1024**3))
    yield tmp_path / ".local"
    assert not Supervisor(tmp_path / ".local").running()


def up(state: Path, *more: str) -> Result:
    return CliRunner().invoke(local.app, ["up", "--state", str(state), *more])


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 1
    said = " ".join(result.stderr.split())
    assert "Traceback" not in said
    for word in words:
        assert word in said


def test_a_busy_port_is_named_with_what_to_do(state: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(up(state, "--edge-port", str(port)), f"Port {port}", "edge", "--edge-port")


def test_too_little_disk_is_said_with_the_figures(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(100, 100, 300 * 1024**2))
    refused(up(state), "0.3 GiB", "2 GiB")


def test_a_disk_that_fills_up_on_the_way_is_said(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(local, "start_cloud", full)
    refused(up(state, "--edge-port", str(local.free_port()), "--login-port", str(local.free_port())), "disk is full")


def test_a_wrong_setting_is_said_as_the_program_says_it(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: Any) -> None:
        raise SettingsError("unknown key heartmap:colour in Pulumi.local.yaml: remove it")

    monkeypatch.setattr(local, "load_stack_file", wrong)
    refused(up(state), "heartmap:colour", "remove it")


def test_without_an_engine_nothing_starts(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Path:
        raise engine.EngineMissing("There is no Pulumi CLI. Install it.")

    monkeypatch.setattr(engine, "locate", missing)
    refused(up(state), "Install it")


@pytest.mark.parametrize("command", ["up", "down"])
def test_two_at_once_are_refused(state: Path, command: str) -> None:
    state.mkdir()
    with FileLock(state / "lock"):
        refused(CliRunner().invoke(local.app, [command, "--state", str(state)]), "Another `make local`")


def test_what_fails_on_the_way_up_is_taken_down_again(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        assert Supervisor(state).running()
        raise local.UpFailed("the data set could not be made")

    monkeypatch.setattr(local, "update", fail)
    refused(
        up(state, "--edge-port", str(local.free_port()), "--login-port", str(local.free_port())), "data set could not be made"
    )
    assert not Supervisor(state).running()
    assert not (state / "environment.json").exists()
    assert not (state / "ports.json").exists()


def test_down_where_nothing_runs_is_fine(state: Path) -> None:
    assert CliRunner().invoke(local.app, ["down", "--state", str(state)]).exit_code == 0


def test_users_get_random_passwords_that_are_kept_in_a_private_file(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    users = local.passwords(tmp_path / "one")
    assert set(users) == {"viewer", "analyst", "admin"}
    every = {user["password"] for users in (users, local.passwords(tmp_path / "two")) for user in users.values()}
    assert len(every) == 6
    assert local.passwords(tmp_path / "one") == users
    assert stat.S_IMODE((tmp_path / "one" / "users.json").stat().st_mode) == 0o600


def test_making_the_users_twice_leaves_one_user_a_role_in_its_group(tmp_path: Path) -> None:
    users = local.passwords(tmp_path)
    with mock_aws():
        cognito: Any = boto3.client("cognito-idp")
        pool = cognito.create_user_pool(PoolName="p")["UserPool"]["Id"]
        for role in users:
            cognito.create_group(UserPoolId=pool, GroupName=role)
        for _ in range(2):
            local.make_users(cognito, pool, users)
        for role, user in users.items():
            members = cognito.list_users_in_group(UserPoolId=pool, GroupName=role)["Users"]
            assert [member["Username"] for member in members] == [user["username"]]
        assert len(cognito.list_users(UserPoolId=pool)["Users"]) == 3


def test_a_changed_source_or_output_changes_the_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PROJECT", tmp_path)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("a = 1")
    first = local.fingerprint(("code",), {"x": 1})
    assert local.fingerprint(("code",), json.loads('{"x": 1}')) == first
    assert local.fingerprint(("code",), {"x": 2}) != first
    (tmp_path / "code" / "a.py").write_text("a = 2")
    assert local.fingerprint(("code",), {"x": 1}) != first
