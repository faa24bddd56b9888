"""Finds the Pulumi CLI, or builds it, or installs it: the engine that plans and deploys every stack.

In this order: `pulumi` on PATH when it is new enough; the one that an earlier run left in `.tools/`; a build from the Go module
that `pulumi_cli/go.mod` and `go.sum` pin; Pulumi's own installer. PyPI, npm and Debian have no Pulumi CLI.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
MODULE = Path(__file__).resolve().parent / "pulumi_cli"
PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
VERSION_SYMBOL = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
INSTALLER = "https://get.pulumi.com"

# The oldest CLI that the pinned Python SDK was tried with, and the oldest Go that the module's go.mod accepts.
OLDEST_CLI = (3, 250, 0)
OLDEST_GO = (1, 26)
BUILD_SECONDS = 1800
INSTALL_SECONDS = 300


class EngineMissing(Exception):
    """There is no Pulumi CLI, and none could be made. The message says what to do."""


def pinned_version() -> str:
    """The version in go.mod, without its v: '3.259.0'."""
    found = re.search(r"github\.com/pulumi/pulumi/pkg/v3 v(\d+\.\d+\.\d+)", (MODULE / "go.mod").read_text())
    if found is None:
        raise EngineMissing("local_cloud/pulumi_cli/go.mod does not name github.com/pulumi/pulumi/pkg/v3. Restore the file.")
    return found.group(1)


def version_of(command: Path) -> tuple[int, ...] | None:
    """What the CLI says of itself, or None where it does not run."""
    try:
        answer = subprocess.run(
            [command, "version"],
            env=os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", answer.strip())
    return tuple(int(part) for part in found.groups()) if found else None


def usable(command: Path | None) -> bool:
    return command is not None and (version_of(command) or (0,)) >= OLDEST_CLI


def go_is_new_enough(go: str) -> bool:
    try:
        # GOTOOLCHAIN=local: otherwise an older Go would try to fetch a newer one, and hang without a network.
        answer = subprocess.run(
            [go, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env=os.environ | {"GOTOOLCHAIN": "local"},
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    found = re.match(r"go(\d+)\.(\d+)", answer.strip())
    return found is not None and tuple(int(part) for part in found.groups()) >= OLDEST_GO


def build(go: str, target: Path) -> None:
    """Builds the CLI from the pinned Go module into `target`. About 3 minutes on 2 cores with an empty cache.

    Raises:
        EngineMissing: the build failed; Go's own last lines are part of the message, since only a developer sees it.
    """
    version = pinned_version()
    sys.stderr.write(f"Building the Pulumi CLI v{version} from its Go module (about 3 minutes, once).\n")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        made = Path(scratch) / "pulumi"
        try:
            subprocess.run(
                [
                    go,
                    "build",
                    "-mod=readonly",
                    "-trimpath",
                    "-ldflags",
                    f"-s -w -X {VERSION_SYMBOL}=v{version}",
                    "-o",
                    made,
                    PACKAGE,
                ],
                cwd=MODULE,
                check=True,
                capture_output=True,
                text=True,
                timeout=BUILD_SECONDS,
                env=os.environ | {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0"},
            )
        except subprocess.CalledProcessError as error:
            last = "\n".join(error.stderr.strip().splitlines()[-5:])
            raise EngineMissing(
                f"Building the Pulumi CLI v{version} failed:\n{last}\nInstall Pulumi yourself and run again."
            ) from None
        except subprocess.TimeoutExpired:
            raise EngineMissing(
                f"Building the Pulumi CLI took more than {BUILD_SECONDS} s. Run again: Go keeps what it built."
            ) from None
        made.replace(target)


def install(target: Path) -> None:
    """Runs Pulumi's own installer into `target`'s directory.

    Raises:
        EngineMissing: there is no curl, or the installer could not be fetched or failed.
    """
    advice = (
        "The Pulumi CLI is not on PATH, there is no Go 1.26 or newer to build it with, and Pulumi's own installer could not be "
        "used. Install Pulumi (https://www.pulumi.com/docs/install/) or Go (https://go.dev/doc/install), then run again."
    )
    curl = shutil.which("curl")
    if curl is None:
        raise EngineMissing(advice)
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(scratch) / "install.sh"
        root = target.parent.parent
        try:
            subprocess.run(
                [curl, "-fsSL", "--max-time", "60", "-o", script, INSTALLER], check=True, capture_output=True, timeout=90
            )
            subprocess.run(
                ["sh", script, "--version", pinned_version(), "--install-root", root, "--no-edit-path"],
                check=True,
                capture_output=True,
                timeout=INSTALL_SECONDS,
            )
        except (OSError, subprocess.SubprocessError):
            raise EngineMissing(advice) from None
    if not usable(target):
        raise EngineMissing(advice)


def locate(tools: Path = PROJECT / ".tools") -> Path:
    """The Pulumi CLI to use, made if there is none yet.

    Args:
        tools: where a CLI that was built or installed is kept.
    Raises:
        EngineMissing: there is none, and none could be made.
    """
    on_path = shutil.which("pulumi")
    if on_path is not None and usable(Path(on_path)):
        return Path(on_path)
    kept = tools / "pulumi" / "bin" / "pulumi"
    if kept.is_file() and usable(kept):
        return kept
    go = shutil.which("go")
    if go is not None and go_is_new_enough(go):
        build(go, kept)
    else:
        install(kept)
    if not usable(kept):
        raise EngineMissing("The Pulumi CLI was made but does not run. Remove .tools/pulumi and run again.")
    return kept


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{locate()}\n")
    except EngineMissing as error:
        sys.exit(str(error))
