"""The page for people says what the authorizer decides: all of it, and nothing else."""

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from lambda_authorizer.access_policy import GROUPS, RULES, SCOPES
from lambda_authorizer.policy import API_KEY, TOKEN, Caller, decide
from lambda_authorizer.reasons import Reason
from posture.access_matrix import PAGE, render

NOW = 1_800_000_000.0
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
UNKNOWN_ROUTES = ("/token", "/docs", "/admin", "/config/{key}", "/analyses/{analysis_id}/results/{name}", "/{proxy+}", "")
ID = "01JDDY0Z4Q8R6N5V3T7W2X9YAB"


class Cell(NamedTuple):
    """What the page says of a column in a row: whether it opens, and for how many seconds after a sign-in."""

    opens: bool
    age: int | None


def matrix(text: str) -> dict[tuple[str, str], dict[str, Cell]]:
    """The page's table by method and route, and by column."""
    lines = [[part.strip() for part in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    (_, _, *columns), _, *rows = lines
    found = {}
    for method, route, *cells in rows:
        assert len(cells) == len(columns)
        found[method, route.strip("`")] = {column.strip("`"): cell(mark) for column, mark in zip(columns, cells, strict=True)}
    assert len(found) == len(rows)
    return found


def cell(mark: str) -> Cell:
    match = re.fullmatch(r"(?P<closed>-)|yes(, (?P<minutes>[0-9]+) min)?", mark)
    assert match is not None, mark
    return Cell(match["closed"] is None, int(match["minutes"]) * 60 if match["minutes"] else None)


MATRIX = matrix(PAGE.read_text(encoding="utf-8"))


def test_the_page_is_not_stale() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "docs/access-matrix.md is stale: run `make docs`"


def test_the_page_has_every_row_and_every_column() -> None:
    assert MATRIX.keys() == RULES.keys()
    assert all(row.keys() == {"no role"} | GROUPS | SCOPES for row in MATRIX.values())
    assert all(RULES[call].sign_in_age in (None, *(seen.age for seen in row.values())) for call, row in MATRIX.items())


def subsets(names: frozenset[str]) -> Iterator[frozenset[str]]:
    for count in range(len(names) + 1):
        yield from map(frozenset, itertools.combinations(sorted(names), count))


@pytest.mark.parametrize("route", [*sorted({route for _, route in RULES}), *UNKNOWN_ROUTES])
def test_every_method_and_every_set_of_roles_and_scopes_is_decided_as_the_page_says(route: str) -> None:
    parameters = dict.fromkeys(re.findall(r"\{(.+?)\}", route), ID)
    callers = list(itertools.product(subsets(GROUPS), subsets(SCOPES)))
    assert len(callers) == 2**10
    for method in METHODS:
        row = MATRIX.get((method, route))
        for groups, scopes in callers:
            # Of several columns each opens what it opens.
            marks = [row[column] for column in ("no role", *groups, *scopes)] if row else []
            opening = [mark for mark in marks if mark.opens]
            for kind, signed_in_at in _sign_ins(opening):
                caller = Caller("someone", groups, scopes, kind, signed_in_at=signed_in_at)
                allowed = decide(caller, (method, route), parameters, now=NOW) is Reason.ALLOWED
                age = None if signed_in_at is None else NOW - signed_in_at
                said = any(mark.age is None or kind == API_KEY or (age is not None and age <= mark.age) for mark in opening)
                assert allowed is said, (method, route, sorted(groups), sorted(scopes), kind, signed_in_at)


def _sign_ins(opening: list[Cell]) -> list[tuple[str, int | None]]:
    """A key, a token without a sign-in, and tokens on both sides of each limit that the page knows for the row."""
    ages = {mark.age for mark in opening if mark.age is not None}
    times = [int(NOW) - age - late for age in ages for late in (0, 1)]
    return [(API_KEY, None), (TOKEN, None), (TOKEN, int(NOW)), *((TOKEN, time) for time in times)]


def test_the_tests_reader_reads() -> None:
    rows = ("Method | Route | no role | viewer", "--- | --- | --- | ---", "GET | `/x` | - | yes", "PUT | `/x` | - | yes, 5 min")
    text = "".join(f"| {row} |\n" for row in rows)
    shut = Cell(False, None)
    assert matrix(text) == {
        ("GET", "/x"): {"no role": shut, "viewer": Cell(True, None)},
        ("PUT", "/x"): {"no role": shut, "viewer": Cell(True, 300)},
    }
    with pytest.raises(AssertionError):
        cell("maybe")
