"""Deploys a stack of this project into an emulated AWS with the real Pulumi engine.

The Automation API runs the program inline; the engine finds `pulumi-resource-aws` of `local_cloud/provider/bin` first on PATH.
The stack file is copied first, because the engine writes an encryption salt into it.
"""

from __future__ import annotations

import gc
import os
import secrets
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi.automation as auto
from pulumi import log
from pulumi.automation.errors import CommandError
from pulumi.runtime import resource
from pulumi.runtime.proto import source_pb2

from local_cloud import engine

PLUGINS = Path(__file__).resolve().parent / "provider" / "bin"
REGION = "us-east-1"
# The emulated AWS accepts any credentials; these say what they are.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}

WITHOUT_CHECKPOINTS = {"PULUMI_SKIP_CHECKPOINTS": "true"}
"""For an environment whose engine nobody kills: the state is written once, at the end. After each step it is half the work."""


class DeployFailed(Exception):
    """The engine could not bring the stack to what the program says. The message holds the engine's own account."""


def emulated_aws(endpoint: str) -> dict[str, str]:
    """The environment variables under which every AWS SDK talks to the emulated AWS, and to nothing else."""
    return CREDENTIALS | {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One stack in one emulated AWS.

    Args:
        stack: local, dev or prod.
        state: the directory that holds the engine's state; it lives and dies with the emulated AWS.
        endpoint: URL of the emulated AWS, on the loopback.
        project: the directory with Pulumi.yaml.
    """

    stack: str
    state: Path
    endpoint: str
    project: Path = engine.PROJECT

    def select(self) -> auto.Stack:
        """The stack, made if it does not exist yet.

        Raises:
            engine.EngineMissing: there is no Pulumi CLI.
        """
        cli = engine.locate()
        for name in ("work", "backend", "home"):
            (self.state / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("Pulumi.yaml", f"Pulumi.{self.stack}.yaml"):
            target = self.state / "work" / name
            salt = _salt(target)
            shutil.copyfile(self.project / name, target)
            if salt:
                target.write_text(target.read_text().rstrip("\n") + "\n" + salt)
        # The inline program runs in this process and reads the same variables as the provider. Nothing of the developer's own
        # AWS settings (a profile, a session token, another endpoint) is left beside them.
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(emulated_aws(self.endpoint))
        os.environ["PATH"] = os.pathsep.join([str(PLUGINS), str(cli.parent), os.environ["PATH"]])
        environment = emulated_aws(self.endpoint) | {
            "PATH": os.environ["PATH"],
            "PULUMI_BACKEND_URL": f"file://{self.state / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE": self._passphrase(),
            "PULUMI_HOME": str(self.state / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_ERROR_OUTPUT_STRING": "true",
            "HEARTMAP_PYTHON": sys.executable,
        }
        return auto.create_or_select_stack(
            self.stack,
            project_name="heartmap",
            program=_program,
            opts=auto.LocalWorkspaceOptions(work_dir=str(self.state / "work"), env_vars=environment),
        )

    def up(self, on_output: Callable[[str], Any] | None = None) -> auto.UpResult:
        """Creates or updates everything.

        Raises:
            DeployFailed: the engine, the program or the provider refused.
            engine.EngineMissing: there is no Pulumi CLI.
        """
        stack = self.select()
        try:
            return stack.up(on_output=on_output, color="never")
        except CommandError as error:
            raise DeployFailed(str(error)) from None

    def destroy(self, on_output: Callable[[str], Any] | None = None) -> None:
        """Removes everything that is not protected.

        Raises:
            DeployFailed: something could not be removed.
        """
        stack = self.select()
        try:
            stack.destroy(on_output=on_output, color="never")
        except CommandError as error:
            raise DeployFailed(str(error)) from None

    def _passphrase(self) -> str:
        """Random for each state: the engine's copy of the secrets is encrypted with it."""
        file = self.state / "passphrase"
        if not file.exists():
            with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
                stream.write(secrets.token_urlsafe(32))
        return file.read_text()


def outputs(result: auto.UpResult) -> dict[str, Any]:
    """The stack's outputs as plain values."""
    return {name: output.value for name, output in result.outputs.items()}


def _salt(stack_file: Path) -> str:
    """The line with the encryption salt that the engine wrote into an earlier copy."""
    if not stack_file.exists():
        return ""
    return "".join(line + "\n" for line in stack_file.read_text().splitlines() if line.startswith("encryptionsalt:"))


def _program() -> None:
    # The garbage collector would look through the SDK's objects again and again. What an earlier run has left goes now.
    gc.collect()
    gc.disable()
    from infra.program import main

    # What the SDK tells the engine of each step, which shows it with --debug alone: two calls for each resource.
    log.debug = _nothing
    # Where in the source a resource is declared: for the engine's traces alone, and a fifth of the time of a run.
    resource._get_stack_trace = source_pb2.StackTrace
    main()


def _nothing(*_: Any, **__: Any) -> None: ...
