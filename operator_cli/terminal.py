"""Reading from the terminal what must not be shown on it."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from operator_cli.errors import WrongUse

ReadLine = Callable[[float], str | None]
"""Waits for a line for so many seconds; None when none came. After the end of the input, an empty line."""


@contextmanager
def quiet_lines() -> Iterator[ReadLine | None]:
    """Lines of the terminal without an echo, or None where there is no terminal to read from.

    What is typed meanwhile stays out of the screen and its history. The echo comes back at the end, also after Ctrl-C.
    """
    if os.name != "posix" or not sys.stdin.isatty():
        yield None
        return
    import select
    import termios

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    silent = [*before]
    silent[3] &= ~termios.ECHO

    def read_line(seconds: float) -> str | None:
        ready, _, _ = select.select([terminal], [], [], seconds)
        # Past Python's own buffer: a second line in it would be there without select knowing. The terminal gives line by line.
        return os.read(terminal, 8192).decode(errors="replace") if ready else None

    termios.tcsetattr(terminal, termios.TCSADRAIN, silent)
    try:
        yield read_line
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


def secret(question: str, *, twice: bool = False) -> str:
    """A line that is asked for without an echo, or the first line of standard input where there is no terminal.

    ``twice`` asks a person a second time. Raises WrongUse when there is none, or the two differ.
    """
    if not sys.stdin.isatty():
        found = sys.stdin.readline().rstrip("\r\n")
    else:
        import getpass

        found = getpass.getpass(f"{question}: ", stream=sys.stderr)
        if twice and getpass.getpass("Once more: ", stream=sys.stderr) != found:
            raise WrongUse("The two are not the same.")
    if not found:
        raise WrongUse(f"{question} is missing.", next_step="Type it, or write it to standard input.")
    return found
