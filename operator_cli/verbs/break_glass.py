"""`heartmapctl operate break-glass`."""

import sys
from typing import Annotated

import typer

from operator_cli.verbs import options
from operator_cli.verbs.options import EnvironmentOption, JsonOption


def break_glass(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Why, in a sentence; it is recorded.", show_default=False)],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[-- COMMAND...]", help="What to run; a shell without it.", show_default=False)
    ] = None,
    minutes: Annotated[int, typer.Option("--minutes", metavar="N", help="How long the session lasts.", min=15, max=60)] = 15,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="ARN", help="Your second factor, where IAM does not tell.", show_default=False),
    ] = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open the role that repairs the stack when nobody else can. Everything is recorded, and an alarm rings.

    It takes the access key of an IAM user that heartmap:break_glass_users names, and that user's second factor.

    \b
    heartmapctl operate break-glass --environment prod --reason "all administrators lost their phones: OPS-12"
    """
    import boto3

    from operator_cli.errors import WrongUse
    from operator_cli.operations import break_glass as glass

    command = options.command(context, environment, as_json)
    if not sys.stdin.isatty():
        raise WrongUse("There is no terminal to ask for the second factor on.", next_step="Run it in a terminal.")
    session = boto3.Session()
    opening = glass.prepare(session, command.name, reason, minutes, device)
    command.output.instruction(f"{opening.user} opens {opening.role} for {minutes} minutes: {reason}")
    command.output.instruction(glass.RECORDED)
    options.confirm("Open it?")
    code = typer.prompt(f"Code of {opening.device.rpartition('/')[2]}", err=True)
    variables, ends = glass.open_session(session, opening, code.strip())
    command.output.instruction(f"Open until {ends:%H:%M} UTC. What runs now has the role; it ends with `exit`.")
    exit_code = glass.run_with(variables, words or (), quiet=as_json)
    document = {
        "role": opening.role,
        "user": opening.user,
        "reason": reason,
        "expires_at": ends.isoformat(),
        "exit_code": exit_code,
    }
    command.output.result(document, lambda: None)
    command.output.note("Write down what was done: docs/break-glass.md says what comes after.")
    if exit_code:
        raise typer.Exit(1)
