"""The deployment package. Not part of the package itself."""

from pathlib import Path

from lambda_api import package
from lambda_authorizer.building.target import Target

# What is imported and no more: the authorizer's dependency stays out.
MODULES = {
    "lambda_token": ("__init__", "answers", "audit", "config", "credential", "handler", "roles"),
    "lambda_api": ("__init__", "answering", "audit", "config"),
    "lambda_authorizer": (
        *("__init__", "access_policy", "api_keys", "assertion", "audit_chain", "audit_fields", "aws"),
        *("bounded", "bounded_http", "encoding", "environment", "events", "peppers", "policy", "problems"),
        *("reasons", "secret_store", "signature"),
    ),
}


def build(destination_dir: Path, *, target: Target) -> Path:
    """Write the package into ``destination_dir`` and return its path. Raises PackageError."""
    return package.build(destination_dir, "token", MODULES, target=target)
