"""The deployment package. Not part of the package itself."""

from pathlib import Path

from lambda_api import package
from lambda_authorizer.building.target import Target

# What is imported and no more: the authorizer's dependency stays out.
MODULES = {
    "lambda_keys": (
        *("__init__", "answers", "audit", "bodies", "calls", "config", "ed25519", "handler"),
        *("records", "store", "ulids"),
    ),
    "lambda_api": ("__init__", "admission", "answering", "answers", "audit", "config", "members", "requests"),
    "lambda_authorizer": (
        *("__init__", "access_policy", "api_keys", "assertion", "audit_chain", "audit_fields", "aws"),
        *("bounded", "bounded_http", "encoding", "environment", "events", "lock_outs", "peppers", "policy"),
        *("problems", "reasons", "secret_store", "signature"),
    ),
}


def build(destination_dir: Path, *, target: Target) -> Path:
    """Write the package into ``destination_dir`` and return its path. Raises PackageError."""
    return package.build(destination_dir, "keys", MODULES, target=target)
