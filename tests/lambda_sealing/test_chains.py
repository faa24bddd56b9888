"""Each record of 100,000 that is removed, reordered, changed or inserted is named, and nothing else is."""

import random
import tracemalloc
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from typing import NamedTuple

import pytest

from lambda_authorizer.audit_chain import GENESIS, Chain, parse
from lambda_sealing.chains import CHANGED, INSERTED, REMOVED, REORDERED, Head, Ledger, Writer, time_of
from tests.lambda_sealing.conftest import NOW, record

RECORDS, WRITERS, FILES = 100_000, 60, 100
Named = set[tuple[str, str, int]]
Lines = list[str]


class Sealed(NamedTuple):
    """The records file by file, as a sealer puts them, and what each seal says of the writers' heads."""

    files: list[Lines]
    ends: list[dict[str, Head]]


@cache
def sealed() -> Sealed:
    """100,000 records of 60 writers, of which some fall silent for long."""
    rng = random.Random(8)  # noqa: S311  # the same each time
    chains = [Chain() for _ in range(WRITERS)]
    files, ends, ledger = [], [], Ledger()
    for number in range(FILES):
        awake = rng.sample(chains, WRITERS // 2)
        lines = [record(rng.choice(awake), NOW + number * RECORDS + at) for at in range(RECORDS // FILES)]
        lines.sort(key=place)
        assert ledger.add(lines) == []
        files.append(lines)
        ends.append({name: writer.head for name, writer in ledger.writers.items()})
    return Sealed(files, ends)


def place(line: str) -> tuple[str, int]:
    link = parse(line)
    assert link is not None
    return link.writer, link.sequence


def rehashed(line: str) -> str:
    """The line with its hash made anew, as whoever knows how it is made would."""
    hashed = line[: line.rindex(',"hash":"')]
    return f'{hashed},"hash":"{sha256(hashed.encode()).hexdigest()}"}}'


def elsewhere(lines: Lines, at: int, rng: random.Random) -> int:
    """Another place, where a record that is put there stands alone out of order: not right beside its own."""
    return rng.choice([other for other in range(len(lines)) if abs(other - at) > 1])


def removed(lines: Lines, at: int, rng: random.Random) -> Named:
    return {(REMOVED, *place(lines.pop(at)))}


def reordered(lines: Lines, at: int, rng: random.Random) -> Named:
    to = elsewhere(lines, at, rng)
    line = lines.pop(at)
    lines.insert(to, line)
    return {(REORDERED, *place(line))}


def changed(lines: Lines, at: int, rng: random.Random) -> Named:
    line = lines[at]
    lines[at] = line.replace('"allow"', '"deny"')
    return {(CHANGED, *place(line))}


def changed_with_its_hash(lines: Lines, at: int, rng: random.Random) -> Named:
    line = lines[at]
    lines[at] = rehashed(line.replace('"allow"', '"deny"'))
    return {(CHANGED, *place(line))}


def linked_to_another(lines: Lines, at: int, rng: random.Random) -> Named:
    line, link = lines[at], parse(lines[at])
    assert link is not None
    lines[at] = rehashed(line.replace(link.previous, "ab" * 32))
    return {(CHANGED, *place(line))}


def torn(lines: Lines, at: int, rng: random.Random) -> Named:
    line = lines[at]
    lines[at] = line[: rng.randrange(len(line))]
    return {(CHANGED, *place(line))}


def said_to_be_anothers(lines: Lines, at: int, rng: random.Random) -> Named:
    line = lines[at]
    lines[at] = line.replace(place(line)[0], "d" * 32)
    return {(CHANGED, *place(line))}


def copied(lines: Lines, at: int, rng: random.Random) -> Named:
    line = lines[at]
    lines.insert(rng.randrange(len(lines) + 1), line)
    return {(INSERTED, *place(line))}


def forged_beside_it(lines: Lines, at: int, rng: random.Random) -> Named:
    line = lines[at]
    lines.insert(at + rng.randrange(2), rehashed(line.replace('"allow"', '"deny"')))
    return {(INSERTED, *place(line))}


def forged_behind_the_last(lines: Lines, at: int, rng: random.Random) -> Named:
    name = place(lines[at])[0]
    last = next(at for at in range(len(lines) - 1, -1, -1) if place(lines[at])[0] == name)
    link = parse(lines[last])
    assert link is not None
    open_line = f'{{"event":"x","time":{NOW},"writer":"{name}","sequence":{link.sequence + 1},"previous":"{link.hash}"'
    lines.insert(last + 1, rehashed(f'{open_line},"hash":"'))
    return {(INSERTED, name, link.sequence + 1)}


def of_a_stranger(lines: Lines, at: int, rng: random.Random) -> Named:
    lines.insert(at, record(Chain(), NOW))
    return {(INSERTED, *place(lines[at]))}


DEEDS = (
    *(removed, reordered, changed, changed_with_its_hash, linked_to_another, torn, said_to_be_anothers, copied),
    *(forged_beside_it, forged_behind_the_last, of_a_stranger),
)
Deed = Callable[[Lines, int, random.Random], Named]


def found(number: int, lines: Lines) -> Named:
    """What is found when one file is other than it was: the seal before it names the heads to go on from."""
    files, ends = sealed()
    ledger = Ledger()
    ledger.writers = {name: Writer(head) for name, head in (ends[number - 1] if number else {}).items()}
    findings = ledger.add(lines, ends[number])
    if number + 1 < FILES:
        findings += ledger.add(files[number + 1], ends[number + 1])
    return {one[:3] for one in findings + ledger.missing()}


@pytest.mark.parametrize("deed", DEEDS)
def test_one_record_that_is_not_as_it_was_is_named_wherever_it_stands(deed: Deed) -> None:
    rng = random.Random(deed.__name__)  # noqa: S311  # the same each time
    files, _ = sealed()
    size = len(files[0])
    places = [(0, 0), (FILES - 1, size - 1), (0, size - 1), (FILES - 1, 0), (FILES // 2, size // 2)]
    places += [(rng.randrange(FILES), rng.randrange(size)) for _ in range(8)]
    for number, at in places:
        lines = list(files[number])
        wanted = deed(lines, at, rng)
        assert found(number, lines) == wanted, (number, at)


@pytest.mark.parametrize("deed", [removed, reordered, changed, of_a_stranger])
def test_one_of_all_100000_in_one_pass(deed: Deed) -> None:
    files, ends = sealed()
    rng = random.Random(deed.__name__)  # noqa: S311  # the same each time
    number = rng.randrange(FILES)
    ledger, findings, wanted = Ledger(), [], set()
    for one, (lines, end) in enumerate(zip(files, ends, strict=True)):
        given = lines
        if one == number:
            given = list(lines)
            wanted = deed(given, rng.randrange(len(given)), rng)
        findings += ledger.add(given, end)
    assert {one[:3] for one in findings + ledger.missing()} == wanted


def test_nothing_of_a_file_is_kept_for_the_next() -> None:
    files, ends = sealed()
    ledger, after = Ledger(), []
    tracemalloc.start()
    for lines, end in zip(files[:30], ends, strict=False):
        ledger.add(lines, end)
        after.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert after[-1] - after[4] < 32 * 1024


def test_nothing_is_wrong_with_records_as_they_are_written() -> None:
    ledger = Ledger()
    assert [one for lines, ends in zip(*sealed(), strict=True) for one in ledger.add(lines, ends)] == []
    assert ledger.missing() == []


def test_two_neighbours_that_changed_places_are_named_by_one_of_them() -> None:
    lines = list(sealed().files[3])
    lines[10], lines[11] = lines[11], lines[10]
    (one,) = found(3, lines)
    assert one[0] == REORDERED
    assert one[1:] in {place(lines[10]), place(lines[11])}


def test_a_finding_says_when() -> None:
    lines = [record(chain, NOW + number) for chain in (Chain(),) for number in range(5)]
    ledger = Ledger()
    ledger.add([lines[0], lines[1], lines[3].replace("allow", "deny"), lines[4]])
    ledger = Ledger()
    (bad,) = ledger.add([lines[0], lines[1], lines[3].replace("allow", "deny"), lines[4]])
    assert (bad.what, bad.time) == (CHANGED, NOW + 3)
    (gone,) = ledger.missing()
    # A record that is gone says nothing: the one in front of it does.
    assert (gone.what, gone.sequence, gone.last, gone.time) == (REMOVED, 3, 3, NOW + 1)
    assert time_of("{}") == 0


def test_what_comes_late_closes_its_gap_whatever_the_order() -> None:
    chain = Chain()
    lines = [record(chain, NOW + number) for number in range(1, 9)]
    ledger = Ledger()
    assert ledger.add([lines[0], lines[7]]) == []
    assert [(one.sequence, one.last) for one in ledger.missing()] == [(2, 7)]
    assert ledger.add([lines[3]]) == []
    assert [(one.sequence, one.last) for one in ledger.missing()] == [(2, 3), (5, 7)]
    assert ledger.add([lines[4], lines[5], lines[6]]) == []
    assert ledger.add([lines[1]]) == []
    assert [(one.sequence, one.last) for one in ledger.missing()] == [(3, 3)]
    # Not just any record of that number closes it.
    (forged,) = ledger.add([rehashed(lines[2].replace("allow", "deny"))])
    assert (forged.what, forged.sequence) == (CHANGED, 3)


def test_what_comes_again_was_inserted() -> None:
    chain = Chain()
    lines = [record(chain, NOW + number) for number in range(4)]
    ledger = Ledger()
    ledger.add(lines)
    (again,) = ledger.add([lines[1]])
    assert (again.what, again.sequence) == (INSERTED, 2)


def test_a_writer_begins_with_its_first_record_unless_others_were_forgotten() -> None:
    chain = Chain()
    lines = [record(chain, NOW + number) for number in range(4)]
    known = Ledger()
    known.add(lines[2:])
    assert [(one.sequence, one.last) for one in known.missing()] == [(1, 2)]
    forgotten = Ledger(complete=False)
    assert forgotten.add(lines[2:]) == []
    assert forgotten.missing() == []
    assert parse(lines[0]).previous == GENESIS  # pyright: ignore[reportOptionalMemberAccess]


def test_a_whole_file_of_something_else_is_told_of_in_few_words() -> None:
    findings = Ledger().add(["nothing"] * 50_000, {})
    assert len(findings) == 10_000
