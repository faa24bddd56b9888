"""A worker for the chaos tests, in a process of its own: production's, but with shorter times, and, with the argument ``quick``,
with a child that takes a moment instead of HeartMAP."""

import signal
import subprocess
import sys
import threading
import time
from typing import Any

from heartmap_service import queue
from heartmap_service.clients import connect
from heartmap_service.log import configure
from heartmap_service.sandbox import JobDirectory, JobStopped, KeepGoing, Limits, Sandbox
from heartmap_service.settings import WorkerSettings, load
from heartmap_service.timing import Timing
from heartmap_service.worker import Worker
from tests.heartmap_service.jobs import FACTS

VISIBILITY = 5
TIMES: dict[str, dict[str, Any]] = {
    "quick": {"lease": 3.0, "heartbeat": 0.4, "visibility": VISIBILITY, "renewal": 1.5, "token_patience": 6.0},
    # HeartMAP keeps both cores of a small machine busy, and a beat may come late.
    "real": {"lease": 12.0, "heartbeat": 1.0, "visibility": 15, "renewal": 4.0, "token_patience": 15.0},
}


class QuickSandbox(Sandbox):
    """A child that sleeps, and then two files with what the task was."""

    def start(self) -> None:
        """There is nothing to load."""

    def run(self, task: dict[str, Any], directory: JobDirectory, limits: Limits, keep_going: KeepGoing) -> dict[str, Any]:
        with subprocess.Popen(["sleep", "0.6"], cwd=directory.work) as child:
            try:
                while child.poll() is None:
                    if not keep_going("clustering", 0.5):
                        raise JobStopped
                    time.sleep(0.05)
            finally:
                child.kill()
        if task["task"] == "scan":
            return dict(FACTS)
        for name in ("cells.csv", "cluster_sizes.csv"):
            (directory.out / name).write_text(f"{name} {task['analysis_type']}\n")
        return {"cells": FACTS["cells"]}


def main() -> None:
    kind = sys.argv[1]
    settings = load(WorkerSettings)
    configure("worker", settings.log_level)
    queue.LONG_POLL = 1
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    worker = Worker(settings, connect(settings), stop, Timing(retry_delay=1, token_wait=1, pause=0.3, **TIMES[kind]))
    if kind == "quick":
        object.__setattr__(worker._bench, "sandbox", QuickSandbox(settings.scratch_dir, None))
    worker.run()


if __name__ == "__main__":
    main()
