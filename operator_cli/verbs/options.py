"""What several verbs take from the command line."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from operator_cli.errors import CliError, WrongUse
from operator_cli.vocabulary import EnvironmentName

if TYPE_CHECKING:
    from operator_cli.command import Command

EnvironmentOption = Annotated[
    EnvironmentName | None,
    typer.Option("--environment", help="Which environment to talk to (default: local).", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", help="Directory for the results; files of the same names are replaced.", file_okay=False),
]
VisibilityOption = Annotated[
    str | None,
    typer.Option(
        "--visibility", metavar="WHO", help="private (the default), shared, or the principals to name, separated by commas."
    ),
]
LimitOption = Annotated[int, typer.Option("--limit", help="How many to show.", min=1, max=10_000)]
AnalysisArgument = Annotated[str, typer.Argument(metavar="ANALYSIS", help="The id of an analysis.", show_default=False)]


def command(context: typer.Context, environment: EnvironmentName | None, as_json: bool) -> "Command":
    """The options may stand before or after the verb; after it they win."""
    from operator_cli.command import Command

    globally, json_globally = context.obj
    return Command(environment or globally or EnvironmentName.LOCAL, json_only=as_json or json_globally)


def is_id(text: str) -> bool:
    from operator_cli.answers import ULID_PATTERN

    return re.fullmatch(ULID_PATTERN, text) is not None


def analysis_id(text: str) -> str:
    if not is_id(text):
        raise WrongUse("ANALYSIS is an id of 26 letters and digits, as `heartmapctl jobs list` shows it.")
    return text


def confirm(question: str) -> None:
    """Goes on after a yes only. Raises WrongUse where there is nobody to ask, CliError after any other answer."""
    if not sys.stdin.isatty():
        raise WrongUse("There is no terminal to ask on.", next_step="Say --yes to do it without being asked.")
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        agreed = False
    if not agreed:
        raise CliError("Nothing was done.")
