"""What is wrong on this side."""

from typing import TYPE_CHECKING

import typer

from operator_cli.verbs import options
from operator_cli.verbs.options import EnvironmentOption, JsonOption

if TYPE_CHECKING:
    from operator_cli.checks import Check
    from operator_cli.output import Output

app = typer.Typer()


@app.command()
def doctor(context: typer.Context, environment: EnvironmentOption = None, as_json: JsonOption = False) -> None:
    """Look for what is wrong on this side, and name what repairs it; exit code 1 when something is.

    \b
    heartmapctl doctor
    heartmapctl doctor --environment dev
    """
    from dataclasses import asdict

    from operator_cli import checks

    command = options.command(context, environment, as_json)
    found = checks.run(command.name)
    document = {"environment": command.name, "checks": [asdict(check) for check in found]}
    command.output.result(document, lambda: _show(command.output, found))
    if any(check.state == "fail" for check in found):
        raise typer.Exit(1)


def _show(output: "Output", found: "list[Check]") -> None:
    from operator_cli.output import printable

    width = max(len(check.name) for check in found)
    for check in found:
        output.text(printable(f"{check.state}  {check.name.ljust(width)}  {check.detail}"))
        if check.next_step:
            output.text(printable(f"{' ' * (width + 8)}{check.next_step}"))
    worst = [sum(check.state == state for check in found) for state in ("fail", "warn")]
    output.note(f"{len(found)} checks: {worst[0]} failed, {worst[1]} to look at.")
