"""Puts a rendering into a directory, and nothing of anybody else's out of it.

A manifest beside the files says what was written. What is not in it, or was changed since, is not replaced unless that is asked
for.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from gateways.model import GatewayError

MANIFEST = ".heartmap-gateway.json"


def write(directory: Path, files: Mapping[str, str], *, force: bool) -> list[Path]:
    """Writes all, or nothing: the files' paths. Raises GatewayError for a file that is not as it was written here, OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    before = _manifest(directory)
    foreign = [name for name in files if not force and _is_foreign(directory / name, before.get(name))]
    if foreign:
        what = "was not written by this command, or was changed since"
        raise GatewayError(f"{directory / foreign[0]} {what}: move it away, or say --force.")
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8", newline="\n")
    digests = before | {name: _digest(text.encode()) for name, text in files.items()}
    (directory / MANIFEST).write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return [directory / name for name in files]


def _manifest(directory: Path) -> dict[str, str]:
    try:
        found = json.loads((directory / MANIFEST).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_foreign(file: Path, digest: str | None) -> bool:
    return file.is_symlink() or (file.exists() and (not file.is_file() or _digest(file.read_bytes()) != digest))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
