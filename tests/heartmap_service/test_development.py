"""Development mode: it starts on one person's machine alone, and who calls is checked there as everywhere."""

import contextlib
import ipaddress
import json
import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from heartmap_service import development, server
from heartmap_service.development import DEPLOYED, NotHere, check, own_surroundings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
EVERY = "0.0.0.0"  # noqa: S104  # refused
LOCAL = {"HEARTMAP_ENVIRONMENT": "local"}


@pytest.mark.parametrize("environment", [None, "", "dev", "prod", "LOCAL", "local ", "local,prod"])
def test_it_starts_in_local_alone_and_only_where_that_is_said(environment: str | None) -> None:
    with pytest.raises(NotHere, match="HEARTMAP_ENVIRONMENT=local"):
        check({} if environment is None else {"HEARTMAP_ENVIRONMENT": environment}, "127.0.0.1")


@pytest.mark.parametrize("variable", DEPLOYED)
def test_it_does_not_start_where_aws_runs_it(variable: str) -> None:
    with pytest.raises(NotHere, match=variable):
        check({**LOCAL, variable: "x"}, "127.0.0.1")


@pytest.mark.parametrize(
    "address", [EVERY, "::", "10.0.0.1", "203.0.113.9", "", "localhost", "example.org", "fe80::1", "127.0.0.1.x"]
)
def test_it_listens_on_the_loopback_alone(address: str) -> None:
    with pytest.raises(NotHere, match="loopback"):
        check(LOCAL, address)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
def test_the_loopback_is_that_of_both_families(address: str) -> None:
    check(LOCAL, address)


async def _nothing(*_: Any) -> None: ...


@pytest.mark.parametrize("address", [EVERY, "::", "10.0.0.1"])
def test_no_server_of_ours_speaks_plain_http_to_others(address: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        server.without_tls(_nothing, host=address, port=0)


def test_no_process_that_is_deployed_knows_plain_http() -> None:
    """The call is in this module, and its definition in the server's."""
    users = [file.name for file in sorted((ROOT / "heartmap_service").glob("*.py")) if "without_tls" in file.read_text()]
    assert users == ["development.py", "server.py"]
    importing = [
        file.name
        for file in sorted((ROOT / "heartmap_service").glob("*.py"))
        if re.search(r"import.*\bdevelopment\b", file.read_text())
    ]
    assert importing == []


def test_nothing_of_this_machines_aws_takes_part() -> None:
    environ = {**LOCAL, "AWS_PROFILE": "prod", "AWS_SESSION_TOKEN": "x", "AWS_ENDPOINT_URL": "https://x", "PATH": "/bin"}
    environ |= {"HEARTMAP_IDENTITY": "assertion", "HEARTMAP_TRUSTED_PROXIES": "0.0.0.0/0", "HEARTMAP_SECRETS": "arn:x"}
    own_surroundings(environ)
    assert environ == {
        **LOCAL,
        "PATH": "/bin",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


class Running:
    """A process of its own. ``key`` is what it told."""

    def __init__(self, line: str, directory: Path, log: Path) -> None:
        words = shlex.split(line)
        set_here = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
        arguments = [word for word in words if not re.match(r"[A-Z_]+=", word)]
        assert arguments[0] == ".venv/bin/python", line
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HEARTMAP_"))}
        self._log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, *arguments[1:], "--port", str(self.port)],
                env=clean | set_here | {"PYTHONPATH": str(ROOT)},
                cwd=directory,
                stdout=stream,
                stderr=subprocess.PIPE,
                text=True,
            )
        self.said = self._until("Ctrl-C ends it.")
        (self.key,) = re.findall(r"export KEY=(\S+)", self.said)
        self.address = re.findall(r"(https?://localhost:\d+)/models", self.said)[0]

    def _until(self, words: str) -> str:
        assert self.process.stderr is not None
        said = ""
        for line in self.process.stderr:
            said += line
            if words in line:
                return said
        raise AssertionError(said + self.log)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def call(
        self, method: str, path: str, *, key: str | None = "", trust: ssl.SSLContext | bool = True, **more: Any
    ) -> httpx.Response:
        """With the key that was told unless another, or None, is given. Waits until it listens."""
        headers = {} if key is None else {"Authorization": f"ApiKey {key or self.key}"}
        headers |= more.pop("headers", {})
        until = time.monotonic() + 30
        while True:
            try:
                return httpx.request(method, f"{self.address}{path}", headers=headers, verify=trust, timeout=30, **more)
            except httpx.ConnectError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def end(self, sent: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(sent)
        said = self.process.communicate(timeout=60)[1]
        return self.process.returncode, said


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Running]]:
    with contextlib.ExitStack() as stack:

        def begin(line: str) -> Running:
            running = Running(line, tmp_path, tmp_path / "log")
            stack.callback(running.process.kill)
            return running

        yield begin


def documented(words: str) -> str:
    """The one command of the page with these words in it."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.replace("\\\n", " "), re.MULTILINE | re.DOTALL)
    (line,) = [" ".join(line.split()) for block in blocks for line in block.splitlines() if words in line]
    return line


def by_curl(running: Running, line: str, directory: Path) -> Any:
    """What the page's curl prints, with the key that was told and the port that is free here."""
    words = ["bash", "-euc", line.replace(":8000/", f":{running.port}/")]
    done = subprocess.run(words, cwd=directory, env=os.environ | {"KEY": running.key}, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_the_command_serves_api_and_worker_to_who_has_the_key(start: Any, small: Path) -> None:
    running = start(documented("HEARTMAP_ENVIRONMENT=local .venv/bin/python -m heartmap_service.development"))
    assert running.address == f"http://localhost:{running.port}"
    listening = [
        each
        for process in (psutil.Process(running.process.pid), *psutil.Process(running.process.pid).children(recursive=True))
        for each in process.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    ]
    assert {ipaddress.ip_address(each.laddr.ip).is_loopback for each in listening} == {True}
    for key in (None, f"{running.key[:-1]}{'A' if running.key[-1] != 'A' else 'B'}", "hm_local_x"):
        assert running.call("GET", "/models", key=key).status_code == 401
    assert running.call("GET", "/models", headers={"Host": "evil.example"}).status_code == 421
    assert running.call("GET", "/models").json()["models"]
    assert by_curl(running, documented("curl -H"), small.parent)["models"]
    # What a person needs a fresh sign-in for, and a program a signature, is not for this key.
    assert running.call("POST", "/config", json={"resolution": 0.5}).status_code == 403
    upload = running.call("POST", "/uploads", json={"name": "cells.h5ad", "bytes": small.stat().st_size}).json()
    sent = httpx.post(upload["url"], data=upload["fields"], files={"file": small.read_bytes()}, timeout=30)
    assert sent.is_success, sent.text
    until = time.monotonic() + 300
    # The worker has it. What it makes of it is for others to test, and takes it a while to get ready for.
    while (state := running.call("GET", f"/uploads/{upload['upload_id']}").json()["state"]) == "pending":
        assert time.monotonic() < until, running.log[-3000:]
        time.sleep(0.5)
    assert state in ("checking", "accepted")
    children = psutil.Process(running.process.pid).children(recursive=True)
    assert children
    code, said = running.end(signal.SIGINT)
    assert code == 0, said
    assert not psutil.wait_procs(children, timeout=10)[1]
    assert running.key not in running.log
    assert running.key not in said


def test_with_certificates_it_is_uvicorn_with_tls(start: Any, tmp_path: Path) -> None:
    subprocess.run(shlex.split(documented("openssl req")), cwd=tmp_path, check=True, capture_output=True)
    running = start(documented("HEARTMAP_TLS_KEY=key.pem .venv/bin/python -m heartmap_service.development") + " --no-worker")
    assert running.address == f"https://localhost:{running.port}"
    assert (
        running.call("GET", "/models", trust=ssl.create_default_context(cafile=tmp_path / "certificate.pem")).status_code == 200
    )
    assert by_curl(running, documented("curl --cacert"), tmp_path)["models"]
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"http://localhost:{running.port}/models", timeout=10)
    assert not psutil.Process(running.process.pid).children()
    assert running.end()[0] == 0


def test_elsewhere_it_says_why_it_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for variables, words in (({"HEARTMAP_ENVIRONMENT": "prod"}, []), (LOCAL, ["--bind", EVERY])):
        monkeypatch.setattr("sys.argv", ["development", *words])
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit, match="Development mode"):
            development.main()
