import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.heartmap_service.fuzz_scan import targets

CORPUS = Path(__file__).with_name("corpus")
FOUND = sorted(path for path in CORPUS.iterdir() if path.is_file())


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in FOUND) < 300_000


@pytest.mark.parametrize("path", FOUND, ids=[path.name for path in FOUND])
def test_what_was_found_before_holds(path: Path, tmp_path: Path) -> None:
    targets.scanned(path.read_bytes(), tmp_path / "input.h5ad")


def test_what_the_fuzzer_begins_with_is_accepted(tmp_path: Path) -> None:
    """A fuzzer that is refused at the first check would find nothing."""
    seeds = targets.seeds()
    assert sum(map(len, seeds.values())) < 300_000
    for name, body in seeds.items():
        assert targets.scanned(body, tmp_path / name) is not None, name


def test_the_target_finds_a_scan_that_lets_pass_what_is_not_finite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "input.h5ad"
    body = targets.seeds()["plain"]
    facts = targets.scanned(body, path)
    assert facts is not None
    place = body.index(bytes.fromhex("0000803f") * 3)
    monkeypatch.setattr(targets, "scan", lambda *_, **__: facts)
    with pytest.raises(AssertionError):
        targets.scanned(body[:place] + bytes.fromhex("0000c07f") + body[place + 4 :], path)


# As requirements.in has it: atheris is built for nothing else.
@pytest.mark.skipif(
    not (sys.platform == "linux" and platform.machine() == "x86_64"), reason="there is no atheris for this machine"
)
def test_four_seconds_of_a_fuzzer_find_nothing(tmp_path: Path) -> None:
    # One seed of its own choices, so that what it finds in a change of ours it finds each time.
    command = [sys.executable, "-W", "ignore", "-m", "tests.heartmap_service.fuzz_scan", "--seconds", "4", "--seed", "1"]
    root = Path(__file__).parents[3]
    done = subprocess.run([*command, "--keep", str(tmp_path)], capture_output=True, text=True, check=False, timeout=120, cwd=root)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "contained crashes of HDF5:" in done.stderr
    # As it goes on: a fuzzer that the scan's limit of processor time ends has no words left for its statistics.
    runs = re.findall(r"^#(\d+)\s", done.stderr, re.MULTILINE)
    assert max(map(int, runs), default=0) > len(targets.seeds()) + len(FOUND)
