"""Lines of a process, sent to a CloudWatch log group in batches and written to a local file at once."""

import os
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from botocore.exceptions import BotoCoreError, ClientError

# PutLogEvents takes 10,000 events and 1 MiB a call, counting 26 bytes an event, and 1 MiB an event.
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
BATCH_EVENTS = 1000
BATCH_BYTES = 900_000
EVENT_OVERHEAD = 26
EVENT_BYTES = 256 * 1024

PAUSE = 0.2  # seconds between two batches, so that one call carries many lines
RETRY_PAUSE = 1.0
CLOSING_TIME = 5.0  # seconds for what is left when the process ends


class LogGroupMissing(Exception):
    """The deployed log group does not exist, so nothing could be recorded."""


class LogShipper:
    """``write`` returns at once; a thread sends. What cannot be sent is tried again until ``close``; the file has every line.

    Args:
        client: boto3 client of CloudWatch Logs.
        group: an existing log group. Raises LogGroupMissing when there is none.
        stream: created when it is missing.
        file: appended to, mode 0600; or what is open already, and stays so.
    """

    def __init__(self, client: Any, group: str, stream: str, file: Path | TextIO) -> None:
        self._client, self._group, self._stream = client, group, stream
        try:
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        except client.exceptions.ResourceAlreadyExistsException:
            pass
        except client.exceptions.ResourceNotFoundException:
            raise LogGroupMissing(f"The log group {group} does not exist, but the stack says to write there.") from None
        self._is_own = isinstance(file, Path)
        self._file = _opened(file) if isinstance(file, Path) else file
        self._lines: queue.SimpleQueue[tuple[int, str] | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._send_all, name=f"log {group}", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Records one line, without its newline, as it is now."""
        if line:
            self._file.write(line + "\n")
            self._file.flush()
            self._lines.put((int(time.time() * 1000), _cut(line)))

    def close(self) -> None:
        """Sends what is left, for at most 5 seconds, and ends the thread."""
        self._closing.set()
        self._lines.put(None)
        self._thread.join(CLOSING_TIME)
        if self._is_own:
            self._file.close()

    def _send_all(self) -> None:
        for batch in self._batches():
            while not self._send(batch):
                if self._closing.wait(RETRY_PAUSE):
                    return

    def _batches(self) -> Iterator[list[dict[str, Any]]]:
        last = False
        while not last:
            batch, size = [], 0
            entry = self._lines.get()
            while entry is not None:
                moment, line = entry
                batch.append({"timestamp": moment, "message": line})
                size += len(line.encode()) + EVENT_OVERHEAD
                if len(batch) >= BATCH_EVENTS or size >= BATCH_BYTES - EVENT_BYTES or self._lines.empty():
                    break
                entry = self._lines.get()
            last = entry is None
            if batch:
                yield batch
            self._closing.wait(PAUSE)

    def _send(self, batch: list[dict[str, Any]]) -> bool:
        try:
            self._client.put_log_events(logGroupName=self._group, logStreamName=self._stream, logEvents=batch)
        except (BotoCoreError, ClientError):
            return False
        return True


def _opened(file: Path) -> TextIO:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8")


def _cut(line: str) -> str:
    data = line.encode("utf-8", "replace")
    return data[:EVENT_BYTES].decode("utf-8", "ignore")
