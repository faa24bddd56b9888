"""A terminal at which a test types: programs that ask only where somebody sits at one find one."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE = 120
"""Seconds until what is waited for has to be on the screen."""


def typed(
    words: Sequence[str], dialogue: Sequence[tuple[str, str]], *, directory: Path, variables: Mapping[str, str]
) -> tuple[int, str]:
    """The exit code of a program and what its screen showed. Of each pair the second is typed once the first is on the screen.

    Raises AssertionError when it is not, or when the program does not end.
    """
    keyboard, screen = pty.openpty()
    process = subprocess.Popen(
        list(words), cwd=directory, env=dict(variables), stdin=screen, stdout=screen, stderr=screen, start_new_session=True
    )
    os.close(screen)
    shown, read_to = "", 0
    try:
        for question, answer in dialogue:
            shown = _until(question, keyboard, shown, read_to)
            read_to = shown.index(question, read_to) + len(question)
            os.write(keyboard, f"{answer}\n".encode())
        shown = _until(None, keyboard, shown, read_to)
        return process.wait(PATIENCE), shown
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(keyboard)


def _until(text: str | None, keyboard: int, shown: str, read_to: int) -> str:
    """The screen once this text is on it; without one, once nobody writes to it any more."""
    deadline = time.monotonic() + PATIENCE
    while text is None or text not in shown[read_to:]:
        assert time.monotonic() < deadline, f"{text} does not appear: {shown}"
        if not select.select([keyboard], [], [], 1)[0]:
            continue
        try:
            piece = os.read(keyboard, 65536)
        except OSError:  # nobody has the screen open any more
            piece = b""
        if not piece:
            assert text is None, f"{text} does not appear: {shown}"
            return shown
        shown += piece.decode(errors="replace").replace("\r\n", "\n")
    return shown
