"""Secrets in the files of the repository, by detect-secrets: those that .secrets.baseline does not know.

The baseline has the plugins, what is left out, and what was looked at and is none: examples of documents, vectors of tests. To
write it anew after looking at what is new: `make secrets`.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from posture.plan import ROOT
from posture.scanners.checkov import ScanError
from posture.scanners.results import Failure
from posture.supply import programs

BASELINE = ROOT / ".secrets.baseline"


def findings(files: Iterable[str]) -> list[Failure]:
    """The kind of secret and the file, for each that is new. Raises ScanError when the files were not looked at."""
    with tempfile.TemporaryDirectory() as directory:
        # A copy: the program writes into the one that it is given.
        baseline = Path(shutil.copy(BASELINE, directory))
        done = programs.run("detect-secrets-hook", "--json", "--baseline", str(baseline), *files)
    if done.returncode == 0:
        return []
    try:
        told = json.loads(done.stdout)["results"]
    except (ValueError, KeyError):
        raise ScanError(f"detect-secrets gave no report: {done.stderr[-1000:]}") from None
    return sorted({Failure(one["type"], file) for file, found in told.items() for one in found})


def files() -> list[str]:
    """What git tracks, or would once it is added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
