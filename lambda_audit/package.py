"""The deployment package. Not part of the package itself."""

from pathlib import Path

from lambda_api import package
from lambda_authorizer.building.target import Target

# What is imported and no more: the authorizer's dependency stays out.
MODULES = {
    "lambda_audit": ("__init__", "audit", "config", "handler", "lines", "queries", "seals", "search", "sources"),
    "lambda_sealing": ("__init__", "chains", "seals", "store"),
    "lambda_api": ("__init__", "admission", "answering", "answers", "audit", "config", "members", "requests"),
    "lambda_authorizer": (
        *("__init__", "access_policy", "assertion", "audit_chain", "audit_fields", "aws", "bounded_http"),
        *("encoding", "environment", "events", "peppers", "problems", "reasons", "secret_store", "signature"),
    ),
}


def build(destination_dir: Path, *, target: Target) -> Path:
    """Write the package into ``destination_dir`` and return its path. Raises PackageError."""
    return package.build(destination_dir, "audit", MODULES, target=target)
