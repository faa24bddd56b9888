"""Whether the audit trail is as it was written: the seals by their signatures and by one another, the records by their seals and
by the chains of their writers, and the log as it is now by what was sealed of it. docs/audit.md says what that proves."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from lambda_sealing import seals
from lambda_sealing.chains import Finding, Ledger
from lambda_sealing.seals import FIRST, Malformed, Seal, SealFile
from operator_cli.errors import WrongUse
from operator_cli.live_log import LiveLog
from operator_cli.sealed import Source

MINUTE = 60 * 1000
"""Milliseconds, as all times here."""
BEHIND = 20 * MINUTE
"""How old the end of the last seal may be: there is one every five minutes."""
STILL_COMING = 10 * MINUTE
"""How long the sealer waits for a record that is missing before it tells of it."""
MOST_TOLD = 1000
_SPARE = 1024 * 1024


class Problem(NamedTuple):
    """``what`` is wrong ``where``: in a seal, in sealed records, or in the live log. ``seal`` is a sequence; ``writer``,
    ``sequence`` and ``last`` are those of the records, ``time`` (RFC 3339) is theirs; ``detail`` is for people."""

    where: str
    what: str
    seal: int | None
    writer: str | None
    sequence: int | None
    last: int | None
    time: str | None
    detail: str

    def document(self) -> dict[str, Any]:
        return self._asdict()


@dataclass
class Report:
    """What was verified, and what is wrong."""

    first: int | None = None
    last: int | None = None
    since: str | None = None
    until: str | None = None
    seals: int = 0
    records: int = 0
    waiting: int = 0
    compared_since: str | None = None
    problems: list[Problem] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {**vars(self), "problems": [one.document() for one in self.problems]}


class Key:
    """The public key of the seals, in PEM. Raises WrongUse for what is none."""

    def __init__(self, pem: bytes) -> None:
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise WrongUse("The public key is no P-256 key in PEM.", next_step="Take the stack output audit_public_key.")
        self._key = key

    @classmethod
    def at(cls, path: Path) -> "Key":
        """Raises WrongUse."""
        try:
            with path.open("rb") as stream:
                return cls(stream.read(16 * 1024))
        except OSError as error:
            raise WrongUse(f"The public key {path} cannot be read: {error.strerror}.") from None

    def signed(self, file: SealFile) -> bool:
        """Whether the seal is as the sealer made it."""
        try:
            self._key.verify(file.signature, file.text.encode("utf-8"), ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


class Verification:
    """One pass over the seals from ``since`` to ``until``, both None for no such end. ``live`` makes the comparison with the log
    from a time on, None for none; ``now`` is None where nothing is expected to be sealed by now."""

    def __init__(
        self,
        source: Source,
        key: Key,
        *,
        since: int | None,
        until: int | None,
        now: int | None = None,
        live: Callable[[int], LiveLog] | None = None,
        live_since: int = 0,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._source, self._key = source, key
        self._since, self._until, self._now = since, until, now
        self._make_live, self._live_since = live, live_since
        self._live: LiveLog | None = None
        self._progress = progress
        self._report = Report()
        self._ledger = Ledger()
        self._before: Seal | None = None
        self._ends: int | None = None
        self._digest: str | None = FIRST
        self._digests: dict[int, bytes] = {}
        self._said: list[tuple[int | None, str, int]] = []
        self._after_sealing: set[tuple[str, int]] = set()

    def run(self) -> Report:
        """Everything that is wrong. Raises what the source raises."""
        expected = self._start()
        for sequence in self._source.sequences(expected):
            if sequence > expected:
                self._gone(expected, sequence - 1)
            expected = sequence + 1
            if not self._one(sequence):
                break
            self._progress(sequence)
        self._end()
        return self._report

    def _start(self) -> int:
        """The sequence of the first seal to be verified. Before it is one that is taken for true as far as it is signed."""
        if self._since is None or not self._source.latest():
            return 1
        low, high = next(self._source.sequences(1)), self._source.latest()
        while low < high:
            middle = (low + high + 1) // 2
            found = next(self._source.sequences(middle), high)
            file = self._read(found, quiet=True)
            low, high = (middle, high) if file is not None and file.seal.since <= self._since else (low, middle - 1)
        first = next(self._source.sequences(low))
        if next(self._source.sequences(first - 1)) == first - 1 and (file := self._read(first - 1)) is not None:
            self._before, self._digest, self._ledger = file.seal, file.sha256, file.seal.ledger()
        elif first > 1:
            self._digest, self._ledger = None, Ledger(complete=False)
            file = self._read(first, quiet=True)
            if file is not None and file.seal.since > self._since:
                self._gone(1, first - 1)
        return first

    def _one(self, sequence: int) -> bool:
        """Verify one seal with its records; False when it is behind the end."""
        file = self._read(sequence)
        if file is None:
            self._lose()
            return True
        seal = file.seal
        if self._until is not None and seal.since >= self._until:
            return False
        self._check(sequence, file)
        self._digest, self._digests[sequence] = file.sha256, bytes.fromhex(file.sha256)
        report = self._report
        report.first, report.since = report.first or sequence, report.since or rfc3339(seal.since)
        report.last, report.until, report.seals = sequence, rfc3339(seal.until), report.seals + 1
        lines = self._lines(sequence, seal)
        if lines is None:
            # What the seal says of the chains is signed.
            self._ledger = seal.ledger()
            self._skip()
        else:
            report.records += len(lines)
            self._said += [(sequence, *said) for line in lines if (said := _said(line)) is not None]
            self._compare(sequence, seal, lines)
        self._before, self._ends, self._ledger.complete = seal, seal.until, seal.retired == 0
        return True

    def _read(self, sequence: int, *, quiet: bool = False) -> SealFile | None:
        """A seal that the key signed; otherwise what is wrong with it is told, unless ``quiet``."""
        wrong = "it is not signed by the key"
        try:
            file = seals.read_seal(self._source.seal(sequence))
            if self._key.signed(file):
                return file
        except Malformed as error:
            wrong = str(error)
        if not quiet:
            self._tell_seal("changed", sequence, f"Seal {sequence} is not as it was made: {wrong}.")
        return None

    def _check(self, sequence: int, file: SealFile) -> None:
        seal = file.seal
        if seal.sequence != sequence:
            self._tell_seal("reordered", sequence, f"In the place of seal {sequence} is seal {seal.sequence}.")
        elif self._digest is not None and seal.previous != self._digest:
            self._tell_seal("changed", sequence, f"Seal {sequence} was made after another seal than the one before it.")
        elif self._before is not None and seal.since != self._before.until:
            self._tell_seal("changed", sequence, f"Seal {sequence} does not begin where the one before it ends.")

    def _lines(self, sequence: int, seal: Seal) -> list[str] | None:
        """The records of a seal, with what is wrong with them; None when there is nothing to compare."""
        data = self._source.records(sequence, seal.records)
        if data is None:
            self._tell_seal("removed", sequence, f"The records of seal {sequence} are not there: {seal.records.lines} records.")
            return None
        intact = sha256(data).hexdigest() == seal.records.sha256
        if not intact:
            self._tell_seal("changed", sequence, f"The records of seal {sequence} are not those that were sealed.")
        try:
            lines = seals.unpack(data, seal.records.bytes + _SPARE)
        except Malformed as error:
            self._tell_seal("changed", sequence, f"The records of seal {sequence} cannot be read: {error}.")
            return None
        before = self._gaps()
        ends = {name: writer.head for name, writer in seal.writers.items()}
        when = "before it was sealed" if intact else "since it was sealed"
        for finding in self._ledger.add(lines, ends):
            self._tell("sealed records", finding, sequence, when)
        if not intact:
            self._after_sealing |= self._gaps() - before
        return lines

    def _gaps(self) -> set[tuple[str, int]]:
        return {(name, gap.first) for name, writer in self._ledger.writers.items() for gap in writer.gaps}

    def _compare(self, sequence: int, seal: Seal, lines: list[str]) -> None:
        if self._make_live is None or seal.until <= self._live_since:
            return
        if self._live is None:
            first = max(seal.since, self._live_since)
            self._live = self._make_live(first)
            self._report.compared_since = rfc3339(first)
        for finding in self._live.add(seal.since, seal.until, lines):
            self._tell("live log", finding, sequence, "since it was sealed")

    def _gone(self, first: int, last: int) -> None:
        which = f"Seal {first} is" if first == last else f"Seals {first} to {last} are"
        self._tell_seal("removed", first, f"{which} not there.", last)
        self._lose()

    def _lose(self) -> None:
        """Go on behind a seal or records that are not there: what they said of the chains is not known."""
        self._digest, self._before, self._ledger = None, None, Ledger(complete=False)
        self._skip()

    def _skip(self) -> None:
        if self._live is not None:
            self._live.lose()

    def _end(self) -> None:
        last = self._before
        young = set()
        if last is not None:
            young = {key for key, opened in last.opened.items() if last.sealed_at - opened < STILL_COMING}
        for finding in self._ledger.missing():
            place = (finding.writer, finding.sequence)
            if place in young:
                self._report.waiting += finding.last - finding.sequence + 1
            else:
                self._tell("sealed records", finding, None, "since" if place in self._after_sealing else "before it was sealed")
        ends = self._ends
        if self._live is not None and ends is not None:
            findings, waiting = self._live.rest(ends, self._ledger)
            self._report.waiting += waiting
            for finding in findings:
                self._tell("live log", finding, None, "since it was sealed")
            self._said += [(None, *said) for line in self._live.unsealed() if (said := _said(line)) is not None]
        self._report.problems = _paired(self._report.problems)
        self._compare_seals()
        wanted = min((one for one in (self._until, self._now and self._now - BEHIND) if one is not None), default=0)
        if (ends or 0) < wanted:
            told = f"Nothing is sealed after {rfc3339(ends)}" if ends else "Nothing is sealed"
            self._tell_seal(
                "removed", (self._report.last or 0) + 1, f"{told}: the last seals are missing, or the sealing stands."
            )

    def _compare_seals(self) -> None:
        """What the sealer said of its seals when it made them, in records that are sealed themselves."""
        for sealed_in, digest, sequence in self._said:
            by = "the live log" if sealed_in is None else f"seal {sealed_in}"
            known = self._digests.get(sequence)
            if known is not None and known.hex() != digest:
                self._tell_seal("changed", sequence, f"Seal {sequence} is not the one that was made first: {by} says so.")
            elif known is None and self._report.last is not None and sequence > self._report.last and self._until is None:
                self._tell_seal("removed", sequence, f"Seal {sequence} was made and is not there: {by} says so.")

    def _tell(self, where: str, finding: Finding, seal: int | None, when: str) -> None:
        what, writer, sequence, last, time = finding
        moment = rfc3339(time) if time else None
        records = f"Record {sequence}" if sequence == last else f"Records {sequence} to {last}"
        of = f" of writer {writer}" if writer else " of the file"
        near = f", {'after' if what == 'removed' and where != 'live log' else 'of'} {moment}" if moment else ""
        self._add(Problem(where, what, seal, writer or None, sequence, last, moment, f"{records}{of}{near}: {what} {when}."))

    def _tell_seal(self, what: str, sequence: int, detail: str, last: int | None = None) -> None:
        self._add(Problem("seals", what, sequence, None, None, last, None, detail))

    def _add(self, problem: Problem) -> None:
        if len(self._report.problems) < MOST_TOLD:
            self._report.problems.append(problem)


def _paired(problems: list[Problem]) -> list[Problem]:
    """A record that is gone from the log, and another of its writer and number that was inserted, are one that was changed."""
    of = {(one.what, one.writer, one.sequence): one for one in problems if one.where == "live log"}
    both = {key[1:] for key in of if key[0] == "removed" and ("inserted", *key[1:]) in of}
    left = [one for one in problems if one.where != "live log" or (one.writer, one.sequence) not in both]
    for place in both:
        gone = of["removed", *place]
        left.append(gone._replace(what="changed", detail=gone.detail.replace(": removed ", ": changed ")))
    return left


def _said(line: str) -> tuple[str, int] | None:
    """What a record says of a seal that was made."""
    if '"event":"seal"' not in line or '"reason":"sealed"' not in line:
        return None
    try:
        told = json.loads(line)
        return str(told["seal_sha256"]), int(told["resource"])
    except (ValueError, KeyError, TypeError):
        return None


def rfc3339(moment: int) -> str:
    """Milliseconds since the epoch."""
    return datetime.fromtimestamp(moment / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
