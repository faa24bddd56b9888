"""One subprocess a job, in directories of its own, with limits and an environment made from nothing: no AWS credentials reach
it.

The child is ``heartmap_service.job``. It reads its task as JSON from standard input and writes one JSON object a line:
progress, then how it ended. Whatever a hostile file makes of the child, the parent believes only what has the shape of those
lines and regular files under the names that are looked for.
"""

import contextlib
import fcntl
import json
import os
import queue
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from heartmap_service.settings import GIB

_PACKAGE_ROOT = Path(__file__).resolve().parent.parent
_PREFIX = "heartmap-job-"
_LOCK = ".lock"
# What DynamoDB takes in one item, three times over.
_MAX_LINE = 128 * 1024
_LOG_TAIL = 8192
_RESULT_NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,63}\.(png|csv|json|h5ad)", re.ASCII)
_MAX_RESULTS = 32
# What the allocators of the libraries below Python print before they abort.
_OUT_OF_MEMORY = re.compile(rb"bad_alloc|MemoryError|[Oo]ut of memory|[Cc]annot allocate memory|std::length_error")

TICK = 1.0
"""Seconds between two calls of the caller's ``keep_going``."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """``memory`` and ``file`` in bytes, ``cpu`` and ``wall`` in seconds."""

    memory: int
    cpu: int = 3600
    wall: int = 2 * 3600
    file: int = 16 * GIB
    open_files: int = 256


KeepGoing = Callable[[str, float], bool]


class JobFailed(Exception):  # a verdict on the job, not an error of the worker
    """The job ended without a result, for good. ``code`` and ``detail`` are for its owner; ``log`` is not."""

    def __init__(self, code: str, detail: str, log: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.log = log


class JobStopped(Exception):
    """``keep_going`` said no, and the child is dead."""


@dataclass(frozen=True, kw_only=True)
class JobDirectory:
    """``work`` is the child's working directory, ``out`` takes its results; both lie in ``root``."""

    root: Path
    work: Path
    out: Path
    cache: Path


@contextlib.contextmanager
def job_directory(scratch: Path, cache_seed: Path | None = None) -> Iterator[JobDirectory]:
    """Private directories, removed at the end. The caches are a copy: a job cannot leave code for the next one in them."""
    root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=scratch))
    lock = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Held while the worker lives, so that another worker's sweep leaves the directory alone.
        fcntl.flock(lock, fcntl.LOCK_EX)
        directory = JobDirectory(root=root, work=root / "work", out=root / "work" / "out", cache=root / "cache")
        for path in (directory.work, directory.out, root / "home", root / "tmp", root / "plugins"):
            path.mkdir(mode=0o700)
        if cache_seed is not None:
            shutil.copytree(cache_seed, directory.cache)
        for name in ("numba", "matplotlib"):
            (directory.cache / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        yield directory
    finally:
        shutil.rmtree(root, ignore_errors=True)
        os.close(lock)


def sweep(scratch: Path) -> int:
    """Removes what workers that were killed left behind; how many directories."""
    removed = 0
    for root in scratch.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(root, ignore_errors=True)
                removed += 1
            finally:
                os.close(lock)
    return removed


def run(task: dict[str, Any], directory: JobDirectory, limits: Limits, keep_going: KeepGoing) -> dict[str, Any]:
    """Runs one task to its end and returns its result.

    ``keep_going`` hears the stage and the progress (0 to 1) every TICK seconds and may end the job. Raises JobFailed, or
    JobStopped.
    """
    log = directory.root / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "heartmap_service.job"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=directory.work,
            env=_environment(directory),
            start_new_session=True,
        )
    try:
        return _follow(process, {**task, "limits": asdict(limits)}, limits, keep_going, log)
    finally:
        kill(process)


def results(directory: JobDirectory) -> list[Path]:
    """The regular files that the job left in ``out`` under names of ours, sorted. Links and everything else are not looked at."""
    with os.scandir(directory.out) as entries:
        files = [
            Path(e.path)
            for e in entries
            if _RESULT_NAME.fullmatch(e.name) and stat.S_ISREG(e.stat(follow_symlinks=False).st_mode)
        ]
    return sorted(files)[:_MAX_RESULTS]


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Ends the child and whatever it started: it leads a session of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _environment(directory: JobDirectory) -> dict[str, str]:
    """Everything that the child's environment holds. One thread each: the task has the cores of one job, and address space is
    counted."""
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(directory.root / "home"),
        "TMPDIR": str(directory.root / "tmp"),
        "PYTHONPATH": str(_PACKAGE_ROOT),
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": str(directory.cache / "matplotlib"),
        "NUMBA_CACHE_DIR": str(directory.cache / "numba"),
        "NUMBA_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
        "HDF5_PLUGIN_PATH": str(directory.root / "plugins"),
    }


def _follow(
    process: "subprocess.Popen[bytes]", task: dict[str, Any], limits: Limits, keep_going: KeepGoing, log: Path
) -> dict[str, Any]:
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_read_lines, args=(process, lines), daemon=True).start()
    assert process.stdin is not None  # noqa: S101  # PIPE was asked for
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(task).encode("utf-8"))
        process.stdin.close()
    stage, progress = "starting", 0.0
    started = told = time.monotonic()
    while True:
        try:
            line = lines.get(timeout=TICK)
        except queue.Empty:
            line = b""
        if line is None:
            raise _verdict(process, limits, log)
        event = _event(line)
        if "result" in event:
            return event["result"]
        if "refused" in event:
            raise JobFailed(event["refused"]["code"], event["refused"]["detail"], _tail(log))
        if "stage" in event:
            stage, progress = event["stage"], event["progress"]
        now = time.monotonic()
        if now - started > limits.wall:
            raise _out_of_time(limits, log)
        if now - told >= TICK:
            told = now
            if not keep_going(stage, progress):
                raise JobStopped


def _read_lines(process: "subprocess.Popen[bytes]", lines: "queue.SimpleQueue[bytes | None]") -> None:
    assert process.stdout is not None  # noqa: S101  # PIPE was asked for
    # The stream is closed under this thread when the child is killed.
    with contextlib.suppress(OSError, ValueError):
        while line := process.stdout.readline(_MAX_LINE):
            lines.put(line)
    lines.put(None)


def _event(line: bytes) -> dict[str, Any]:
    """A line of the child's, or nothing when it has not the shape of one."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    match event:
        case {"result": dict()}:
            return event
        case {"refused": {"code": str(code), "detail": str(detail)}} if (
            re.fullmatch(r"[a-z0-9_]{1,64}", code) and len(detail) <= 1000
        ):
            return event
        case {"stage": str(stage), "progress": float(progress)} if re.fullmatch(r"[a-z_]{1,32}", stage) and 0 <= progress <= 1:
            return event
        case _:
            return {}


def _verdict(process: "subprocess.Popen[bytes]", limits: Limits, log: Path) -> JobFailed:
    """Why a child ended without a word."""
    code = process.wait()
    tail = _tail(log)
    if code == -signal.SIGXCPU:
        return _out_of_time(limits, log)
    if code == -signal.SIGKILL or _OUT_OF_MEMORY.search(tail.encode("utf-8", "replace")):
        return out_of_memory(limits.memory, tail)
    return JobFailed("crashed", "The analysis crashed. Tell an administrator the request_id.", tail)


def out_of_memory(memory: int, log: str = "") -> JobFailed:
    detail = (
        f"The job needed more than the {memory / GIB:.1f} GiB of memory that one job may use. "
        "Set max_cells_subset or max_genes_subset, or upload fewer cells or genes."
    )
    return JobFailed("out_of_memory", detail, log)


def _out_of_time(limits: Limits, log: Path) -> JobFailed:
    detail = (
        f"The job took longer than the {limits.cpu // 60} minutes that one job may take. "
        "Set max_cells_subset, or upload fewer cells."
    )
    return JobFailed("out_of_time", detail, _tail(log))


def _tail(log: Path) -> str:
    with log.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - _LOG_TAIL))
        return stream.read().decode("utf-8", "replace")
