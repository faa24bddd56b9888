"""The deployment package: this package and what it uses of the others, in a zip. Not part of the package itself."""

from pathlib import Path

from lambda_authorizer import package

_HERE = Path(__file__).resolve().parent

# What is imported and no more: the authorizer's dependency stays out.
MODULES = ("__init__", "answers", "audit", "config", "credential", "handler", "roles")
API_MODULES = ("__init__", "answering", "audit", "config")
AUTHORIZER_MODULES = (
    *("__init__", "access_policy", "api_keys", "assertion", "aws", "bounded", "bounded_http"),
    *("encoding", "environment", "events", "policy", "problems", "reasons", "secret_store", "signature"),
)


def build(destination_dir: Path, *, target: package.Target) -> Path:
    """Write the package into ``destination_dir`` and return its path, which names it by its bytes.

    Its bytecode is the target's. Raises package.PackageError.
    """
    contents = package.modules(_HERE, MODULES)
    contents |= package.modules(_HERE.parent / "lambda_api", API_MODULES)
    contents |= package.modules(_HERE.parent / "lambda_authorizer", AUTHORIZER_MODULES)
    return package.archive(destination_dir, "token", contents, target=target)
