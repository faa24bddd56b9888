"""Puts a rendering into a directory and nothing of anybody else's out of it; changes the files that operators keep beside it.

A manifest beside the files says what was written. What is not in it, or was changed since, is not replaced unless that is asked
for.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
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


def read(file: Path) -> str:
    """A file's text, empty where there is none. Raises GatewayError for what is no text, OSError."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise GatewayError(f"{file} is not a text file: name the file that this command wrote, or a new one.") from None


def replace(file: Path, text: str) -> None:
    """Puts a text in a file's place: whoever reads meanwhile sees all of the old one or all of the new one. A new file is its
    owner's alone. Raises GatewayError where the directory is not there, OSError."""
    if not file.parent.is_dir():
        raise GatewayError(f"There is no directory {file.parent} for {file.name}: make it first.")
    handle, new = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        _as_it_was(file, Path(new))
        Path(new).replace(file)
    except BaseException:
        Path(new).unlink(missing_ok=True)
        raise


def _as_it_was(file: Path, new: Path) -> None:
    """Who may read the one, such as a server's user, may read the other."""
    if file.exists():
        shutil.copymode(file, new)
        owner = file.stat()
        # Who is not root may not give a file away, and has none that belongs to others.
        with contextlib.suppress(PermissionError):
            os.chown(new, owner.st_uid, owner.st_gid)


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
