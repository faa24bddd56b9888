"""The parts of a large data set, several at a time: each answer of the storage takes a while, however quick the network."""

import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import BinaryIO, cast

from operator_cli.errors import CliError
from operator_cli.storage import Storage

AT_ONCE = 4
"""Connections. More gain little, and leave nothing of a laptop's uplink to others (benchmarks/bench_upload.py)."""

Progress = Callable[[int], None]


class _Stopped(Exception):
    """The upload has ended otherwise: nobody waits for this part."""


class Parts:
    """The parts of one file, of which ``already`` bytes arrived earlier. ``done`` is told the bytes that are there by now."""

    def __init__(
        self, storage: Storage, source: BinaryIO, size: int, part_bytes: int, *, already: int = 0, done: Progress
    ) -> None:
        self._storage, self._source, self._size, self._part_bytes = storage, source, size, part_bytes
        self._sent = [0] * (self.count + 1)
        self._already, self._done = already, done
        self._stop = threading.Event()

    @property
    def count(self) -> int:
        return -(-self._size // self._part_bytes)

    def length(self, number: int) -> int:
        """Bytes of a part. The first has number 1, the last is what is left."""
        return min(self._part_bytes, self._size - (number - 1) * self._part_bytes)

    def send(self, urls: Mapping[int, str]) -> Iterator[tuple[int, str]]:
        """Send the parts to their addresses; the number and the ETag of each as it arrives, in any order.

        Raises the failure of the first part that fails; no further one is begun then, and none that is under way is waited for.
        """
        todo: queue.SimpleQueue[int] = queue.SimpleQueue()
        arrived: queue.SimpleQueue[tuple[int, Future[str]]] = queue.SimpleQueue()
        for number in sorted(urls):
            todo.put(number)

        def work() -> None:
            while not self._stop.is_set():
                try:
                    number = todo.get_nowait()
                except queue.Empty:
                    return
                etag: Future[str] = Future()
                try:
                    etag.set_result(self._put(number, urls[number]))
                    arrived.put((number, etag))
                except Exception as error:  # noqa: BLE001  (raised again, in the thread that waits)
                    etag.set_exception(error)
                    # In this order: those that are stopped come after it.
                    arrived.put((number, etag))
                    self._stop.set()

        for _ in range(min(AT_ONCE, len(urls))):
            # Daemons, so that Ctrl-C need not wait until a connection that has gone quiet times out.
            threading.Thread(target=work, daemon=True).start()
        try:
            for _ in urls:
                number, etag = arrived.get()
                yield number, etag.result()
        except BaseException:
            # A failure, Ctrl-C, or nobody who asks for the next part any more.
            self._stop.set()
            raise

    def _put(self, number: int, url: str) -> str:
        def progress(sent: int) -> None:
            self._sent[number] = sent
            self._done(self._already + sum(self._sent))

        offset = (number - 1) * self._part_bytes
        view = cast(BinaryIO, _View(self._source, self._stop))
        return self._storage.put(url, view, offset, self.length(number), progress)


class _View:
    """A file that is read from a place of its own, whatever others read of it meanwhile."""

    def __init__(self, source: BinaryIO, stop: threading.Event) -> None:
        self._descriptor, self._stop, self._place = source.fileno(), stop, 0

    def seek(self, place: int) -> int:
        self._place = place
        return place

    def read(self, size: int) -> bytes:
        if self._stop.is_set():
            raise _Stopped
        try:
            block = os.pread(self._descriptor, size, self._place)
        except OSError as error:
            raise CliError(f"The file cannot be read any more: {error.strerror}.") from None
        self._place += len(block)
        return block
