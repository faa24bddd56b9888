"""Runs the programs that judge what the project is made of, in an environment of their own (posture/scanners/supply.in)."""

import os
import subprocess
from collections.abc import Mapping

from posture.plan import ROOT
from posture.scanners.checkov import ScanError

DIRECTORY = ROOT / ".tools" / "scanners" / "supply" / "bin"
SECONDS = 900


def run(name: str, *arguments: str, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run one of them in the root of the repository, whatever its exit code. Raises ScanError where it is not installed."""
    program = DIRECTORY / name
    if not program.exists():
        raise ScanError(f"{name} is not installed. Run: make {(DIRECTORY.parent / '.installed').relative_to(ROOT)}")
    return subprocess.run(
        [program, *arguments],
        cwd=ROOT,
        env=os.environ | dict(variables or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
