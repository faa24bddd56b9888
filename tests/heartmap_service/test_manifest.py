import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from heartmap_service import manifest
from heartmap_service.records import Analysis
from heartmap_service.storage import Downloaded, StoredFile

ANALYSIS = Analysis(
    analysis_id="01J0000000000000000000000A",
    upload_id="01J0000000000000000000000B",
    owner="someone",
    visibility="private",
    analysis_type="basic",
    options={"resolution": 0.7},
    config_version=3,
    config={"resolution": 0.7, "random_seed": 42},
    state="running",
    created_at="2026-01-01T00:00:00.000Z",
    request_id="request-1",
    attempt=1,
    started_at="2026-01-01T00:00:01.000Z",
)
DATASET = Downloaded(1234, "ab" * 32)
SUMMARY: dict[str, Any] = {"versions": {"heartmap": "2.0.2", "python": "3.11.9"}}
FILES = [StoredFile("summary.json", 2, "cd" * 32), StoredFile("cells.csv", 1, "ef" * 32)]


def build(analysis: Analysis = ANALYSIS, files: list[StoredFile] = FILES) -> bytes:
    return manifest.build(analysis, dataset=DATASET, summary=SUMMARY, files=files)


def test_it_says_what_went_in_what_ran_and_what_came_out() -> None:
    document = json.loads(build())
    assert document["schema"] == 1
    assert document["reproducible"] == {
        "analysis_type": "basic",
        "options": {"resolution": 0.7},
        "config": {"resolution": 0.7, "random_seed": 42},
        "random_seed": 42,
        "input": {"bytes": 1234, "sha256": "ab" * 32},
        "versions": {"heartmap": "2.0.2", "python": "3.11.9", "service": manifest.SERVICE_VERSION},
        "files": [
            {"name": "cells.csv", "bytes": 1, "sha256": "ef" * 32},
            {"name": "summary.json", "bytes": 2, "sha256": "cd" * 32},
        ],
    }
    assert document["run"]["analysis_id"] == ANALYSIS.analysis_id
    assert document["run"]["started_at"] == ANALYSIS.started_at
    assert document["run"]["finished_at"] >= ANALYSIS.started_at
    assert ANALYSIS.owner not in json.dumps(document)


def test_two_runs_of_the_same_differ_in_the_run_alone() -> None:
    again = replace(ANALYSIS, analysis_id="01J0000000000000000000000C", attempt=2, request_id="request-2", config_version=4)
    one, two = json.loads(build()), json.loads(build(again, files=FILES[::-1]))
    assert one["reproducible"] == two["reproducible"]
    assert one["run"] != two["run"]


def test_the_text_is_canonical() -> None:
    text = build(replace(ANALYSIS, finished_at="2026-01-01T00:00:02.000Z", options={"b": "é", "a": 1}))
    assert text == build(replace(ANALYSIS, finished_at="2026-01-01T00:00:02.000Z", options={"a": 1, "b": "é"}))
    assert b", " not in text
    assert text.endswith(b"}\n")
    assert "é".encode() in text


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == manifest.SERVICE_VERSION
