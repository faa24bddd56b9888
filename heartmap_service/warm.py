"""Warm caches for the parents of jobs to start from: ``python -m heartmap_service.warm DIR``.

HeartMAP's libraries compile 10 s of code with numba at the first run. A rehearsal (rehearsal.py), with the environment of any
other job, leaves the compiled code; it serves machines with the same processor name, others compile anew.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from heartmap_service import sandbox
from heartmap_service.confinement import environment

_REHEARSAL = "from heartmap_service.rehearsal import rehearse, rehearse_large; rehearse()"
_LARGE = "; rehearse_large()"


class NotWarmed(Exception):
    """The rehearsal failed. The text is its last words, for the log."""


def warm(destination: Path, *, large: bool = False) -> None:
    """Makes ``destination``, or replaces it whole once the new caches are complete. Raises NotWarmed.

    ``large``: with what only large data sets need.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=destination.parent, prefix=".warm-") as scratch,
        sandbox.job_directory(Path(scratch)) as directory,
    ):
        done = subprocess.run(
            [sys.executable, "-c", _REHEARSAL + (_LARGE if large else "")],
            cwd=directory.work,
            env=environment(directory.root),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode != 0:
            raise NotWarmed(done.stdout.decode("utf-8", "replace")[-4096:])
        shutil.rmtree(destination, ignore_errors=True)
        os.rename(directory.cache, destination)


def main(arguments: list[str]) -> int:
    """Warms the caches into the directory given."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m heartmap_service.warm DIR\n")
        return 2
    try:
        warm(Path(arguments[0]), large=True)
    except NotWarmed as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
