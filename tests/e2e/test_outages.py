"""Game days, a rotation and a lock-out in the running local environment. After all others: a person is shut out in the end."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_cloud.game_days import GAME_DAYS, play
from tests.e2e.conftest import Local


@pytest.mark.parametrize("name", GAME_DAYS)
def test_what_is_broken_shows_as_it_is_said_and_is_mended_as_it_is_said(local: Local, name: str) -> None:
    day, said = GAME_DAYS[name], list[str]()
    play(day, local.state, say=said.append)
    assert f"docs/runbook.md#{day.section}" in "\n".join(said)
    assert said[-1] == "Mended."
    # Of the data that it had to keep nothing is left.
    assert list(local.state.glob("game-day-*")) == []


def test_the_command_plays_a_game_day(local: Local) -> None:
    played = local.command("game-day", "dead-letters", *local.arguments, timeout=300)
    assert played.returncode == 0, played.stderr
    said = " ".join(played.stderr.split())
    assert "Speaks: dead-letters" in said
    assert said.endswith("Mended.")


def test_the_command_shows_what_spoke(local: Local) -> None:
    done = local.command("alarms", *local.arguments, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "docs/runbook.md" in done.stdout
    # An alarm speaks when the minute is over: those of the first game days have.
    shown = {words[1]: line for line in done.stdout.splitlines() if len(words := line.split()) > 2}
    assert all(" UTC " in shown[name] for name in ("api-5xx", "balancer-5xx", "keys-errors")), shown
    assert " UTC " not in shown["api-expiry" if "api-expiry" in shown else "balancer-expiry"]


def test_each_game_day_has_its_page_in_the_runbook() -> None:
    runbook = (Path(__file__).resolve().parents[2] / "docs" / "runbook.md").read_text()
    assert [day.section for day in GAME_DAYS.values() if f"\n## {day.section}\n" not in runbook] == []


def test_a_backup_is_whole_and_what_there_is(local: Local, tmp_path: Path) -> None:
    recipient = json.loads(local.ctl("operate", "backup-key", str(tmp_path / "key"), "--json").stdout)["recipient"]
    place = ("--input", str(tmp_path / "backup"), "--identity", str(tmp_path / "key"))
    made = local.ctl("operate", "backup", "--output", str(tmp_path / "backup"), "--recipient", recipient, "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["files"] > 6
    verified = local.ctl("operate", "verify", *place, "--json")
    assert (verified.returncode, json.loads(verified.stdout)["faults"]) == (0, [])
    # Nothing is written over without a word.
    refused = local.ctl("operate", "restore", *place)
    assert refused.returncode == 1
    assert "say --yes" in refused.stderr


def test_no_call_is_refused_while_the_assertion_keys_are_rotated(local: Local, token_of: Callable[[str], str]) -> None:
    answers: list[int] = []
    ended = threading.Event()

    def call(token: str) -> None:
        with local.client(token) as http:
            while not ended.is_set():
                answers.append(http.get("/models").status_code)
                # Below the rate at which callers are throttled.
                time.sleep(0.2)

    caller = threading.Thread(target=call, args=(token_of("viewer"),))
    caller.start()
    try:
        rotated = local.ctl("operate", "rotate", "assertion-keys")
    finally:
        # Calls go on after it, too.
        time.sleep(1)
        ended.set()
        caller.join()
    assert rotated.returncode == 0, rotated.stderr
    assert len(answers) > 3
    assert set(answers) == {200}


def test_whoever_is_disabled_is_shut_out_with_the_token_that_they_hold(local: Local, token_of: Callable[[str], str]) -> None:
    token = token_of("viewer")
    with local.client(token) as http:
        assert http.get("/models").status_code == 200
        username = local.environment["users"]["viewer"]["username"]
        local.ctl("login", "--as", "admin")
        began = time.monotonic()
        disabled = local.ctl("users", "disable", username, "--yes")
        assert disabled.returncode == 0, disabled.stderr
        try:
            status: Any = 200
            while status == 200 and time.monotonic() - began < 60:
                status = http.get("/models").status_code
                time.sleep(0.5)
            assert status == 401
            assert time.monotonic() - began < 40
        finally:
            local.ctl("users", "enable", username)
