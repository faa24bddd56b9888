"""What is printed where: results on standard output, everything else on standard error.

With ``--json`` standard output carries exactly one JSON document. Progress bars and colour appear on a terminal only, and
colour not where NO_COLOR is set (https://no-color.org). What a server sent is shown without its control characters, so that
it cannot steer the terminal.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from operator_cli.errors import CliError

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def printable(value: object) -> str:
    """Text without control, escape and direction-changing characters."""
    return "".join(c if c.isprintable() else REPLACEMENT for c in str(value))


def as_json(document: Any) -> str:
    """One JSON document, in ASCII: nothing in it can steer a terminal."""
    return json.dumps(document, indent=2, ensure_ascii=True)


def human_bytes(count: float) -> str:
    """A size in the decimal units that storage is billed in."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _console(stream: TextIO) -> Any:
    from rich.console import Console

    # Said outright: FORCE_COLOR would otherwise put escapes into a pipe.
    return Console(file=stream, force_terminal=stream.isatty(), highlight=False, markup=False, emoji=False)


class Output:
    """The two streams of one command."""

    def __init__(self, *, json_only: bool, select: Callable[[Any], Any] | None = None) -> None:
        """`select` takes what was asked for out of the document."""
        self._json_only = json_only
        self._select = select
        self._live = not json_only and sys.stdout.isatty() and sys.stderr.isatty()

    def result(self, document: Any, show: Callable[[], None]) -> None:
        """Print what the command was asked for: the document for programs, or what `show` prints for people."""
        if self._json_only:
            self.text(as_json(self._select(document) if self._select else document))
        else:
            show()

    def text(self, line: str) -> None:
        """A line on standard output, never wrapped or coloured."""
        sys.stdout.write(line + "\n")

    def note(self, line: str) -> None:
        """A line for people about what goes on."""
        if not self._json_only:
            sys.stderr.write(printable(line) + "\n")
            sys.stderr.flush()

    def instruction(self, line: str) -> None:
        """A line that people need even when a program reads standard output."""
        sys.stderr.write(printable(line) + "\n")
        sys.stderr.flush()

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table on a terminal; in a pipe tab-separated rows without a heading, whole and easy to cut."""
        cells = [[printable("" if cell is None else cell) for cell in row] for row in rows]
        if not sys.stdout.isatty():
            for row in cells:
                self.text("\t".join(row))
            return
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in cells:
            table.add_row(*row)
        _console(sys.stdout).print(table)

    def fields(self, rows: Sequence[tuple[str, object]]) -> None:
        """Names and values, one a line."""
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            self.text(f"{name.ljust(width)}  {printable('' if value is None else value)}")

    @contextmanager
    def transfer(self, description: str, total: int, already: int = 0) -> Iterator[Callable[[int], None]]:
        """A bar with speed and time left; yields what to call with the bytes done so far.

        It begins at `already`, bytes of an earlier command, which count for neither.
        """
        if not self._live:
            yield lambda done: None  # noqa: ARG005  (nobody watches)
            return
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, TimeRemainingColumn(), console=_console(sys.stderr)) as progress:
            task = progress.add_task(printable(description), total=total, completed=already)
            yield lambda done: progress.update(task, completed=done)

    @contextmanager
    def stages(self, description: str) -> Iterator[Callable[[str, float | None], None]]:
        """The stage of a job and its progress (0 to 1), live on a terminal, else one line a change of stage."""
        if not self._live:
            yield self._changes(description)
            return
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=_console(sys.stderr)) as progress:
            task = progress.add_task(printable(description), total=None)

            def update(stage: str, fraction: float | None) -> None:
                shown = printable(f"{description}: {stage}")
                progress.update(task, description=shown, total=None if fraction is None else 1, completed=fraction or 0)

            yield update

    def _changes(self, description: str) -> Callable[[str, float | None], None]:
        seen: list[str] = []

        def update(stage: str, _fraction: float | None) -> None:
            if seen[-1:] != [stage]:
                seen.append(stage)
                self.note(f"{description}: {stage}")

        return update


def report(error: CliError, *, json_only: bool) -> None:
    """Tell a failure: to people on standard error, to programs as the one document on standard output."""
    if json_only:
        sys.stdout.write(as_json(error.as_document()) + "\n")
    lines = [f"Error: {printable(error.message)}"]
    marks = [f"code {error.code}" if error.code else "", f"request id {error.request_id}" if error.request_id else ""]
    if any(marks):
        lines.append(f"  {printable(', '.join(mark for mark in marks if mark))}")
    if error.next_step:
        lines.append(f"  {printable(error.next_step)}")
    sys.stderr.write("\n".join(lines) + "\n")
