"""The running local environment, as a game day breaks it, looks at it and mends it.

Only the local environment is ever touched: its AWS is the emulated one, and the processes are those of its supervisor.
"""

import base64
import json
import os
import secrets
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import psutil

from lambda_authorizer import api_keys, peppers
from local_cloud import alarms, metrics
from local_cloud.lambda_runtime import BOOTSTRAP
from local_cloud.supervisor import Supervisor
from operator_cli.operations import rotate
from operator_cli.operations.archive import Archive, Directory
from operator_cli.operations.backup import Backup
from operator_cli.operations.restore import Content, Restore, check_parts
from operator_cli.operations.stack import Stack

PATIENCE = 180.0
"""Seconds to wait for a symptom, and for the end of it."""
POLL = 0.3
FUNCTIONS = "edge"
"""The process under which the functions run: started anew, it reads anew how they are deployed."""


class GameDayFailed(Exception):
    """The environment does not run, the break did not show, or the mend did not mend. The text says which."""


def wait(true: Callable[[], bool], failure: str) -> None:
    """Until it is true. Raises GameDayFailed when it is not in time."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if true():
            return
        time.sleep(POLL)
    raise GameDayFailed(failure)


def quiet(_: str) -> None: ...


def _clean() -> dict[str, str]:
    """The environment, without what it says of another AWS or of another HeartMAP."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HEARTMAP_"))}


@dataclass
class Environment:
    """The running environment, and what a game day remembers of how it was."""

    state: Path
    kept: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def described(self) -> dict[str, Any]:
        try:
            return json.loads((self.state / "environment.json").read_text())
        except FileNotFoundError:
            raise GameDayFailed("The local environment does not run. Start it: make local") from None

    @cached_property
    def outputs(self) -> dict[str, Any]:
        return json.loads((self.state / "outputs.json").read_text())

    @cached_property
    def stack(self) -> Stack:
        return Stack("local", self.outputs, self.described["aws_endpoint"])

    @cached_property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.state)

    @cached_property
    def key(self) -> str:
        """An API key that may read the models and the configuration. It is made where keys lie, also where no sign-in works."""
        secret = rotate.Secret(self.stack).read()
        pepper = base64.b64decode(secret["api_key_pepper"])
        key_id = f"GAMEDAY{secrets.token_hex(6).upper()}"
        key = f"hm_local_{key_id}_{secrets.token_urlsafe(32)}"
        item = {
            "public_id": {"S": key_id},
            "digest": {"S": api_keys.digest(key, pepper)},
            "peppers": {"S": peppers.name(pepper)},
            "principal": {"S": "program:game-day"},
            "scopes": {"SS": ["config:read", "models:read"]},
            "expires_at": {"N": str(int(time.time()) + 3600)},
        }
        self.stack.client("dynamodb").put_item(TableName=self.stack.output("api_keys_table"), Item=item)
        return key

    def status(self, path: str = "/models") -> int | None:
        """How a call of a program ends: its status, None without an answer."""
        return self.call("GET", path, {"Authorization": f"ApiKey {self.key}"})

    def call(self, method: str, path: str, headers: Mapping[str, str]) -> int | None:
        """How a call ends: its status, None without an answer."""
        context = ssl.create_default_context(cafile=self.described["ca_bundle"])
        try:
            with httpx.Client(verify=context, timeout=10, trust_env=False) as http:
                return http.request(method, self.described["api"] + path, headers=headers).status_code
        except httpx.HTTPError:
            return None

    def windows(self, names: Collection[str]) -> list[int]:
        """How many seconds each of these alarms looks at."""
        deployed = metrics.deployed_alarms(self.stack.client("cloudwatch"))
        return [one.window for one in deployed if one.name in self._named(names)]

    def look(self, names: Collection[str], at: float) -> list[tuple[alarms.Alarm, alarms.History]]:
        """These alarms, with what is known of their metrics at a moment, if until then all stays as it is."""
        if not names:
            return []
        wanted = self._named(names)
        found, history = metrics.look(self.stack.client, self.outputs, at, only=wanted)
        if missing := wanted - {one.name for one in found}:
            raise GameDayFailed(f"The stack has no alarm {', '.join(sorted(missing))}.")
        return [(one, history) for one in found]

    def _named(self, names: Collection[str]) -> set[str]:
        return {f"{self.stack.prefix}-{name}" for name in names}

    def ctl(self, *arguments: str) -> str:
        """What an operator types, and what it prints. Raises GameDayFailed."""
        done = self.typed(*arguments)
        if done.returncode:
            raise GameDayFailed(f"heartmapctl {' '.join(arguments)} failed: {done.stderr.strip()}")
        return done.stdout

    def typed(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What an operator types, however it ends."""
        return subprocess.run(
            [str(Path(sys.executable).parent / "heartmapctl"), *arguments],
            env=_clean() | {"HEARTMAP_LOCAL_STATE": str(self.state)},
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def seal(self) -> bool:
        """Have all that can be sealed by now sealed, as the schedule does; whether that succeeded."""
        reach = {
            "AWS_ENDPOINT_URL": self.described["aws_endpoint"],
            "AWS_REGION": self.described["region"],
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        }
        command = [sys.executable, "-m", "local_cloud.scheduler", "--state", str(self.state), "--once"]
        return subprocess.run(command, env=_clean() | reach, check=False, capture_output=True, timeout=120).returncode == 0

    def put_secret(self, text: str) -> None:
        """Make this the current content of the authorizer's secret, and have functions start that read it."""
        self.stack.client("secretsmanager").put_secret_value(
            SecretId=self.stack.secret, SecretString=text, ClientRequestToken=str(uuid.uuid4())
        )
        self.end_instances()

    def undo_secret(self) -> None:
        rotate.Secret(self.stack).undo()
        self.end_instances()

    def end_instances(self) -> None:
        """End the functions' processes, which have read their secret: the next call starts another, as Lambda does."""
        for child in psutil.Process(self.supervisor.pids()[FUNCTIONS]).children():
            if str(BOOTSTRAP) in child.cmdline():
                child.kill()

    def back_up(self) -> Content:
        """A backup of how everything is now. It is not encrypted, and in the environment's own directory."""
        place = Path(self.kept.setdefault("backup", tempfile.mkdtemp(dir=self.state, prefix="game-day-")))
        archive = Archive(Directory.made(place))
        Backup(self.stack, archive, at=None, tell=quiet, poll=0.2).run()
        return Content.of(archive)

    def remove_backup(self) -> None:
        """Once nothing has to be brought back any more."""
        if "backup" in self.kept:
            shutil.rmtree(self.kept.pop("backup"))

    def restore(self, content: Content, *parts: str) -> None:
        Restore(self.stack, content, parts=check_parts(parts), tell=quiet).run()
