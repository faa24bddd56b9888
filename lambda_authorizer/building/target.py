"""Where a package runs, and the error when it cannot be built."""

import sys
from typing import NamedTuple


class PackageError(Exception):
    """The package could not be built. The text says why and what to do."""


class InterpreterMissing(PackageError):
    """The interpreter that compiles for the target is not to be had."""


class Target(NamedTuple):
    """Where the package runs.

    ``python_version`` is ``major.minor``; ``platform`` a wheel's platform tag (PEP 600), or None for the machine that builds it.
    """

    python_version: str
    platform: str | None

    @classmethod
    def host(cls) -> "Target":
        """The machine and the interpreter that build it."""
        return cls(f"{sys.version_info.major}.{sys.version_info.minor}", None)
