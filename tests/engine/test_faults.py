"""An AWS call, the provider or the engine itself fails half-way: the next `up` puts it right, and nothing is left behind.

What fails, where and how is chosen by seed. FAULT_SEEDS=100:200 tries other seeds than the usual ones. A seed that fails writes
itself into `cases/`, where every file is tried again by each run: commit it with the repair.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.engine

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
FAULTY = HERE / "faulty"
CASES = HERE / "cases"
KINDS = ("refused", "call", "cut", "died", "engine_died", "lost")
first, _, last = os.environ.get("FAULT_SEEDS", "0:2").partition(":")
SEEDS = range(int(first), int(last))

Faults = dict[str, dict[str, Any]]
"""What goes wrong in the first deployment, in its change and in its destruction."""


class Toy:
    """The small stack, and the emulated AWS that it is deployed into."""

    def __init__(self, cloud: str, account: Any, state: Path) -> None:
        self.account = account
        httpx.post(f"{cloud}/moto-api/reset", timeout=30).raise_for_status()
        self._process = subprocess.Popen(
            [sys.executable, FAULTY / "toy.py", cloud, state],
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, what: str, variant: str = "first", fault: dict[str, Any] | None = None) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"do": what, "variant": variant, "fault": fault}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(60)


@pytest.fixture(scope="module")
def toys(cloud: str, account: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Toy]]:
    """The toy in use; after a test that failed, a new one in an empty AWS, so that the next test says something of its own."""
    current: list[Toy] = []

    def get(*, new: bool = False) -> Toy:
        if new or not current:
            for toy in current:
                toy.close()
            current[:] = [Toy(cloud, account, tmp_path_factory.mktemp("toy") / "state")]
        return current[0]

    yield get
    for toy in current:
        toy.close()


@pytest.fixture(scope="module")
def operations(toys: Callable[..., Toy]) -> dict[str, list[list[str]]]:
    """What the engine does without any fault, by phase: [operation, target] each."""
    toy = toys()
    phases = {
        "deploy": toy.do("up", "first"),
        "change": toy.do("up", "second"),
        "destroy": toy.do("destroy", "second"),
    }
    assert {phase: answer["failed"] for phase, answer in phases.items()} == dict.fromkeys(phases)
    assert toy.account.left() == {}
    return {phase: sorted(answer["operations"]) for phase, answer in phases.items()}


def chosen(seed: int, operations: dict[str, list[list[str]]]) -> Faults:
    """The faults of a seed, one in each phase."""
    dice = random.Random(seed)  # noqa: S311  # not for security
    faults: Faults = {}
    for phase, possible in operations.items():
        operation, target = dice.choice(possible)
        faults[phase] = {"operation": operation, "target": target, "kind": dice.choice(KINDS), "call": dice.randint(1, 4)}
    return faults


def survive(toy: Toy, faults: Faults) -> None:
    """Deploy, change and destroy with the faults, and look after each whether everything came right."""
    for phase, what, variant in (("deploy", "up", "first"), ("change", "up", "second"), ("destroy", "destroy", "second")):
        broken = toy.do(what, variant, faults[phase])
        assert broken["struck"], f"the fault of the phase {phase} did not strike: is there still a {faults[phase]['target']}?"
        if faults[phase]["kind"] == "engine_died":
            recovered = toy.do("recover", variant)
            assert recovered["failed"] is None
            broken = recovered
        else:
            assert broken["failed"], f"the engine took the fault of the phase {phase} for success"
        assert not broken["state"].get("pending_operations"), phase
        again = toy.do(what, variant)
        assert again["failed"] is None, f"{phase}: {again['failed']}"
        if what == "up":
            unchanged = toy.do("up", variant)
            assert (unchanged["failed"], set(unchanged["changes"])) == (None, {"same"}), phase
    assert again["state"].get("resources", [])[1:] == []
    assert toy.account.left() == {}


def check(toys: Callable[..., Toy], faults: Faults) -> None:
    try:
        survive(toys(), faults)
    except BaseException:
        toys(new=True)
        raise


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fault_in_each_phase_is_made_good(seed: int, toys: Callable[..., Toy], operations: dict[str, Any]) -> None:
    faults = chosen(seed, operations)
    try:
        check(toys, faults)
    except BaseException:
        case = CASES / f"seed-{seed}.json"
        case.write_text(json.dumps(faults, indent=2) + "\n")
        print(f"written as a case of its own: {case.relative_to(PROJECT)}")  # noqa: T201
        raise


@pytest.mark.parametrize("case", sorted(CASES.glob("*.json")), ids=lambda path: path.stem)
def test_a_case_that_failed_once_is_made_good(case: Path, toys: Callable[..., Toy]) -> None:
    check(toys, json.loads(case.read_text()))


def test_every_operation_on_the_whole_local_stack_may_fail_at_every_call(engine_of: Callable[[str], Any], cloud: str) -> None:
    httpx.post(f"{cloud}/moto-api/reset", timeout=30).raise_for_status()
    engine = engine_of("local")
    file = engine.state / "fault.json"
    file.write_text(json.dumps({"kind": "every"}))
    engine.plugins = FAULTY
    engine.environment["FAULT_FILE"] = str(file)
    changes, _ = engine.up()
    assert set(changes) == {"create"}
    engine.environment["EXTRA_TAG"] = "changed"
    changes, _ = engine.up()
    assert set(changes) <= {"update", "same"}
    assert changes["update"] > 20
    changes, _ = engine.up()
    assert set(changes) == {"same"}
    engine.run("deployment.destroy()\nprint('{}')")
    assert engine.account.left() == {}
