"""The measured runs behind heartmap_service.estimate, and the fit.

    python benchmarks/estimate_runs.py measure     # about 15 minutes of CPU; replaces the runs kept, then fits
    python benchmarks/estimate_runs.py fit         # from the runs kept

Each run is a fork of a process that has run analyses before, as jobs are, with the environment that a job has, on a data set made
up for it: cells of eight types, counts over a skewed distribution of genes, the symbols of HeartMAP's ligands and receptors among
them, written with gzip. It scans the file and runs one pipeline without limits. Kept are the peak of its address space (VmPeak),
that of its resident memory, and its CPU seconds: others use the machine too, and these differ by 20 % from run to run.

The fit is a sum of few terms (estimate.terms) with coefficients of at least 0, and makes the sum of the squared relative errors
least. Its error is told by leaving out each run in turn. The margin on memory is the largest ratio of measured to predicted
memory among those left out, at least 1.05: with n runs, the chance that one more of their kind needs more is about 1 in n + 1.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from subprocess import PIPE
from typing import Any

import numpy as np
from scipy.optimize import nnls

from heartmap_service.catalogue import ANALYSIS_TYPES, PIPELINES
from heartmap_service.configuration import PipelineConfig
from heartmap_service.estimate import EXACT_NEIGHBOURS, GIB, RUNS, terms

ROOT = Path(__file__).parents[1]
VERSIONS = ("heartmap", "scanpy", "anndata", "numpy", "scipy", "numba", "umap-learn", "leidenalg")
CELL_TYPES = 8
CHAMBERS = ("RA", "RV", "LA", "LV")
SMALLEST_MARGIN = 1.05
NICE = 10


@dataclass(frozen=True)
class DataSet:
    """``density`` is the share of values that are not 0; a dense one stores all of them."""

    cells: int
    genes: int
    density: float
    sparse: bool = True
    max_cells_subset: int | None = None
    max_genes_subset: int | None = None


DATA_SETS = (
    DataSet(200, 500, 0.3),
    DataSet(2_000, 2_000, 0.1),
    DataSet(20_000, 3_000, 0.1),
    DataSet(4_000, 20_000, 0.05),
    DataSet(10_000, 3_000, 0.1),
    DataSet(5_000, 2_000, 0.1, sparse=False),
    DataSet(20_000, 3_000, 0.1, max_cells_subset=4_000),
    DataSet(8_000, 1_000, 0.1),
    DataSet(10_000, 3_000, 0.1, max_genes_subset=500),
    DataSet(5_000, 3_000, 0.1),
    DataSet(1_000, 1_000, 0.1),
    DataSet(2_000, 2_000, 0.1, sparse=False),
    DataSet(5_000, 2_000, 0.1, sparse=False, max_cells_subset=1_000),
    DataSet(400, 500, 0.3, sparse=False),
)
FEWER = range(9)
"""For the two types that are parts of another, or do little."""

# What each type's need rests on: those of estimate.terms that the leave-one-out error asks for.
MEMORY = ("constant", "bytes", "kept_bytes", "kept_cells", "kept_pairs")
SECONDS = ("constant", "bytes", "kept_bytes", "kept_cells", "layout")
# What differs between the runs and not between data sets: runs whose parent had rehearsed small data sets only ("small").
MORE_IN_PARENT, COMPILING = "more in the parent", "compiling"


# Data sets


def make(data_set: DataSet, path: Path) -> int:
    """Write the data set, and return how many values its file holds."""
    import anndata
    import pandas as pd
    import scipy.sparse

    random = np.random.default_rng(data_set.cells * 31 + data_set.genes)
    base = random.lognormal(sigma=1.5, size=data_set.genes)
    programs = base * random.choice([1.0, 1.0, 1.0, 6.0], size=(CELL_TYPES, data_set.genes))
    # So many expected counts a cell that the wanted share of genes gets one.
    programs *= _depth(programs.mean(axis=0), data_set.density)
    kinds = random.integers(CELL_TYPES, size=data_set.cells)
    blocks = []
    for start in range(0, data_set.cells, 1_000):
        block = kinds[start : start + 1_000]
        sizes = random.lognormal(sigma=0.4, size=(len(block), 1))
        blocks.append(scipy.sparse.csr_matrix(random.poisson(programs[block] * sizes).astype(np.float32)))
    matrix: Any = scipy.sparse.vstack(blocks, format="csr")
    names = [f"GENE{number}" for number in range(data_set.genes)]
    known = _symbols()[: data_set.genes // 2]
    names[: len(known)] = known
    obs = pd.DataFrame({"chamber": pd.Categorical(random.choice(CHAMBERS, size=data_set.cells))})
    obs.index = pd.Index([f"cell{number}" for number in range(data_set.cells)])
    data = anndata.AnnData(matrix if data_set.sparse else matrix.toarray(), obs=obs, var=pd.DataFrame(index=pd.Index(names)))
    data.write_h5ad(path, compression="gzip")
    return int(matrix.nnz) if data_set.sparse else data_set.cells * data_set.genes


def _depth(rates: np.ndarray, density: float) -> float:
    low, high = 1e-6, 1e6
    for _ in range(60):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if (1 - np.exp(-rates * middle)).mean() < density else (low, middle)
    return low


def _symbols() -> list[str]:
    """The genes of HeartMAP's ligands and receptors."""
    from heartmap.data.lr_database import LigandReceptorDatabase

    with contextlib.redirect_stdout(io.StringIO()):
        pairs = LigandReceptorDatabase().get_dataframe()
    return sorted({*pairs["ligand"], *pairs["receptor"]})


# One run


def serve() -> None:
    """Run the tasks on standard input, a line each, and print what each took: in a fork of this process, which has rehearsed."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    from heartmap_service import rehearsal

    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        rehearsal.rehearse()
        rehearsal.rehearse_large()
        os.chdir("/")
    for line in sys.stdin:
        answers.write(json.dumps(in_a_fork(json.loads(line))) + "\n")
        answers.flush()


def run_here(analysis_type: Any, config: dict[str, Any], source: Path) -> None:
    """Scan and run, as a job does, in a directory of its own."""
    from heartmap_service.pipelines import run
    from heartmap_service.scan import scan

    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        Path("out").mkdir()
        run(analysis_type, config, source, scan(source, memory=64 * GIB), Path("out"), lambda _stage, _progress: None)
        os.chdir("/")


def in_a_fork(task: dict[str, Any]) -> dict[str, Any]:
    """What one run took. Raises RuntimeError when it failed; what it said is on standard error."""
    reading, writing = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            run_here(task["type"], task["config"], Path(task["input"]))
            status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            os.write(writing, status["VmPeak"].split()[0].encode())
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            # As a job ends, without the interpreter's clean-up.
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        peak = stream.read()
    _, _, usage = os.wait4(child, 0)
    if not peak:
        raise RuntimeError(f"{task['type']} failed")
    return {
        "memory_bytes": int(peak) * 1024,
        "rss_bytes": usage.ru_maxrss * 1024,
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "wall_seconds": round(time.monotonic() - started, 2),
    }


def _config(data_set: DataSet) -> dict[str, Any]:
    # No filter: what it drops would only need less.
    return PipelineConfig(
        min_genes=0, min_cells=0, max_cells_subset=data_set.max_cells_subset, max_genes_subset=data_set.max_genes_subset
    ).model_dump()


def _environment(directory: Path) -> dict[str, str]:
    """That of a job (heartmap_service.sandbox), of which the number of threads and of arenas count here."""
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": str(directory / "matplotlib"),
        "NUMBA_CACHE_DIR": str(directory / "numba"),
        "NUMBA_NUM_THREADS": "1",
        # GNU's OpenMP ends a fork of a process that has used it.
        "NUMBA_THREADING_LAYER": "workqueue",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
    }


@contextlib.contextmanager
def server(directory: Path) -> Iterator[Callable[[str, DataSet, Path], dict[str, Any]]]:
    """The process that forks the runs, as a function that does one."""
    command = [sys.executable, __file__, "serve"]
    with (
        Path(directory, "log").open("wb") as log,
        subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=log, env=_environment(directory), text=True) as process,
    ):
        asks, answers = process.stdin, process.stdout
        assert asks is not None and answers is not None  # noqa: S101, PT018  # PIPE was asked for

        def run_once(analysis_type: str, data_set: DataSet, source: Path) -> dict[str, Any]:
            task = {"type": analysis_type, "config": _config(data_set), "input": str(source)}
            print(json.dumps(task), file=asks, flush=True)
            answer = answers.readline()
            if not answer:
                raise RuntimeError(Path(directory, "log").read_text()[-2_000:])
            return json.loads(answer)

        yield run_once
        asks.close()


def measure(path: Path) -> None:
    """Run everything of the grid, and write the runs to the file as they come."""
    os.nice(NICE)
    kept: dict[str, Any] = {"measured": _measured(), "runs": []}
    with tempfile.TemporaryDirectory() as directory, server(Path(directory)) as run_once:
        source = Path(directory, "input.h5ad")
        for number, data_set in enumerate(DATA_SETS):
            values = make(data_set, source)
            for analysis_type in ANALYSIS_TYPES:
                if analysis_type in ("multi_chamber", "advanced_communication") and number not in FEWER:
                    continue
                row = {"type": analysis_type, **asdict(data_set), "values": values, "rehearsed": "all"}
                row |= run_once(analysis_type, data_set, source)
                kept["runs"].append(row)
                path.write_text(_text(kept), encoding="utf-8")
                print(json.dumps(row), flush=True)


def _measured() -> dict[str, Any]:
    cpuinfo = Path("/proc/cpuinfo").read_text()
    processor = next((line.split(":")[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")), "")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": f"{processor or platform.processor()}, {platform.machine()}, one thread",
        "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONS}},
    }


def _text(kept: dict[str, Any]) -> str:
    """JSON with a line for each run."""
    rows = ",\n    ".join(json.dumps(row) for row in kept["runs"])
    rest = json.dumps({name: value for name, value in kept.items() if name != "runs"}, indent=2)
    return f'{rest[:-2]},\n  "runs": [\n    {rows}\n  ]\n}}\n'


# The fit


def terms_of(row: dict[str, Any]) -> dict[str, float]:
    """Those of the estimate, and those of the run.

    A parent that has rehearsed large data sets has more address space, which each job inherits. With one that has not, jobs of
    more cells than are searched exactly compile for themselves.
    """
    of = terms(row["type"], row, row)
    large = of["kept_cells"] * 1e6 >= EXACT_NEIGHBOURS and bool(PIPELINES[row["type"]].options)
    every = row["rehearsed"] == "all"
    return {**of, MORE_IN_PARENT: float(every), COMPILING: float(large and not every)}


def fit_one(rows: list[dict[str, Any]], what: str, names: tuple[str, ...]) -> dict[str, float]:
    """The coefficients, at least 0, with the least squared relative error."""
    matrix = np.array([[terms_of(row)[name] for name in names] for row in rows])
    measured = np.array([row[what] for row in rows], dtype=float)
    # Columns of like size, else nnls mistakes the large coefficients for none.
    scale = np.maximum((matrix / measured[:, None]).max(axis=0), 1e-300)
    found, _ = nnls(matrix / measured[:, None] / scale, np.ones(len(rows)))
    return {name: float(f"{value:.6g}") for name, value in zip(names, found / scale, strict=True) if value > 0}


def kept_of(coefficients: dict[str, float]) -> dict[str, float]:
    """Those of the estimate: every job has a parent that has rehearsed everything, and compiles nothing."""
    kept = {name: value for name, value in coefficients.items() if name not in (MORE_IN_PARENT, COMPILING)}
    return kept | {"constant": kept["constant"] + coefficients.get(MORE_IN_PARENT, 0.0)}


def predict(coefficients: dict[str, float], row: dict[str, Any]) -> float:
    of = terms_of(row)
    return sum(value * of[name] for name, value in coefficients.items())


def left_out(rows: list[dict[str, Any]], what: str, names: tuple[str, ...]) -> np.ndarray:
    """For each run, measured by predicted from the others."""
    ratios = []
    for number, row in enumerate(rows):
        others = rows[:number] + rows[number + 1 :]
        ratios.append(row[what] / predict(fit_one(others, what, names), row))
    return np.array(ratios)


_WHAT = (
    ("memory", "memory_bytes", (*MEMORY, MORE_IN_PARENT)),
    ("seconds", "cpu_seconds", (*SECONDS, COMPILING)),
)


def fit(path: Path) -> None:
    """Fit the runs of the file, print the errors, and write the coefficients to the file."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    kept["fit"] = {}
    print(f"{'measured by predicted, left out':38}{'runs':>6}{'least':>8}{'median':>8}{'largest':>9}{'margin':>8}")
    for analysis_type in ANALYSIS_TYPES:
        rows = [row for row in kept["runs"] if row["type"] == analysis_type]
        kept["fit"][analysis_type] = {}
        for label, what, names in _WHAT:
            ratios = left_out(rows, what, names)
            errors = {"least": ratios.min(), "median": np.median(ratios), "largest": ratios.max()}
            margin = max(SMALLEST_MARGIN, float(ratios.max())) if label == "memory" else 1.0
            kept["fit"][analysis_type][label] = {
                "coefficients": kept_of(fit_one(rows, what, names)),
                "margin": round(margin + 0.005, 2) if label == "memory" else 1.0,
                "left_out": {name: round(float(value), 3) for name, value in errors.items()},
            }
            print(
                f"{analysis_type + ', ' + label:38}{len(rows):6}{errors['least']:8.2f}{errors['median']:8.2f}"
                f"{errors['largest']:9.2f}{margin:8.2f}"
            )
    path.write_text(_text(kept), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="The measured runs behind the estimate of an analysis, and the fit.")
    parser.add_argument("verb", choices=["measure", "fit", "serve"])
    parser.add_argument("--file", type=Path, default=RUNS, help="default: heartmap_service/estimate_runs.json")
    arguments = parser.parse_args()
    if arguments.verb == "serve":
        serve()
        return 0
    if arguments.verb == "measure":
        measure(arguments.file)
    fit(arguments.file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
