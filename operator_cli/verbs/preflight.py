"""Before `pulumi up`."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from operator_cli.errors import WrongUse
from operator_cli.verbs import options
from operator_cli.verbs.options import EnvironmentOption, JsonOption
from operator_cli.vocabulary import EnvironmentName

if TYPE_CHECKING:
    from operator_cli.output import Output
    from operator_cli.preflight.place import Line

app = typer.Typer()

PROJECT = Path(__file__).parents[2]
"""The checkout that heartmapctl is of, whose stack files are looked at."""


@app.command()
def preflight(context: typer.Context, environment: EnvironmentOption = None, as_json: JsonOption = False) -> None:
    """Look for what would stop or surprise `pulumi up`, with the AWS identity of this shell; exit code 1 when something would.

    It only reads. Nothing is made, changed or removed.

    \b
    heartmapctl preflight --environment prod
    AWS_PROFILE=NAME heartmapctl preflight --environment dev --json
    """
    from dataclasses import asdict

    command = options.command(context, environment, as_json)
    if command.name is EnvironmentName.LOCAL:
        raise WrongUse("local is on this machine, where nothing has to be there before.", next_step="Start it: make local")
    from operator_cli.preflight import run

    command.output.note(f"Looking at the plan of {command.name} and at the account; this takes half a minute.")
    found = list(run.run(PROJECT, command.name))
    document = {"environment": command.name, "checks": [asdict(line) for line in found]}
    command.output.result(document, lambda: _show(command.output, found))
    if any(line.state == "fail" for line in found):
        raise typer.Exit(1)


def _show(output: "Output", found: "list[Line]") -> None:
    from operator_cli.output import printable

    width = max(len(line.name) for line in found)
    for line in found:
        output.text(printable(f"{line.state}  {line.name.ljust(width)}  {line.detail}"))
        if line.next_step:
            output.text(printable(f"{' ' * (width + 8)}{line.next_step}"))
    worst = [sum(line.state == state for line in found) for state in ("fail", "warn")]
    output.note(f"{len(found)} lines: {worst[0]} failed, {worst[1]} to look at.")
