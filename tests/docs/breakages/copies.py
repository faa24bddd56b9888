"""Copies of the repository in which something is broken, so that nobody works in a tree without a control."""

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.docs.breakages.table import Edit
from tests.docs.markdown import PROJECT

# What is installed or built, and no test changes: the copies share it.
SHARED = (".venv", ".tools", "console/node_modules", "operator_cli/console/static")
TEST_SECONDS = 180

# Compiling the SDKs anew in each process would take more time than the tests.
NOT_COMPILED = "PYTHONDONTWRITEBYTECODE"

# Python takes a compiled module for current by the second and the size of its source: no two writes have the same second.
_seconds = itertools.count(1_000_000_000)


class Copy:
    """What is tracked, or would be, as it is now, in ``root``, which is made."""

    def __init__(self, root: Path) -> None:
        self.root = root
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=PROJECT, check=True, capture_output=True, text=True).stdout.split("\0")
        for name in filter(None, names):
            if (PROJECT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / name, root / name)
        for name in SHARED:
            (root / name).symlink_to(PROJECT / name)
        variables = {name: value for name, value in os.environ.items() if name != NOT_COMPILED}
        self._pytest = subprocess.Popen(
            [str(root / ".venv/bin/python"), "-W", "ignore", "-m", "tests.docs.breakages.warm"],
            cwd=root,
            env=variables | {"PYTHONPATH": str(root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """Ends what runs the tests."""
        self._pytest.communicate()

    def _ask(self, arguments: list[str]) -> None:
        assert self._pytest.stdin is not None
        assert self._pytest.stdout is not None
        self._pytest.stdin.write(json.dumps(arguments) + "\n")
        self._pytest.stdin.flush()
        self._pytest.stdout.readline()

    def _write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text, encoding="utf-8")
        second = next(_seconds)
        os.utime(self.root / name, (second, second))

    @contextmanager
    def broken(self, edits: Sequence[Edit]) -> Iterator[None]:
        """With the edits made; afterwards everything is as before. Raises ValueError when one cannot be made."""
        before: dict[str, str] = {}
        try:
            for edit in edits:
                text = edit.applied(self.root)
                before.setdefault(edit.file, (self.root / edit.file).read_text(encoding="utf-8"))
                self._write(edit.file, text)
            yield
        finally:
            for name, text in before.items():
                self._write(name, text)

    def run(self, tests: Sequence[str]) -> list[tuple[str, str]]:
        """Each test that was run, with its parameters, and how it ended: see verdict.py."""
        verdicts = self.root / "verdicts.jsonl"
        verdicts.unlink(missing_ok=True)
        options = ["-q", "-p", "no:cacheprovider", "-p", "tests.docs.breakages.verdict", f"--timeout={TEST_SECONDS}"]
        self._ask([*options, f"--verdicts={verdicts}", *tests])
        lines = verdicts.read_text(encoding="utf-8").splitlines() if verdicts.exists() else []
        return [(line["test"], line["verdict"]) for line in map(json.loads, lines)]
