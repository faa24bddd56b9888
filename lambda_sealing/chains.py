"""What is wrong with the chains of records: each one that was removed, reordered, changed or inserted, by its name.

The records come a file at a time. Of each writer it is known where its chain stood before the file, and, from a signed seal,
where it stood after it; the sealer, which writes the seal, knows only the former. Pure, and nothing but the standard library: the
sealer and ``heartmapctl audit verify`` find the same.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from lambda_authorizer import audit_chain
from lambda_authorizer.audit_chain import GENESIS, Link

REMOVED, REORDERED, CHANGED, INSERTED = "removed", "reordered", "changed", "inserted"

_TIME = re.compile(r'"time":([0-9]{1,16})[,}]')
_MANY = 10_000
"""Findings of one file that are named one by one; a file with more of them is another file."""


class Finding(NamedTuple):
    """``what`` happened to the records of ``writer`` from ``sequence`` to ``last``. ``time`` is that of the record, of a removed
    one that of the record before; milliseconds since the epoch, None where nothing says it."""

    what: str
    writer: str
    sequence: int
    last: int
    time: int | None


class Head(NamedTuple):
    """The last record of a writer: its sequence, its hash, and its time in milliseconds since the epoch (0: none yet)."""

    sequence: int
    hash: str
    time: int


class Gap(NamedTuple):
    """Records ``first`` to ``last`` of a writer that have not come. ``before`` is the hash of the one in front of them, None when
    nobody knows it, ``after`` that of the last of them, as the record behind names it; ``time`` is that of the one in front."""

    first: int
    last: int
    before: str | None
    after: str
    time: int


class Record(NamedTuple):
    """A line with its place in a chain, in its file (``place``) and in time."""

    link: Link
    place: int
    time: int


BEGINNING = Head(0, GENESIS, 0)


@dataclass
class Writer:
    """Where a writer's chain stands: its last record, and what is missing before it."""

    head: Head
    gaps: list[Gap] = field(default_factory=list)


class Ledger:
    """The chains of all writers up to here.

    ``complete`` is whether every writer that wrote before is known: then the first record of an unknown one has the sequence 1.
    """

    def __init__(self, writers: dict[str, Writer] | None = None, *, complete: bool = True) -> None:
        self.writers = writers or {}
        self.complete = complete

    def add(self, lines: Sequence[str], ends: Mapping[str, Head] | None = None) -> list[Finding]:
        """Go on by a file of records and tell what is wrong with them, but for what is missing: that may come in a later file,
        and stands in the writers' gaps until then. ``ends`` are the heads that the file's seal names, None where it is made."""
        records, findings = parsed(lines)
        grouped: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            grouped[record.link.writer].append(record)
        before = {name: list(self.writers[name].gaps) for name in grouped if name in self.writers}
        strangers: set[int] = set()
        for name in sorted({*grouped, *(ends or ())}):
            if ends is not None and name not in ends:
                findings += _inserted(grouped[name], strangers)
            else:
                findings += self._add(name, grouped.get(name, []), ends[name] if ends is not None else None, strangers)
        if ends is not None:
            findings = self._in_place(findings, {name: before.get(name, []) for name in ends}, records, strangers)
        # A copy is named once, whichever of the two stands where it should.
        named = {one[1:3] for one in findings if one.what == INSERTED}
        moved = _reordered([record for record in records if record.place not in strangers])
        return (findings + [one for one in moved if one[1:3] not in named])[:_MANY]

    def _in_place(
        self, findings: list[Finding], before: Mapping[str, list[Gap]], records: list[Record], strangers: set[int]
    ) -> list[Finding]:
        """Broken lines that are as many as the records that are missing in their file were those: it goes by writer and sequence,
        so that the first is the first."""
        broken = [one for one in findings if one.what == CHANGED and not one.writer]
        misplaced = {record.link[:2] for record in records if record.place in strangers and _is_broken(record)}
        broken += [one for one in findings if one.what == INSERTED and (one.writer, one.sequence) in misplaced]
        if not broken:
            return findings
        gaps = [(name, gap) for name in sorted(before) for gap in self.writers[name].gaps if gap not in before[name]]
        numbers = [
            (name, number, gap.time) for name, gap in gaps for number in range(gap.first, min(gap.last, gap.first + _MANY) + 1)
        ]
        if len(numbers) != len(broken):
            return findings
        for name, gap in gaps:
            self.writers[name].gaps.remove(gap)
        left = [one for one in findings if one not in broken]
        return left + [Finding(CHANGED, name, number, number, time or None) for name, number, time in numbers]

    def missing(self) -> list[Finding]:
        """What has not come until the end."""
        return [
            Finding(REMOVED, name, gap.first, gap.last, gap.time or None)
            for name, writer in self.writers.items()
            for gap in writer.gaps
        ]

    def _add(self, name: str, records: list[Record], end: Head | None, strangers: set[int]) -> list[Finding]:
        writer = self.writers.get(name)
        if writer is None:
            writer = self.writers[name] = Writer(self._beginning(records, end))
        if _flawless(writer.head, records, end):
            writer.head = end or _head(records[-1])
            return []
        findings: list[Finding] = []
        new, late = [], []
        for record in records:
            (new if record.link.sequence > writer.head.sequence else late).append(record)
        if late:
            findings += _fill(writer, late, strangers)
        if end is not None:
            findings += _inserted([record for record in new if record.link.sequence > end.sequence], strangers)
            new = [record for record in new if record.link.sequence <= end.sequence]
        head = writer.head
        # Without a seal the chain ends with what there is of it.
        if not new if end is None else end.sequence <= head.sequence:
            return findings
        walk = _walk(head.sequence + 1, head.hash or None, head.time, new, end, strangers)
        writer.gaps += walk.gaps
        writer.head = walk.head
        return findings + walk.findings

    def _beginning(self, records: list[Record], end: Head | None) -> Head:
        if self.complete:
            return BEGINNING
        if end is not None and not records:
            # It wrote before, and nothing here says what.
            return end
        first = min(record.link.sequence for record in records)
        return BEGINNING if first == 1 else Head(first - 1, "", 0)


def parsed(lines: Iterable[str]) -> tuple[list[Record], list[Finding]]:
    """The records in these lines, and a finding for each line that is none, by its number."""
    records: list[Record] = []
    findings: list[Finding] = []
    for index, line in enumerate(lines):
        link = audit_chain.parse(line)
        if link is None:
            findings.append(Finding(CHANGED, "", index + 1, index + 1, None))
        else:
            records.append(Record(link, index, time_of(line)))
    return records, findings


def time_of(line: str) -> int:
    """The time that a record says, in milliseconds since the epoch; 0 where it says none."""
    found = _TIME.search(line)
    return int(found[1]) if found else 0


class _Walk(NamedTuple):
    findings: list[Finding]
    gaps: list[Gap]
    head: Head


class _Place(NamedTuple):
    """A record of the chain, with the hashes that the next one may name: what it says, and what it should."""

    record: Record
    hashes: frozenset[str]


def _walk(first: int, before: str | None, time: int, records: list[Record], end: Head | None, strangers: set[int]) -> _Walk:
    """The chain from ``first`` on, where ``before`` is the hash in front of it, up to ``end``."""
    by_sequence: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        by_sequence[record.link.sequence].append(record)
    numbers = sorted(by_sequence)
    findings: list[Finding] = []
    chain: dict[int, _Place] = {}
    for number in numbers:
        hashes = {before} if number == first else chain[number - 1].hashes if number - 1 in chain else {None}
        following = {record.link.previous for record in by_sequence.get(number + 1, ())}
        if end is not None and number == end.sequence:
            following = {end.hash}
        chosen, others = _choose(by_sequence[number], hashes, following)
        findings += _inserted(others, strangers)
        chain[number] = _Place(chosen, frozenset({chosen.link.hash, chosen.link.computed}))
    findings += _changed(first, before, chain, end)
    head = end or _head(chain[numbers[-1]].record)
    return _Walk(findings, _gaps(first, before, time, chain, end), head)


def _choose(candidates: list[Record], before: Iterable[str | None], after: set[str]) -> tuple[Record, list[Record]]:
    """Which of the records with one sequence is the chain's, and those that are not."""
    if len(candidates) == 1:
        return candidates[0], []

    def fits(record: Record) -> int:
        link = record.link
        return 2 * (link.hash in after) + (link.previous in before) + 2 * (link.hash == link.computed)

    chosen = max(candidates, key=lambda record: (fits(record), -record.place))
    return chosen, [record for record in candidates if record is not chosen]


def _changed(first: int, before: str | None, chain: Mapping[int, _Place], end: Head | None) -> list[Finding]:
    """The records that are not as they were written.

    One whose hash is made anew breaks the link to the record behind it; one that names another record before it breaks two.
    """
    blamed = {number for number, place in chain.items() if _is_broken(place.record)}

    def whole(number: int) -> bool:
        """Whether the link from the record in front of ``number`` to it holds, as far as anyone knows."""
        if end is not None and number == end.sequence + 1:
            return end.hash in chain[number - 1].hashes if number - 1 in chain else True
        if number not in chain:
            return True
        previous = chain[number].record.link.previous
        if number == first:
            return before is None or previous == before
        return number - 1 not in chain or previous in chain[number - 1].hashes

    for number in sorted({*chain, *(one + 1 for one in chain)}):
        if whole(number) or {number - 1, number} & blamed:
            continue
        # The front of the chain and its sealed end are beyond doubt.
        behind = number in chain and (number - 1 not in chain or (whole(number - 1) and not whole(number + 1)))
        blamed.add(number if behind else number - 1)
    return [_named(CHANGED, chain[number].record) for number in sorted(blamed)]


def _gaps(first: int, before: str | None, time: int, chain: Mapping[int, _Place], end: Head | None) -> list[Gap]:
    gaps: list[Gap] = []
    expected, front, moment = first, before, time
    for number, place in chain.items():
        link = place.record.link
        if number > expected:
            gaps.append(Gap(expected, number - 1, front, link.previous, moment))
        expected, front, moment = number + 1, link.hash, place.record.time
    if end is not None and end.sequence >= expected:
        gaps.append(Gap(expected, end.sequence, front, end.hash, moment))
    return gaps


def _fill(writer: Writer, late: list[Record], strangers: set[int]) -> list[Finding]:
    """Records that come after others of the same writer: they belong into its gaps, or nowhere."""
    findings: list[Finding] = []
    left: list[Gap] = []
    for gap in writer.gaps:
        inside = [record for record in late if gap.first <= record.link.sequence <= gap.last]
        if not inside:
            left.append(gap)
            continue
        late = [record for record in late if not gap.first <= record.link.sequence <= gap.last]
        walk = _walk(gap.first, gap.before, gap.time, inside, Head(gap.last, gap.after, gap.time), strangers)
        findings += walk.findings
        left += walk.gaps
    writer.gaps = left
    return findings + _inserted(late, strangers)


def _flawless(head: Head, records: list[Record], end: Head | None) -> bool:
    """Whether these go on from the head up to the end: nearly all do, and nothing more has to be asked then."""
    expected, before = head.sequence, head.hash
    for record in records:
        link = record.link
        expected += 1
        if link.sequence != expected or link.previous != before or link.hash != link.computed:
            return False
        before = link.hash
    return bool(records) if end is None else (end.sequence, end.hash) == (expected, before)


def _is_broken(record: Record) -> bool:
    return record.link.hash != record.link.computed


def _inserted(records: list[Record], strangers: set[int]) -> list[Finding]:
    strangers.update(record.place for record in records)
    return [_named(INSERTED, record) for record in records]


def _reordered(records: list[Record]) -> list[Finding]:
    """Those that stand elsewhere than a file has them, which goes by writer and sequence: as few as explain its order."""
    keys = [(record.link.writer, record.link.sequence) for record in records]
    if all(one < other for one, other in pairwise(keys)):
        return []
    # The longest part that is in order, by patience sorting: whatever is not of it was moved.
    tops: list[tuple[str, int]] = []
    ends: list[int] = []
    before: list[int] = []
    for index, key in enumerate(keys):
        pile = bisect_left(tops, key)
        before.append(ends[pile - 1] if pile else -1)
        tops[pile : pile + 1], ends[pile : pile + 1] = [key], [index]
    in_order: set[int] = set()
    index = ends[-1]
    while index >= 0:
        in_order.add(index)
        index = before[index]
    return [_named(REORDERED, record) for index, record in enumerate(records) if index not in in_order]


def _named(what: str, record: Record) -> Finding:
    link = record.link
    return Finding(what, link.writer, link.sequence, link.sequence, record.time or None)


def _head(record: Record) -> Head:
    return Head(record.link.sequence, record.link.hash, record.time)
