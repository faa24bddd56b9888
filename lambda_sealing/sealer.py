"""The sealing of the records since the last seal.

A seal is made of what the log groups have of a period that ended a while ago. What comes later than that is found by reading a
stretch before the period again, without what its seals have already. The records' file is put first: one without a seal, of a
sealer that died, is never looked at. Two sealers put a seal of the same name, and the second one does not.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from lambda_sealing import seals
from lambda_sealing.chains import REMOVED, Finding, Gap, Ledger, Writer
from lambda_sealing.reading import Reader, fingerprint
from lambda_sealing.seals import FIRST, MOST_WRITERS, RECORDS_PREFIX, SEALS_PREFIX, Seal, SealFile
from lambda_sealing.signing import Signer
from lambda_sealing.store import Store

MINUTE = 60 * 1000
"""Milliseconds, as all times here."""
LAG = 2 * MINUTE
"""How long ago a period has to have ended: until then its records are in CloudWatch Logs."""
LATE = 60 * MINUTE
"""How much later than that a record may come and still be sealed."""
LONGEST = 6 * 60 * MINUTE
"""Of a period, so that what a sealer missed that did not run is read in parts."""
BEFORE_THE_FIRST = 24 * 60 * MINUTE
"""Where the first period begins, before the first seal."""
GRACE = 10 * MINUTE
"""How long a record may be missing until that is told of."""
WAITED = 24 * 60 * MINUTE
"""How long a record that is missing is known to be."""
MOST_GAPS = 1000


class Overtaken(Exception):
    """Another sealer has put this seal."""


class Sealed(NamedTuple):
    """A seal that was put, its file's SHA-256, and its records."""

    seal: Seal
    sha256: str
    lines: list[str]


@dataclass
class _Last:
    """What the next seal goes on from."""

    sequence: int
    sha256: str
    until: int
    sealed_at: int
    ledger: Ledger
    retired: int
    opened: dict[tuple[str, int], int]
    known: set[bytes] = field(default_factory=set)
    """Fingerprints of the records of the last hour."""


class Sealer:
    """Seals into ``store`` what ``reader`` has, up to when this is made: the time that passes meanwhile is for the next one.
    ``now`` is in milliseconds since the epoch."""

    def __init__(self, reader: Reader, store: Store, signer: Signer, now: Callable[[], int]) -> None:
        self._reader = reader
        self._store = store
        self._signer = signer
        self._now = now
        self._horizon = now() - LAG
        self._last: _Last | None = None

    def next(self) -> Sealed | None:
        """Put the next seal. None when nothing is left to be sealed by now.

        Raises Overtaken, NotSigned for a last seal that is not this key's, OutOfTime, Malformed, TooLarge, and what boto3 raises.
        """
        again = self._last is None
        last = self._last = self._last or self._read_last()
        if last.until >= self._horizon:
            return None
        # Within a run nothing comes late.
        begin = last.until - LATE if again else last.until
        longest = LONGEST if last.sequence else BEFORE_THE_FIRST
        read = self._reader.read(begin, last.until, min(self._horizon, last.until + longest), last.known)
        lines = [line for _, line in sorted((_order(line), line) for line in read.lines)]
        sealed = self._seal(last, lines, read.until)
        self._last = self._after(sealed)
        return sealed

    def _seal(self, last: _Last, lines: list[str], until: int) -> Sealed:
        sequence, now = last.sequence + 1, self._now()
        found = last.ledger.add(lines)
        opened = {
            (name, gap.first): last.opened.get((name, gap.first), now)
            for name, writer in last.ledger.writers.items()
            for gap in writer.gaps
        }
        found += _lost(last.ledger, opened, last.sealed_at, now)
        writers = _kept(last.ledger.writers, {_order(line)[0] for line in lines}, opened, now)
        records, packed = seals.pack(sequence, lines)
        seal = Seal(
            sequence=sequence,
            previous=last.sha256,
            since=last.until,
            until=until,
            sealed_at=now,
            records=records,
            writers=writers,
            retired=last.retired + len(last.ledger.writers) - len(writers),
            opened=opened,
            found=found,
            key=self._signer.key,
        )
        text = seal.text()
        file = seals.seal_file(text, self._signer.sign(text))
        # Its name is of what it holds: one that is there already is the same.
        self._store.put_new(RECORDS_PREFIX + records.name, packed, "application/gzip")
        if not self._store.put_new(seals.name_of(SEALS_PREFIX, sequence), file, "application/json"):
            raise Overtaken
        return Sealed(seal, seals.read_seal(file).sha256, lines)

    @staticmethod
    def _after(sealed: Sealed) -> _Last:
        seal = sealed.seal
        return _Last(seal.sequence, sealed.sha256, seal.until, seal.sealed_at, seal.ledger(), seal.retired, dict(seal.opened))

    def _read_last(self) -> _Last:
        sequence = self._store.latest(SEALS_PREFIX)
        if sequence == 0:
            return _Last(0, FIRST, self._horizon - BEFORE_THE_FIRST, 0, Ledger(), 0, {})
        file = self._read(sequence)
        self._signer.verify(file.text, file.signature)
        seal = file.seal
        return _Last(
            sequence, file.sha256, seal.until, seal.sealed_at, seal.ledger(), seal.retired, dict(seal.opened), self._recent(seal)
        )

    def _recent(self, seal: Seal) -> set[bytes]:
        """The fingerprints of all records that were sealed of the time that is read again."""
        known: set[bytes] = set()
        begin = seal.until - LATE
        while True:
            known.update(map(fingerprint, self.lines(seal)))
            if seal.sequence == 1 or seal.since <= begin:
                return known
            seal = self._read(seal.sequence - 1).seal

    def _read(self, sequence: int) -> SealFile:
        return seals.read_seal(self._store.get(seals.name_of(SEALS_PREFIX, sequence), seals.MOST_SEAL_BYTES))

    def read(self, sequence: int) -> Sealed:
        """A seal that was put before, with its records. Raises Malformed, TooLarge and what boto3 raises."""
        file = self._read(sequence)
        return Sealed(file.seal, file.sha256, self.lines(file.seal))

    def lines(self, seal: Seal) -> list[str]:
        """The records of a seal. Raises as ``read`` does."""
        packed = self._store.get(RECORDS_PREFIX + seal.records.name, seals.MOST_BYTES)
        return seals.unpack(packed, seal.records.bytes)


def _order(line: str) -> tuple[str, int]:
    writer, sequence = line[line.rindex(',"writer":"') + 11 :].split('","sequence":', 1)
    return writer, int(sequence.split(",", 1)[0])


def _lost(ledger: Ledger, opened: dict[tuple[str, int], int], before: int, now: int) -> list[Finding]:
    """What is missing for so long, since the last seal, that it does not come any more."""
    return [
        Finding(REMOVED, name, gap.first, gap.last, gap.time or None)
        for name, writer in ledger.writers.items()
        for gap in writer.gaps
        if before < opened[name, gap.first] + GRACE <= now
    ]


def _kept(writers: dict[str, Writer], heard: set[str], opened: dict[tuple[str, int], int], now: int) -> dict[str, Writer]:
    """The writers that a seal names: those that it has records of, and others heard of last, with the gaps that something may
    still come for."""
    latest = sorted(writers, key=lambda name: (name in heard, writers[name].head.time, name), reverse=True)
    latest = latest[: max(MOST_WRITERS, len(heard))]
    left = MOST_GAPS
    kept: dict[str, Writer] = {}
    for name in latest:
        gaps: list[Gap] = [gap for gap in writers[name].gaps if now - opened[name, gap.first] < WAITED][:left]
        left -= len(gaps)
        kept[name] = Writer(writers[name].head, gaps)
    return kept
