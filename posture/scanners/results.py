"""What a scanner found, and which of it docs/controls.md explains."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from posture.controls.page import Finding


@dataclass(frozen=True, order=True)
class Failure:
    """A check that a resource failed, by the scanner's own id of the check."""

    check: str
    resource: str


def unexplained(failures: Iterable[Failure], explained: Iterable[Finding], stack: str) -> list[Failure]:
    """The failures that no line of the page covers in this stack."""
    lines = [finding for finding in explained if stack in finding.excuse.stacks]

    def covered(failure: Failure) -> bool:
        return any(one.check == failure.check and re.fullmatch(one.resources, failure.resource) for one in lines)

    return sorted(failure for failure in set(failures) if not covered(failure))


def stale(failures: Iterable[Failure], explained: Iterable[Finding], checks: str, stack: str) -> list[str]:
    """The lines of the page about checks whose ids begin like ``checks`` that cover no failure in this stack."""
    found = set(failures)
    return [
        finding.check
        for finding in explained
        if stack in finding.excuse.stacks
        and re.match(checks, finding.check)
        and not any(one.check == finding.check and re.fullmatch(finding.resources, one.resource) for one in found)
    ]
