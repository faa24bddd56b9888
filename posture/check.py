"""Everything that `make posture` looks at, in lines of one table."""

import datetime
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lambda_authorizer.building.target import PackageError
from posture import emulated
from posture.controls import findings
from posture.controls.page import Page, differences
from posture.plan import IN_AWS, STACKS, Plan, plan_of
from posture.scanners import checkov, prowler
from posture.scanners.checkov import ScanError
from posture.scanners.results import Failure
from posture.supply import audits, bills, locks, pins, secrets, workflows
from posture.verdict import Result, Row, explain, in_words, named

ACCOUNT_STACK = "prod"
"""Which stack Prowler sees in an emulated account."""


def everything(page: Page, today: datetime.date, report: Path) -> Iterator[Row]:
    """Every line, as it becomes known. Bills of materials are written into ``report``."""
    plans = [plan_of(stack) for stack in STACKS]
    yield from _told("our controls", lambda: own(page, plans, today))
    yield from _told("checkov", lambda: by_checkov(page, today))
    yield from _told("prowler", lambda: by_prowler(page, today))
    yield from _told("pip-audit, npm audit", lambda: dependencies(page, today))
    yield from _told("bills of materials", lambda: materials(report))
    yield from _told("pins", lambda: [_all("everything from others is pinned", "pins", pins.findings())])
    yield from _told("locks", lock_files)
    yield from _told("workflows", lambda: ci(page, today))
    yield from _told("detect-secrets", lambda: no_secrets(secrets.files()))


def own(page: Page, plans: Sequence[Plan], today: datetime.date) -> list[Row]:
    """A line for each row of docs/controls.md, and one for each way in which page and plans differ."""
    rows = []
    for number, row in page.controls.items():
        wrong = {plan.stack: found for plan in plans if (found := findings(number, plan))}
        excuses = [excuse for excuse in page.exceptions.get(number, []) if wrong.keys() & excuse.stacks]
        met = [plan.stack for plan in plans if plan.stack not in wrong]
        # Whether what is not met is excused, and for how long, is among the differences.
        result = Result.EXCEPTION if wrong else Result.PASS
        detail = f"met in {', '.join(met) or 'no stack'}"
        rows.append(Row(f"{number} {row.meaning}", "plan", result, detail, "; ".join(map(in_words, excuses))))
    problems = [(plan.stack, text) for plan in plans for text in differences(page, plan, today)]
    return rows + [Row(f"docs/controls.md, {stack}", "plan", Result.FAIL, text) for stack, text in problems]


def by_checkov(page: Page, today: datetime.date) -> list[Row]:
    """What Checkov finds in the plans of the stacks that are in AWS."""
    rows = []
    for stack in IN_AWS:
        lines = [one for one in page.scanners if stack in one.excuse.stacks and one.check.startswith(checkov.CHECKS)]
        rows += _scanned(f"checkov, {stack}", explain(f"checkov, {stack}", checkov.scan(plan_of(stack)), lines, today))
    return rows


def by_prowler(page: Page, today: datetime.date) -> list[Row]:
    """What Prowler finds in an emulated account with prod in it."""
    lines = [one for one in page.scanners if ACCOUNT_STACK in one.excuse.stacks and one.check[0].islower()]
    tool = f"prowler, {ACCOUNT_STACK}"
    with emulated.deployed(ACCOUNT_STACK) as endpoint:
        return _scanned(tool, explain(tool, prowler.scan(endpoint), lines, today))


def dependencies(page: Page, today: datetime.date) -> list[Row]:
    """Known vulnerabilities, by lock file."""
    found = [("pip-audit", audits.python(file)) for file in audits.requirements_files()] + [("npm audit", audits.console())]
    rows = [_audited(tool, audit) for tool, audit in found]
    failures = [failure for _, audit in found for failure in audit.failures]
    # Where data were out of reach, nothing says that an exception explains nothing.
    whole = all(audit.looked_up == audit.packages for _, audit in found)
    lines = [one for one in page.supply if whole or any(one.check == failure.check for failure in failures)]
    advisories = [line for line in lines if not line.check.startswith(ZIZMOR)]
    return rows + explain("audit", failures, advisories, today)


ZIZMOR = "zizmor:"


def _audited(tool: str, audit: audits.Audit) -> Row:
    control = f"no known vulnerability in {audit.file}"
    looked = f"{audit.looked_up} of {audit.packages} packages were looked up"
    if not audit.looked_up:
        return Row(control, tool, Result.NO_DATA, f"{audit.problem}: nothing is known about {audit.packages} packages")
    advisories = f"{len(audit.failures)} advisories, below" if audit.failures else "none"
    whole = audit.looked_up == audit.packages
    return Row(control, tool, Result.PASS if whole else Result.NO_DATA, f"{looked}: {advisories}")


def materials(report: Path) -> list[Row]:
    """The bills of materials, which are written, and the licences in them."""
    rows = []
    for deployable in bills.everything(report / "packages"):
        file = report / f"{deployable.name.replace(' ', '-')}.cdx.json"
        file.write_text(bills.render(deployable), encoding="utf-8")
        counted = f"{len(deployable.parts)} packages, {len(deployable.files)} files: {file.name}"
        rows.append(Row(f"bill of materials of {deployable.name}", "CycloneDX", Result.PASS, counted))
        rows.append(_all(f"licences of {deployable.name}", "licences", bills.refused(deployable)))
    return rows


def lock_files() -> list[Row]:
    """Each lock file is what its .in file gives."""
    return [_lock(lock) for lock in locks.LOCKS]


def _lock(lock: str) -> Row:
    control = f"{lock} is what its .in file gives"
    try:
        wrong = ["it is not: make lock"] if locks.stale(lock) else []
    except locks.OutOfReach as error:
        return Row(control, "uv", Result.NO_DATA, str(error))
    except ValueError as error:
        wrong = [str(error)]
    return _all(control, "uv", wrong)


def ci(page: Page, today: datetime.date) -> list[Row]:
    """The workflows, by GitHub's schema, our rules and zizmor."""
    lines = [line for line in page.supply if line.check.startswith(ZIZMOR)]
    found = [Failure(f"{ZIZMOR}{one.check}", one.resource) for one in workflows.zizmor()]
    rows = _scanned("zizmor", explain("zizmor", found, lines, today))
    return [_all("workflows follow the rules of docs/ci.md", "workflows", workflows.findings()), *rows]


def no_secrets(files: Sequence[str]) -> list[Row]:
    """Nothing that looks like a secret is in the files."""
    found = [f"{one.resource}: {one.check}" for one in secrets.findings(files)]
    return [_all("no secret in the repository", "detect-secrets", found)]


def _all(control: str, tool: str, wrong: Sequence[str]) -> Row:
    return Row(control, tool, Result.FAIL if wrong else Result.PASS, named(wrong))


def _scanned(tool: str, rows: list[Row]) -> list[Row]:
    return [*rows, Row("everything else that it checks", tool, Result.PASS)]


def _told(tool: str, look: Callable[[], list[Row]]) -> list[Row]:
    """The lines of one tool, or that it could not look, which fails: it is here, and asks nobody."""
    try:
        return look()
    except (ScanError, bills.BillError, PackageError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        return [Row("could look", tool, Result.FAIL, str(error))]
