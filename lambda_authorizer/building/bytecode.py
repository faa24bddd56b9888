"""The .pyc files of a package.

Lambda's code folder is read-only: without them every cold start compiles all that it imports. They are used unchecked (PEP 552),
as the source beside them, which tracebacks show, cannot change.
"""

import base64
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from lambda_authorizer.building import compiler, interpreters
from lambda_authorizer.building.target import PackageError, Target

_PROGRAM = Path(compiler.__file__)
_CACHE = _PROGRAM.parents[2] / ".tools" / "bytecode"


def of(contents: Mapping[str, bytes], target: Target) -> dict[str, bytes]:
    """The .pyc files of the modules among a package's files, by their path in it. Raises PackageError.

    Each is compiled once for each release of the interpreter and kept, under the hash of all that it depends on.
    """
    release = interpreters.release(target)
    kept = {path: _kept(path, source, release) for path, source in contents.items() if path.endswith(".py")}
    missing = [path for path, file in kept.items() if not file.is_file()]
    if missing:
        compiled = _compile({path: contents[path] for path in missing}, interpreters.find(target), release)
        for path, data in compiled.items():
            _write(kept[path], data)
    return {_cached_path(path, target): file.read_bytes() for path, file in kept.items()}


def _cached_path(path: str, target: Target) -> str:
    """Where an interpreter looks for the bytecode of the module at ``path`` (PEP 3147)."""
    module = PurePosixPath(path)
    return str(module.parent / "__pycache__" / f"{module.stem}.cpython-{target.python_version.replace('.', '')}.pyc")


def _kept(path: str, source: bytes, release: str) -> Path:
    key = hashlib.sha256(_PROGRAM.read_bytes())
    for part in (path.encode(), source):
        key.update(b"%d:" % len(part) + part)
    return _CACHE / release / f"{key.hexdigest()}.pyc"


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as scratch:
        scratch.write(data)
    # A rename is atomic: a build beside this one sees the whole file or none.
    Path(scratch.name).replace(file)


def _compile(sources: Mapping[str, bytes], interpreter: str, release: str) -> dict[str, bytes]:
    asked = json.dumps([(path, base64.b64encode(source).decode("ascii")) for path, source in sources.items()])
    # Isolated from this process's variables, from site-packages and from the folder it runs in.
    command = [interpreter, "-I", "-S", "-B", str(_PROGRAM), release]
    done = subprocess.run(command, input=asked, env={}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PackageError(f"The modules could not be compiled with {interpreter}. It said:\n{done.stderr.strip()}")
    return dict(zip(sources, map(base64.b64decode, json.loads(done.stdout)), strict=True))
