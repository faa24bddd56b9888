"""``python -m tests.heartmap_service.hostile_run CANARY FILE...``: scans each file in a process of its own, and writes what was
seen as one JSON object a line.

Nothing is imported that a scan does not need, so that the process is as small as can be when it begins.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from heartmap_service.scan import Refused, scan
from heartmap_service.settings import GIB

WALL = 60
"""Seconds after which a scan that hangs, which takes no time of the processor, is ended by SIGALRM."""
CPU = 10
_IN_OPEN = 0x20


def observe(path: Path, canary: str) -> dict[str, Any]:
    """What a scan says and takes: seconds of the processor, MiB beyond what the process has when it starts, how it ended, and
    whether anybody opened the canary."""
    reader, writer = os.pipe()
    with _opens(canary) as opened:
        child = os.fork()
        if child == 0:
            os.close(reader)
            with open(writer, "wb") as stream:
                stream.write(json.dumps(_verdict(path)).encode())
            os._exit(0)
        os.close(writer)
        with open(reader, "rb") as stream:
            said = stream.read()
        _, status, usage = os.wait4(child, 0)
        verdict = json.loads(said) if said else {"code": "crashed", "detail": "", "log": "", "base": 0}
        mib = (usage.ru_maxrss - verdict.pop("base")) / 1024
        return {**verdict, "status": status, "seconds": usage.ru_utime + usage.ru_stime, "mib": mib, "opened": opened()}


def _verdict(path: Path) -> dict[str, Any]:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU, CPU))
    signal.alarm(WALL)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (base,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")]
    started = time.monotonic()
    try:
        scan(path, memory=4 * GIB)
    except Refused as refused:
        code, detail, log = refused.code, refused.detail, traceback.format_exc()
    else:
        code, detail, log = "accepted", "", ""
    return {"code": code, "detail": detail, "log": log, "base": base, "wall": time.monotonic() - started}


@contextlib.contextmanager
def _opens(path: str) -> Iterator[Callable[[], bool]]:
    """Whether a file was opened, by whatever process: inotify(7)."""
    library = ctypes.CDLL(None, use_errno=True)
    watch = library.inotify_init1(os.O_NONBLOCK)
    if watch < 0 or library.inotify_add_watch(watch, path.encode(), _IN_OPEN) < 0:
        raise OSError(ctypes.get_errno(), path)

    def opened() -> bool:
        try:
            return bool(os.read(watch, 4096))
        except BlockingIOError:
            return False

    try:
        yield opened
    finally:
        os.close(watch)


def main() -> None:
    canary, *names = sys.argv[1:]
    for name in names:
        sys.stdout.write(json.dumps({"name": Path(name).stem, **observe(Path(name), canary)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
