"""What a job takes from itself by prctl(2) and capset(2), which Python does not offer."""

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS = 1, 4, 8, 38
_CAPABILITY_VERSION_3 = 0x20080522

CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_KILL, CAP_SETGID, CAP_SETUID = 0, 1, 2, 3, 5, 6, 7

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def check(result: int, what: str) -> int:
    """The result of a call into libc. Raises OSError, saying what was tried, when it is -1."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def no_new_privileges() -> None:
    """For good: no program that this process starts can have more rights than it. Raises OSError."""
    check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")


def hide_memory() -> None:
    """No other process of the same user can read this one's environment or memory, or trace it; it leaves no core file.

    Without it a job that runs as the worker's user would find the worker's credentials in /proc. Raises OSError.
    """
    check(libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "PR_SET_DUMPABLE")


@contextlib.contextmanager
def shown_memory() -> Iterator[None]:
    """For as long as one's own files in /proc have to be written: they are root's while the memory is hidden."""
    check(libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0), "PR_SET_DUMPABLE")
    try:
        yield
    finally:
        hide_memory()


def die_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Gets the signal when the thread that started this process ends. A change of user undoes it. Raises OSError.

    Args:
        parent: the parent's process id; when it is gone already, the signal comes now.
        number: the signal.
    """
    check(libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0), "PR_SET_PDEATHSIG")
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def effective_capabilities() -> int:
    """Of this thread, a bit each, numbered as the CAP_ names here."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)


def keep_capabilities_over_setuid() -> None:
    """Raises OSError."""
    check(libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0), "PR_SET_KEEPCAPS")


def set_capabilities(kept: int) -> None:
    """Gives up all capabilities of this thread but those in ``kept``. Raises OSError when it has not got these."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    low, high = kept & 0xFFFFFFFF, kept >> 32
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    check(libc.capset(header, data), "capset")
