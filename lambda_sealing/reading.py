"""The records of a period out of the log groups, each line as it was written.

The oldest come first, and a page may be empty and have another after it:
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""

from collections.abc import Callable, Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from lambda_authorizer import audit_chain

if TYPE_CHECKING:
    from mypy_boto3_logs.client import CloudWatchLogsClient

PATTERN = "{ $.sequence > 0 }"
"""Whatever may be a record. CloudWatch Logs leaves out what is not; a line that it lets through is still looked at."""
MOST_LINES, MOST_BYTES = 10_000, 6 * 1024 * 1024
"""New records of one log group at once. All groups together have less than ``seals.MOST_BYTES``."""
_PAGE = 10_000
# CloudWatch Logs takes five such calls a second.
_THREADS = 4


class OutOfTime(Exception):
    """The period could not be read in time."""


class Read(NamedTuple):
    """The new records before ``until``: all there are by now."""

    lines: list[str]
    until: int


class _Part(NamedTuple):
    """Of one log group: lines by their time, and the time from which on they are not all there."""

    lines: list[tuple[int, str]]
    until: int


def fingerprint(line: str) -> bytes:
    """What a line is known by."""
    return sha256(line.encode("utf-8")).digest()


class Reader:
    """Reads some log groups. ``in_time`` tells whether another call may be made."""

    def __init__(self, logs: "CloudWatchLogsClient", groups: Sequence[str], in_time: Callable[[], bool]) -> None:
        self._logs = logs
        self._groups = groups
        self._in_time = in_time

    def read(self, begin: int, since: int, until: int, known: Container[bytes]) -> Read:
        """The records from ``begin`` to before ``until`` that are not ``known``, in no order; fewer when they are too many, but
        at least up to a moment after ``since``. Times are CloudWatch Logs' own, in milliseconds since the epoch.

        Raises OutOfTime and what boto3 raises.
        """
        with ThreadPoolExecutor(_THREADS) as threads:
            parts = list(threads.map(lambda group: self._part(group, begin, since, until, known), self._groups))
        end = min(part.until for part in parts)
        # A record that is there twice, as CloudWatch Logs may have it, is one.
        return Read(list({line for part in parts for time, line in part.lines if time < end}), end)

    def _part(self, group: str, begin: int, since: int, until: int, known: Container[bytes]) -> _Part:
        asked: dict[str, Any] = {"logGroupName": group, "filterPattern": PATTERN, "limit": _PAGE}
        lines: list[tuple[int, str]] = []
        size = 0
        while True:
            if not self._in_time():
                raise OutOfTime
            # The API's end is inclusive.
            answer = self._logs.filter_log_events(startTime=begin, endTime=until - 1, **asked)
            for event in answer.get("events", []):
                time, line = event.get("timestamp", 0), event.get("message", "").rstrip("\n")
                if len(lines) >= MOST_LINES or size >= MOST_BYTES:
                    last = lines[-1][0]
                    if time > last >= since:
                        return _Part(lines, last + 1)
                if audit_chain.parse(line) is not None and fingerprint(line) not in known:
                    lines.append((time, line))
                    size += len(line)
            token = answer.get("nextToken")
            if not token:
                return _Part(lines, until)
            asked["nextToken"] = token
