"""One process a job, forked from a parent that has HeartMAP in memory (preloaded.py), in directories of its own and confined
(confinement.py). No environment, open file or credential of the worker's reaches either.

The job writes one JSON object a line: progress, then how it ended. Whatever a hostile file makes of it, the worker believes only
what has the shape of those lines and regular files under the names that are looked for.
"""

import contextlib
import fcntl
import json
import os
import re
import selectors
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from heartmap_service import kernel, landlock, users
from heartmap_service.confinement import Confinement, environment
from heartmap_service.job import CONFINED
from heartmap_service.preloaded import MAX_REQUEST, READY, SMALL
from heartmap_service.settings import GIB

_PREFIX = "heartmap-job-"
_LOCK = ".lock"
# What DynamoDB takes in one item, three times over.
_MAX_LINE = 128 * 1024
_LOG_TAIL = 8192
_RESULT_NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,63}\.(png|csv|json|h5ad)", re.ASCII)
_MAX_RESULTS = 32
_MAX_ENTRIES = 10_000
_MAX_PATH = 1024
# What the allocators of the libraries below Python print before they abort.
_OUT_OF_MEMORY = re.compile(rb"bad_alloc|MemoryError|[Oo]ut of memory|[Cc]annot allocate memory|std::length_error")
_OUT_OF_DISK = re.compile(rb"No space left on device|Disk quota exceeded|File too large")

TICK = 1.0
"""Seconds between two calls of the caller's ``keep_going``."""
START_PATIENCE = 600.0
"""Seconds that the parent may take to load; without a warm cache it compiles for a minute or two."""
END_PATIENCE = 10.0
"""Seconds that a killed process may take to be gone."""

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Limits:
    """``memory``, ``file`` and ``disk`` in bytes, ``cpu`` and ``wall`` in seconds."""

    memory: int
    cpu: int = 3600
    wall: int = 2 * 3600
    file: int = 16 * GIB
    disk: int = 48 * GIB
    """Of all files in the job's directories together, looked at every TICK seconds."""
    open_files: int = 256
    processes: int = 64
    """Threads: a job has one process."""


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


class SandboxBroken(OSError):
    """The sandbox itself failed, not the job: the same job may succeed when it is tried again."""


@dataclass(frozen=True, kw_only=True)
class JobDirectory:
    """``work`` is the child's working directory, ``out`` takes its results; both lie in ``root``."""

    root: Path
    work: Path
    out: Path
    cache: Path


@contextlib.contextmanager
def job_directory(scratch: Path, cache_seed: Path | None = None) -> Iterator[JobDirectory]:
    """Private directories, removed at the end. The caches are a copy of the seed's, or empty."""
    root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=scratch))
    lock = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Held while the worker lives, so that another worker's sweep leaves the directory alone.
        fcntl.flock(lock, fcntl.LOCK_EX)
        directory = JobDirectory(root=root, work=root / "work", out=root / "work" / "out", cache=root / "cache")
        for path in (directory.work, directory.out, root / "home", root / "tmp"):
            path.mkdir(mode=0o700)
        if cache_seed is not None:
            shutil.copytree(cache_seed, directory.cache)
        for name in ("numba", "matplotlib"):
            (directory.cache / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        yield directory
    finally:
        _remove(root)
        os.close(lock)


def sweep(scratch: Path) -> int:
    """Removes what workers that were killed left behind; how many directories."""
    removed = 0
    for root in scratch.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(root)
                removed += 1
            finally:
                os.close(lock)
    return removed


def _remove(root: Path) -> None:
    """However a job left it: nested deeper than Python goes, or without the right to look into it."""
    with contextlib.suppress(RecursionError):
        shutil.rmtree(root, ignore_errors=True)
    if root.exists():
        for command in (("chmod", "-R", "u+rwX", "--"), ("rm", "-rf", "--")):
            subprocess.run([*command, root], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def results(directory: JobDirectory) -> list[Path]:
    """The regular files that the job left in ``out`` under names of ours, sorted. Links and everything else are not looked at."""
    if directory.out.is_symlink():
        return []
    with os.scandir(directory.out) as entries:
        files = [Path(entry.path) for entry in entries if _RESULT_NAME.fullmatch(entry.name) and _is_own_file(entry)]
    return sorted(files)[:_MAX_RESULTS]


def _is_own_file(entry: "os.DirEntry[str]") -> bool:
    status = entry.stat(follow_symlinks=False)
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


class Sandbox:
    """Runs the jobs of one worker. ``scratch`` takes its directories; ``cache_seed`` is what heartmap_service.warm made, or None;
    ``large`` is whether what only large data sets need is compiled ahead of them.

    A context manager. ``run`` may be called from several threads at once; it starts the parent when there is none, or it died.
    """

    _PROGRAM = (sys.executable, "-m", "heartmap_service.preloaded")

    def __init__(self, scratch: Path, cache_seed: Path | None, *, large: bool = True) -> None:
        self._scratch = scratch
        self._large = large
        self._cache_seed = cache_seed
        self._lock = threading.Lock()
        self._parent: _Parent | None = None
        # A job may run as the worker's user, and the worker's environment holds what its credentials are fetched with.
        kernel.hide_memory()
        if not landlock.version():
            _log.warning("the kernel has no Landlock: jobs are kept from files by their user only")

    def start(self) -> None:
        """Begins to load what the jobs need, and returns at once. Raises SandboxBroken."""
        self._living()

    def run(self, task: dict[str, Any], directory: JobDirectory, limits: Limits, keep_going: KeepGoing) -> dict[str, Any]:
        """Runs one task to its end and returns its result.

        Args:
            task: ``task`` ("scan" or "analysis") and ``input``, a name in ``directory.work``; an analysis also has
                ``analysis_type``, ``config`` and, where one is known, ``estimate``.
            directory: of job_directory; the job's user owns it afterwards.
            limits: what the job may use.
            keep_going: hears the stage and the progress (0 to 1) every TICK seconds and may end the job.

        Raises:
            JobFailed: the job ended without a result, and would again.
            JobStopped: ``keep_going`` said no.
            SandboxBroken: the sandbox failed before the job began, or the parent died under it.
        """
        parent = self._living()
        parent.await_ready(keep_going)
        with users.lent() as user:
            _hand_over(directory, user)
            running = parent.fork(task, directory, _confinement(directory, limits, user))
            try:
                return _Follower(running, task, directory, limits, keep_going).follow()
            finally:
                self._end(running)

    def wait_until_loaded(self) -> None:
        """Until all is compiled that is compiled ahead; jobs can run before. Raises SandboxBroken."""
        parent = self._living()
        while not parent.is_ready(TICK, servers=2 if self._large else 1):
            pass

    def close(self) -> None:
        """Ends every job and everything that was started. May be called again."""
        with self._lock:
            if self._parent is not None:
                self._parent.close()
                self._parent = None

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _living(self) -> "_Parent":
        with self._lock:
            if self._parent is not None and not self._parent.is_alive():
                _log.error("the parent of the jobs died, and is started again", log=self._parent.tail())
                self._parent.close()
                self._parent = None
            if self._parent is None:
                program = self._PROGRAM if self._large else (*self._PROGRAM, SMALL)
                self._parent = _Parent(program, self._scratch, self._cache_seed)
            return self._parent

    def _end(self, running: "_Running") -> None:
        if not running.end():
            # Whoever does not answer cannot be asked to kill; the jobs die with their parent.
            _log.error("the parent of the jobs does not answer, and is killed")
            self.close()


def _confinement(directory: JobDirectory, limits: Limits, user: users.User) -> Confinement:
    return Confinement(
        root=str(directory.root),
        uid=user.uid,
        searches=user.searches(directory.root),
        memory=limits.memory,
        cpu=limits.cpu,
        file=limits.file,
        open_files=limits.open_files,
        processes=limits.processes + user.threads(),
    )


def _hand_over(directory: JobDirectory, user: users.User) -> None:
    """The directories to the job's user, except the root, which it passes through, and in which the log and the lock are."""
    if user.uid is None:
        return
    for top in (directory.work, directory.root / "home", directory.root / "tmp", directory.cache):
        for path in (top, *top.rglob("*")):
            os.chown(path, user.uid, user.uid, follow_symlinks=False)
    os.chown(directory.root, -1, user.uid)
    directory.root.chmod(0o710)


class _Parent:
    """The preloaded process, from the worker's side."""

    def __init__(self, program: tuple[str, ...], scratch: Path, cache_seed: Path | None) -> None:
        self._stack = contextlib.ExitStack()
        self._servers = 0
        self._lock = threading.Lock()
        try:
            directory = self._stack.enter_context(job_directory(scratch, cache_seed))
            self._log = directory.root / "log"
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._stack.callback(self._control.close)
            with theirs, self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    program,
                    stdin=theirs.fileno(),
                    stdout=log,
                    stderr=log,
                    cwd=directory.work,
                    env=environment(directory.root),
                    start_new_session=True,
                )
        except OSError as error:
            self._stack.close()
            raise SandboxBroken("The parent of the jobs could not be started.") from error

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def tail(self) -> str:
        return _tail(self._log)

    def await_ready(self, keep_going: KeepGoing) -> None:
        """Raises JobStopped, and SandboxBroken when it ends before it is ready, or takes too long."""
        patience = time.monotonic() + START_PATIENCE
        while not self.is_ready(TICK):
            if time.monotonic() > patience:
                raise SandboxBroken("The parent of the jobs takes too long to load.")
            if not keep_going("starting", 0.0):
                raise JobStopped

    def is_ready(self, timeout: float, servers: int = 1) -> bool:
        """Whether so many of its two servers have said that they are, in time. Raises SandboxBroken."""
        with self._lock:
            if self._servers >= servers:
                return True
            self._control.settimeout(timeout)
            try:
                said = self._control.recv(len(READY))
            except TimeoutError:
                return False
            except OSError:
                said = b""
            if said != READY:
                _log.error("the parent of the jobs ended while it loaded", log=self.tail())
                raise SandboxBroken("The parent of the jobs ended while it loaded.")
            self._control.settimeout(END_PATIENCE)
            self._servers += 1
            return self._servers >= servers

    def fork(self, task: dict[str, Any], directory: JobDirectory, confinement: Confinement) -> "_Running":
        """Raises SandboxBroken."""
        request = json.dumps({"task": task, "confinement": confinement.__dict__}).encode("utf-8")
        if len(request) > MAX_REQUEST:
            raise SandboxBroken("The task is too long.")
        events, theirs = os.pipe()
        channel, their_channel = socket.socketpair()
        running = _Running(events, channel)
        try:
            with their_channel, (directory.root / "log").open("wb") as log, self._lock:
                socket.send_fds(self._control, [request], [log.fileno(), theirs, their_channel.fileno()])
        except OSError as error:
            running.close()
            _log.error("the parent of the jobs is gone", log=self.tail())
            raise SandboxBroken("The parent of the jobs is gone.") from error
        finally:
            os.close(theirs)
        return running

    def close(self) -> None:
        self._control.close()
        self._process.terminate()
        try:
            self._process.wait(END_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stack.close()


class _Running:
    """A job: its events, and the channel by which the parent tells its end, and is told to end it."""

    def __init__(self, events: int, channel: socket.socket) -> None:
        self.events = events
        self.channel = channel
        self._status: int | None = None
        self._over = False

    def status(self, timeout: float) -> int | None:
        """Its exit status, negative for a signal; None when the parent is gone, or does not say in time."""
        if not self._over:
            self.channel.settimeout(timeout)
            try:
                said = self.channel.recv(256)
            except TimeoutError:
                return None
            except OSError:
                said = b""
            self._over = True
            self._status = json.loads(said)["status"] if said else None
        return self._status

    def parent_is_gone(self) -> bool:
        return self._over and self._status is None

    def end(self) -> bool:
        """Has it killed, when it lives, and waits until it is gone; False when the parent does not say so."""
        with contextlib.suppress(OSError):
            self.channel.shutdown(socket.SHUT_WR)
        self.status(END_PATIENCE)
        self.close()
        return self._over

    def close(self) -> None:
        self.channel.close()
        with contextlib.suppress(OSError):
            os.close(self.events)
        self.events = -1


@dataclass
class _Follower:
    """Hears a job until its end."""

    running: _Running
    task: dict[str, Any]
    directory: JobDirectory
    limits: Limits
    keep_going: KeepGoing
    stage: str = "starting"
    progress: float = 0.0
    confined: bool = False
    started: float = field(default_factory=time.monotonic)

    @property
    def _log(self) -> Path:
        return self.directory.root / "log"

    def follow(self) -> dict[str, Any]:
        lines = _Lines()
        told = self.started
        os.set_blocking(self.running.events, False)
        with selectors.DefaultSelector() as selector:
            selector.register(self.running.events, selectors.EVENT_READ)
            while True:
                if selector.select(max(0.0, told + TICK - time.monotonic())):
                    said = os.read(self.running.events, _MAX_LINE)
                    if not said:
                        raise self._verdict()
                    for line in lines.feed(said):
                        if (result := self._heard(event(line))) is not None:
                            return result
                if time.monotonic() - told >= TICK:
                    told = time.monotonic()
                    self._look()

    def _heard(self, said: dict[str, Any]) -> dict[str, Any] | None:
        """The result, when it is one."""
        if "stage" in said:
            self.stage, self.progress = said["stage"], said["progress"]
        elif "refused" in said:
            raise JobFailed(said["refused"]["code"], said["refused"]["detail"], _tail(self._log))
        elif "out_of_memory" in said:
            raise self._out_of_memory()
        elif said == CONFINED:
            self.confined = True
        return said.get("result")

    def _look(self) -> None:
        if time.monotonic() - self.started > self.limits.wall:
            raise self._out_of_time()
        if not _fits(self.directory, self.limits.disk):
            raise self._out_of_disk()
        if not self.keep_going(self.stage, self.progress):
            raise JobStopped

    def _verdict(self) -> Exception:
        """Why a job ended without a word."""
        status = self.running.status(END_PATIENCE)
        tail = _tail(self._log)
        if self.running.parent_is_gone():
            return SandboxBroken("The parent of the jobs died under a job.")
        if not self.confined:
            _log.error("a job could not be confined, and did not begin", log=tail)
            return SandboxBroken("A job could not be confined, and did not begin.")
        said = tail.encode("utf-8", "replace")
        if status == -signal.SIGXCPU:
            return self._out_of_time()
        if status == -signal.SIGXFSZ or _OUT_OF_DISK.search(said):
            return self._out_of_disk()
        if status == -signal.SIGKILL or _OUT_OF_MEMORY.search(said):
            return self._out_of_memory()
        return JobFailed("crashed", "The analysis crashed. Tell an administrator the request_id.", tail)

    def _out_of_memory(self) -> JobFailed:
        return out_of_memory(self.limits.memory, self.task.get("estimate"), _tail(self._log))

    def _out_of_time(self) -> JobFailed:
        detail = (
            f"The job took longer than the {self.limits.cpu // 60} minutes that one job may take. "
            "Set max_cells_subset, or upload fewer cells."
        )
        return JobFailed("out_of_time", detail, _tail(self._log))

    def _out_of_disk(self) -> JobFailed:
        most = min(self.limits.disk, self.limits.file)
        detail = (
            f"The job wrote more than the {most / GIB:.1f} GiB of files that one job may write. "
            "Set max_cells_subset or max_genes_subset, or upload fewer cells or genes."
        )
        return JobFailed("out_of_disk", detail, _tail(self._log))


def out_of_memory(memory: int, estimate: dict[str, Any] | None, log: str = "") -> JobFailed:
    """The failure with its figures: bytes that the job had, and the estimate as a document, where there is one."""
    detail = f"The job needed more than the {memory / GIB:.1f} GiB of memory that one job may use. "
    if estimate:
        detail += f"It was estimated to need {estimate['memory_bytes'] / GIB:.1f} GiB. "
    detail += "Set max_cells_subset or max_genes_subset, or upload fewer cells or genes."
    return JobFailed("out_of_memory", detail, log)


class _Lines:
    """Cuts what a job writes into lines. One that is too long is none, and what belongs to it is passed over."""

    def __init__(self) -> None:
        self._rest = b""
        self._passing_over = False

    def feed(self, said: bytes) -> Iterator[bytes]:
        *whole, self._rest = (self._rest + said).split(b"\n")
        for line in whole:
            if not self._passing_over and len(line) <= _MAX_LINE:
                yield line
            self._passing_over = False
        if len(self._rest) > _MAX_LINE:
            self._rest, self._passing_over = b"", True


def event(line: bytes) -> dict[str, Any]:
    """A line of a job's, or nothing when it has not the shape of one."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    match said:
        case {"result": dict()} if len(said) == 1:
            return said
        case {"refused": {"code": str(code), "detail": str(detail)}} if (
            re.fullmatch(r"[a-z0-9_]{1,64}", code) and len(detail) <= 1000
        ):
            return said
        case {"stage": str(stage), "progress": float(progress)} if re.fullmatch(r"[a-z_]{1,32}", stage) and 0 <= progress <= 1:
            return said
        case {"out_of_memory": {}} if len(said) == 1:
            return said
        case _:
            return said if said == CONFINED else {}


def _fits(directory: JobDirectory, most: int) -> bool:
    """Whether the job's files are within the limit. What hides from the count is over it."""
    size = entries = 0
    folders = [str(directory.root)]
    longest = len(folders[0]) + _MAX_PATH
    while folders:
        try:
            with os.scandir(folders.pop()) as found:
                for entry in found:
                    entries += 1
                    if entries > _MAX_ENTRIES or len(entry.path) > longest:
                        return False
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    status = entry.stat(follow_symlinks=False)
                    size += max(status.st_size, status.st_blocks * 512)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return size <= most


def _tail(log: Path) -> str:
    with log.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - _LOG_TAIL))
        return stream.read().decode("utf-8", "replace")
