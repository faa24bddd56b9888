"""supervisord and the steward, with small programs in the place of the real ones."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local_cloud import supervisor
from local_cloud.supervisor import Ports, Supervisor, SupervisorFailed, write_private

SLEEPER = [sys.executable, "-c", "import time\nwhile True: time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(60)",
]


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    scripts = {name: tmp_path / f"{name}.py" for name in ("moto", "api", "worker", "broken")}
    for name, script in scripts.items():
        script.write_text("raise SystemExit(1)" if name == "broken" else SLEEPER[2])
    monkeypatch.setattr(supervisor, "programs", lambda *_: {name: [sys.executable, str(file)] for name, file in scripts.items()})
    state = tmp_path / "state 100%"
    state.mkdir()
    under = Supervisor(state)
    under.start(Ports(), {"MARKER": "reaches the programs"})
    try:
        yield under
    finally:
        under.stop()


def test_programs_start_when_asked_with_the_given_environment(running: Supervisor) -> None:
    assert set(running.pids()) == {"steward"}
    pid = running.start_program("moto")
    assert psutil.Process(pid).environ()["MARKER"] == "reaches the programs"
    assert running.pids()["moto"] == pid


def test_a_program_that_ends_at_once_is_named_with_its_log(running: Supervisor) -> None:
    with pytest.raises(SupervisorFailed, match=r"broken.*broken\.log"):
        running.start_program("broken")


def test_a_restarted_program_changes_the_environment_file(running: Supervisor) -> None:
    for name in ("moto", "api", "worker"):
        running.start_program(name)
    environment = running.state / "environment.json"
    write_private(environment, {"api": "kept", "processes": supervisor.processes(running.pids())})
    before = json.loads(environment.read_text())["processes"]
    assert before["worker"] == [running.pids()["worker"]]
    psutil.Process(before["api"]).kill()

    def renewed() -> bool:
        pid = json.loads(environment.read_text())["processes"].get("api", before["api"])
        return pid != before["api"] and psutil.pid_exists(pid)

    until(renewed, "environment.json still names the dead process")
    assert json.loads(environment.read_text())["api"] == "kept"
    assert stat.S_IMODE(environment.stat().st_mode) == 0o600


def test_when_the_emulated_aws_dies_everything_ends(running: Supervisor) -> None:
    for name in ("moto", "api"):
        running.start_program(name)
    write_private(running.state / "environment.json", {"processes": {}})
    api = psutil.Process(running.pids()["api"])
    psutil.Process(running.pids()["moto"]).kill()
    until(lambda: not running.running() and not api.is_running(), "the environment outlives its AWS")
    assert not (running.state / "environment.json").exists()


def test_stop_ends_what_a_killed_supervisor_left_and_nothing_else(running: Supervisor) -> None:
    api = psutil.Process(running.start_program("api"))
    other = subprocess.Popen(SLEEPER, env=os.environ | {supervisor.MARK: "/another/state"})
    stubborn = subprocess.Popen(STUBBORN, env=os.environ | {supervisor.MARK: str(running.state)})
    try:
        psutil.Process(int((running.state / "supervisord.pid").read_text())).kill()
        until(lambda: not running.running(), "supervisord still answers")
        running.stop()
        assert not api.is_running() or api.status() == psutil.STATUS_ZOMBIE
        assert not psutil.pid_exists(stubborn.pid)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
        stubborn.kill()
        stubborn.wait()


def test_a_private_file_is_replaced_in_one_step_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "environment.json"
    file.write_text("{}")
    file.chmod(0o644)
    write_private(file, {"a": 1})
    assert json.loads(file.read_text()) == {"a": 1}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]
