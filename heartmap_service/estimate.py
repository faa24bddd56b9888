"""What an analysis will need, before it runs: memory, time and money, from the sizes of its data set. No heavy import.

The need is a sum of a few terms, each a size of the data set times a coefficient that is never negative: what grows can only need
more. The coefficients were fitted on measured runs (benchmarks/estimate_runs.py) and are kept with these in estimate_runs.json.
Memory is address space, which is what limits a job, and comes with a margin over what was measured. Seconds are CPU seconds of
the processor named there: without the download of the data set, the upload of the results and any wait.
"""

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from heartmap_service.catalogue import MIN_CELLS, PIPELINES, AnalysisType

RUNS = Path(__file__).with_name("estimate_runs.json")

MIB = 1024 * 1024
GIB = 1024 * MIB

VCPU_HOUR_USD = 0.03238
GB_HOUR_USD = 0.00356
"""List prices of Fargate, Linux on ARM, in us-east-1, of November 2026: https://aws.amazon.com/fargate/pricing/. They are
those of posture/prices.yaml, and a test compares them. The worker's disk is not in it, and adds 3 % at most."""

EXACT_NEIGHBOURS = 8192
"""Cells from which scanpy searches neighbours by approximation. Below, it holds the distances of all pairs."""
LONG_LAYOUT, LONG_EPOCHS, SHORT_EPOCHS = 10_000, 500, 200
"""UMAP lays out up to so many cells in 500 rounds, more in 200: more cells are never said to take less."""
SPARSE_VALUE, DENSE_VALUE = 8, 4
"""Bytes of a value in memory: single precision, and where it is sparse its column."""


class Estimate(NamedTuple):
    """``memory_bytes`` is the address space that the job must be allowed, ``usd`` what the worker costs meanwhile."""

    memory_bytes: int
    seconds: int
    usd: float


def terms(analysis_type: AnalysisType, config: Mapping[str, Any], dataset: Mapping[str, Any]) -> dict[str, float]:
    """The sizes on which the need rests, in millions.

    Args:
        config: The fields of PipelineConfig, of which the two subsets matter; one that is missing or None takes everything.
        dataset: scan.Facts as a document. Without ``values`` the matrix is taken to be dense.

    ``kept`` is what is left after the subsets, which HeartMAP takes only once it has read everything. The genes that it keeps
    are the most variable ones, which in a sparse matrix are those with the most values: at worst they hold all of them.
    """
    cells, genes = dataset["cells"], dataset["genes"]
    values, sparse = dataset.get("values", cells * genes), dataset.get("sparse", False)
    if PIPELINES[analysis_type].options:
        kept_cells = min(cells, config.get("max_cells_subset") or cells)
        kept_genes = min(genes, config.get("max_genes_subset") or genes)
    else:
        kept_cells, kept_genes = cells, genes
    of_kept_cells = values * kept_cells / cells if cells else 0.0
    kept_values = min(of_kept_cells, kept_cells * kept_genes) if kept_genes < genes else of_kept_cells
    size = SPARSE_VALUE if sparse else DENSE_VALUE
    return {
        "constant": 1.0,
        "bytes": values * size / 1e6,
        "kept_bytes": kept_values * size / 1e6,
        "cells": cells / 1e6,
        "genes": genes / 1e6,
        "kept_cells": kept_cells / 1e6,
        "kept_pairs": min(kept_cells, EXACT_NEIGHBOURS) ** 2 / 1e6,
        "layout": max(LONG_EPOCHS * min(kept_cells, LONG_LAYOUT), SHORT_EPOCHS * kept_cells) / 1e6,
    }


@cache
def _fit() -> dict[str, dict[str, Any]]:
    return json.loads(RUNS.read_text(encoding="utf-8"))["fit"]


def _sum(of: Mapping[str, float], coefficients: Mapping[str, float]) -> float:
    return sum(coefficient * of[name] for name, coefficient in coefficients.items())


def _surplus(dataset: Mapping[str, Any]) -> int:
    """Bytes that the file holds besides the matrix as it is analysed: wider numbers, obs, layers. At worst they are read once."""
    sizes = dataset.get("values", dataset["cells"] * dataset["genes"]) * (SPARSE_VALUE if dataset.get("sparse") else DENSE_VALUE)
    return max(0, dataset.get("declared_bytes", 0) - sizes)


def needs(analysis_type: AnalysisType, config: Mapping[str, Any], dataset: Mapping[str, Any]) -> tuple[int, int]:
    """Bytes of address space, with the margin, in whole MiB; and CPU seconds. The arguments are those of terms()."""
    of, fit = terms(analysis_type, config, dataset), _fit()[analysis_type]
    memory = fit["memory"]["margin"] * _sum(of, fit["memory"]["coefficients"]) + _surplus(dataset)
    seconds = _sum(of, fit["seconds"]["coefficients"])
    return math.ceil(memory / MIB) * MIB, max(1, math.ceil(seconds))


class Estimator:
    """Estimates for one size of worker.

    Args:
        worker_cpu: CPU units of its task, 1,024 a vCPU.
        worker_memory: Memory of its task in MiB.
    """

    def __init__(self, worker_cpu: int, worker_memory: int) -> None:
        self.usd_an_hour = worker_cpu / 1024 * VCPU_HOUR_USD + worker_memory / 1024 * GB_HOUR_USD

    def of(self, analysis_type: AnalysisType, config: Mapping[str, Any], dataset: Mapping[str, Any]) -> Estimate:
        """The estimate of one analysis. The arguments are those of terms()."""
        memory, seconds = needs(analysis_type, config, dataset)
        return Estimate(memory, seconds, round(seconds / 3600 * self.usd_an_hour, 6))


def most_cells(
    analysis_type: AnalysisType, config: Mapping[str, Any], dataset: Mapping[str, Any], job_memory_bytes: int
) -> int | None:
    """The largest max_cells_subset that fits into the memory. None where there is none that does, or where it does not act."""
    if not PIPELINES[analysis_type].options:
        return None

    def fits(cells: int) -> bool:
        return needs(analysis_type, {**config, "max_cells_subset": cells}, dataset)[0] <= job_memory_bytes

    if not fits(MIN_CELLS):
        return None
    least, too_many = MIN_CELLS, dataset["cells"] + 1
    while too_many - least > 1:
        middle = (least + too_many) // 2
        least, too_many = (middle, too_many) if fits(middle) else (least, middle)
    return least


def refusal(estimate: Estimate, job_memory_bytes: int, advice: str | None = None) -> tuple[str, str] | None:
    """Code and sentences for an analysis that cannot fit; None for one that can. ``advice``: what to change, when it is known."""
    if estimate.memory_bytes <= job_memory_bytes:
        return None
    advice = advice or "Set max_cells_subset or max_genes_subset, or upload fewer cells or genes."
    return "will_not_fit", (
        f"The analysis would need about {estimate.memory_bytes / GIB:.1f} GiB of memory, and one analysis may use "
        f"{job_memory_bytes / GIB:.1f} GiB here. {advice}"
    )


def advice(analysis_type: AnalysisType, config: Mapping[str, Any], dataset: Mapping[str, Any], job_memory_bytes: int) -> str:
    """What to change so that an analysis that cannot fit does: for ``refusal``."""
    cells = most_cells(analysis_type, config, dataset, job_memory_bytes)
    if cells is None:
        return "The data set is too large for it whatever the options: upload fewer cells or genes."
    return f"Set max_cells_subset to {cells} or less, or upload fewer cells or genes."
