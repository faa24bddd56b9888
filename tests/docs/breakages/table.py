"""The breakages: for each statement of a page, how its control is taken away, and the tests that have to turn red.

A file of this directory is YAML, by section of the page. Its keys are numbers of rows, one or several with the same control, and
each has a list of breakages::

    T2, H3:
      - file: infra/identity.py           # from the repository's root
        text: allow_admin_create_user_only=True   # stands there exactly once
        instead: allow_admin_create_user_only=False
        also: [{file: ..., text: ..., instead: ...}]  # further edits, where the control is there twice
        raises: [ClientError]             # optional: what a test may fail with besides an assertion
        tests: [tests/infra/test_identity.py::test_nobody_signs_up_and_passwords_are_strong]

A test may be named with a parameter, ``test_it[one]``, where all of them would take long.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Edit:
    """``text``, which is in ``file`` (a path from the repository's root) exactly once, becomes ``instead``."""

    file: str
    text: str
    instead: str

    def applied(self, root: Path) -> str:
        """The file with the edit. Raises ValueError that says what does not fit, when the edit cannot be made."""
        if not (root / self.file).is_file():
            raise ValueError(f"{self.file} is not there")
        source = (root / self.file).read_text(encoding="utf-8")
        if (times := source.count(self.text)) != 1:
            raise ValueError(f"{self.file} has the text {times} times, not once: {self.text!r}")
        broken = source.replace(self.text, self.instead)
        if broken == source:
            raise ValueError(f"{self.file} is as before")
        if self.file.endswith(".py"):
            try:
                ast.parse(broken)
            except SyntaxError as error:
                raise ValueError(f"{self.file} is no Python any more: {error}") from error
        return broken


@dataclass(frozen=True, kw_only=True)
class Breakage:
    """One way to take the control of ``rows`` away. ``tests`` turn red by an assertion, or by an exception of ``raises``."""

    rows: tuple[str, ...]
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]
    raises: tuple[str, ...] = ()

    @property
    def functions(self) -> tuple[str, ...]:
        """The tests without parameters."""
        return tuple(test.partition("[")[0] for test in self.tests)


def load(directory: Path = HERE) -> list[Breakage]:
    """Those of all files, by file and in the order in which they stand there."""
    return [one for path in sorted(directory.glob("*.yaml")) for one in _of(yaml.safe_load(path.read_text(encoding="utf-8")))]


def _of(table: dict[str, list[dict[str, Any]]]) -> Iterator[Breakage]:
    for numbers, breakages in table.items():
        for given in breakages:
            rest = dict(given)
            tests, also, raises = rest.pop("tests"), rest.pop("also", []), rest.pop("raises", [])
            edits = tuple(Edit(**edit) for edit in (rest, *also))
            yield Breakage(rows=tuple(numbers.split(", ")), edits=edits, tests=tuple(tests), raises=tuple(raises))
