"""`make claims`: each control is taken away in a copy of the repository, and its tests turn red. Without that they are green."""

import argparse
import os
import queue
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.docs.breakages.copies import Copy
from tests.docs.breakages.table import Breakage, load
from tests.docs.breakages.verdict import RED

Verdicts = list[tuple[str, str]]


def not_red(breakage: Breakage, verdicts: Verdicts) -> list[str]:
    """What keeps the breakage from being noticed as it should be, a line each; nothing when it is."""
    wanted = {RED, *breakage.raises}
    problems = [f"{test}: {said}" for test, said in verdicts if said not in {"passed", *wanted}]
    for named in breakage.tests:
        ended = {said for test, said in verdicts if test == named or test.startswith(f"{named}[")}
        if not ended:
            problems.append(f"{named} was not run")
        elif ended == {"passed"}:
            problems.append(f"{named} stays green")
    return problems


def not_green(tests: Sequence[str], verdicts: Verdicts) -> list[str]:
    """The tests that do not pass when nothing is broken."""
    ran = {test.partition("[")[0] for test, _ in verdicts}
    left_out = [f"{test} was not run" for test in tests if test.partition("[")[0] not in ran]
    return [*left_out, *(f"{test}: {said} with nothing broken" for test, said in verdicts if said != "passed")]


class Workshop:
    """Copies, of which each is used by one at a time."""

    def __init__(self, directory: Path, copies: int) -> None:
        self._copies = [Copy(directory / str(number)) for number in range(copies)]
        self._free: queue.Queue[Copy] = queue.Queue()
        for copy in self._copies:
            self._free.put(copy)

    def close(self) -> None:
        for copy in self._copies:
            copy.close()

    def broken(self, breakage: Breakage) -> list[str]:
        """What is wrong with a breakage."""
        copy = self._free.get()
        try:
            with copy.broken(breakage.edits):
                return not_red(breakage, copy.run(breakage.tests))
        except ValueError as error:
            return [str(error)]
        finally:
            self._free.put(copy)

    def whole(self, tests: Sequence[str]) -> list[str]:
        """What is wrong with tests while nothing is broken."""
        copy = self._free.get()
        try:
            return not_green(tests, copy.run(tests))
        finally:
            self._free.put(copy)


def told(name: str, judge: Callable[[], list[str]]) -> list[str]:
    problems = judge()
    print(f"{name}: {'; '.join(problems) or 'as it should be'}", file=sys.stderr, flush=True)  # noqa: T201 - it takes minutes
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.docs.breakages", description=__doc__)
    parser.add_argument("rows", nargs="*", help="the rows to try, such as T1; all when none is named")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, help="how many at once")
    wanted = parser.parse_args()
    breakages = [one for one in load() if not wanted.rows or set(one.rows) & set(wanted.rows)]
    by_file: dict[str, set[str]] = {}
    for test in (test for one in breakages for test in one.tests):
        by_file.setdefault(test.partition("::")[0], set()).add(test)
    table = Table("Row", "What is broken", "Its tests")
    with tempfile.TemporaryDirectory(prefix="claims-") as directory, ThreadPoolExecutor(wanted.jobs) as pool:
        shop = Workshop(Path(directory), wanted.jobs)
        green = [pool.submit(told, file, partial(shop.whole, sorted(tests))) for file, tests in by_file.items()]
        red = [pool.submit(told, ", ".join(one.rows), partial(shop.broken, one)) for one in breakages]
        for one, result in zip(breakages, red, strict=True):
            table.add_row(", ".join(one.rows), "\n".join(edit.file for edit in one.edits), "\n".join(result.result()) or "red")
        for file, result in zip(by_file, green, strict=True):
            table.add_row("", "nothing", "\n".join(result.result()) or f"{file}: green")
        shop.close()
        failed = sum(bool(result.result()) for result in (*red, *green))
    Console().print(table)
    return 1 if failed or not breakages else 0


if __name__ == "__main__":
    sys.exit(main())
