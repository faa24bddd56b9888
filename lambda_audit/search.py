"""The search of the log groups, the newest records first.

CloudWatch Logs gives the oldest first, so that the time is searched in pieces, backwards from the end: short ones where there are
many records, and ever longer ones where there are few.
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple

from lambda_audit import lines, sources
from lambda_audit.queries import Cursor, Query
from lambda_authorizer.aws import Aws

PAGE = 120
"""Lines that are asked for at a time: no more than this are an answer of less than ``bounded_http.MAX_BYTES``."""
MOST = 1000
"""Lines of a log group in a piece of the time. In a piece with more of them a shorter one is searched first."""
FIRST, FACTOR = 10 * 60 * 1000, 4
"""Milliseconds of the first piece, and how much longer or shorter the next one is."""


class OutOfTime(Exception):
    """Not even the first piece could be searched in time."""


class Found(NamedTuple):
    """The records, and where to go on, unless nothing is left. Nothing before ``read_back_to``, in milliseconds since the epoch,
    has been read: a search for something rare may give no record yet, and have to go on."""

    records: list[dict[str, Any]]
    cursor: str | None
    read_back_to: int


class _Line(NamedTuple):
    """A record with what it is sorted by."""

    moment: int
    stream: str
    event_id: str
    record: dict[str, Any]


class Search:
    """A search of the log groups, by stream. No call is begun after ``until`` and none ends after ``deadline``, both on the clock
    of ``time.monotonic``."""

    def __init__(self, log_groups: Mapping[str, str], *, aws: Aws, region: str, until: float, deadline: float) -> None:
        self._log_groups = log_groups
        self._aws = aws
        self._region = region
        self._until = until
        self._deadline = deadline

    def records(self, query: Query) -> Found:
        """The newest records that match, as many as the query's limit, with the addresses that their calls came from.

        Raises OutOfTime and AwsError.
        """
        end, given = (query.until, 0) if query.cursor is None else (min(query.until, query.cursor.moment), query.cursor.given)
        found: list[_Line] = []
        length, searched = FIRST, False
        with ThreadPoolExecutor(len(self._log_groups)) as threads:
            while end >= query.since and len(found) <= given + query.limit:
                begin = max(query.since, end - length + 1)
                try:
                    piece = self._piece(query, begin, end, threads)
                except OutOfTime:
                    if not searched:
                        raise
                    break
                if piece is None:
                    length = max(1, (end - begin + 1) // FACTOR)
                    continue
                found += piece
                end, length, searched = begin - 1, length * FACTOR, True
        page = _page(found, query, given, end)
        return page if query.exact else page._replace(records=self._with_sources(page.records))

    def _with_sources(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The records with the addresses of their calls, as far as there is time to look for them."""
        calls: list[dict[str, Any]] = []
        for asked in sources.unknown(records):
            try:
                for events in self._events(sources.AUTHORIZER, asked.pattern, asked.begin, asked.end):
                    shown = (lines.record(sources.AUTHORIZER, event["message"], event["timestamp"]) for event in events)
                    calls += [record for record in shown if record is not None]
            except OutOfTime:
                break
        return sources.filled(records, calls)

    def _piece(self, query: Query, begin: int, end: int, threads: ThreadPoolExecutor) -> list[_Line] | None:
        """The records of a piece, the newest first; None when there are too many."""

        def of(stream: str) -> list[_Line] | None:
            return self._lines(stream, query, begin, end)

        streams = list(threads.map(of, self._log_groups))
        if begin < end and any(some is None for some in streams):
            return None
        return sorted((line for some in streams for line in some or ()), key=lambda line: line[:3], reverse=True)

    def _lines(self, stream: str, query: Query, begin: int, end: int) -> list[_Line] | None:
        shown = lines.exact if query.exact else lines.record
        found: list[_Line] = []
        for events in self._events(stream, query.pattern(stream), begin, end):
            for event in events:
                record = shown(stream, event["message"], event["timestamp"])
                if record is not None and query.matches(record):
                    found.append(_Line(event["timestamp"], stream, event["eventId"], record))
            if len(found) > MOST:
                return None
        return found

    def _events(self, stream: str, pattern: str, begin: int, end: int) -> Iterator[list[dict[str, Any]]]:
        """The events of a log group from ``begin`` to ``end`` that a filter pattern lets through, page by page.

        Raises OutOfTime and AwsError.
        """
        asked = {
            "logGroupName": self._log_groups[stream],
            "filterPattern": pattern,
            "startTime": begin,
            "endTime": end,
            "limit": PAGE,
        }
        while True:
            if time.monotonic() >= self._until:
                raise OutOfTime
            answer = self._aws.call("logs", "Logs_20140328.FilterLogEvents", asked, region=self._region, deadline=self._deadline)
            yield answer.get("events", [])
            # A page may be empty and have another after it.
            if not answer.get("nextToken"):
                return
            asked["nextToken"] = answer["nextToken"]


def _page(found: list[_Line], query: Query, given: int, rest: int) -> Found:
    """As many as the limit after those that were given before. ``rest`` is the end of what was not searched."""
    end = given + query.limit
    records = [line.record for line in islice(found, given, end)]
    if len(found) > end:
        last = found[end - 1].moment
        cursor, back_to = Cursor(last, sum(line.moment == last for line in found[:end])), last
    elif rest >= query.since:
        cursor, back_to = Cursor(rest, 0), rest + 1
    else:
        return Found(records, None, query.since)
    return Found(records, f"{cursor.moment}.{cursor.given}", back_to)
