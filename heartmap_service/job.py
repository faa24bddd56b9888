"""The child of heartmap_service.sandbox: limits itself, scans the data set and, when it is asked to, runs HeartMAP on it.

``{"task": "scan" | "analysis", "input", "limits", …}`` on standard input; one JSON object a line on standard output. Nothing is
imported before the limits hold that could be made to use memory.
"""

import json
import os
import resource
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn


def _limit(limits: dict[str, int]) -> None:
    for what, most in (
        (resource.RLIMIT_AS, limits["memory"]),
        (resource.RLIMIT_FSIZE, limits["file"]),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    # SIGXCPU at the first, which the parent can tell from an out-of-memory kill at the second.
    resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu"], limits["cpu"] + 5))


class _Reporter:
    """Writes to the parent. Whatever libraries print goes to the log instead."""

    def __init__(self) -> None:
        self._stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def stage(self, stage: str, progress: float) -> None:
        self._write({"stage": stage, "progress": progress})

    def end(self, kind: str, document: dict[str, Any]) -> NoReturn:
        self._write({kind: document})
        # Without the interpreter's clean-up, which can take seconds and fail at the limits.
        os._exit(0)

    def _write(self, event: dict[str, Any]) -> None:
        self._stream.write(json.dumps(event) + "\n")
        self._stream.flush()


def main() -> NoReturn:
    """Runs the task on standard input."""
    task = json.load(sys.stdin)
    _limit(task["limits"])
    report = _Reporter()
    memory = task["limits"]["memory"]
    try:
        _run(task, memory, report)
    except MemoryError:
        from heartmap_service.sandbox import out_of_memory

        failure = out_of_memory(memory)
        report.end("refused", {"code": failure.code, "detail": failure.detail})


def _run(task: dict[str, Any], memory: int, report: _Reporter) -> NoReturn:
    from heartmap_service.scan import Refused, scan

    source = Path(task["input"])
    try:
        report.stage("scanning", 0.02)
        facts = scan(source, memory=memory)
        if task["task"] == "scan":
            report.end("result", {"cells": facts.cells, "genes": facts.genes, "matrix": facts.matrix})
        report.stage("loading", 0.05)
        from heartmap_service.pipelines import run

        summary = run(task["analysis_type"], task["config"], source, facts, Path("out"), report.stage)
    except Refused as refused:
        traceback.print_exc()
        report.end("refused", {"code": refused.code, "detail": refused.detail})
    report.end("result", summary)


if __name__ == "__main__":
    main()
