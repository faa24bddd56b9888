"""docs/controls.md against the plans, in both directions, and what the reader of that page refuses."""

import copy
import datetime

import pytest

from posture.controls import CHECKS, findings
from posture.controls.page import PAGE, PageError, differences, read
from posture.plan import STACKS, plan_of

PAGE_TEXT = PAGE.read_text(encoding="utf-8")
TODAY = datetime.datetime.now(datetime.UTC).date()


def line_of(number: str) -> str:
    return next(line for line in PAGE_TEXT.splitlines() if line.startswith(f"| {number} | "))


@pytest.mark.parametrize("stack", STACKS)
def test_the_page_says_of_every_control_what_the_plan_shows(stack: str) -> None:
    assert differences(read(PAGE_TEXT), plan_of(stack), TODAY) == []


def test_production_meets_what_production_is_for() -> None:
    page = read(PAGE_TEXT)
    excused = {number for number, excuses in page.exceptions.items() for excuse in excuses if "prod" in excuse.stacks}
    assert len(page.controls) - len(excused) >= 68


def test_a_missing_row_is_told() -> None:
    page = read(PAGE_TEXT.replace(line_of("49") + "\n", ""))
    assert differences(page, plan_of("prod"), TODAY) == ["row 49 is missing from the page"]


def test_a_row_that_nobody_can_check_is_told() -> None:
    page = read(PAGE_TEXT.replace(line_of("49"), line_of("49") + "\n" + line_of("49").replace("| 49 |", "| 999 |")))
    assert differences(page, plan_of("prod"), TODAY) == ["row 999 has no check"]


def test_a_row_that_stands_twice_is_refused() -> None:
    with pytest.raises(PageError, match="row 49 stands twice"):
        read(PAGE_TEXT.replace(line_of("49"), line_of("49") + "\n" + line_of("49")))


def test_a_control_that_the_plan_no_longer_meets_is_told_with_the_resource() -> None:
    plan = copy.deepcopy(plan_of("prod"))
    plan.one("lb/loadBalancer:LoadBalancer").inputs["desyncMitigationMode"] = "defensive"
    assert differences(read(PAGE_TEXT), plan, TODAY) == [
        "row 67, Desync strictest: is not met in prod: LoadBalancer/balancer: passes ambiguous requests on"
    ]


def test_an_exception_for_what_is_met_is_stale() -> None:
    excuse = "| 49 | prod | it takes a while until the image can do without | platform engineer | 2999-01-01 |"
    text = PAGE_TEXT.replace("| # | Stacks | Reason | Owner | Look again |\n|---|---|---|---|---|\n", "\\g", 1)
    text = text.replace("\\g", f"| # | Stacks | Reason | Owner | Look again |\n|---|---|---|---|---|\n{excuse}\n")
    found = differences(read(text), plan_of("prod"), TODAY)
    assert found == [
        "row 49, Read-only root filesystem: is met in prod and has an exception there",
        "row 49, Read-only root filesystem: has an exception in prod, which meets it",
    ]


def test_what_is_met_has_to_be_claimed() -> None:
    line = line_of("49")
    claimed = line.rsplit(" | ", 1)[0]
    page = read(PAGE_TEXT.replace(line, f"{claimed} | - |"))
    assert differences(page, plan_of("prod"), TODAY) == [
        "row 49, Read-only root filesystem: is met in prod, which the page does not say"
    ]


def test_an_exception_ends_at_its_date() -> None:
    page = read(PAGE_TEXT)
    last = max(excuse.look_again for excuses in page.exceptions.values() for excuse in excuses)
    late = differences(page, plan_of("prod"), last + datetime.timedelta(days=1))
    assert len(late) == sum(map(len, page.exceptions.values()))
    assert all("was to be looked at on" in text for text in late)


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ("| 49 | prod | it takes a while until the image can do without | somebody | 2999-01-01 |", "no role"),
        ("| 49 | prod | later | platform engineer | 2999-01-01 |", "no reason"),
        ("| 49 | prod | it takes a while until the image can do without | platform engineer | soon |", "no date"),
        ("| 49 | staging | it takes a while until the image can do without | platform engineer | 2999-01-01 |", "no stacks"),
        ("| 49 | prod | platform engineer | 2999-01-01 |", "not 5 cells"),
    ],
)
def test_an_exception_without_reason_owner_or_date_is_refused(cells: str, told: str) -> None:
    with pytest.raises(PageError, match=told):
        read(f"| # | Stacks | Reason | Owner | Look again |\n|---|---|---|---|---|\n{cells}\n")


@pytest.mark.parametrize("number", CHECKS)
def test_every_check_finds_something_missing_where_there_is_nothing_or_too_much(number: str) -> None:
    """A check that an empty plan passes has to be one that only forbids."""
    empty = copy.copy(plan_of("prod"))
    empty.resources = []
    assert bool(findings(number, empty)) != (number in FORBIDDING)


# What these forbid, a plan without anything does not do; tests/posture/test_mutations.py shows that they find it.
FORBIDDING = {"35", "80", "107", "109", "110", "112"}
