"""The interpreter that compiles a target's modules.

Bytecode of one minor version runs on every interpreter of it, but the compiler may change from one patch release to the next: so
that a package has the same bytes whoever builds it, AWS's is one exact release, found on this machine or installed by uv.
"""

import os
import subprocess
import sys
from pathlib import Path

from lambda_authorizer.building.target import InterpreterMissing, PackageError, Target

RELEASES = {"3.13": "3.13.0"}
"""The release that compiles for a runtime of Lambda. Another one changes the packages' bytes: every function is deployed anew."""
_INSTALLED = Path(__file__).resolve().parents[2] / ".tools" / "python"


def release(target: Target) -> str:
    """The exact version, ``major.minor.patch``, whose bytecode the target's package holds. Raises PackageError."""
    if target == Target.host():
        return ".".join(map(str, sys.version_info[:3]))
    if target.platform is None or target.python_version not in RELEASES:
        raise PackageError(
            f"No interpreter compiles for Python {target.python_version} on {target.platform or 'this machine'}: "
            f"name its exact release in RELEASES of {Path(__file__).name}, where {', '.join(RELEASES)} has one."
        )
    return RELEASES[target.python_version]


def find(target: Target) -> str:
    """The program that is the interpreter of ``release``. Raises InterpreterMissing, and PackageError."""
    exact = release(target)
    if target == Target.host():
        return sys.executable
    found = _uv("find", "--no-project", "--no-python-downloads", f"cpython@{exact}", exact=exact)
    if found.returncode != 0:
        installed = _uv("install", "--no-bin", f"cpython@{exact}", exact=exact)
        found = _uv("find", "--no-project", "--no-python-downloads", f"cpython@{exact}", exact=exact)
        if found.returncode != 0:
            raise InterpreterMissing(
                f"CPython {exact}, which compiles the package's modules, is not on this machine and could not be installed. "
                f"Let this machine reach the releases that 'uv python install {exact}' downloads, or install exactly that "
                "release yourself, in the PATH or with pyenv; another one may give other bytes. uv said:\n"
                + (installed.stderr or found.stderr).strip()
            )
    return found.stdout.strip()


def _uv(*arguments: str, exact: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-m", "uv", "--no-config", "python", *arguments]
    variables = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "UV_PYTHON"}}
    # pyenv's programs in the PATH are that release only when asked for it by this variable.
    variables |= {"UV_PYTHON_INSTALL_DIR": str(_INSTALLED), "PYENV_VERSION": exact}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
