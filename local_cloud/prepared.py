"""What takes a minute to make and is the same everywhere: the bundled data set, and the caches of HeartMAP's compiled code."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from local_cloud import engine

DATA_SET = "pbmc68k.h5ad"
CACHES = "caches"
SOURCES = ("requirements.txt", "heartmap_service/dataset.py", "heartmap_service/warm.py")


class NotPrepared(Exception):
    """A part could not be made; the message is its program's last words."""


def prepared() -> Path:
    """A directory with the data set and the caches, made once for all environments and tests of this checkout.

    Whoever comes while they are made waits for them. Nothing in it may be changed. Raises NotPrepared.
    """
    version = hashlib.sha256(b"".join((engine.PROJECT / file).read_bytes() for file in SOURCES)).hexdigest()[:16]
    built = engine.PROJECT / ".tools" / "heartmap" / version
    built.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(built.parent.with_suffix(".lock")):
        if not built.exists():
            for older in built.parent.iterdir():
                shutil.rmtree(older)
            making = built.parent / "making"
            making.mkdir()
            for module, made in (("heartmap_service.dataset", DATA_SET), ("heartmap_service.warm", CACHES)):
                _make(module, making / made)
            making.replace(built)
    return built


def _make(module: str, made: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, str(made)], capture_output=True, text=True, check=False, cwd=engine.PROJECT
    )
    if done.returncode != 0:
        raise NotPrepared((done.stdout + done.stderr)[-4096:])
