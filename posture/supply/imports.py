"""Which distributions a package of this repository needs: what it imports, through our own modules, and what these require."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from posture.plan import ROOT


def distributions(package: str) -> dict[str, metadata.Distribution]:
    """The installed distributions behind a package, by their normal names.

    Raises PackageNotFoundError for one that is imported and not installed.
    """
    owners = metadata.packages_distributions()
    roots = {owner for name in _imported(package) for owner in owners.get(name, [])}
    found: dict[tuple[str, frozenset[str]], metadata.Distribution] = {}
    todo = [(normal(root), frozenset[str]()) for root in roots]
    while todo:
        name, extras = todo.pop()
        if (name, extras) in found:
            continue
        found[name, extras] = metadata.distribution(name)
        for line in found[name, extras].requires or []:
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras or {""}):
                todo.append((normal(needed.name), frozenset(needed.extras)))
    return {name: found[name, extras] for name, extras in sorted(found, key=lambda key: key[0])}


def normal(name: str) -> str:
    """A project's name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _imported(package: str) -> set[str]:
    """Top-level modules of others that a package imports, also through modules of this repository."""
    seen: set[Path] = set()
    imported: set[str] = set()
    todo = sorted((ROOT / package).rglob("*.py"))
    while todo:
        file = todo.pop()
        if file in seen:
            continue
        seen.add(file)
        for name in _names(file):
            top = name.split(".")[0]
            if (ROOT / top / "__init__.py").exists():
                path = ROOT / name.replace(".", "/")
                todo += [one for one in (path.with_suffix(".py"), path / "__init__.py") if one.exists()]
            elif top not in sys.stdlib_module_names:
                imported.add(top)
    return imported


def _names(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
