"""Calls of the function against an emulated AWS: what it seals, when, and what becomes of what goes wrong."""

import gzip
import json
from collections.abc import Callable
from hashlib import sha256
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambda_authorizer.audit_chain import PROCESS, Chain, parse
from lambda_sealing import habits, sealer, seals
from lambda_sealing.chains import INSERTED, REMOVED
from lambda_sealing.handler import NotSealed, Sealing
from lambda_sealing.seals import RECORDS_PREFIX, SEALS_PREFIX, Seal, name_of
from tests.lambda_sealing.conftest import MINUTE, NOW, Cloud, record
from tests.lambda_sealing.test_chains import place, rehashed


def seal(cloud: Cloud, number: int) -> Seal:
    data = cloud.s3.get_object(Bucket=cloud.bucket, Key=name_of(SEALS_PREFIX, number))["Body"].read()
    return seals.read_seal(data).seal


def lines(cloud: Cloud, number: int) -> list[str]:
    """What standard tools make of the records' file."""
    found = seal(cloud, number).records
    data = cloud.s3.get_object(Bucket=cloud.bucket, Key=RECORDS_PREFIX + found.name)["Body"].read()
    assert sha256(data).hexdigest() == found.sha256
    return gzip.decompress(data).decode().splitlines()


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def chain_of(count: int, **fields: Any) -> list[str]:
    chain = Chain()
    return [record(chain, NOW - 5 * MINUTE + number, **fields) for number in range(count)]


def test_records_of_every_writer_are_sealed_as_they_were_written(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = chain_of(5), chain_of(3, principal="öäü \U0001f600")
    cloud.log(*one)
    cloud.log(*other, group=1)
    cloud.log("START RequestId: 1", '{"event":"old","version":1}', '{"sequence":1}', "", ago=4 * MINUTE)
    assert cloud.run() == 1
    assert lines(cloud, 1) == sorted(one + other, key=place)
    made = seal(cloud, 1)
    assert (made.sequence, made.previous, made.until, made.found) == (1, 64 * "0", cloud.now - 2 * MINUTE, [])
    assert {name: writer.head.sequence for name, writer in made.writers.items()} == {place(one[0])[0]: 5, place(other[0])[0]: 3}
    (told,) = said(capsys)
    assert (told["event"], told["decision"], told["reason"], told["resource"]) == ("seal", "allow", "sealed", "1")
    assert (told["records"], told["gaps"], len(told["seal_sha256"])) == (8, 0, 64)


def test_seals_name_one_another_and_each_record_is_sealed_once(cloud: Cloud) -> None:
    written = chain_of(30)
    for number in range(6):
        cloud.log(*written[number * 5 : number * 5 + 5])
        cloud.now += 5 * MINUTE
        assert cloud.run() == 1
    for number in range(2, 7):
        before = cloud.s3.get_object(Bucket=cloud.bucket, Key=name_of(SEALS_PREFIX, number - 1))["Body"].read()
        assert seal(cloud, number).previous == sha256(before).hexdigest()
        assert seal(cloud, number).since == seal(cloud, number - 1).until
    assert [line for number in range(1, 7) for line in lines(cloud, number)] == written


def test_an_empty_period_has_a_seal_too(cloud: Cloud) -> None:
    for _ in range(2):
        cloud.now += 5 * MINUTE
        assert cloud.run() == 1
    assert (lines(cloud, 1), lines(cloud, 2), seal(cloud, 2).sequence) == ([], [], 2)
    # Called again at once it has nothing to do.
    assert cloud.run() == 0


def test_a_call_ends_though_time_goes_on(cloud: Cloud) -> None:
    ticking = Sealing(cloud.configuration, cloud.aws, lambda: True, count(cloud.now).__next__)
    assert ticking.run() == 1


def test_what_comes_late_is_in_a_later_seal_and_nothing_is_missing(cloud: Cloud) -> None:
    written = chain_of(10)
    cloud.log(*written[:4], *written[5:])
    cloud.run()
    assert [(gap.first, gap.last) for gap in seal(cloud, 1).writers[place(written[0])[0]].gaps] == [(5, 5)]
    # In CloudWatch Logs' own time it is of the period that is sealed already.
    cloud.log(written[4])
    cloud.now += 5 * MINUTE
    cloud.run()
    assert lines(cloud, 2) == [written[4]]
    assert [writer.gaps for writer in seal(cloud, 2).writers.values()] == [[]]
    cloud.now += 30 * MINUTE
    cloud.run()
    assert [one for number in (1, 2, 3) for one in seal(cloud, number).found] == []


def test_what_is_missing_for_long_is_told_once(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    written = chain_of(10)
    cloud.log(*written[:4], *written[6:])
    for _ in range(6):
        cloud.run()
        cloud.now += 5 * MINUTE
    assert [told["gaps"] for told in said(capsys)] == [0, 0, 1, 0, 0, 0]
    ((what, _, first, last, time),) = seal(cloud, 3).found
    assert (what, first, last, time) == (REMOVED, 5, 6, NOW - 5 * MINUTE + 3)


def test_a_record_that_was_slipped_in_is_sealed_and_told_of(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    written = chain_of(6)
    forged = rehashed(written[2].replace("allow", "deny"))
    cloud.log(*written[:3], forged, *written[3:])
    cloud.run()
    assert forged in lines(cloud, 1)
    assert [(one.what, one.sequence) for one in seal(cloud, 1).found] == [(INSERTED, 3)]
    assert said(capsys)[0]["gaps"] == 1
    # Also one that comes when the rest is sealed.
    late = rehashed(written[4].replace("allow", "error"))
    cloud.log(late)
    cloud.now += 5 * MINUTE
    cloud.run()
    assert (lines(cloud, 2), [(one.what, one.sequence) for one in seal(cloud, 2).found]) == ([late], [(INSERTED, 5)])


def test_a_record_that_is_there_twice_is_one(cloud: Cloud) -> None:
    written = chain_of(3)
    cloud.log(*written, written[1], written[1])
    cloud.run()
    cloud.log(written[1], written[2])
    cloud.now += 5 * MINUTE
    cloud.run()
    assert (lines(cloud, 1), lines(cloud, 2), seal(cloud, 2).found) == (written, [], [])


def test_a_writer_that_was_silent_for_days_and_days_goes_on(cloud: Cloud) -> None:
    chain = Chain()
    cloud.log(record(chain, NOW))
    cloud.run()
    cloud.now += 9 * 24 * 60 * MINUTE
    while cloud.run():
        pass
    cloud.log(record(chain, cloud.now))
    cloud.now += 5 * MINUTE
    cloud.run()
    (writer,) = seal(cloud, sealed(cloud)).writers.values()
    assert (writer.head.sequence, writer.gaps) == (2, [])


def sealed(cloud: Cloud) -> int:
    return len([key for key in cloud.put() if key.startswith(SEALS_PREFIX)])


def test_more_than_fits_goes_into_several_seals_and_none_is_lost(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lambda_sealing.reading.MOST_LINES", 40)
    one, other = chain_of(130), chain_of(30)
    cloud.log(*one, spread=10)
    cloud.log(*other, group=1, spread=100)
    made = cloud.run()
    assert made > 3
    everything = [lines(cloud, number) for number in range(1, made + 1)]
    assert sorted(line for file in everything for line in file) == sorted(one + other)
    assert all(len(file) <= 2 * 41 for file in everything)
    assert [found for number in range(1, made + 1) for found in seal(cloud, number).found] == []


def test_more_than_fits_in_one_millisecond_is_one_seal_all_the_same(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lambda_sealing.reading.MOST_BYTES", 2000)
    written = chain_of(60)
    cloud.log(*written)
    cloud.run()
    assert lines(cloud, 1) == written


def test_a_sealer_that_was_down_for_days_catches_up(cloud: Cloud) -> None:
    cloud.run()
    written, chain = [], Chain()
    for _ in range(30):
        cloud.now += 60 * MINUTE
        written.append(record(chain, cloud.now))
        cloud.log(written[-1])
    made = cloud.run()
    # In parts of six hours.
    assert made == 5
    assert [line for number in range(2, made + 2) for line in lines(cloud, number)] == written
    assert seal(cloud, made + 1).until == cloud.now - 2 * MINUTE


def test_what_there_is_no_time_for_the_next_call_seals(cloud: Cloud) -> None:
    cloud.run()
    cloud.now += 30 * 60 * MINUTE
    calls = iter([True] * 8 + [False] * 1000)
    assert cloud.sealing(lambda: next(calls)).run() == 2
    assert cloud.run() == 3
    assert seal(cloud, 6).until == cloud.now - 2 * MINUTE


def test_no_time_at_all_is_a_failure_that_is_heard_of(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    calls = iter([True] + [False] * 100)
    with pytest.raises(NotSealed):
        cloud.sealing(lambda: next(calls)).run()
    (told,) = said(capsys)
    assert (told["decision"], told["reason"]) == ("error", "not_sealed")


def test_of_two_sealers_at_once_one_seals(
    cloud: Cloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.log(*chain_of(4))
    first, second = cloud.sealing(), cloud.sealing()
    put = first._store.put_new

    def after_the_other(key: str, data: bytes, content_type: str) -> bool:
        if key.startswith(SEALS_PREFIX):
            second.run()
        return put(key, data, content_type)

    monkeypatch.setattr(first._store, "put_new", after_the_other)
    assert first.run() == 0
    assert [(told["decision"], told["reason"]) for told in said(capsys)] == [("allow", "sealed"), ("deny", "overtaken")]
    # Both had the same records: their file is there once.
    assert len([key for key in cloud.put() if key.startswith(RECORDS_PREFIX)]) == 1
    assert sealed(cloud) == 1


def test_a_sealer_that_dies_between_its_two_files_costs_nothing(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    written = chain_of(4)
    cloud.log(*written)
    dying = cloud.sealing()
    put = dying._store.put_new

    def dies(key: str, data: bytes, content_type: str) -> bool:
        if key.startswith(SEALS_PREFIX):
            raise ClientError({"Error": {"Code": "ServiceUnavailable"}}, "PutObject")
        return put(key, data, content_type)

    monkeypatch.setattr(dying._store, "put_new", dies)
    with pytest.raises(NotSealed):
        dying.run()
    cloud.log(*chain_of(1), group=1)
    cloud.run()
    assert len(lines(cloud, 1)) == 5
    # Its file stays, and no seal names it.
    assert len([key for key in cloud.put() if key.startswith(RECORDS_PREFIX)]) == 2


def test_nothing_is_ever_put_twice(cloud: Cloud) -> None:
    cloud.log(*chain_of(4))
    for _ in range(4):
        cloud.run()
        cloud.run()
        cloud.now += 5 * MINUTE
    assert len(cloud.put()) == len(set(cloud.put()))


def test_a_last_seal_that_is_not_signed_by_the_key_stops_the_sealing(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.run()
    data = cloud.s3.get_object(Bucket=cloud.bucket, Key=name_of(SEALS_PREFIX, 1))["Body"].read()
    forged = json.dumps(json.loads(data) | {"seal": json.loads(data)["seal"].replace('"sequence":1', '"sequence":2')})
    cloud.s3.put_object(Bucket=cloud.bucket, Key=name_of(SEALS_PREFIX, 2), Body=forged.encode())
    cloud.now += 5 * MINUTE
    with pytest.raises(NotSealed):
        cloud.run()
    assert said(capsys)[-1]["reason"] == "not_sealed"
    assert sealed(cloud) == 2


def test_the_last_seal_is_found_whatever_is_missing(cloud: Cloud) -> None:
    store = cloud.sealing()._store
    assert store.latest("x/") == 0
    for number in (1, 2, 3, 5, 8, 13, 900, 901, 1023, 1024):
        cloud.s3.put_object(Bucket=cloud.bucket, Key=name_of("x/", number), Body=b"")
        assert store.latest("x/") == number


def test_old_writers_are_forgotten_and_that_is_said(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealer, "MOST_WRITERS", 3)
    chains = [Chain() for _ in range(5)]
    cloud.log(*(record(chain, NOW + number) for number, chain in enumerate(chains)))
    cloud.run()
    # A seal names those that it has records of, however many.
    assert (len(seal(cloud, 1).writers), seal(cloud, 1).retired) == (5, 0)
    cloud.now += 5 * MINUTE
    cloud.run()
    assert (len(seal(cloud, 2).writers), seal(cloud, 2).retired) == (3, 2)
    # One of them comes again: it is no stranger that lacks a beginning.
    cloud.log(record(chains[0], NOW + 100))
    for _ in range(5):
        cloud.now += 5 * MINUTE
        cloud.run()
    assert [one for number in range(1, 8) for one in seal(cloud, number).found] == []


def test_every_record_is_looked_at_once_and_a_suspicion_is_told(
    cloud: Cloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def unusual(records: Any, known: dict[str, Any], now: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        found = [each["request_id"] for each in records]
        seen.extend(found)
        count = known.get("count", 0) + len(found)
        suspicions = [{"kind": "unusual_downloads", "principal": "p", "bytes": 9}] if "bad" in found else []
        return suspicions, {"count": count} if found else known

    monkeypatch.setattr(habits, "unusual", unusual)
    cloud.log(*chain_of(3, request_id="good"))
    cloud.run()
    cloud.log(*chain_of(1, request_id="bad"))
    for _ in range(3):
        cloud.now += 5 * MINUTE
        cloud.run()
    assert sorted(seen) == ["bad", "good", "good", "good"]
    (told,) = [one for one in said(capsys) if one["event"] == "suspicion"]
    assert (told["reason"], told["principal"], told["bytes"], told["decision"]) == ("unusual_downloads", "p", 9, "allow")
    kept = cloud.s3.get_object(Bucket=cloud.bucket, Key="application-audit/habits/000000000002.json")["Body"].read()
    assert json.loads(kept) == {"count": 4}


def test_what_is_told_of_a_seal_is_a_record_like_all(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    PROCESS.begin()
    cloud.run()
    first = capsys.readouterr().out
    cloud.log(first.rstrip("\n"), group=2, ago=0)
    cloud.now += 5 * MINUTE
    cloud.run()
    link = parse(first)
    assert link is not None
    assert link.hash == link.computed
    assert lines(cloud, 2) == first.splitlines()


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"seal":"x","signature":"eA=="}', b'{"seal":"{}","signature":"eA=="}', b'{"seal":1,"signature":2}'],
)
def test_what_is_no_seal_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(seals.Malformed):
        seals.read_seal(data)


def bomb() -> bytes:
    return gzip.compress(b"x" * 10_000_000)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (bomb, "holds more"),
        (lambda: b"nothing", "no gzip"),
        (lambda: gzip.compress(b"a\nb\n")[:-9], "cut off"),
        (lambda: gzip.compress(b"a\nb"), "last record"),
        (lambda: gzip.compress(b"a\n") + b"more", "follows"),
    ],
)
def test_a_records_file_is_bounded_and_whole(make: Callable[[], bytes], why: str) -> None:
    with pytest.raises(seals.Malformed, match=why):
        seals.unpack(make(), 100)
