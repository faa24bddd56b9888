"""Parts that are sent several at a time."""

import io
import os
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from operator_cli.errors import CliError
from operator_cli.output import Output
from operator_cli.parts import AT_ONCE, Parts
from operator_cli.storage import Storage

SIZE, PART = 1_000_003, 100_000
WAIT = 20


class Bucket:
    """In the place of the storage: it reads each part as one that is sent, and keeps it."""

    def __init__(self) -> None:
        self.arrived: dict[str, bytes] = {}
        self.failing: dict[str, Exception] = {}
        self.stopped: list[str] = []
        self.together, self.goes_on = threading.Barrier(1), threading.Event()
        self.goes_on.set()

    def put(self, url: str, source: BinaryIO, offset: int, length: int, done: Any) -> str:
        if url in self.failing:
            self.together.wait(WAIT)
            raise self.failing[url]
        source.seek(offset)
        content = b""
        try:
            while len(content) < length:
                content += source.read(min(30_000, length - len(content)))
                if len(content) < 40_000:
                    self.together.wait(WAIT)
                    self.goes_on.wait(WAIT)
                done(len(content))
        except Exception:
            self.stopped.append(url)
            raise
        self.arrived[url] = content
        return f'"{url}"'


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cells.h5ad"
    path.write_bytes(os.urandom(SIZE))
    return path


def parts_of(bucket: Bucket, source: BinaryIO, already: int = 0) -> tuple[Parts, list[int]]:
    told: list[int] = []
    return Parts(cast(Storage, bucket), source, SIZE, PART, already=already, done=told.append), told


def test_parts_that_are_read_at_the_same_time_make_the_file_whole(bucket: Bucket, file: Path) -> None:
    """Each waits in its middle until the others are there, too: they share one open file, and no place in it."""
    bucket.together = threading.Barrier(AT_ONCE)
    numbers = range(1, 2 * AT_ONCE + 1)
    with file.open("rb") as source:
        parts, told = parts_of(bucket, source)
        assert (parts.count, parts.length(1), parts.length(11)) == (11, PART, 3)
        named = dict(parts.send({number: f"part-{number}" for number in numbers}))
    assert named == {number: f'"part-{number}"' for number in numbers}
    assert b"".join(bucket.arrived[f"part-{number}"] for number in numbers) == file.read_bytes()[: 2 * AT_ONCE * PART]
    assert max(told) == 2 * AT_ONCE * PART


def test_what_is_there_already_counts(bucket: Bucket, file: Path) -> None:
    with file.open("rb") as source:
        parts, told = parts_of(bucket, source, already=10 * PART)
        assert dict(parts.send({11: "last"})) == {11: '"last"'}
    assert told == [SIZE]
    assert bucket.arrived["last"] == file.read_bytes()[-3:]


def test_after_a_failure_nothing_more_is_begun_and_what_is_under_way_is_let_go(bucket: Bucket, file: Path) -> None:
    bucket.together = threading.Barrier(AT_ONCE)
    bucket.goes_on.clear()
    bucket.failing["part-1"] = CliError("refused", code="AccessDenied")
    with file.open("rb") as source:
        parts, _ = parts_of(bucket, source)
        with pytest.raises(CliError, match="refused"):
            dict(parts.send({number: f"part-{number}" for number in range(1, 11)}))
        bucket.goes_on.set()
        for thread in threading.enumerate():
            if thread.name.startswith("Thread-") and thread.daemon and "work" in thread.name:
                thread.join(WAIT)
    assert sorted(bucket.stopped) == [f"part-{number}" for number in range(2, 1 + AT_ONCE)]
    assert not bucket.arrived


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_of_a_resumed_upload_begins_where_it_is_and_counts_what_is_sent_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """1.9 of 2 GB are there. One MB more in about a second is a MB a second, not two GB."""
    now = [100.0]
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("rich.console.monotonic", lambda: now[0])
    with Output(json_only=False).transfer("Uploading", 2_000_000_000, 1_900_000_000) as done:
        for step in range(1, 11):
            now[0] += 0.1
            done(1_900_000_000 + step * 100_000)
    shown = screen.getvalue()
    assert "1.9/2.0 GB" in shown
    assert "1.0 MB/s" in shown or "1.1 MB/s" in shown
    assert "GB/s" not in shown
    assert "0:01:3" in shown or "0:01:40" in shown
