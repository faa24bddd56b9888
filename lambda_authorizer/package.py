"""Deployment packages: files in a zip, and the authorizer's modules, their one dependency and the user pool's key set in one.

The same files give the same bytes, whoever builds it and whenever, so an unchanged function is not deployed again. Not part of a
package itself.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lambda_authorizer.building import bytecode, materials
from lambda_authorizer.building.target import InterpreterMissing, PackageError, Target

_SOURCES = Path(__file__).resolve().parent
_REQUIREMENTS = _SOURCES / "requirements.txt"
_CACHE = _SOURCES.parent / ".tools" / "authorizer"

# MS-DOS time, which a zip stores, begins here.
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644
_UNIX = 3

# Installed with cryptography, but not imported by it: cffi but for its C backend, type stubs, the installer's own notes (which
# differ between installers).
_LEFT_OUT = re.compile(
    r"(bin|pycparser|cffi|pycparser-[^/]*|.*/__pycache__)/.*"
    r"|.*\.(pyi|pyc)|.*/py\.typed|\.lock"
    r"|[^/]*\.dist-info/(INSTALLER|RECORD|REQUESTED|direct_url\.json|uv_cache\.json)"
)


def build(destination_dir: Path, *, key_set: bytes, target: Target) -> Path:
    """Write the authorizer's package into ``destination_dir``, named as ``archive`` does, and return its path.

    ``key_set`` is the JWKS document of the user pool, stored beside the handler. Beside the zip are its bill of materials and its
    licences, as ``materials.write`` names them. Raises PackageError.
    """
    contents = dict(_files(_dependencies(target)))
    contents |= modules(_SOURCES, (path.stem for path in _SOURCES.glob("*.py") if path != Path(__file__).resolve()))
    contents["lambda_authorizer/jwks.json"] = key_set
    package = archive(destination_dir, "authorizer", contents, target=target)
    materials.write(package, "authorizer", contents, _REQUIREMENTS.read_text(encoding="utf-8"))
    return package


def modules(package: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Modules of a package in this folder, by their path in a zip."""
    return {f"{package.name}/{name}.py": (package / f"{name}.py").read_bytes() for name in names}


def archive(destination_dir: Path, name: str, contents: Mapping[str, bytes], *, target: Target) -> Path:
    """Write ``<name>-<sha256 of its bytes>.zip`` with these files into ``destination_dir`` and return its path.

    The modules' bytecode for the target is beside them. Where the interpreter that makes it is not to be had there is a
    warning instead: the function works without. Raises PackageError.
    """
    try:
        contents = {**contents, **bytecode.of(contents, target)}
    except InterpreterMissing as missing:
        warnings.warn(f"The package {name!r} has no bytecode and starts slower. {missing}", stacklevel=2)
    destination_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination_dir) as scratch:
        unnamed = Path(scratch) / f"{name}.zip"
        # Stored, not deflated: the bytes that zlib makes depend on its version. Lambda's own limit counts the unpacked size.
        with zipfile.ZipFile(unnamed, "w", zipfile.ZIP_STORED) as zipped:
            for path in sorted(contents):
                entry = zipfile.ZipInfo(path, _TIMESTAMP)
                entry.external_attr = _MODE << 16
                entry.create_system = _UNIX
                zipped.writestr(entry, contents[path])
        digest = hashlib.sha256(unnamed.read_bytes()).hexdigest()
        return unnamed.replace(destination_dir / f"{name}-{digest}.zip")


def _files(root: Path) -> Iterator[tuple[str, bytes]]:
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not _LEFT_OUT.fullmatch(name):
            yield name, path.read_bytes()


def _dependencies(target: Target) -> Path:
    """The folder with the target's dependencies, installed once for each set of pins."""
    pins = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()[:16]
    folder = _CACHE / f"{target.python_version}-{target.platform or sysconfig.get_platform()}-{pins}"
    if folder.is_dir():
        return folder
    _CACHE.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=_CACHE))
    try:
        _install(scratch, target)
        # A rename is atomic: a build beside this one sees the whole folder or none.
        scratch.replace(folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _install(folder: Path, target: Target) -> None:
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(folder)]
    command += ["--python-version", target.python_version, "--only-binary", ":all:", "--require-hashes", "--no-deps"]
    command += ["--no-compile-bytecode", "--requirements", str(_REQUIREMENTS)]
    if target.platform is not None:
        command += ["--python-platform", _uv_platform(target.platform)]
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PackageError(
            f"The authorizer's dependencies could not be installed for Python {target.python_version} on "
            f"{target.platform or 'this machine'}: check that the package registry can be reached, then try again. uv said:\n"
            + done.stderr.strip()
        )


def _uv_platform(platform: str) -> str:
    """A wheel's platform tag, ``manylinux_2_28_aarch64``, as uv spells it, ``aarch64-manylinux_2_28``."""
    match = re.fullmatch(r"(manylinux_\d+_\d+)_(x86_64|aarch64)", platform)
    if match is None:
        raise PackageError(f"Unknown platform {platform!r}: give a wheel's platform tag such as manylinux_2_28_aarch64.")
    return f"{match[2]}-{match[1]}"
