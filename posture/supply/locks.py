"""``python -m posture.supply.locks [--upgrade | --check]``: every requirements file, with hashes, from its .in file (make lock).

A lock file is what its .in file gives: compiled again, with the pins that are there, it does not change. Nothing is imported here
that an installation in pieces could lack.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPILE = ("--quiet", "--generate-hashes", "--universal", "--python-version", "3.11", "--no-emit-index-url")
CALLED = "make lock"
LOCKS: dict[str, str] = {
    "requirements.txt": "",
    "lambda_authorizer/requirements.txt": "requirements.txt",
    "heartmap_service/requirements.txt": "requirements.txt",
    "posture/scanners/checkov.txt": "",
    "posture/scanners/prowler.txt": "",
    "posture/scanners/supply.txt": "",
}
"""The lock files, and the one whose pins hold in each."""
SECONDS = 600
_OUT_OF_REACH = re.compile(r"(?i)error sending request|failed to fetch|dns error|timed out|could not connect|connection")


class OutOfReach(Exception):
    """The package index could not be asked."""


def stale(lock: str) -> bool:
    """Whether compiling a lock file again would change it. Raises OutOfReach, and ValueError."""
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        for name in {*LOCKS, *(name.replace(".txt", ".in") for name in LOCKS)}:
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, scratch / name)
        _compile(scratch, lock, ())
        return (scratch / lock).read_text(encoding="utf-8") != (ROOT / lock).read_text(encoding="utf-8")


def _compile(root: Path, lock: str, more: Sequence[str]) -> None:
    constraint = ("--constraint", LOCKS[lock]) if LOCKS[lock] else ()
    command = [sys.executable, "-m", "uv", "pip", "compile", *COMPILE, "--custom-compile-command", CALLED, *more, *constraint]
    done = subprocess.run(
        [*command, lock.replace(".txt", ".in"), "--output-file", lock],
        cwd=root,
        # A folder of wheels would put its own hashes into the lock.
        env={name: value for name, value in os.environ.items() if name != "PIP_FIND_LINKS"},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    if done.returncode:
        if _OUT_OF_REACH.search(done.stderr):
            raise OutOfReach("the package index could not be asked")
        raise ValueError(f"{lock} cannot be made from its .in file: {done.stderr.strip()[-500:]}")


def main() -> None:
    """Write every lock file anew, with the pins that are there as far as they hold or the newest versions; or check them."""
    more = sys.argv[1:]
    for lock in LOCKS:
        try:
            if more != ["--check"]:
                _compile(ROOT, lock, more)
            elif stale(lock):
                sys.exit(f"{lock} is not what its .in file gives. Run: {CALLED}")
        except (OutOfReach, ValueError) as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
