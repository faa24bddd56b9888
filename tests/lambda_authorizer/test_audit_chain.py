import hashlib
import io
import json
import os
import threading

import pytest

from lambda_authorizer import audit_chain
from lambda_authorizer.audit_chain import GENESIS, PROCESS, Chain, Link, digest, parse


def parsed(line: str) -> Link:
    link = parse(line)
    assert link is not None
    return link


def test_a_record_ends_with_its_place_in_the_chain() -> None:
    chain = Chain()
    first, second = chain.close('{"event":"a"'), chain.close('{"event":"b"')
    one, two = json.loads(first), json.loads(second)
    assert list(one) == ["event", "writer", "sequence", "previous", "hash"]
    assert (one["sequence"], one["previous"]) == (1, GENESIS)
    assert (two["sequence"], two["previous"], two["writer"]) == (2, one["hash"], one["writer"])
    before, _, _ = second.rpartition(',"hash":"')
    assert two["hash"] == hashlib.sha256(before.encode()).hexdigest() == digest(second)
    assert parse(second) == parse(second + "\n") == Link(two["writer"], 2, one["hash"], two["hash"], two["hash"])


def test_every_writer_is_another() -> None:
    assert json.loads(Chain().close('{"a":1'))["writer"] != json.loads(Chain().close('{"a":1'))["writer"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"event":"a"', '"event":"b"'),
        ('"event":"a"', '"event": "a"'),
        ('"event":"a"', '"event":"a","x":1'),
        ('"sequence":1', '"sequence":2'),
        (GENESIS, "1" * 64),
    ],
)
def test_a_changed_record_has_another_hash(old: str, new: str) -> None:
    line = Chain().close('{"event":"a"')
    assert old in line
    changed = parsed(line.replace(old, new))
    assert changed.computed != changed.hash == parsed(line).hash == parsed(line).computed


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        "START RequestId: 1",
        '{"event":"a"}',
        Chain().close('{"event":"a"')[:-1],
        Chain().close('{"event":"a"') + " ",
        Chain().close('{"event":"a"').replace('"sequence":1', '"sequence":0'),
        Chain().close('{"event":"a"').replace('"sequence":1', '"sequence":01'),
        Chain().close('{"event":"a"').replace('"event":"a"', '"event":"é"'),
        Chain().close('{"event":"a"').replace('"event"', '"event\n"'),
    ],
)
def test_other_lines_are_no_records(line: str) -> None:
    assert parse(line) is None


def test_a_value_that_looks_like_an_end_is_none() -> None:
    forged = json.dumps('","writer":"' + "a" * 32 + '","sequence":1,"previous":"' + GENESIS + '","hash":"' + GENESIS + '"}')
    link = parsed(Chain().close(f'{{"event":{forged}'))
    assert link.computed == link.hash != GENESIS


def test_records_of_threads_are_written_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    # A pipe that is slow: another thread would come between a record's place and its writing if it could.
    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            threading.Event().wait(0.0002)
            return super().write(text)

    chain, out = Chain(), Slow()
    monkeypatch.setattr("sys.stdout", out)
    threads = [threading.Thread(target=lambda: [chain.write('{"a":1') for _ in range(25)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    links = [parsed(line) for line in out.getvalue().splitlines()]
    assert [link.sequence for link in links] == list(range(1, 201))
    assert [link.previous for link in links] == [GENESIS, *(link.hash for link in links[:-1])]
    assert all(link.computed == link.hash for link in links)


def test_a_record_that_cannot_be_written_is_missed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError("no space left")

    chain = Chain()
    chain.write('{"a":1')
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout", Full())
        with pytest.raises(OSError, match="no space"):
            chain.write('{"a":2')
    chain.write('{"a":3')
    first, third = map(parsed, capsys.readouterr().out.splitlines())
    assert (third.sequence, third.previous) != (2, first.hash)


def test_a_forked_process_is_a_writer_of_its_own() -> None:
    reading, writing = os.pipe()
    mine = parsed(PROCESS.close('{"a":1'))
    child = os.fork()
    if child == 0:
        os.write(writing, audit_chain.PROCESS.close('{"a":1').encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        theirs = parsed(pipe.read())
    assert theirs.writer != mine.writer
    assert (theirs.sequence, theirs.previous) == (1, GENESIS)
