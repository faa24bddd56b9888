"""100 analyses by 5 principals while the API and the workers are killed, ended and stopped at random and calls to AWS fail, slow
down, repeat or are carried out without an answer. In the end each has succeeded or properly failed, once, and nothing is left.

    python benchmarks/bench_chaos.py [seed]

With HEARTMAP_CHAOS_PIPELINE=real each job is HeartMAP's basic pipeline in the sandbox, which takes about a quarter of an hour;
else a child that sleeps for a moment.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from heartmap_service.warm import warm
from tests.heartmap_service.chaos.world import run
from tests.heartmap_service.conftest import synthetic

JOBS = 100
PRINCIPALS = 5
WORKERS = 3
RATE = 0.15


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    # The emulated AWS takes any words.
    os.environ |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    real = os.environ.get("HEARTMAP_CHAOS_PIPELINE") == "real"
    with tempfile.TemporaryDirectory(prefix="heartmap-chaos-") as directory:
        root = Path(directory)
        settings: dict[str, Any] = {"kind": "quick", "pause": (0.5, 3.0), "body": b"not opened", "patience": 900.0}
        if real:
            warm(root / "caches")
            synthetic().write_h5ad(root / "cells.h5ad")
            body = (root / "cells.h5ad").read_bytes()
            settings = {"kind": "real", "pause": (15, 60), "body": body, "patience": 3600.0, "caches": root / "caches"}
        (root / "world").mkdir()
        report = run(root / "world", jobs=JOBS, principals=PRINCIPALS, workers=WORKERS, seed=seed, rate=RATE, **settings)
    print(f"chaos, seed {seed}: {JOBS} jobs in {report.seconds:.0f} s, {report.attempts} attempts: {report.states}")
    print(f"signals {report.signals}, faults of AWS {report.faults}")
    print(f"lost, twice, left over or wrongly counted: {len(report.wrong)}")
    if report.wrong:
        sys.exit("\n".join(report.wrong))


if __name__ == "__main__":
    main()
