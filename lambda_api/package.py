"""The deployment package of a function behind the API: modules of several packages in a zip. Not part of any of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lambda_authorizer import package

_ROOT = Path(__file__).resolve().parent.parent


def build(destination_dir: Path, name: str, modules: Mapping[str, Sequence[str]], *, target: package.Target) -> Path:
    """Write these modules, by their packages, into ``destination_dir`` and return the path, which names the zip by its bytes.

    The bytecode is the target's. Raises package.PackageError.
    """
    contents: dict[str, bytes] = {}
    for folder, names in modules.items():
        contents |= package.modules(_ROOT / folder, names)
    return package.archive(destination_dir, name, contents, target=target)
