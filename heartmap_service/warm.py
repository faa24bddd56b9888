"""Warm caches for the jobs to copy: ``python -m heartmap_service.warm DIR``.

HeartMAP's libraries compile 10 s of code with numba at the first run. One comprehensive analysis of the bundled data set, in
the same sandbox as any other, leaves the compiled code; it serves machines with the same processor name, others compile anew.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from heartmap_service import dataset, sandbox
from heartmap_service.configuration import PipelineConfig
from heartmap_service.settings import GIB


def warm(destination: Path) -> None:
    """Makes ``destination``, or replaces it whole once the new caches are complete. Raises sandbox.JobFailed."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=destination.parent, prefix=".warm-") as scratch,
        sandbox.job_directory(Path(scratch)) as directory,
    ):
        dataset.build().write_h5ad(directory.work / "input.h5ad")
        task = {
            "task": "analysis",
            "input": "input.h5ad",
            "analysis_type": "comprehensive",
            "config": PipelineConfig().model_dump(),
        }
        sandbox.run(task, directory, sandbox.Limits(memory=4 * GIB), lambda _stage, _progress: True)
        shutil.rmtree(destination, ignore_errors=True)
        os.rename(directory.cache, destination)


def main(arguments: list[str]) -> int:
    """Warms the caches into the directory given."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m heartmap_service.warm DIR\n")
        return 2
    try:
        warm(Path(arguments[0]))
    except sandbox.JobFailed as failure:
        sys.stderr.write(f"{failure.detail}\n{failure.log}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
