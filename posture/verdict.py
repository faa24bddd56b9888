"""One line of the posture: a control, the tool that looked, what it saw, and the exception that explains it."""

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from posture.controls.page import Excuse, Finding
from posture.scanners.results import Failure

MOST_NAMED = 5
"""Resources that a line names; further ones are counted."""


class Result(StrEnum):
    """``NO_DATA``: the tool's own data could not be had, so that nothing can be said. It fails nothing, and is shown."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    EXCEPTION = "exception"
    FAIL = "fail"
    NO_DATA = "no data"


@dataclass(frozen=True)
class Row:
    """A line of the table. ``detail`` says what was seen, ``exception`` why that may be."""

    control: str
    tool: str
    result: Result
    detail: str = ""
    exception: str = ""


def explain(tool: str, failures: Iterable[Failure], lines: Iterable[Finding], today: datetime.date) -> list[Row]:
    """A line for each check that failed, under the exceptions that cover it, and for each exception that covers nothing."""
    lines, found = list(lines), sorted(set(failures))
    rows = [_row(check, tool, [one for one in found if one.check == check], lines, today) for check in _checks(found)]
    stale = [line for line in lines if not any(_covers(line, one) for one in found)]
    return rows + [Row(line.check, tool, Result.FAIL, f"{line.resources}: an exception that explains nothing") for line in stale]


def in_words(excuse: Excuse) -> str:
    """An exception, as a line of the table shows it."""
    return f"{excuse.reason} ({excuse.owner}, until {excuse.look_again})"


def named(things: Iterable[str]) -> str:
    """Some of the things, and how many there are beyond these."""
    listed = list(things)
    more = len(listed) - MOST_NAMED
    return ", ".join(listed[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _checks(found: Iterable[Failure]) -> list[str]:
    return list(dict.fromkeys(one.check for one in found))


def _covers(line: Finding, one: Failure) -> bool:
    return line.check == one.check and bool(re.fullmatch(line.resources, one.resource))


def _row(check: str, tool: str, found: list[Failure], lines: list[Finding], today: datetime.date) -> Row:
    covering = [line for line in lines if any(_covers(line, one) for one in found)]
    alone = [one.resource for one in found if not any(_covers(line, one) for line in covering)]
    if alone:
        return Row(check, tool, Result.FAIL, f"not explained: {named(alone)}")
    excuse = "; ".join(dict.fromkeys(in_words(line.excuse) for line in covering))
    expired = [line for line in covering if line.excuse.look_again < today]
    if expired:
        return Row(check, tool, Result.FAIL, f"the exception was to be looked at on {expired[0].excuse.look_again}", excuse)
    return Row(check, tool, Result.EXCEPTION, named(one.resource for one in found), excuse)
