"""The simulation of the workers: laws that any queue obeys, AWS's rules of scaling, the policy that is deployed, and the page."""

import ast
import importlib
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
scaling: Any = importlib.import_module("scaling")
page: Any = importlib.import_module("scaling_page")

LOADS = [(10, 20), (100, 5), (1_000, 2), (10_000, 0.5)]
POLICIES = [pytest.param(policy, id=policy.name) for policy in scaling.CANDIDATES]


def fixed(workers: int) -> Any:
    return scaling.Policy(f"{workers} workers", least=workers, most=workers)


# Laws


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("jobs_a_day", "days"), LOADS)
def test_every_policy_obeys_the_laws_of_queues(policy: Any, jobs_a_day: int, days: float) -> None:
    work, _ = scaling.jobs(np.random.default_rng(3), jobs_a_day, days)
    outcome = scaling.Simulation(work, replace(policy, most=50), 3).run()

    # Little: the jobs present, over time, are the times that they stay.
    assert outcome.present == pytest.approx(outcome.all_stays)
    # Nothing is lost, nothing done twice, no worker idles while a job waits.
    assert len(outcome.waits) == sum(job.analysis for job in work)
    assert outcome.busy == pytest.approx(sum(job.seconds for job in work))
    assert outcome.idle_while_waiting == 0
    assert min(outcome.waits) >= 0
    # No worker does more than its time, and there are never more than allowed.
    assert outcome.busy <= outcome.paid
    assert outcome.largest <= 50


@pytest.mark.parametrize(("workers", "load"), [(1, 0.7), (5, 0.8), (20, 0.9)])
def test_a_fixed_number_of_workers_waits_as_erlang_says(workers: int, load: float) -> None:
    random, count, mean = np.random.default_rng(5), 60_000, 60.0
    # After the start of the workers, which Erlang does not know.
    times = 600 + np.cumsum(random.exponential(mean / (workers * load), size=count))
    work = [scaling.Job(float(at), float(s)) for at, s in zip(times, random.exponential(mean, size=count), strict=True)]
    outcome = scaling.Simulation(work, fixed(workers), 5).run()

    offered = workers * load
    tail = offered**workers / math.factorial(workers) / (1 - load)
    delayed = tail / (sum(offered**n / math.factorial(n) for n in range(workers)) + tail)
    assert np.mean(outcome.waits) == pytest.approx(delayed * mean / (workers - offered), rel=0.15)


def test_waits_grow_with_the_load_on_the_same_workers() -> None:
    waits = [np.mean(scaling.simulate(fixed(8), jobs_a_day, 2, 7).waits) for jobs_a_day in (4_000, 8_000, 16_000)]

    assert 0 <= waits[0] < waits[1] < waits[2]


def test_the_same_seed_gives_the_same_outcome_and_another_another() -> None:
    first, again, other = (scaling.simulate(scaling.CHOSEN, 300, 1, seed) for seed in (1, 1, 2))

    assert first == again
    assert first.waits != other.waits


def test_arrivals_are_as_many_as_asked_for_and_follow_the_day() -> None:
    times = scaling.arrivals(np.random.default_rng(1), 20_000, 3)
    hours = np.bincount((times % scaling.DAY // scaling.HOUR).astype(int), minlength=24)

    assert len(times) == pytest.approx(60_000, rel=0.03)
    assert 0.1 < hours[2] / hours[14] < 0.25


# AWS's rules


def sample(at: float, *, waiting: int = 0, in_flight: int = 0, running: int = 0, desired: int = 0) -> Any:
    return scaling.Sample(at, waiting, in_flight, running, desired)


def test_target_tracking_waits_for_three_minutes_and_multiplies_once_a_cool_down() -> None:
    answers = scaling.Scaling(scaling.Policy("", scaling.Tracking(out_seconds=180.0)))
    seen = [sample(60.0 * n, waiting=10, running=2, desired=2) for n in range(5)]

    assert answers.decide(100, seen[:2], 2) == 2
    assert answers.decide(180, seen[:3], 2) == 10
    # The same metric again: what was added counts as there already.
    assert answers.decide(240, seen[:4], 10) == 10
    # After the cool-down it multiplies what is asked for by now: how the former policy ran away.
    assert answers.decide(400, seen, 10) == 50


def test_target_tracking_scales_in_after_fifteen_minutes_and_does_nothing_without_tasks() -> None:
    answers = scaling.Scaling(scaling.Policy("", scaling.Tracking()))
    idle = [sample(60.0 * n, running=4, desired=4) for n in range(15)]

    assert answers.decide(900, idle[:14], 4) == 4
    assert answers.decide(960, idle, 4) == 0
    assert answers.decide(1_020, [sample(60.0 * n, waiting=9) for n in range(15)], 0) == 0


def test_steps_take_the_last_that_is_reached_and_add_only_what_is_more_in_a_cool_down() -> None:
    steps = scaling.Steps("uncovered", ((1, 1), (4, 4)), 120.0)
    answers = scaling.Scaling(scaling.Policy("", None, (steps,)))

    assert answers.decide(0, [sample(0, waiting=3)], 0) == 1
    assert answers.decide(60, [sample(60, waiting=3)], 1) == 1
    assert answers.decide(60, [sample(60, waiting=9)], 1) == 4
    assert answers.decide(200, [sample(200, waiting=6, desired=4)], 4) == 5


def test_the_former_policy_asks_for_far_more_workers_than_there_is_work_and_the_chosen_one_does_not() -> None:
    former, chosen = (scaling.simulate(policy, 1_000, 1, 1) for policy in (scaling.FORMER, scaling.CHOSEN))

    assert former.largest > 10 * chosen.largest
    assert chosen.idle_share < former.idle_share


# What is deployed


def test_the_chosen_policy_is_that_of_the_program() -> None:
    program = ast.parse((ROOT / "infra" / "scaling.py").read_text(encoding="utf-8"))
    numbers: dict[str, Any] = {}
    for node in program.body:
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            pairs = (
                zip(target.elts, value.elts, strict=True)
                if isinstance(value, ast.Tuple) and isinstance(target, ast.Tuple)
                else [(target, value)]
            )
            numbers |= {ast.unparse(name): constant.value for name, constant in pairs if isinstance(constant, ast.Constant)}
    up, down = scaling.CHOSEN.steps
    sizes = [2**number for number in range(numbers["WORKER_STEPS"])]

    assert scaling.CHOSEN.tracking is None
    assert (up.metric, up.scales_in, up.periods) == ("uncovered", False, numbers["OUT_PERIODS"])
    assert (down.metric, down.scales_in, down.periods) == ("uncovered", True, numbers["IN_PERIODS"])
    assert up.seconds == down.seconds == numbers["WORKER_COOLDOWN_SECONDS"]
    assert up.steps == tuple((size, size) for size in sizes)
    assert down.steps == tuple((size, -max(1, size // 2)) for size in sizes)


# The page


def test_the_page_has_what_the_simulation_says() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    loads = [load for load in page.LOADS if load.jobs_a_day in (100, 10_000)]
    results = {
        (load.jobs_a_day, policy.name): scaling.simulate(replace(policy, most=load.most), load.jobs_a_day, load.days, page.SEED)
        for load in loads
        for policy in (scaling.FORMER, scaling.CHOSEN)
    }
    rows = page.policies(results, loads).splitlines()

    # Stale: run `python benchmarks/scaling_page.py`.
    assert len(rows) == 6
    assert [row for row in rows if row not in text] == []


def test_filling_the_page_changes_only_its_marked_parts() -> None:
    text = "before\n<!-- made: one -->\nold\n<!-- end -->\nafter\n"

    assert page.fill(text, {"one": "new"}) == "before\n<!-- made: one -->\nnew\n<!-- end -->\nafter\n"
    with pytest.raises(ValueError, match="markers"):
        page.fill(text, {"two": "new"})
