import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse

from heartmap_service import job, sandbox
from heartmap_service.configuration import PipelineConfig
from heartmap_service.sandbox import JobDirectory, JobFailed, Limits, Sandbox, job_directory
from heartmap_service.scan import scan
from heartmap_service.settings import GIB, MIB

LIMITS = Limits(memory=4 * GIB)
ANALYSIS = {"task": "analysis", "input": "input.h5ad", "analysis_type": "basic", "config": PipelineConfig().model_dump()}


@pytest.fixture
def directory(tmp_path: Path, small: Path) -> Iterator[JobDirectory]:
    with job_directory(tmp_path) as directory:
        shutil.copy(small, directory.work / "input.h5ad")
        yield directory


@pytest.fixture(autouse=True)
def quick_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "TICK", 0.01)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory, caches: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("jobs"), caches, large=False) as sandbox:
        yield sandbox


def run(jobs: Sandbox, task: dict[str, Any], directory: JobDirectory, limits: Limits = LIMITS) -> dict[str, Any]:
    return jobs.run(task, directory, limits, lambda *_: True)


def test_a_scan_gives_its_facts(jobs: Sandbox, directory: JobDirectory) -> None:
    expected = dataclasses.asdict(scan(directory.work / "input.h5ad", memory=LIMITS.memory))
    assert run(jobs, {"task": "scan", "input": "input.h5ad"}, directory) == expected


def test_a_refusal_of_the_scan_is_the_jobs(jobs: Sandbox, directory: JobDirectory) -> None:
    (directory.work / "input.h5ad").write_text("no HDF5")
    with pytest.raises(JobFailed) as failed:
        run(jobs, {"task": "scan", "input": "input.h5ad"}, directory)
    assert failed.value.code == "not_hdf5"


def test_an_analysis_that_the_estimate_refuses_does_not_begin(jobs: Sandbox, directory: JobDirectory) -> None:
    random = np.random.default_rng(0)
    counts = np.tile(random.poisson(1.0, (250, 1000)).astype(np.float32), (50, 1))
    anndata.AnnData(counts).write_h5ad(directory.work / "input.h5ad", compression="gzip")
    stages: set[str] = set()
    with pytest.raises(JobFailed) as failed:
        jobs.run(ANALYSIS, directory, Limits(memory=1500 * MIB), lambda stage, _: bool(stages.add(stage) or True))
    assert failed.value.code == "will_not_fit"
    assert "1.5 GiB" in failed.value.detail
    assert "loading" not in stages


def test_a_decompression_bomb_is_refused_before_it_is_read(jobs: Sandbox, directory: JobDirectory) -> None:
    with h5py.File(directory.work / "input.h5ad", "r+") as file:
        file.create_dataset("uns/bomb", shape=(12 * GIB,), dtype="u1", chunks=(MIB,), compression="gzip")
    with pytest.raises(JobFailed) as failed:
        run(jobs, {"task": "scan", "input": "input.h5ad"}, directory)
    assert failed.value.code == "too_large"


def test_an_error_in_a_library_says_nothing_of_it(jobs: Sandbox, directory: JobDirectory) -> None:
    broken = {**ANALYSIS, "config": {**PipelineConfig().model_dump(), "random_seed": "/etc/passwd"}}
    with pytest.raises(JobFailed) as failed:
        run(jobs, broken, directory)
    assert failed.value.code == "crashed"
    assert "/" not in failed.value.detail
    assert "Traceback" in failed.value.log


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"HeartMAP says hello",
        b"[]",
        b'{"result": 1}',
        b'{"result": {}, "refused": {}}',
        b'{"refused": {"code": "x"}}',
        b'{"refused": {"code": "<script>", "detail": "x"}}',
        b'{"stage": "loading", "progress": 2.0}',
        b'{"stage": "../../etc", "progress": 0.5}',
        b"[" * 100_000,
    ],
    ids=range(10),
)
def test_a_line_of_another_shape_is_no_event(line: bytes) -> None:
    assert sandbox.event(line) == {}


def test_a_directory_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    with job_directory(tmp_path) as directory:
        assert directory.root.stat().st_mode & 0o777 == 0o700
        (directory.work / "left").write_text("behind")
    assert list(tmp_path.iterdir()) == []


def test_a_job_cannot_leave_code_for_the_next_one_in_the_cache(tmp_path: Path) -> None:
    seed = tmp_path / "seed"
    (seed / "numba").mkdir(parents=True)
    (seed / "numba" / "compiled.nbc").write_text("good")
    with job_directory(tmp_path, seed) as directory:
        (directory.cache / "numba" / "compiled.nbc").write_text("evil")
    with job_directory(tmp_path, seed) as directory:
        assert (directory.cache / "numba" / "compiled.nbc").read_text() == "good"


def test_a_sweep_removes_what_the_dead_left_and_spares_the_living(tmp_path: Path) -> None:
    dead = tmp_path / "heartmap-job-dead"
    (dead / "work").mkdir(parents=True)
    (dead / "work" / "input.h5ad").write_text("someone's data")
    (tmp_path / "other").mkdir()
    with job_directory(tmp_path) as living:
        assert sandbox.sweep(tmp_path) == 1
        assert living.work.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_only_regular_files_under_names_of_ours_are_results(directory: JobDirectory) -> None:
    (directory.out / "umap_clusters.png").write_bytes(b"png")
    (directory.out / "secret.csv").symlink_to("/etc/passwd")
    os.mkfifo(directory.out / "pipe.json")
    (directory.out / "folder.png").mkdir()
    (directory.out / "UPPER.PNG").write_bytes(b"")
    (directory.out / "script.sh").write_bytes(b"")
    assert sandbox.results(directory) == [directory.out / "umap_clusters.png"]


def test_a_file_that_has_another_name_elsewhere_is_no_result(directory: JobDirectory, tmp_path: Path) -> None:
    (tmp_path / "someones").write_text("someone's")
    os.link(tmp_path / "someones", directory.out / "cells.csv")
    assert sandbox.results(directory) == []


def test_an_out_directory_that_is_a_link_has_no_results(directory: JobDirectory, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "cells.csv").write_text("someone's")
    directory.out.rmdir()
    directory.out.symlink_to(tmp_path / "elsewhere")
    assert sandbox.results(directory) == []


def test_an_analysis_that_cannot_fit_is_refused_before_it_runs(monkeypatch: pytest.MonkeyPatch, small: Path) -> None:
    monkeypatch.chdir(small.parent)
    said: list[tuple[str, dict[str, Any]]] = []

    class Report(job._Reporter):
        def __init__(self) -> None:
            pass

        def stage(self, stage: str, progress: float) -> None:
            said.append((stage, {}))

        def end(self, kind: str, document: dict[str, Any]) -> NoReturn:
            said.append((kind, document))
            raise SystemExit

    def refusal(_type: str, _config: dict[str, Any], facts: dict[str, Any], memory: int) -> tuple[str, str] | None:
        return "will_not_fit", f"{facts['cells']} cells, {memory} bytes"

    with pytest.raises(SystemExit):
        job._run({**ANALYSIS, "input": small.name}, 4 * GIB, Report(), refusal)
    assert said == [("scanning", {}), ("refused", {"code": "will_not_fit", "detail": f"200 cells, {4 * GIB} bytes"})]


def test_what_the_estimate_refuses_is_the_jobs_refusal(small: Path) -> None:
    facts = {"cells": 2_000_000, "genes": 30_000, "values": 4_000_000_000, "sparse": True}
    refused = job._cannot_fit("comprehensive", PipelineConfig().model_dump(), facts, 4 * GIB)
    assert refused is not None
    assert refused[0] == "will_not_fit"
    assert job._cannot_fit("basic", PipelineConfig().model_dump(), {"cells": 200, "genes": 500}, 4 * GIB) is None


def test_a_data_set_of_which_the_neighbours_are_searched_approximately_is_analysed(jobs: Sandbox, tmp_path: Path) -> None:
    # From 8,192 cells on other libraries do the work, and ask the system for other things.
    random = np.random.default_rng(0)
    counts = scipy.sparse.random(
        8200, 120, density=0.3, rng=random, dtype=np.float32, data_rvs=lambda size: random.integers(1, 5, size)
    )
    data = anndata.AnnData(scipy.sparse.csr_matrix(counts))
    config = PipelineConfig(min_genes=1).model_dump()
    with job_directory(tmp_path) as large:
        data.write_h5ad(large.work / "input.h5ad")
        task = {"task": "analysis", "input": "input.h5ad", "analysis_type": "basic", "config": config}
        assert run(jobs, task, large)["cells"] == 8200
