"""The deployment package. Not part of the package itself. The AWS SDK is not in it: Lambda's own runtime has it."""

from pathlib import Path

from lambda_api import package
from lambda_authorizer.building.target import Target

MODULES = {
    "lambda_sealing": (
        *("__init__", "chains", "config", "examination", "habits", "handler", "reading", "sealer", "seals"),
        *("signing", "store"),
    ),
    "lambda_authorizer": ("__init__", "audit_chain", "audit_fields", "environment", "reasons"),
}


def build(destination_dir: Path, *, target: Target) -> Path:
    """Write the package into ``destination_dir`` and return its path. Raises PackageError."""
    return package.build(destination_dir, "sealing", MODULES, target=target)
