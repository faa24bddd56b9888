import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lambda_authorizer.fuzz import targets

CORPUS = Path(__file__).with_name("corpus")
SEEDS = sorted(path for path in CORPUS.rglob("*") if path.is_file())


@pytest.fixture
def _world() -> Iterator[None]:
    with targets.world():
        yield


def test_there_is_a_corpus_for_each_target_and_it_is_small() -> None:
    assert {path.name for path in CORPUS.iterdir()} == targets.TARGETS.keys()
    assert {seed.parent.name for seed in SEEDS} == targets.TARGETS.keys()
    assert sum(seed.stat().st_size for seed in SEEDS) < 300_000


@pytest.mark.usefixtures("_world")
@pytest.mark.parametrize("seed", SEEDS, ids=[f"{seed.parent.name}/{seed.name}" for seed in SEEDS])
def test_what_was_found_before_holds(seed: Path) -> None:
    targets.TARGETS[seed.parent.name](seed.read_bytes())


@pytest.mark.usefixtures("_world")
@pytest.mark.parametrize("name", ["token/good", "event/good-0", "event/good-1", "event/good-2", "signature/good"])
def test_what_is_good_gets_as_far_as_the_last_check(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fuzzer that is refused at the first check would find nothing: its seeds are accepted."""
    reached: list[str] = []
    for check in ("_believable", "_check_allowed", "_check_base"):
        original = getattr(targets, check)
        monkeypatch.setattr(
            targets, check, lambda *args, check=check, original=original: reached.append(check) or original(*args)
        )
    target = name.partition("/")[0]
    targets.TARGETS[target]((CORPUS / name).read_bytes())
    assert reached == [{"token": "_believable", "event": "_check_allowed", "signature": "_check_base"}[target]]


# As requirements.in has it: atheris is built for nothing else.
@pytest.mark.skipif(
    not (sys.platform == "linux" and platform.machine() == "x86_64"), reason="there is no atheris for this machine"
)
@pytest.mark.parametrize("target", targets.TARGETS)
def test_three_seconds_of_a_fuzzer_find_nothing(target: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.lambda_authorizer.fuzz", "--seconds", "3", "--keep", str(tmp_path), target]
    # The kernel counts what this process once had in memory as its children's; not as their children's.
    apart = ["/bin/sh", "-c", '"$@"; exit $?', "sh", *command]
    done = subprocess.run(apart, capture_output=True, text=True, check=False, timeout=120, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr[-3000:]
    (count,) = [int(line.split()[1]) for line in done.stderr.splitlines() if line.startswith("stat::number_of_executed_units")]
    assert count > len([seed for seed in SEEDS if seed.parent.name == target])
