"""docs/controls.md as data: which stack meets which control, and the exceptions.

The page is written by people. Its tables are read by their headings, and held against the plans by ``differences``.
"""

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass

from posture.controls.registry import CHECKS, findings
from posture.plan import ROOT, STACKS, Plan

PAGE = ROOT / "docs" / "controls.md"

CONTROLS_HEAD = ("#", "Control", "Ids", "Met by", "Stacks")
EXCEPTIONS_HEAD = ("#", "Stacks", "Reason", "Owner", "Look again")
SCANNERS_HEAD = ("Check", "Stacks", "Resources", "Reason", "Owner", "Look again")
SUPPLY_HEAD = ("Check", "Where", "Reason", "Owner", "Look again")

OWNERS = {"security engineer", "platform engineer", "data protection officer"}
SHORTEST_REASON = 30


class PageError(ValueError):
    """The page cannot be read. The text says where."""


@dataclass(frozen=True)
class Control:
    """A row: the stacks that it names meet it."""

    number: str
    meaning: str
    ids: str
    met_by: str
    stacks: frozenset[str]


@dataclass(frozen=True)
class Excuse:
    """Why something is not met, who answers for that, and when it is looked at again."""

    stacks: frozenset[str]
    reason: str
    owner: str
    look_again: datetime.date


@dataclass(frozen=True)
class Finding:
    """A scanner's check that may fail: by its full id, for the resources whose names match ``resources``."""

    check: str
    resources: str
    excuse: Excuse


@dataclass(frozen=True)
class Page:
    """The page: the rows by their number, the exceptions by number, what scanners may find in stacks and in the repository."""

    controls: dict[str, Control]
    exceptions: dict[str, list[Excuse]]
    scanners: list[Finding]
    supply: list[Finding]


def read(text: str) -> Page:
    """The page out of its text. Raises PageError for a row that is not as its table's head says, or stands twice."""
    controls: dict[str, Control] = {}
    for number, meaning, ids, met_by, stacks in _rows(text, CONTROLS_HEAD):
        if number in controls:
            raise PageError(f"row {number} stands twice")
        controls[number] = Control(number, meaning, ids, met_by, _stacks(stacks))
    exceptions: dict[str, list[Excuse]] = {}
    for numbers, *cells in _rows(text, EXCEPTIONS_HEAD):
        for number in numbers.split(", "):
            exceptions.setdefault(number, []).append(_excuse(*cells))
    scanners = [
        _finding(check, resources, _excuse(stacks, *cells)) for check, stacks, resources, *cells in _rows(text, SCANNERS_HEAD)
    ]
    supply = [_finding(check, where, _excuse("-", *cells)) for check, where, *cells in _rows(text, SUPPLY_HEAD)]
    return Page(controls, exceptions, scanners, supply)


def _finding(check: str, resources: str, excuse: Excuse) -> Finding:
    return Finding(check.strip("`"), resources.strip("`").replace("\\|", "|"), excuse)


def _rows(text: str, head: tuple[str, ...]) -> Iterator[list[str]]:
    """The cells of each row of every table with this head."""
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")] if line.startswith("|") else []
        cells = [cell.strip() for cell in cells]
        if tuple(cells) == head:
            inside = True
        elif not cells:
            inside = False
        elif inside and not set("".join(cells)) <= set("-| "):
            if len(cells) != len(head):
                raise PageError(f"not {len(head)} cells: {line}")
            yield cells


def _stacks(cell: str) -> frozenset[str]:
    stacks = frozenset(cell.split(", ")) if cell not in ("", "-") else frozenset()
    if not stacks <= set(STACKS):
        raise PageError(f"no stacks: {cell}")
    return stacks


def _excuse(stacks: str, reason: str, owner: str, look_again: str) -> Excuse:
    if owner not in OWNERS:
        raise PageError(f"{owner!r} is no role: {', '.join(sorted(OWNERS))}")
    if len(reason) < SHORTEST_REASON:
        raise PageError(f"{reason!r} is no reason")
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", look_again):
        raise PageError(f"{look_again!r} is no date")
    return Excuse(_stacks(stacks), reason, owner, datetime.date.fromisoformat(look_again))


def differences(page: Page, plan: Plan, today: datetime.date) -> list[str]:
    """Where the page and a plan disagree, in both directions; nothing when they agree."""
    problems = [f"row {number} is missing from the page" for number in sorted(set(CHECKS) - set(page.controls))]
    problems += [f"row {number} has no check" for number in sorted(set(page.controls) - set(CHECKS))]
    problems += [f"an exception to row {number}, which there is not" for number in sorted(set(page.exceptions) - set(CHECKS))]
    for number, row in page.controls.items():
        if number in CHECKS:
            excuses = [excuse for excuse in page.exceptions.get(number, []) if plan.stack in excuse.stacks]
            problems += [
                f"row {number}, {row.meaning}: {text}" for text in _row(row, excuses, findings(number, plan), plan.stack)
            ]
    expired = [
        f"the exception to row {number} was to be looked at on {excuse.look_again}"
        for number, excuses in page.exceptions.items()
        for excuse in excuses
        if excuse.look_again < today
    ]
    return problems + expired


def _row(row: Control, excuses: list[Excuse], found: list[str], stack: str) -> Iterator[str]:
    met = stack in row.stacks
    if met and excuses:
        yield f"is met in {stack} and has an exception there"
    if len(excuses) > 1:
        yield f"has {len(excuses)} exceptions in {stack}"
    if met and found:
        yield f"is not met in {stack}: {'; '.join(found)}"
    if not met and not excuses:
        yield f"is not met in {stack} and has no exception" if found else f"is met in {stack}, which the page does not say"
    if excuses and not found:
        yield f"has an exception in {stack}, which meets it"
    if met and not row.met_by.strip("- "):
        yield "does not say what meets it"
