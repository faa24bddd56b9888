"""Every alarm that calls somebody has its section in the runbook, and every section of an alarm its alarm."""

import pytest

from posture.plan import STACKS, plan_of
from tests.docs.markdown import Page, page

RUNBOOK = "docs/runbook.md"
PARTS = ("**Symptom.**", "**Means.**", "**Look.**", "**Mend.**", "**Over.**", "**Decides.**")
FIRST, LAST = "Suspicious activity", "Without an alarm of their own"
"""The chapters between which the sections of alarms stand."""


def sections(runbook: Page) -> dict[str, dict[str, str]]:
    """Chapter, section and text. A chapter is a heading of the first level, a section one of the second."""
    found: dict[str, dict[str, str]] = {}
    chapter, section = "", ""
    for index, token in enumerate(runbook.tokens):
        if token.type == "heading_open":
            title = runbook.tokens[index + 1].content
            if token.tag == "h1":
                chapter, section = title, ""
                found[chapter] = {}
            elif token.tag == "h2":
                section = title
                found[chapter][section] = ""
        elif section:
            found[chapter][section] += token.content + "\n"
    return found


def called() -> set[str]:
    """Alarms of any stack that speak on a topic, and budgets, by their names without the stack's."""
    names = set()
    for stack in STACKS:
        plan = plan_of(stack)
        prefix = f"heartmap-{stack}-"
        alarms = [one.inputs for one in plan.of("cloudwatch/metricAlarm:MetricAlarm")]
        names |= {
            each["name"].removeprefix(prefix)
            for each in alarms
            if any(":sns:" in str(action) or "Topic/" in str(action) for action in each.get("alarmActions") or ())
        }
        names |= {"budget" for _ in plan.of("budgets/budget:Budget")}
    return names


def test_every_alarm_that_calls_somebody_has_its_section_and_no_other_has_one() -> None:
    chapters = sections(page(RUNBOOK))
    titles = list(chapters)
    of_alarms = titles[titles.index(FIRST) : titles.index(LAST)]
    assert {name for title in of_alarms for name in chapters[title]} == called()


@pytest.mark.parametrize("chapter", [title for title, of in sections(page(RUNBOOK)).items() if of and title != "Runbook"])
def test_every_section_says_what_somebody_who_was_woken_needs(chapter: str) -> None:
    missing = {
        name: [part for part in PARTS if part not in text]
        for name, text in sections(page(RUNBOOK))[chapter].items()
        if not all(part in text for part in PARTS)
    }
    assert missing == {}
