"""Result tables (CSV) for the page."""

import csv
import itertools
import math
from pathlib import Path
from typing import Any

MOST_ROWS = 100_000
MOST_COLUMNS = 200
LONGEST_CELL = 10_000


def read(path: Path) -> dict[str, Any]:
    """The columns, each of numbers or of text, and the rows. A number that is none (empty, NaN, infinite) is null.

    Raises ValueError when the file is no such table.
    """
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        reader = csv.reader(stream)
        try:
            names = next(reader, [])[:MOST_COLUMNS]
            rows = [
                [cell[:LONGEST_CELL] for cell in row[: len(names)]] + [""] * (len(names) - len(row))
                for row in itertools.islice(reader, MOST_ROWS)
            ]
            truncated = next(reader, None) is not None
        except csv.Error:
            raise ValueError("not a table") from None
    numbers = [_numbers([row[index] for row in rows]) for index in range(len(names))]
    columns = [{"name": name, "type": "text" if found is None else "number"} for name, found in zip(names, numbers, strict=True)]
    shown = zip(*([row[index] for row in rows] if found is None else found for index, found in enumerate(numbers)), strict=True)
    return {"columns": columns, "rows": list(shown), "truncated": truncated}


def _numbers(cells: list[str]) -> list[float | None] | None:
    """The cells as numbers, None when one of them is text, or all are empty."""
    found: list[float | None] = []
    for cell in cells:
        try:
            number = float(cell) if cell else math.nan
        except ValueError:
            return None
        found.append(number if math.isfinite(number) else None)
    return found if any(cells) else None
