"""The deployment package: this package and what it uses of the authorizer's, in a zip. Not part of the package itself.

The AWS SDK is not in it: Lambda's own runtime has it.
"""

from pathlib import Path

from lambda_authorizer import package

_HERE = Path(__file__).resolve().parent

MODULES = ("__init__", "handler", "keys")
AUTHORIZER_MODULES = (
    "__init__",
    "assertion",
    "aws",
    "bounded_http",
    "encoding",
    "environment",
    "peppers",
    "reasons",
    "secret_store",
)


def build(destination_dir: Path, *, target: package.Target) -> Path:
    """Write the package into ``destination_dir`` and return its path, which names it by its bytes.

    Its bytecode is the target's. Raises package.PackageError.
    """
    contents = package.modules(_HERE, MODULES)
    contents |= package.modules(_HERE.parent / "lambda_authorizer", AUTHORIZER_MODULES)
    return package.archive(destination_dir, "rotation", contents, target=target)
