"""A lock file that is not what its .in file gives is told, and an index that is out of reach is no verdict."""

import shutil
from pathlib import Path

import pytest

from posture import check
from posture.plan import ROOT
from posture.supply import audits, locks
from posture.verdict import Result

SMALL = "lambda_authorizer/requirements.txt"


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for lock in locks.LOCKS:
        for name in (lock, lock.replace(".txt", ".in")):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tmp_path / name)
    monkeypatch.setattr(locks, "ROOT", tmp_path)
    return tmp_path


def test_the_locks_are_those_of_the_repository() -> None:
    assert {ROOT / lock for lock in locks.LOCKS} == set(audits.requirements_files())


def test_a_lock_is_what_its_in_file_gives_until_one_of_them_changes(copied: Path) -> None:
    assert not locks.stale(SMALL)
    lock = copied / SMALL
    lock.write_text(lock.read_text().replace("    # via", "    # for", 1))
    assert locks.stale(SMALL)


def test_an_in_file_that_cannot_be_met_fails(copied: Path) -> None:
    (copied / SMALL.replace(".txt", ".in")).write_text("cryptography==0.0.0.0.1\n")
    (row,) = [row for row in [check._lock(SMALL)] if row.result is Result.FAIL]  # pyright: ignore[reportPrivateUsage]
    assert "cannot be made from its .in file" in row.detail


def test_an_index_out_of_reach_is_no_data(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("UV_INDEX_URL", "http://127.0.0.1:9/"),
        ("UV_HTTP_RETRIES", "0"),
        ("UV_CACHE_DIR", str(copied / "cache")),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/")
    assert check._lock(SMALL).result is Result.NO_DATA  # pyright: ignore[reportPrivateUsage]
