"""Results on this machine while the console runs: one private directory, bounded, gone with the console.

What a result is called plays no part in where it lies: its directory is named by its SHA-256.
"""

import asyncio
import contextlib
import secrets
import shutil
from collections import defaultdict
from pathlib import Path

from filelock import FileLock, Timeout

from operator_cli.answers import ResultFile
from operator_cli.console.bucket import Bucket
from operator_cli.console.problems import Problem

GIB = 1024**3
LARGEST_FILE = 8 * GIB
LARGEST_TOTAL = 16 * GIB
LEFT_FREE = GIB
"""Of the disk, for everything else."""
CONTENT = "content"


class Cache:
    """Keeps each result once. ``parent`` is the user's own state directory."""

    def __init__(self, parent: Path, bucket: Bucket) -> None:
        self._directory = parent / f"{_PREFIX}{secrets.token_hex(8)}"
        self._lock = FileLock(self._directory.with_suffix(".lock"), mode=0o600)
        self._bucket = bucket
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._bytes: dict[str, int] = {}
        """By SHA-256, the one that was used longest ago first."""

    def open(self) -> None:
        self._directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _sweep(self._directory.parent)
        self._lock.acquire()
        self._directory.mkdir(mode=0o700)

    def lock(self, file: ResultFile) -> asyncio.Lock:
        """Held while a result is fetched or worked on, so that it is done once."""
        return self._locks[file.sha256]

    async def directory(self, file: ResultFile) -> Path:
        """Where the result lies, fetched when it is not there yet; for what is made of it, too. Call it with the lock held.

        Raises Problem when there is no room for it, or when it is not what was announced.
        """
        home = self._directory / file.sha256
        if file.sha256 in self._bytes:
            self._bytes[file.sha256] = self._bytes.pop(file.sha256)
            return home
        self._make_room(file.bytes)
        self._bytes[file.sha256] = file.bytes
        try:
            home.mkdir(mode=0o700)
            with (home / CONTENT).open("xb") as stream:
                async for block in self._bucket.blocks(file):
                    stream.write(block)
        except BaseException:
            self._drop(file.sha256)
            raise
        return home

    def measure(self, file: ResultFile) -> None:
        """Count what was made of a result with it."""
        home = self._directory / file.sha256
        with contextlib.suppress(OSError):
            self._bytes[file.sha256] = sum(each.stat().st_size for each in home.iterdir())

    def clear(self) -> None:
        """Nothing stays of a session that has ended."""
        for sha256 in list(self._bytes):
            self._drop(sha256)

    def close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)

    def _make_room(self, needed: int) -> None:
        if needed > LARGEST_FILE:
            raise Problem(413, "result_too_large", "The result is too large to show. Download it.")
        while self._bytes and sum(self._bytes.values()) + needed > LARGEST_TOTAL:
            self._drop(next(iter(self._bytes)))
        if shutil.disk_usage(self._directory).free < needed + LEFT_FREE:
            raise Problem(507, "disk_full", "There is no room on this machine's disk to show the result.")

    def _drop(self, sha256: str) -> None:
        self._bytes.pop(sha256, None)
        shutil.rmtree(self._directory / sha256, ignore_errors=True)


_PREFIX = "console-cache-"


def _sweep(parent: Path) -> None:
    """Remove what a console left that was killed: nobody holds its lock."""
    for mark in parent.glob(f"{_PREFIX}*.lock"):
        lock = FileLock(mark, timeout=0)
        try:
            with lock:
                shutil.rmtree(mark.with_suffix(""), ignore_errors=True)
                mark.unlink(missing_ok=True)
        except (Timeout, OSError):
            continue
