"""The tables and the figure of docs/scaling.md, from the simulation of benchmarks/scaling.py.

    python benchmarks/scaling_page.py           # everything, a quarter of an hour
    python benchmarks/scaling_page.py --quick   # to 10,000 jobs a day, seconds; prints, and writes nothing

The text of the page is written by hand; what stands between its markers is written here.
"""

import argparse
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import scaling
from scaling import CANDIDATES, CHOSEN, DAY, FORMER, HOUR, PROD, Outcome, Policy, Worker, jobs, simulate

DOCS = Path(__file__).parents[1] / "docs"
PAGE, FIGURE = DOCS / "scaling.md", DOCS / "scaling.svg"
SEED = 1
BROAD = (FORMER.name, CHOSEN.name)
"""Only these are simulated at a million jobs a day, which takes minutes each."""


@dataclass(frozen=True)
class Load:
    """``most`` is the largest number of workers that is set for it, prod's own where that is enough."""

    jobs_a_day: int
    days: float
    most: int
    every_policy: bool = True


LOADS = (
    Load(10, 60, 10),
    Load(100, 20, 10),
    Load(1_000, 7, 10),
    Load(10_000, 2, 50),
    Load(100_000, 1, 500),
    Load(1_000_000, 1, scaling.TASKS_A_SERVICE, every_policy=False),
)

Results = dict[tuple[int, str], Outcome]


def run(loads: Iterable[Load], seed: int = SEED) -> Results:
    """Every policy under every load."""
    results: Results = {}
    for load in loads:
        for policy in CANDIDATES:
            if not load.every_policy and policy.name not in BROAD:
                continue
            started = time.monotonic()
            results[load.jobs_a_day, policy.name] = simulate(replace(policy, most=load.most), load.jobs_a_day, load.days, seed)
            print(f"{load.jobs_a_day:>9,} a day, {policy.name}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
    return results


# Tables


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join('---' for _ in heads)} |"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def policies(results: Results, loads: Sequence[Load]) -> str:
    """Waits, cost and idle share of every policy under every load."""
    heads = ["jobs a day", "at most", "policy", "wait p50", "p95", "p99", "USD a job", "idle", "largest"]
    rows = []
    for load in loads:
        for policy in CANDIDATES:
            outcome = results.get((load.jobs_a_day, policy.name))
            if outcome is None:
                continue
            waits = [f"{outcome.wait(percent):,.0f} s" for percent in (50, 95, 99)]
            cost = [f"{outcome.usd_a_job(PROD):.4f}", f"{outcome.idle_share:.0%}", f"{outcome.largest:,}"]
            rows.append([f"{load.jobs_a_day:,}", f"{load.most:,}", policy.name, *waits, *cost])
    return table(heads, rows)


def sizes(results: Results, loads: Sequence[Load]) -> str:
    """What the chosen policy needs of AWS at each load, in the busiest hour where a rate is meant."""
    heads = ["jobs a day", "requests for one a second", "workers busy on average", "workers at most", "vCPU at most"]
    heads += ["starts in the run", "heartbeat writes a second", "index writes a second in `queued`", "TB in and out a day"]
    rows = []
    peak = 1 / ((1 + scaling.NIGHT) / 2)
    for load in loads:
        outcome = results[load.jobs_a_day, CHOSEN.name]
        a_second = load.jobs_a_day / DAY * peak
        busy = outcome.busy / (load.days * DAY)
        # A download and an upload of each analysis, of the mean size.
        data = load.jobs_a_day * mean_bytes() * 2 / 1e12
        rows.append(
            [
                f"{load.jobs_a_day:,}",
                f"{a_second:.2g}",
                f"{busy:,.2g}" if busy < 10 else f"{busy:,.0f}",
                f"{outcome.largest:,}",
                f"{outcome.largest * PROD.cpu / 1024:,.0f}",
                f"{outcome.launched:,}",
                f"{busy * peak / 2:,.2g}" if busy < 10 else f"{busy * peak / 2:,.0f}",
                f"{2 * a_second:.2g}",
                f"{data:.2g}" if data < 10 else f"{data:,.0f}",
            ]
        )
    return table(heads, rows)


def mean_bytes() -> float:
    """Bytes of a data set in memory, on average."""
    cells = scaling.CELLS_MEDIAN * np.exp(scaling.CELLS_SIGMA**2 / 2)
    return float(cells * scaling.VALUES_A_CELL * 8)


def doubts(seed: int = SEED) -> str:
    """What the assumptions matter: both policies at 1,000 jobs a day, with one assumption changed at a time."""
    changes: Mapping[str, Mapping[str, object]] = {
        "as assumed": {},
        "metrics 2 minutes late": {"METRIC_DELAY": 120.0},
        "metrics 3 minutes late": {"METRIC_DELAY": 180.0},
        "a start takes twice as long": {"START_SECONDS": tuple(2 * value for value in scaling.START_SECONDS)},
        "data sets three times as large": {"CELLS_MEDIAN": 3 * scaling.CELLS_MEDIAN},
        "no batches": {"BATCHED": 0.0},
        "two thirds in batches": {"BATCHED": 0.67},
    }
    rows = []
    for name, change in changes.items():
        kept = {key: getattr(scaling, key) for key in change}
        try:
            for key, value in change.items():
                setattr(scaling, key, value)
            found = [simulate(replace(policy, most=10), 1_000, 7, seed) for policy in (FORMER, CHOSEN)]
        finally:
            for key, value in kept.items():
                setattr(scaling, key, value)
        rows.append(
            [name, *(f"{o.wait(95):.0f} / {o.wait(99):.0f} s" for o in found), *(f"{o.usd_a_job(PROD):.4f}" for o in found)]
        )
    return table(["changed", "former, wait p95 / p99", "chosen", "former, USD a job", "chosen"], rows)


WORKERS = (PROD, Worker(2048, 16384, 15 * 1024**3), Worker(1024, 8192, 7 * 1024**3))


def workers(seed: int = SEED) -> str:
    """What a smaller worker would cost, and refuse."""
    rows = []
    for worker in WORKERS:
        work, refused = jobs(np.random.default_rng(seed), 20_000, 1, worker)
        analyses = [job.seconds for job in work if job.analysis]
        pure = sum(job.seconds for job in work) / HOUR * worker.usd_an_hour / len(analyses)
        rows.append(
            [
                f"{worker.cpu / 1024:.0f} vCPU, {worker.memory / 1024:.0f} GB",
                f"{worker.usd_an_hour:.3f}",
                f"{refused / (refused + len(analyses)):.2%}",
                f"{pure:.5f}",
            ]
        )
    return table(["worker", "USD an hour", "analyses refused", "USD a job, without idling"], rows)


def job_sizes(seed: int = SEED) -> str:
    """The times of the jobs that the simulation draws."""
    work, _ = jobs(np.random.default_rng(seed), 100_000, 1)
    seconds = np.array([job.seconds for job in work if job.analysis])
    heads = ["mean", "p50", "p95", "p99", "longest of 100,000"]
    values = [seconds.mean(), *np.percentile(seconds, (50, 95, 99)), seconds.max()]
    return table(heads, [[f"{value:,.0f} s" for value in values]])


# The figure


def draw(results: Results, path: Path) -> None:
    """Wait and cost by load, a line for each policy."""
    mpl.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "scaling", "font.size": 9, "svg.fonttype": "path"})
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
    for number, policy in enumerate(CANDIDATES):
        found = sorted((load, outcome) for (load, name), outcome in results.items() if name == policy.name)
        style = _style(policy, number)
        loads = [load for load, _ in found]
        left.plot(loads, [outcome.wait(95) for _, outcome in found], **style)
        right.plot(loads, [outcome.usd_a_job(PROD) for _, outcome in found], label=policy.name, **style)
    left.set(xscale="log", xlabel="jobs a day", ylabel="95th percentile of the wait, seconds", ylim=(0, None))
    right.set(xscale="log", yscale="log", xlabel="jobs a day", ylabel="US dollars a job, of workers")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    right.legend(fontsize=7.5, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _style(policy: Policy, number: int) -> dict[str, object]:
    chosen = policy in (FORMER, CHOSEN)
    color = {FORMER.name: "#c0392b", CHOSEN.name: "#1f618d"}.get(
        policy.name, ("#999999", "#d4a017", "#7d6fb3", "#5aa469")[number % 4]
    )
    dashes = "--" if policy.name.startswith("chosen,") else "-"
    return {"linestyle": dashes, "marker": "o", "markersize": 3, "color": color, "linewidth": 2.2 if chosen else 1.1}


# The page


def fill(text: str, parts: Mapping[str, str]) -> str:
    """The page with its marked parts written anew. Raises ValueError when a marker is missing, or one is not known."""
    marked = re.findall(r"<!-- made: (\S+) -->", text)
    if sorted(marked) != sorted(parts):
        raise ValueError(f"docs/scaling.md has the markers {sorted(marked)} instead of {sorted(parts)}")
    for name, part in parts.items():
        pattern = rf"(<!-- made: {name} -->\n).*?(\n?<!-- end -->)"
        text = re.sub(pattern, lambda match, part=part: f"{match[1]}{part}\n<!-- end -->", text, flags=re.DOTALL)
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description="The tables and the figure of docs/scaling.md.")
    parser.add_argument("--quick", action="store_true", help="to 10,000 jobs a day, and write nothing")
    quick = parser.parse_args().quick
    loads = LOADS[:4] if quick else LOADS
    results = run(loads)
    parts = {
        "jobs": job_sizes(),
        "policies": policies(results, loads),
        "doubts": doubts(),
        "sizes": sizes(results, loads),
        "workers": workers(),
    }
    if quick:
        print("\n\n".join(parts.values()))
        return 0
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), parts), encoding="utf-8")
    draw(results, FIGURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
