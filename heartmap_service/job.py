"""What runs in a job's process once it is confined: scans the data set and, when it is asked to, runs HeartMAP on it.

The task is ``{"task": "scan" | "analysis", "input", …}``; the worker reads one JSON object a line: that the job is confined,
progress, then how it ended.
"""

import contextlib
import dataclasses
import json
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

CONFINED = {"confined": True}

Refusal = Callable[[str, dict[str, Any], dict[str, Any], int], tuple[str, str] | None]
"""Analysis type, configuration, scan.Facts as a document, bytes of memory; the code and the sentence when that cannot fit."""


class _Reporter:
    """Writes to the worker."""

    def __init__(self, events: int) -> None:
        self._stream = os.fdopen(events, "w", encoding="utf-8")
        self._write(CONFINED)

    def stage(self, stage: str, progress: float) -> None:
        self._write({"stage": stage, "progress": progress})

    def end(self, kind: str, document: dict[str, Any]) -> NoReturn:
        self._write({kind: document})
        # Without the interpreter's clean-up, which can take seconds and fail at the limits.
        os._exit(0)

    def _write(self, event: dict[str, Any]) -> None:
        self._stream.write(json.dumps(event) + "\n")
        self._stream.flush()


def run(task: dict[str, Any], memory: int, events: int) -> NoReturn:
    """Runs the task to its end, and ends the process.

    Args:
        task: as sandbox.Sandbox.run takes it.
        memory: bytes of address space that this process may have.
        events: the pipe to the worker.
    """
    report = _Reporter(events)
    try:
        _run(task, memory, report, _cannot_fit)
    except MemoryError:
        with contextlib.suppress(MemoryError):
            traceback.print_exc()
        report.end("out_of_memory", {})


def _run(task: dict[str, Any], memory: int, report: _Reporter, refusal: Refusal) -> NoReturn:
    from heartmap_service.scan import Refused, scan

    source = Path(task["input"])
    try:
        report.stage("scanning", 0.02)
        facts = scan(source, memory=memory)
        document = dataclasses.asdict(facts)
        if task["task"] == "scan":
            report.end("result", document)
        if cannot_fit := refusal(task["analysis_type"], task["config"], document, memory):
            report.end("refused", dict(zip(("code", "detail"), cannot_fit, strict=True)))
        report.stage("loading", 0.05)
        from heartmap_service.pipelines import run as run_pipeline

        summary = run_pipeline(task["analysis_type"], task["config"], source, facts, Path("out"), report.stage)
    except Refused as refused:
        traceback.print_exc()
        report.end("refused", {"code": refused.code, "detail": refused.detail})
    report.end("result", summary)


def _cannot_fit(analysis_type: str, config: dict[str, Any], facts: dict[str, Any], memory: int) -> tuple[str, str] | None:
    from heartmap_service import estimate

    needed, seconds = estimate.needs(analysis_type, config, facts)  # pyright: ignore[reportArgumentType]
    advice = estimate.advice(analysis_type, config, facts, memory)  # pyright: ignore[reportArgumentType]  # checked by the API
    return estimate.refusal(estimate.Estimate(needed, seconds, 0.0), memory, advice)
