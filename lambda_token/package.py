"""The deployment package: this package and what it uses of the authorizer's, in a zip. Not part of the package itself."""

from pathlib import Path

from lambda_authorizer import package

_HERE = Path(__file__).resolve().parent

# What is imported and no more: the authorizer's dependency stays out.
MODULES = ("__init__", "answers", "audit", "config", "credential", "handler", "roles")
AUTHORIZER_MODULES = (
    *("__init__", "access_policy", "api_keys", "assertion", "aws", "bounded", "bounded_http"),
    *("encoding", "environment", "policy", "problems", "reasons", "secret_store", "signature"),
)


def build(destination_dir: Path, *, target: package.Target) -> Path:
    """Write the package into ``destination_dir`` and return its path, which names it by its bytes.

    Its bytecode is the target's. Raises package.PackageError.
    """
    contents = package.modules(_HERE, MODULES)
    contents |= package.modules(_HERE.parent / "lambda_authorizer", AUTHORIZER_MODULES)
    return package.archive(destination_dir, "token", contents, target=target)
