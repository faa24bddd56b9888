"""The log as it is now, beside what was sealed of it: whatever is in one of them only was removed, changed or inserted since."""

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import NamedTuple

from lambda_authorizer import audit_chain
from lambda_sealing.chains import CHANGED, INSERTED, REMOVED, Finding, Ledger, time_of

HOUR = 3600 * 1000
"""Milliseconds, as all times here. No record is sealed that comes so much later than the log says that it is of."""

Fetch = Callable[[int, int], Iterable[tuple[int, str]]]
"""The lines of the log from a time to before another, each with its time."""


class _Seen(NamedTuple):
    moment: int
    line: str


class LiveLog:
    """Goes along with the seals, in their order. Only what is of the last hour or in one place alone is kept."""

    def __init__(self, fetch: Fetch, since: int, now: int) -> None:
        self._fetch = fetch
        self._since = since
        self._until = since - HOUR
        self._now = now
        self._sealed: dict[bytes, _Seen] = {}
        self._live: dict[bytes, _Seen] = {}
        self._lost = False

    def lose(self) -> None:
        """A seal, or its records, are not there: nobody knows what is in the log of that time alone."""
        self._lost = True

    def add(self, since: int, until: int, lines: Iterable[str]) -> list[Finding]:
        """What is wrong with the log of a seal's period, given its records."""
        for line in lines:
            _pair(self._sealed, self._live, _Seen(until, line))
        if until > self._until:
            self._read(min(max(until, self._until + HOUR), max(self._now, until)))
        if self._lost:
            self._live = {key: seen for key, seen in self._live.items() if seen.moment >= since}
            self._lost = False
        gone, self._sealed = self._sealed, {}
        old = {key: seen for key, seen in self._live.items() if seen.moment < since - HOUR}
        self._live = {key: seen for key, seen in self._live.items() if key not in old}
        new = {key: seen for key, seen in old.items() if seen.moment >= self._since}
        # What is older than the comparison is in the log no more, or need not be.
        missed = [seen for seen in gone.values() if time_of(seen.line) >= self._since]
        return _told(missed, new.values())

    def _read(self, end: int) -> None:
        if end > self._until:
            for moment, line in self._fetch(self._until, end):
                _pair(self._live, self._sealed, _Seen(moment, line))
            self._until = end

    def unsealed(self) -> list[str]:
        """The lines of which no seal has told by now."""
        return [seen.line for seen in self._live.values()]

    def rest(self, until: int, ledger: Ledger) -> tuple[list[Finding], int]:
        """What is in the log of the time before ``until`` and was not sealed: wrong unless it fits into a gap, or goes on from a
        writer's head; how many do, for the next seal."""
        self._read(self._now)
        own = sorted((seen for seen in self._live.values() if self._since <= seen.moment < until), key=lambda seen: seen.moment)
        findings = ledger.add([seen.line for seen in own])
        return findings, len(own) - len(findings)


def _pair(here: dict[bytes, _Seen], there: dict[bytes, _Seen], seen: _Seen) -> None:
    key = sha256(seen.line.encode("utf-8")).digest()
    if there.pop(key, None) is None:
        here[key] = seen


def _told(gone: Iterable[_Seen], new: Iterable[_Seen]) -> list[Finding]:
    """A record that is gone and another of its writer and number are one that was changed."""
    removed, inserted = ({_place(seen.line): seen for seen in several} for several in (gone, new))
    findings = [
        Finding(CHANGED if place in inserted else REMOVED, place[0], place[1], place[1], time_of(seen.line))
        for place, seen in removed.items()
    ]
    findings += [
        Finding(INSERTED, place[0], place[1], place[1], time_of(seen.line))
        for place, seen in inserted.items()
        if place not in removed
    ]
    return findings


def _place(line: str) -> tuple[str, int]:
    link = audit_chain.parse(line)
    return (link.writer, link.sequence) if link else ("", 0)
