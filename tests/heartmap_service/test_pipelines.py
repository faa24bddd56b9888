"""The pipelines that the worker's tests do not run, and that nothing made up leaves HeartMAP."""

import csv
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest

from heartmap_service import pipelines, sandbox
from heartmap_service.catalogue import PIPELINES
from heartmap_service.configuration import PipelineConfig
from heartmap_service.sandbox import JobFailed, Limits, Sandbox, job_directory
from heartmap_service.settings import GIB

Runner = Callable[..., tuple[dict[str, Any], dict[str, Path]]]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory, caches: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("jobs"), caches, large=False) as sandbox:
        yield sandbox


@pytest.fixture
def run(tmp_path: Path, jobs: Sandbox) -> Runner:
    def start(data: anndata.AnnData, analysis_type: str, **config: Any) -> tuple[dict[str, Any], dict[str, Path]]:
        with job_directory(tmp_path) as directory:
            data.write_h5ad(directory.work / "input.h5ad")
            task = {
                "task": "analysis",
                "input": "input.h5ad",
                "analysis_type": analysis_type,
                "config": PipelineConfig(**config).model_dump(),
            }
            summary = jobs.run(task, directory, Limits(memory=4 * GIB), lambda *_: True)
            kept = tmp_path / analysis_type
            kept.mkdir(exist_ok=True)
            files = {path.name: path.rename(kept / path.name) for path in sandbox.results(directory)}
            assert set(files) <= set(PIPELINES[analysis_type].produces) | {"chamber_composition.csv", "chamber_composition.png"}  # pyright: ignore[reportArgumentType]
            return summary, files

    return start


def test_communication_is_computed_from_expression(run: Runner, make_data: Any) -> None:
    data = make_data()
    data.var_names = ["VEGFA", "FLT1", "KDR", *data.var_names[3:]]
    counts = data.X.toarray()
    counts[:, :3] = 0
    counts[0::3, 0] = 20
    counts[1::3, 1] = 20
    data.X = counts
    data.obs["cell_type"] = data.obs["kind"]
    summary, files = run(data, "advanced_communication")
    rows = list(csv.DictReader(files["communication_scores.csv"].open()))
    assert [(row["source"], row["target"], row["ligand"], row["receptor"]) for row in rows] == [
        ("kind-0", "kind-1", "VEGFA", "FLT1")
    ]
    # sqrt(ligand x receptor) of the normalised, logarithmic means.
    assert 2 < float(rows[0]["communication_score"]) < 8
    assert summary["interactions"] == 1
    assert "communication_pairs.png" in files
    assert "hub_score" not in anndata.read_h5ad(files["annotated.h5ad"]).obs
    assert {item["what"] for item in summary["left_out"]} == {"hub scores", "pathway scores"}


def test_chambers_are_counted_and_nothing_empty_is_drawn(run: Runner, make_data: Any) -> None:
    data = make_data()
    data.obs["chamber"] = np.array(["LV", "LV", "RA", "LA"])[np.arange(200) % 4]
    summary, files = run(data, "multi_chamber")
    assert set(files) == {"annotated.h5ad", "chamber_composition.csv", "chamber_composition.png", "summary.json"}
    assert summary["chambers"][0] == {"chamber": "LV", "cells": 100}
    assert len(summary["chambers"]) == 3


@pytest.mark.parametrize("analysis_type", ["comprehensive", "advanced_communication"])
def test_the_same_input_gives_the_same_files(run: Runner, make_data: Any, analysis_type: str) -> None:
    data = make_data()
    data.obs["chamber"] = np.array(["LV", "RA"])[np.arange(200) % 2]
    digests = []
    for _ in range(2):
        _summary, files = run(data, analysis_type, min_genes=20, max_cells_subset=150, random_seed=7)
        digests.append({name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()})
    assert digests[0] == digests[1]
    assert {"annotated.h5ad", "summary.json"} < set(digests[0])


@pytest.mark.parametrize(("chambers", "code"), [(None, "no_chambers"), ([str(n) for n in range(200)], "too_many_chambers")])
def test_a_data_set_without_usable_chambers_is_refused(
    run: Runner, make_data: Any, chambers: list[str] | None, code: str
) -> None:
    data = make_data()
    if chambers:
        data.obs["chamber"] = chambers
    with pytest.raises(JobFailed) as failed:
        run(data, "multi_chamber")
    assert failed.value.code == code


def test_heartmaps_random_communication_cannot_become_a_result() -> None:
    pipeline = pipelines._Communication(pipelines._config(PipelineConfig().model_dump()))
    with pytest.raises(RuntimeError):
        pipeline._basic_communication_analysis(None, "leiden")


def test_the_configuration_reaches_heartmaps_own_fields() -> None:
    values = {
        "min_genes": 1,
        "min_cells": 2,
        "max_cells_subset": 50,
        "max_genes_subset": 60,
        "target_sum": 7.0,
        "random_seed": 8,
        "resolution": 0.9,
    }
    config = pipelines._config(values)
    assert {**vars(config.data), **vars(config.analysis)} | values == {**vars(config.data), **vars(config.analysis)}
    assert config.paths.processed_data_dir == "intermediate"
