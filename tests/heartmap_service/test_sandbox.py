import contextlib
import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import psutil
import pytest

from heartmap_service import sandbox
from heartmap_service.configuration import PipelineConfig
from heartmap_service.sandbox import JobDirectory, JobFailed, JobStopped, Limits, job_directory, run
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


def child() -> psutil.Process:
    [process] = psutil.Process().children()
    return process


def during_the_job(directory: JobDirectory, look: Callable[[psutil.Process], object]) -> Any:
    """What is seen of the child once it is at work; the job ends there."""
    seen: list[Any] = []

    def keep_going(stage: str, _progress: float) -> bool:
        if stage == "loading":
            seen.append(look(child()))
        return not seen

    with pytest.raises(JobStopped):
        run(ANALYSIS, directory, LIMITS, keep_going)
    return seen[0]


def test_a_scan_gives_its_facts(directory: JobDirectory) -> None:
    result = run({"task": "scan", "input": "input.h5ad"}, directory, LIMITS, lambda *_: True)
    assert result == {"cells": 200, "genes": 500, "matrix": "X"}


def test_a_refusal_of_the_scan_is_the_jobs(directory: JobDirectory) -> None:
    (directory.work / "input.h5ad").write_text("no HDF5")
    with pytest.raises(JobFailed) as failed:
        run({"task": "scan", "input": "input.h5ad"}, directory, LIMITS, lambda *_: True)
    assert failed.value.code == "not_hdf5"


def test_nothing_of_the_workers_environment_reaches_the_job(directory: JobDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret")
    monkeypatch.setenv("HEARTMAP_QUEUE_URL", "secret")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/secret")
    environment = during_the_job(directory, lambda process: process.environ())
    assert not [name for name in environment if name.startswith(("AWS", "HEARTMAP"))]
    assert "secret" not in str(environment)
    for name in ("HOME", "TMPDIR", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "HDF5_PLUGIN_PATH"):
        assert Path(environment[name]).is_relative_to(directory.root)


def test_the_limits_hold_in_the_job(directory: JobDirectory) -> None:
    def limits(process: psutil.Process) -> dict[str, tuple[int, int]]:
        names = ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_CORE", "RLIMIT_NOFILE")
        return {name: process.rlimit(getattr(resource, name)) for name in names}

    seen = during_the_job(directory, limits)
    assert seen == {
        "RLIMIT_AS": (4 * GIB, 4 * GIB),
        "RLIMIT_CPU": (3600, 3605),
        "RLIMIT_FSIZE": (16 * GIB, 16 * GIB),
        "RLIMIT_CORE": (0, 0),
        "RLIMIT_NOFILE": (256, 256),
    }


def test_a_stopped_job_leaves_no_process(directory: JobDirectory) -> None:
    pid, session = during_the_job(directory, lambda process: (process.pid, os.getsid(process.pid)))
    assert session == pid
    assert not psutil.pid_exists(pid)
    assert psutil.Process().children() == []


def test_more_memory_than_allowed_is_a_named_failure_with_the_figure(directory: JobDirectory) -> None:
    random = np.random.default_rng(0)
    counts = np.tile(random.poisson(1.0, (250, 1000)).astype(np.float32), (50, 1))
    anndata.AnnData(counts).write_h5ad(directory.work / "input.h5ad", compression="gzip")
    with pytest.raises(JobFailed) as failed:
        run(ANALYSIS, directory, Limits(memory=1150 * MIB), lambda *_: True)
    assert failed.value.code == "out_of_memory"
    assert "1.1 GiB" in failed.value.detail


def test_a_decompression_bomb_is_refused_before_it_is_read(directory: JobDirectory) -> None:
    with h5py.File(directory.work / "input.h5ad", "r+") as file:
        file.create_dataset("uns/bomb", shape=(12 * GIB,), dtype="u1", chunks=(MIB,), compression="gzip")
    with pytest.raises(JobFailed) as failed:
        run({"task": "scan", "input": "input.h5ad"}, directory, LIMITS, lambda *_: True)
    assert failed.value.code == "too_large"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGKILL, "out_of_memory"),
        (signal.SIGXCPU, "out_of_time"),
        (signal.SIGSEGV, "crashed"),
        (signal.SIGABRT, "crashed"),
    ],
)
def test_a_job_that_is_killed_is_named_by_how(directory: JobDirectory, number: signal.Signals, code: str) -> None:
    def keep_going(stage: str, _progress: float) -> bool:
        if stage == "loading":
            with contextlib.suppress(ValueError, psutil.NoSuchProcess):
                child().send_signal(number)
        return True

    with pytest.raises(JobFailed) as failed:
        run(ANALYSIS, directory, LIMITS, keep_going)
    assert failed.value.code == code


def test_a_job_that_takes_too_long_is_ended(directory: JobDirectory) -> None:
    with pytest.raises(JobFailed) as failed:
        run(ANALYSIS, directory, Limits(memory=4 * GIB, wall=0), lambda *_: True)
    assert failed.value.code == "out_of_time"
    assert psutil.Process().children() == []


def test_an_error_in_a_library_says_nothing_of_it(directory: JobDirectory) -> None:
    broken = {**ANALYSIS, "config": {**PipelineConfig().model_dump(), "random_seed": "/etc/passwd"}}
    with pytest.raises(JobFailed) as failed:
        run(broken, directory, LIMITS, lambda *_: True)
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
        b'{"refused": {"code": "x"}}',
        b'{"refused": {"code": "<script>", "detail": "x"}}',
        b'{"stage": "loading", "progress": 2.0}',
        b'{"stage": "../../etc", "progress": 0.5}',
        b"[" * 100_000,
    ],
    ids=range(9),
)
def test_a_line_of_another_shape_is_no_event(line: bytes) -> None:
    assert sandbox._event(line) == {}


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
