"""The processes of the local environment, under supervisord: it starts them, restarts what dies and logs each to a file.

The emulated AWS keeps everything in memory, so it is the one process that is not restarted: `steward`, an event listener,
takes the environment down when it dies, and keeps the process ids in environment.json true when another one is restarted.
"""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

STOP_SECONDS = 40
# A state directory is marked in the environment of everything that is started for it, so that nothing else is ever ended.
MARK = "HEARTMAP_SUPERVISED_BY"


class SupervisorFailed(Exception):
    """A process did not start or did not stop. The message names it and its log file."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the local environment listens, on the loopback."""

    edge: int = 8443
    login: int = 8444
    moto: int = 0
    api: int = 0


def programs(state: Path, ports: Ports) -> dict[str, list[str]]:
    """Each process's command line, in the order in which they are started."""

    def module(name: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", name, *arguments]

    at = ("--state", str(state))
    return {
        "moto": module("local_cloud.moto_server", "--port", str(ports.moto)),
        "login": module("local_cloud.login", *at, "--port", str(ports.login)),
        "api": module("local_cloud.ecs_agent", *at, "--service", "api_service", "--port", str(ports.api)),
        "worker": module("local_cloud.ecs_agent", *at, "--service", "worker_service"),
        "edge": module("local_cloud.edge", *at, "--port", str(ports.edge)),
        "scheduler": module("local_cloud.scheduler", *at),
    }


@dataclass(frozen=True)
class Supervisor:
    """supervisord for one state directory."""

    state: Path

    @property
    def socket(self) -> Path:
        """The control socket. Not in the state directory: the path of a Unix socket is 107 bytes at most."""
        name = hashlib.sha256(str(self.state).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"heartmap-{os.getuid()}-{name}.sock"

    @property
    def _rpc(self) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        return ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def running(self) -> bool:
        """Whether supervisord answers."""
        try:
            return self._rpc.getState()["statename"] == "RUNNING"
        except (OSError, Fault):
            return False

    def start(self, ports: Ports, environment: dict[str, str]) -> None:
        """Starts supervisord with every program known and none but the steward started.

        Raises:
            SupervisorFailed: it does not answer within 30 s.
        """
        (self.state / "log").mkdir(parents=True, exist_ok=True)
        config = self.state / "supervisord.conf"
        with config.open("w") as stream:
            self._configuration(ports).write(stream)
        command = [str(Path(sys.executable).parent / "supervisord"), "-c", str(config)]
        started = subprocess.run(
            command,
            env=os.environ | environment | {MARK: str(self.state)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        deadline = time.monotonic() + 30
        while started.returncode == 0 and time.monotonic() < deadline:
            if self.running():
                return
            time.sleep(0.1)
        raise SupervisorFailed(f"The supervisor did not start. Read {self.state / 'log' / 'supervisord.log'}.")

    def start_program(self, name: str) -> int:
        """Starts one program, or starts it anew, and returns its process id.

        Raises:
            SupervisorFailed: it ended again within its first second.
        """
        try:
            if self._rpc.getProcessInfo(name)["statename"] in ("RUNNING", "STARTING", "BACKOFF"):
                self._rpc.stopProcess(name)
            self._rpc.startProcess(name)
        except Fault:
            raise SupervisorFailed(f"{name} does not start. Read {self.log(name)}.") from None
        return self._rpc.getProcessInfo(name)["pid"]

    def stop_program(self, name: str) -> None:
        """Ends one program, which is not started anew before somebody does it. Raises SupervisorFailed."""
        try:
            self._rpc.stopProcess(name)
        except Fault:
            raise SupervisorFailed(f"{name} does not run.") from None

    def pids(self) -> dict[str, int]:
        """The process ids of the programs that run."""
        return {info["name"]: info["pid"] for info in self._rpc.getAllProcessInfo() if info["pid"]}

    def log(self, name: str) -> Path:
        return self.state / "log" / f"{name}.log"

    def stop(self) -> None:
        """Ends supervisord, its programs and whatever of theirs is left, and waits until all are gone.

        Raises:
            SupervisorFailed: something is still there.
        """
        if self.running():
            # It may be on its way down already; what is left of it is found below.
            with contextlib.suppress(OSError, Fault):
                self._rpc.shutdown()
            deadline = time.monotonic() + STOP_SECONDS
            while self.running() and time.monotonic() < deadline:
                time.sleep(0.1)
        left = self._started_here()
        for end in (psutil.Process.terminate, psutil.Process.kill):
            for process in left:
                try:
                    end(process)
                except psutil.NoSuchProcess:
                    continue
            _, left = psutil.wait_procs(left, timeout=5)
        self.socket.unlink(missing_ok=True)
        if left:
            raise SupervisorFailed(f"These processes do not end: {', '.join(str(process.pid) for process in left)}.")

    def _started_here(self) -> list[psutil.Process]:
        """Every process that carries this state directory's mark, or works inside its scratch directories."""
        found = []
        for process in psutil.process_iter():
            if process.pid in (os.getpid(), os.getppid()):
                continue
            try:
                marked = process.environ().get(MARK) == str(self.state)
                inside = process.cwd().startswith(f"{self.state / 'scratch'}{os.sep}")
            except psutil.Error:
                continue
            if marked or inside:
                found.append(process)
        return found

    def _configuration(self, ports: Ports) -> configparser.RawConfigParser:
        config = configparser.RawConfigParser()
        log = self.state / "log"
        config["supervisord"] = {
            "logfile": _escaped(log / "supervisord.log"),
            "pidfile": _escaped(self.state / "supervisord.pid"),
            "childlogdir": _escaped(log),
            "directory": _escaped(self.state.parent),
            "umask": "077",
        }
        config["unix_http_server"] = {"file": _escaped(self.socket), "chmod": "0600"}
        config["rpcinterface:supervisor"] = {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"}
        for name, command in programs(self.state, ports).items():
            config[f"program:{name}"] = {
                "command": _command(command),
                "autostart": "false",
                "autorestart": "false" if name == "moto" else "true",
                "startsecs": "1",
                "startretries": "3",
                "stopwaitsecs": "25",
                # The whole group, so that no child outlives its parent.
                "stopasgroup": "true",
                "killasgroup": "true",
                "redirect_stderr": "true",
                # Expanded twice, unlike the rest.
                "stdout_logfile": _escaped(_escaped(self.log(name))),
                "stdout_logfile_maxbytes": "10MB",
                "stdout_logfile_backups": "2",
            }
        config["eventlistener:steward"] = {
            "command": _command([sys.executable, "-m", "local_cloud.supervisor", str(self.state)]),
            "events": "PROCESS_STATE_RUNNING,PROCESS_STATE_EXITED,PROCESS_STATE_FATAL",
            "stderr_logfile": _escaped(_escaped(self.log("steward"))),
        }
        return config


def _escaped(value: object) -> str:
    """supervisord expands % in every value."""
    return str(value).replace("%", "%%")


def _command(words: list[str]) -> str:
    """supervisord splits a command as a shell does."""
    return _escaped(shlex.join(words))


def processes(pids: dict[str, int]) -> dict[str, int | list[int]]:
    """The process table of environment.json: one worker today, a list so that there can be more."""
    known = {name: pid for name, pid in pids.items() if name != "steward"}
    return {name: [pid] if name == "worker" else pid for name, pid in known.items()}


def write_private(file: Path, content: dict[str, Any]) -> None:
    """Writes JSON that only its owner can read, in one step: a reader sees the old file or the new one."""
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        json.dump(content, stream, indent=2)
    fresh.replace(file)


def steward(state: Path) -> None:
    """Listens to supervisord's events. http://supervisord.org/events.html#event-listener-notification-protocol"""
    supervisor = Supervisor(state)
    environment = state / "environment.json"
    while True:
        sys.stdout.write("READY\n")
        sys.stdout.flush()
        header = dict(pair.split(":", 1) for pair in sys.stdin.readline().split())
        if not header:
            return
        event = dict(pair.split(":", 1) for pair in sys.stdin.read(int(header["len"])).split())
        if event["processname"] == "moto" and header["eventname"] != "PROCESS_STATE_RUNNING":
            environment.unlink(missing_ok=True)
            supervisor._rpc.shutdown()
        elif environment.exists():
            content = json.loads(environment.read_text())
            write_private(environment, content | {"processes": processes(supervisor.pids())})
        sys.stdout.write("RESULT 2\nOK")
        sys.stdout.flush()


if __name__ == "__main__":
    steward(Path(sys.argv[1]))
