"""What the isolation of jobs costs, as ratios in one run: machines differ and are noisy, ratios hold.

    make bench

DIRECT is the pipeline called in a process of its own that has run everything once (rehearsal.py), with a job's environment. A job
is Sandbox.run: a fork of such a process, confined, with the scan, the watch over its limits, and its end. Each round takes its
turns one after the other; the ratio is of medians. Two at once are compared with half of the sum of two in a row.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import anndata
import numpy as np
import scipy.sparse

from heartmap_service.configuration import PipelineConfig
from heartmap_service.confinement import environment
from heartmap_service.sandbox import Limits, Sandbox, job_directory
from heartmap_service.settings import GIB
from heartmap_service.warm import warm

ANALYSIS_TYPE = "comprehensive"
CONFIG = PipelineConfig().model_dump()
LIMITS = Limits(memory=4 * GIB)
SMALL, LARGE = (200, 500), (10_000, 3_000)
SMALL_ROUNDS, LARGE_ROUNDS, PAIRS = 5, 1, 2

# Reads the path of a data set a line, and answers with the seconds that its analysis took.
DIRECT = """
import contextlib, json, os, sys, time
from pathlib import Path
said = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
from heartmap_service import rehearsal
rehearsal.rehearse()
rehearsal.rehearse_large()
from heartmap_service import pipelines
from heartmap_service.scan import scan
task = json.loads(sys.argv[1])
said.write("ready\\n")
for line in sys.stdin:
    source, out = Path(line.strip()), Path("out")
    facts = scan(source, memory=4 << 30)
    started = time.perf_counter()
    pipelines.run(task["analysis_type"], task["config"], source, facts, out, lambda _stage, _progress: None)
    said.write(f"{time.perf_counter() - started}\\n")
    for path in out.iterdir():
        path.unlink()
"""


def data_set(path: Path, cells: int, genes: int) -> None:
    """Counts in clusters: four profiles of expression."""
    random = np.random.default_rng(0)
    profiles = random.gamma(0.6, 1.0, (4, genes)) * min(1.0, 600 / genes) * 2
    blocks = [
        scipy.sparse.csr_matrix(random.poisson(profiles[np.arange(start, min(start + 1000, cells)) % 4]).astype(np.float32))
        for start in range(0, cells, 1000)
    ]
    data = anndata.AnnData(scipy.sparse.csr_matrix(scipy.sparse.vstack(blocks)))
    data.obs_names = [f"cell-{number}" for number in range(cells)]
    data.var_names = [f"GENE{number}" for number in range(genes)]
    data.write_h5ad(path)


class Direct:
    """The warm process in which the pipeline is called."""

    def __init__(self, scratch: Path, seed: Path) -> None:
        self._directory = job_directory(scratch, seed)
        directory = self._directory.__enter__()
        task = json.dumps({"analysis_type": ANALYSIS_TYPE, "config": CONFIG})
        self._process = subprocess.Popen(
            [sys.executable, "-c", DIRECT, task],
            cwd=directory.work,
            env=environment(directory.root),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None  # noqa: S101  # PIPE was asked for
        assert self._process.stdout is not None  # noqa: S101
        return self._process.stdin, self._process.stdout

    def wait(self) -> None:
        if self._pipes()[1].readline().strip() != "ready":
            raise SystemExit("The process that calls the pipeline directly did not start.")

    def seconds(self, source: Path) -> float:
        asked, said = self._pipes()
        asked.write(f"{source}\n")
        asked.flush()
        return float(said.readline())

    def close(self) -> None:
        self._pipes()[0].close()
        self._process.wait()
        self._directory.__exit__(None, None, None)


def job_seconds(sandbox: Sandbox, scratch: Path, source: Path) -> float:
    """From the data set in the job's directory to its result."""
    with job_directory(scratch) as directory:
        shutil.copy(source, directory.work / "input.h5ad")
        task: dict[str, Any] = {"task": "analysis", "input": "input.h5ad", "analysis_type": ANALYSIS_TYPE, "config": CONFIG}
        return seconds(lambda: sandbox.run(task, directory, LIMITS, lambda _stage, _progress: True))


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def pair(sandbox: Sandbox, scratch: Path, source: Path) -> float:
    threads = [threading.Thread(target=job_seconds, args=(sandbox, scratch, source)) for _ in range(2)]

    def both() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return seconds(both)


def show(name: str, ratio: float, goal: float, note: str) -> None:
    verdict = "reached" if ratio <= goal else "NOT reached"
    print(f"  {name:44} {ratio:6.2f}   at most {goal:.2f}  {verdict}   ({note})", flush=True)


def compared(name: str, goal: float, rounds: int, direct: Callable[[], float], job: Callable[[], float]) -> None:
    pairs = [(direct(), job()) for _ in range(rounds)]
    alone, forked = (statistics.median(each) for each in zip(*pairs, strict=True))
    show(name, forked / alone, goal, f"{forked:.2f} s against {alone:.2f} s, median of {rounds}")


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        seed = Path(os.environ["HEARTMAP_NUMBA_CACHE_SEED"]) if "HEARTMAP_NUMBA_CACHE_SEED" in os.environ else scratch / "seed"
        if not seed.exists():
            warm(seed, large=True)
        small, large = scratch / "small.h5ad", scratch / "large.h5ad"
        data_set(small, *SMALL)
        data_set(large, *LARGE)
        direct = Direct(scratch, seed)
        with Sandbox(scratch, seed) as sandbox:
            sandbox.start()
            direct.wait()
            sandbox.wait_until_loaded()
            # The first runs touch memory for the first time, and do not count.
            direct.seconds(small)
            job_seconds(sandbox, scratch, small)
            print("Jobs, x the same pipeline called directly in a warm process")
            compared(
                "small, 200 x 500",
                1.3,
                SMALL_ROUNDS,
                lambda: direct.seconds(small),
                lambda: job_seconds(sandbox, scratch, small),
            )
            compared(
                "large, 10,000 x 3,000",
                1.1,
                LARGE_ROUNDS,
                lambda: direct.seconds(large),
                lambda: job_seconds(sandbox, scratch, large),
            )
            ones, twos = [], []
            for _ in range(PAIRS):
                ones.append(job_seconds(sandbox, scratch, small) + job_seconds(sandbox, scratch, small))
                twos.append(pair(sandbox, scratch, small))
            halved, both = statistics.median(ones) / 2, statistics.median(twos)
            note = f"{both:.2f} s against {halved:.2f} s, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
            show("two small at once, x half of their sum", both / halved, 1.2, note)
        direct.close()


if __name__ == "__main__":
    main()
