"""Completion in real shells: installed as its help says, then a person types half a word and presses Tab."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
SECONDS = 60
PATIENCE = 3
"""Seconds of silence after which a shell waits for its user."""
SHELLS = {"bash": ["bash", "-i"], "zsh": ["zsh", "-i"], "fish": ["fish", "-i"]}


class Person:
    """Who types at a shell's terminal."""

    def __init__(self, shell: str, surroundings: dict[str, str], directory: Path) -> None:
        self._process, self._terminal = pty.fork()
        if self._process == 0:
            os.chdir(directory)
            os.execvpe(SHELLS[shell][0], SHELLS[shell], surroundings)  # noqa: S606  (the test's own shell)

    def enters(self, text: str, *, until: str) -> None:
        """Type it and wait for these words. Fails when they do not come."""
        os.write(self._terminal, text.encode())
        shown, end = "", time.monotonic() + SECONDS
        while until not in shown:
            assert time.monotonic() < end, f"{until!r} did not come: {shown!r}"
            shown += self._piece()

    def begins(self, text: str) -> None:
        """Type it, press Tab, and wait until the shell has nothing more to say."""
        os.write(self._terminal, f"{text}\t".encode())
        while self._piece():
            pass

    def _piece(self) -> str:
        """What the terminal shows next; nothing after some seconds without any."""
        if not select.select([self._terminal], [], [], PATIENCE)[0]:
            return ""
        piece = os.read(self._terminal, 65536).decode(errors="replace")
        if "\x1b[c" in piece:
            # fish asks what kind of terminal this is, and waits.
            os.write(self._terminal, b"\x1b[?62;22c")
        return piece

    def leaves(self) -> None:
        os.close(self._terminal)
        os.waitpid(self._process, 0)


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "shell-home"
    home.mkdir()
    path = os.pathsep.join([str(BIN), "/usr/local/bin", "/usr/bin", "/bin"])
    return {"HOME": str(home), "PATH": path, "TERM": "xterm", "PS1": "ready> ", "LANG": "C.UTF-8"}


def need(shell: str) -> None:
    """Under CI a shell that is missing is a failure, and so is bash anywhere."""
    if shutil.which(shell) is None:
        if shell == "bash" or os.environ.get("CI"):
            pytest.fail(f"{shell} is not installed")
        pytest.skip(f"{shell} is not installed")


@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_begun_is_completed_by_tab(shell: str, surroundings: dict[str, str], tmp_path: Path) -> None:
    need(shell)
    # The shell is the one that it is called from, so it must not put heartmapctl in its own place.
    done = subprocess.run(
        [shell, "-c", "heartmapctl --install-completion; true"],
        env=surroundings,
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    assert f"{shell} completion installed" in done.stdout, done.stdout + done.stderr
    (tmp_path / "empty").mkdir()
    person = Person(shell, surroundings, tmp_path / "empty")
    try:
        # What is typed is shown as well: the quotation marks tell it from what the shell says.
        person.enters("echo be''gun\r", until="begun")
        if shell == "zsh":
            # There the first Tab of all only loads the script that typer installs.
            person.begins("heartmapctl jobs ")
            person.enters("\x15echo go''on\r", until="goon")
        person.begins("heartmapctl jobs wat")
        person.enters("--help\r", until="Usage: heartmapctl jobs watch")
        person.begins("heartmapctl keys revoke --ye")
        person.enters("--help\r", until="Usage: heartmapctl keys revoke")
        # The values of an option, too.
        person.begins("heartmapctl analyze x.h5ad --type multi")
        person.enters("\r", until="x.h5ad is not a file")
    finally:
        person.leaves()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_can_be_shown_instead(shell: str, surroundings: dict[str, str]) -> None:
    need(shell)
    done = subprocess.run(
        [shell, "-c", "heartmapctl --show-completion; true"], env=surroundings, capture_output=True, text=True, timeout=SECONDS
    )
    assert f"_HEARTMAPCTL_COMPLETE=complete_{shell}" in done.stdout
