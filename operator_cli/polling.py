"""Asking again until something is done."""

import time
from collections.abc import Callable
from typing import TypeVar

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 5.0
GROWTH = 1.3

Answer = TypeVar("Answer")


def poll(ask: Callable[[], Answer], done: Callable[[Answer], bool], *, seconds: float | None = None) -> Answer:
    """Ask, with growing pauses, until the answer is `done`; the last answer, done or not, after the time limit."""
    end = None if seconds is None else time.monotonic() + seconds
    pause = FIRST_PAUSE
    while True:
        answer = ask()
        if done(answer) or (end is not None and time.monotonic() >= end):
            return answer
        time.sleep(pause)
        pause = min(pause * GROWTH, LONGEST_PAUSE)
