"""What `heartmapctl audit verify` finds, by seals that the sealer itself made of 100,000 and of a few records."""

import gzip
import random
from bisect import bisect_left
from collections.abc import Callable, Container, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lambda_authorizer.audit_chain import Chain, parse
from lambda_authorizer.audit_fields import open_line
from lambda_sealing import seals
from lambda_sealing.reading import Read, fingerprint
from lambda_sealing.sealer import LAG, MINUTE, Sealer
from lambda_sealing.seals import PREFIX, RECORDS_PREFIX, SEALS_PREFIX, RecordsFile, name_of
from lambda_sealing.signing import Signer
from lambda_sealing.store import Store
from operator_cli.audit_verify import Key, Problem, Report, Verification
from operator_cli.errors import WrongUse
from operator_cli.live_log import LiveLog
from operator_cli.sealed import Directory
from tests.lambda_sealing import test_chains as deeds
from tests.lambda_sealing.conftest import NOW, record

EVERY = 5 * MINUTE


class Hand:
    """A key like the one in KMS."""

    key = "arn:aws:kms:us-east-1:123456789012:key/1"

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.pem = self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, text: str) -> bytes:
        return self._key.sign(text.encode(), ec.ECDSA(SHA256()))

    def verify(self, text: str, signature: bytes) -> None:
        self._key.public_key().verify(signature, text.encode(), ec.ECDSA(SHA256()))


class Trail:
    """A log, what was sealed of it, and both of them open to whoever wants to change something."""

    def __init__(self, hand: Hand, objects: dict[str, bytes] | None = None, log: list[tuple[int, str]] | None = None) -> None:
        self.hand = hand
        self.objects = objects if objects is not None else {}
        self.log = log if log is not None else []
        self.now = NOW

    def copy(self) -> "Trail":
        made = Trail(self.hand, dict(self.objects), list(self.log))
        made.now = self.now
        return made

    # What the sealer asks for.

    def read(self, begin: int, since: int, until: int, known: Container[bytes]) -> Read:
        lines = {line for moment, line in self.log[bisect_left(self.log, (begin, "")) :] if moment < until}
        return Read([line for line in lines if fingerprint(line) not in known], until)

    def latest(self, prefix: str = SEALS_PREFIX) -> int:
        return max((seals.sequence_of(prefix, key) or 0 for key in self.objects if key.startswith(prefix)), default=0)

    def get(self, key: str, most: int) -> bytes:
        return self.objects[key]

    def put_new(self, key: str, data: bytes, content_type: str) -> bool:
        return self.objects.setdefault(key, data) is data

    def sealing(self, *, said: Chain | None = None) -> None:
        """Seal what there is, and have the sealer's own records in the log."""
        sealer = Sealer(cast(Any, self), cast(Store, self), cast(Signer, self.hand), lambda: self.now)
        while (sealed := sealer.next()) is not None:
            if said is not None:
                told = {"resource": str(sealed.seal.sequence), "gaps": len(sealed.seal.found), "seal_sha256": sealed.sha256}
                self.log.append((self.now, said.close(open_line("seal", "allow", "sealed", **told))))

    # What the verification asks for.

    def sequences(self, first: int) -> Iterator[int]:
        found = sorted(seals.sequence_of(SEALS_PREFIX, key) or 0 for key in self.objects if key.startswith(SEALS_PREFIX))
        return iter([number for number in found if number >= first])

    def seal(self, sequence: int) -> bytes:
        return self.objects[name_of(SEALS_PREFIX, sequence)]

    def records(self, sequence: int, file: RecordsFile) -> bytes | None:
        return self.objects.get(RECORDS_PREFIX + file.name)

    def verify(self, *, live: bool = False, since: int | None = None, until: int | None = None, **more: Any) -> Report:
        def fetch(begin: int, end: int) -> list[tuple[int, str]]:
            return [one for one in self.log if begin <= one[0] < end]

        if live:
            more |= {"now": self.now, "live": lambda first: LiveLog(fetch, first, self.now)}
        return Verification(cast(Any, self), Key(self.hand.pem), since=since, until=until, **more).run()

    def problems(self, **asked: Any) -> list[Problem]:
        return self.verify(**asked).problems

    # What is done to it.

    def records_key(self, sequence: int) -> str:
        return next(key for key in self.objects if key.startswith(f"{RECORDS_PREFIX}{sequence:012}"))

    def lines(self, sequence: int) -> list[str]:
        return seals.unpack(self.objects[self.records_key(sequence)], seals.MOST_BYTES)

    def rewrite(self, sequence: int, lines: list[str]) -> None:
        self.objects[self.records_key(sequence)] = seals.pack(sequence, lines)[1]


@cache
def hand() -> Hand:
    return Hand()


def made(count: int, periods: int, writers: int, every: int = EVERY) -> Trail:
    rng = random.Random(8)  # noqa: S311  # the same each time
    trail, said = Trail(hand()), Chain()
    chains = [Chain() for _ in range(writers)]
    for _ in range(periods):
        each = count // periods
        trail.log += [(trail.now + at, record(rng.choice(chains), trail.now + at)) for at in range(each)]
        trail.now += every
        trail.log.sort()
        trail.sealing(said=said)
    trail.now += LAG
    trail.sealing(said=said)
    return trail


@cache
def many() -> Trail:
    """100,000 records."""
    return made(100_000, 50, 40, every=2 * 60 * MINUTE)


@cache
def few() -> Trail:
    return made(600, 12, 4)


@pytest.fixture
def trail() -> Trail:
    return few().copy()


def told(problems: list[Problem], where: str) -> set[tuple[str, str | None, int | None]]:
    return {(one.what, one.writer, one.sequence) for one in problems if one.where == where}


def test_what_nobody_touched_is_as_it_was(trail: Trail) -> None:
    report = trail.verify(live=True)
    assert report.problems == []
    assert (report.first, report.last, report.seals) == (1, 13, 13)
    # All but what the last two seals say of themselves, which is for the next one.
    assert (report.records, report.waiting) == (len(trail.log) - 2, 0)
    assert trail.verify().problems == []


@pytest.mark.parametrize(
    "deed",
    [deeds.removed, deeds.reordered, deeds.changed, deeds.forged_beside_it],
)
def test_one_sealed_record_of_100000_is_named(deed: deeds.Deed) -> None:
    trail, rng = many().copy(), random.Random(deed.__name__)  # noqa: S311  # the same each time
    number = rng.randrange(2, 51)
    lines = trail.lines(number)
    wanted = deed(lines, rng.randrange(len(lines)), rng)
    trail.rewrite(number, lines)
    problems = trail.problems()
    assert told(problems, "sealed records") == wanted
    assert told(problems, "seals") == {("changed", None, None)}
    assert all("since" in one.detail for one in problems if one.where == "sealed records")


@pytest.mark.parametrize("at", [0, 299, 599, 47, 555])
@pytest.mark.parametrize("what", ["removed", "changed", "inserted"])
def test_one_record_of_the_live_log_is_named(trail: Trail, what: str, at: int) -> None:
    moment, line = [one for one in trail.log if '"seal"' not in one[1]][at]
    place = trail.log.index((moment, line))
    link = parse(line)
    assert link is not None
    forged = deeds.rehashed(line.replace('"allow"', '"deny"'))
    if what == "inserted":
        trail.log.insert(place, (moment, forged))
    elif what == "changed":
        trail.log[place] = (moment, forged)
    else:
        del trail.log[place]
    problems = trail.problems(live=True)
    assert [(one.where, one.what, one.writer, one.sequence) for one in problems] == [
        ("live log", what, link.writer, link.sequence)
    ]


def test_a_record_of_a_stranger_in_the_live_log_is_named_once_it_is_too_old_for_a_seal(trail: Trail) -> None:
    line = record(Chain(), NOW)
    trail.log.append((NOW + 2 * MINUTE, line))
    assert [(one.where, one.what, one.sequence) for one in trail.problems(live=True)] in ([], [("live log", "inserted", 1)])
    for _ in range(20):
        trail.now += EVERY
        trail.log = [one for one in trail.log if one[1] != line]
        trail.sealing()
    trail.log.append((NOW + 2 * MINUTE, line))
    trail.log.sort()
    assert [(one.where, one.what, one.sequence) for one in trail.problems(live=True)] == [("live log", "inserted", 1)]


def test_what_came_late_and_is_not_sealed_yet_is_waited_for(trail: Trail) -> None:
    chain = Chain()
    lines = [record(chain, trail.now + number) for number in range(3)]
    trail.log += [(trail.now, lines[0]), (trail.now, lines[2])]
    trail.now += EVERY
    trail.sealing()
    report = trail.verify(live=True)
    assert (report.problems, report.waiting) == ([], 1)
    trail.log.append((trail.now - EVERY, lines[1]))
    report = trail.verify(live=True)
    assert (report.problems, report.waiting >= 1) == ([], True)
    trail.now += EVERY
    trail.sealing()
    assert trail.problems(live=True) == []


def test_a_record_that_was_never_sealed_is_missing_in_the_end(trail: Trail) -> None:
    chain = Chain()
    lines = [record(chain, trail.now + number) for number in range(3)]
    trail.log += [(trail.now, lines[0]), (trail.now, lines[2])]
    for _ in range(4):
        trail.now += EVERY
        trail.sealing()
    (problem,) = trail.problems()
    assert (problem.what, problem.sequence, problem.where) == ("removed", 2, "sealed records")
    assert "before it was sealed" in problem.detail


@pytest.mark.parametrize("number", [1, 6, 12])
def test_a_seal_that_is_missing_is_named(trail: Trail, number: int) -> None:
    del trail.objects[name_of(SEALS_PREFIX, number)]
    assert [(one.where, one.what, one.seal) for one in trail.problems(live=True)] == [("seals", "removed", number)]


def test_the_last_seals_cannot_be_cut_off(trail: Trail) -> None:
    whole = trail.copy()
    for number in (9, 10, 11, 12, 13):
        del trail.objects[name_of(SEALS_PREFIX, number)]
    # By the time, by what the log has, and by what the sealer said of them in records that are sealed themselves.
    assert "Nothing is sealed after" in trail.problems(live=True)[-1].detail
    assert {(one.what, one.seal) for one in trail.problems(live=True)} >= {("removed", number) for number in (9, 10, 11, 12)}
    assert trail.problems(until=trail.now - 10 * MINUTE) != []
    del whole.objects[name_of(SEALS_PREFIX, 13)]
    whole.now += MINUTE
    assert [(one.what, one.seal) for one in whole.problems(live=True)] == [("removed", 13)]
    # A copy of the files alone says nothing of what came after it.
    assert whole.problems() == []
    # Those who go on sealing behind the cut make other seals of the same numbers.
    said = Chain()
    trail.log = [one for one in trail.log if '"resource":"8"' not in one[1]]
    trail.now += EVERY
    trail.sealing(said=said)
    trail.now += EVERY
    trail.sealing(said=said)
    assert {(one.what, one.seal) for one in trail.problems() if "made first" in one.detail} >= {("changed", 10)}


def test_two_seals_that_changed_places_are_named(trail: Trail) -> None:
    one, other = name_of(SEALS_PREFIX, 5), name_of(SEALS_PREFIX, 6)
    trail.objects[one], trail.objects[other] = trail.objects[other], trail.objects[one]
    problems = {(problem.what, problem.seal) for problem in trail.problems() if problem.where == "seals"}
    assert {("reordered", 5), ("reordered", 6)} <= problems


def test_a_seal_of_another_hand_is_named(trail: Trail) -> None:
    file = seals.read_seal(trail.objects[name_of(SEALS_PREFIX, 7)])
    trail.objects[name_of(SEALS_PREFIX, 7)] = seals.seal_file(file.text, Hand().sign(file.text))
    problems = trail.problems()
    assert [(one.where, one.what, one.seal) for one in problems] == [("seals", "changed", 7)]
    assert "not signed by the key" in problems[0].detail


def test_a_seal_that_was_signed_again_by_the_same_key_does_not_fit(trail: Trail) -> None:
    """An ECDSA signature is another one each time: the next seal names the file with the first one."""
    file = seals.read_seal(trail.objects[name_of(SEALS_PREFIX, 7)])
    trail.objects[name_of(SEALS_PREFIX, 7)] = seals.seal_file(file.text, hand().sign(file.text))
    assert ("changed", 8) in {(one.what, one.seal) for one in trail.problems()}


def test_records_that_are_missing_altogether_are_named(trail: Trail) -> None:
    del trail.objects[trail.records_key(4)]
    (problem,) = trail.problems()
    assert (problem.what, problem.seal) == ("removed", 4)
    assert "records of seal 4" in problem.detail


@pytest.mark.parametrize("data", [b"", b"nothing", seals.pack(4, ["x" * 10_000_000])[1]])
def test_records_that_cannot_be_read_are_named(trail: Trail, data: bytes) -> None:
    trail.objects[trail.records_key(4)] = data
    assert {(one.what, one.seal) for one in trail.problems()} == {("changed", 4)}


def test_a_file_of_the_same_records_that_is_another_file_is_named(trail: Trail) -> None:
    trail.objects[trail.records_key(4)] = gzip.compress("".join(f"{line}\n" for line in trail.lines(4)).encode(), compresslevel=1)
    assert [(one.where, one.what, one.seal) for one in trail.problems()] == [("seals", "changed", 4)]


def test_a_part_of_the_time_is_verified_from_the_seal_before_it(trail: Trail) -> None:
    report = trail.verify(since=NOW + 6 * EVERY + 1, until=NOW + 9 * EVERY)
    assert (report.problems, report.first, report.seals) == ([], 7, 4)
    lines = trail.lines(7)
    wanted = deeds.removed(lines, 0, random.Random(1))  # noqa: S311
    trail.rewrite(7, lines)
    assert told(trail.problems(since=NOW + 6 * EVERY + 1), "sealed records") == wanted
    # What is wrong before it is another matter.
    assert trail.problems(since=NOW + 10 * EVERY) == []


def test_the_log_is_compared_as_far_back_as_it_is_kept(trail: Trail) -> None:
    kept = NOW + 3 * EVERY + MINUTE
    # The sealer's records are of another clock here.
    trail.log = [one for one in trail.log if one[0] >= kept or '"event":"seal"' in one[1]]
    assert {one.where for one in trail.problems(live=True)} == {"live log"}
    report = trail.verify(live=True, live_since=kept)
    assert (report.problems, report.compared_since is not None) == ([], True)
    del trail.log[-100]
    assert [one.what for one in trail.problems(live=True, live_since=kept)] == ["removed"]


def test_seals_that_the_retention_let_go_are_missed_by_nobody_who_says_so(trail: Trail) -> None:
    for number in (1, 2, 3):
        del trail.objects[name_of(SEALS_PREFIX, number)]
    assert [(one.what, one.seal) for one in trail.problems()] == [("removed", 1)]
    assert trail.problems(since=NOW + 4 * EVERY) == []
    assert [(one.what, one.seal) for one in trail.problems(since=NOW)] == [("removed", 1)]


def test_a_copy_in_a_directory_is_verified_without_anything_else(trail: Trail, tmp_path: Path) -> None:
    for key, data in trail.objects.items():
        path = tmp_path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for directory in (tmp_path, tmp_path / PREFIX):
        report = Verification(Directory(directory), Key(hand().pem), since=None, until=None).run()
        assert (report.problems, report.seals) == ([], 13)
    (tmp_path / name_of(SEALS_PREFIX, 3)).unlink()
    report = Verification(Directory(tmp_path), Key(hand().pem), since=None, until=None).run()
    assert [(one.what, one.seal) for one in report.problems] == [("removed", 3)]
    with pytest.raises(WrongUse, match="no directory seals"):
        Directory(tmp_path / "seals")


@pytest.mark.parametrize("make", [lambda: b"", lambda: b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_key_is_refused(make: Callable[[], bytes]) -> None:
    with pytest.raises(WrongUse, match="no P-256 key"):
        Key(make())


def test_the_signature_is_what_other_tools_verify(trail: Trail) -> None:
    """ECDSA over the SHA-256 of the text's bytes, in DER: what `openssl dgst -sha256 -verify` takes."""
    file = seals.read_seal(trail.objects[name_of(SEALS_PREFIX, 1)])
    assert file.signature[0] == 0x30
    assert file.sha256 == sha256(trail.objects[name_of(SEALS_PREFIX, 1)]).hexdigest()
