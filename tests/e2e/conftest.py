"""One local environment for all end-to-end tests, brought up and down by the public commands, beside any that runs already."""

from __future__ import annotations

import json
import os
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

from lambda_authorizer.access_policy import STEP_UP_AGE
from local_cloud.deploy import WITHOUT_CHECKPOINTS

PROJECT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HEARTMAP_", "PULUMI_"))}


class Local:
    """A running local environment."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.arguments = ["--state", str(state)]
        self.ports = ["--edge-port", str(free_port()), "--login-port", str(free_port())]

    def command(self, *arguments: str, timeout: float = 600, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "local_cloud", *arguments],
            env=clean_environment() | WITHOUT_CHECKPOINTS,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            **more,
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        return self.command("up", *self.arguments, *self.ports)

    def down(self) -> subprocess.CompletedProcess[str]:
        return self.command("down", *self.arguments)

    @property
    def environment(self) -> dict[str, Any]:
        return json.loads((self.state / "environment.json").read_text())

    def ctl(self, *arguments: str, timeout: float = 300, **variables: str) -> subprocess.CompletedProcess[str]:
        """heartmapctl, as an operator types it, or as a program runs it with more environment variables."""
        return subprocess.run(
            [str(BIN / "heartmapctl"), *arguments],
            env=clean_environment() | {"HEARTMAP_LOCAL_STATE": str(self.state)} | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def client(self, token: str | None = None, **more: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        context = ssl.create_default_context(cafile=self.environment["ca_bundle"])
        return httpx.Client(base_url=self.environment["api"], verify=context, headers=headers, timeout=60, **more)

    def process_ids(self) -> list[int]:
        """Every process of this environment, found by what supervisord marked it with and by its scratch directories."""
        found = []
        for process in psutil.process_iter():
            try:
                marked = process.environ().get("HEARTMAP_SUPERVISED_BY") == str(self.state)
                inside = process.cwd().startswith(f"{self.state}{os.sep}")
            except psutil.Error:
                continue
            if marked or inside:
                found.append(process.pid)
        return found


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    environment = Local(tmp_path_factory.mktemp("local") / ".local")
    up = environment.up()
    assert up.returncode == 0, up.stdout + up.stderr + tails(environment.state)
    try:
        yield environment
    finally:
        environment.down()


def tails(state: Path) -> str:
    """The ends of the logs, for a person who reads a failed run."""
    logs = sorted((state / "log").glob("*.log")) if (state / "log").exists() else []
    return "".join(f"\n--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:]) for log in logs)


@pytest.fixture(scope="session")
def token_of(local: Local) -> Callable[[str], str]:
    """A valid access token of a role, by way of the sign-in that people use, and of one that is recent enough for every route."""
    kept: dict[str, tuple[float, str]] = {}

    def get(role: str) -> str:
        signed_in_at, token = kept.get(role, (0.0, ""))
        if time.monotonic() - signed_in_at > STEP_UP_AGE / 2 or not token:
            now = time.monotonic()
            signed_in = local.ctl("login", "--as", role)
            assert signed_in.returncode == 0, signed_in.stderr
            token = local.ctl("token").stdout.strip()
            kept[role] = now, token
        return token

    return get
