"""Consoles that run over real sockets, before the fake environment of the directory above."""

import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from operator_cli.console import serve
from operator_cli.environments import Environment


class Running:
    """A console in a thread, and its one browser."""

    def __init__(self, environment: Environment) -> None:
        started = threading.Event()
        self.warnings: list[str] = []
        self.prepared = serve.prepare(environment, port=0, ready=lambda _: started.set(), warn=self.warnings.append)
        self.console = self.prepared.console
        self.port = self.console.port
        self.origin = f"http://127.0.0.1:{self.port}"
        self.cookie = {f"heartmap-console-{self.port}": self.console.secrets.cookie}
        self.key = {"X-HeartMAP-Console": self.console.secrets.page_key}
        self._thread = threading.Thread(target=self.prepared.run, daemon=True)
        self._thread.start()
        assert started.wait(10)
        self.page = httpx.Client(base_url=self.origin, cookies=self.cookie, headers=self.key, timeout=20)

    def stranger(self, **headers: str) -> httpx.Client:
        """A client of this machine that was not started by the console."""
        return httpx.Client(base_url=self.origin, headers=headers, timeout=20)

    def raw(self, request: bytes) -> bytes:
        """What comes back for these very bytes, until the console closes or is silent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=3) as connection:
            connection.sendall(request)
            answer = b""
            try:
                while block := connection.recv(65536):
                    answer += block
            except TimeoutError:
                pass
            return answer

    def status_of(self, request: bytes) -> int:
        """The status of what comes back for these bytes, sent as the console's own page would: with cookie and key."""
        name, value = next(iter(self.cookie.items()))
        secrets = (
            f"Host: 127.0.0.1:{self.port}\r\nCookie: {name}={value}\r\nX-HeartMAP-Console: {self.key['X-HeartMAP-Console']}\r\n"
        )
        line, _, rest = request.partition(b"\r\n")
        answer = self.raw(line + b"\r\n" + secrets.encode() + b"Connection: close\r\n" + rest + b"\r\n")
        return int(answer.split(b" ", 2)[1])

    def close(self) -> None:
        self.page.close()
        self.prepared.server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def start_console(environment: Environment, static: Path) -> Iterator[Callable[[], Running]]:
    """Starts a console; every call one more."""
    running: list[Running] = []

    def start() -> Running:
        running.append(Running(environment))
        return running[-1]

    yield start
    for each in running:
        each.close()


@pytest.fixture
def console(start_console: Callable[[], Running]) -> Running:
    return start_console()


@pytest.fixture
def results(server: Any, bucket: Any, reply: Any, analysis_id: str) -> Callable[..., None]:
    """Gives the analysis these files. ``announced`` changes what the service says of each."""

    def give(files: dict[str, bytes], **announced: Any) -> None:
        listed = []
        for number, (name, content) in enumerate(files.items()):
            path = f"/results/{number}"
            bucket.routes["GET", path] = reply(200, content)
            described = {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            url = f"{bucket.url}{path}?X-Amz-Signature=presigned-secret&X-Amz-Credential=AKIA"
            listed.append({**described, "url": url, **announced})
        server.routes["GET", f"/analyses/{analysis_id}/results"] = reply(200, {"files": listed, "summary": {"cells": 3}})

    return give


def page_key_in(html: str) -> str:
    found = re.search(r'"heartmap-console-key", "([A-Za-z0-9_-]+)"', html)
    assert found is not None
    return found[1]


@pytest.fixture
def page_key_of() -> Callable[[str], str]:
    return page_key_in


@pytest.fixture
def static(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page that was built."""
    directory = tmp_path / "static"
    (directory / "assets").mkdir(parents=True)
    (directory / "index.html").write_text("<!doctype html><title>HeartMAP</title>")
    (directory / "assets" / "index-1a2b3c4d.js").write_text("export {}")
    (tmp_path / "outside.txt").write_text("not the page's")
    monkeypatch.setattr("operator_cli.console.pages.STATIC", directory)
    return directory


@pytest.fixture
def header_of() -> Callable[[bytes], tuple[dict[str, Any], bytes]]:
    """The header of the binary answer about cells, and the columns after it."""

    def split(content: bytes) -> tuple[dict[str, Any], bytes]:
        length = int.from_bytes(content[:4], "little")
        assert (4 + length) % 8 == 0
        return json.loads(content[4 : 4 + length]), content[4 + length :]

    return split


@pytest.fixture
def wait_for() -> Callable[[Callable[[], Any]], Any]:
    def wait(condition: Callable[[], Any], seconds: float = 10) -> Any:
        until = time.monotonic() + seconds
        while not (found := condition()) and time.monotonic() < until:
            time.sleep(0.02)
        assert found
        return found

    return wait
