"""``python -m posture``: the pages that are made from the plans, and what the plans look like to who judges them."""

import datetime
import sys

import typer
from rich.console import Console
from rich.table import Table

from posture import access_matrix, cost_page, costs, diagram, effective, report
from posture.check import everything
from posture.controls import findings
from posture.controls.page import PAGE, differences, read
from posture.plan import IN_AWS, ROOT, STACKS, plan_of

REPORT = ROOT / ".tools" / "posture" / "report"

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)


@app.command()
def docs() -> None:
    """Write docs/access-matrix.md anew from the access policy, docs/cost.md, docs/effective/ and the picture from the plans."""
    access_matrix.PAGE.write_text(access_matrix.render(), encoding="utf-8")
    plans = {stack: plan_of(stack) for stack in STACKS}
    effective.DIRECTORY.mkdir(parents=True, exist_ok=True)
    for stack, plan in plans.items():
        effective.path(stack).write_text(effective.render(plan), encoding="utf-8")
    cost_page.PAGE.write_text(cost_page.render([plans[stack] for stack in IN_AWS]), encoding="utf-8")
    diagram.PAGE.write_text(diagram.render(plans[diagram.STACK]), encoding="utf-8")


@app.command()
def controls() -> None:
    """Show which stack meets which control, and where docs/controls.md says otherwise. Exit 1 when it does."""
    console, page = Console(), read(PAGE.read_text(encoding="utf-8"))
    plans = [plan_of(stack) for stack in STACKS]
    table = Table("#", "Control", *STACKS)
    for number, row in page.controls.items():
        table.add_row(number, row.meaning, *("met" if not findings(number, plan) else "exception" for plan in plans))
    console.print(table)
    problems = [f"{plan.stack}: {text}" for plan in plans for text in differences(page, plan, _today())]
    for problem in problems:
        console.print(problem, style="red", markup=False, highlight=False)
    raise typer.Exit(1 if problems else 0)


@app.command()
def check() -> None:
    """Show what the scanners, the audits and our own controls say. Exit 1 on what nothing explains, or no longer explains.

    In .tools/posture/report: posture.json, posture.sarif, and the bills of materials.
    """
    REPORT.mkdir(parents=True, exist_ok=True)
    page = read(PAGE.read_text(encoding="utf-8"))
    with Console(stderr=True).status("Looking at the plans, the account and the repository: about five minutes"):
        rows = list(everything(page, _today(), REPORT))
    # A log has no width of its own.
    report.show(rows, Console(width=None if sys.stdout.isatty() else 160))
    (REPORT / "posture.json").write_text(report.as_json(rows), encoding="utf-8")
    (REPORT / "posture.sarif").write_text(report.as_sarif(rows), encoding="utf-8")
    raise typer.Exit(0 if report.passed(rows) else 1)


@app.command()
def cost() -> None:
    """Show what a month of each stack costs, and whether that is within its limit. Exit 1 when it is not."""
    table, over = Table("Stack", "A month in $", "May cost in $", "An hour of a worker in $"), False
    for stack in IN_AWS:
        plan = plan_of(stack)
        table.add_row(stack, f"{costs.total(plan):.2f}", f"{costs.LIMITS[stack]:.0f}", f"{costs.job_hour(plan):.3f}")
        over = over or costs.total(plan) > costs.LIMITS[stack]
    Console().print(table)
    raise typer.Exit(1 if over else 0)


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


if __name__ == "__main__":
    app()
