"""The audit trail: searched, and followed."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict

from operator_cli.api import Api
from operator_cli.errors import WrongUse

PAGE = 1000
"""The most that the service gives at once."""
PAUSE = 2.0
"""Seconds between two looks at what is new."""
LATE = 60
"""Seconds by which a record may come after a newer one: the logs of several functions are written beside each other."""

Record = dict[str, Any]

_SPAN = re.compile(r"(?P<count>[0-9]{1,5})(?P<unit>[smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class _Records(BaseModel):
    model_config = ConfigDict(extra="allow")

    records: list[Record]
    next_cursor: str | None = None


def moment(option: str, text: str) -> str:
    """A time as the service takes it: as it is, or a span such as 24h or 7d before now. Raises WrongUse."""
    span = _SPAN.fullmatch(text)
    if span:
        before = datetime.now(UTC) - timedelta(**{_UNITS[span["unit"]]: int(span["count"])})
        return before.isoformat(timespec="milliseconds")
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        parsed = None
    if parsed is None:
        raise WrongUse(f"{option} {text}: write a span such as 30m, 24h or 7d, or a time such as 2026-11-30T09:00:00Z.")
    # Without a zone it is this machine's time of day.
    return (parsed if parsed.tzinfo else parsed.astimezone()).isoformat()


def milliseconds(option: str, text: str | None) -> int | None:
    """The same time in milliseconds since the epoch. Raises WrongUse."""
    return None if text is None else int(datetime.fromisoformat(moment(option, text)).timestamp() * 1000)


def search(api: Api, filters: Mapping[str, str], limit: int) -> list[Record]:
    """The newest records that match, the newest first."""
    return list(islice(each(api, filters, limit), limit))


def each(api: Api, filters: Mapping[str, str], limit: int | None = None) -> Iterator[Record]:
    """Every record that matches, the newest first; whoever wants no more than ``limit`` says so."""
    # Without an end of its own each page would end at another moment.
    asked = {"until": datetime.now(UTC).isoformat(timespec="milliseconds"), **filters}
    given = 0
    while True:
        most = PAGE if limit is None else min(PAGE, limit - given)
        page = api.call("GET", f"/audit?{urlencode(asked | {'limit': str(most)})}", _Records)
        yield from page.records
        given += len(page.records)
        if page.next_cursor is None or (limit is not None and given >= limit):
            return
        asked["cursor"] = page.next_cursor


def follow(api: Api, filters: Mapping[str, str], sleep: Callable[[float], None] = time.sleep) -> Iterator[Record]:
    """Every record from now on, the oldest first, without the looks at the audit trail themselves. It never ends."""
    start = time.time()
    seen: dict[str, float] = {}
    while True:
        now = time.time()
        since = max(start, now - LATE)
        for record in reversed(search(api, {**filters, "since": f"{since:.3f}", "until": f"{now + LATE:.3f}"}, limit=10_000)):
            told = repr(sorted(record.items()))
            if told not in seen:
                seen[told] = now
                if record.get("route") != "/audit" and record.get("stream") != "audit":
                    yield record
        seen = {told: when for told, when in seen.items() if now - when <= 2 * LATE}
        sleep(PAUSE)
