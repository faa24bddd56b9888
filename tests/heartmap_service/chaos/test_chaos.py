"""The API and two workers are killed, stopped and ended at random while every fifth call to AWS fails in one way or another."""

from pathlib import Path

from tests.heartmap_service.chaos.world import run

JOBS = 8


def test_every_job_ends_once_and_nothing_is_left_over(tmp_path: Path) -> None:
    report = run(
        tmp_path,
        kind="quick",
        jobs=JOBS,
        principals=2,
        workers=2,
        seed=7,
        rate=0.2,
        pause=(0.5, 2.0),
        body=b"a data set that nobody opens",
        patience=120,
    )
    assert report.wrong == [], report
    assert sum(report.states.values()) == JOBS
    # It was no fair weather.
    assert sum(report.faults.values()) > 10
    assert sum(report.signals.values()) > 2
