"""Where a call came from, in what the service and its workers wrote of it: they know who calls, and no address.

The authorizer's record of the call has the address, and the request's id, which all who work on the call write.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

AUTHORIZER = "authorizer"
ASKING = ("service", "worker")
"""The streams whose records have no address."""
AT_ONCE = 12
"""Request ids in one filter pattern, which may have 1,024 characters."""
LONGEST = 24 * 3600 * 1000
"""Milliseconds that a worker may be at work on what a call asked for."""

# What has a meaning in a filter pattern is in none, whatever a record says. API Gateway's are UUIDs.
_ID = re.compile(r"[A-Za-z0-9-]{1,40}")


class Asked(NamedTuple):
    """The calls of these ids, which are in the authorizer's records of a time in milliseconds since the epoch."""

    ids: tuple[str, ...]
    begin: int
    end: int

    @property
    def pattern(self) -> str:
        """The filter pattern for the authorizer's records."""
        ids = " || ".join(f'($.request_id = "{each}")' for each in self.ids)
        return f'{{ ($.event = "authorization") && ({ids}) }}'


def unknown(records: Iterable[Mapping[str, Any]]) -> Iterator[Asked]:
    """What has to be asked for, so that each record has its address. ``records`` are the newest first."""
    records = list(records)
    known = {one["request_id"] for one in records if one.get("source_ip") and one.get("request_id")}
    times: dict[str, list[int]] = {}
    for one in records:
        request_id = one.get("request_id")
        if one["stream"] in ASKING and isinstance(request_id, str) and request_id not in known and _ID.fullmatch(request_id):
            moment = int(datetime.fromisoformat(one["time"]).timestamp() * 1000)
            times.setdefault(request_id, []).extend((moment, moment - LONGEST if one["stream"] == "worker" else moment - 60_000))
    ids = list(times)
    for first in range(0, len(ids), AT_ONCE):
        some = tuple(ids[first : first + AT_ONCE])
        yield Asked(some, min(min(times[each]) for each in some), max(max(times[each]) for each in some))


def filled(records: Iterable[dict[str, Any]], calls: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The records with the addresses that those of their calls have. A record that has one keeps its own."""
    records = list(records)
    sources = {one.get("request_id"): one["source_ip"] for one in (*records, *calls) if one.get("source_ip")}
    return [
        one | {"source_ip": sources[one["request_id"]]}
        if one["stream"] in ASKING and not one.get("source_ip") and one.get("request_id") in sources
        else one
        for one in records
    ]
