"""The parent of a worker's jobs: it has HeartMAP and its compiled code in memory, and forks one process a job.

Importing HeartMAP and compiling what it runs takes longer than most analyses. So one process does it once, on the bundled data
set, and what it has in memory each job has too. ``heartmap_service.sandbox`` starts it by ``python -m
heartmap_service.preloaded``, with an environment made from nothing and the one end of a socket as standard input. By that
socket it says that it is ready, takes requests (a JSON object, and three open files: the job's log, the pipe for its events, a
channel), and hears that the worker is gone. By the channel it tells how the job ended, and hears that it shall.

It never opens a file of a user's, and never waits for a job. A job that crashes, or is killed, is an exit status to it.
"""

import ctypes
import gc
import json
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from heartmap_service import job, kernel
from heartmap_service.confinement import Confinement

SMALL = "--small"
"""The argument without which it goes on to load what only large data sets need."""
READY = b"ready"
"""Said by each of the two servers."""
END_PATIENCE = 5.0
MAX_REQUEST = 1024 * 1024
_FILES = 3
_ALL_FILES = 2**31 - 1


def main() -> NoReturn:
    """Loads, and serves until the worker is gone.

    Twice: what only large data sets need takes longer to compile than a small job takes, so a first server forks jobs meanwhile.
    Where it is not wanted, the first one is all.
    """
    worker = os.getppid()
    control = socket.socket(fileno=0)
    kernel.hide_memory()
    servers: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: _end(servers))
    # The signal comes when the thread ends that started this process; the worker may have others.
    signal.signal(signal.SIGUSR1, lambda *_: os.getppid() == worker or _end(servers))
    kernel.die_with_parent(worker, signal.SIGUSR1)

    from heartmap_service import rehearsal

    rehearsal.rehearse()
    _settle()
    retirement, retire = os.pipe()
    servers.append(_serve(control, retirement, retire))
    if SMALL not in sys.argv[1:]:
        rehearsal.rehearse_large()
        _settle()
        os.close(retire)
        servers.append(_serve(control, retirement, None))
    control.close()
    *retired, last = servers
    os.waitpid(last, 0)
    _end(retired)


def _settle() -> None:
    """Afterwards nothing in memory refers to numba's cache on disk: what a job compiles besides, it keeps to itself."""
    from numba.core.caching import NullCache
    from numba.core.dispatcher import Dispatcher

    for thing in gc.get_objects():
        if issubclass(type(thing), Dispatcher):
            thing._cache = NullCache()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    # Collections in the jobs would otherwise write to all of it, and so copy it.
    gc.freeze()


def _serve(control: socket.socket, retirement: int, retire: int | None) -> int:
    """Starts a server and gives its process id. It has none of the threads of this process: only so is it safe to fork."""
    loaded = os.getpid()
    server = os.fork()
    if server:
        return server
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    kernel.die_with_parent(loaded)
    if retire is not None:
        os.close(retire)
    with control:
        _Server(control, retirement if retire is not None else None).serve()
    os._exit(0)


def _end(servers: list[int]) -> NoReturn:
    """With the servers, which end by themselves when the worker is gone or has closed its socket."""
    patience = time.monotonic() + END_PATIENCE
    for server in servers:
        while os.waitpid(server, os.WNOHANG) == (0, 0):
            if time.monotonic() > patience:
                os.kill(server, signal.SIGKILL)
            time.sleep(0.02)
    os._exit(0)


@dataclass(frozen=True)
class _Job:
    pid: int
    pidfd: int
    channel: socket.socket

    def kill(self) -> None:
        """It leads a session of its own, in which it cannot have started another process."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class _Server:
    """``retirement`` becomes readable when another server takes the requests."""

    def __init__(self, control: socket.socket, retirement: int | None) -> None:
        self._control = control
        self._retirement = retirement
        self._retired = False
        self._jobs: set[_Job] = set()
        self._selector = selectors.DefaultSelector()

    def serve(self) -> None:
        """Until the other end of the socket is closed, and then no job is left; or until the last job of a retired one ends."""
        self._selector.register(self._control, selectors.EVENT_READ)
        if self._retirement is not None:
            self._selector.register(self._retirement, selectors.EVENT_READ)
        self._control.send(READY)
        while self._jobs or not self._retired:
            for key, _ in self._selector.select():
                if not self._hear(key):
                    self._end()
                    return

    def _hear(self, key: selectors.SelectorKey) -> bool:
        """False when the worker is gone."""
        if key.fileobj is self._control:
            return self._retired or self._take()
        if self._retirement is not None and key.fileobj == self._retirement:
            self._selector.unregister(self._control)
            self._selector.unregister(self._retirement)
            self._control.close()
            self._retired = True
        elif key.data not in self._jobs:
            # It ended, and was hung up on, in the same moment.
            pass
        elif key.fd == key.data.pidfd:
            self._reap(key.data)
        else:
            self._selector.unregister(key.fileobj)
            key.data.kill()
        return True

    def _take(self) -> bool:
        """One request; False when there are no more."""
        try:
            message, files, _, _ = socket.recv_fds(self._control, MAX_REQUEST, _FILES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            # The other server took it.
            return True
        if not message:
            return False
        log, events, channel = files
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become(json.loads(message), log, events, parent)
        os.close(log)
        os.close(events)
        started = _Job(pid, os.pidfd_open(pid), socket.socket(fileno=channel))
        self._selector.register(started.pidfd, selectors.EVENT_READ, started)
        self._selector.register(started.channel, selectors.EVENT_READ, started)
        self._jobs.add(started)
        return True

    def _reap(self, ended: _Job) -> None:
        _, status = os.waitpid(ended.pid, 0)
        self._selector.unregister(ended.pidfd)
        os.close(ended.pidfd)
        self._jobs.discard(ended)
        with suppress(KeyError):
            self._selector.unregister(ended.channel)
        with ended.channel, suppress(OSError):
            ended.channel.send(json.dumps({"status": os.waitstatus_to_exitcode(status)}).encode("ascii"))

    def _end(self) -> None:
        for running in self._jobs:
            running.kill()
        for running in self._jobs:
            os.waitpid(running.pid, 0)


def _become(request: dict[str, Any], log: int, events: int, parent: int) -> NoReturn:
    """Turns the forked process into the job: no open file of its parent's, then confined, then at work."""
    try:
        os.setsid()
        for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(log, 1)
        os.dup2(log, 2)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.closerange(3, events)
        os.closerange(events + 1, _ALL_FILES)
        Confinement(**request["confinement"]).enter(parent)
        _point_caches_at(Path(request["confinement"]["root"]) / "cache")
        job.run(request["task"], request["confinement"]["memory"], events)
    except BaseException:  # noqa: BLE001  # nothing may get from here into the server's loop
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(1)


def _point_caches_at(directory: Path) -> None:
    """For what is imported only now. Whoever is in memory already has asked."""
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = str(directory / "numba")


if __name__ == "__main__":
    main()
