"""What several verbs take from the command line."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import typer.main
from typer.core import TyperCommand

from operator_cli.errors import CliError, WrongUse
from operator_cli.json_fields import DOCUMENTS
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
LimitOption = Annotated[int, typer.Option("--limit", metavar="N", help="How many to show.", min=1, max=10_000)]
SharedWithArgument = Annotated[
    str,
    typer.Argument(metavar="WITH", help="private, shared, or the principals to name, separated by commas.", show_default=False),
]
AnalysisArgument = Annotated[str, typer.Argument(metavar="ANALYSIS", help="The id of an analysis.", show_default=False)]


_SELECTED = f"{__name__}.selected"
"""The key in a context's `meta`."""


def command(context: typer.Context, environment: EnvironmentName | None, as_json: bool) -> "Command":
    """The options may stand before or after the verb; after it they win. `--fields` says `--json` as well."""
    from operator_cli.command import Command

    globally, json_globally = context.obj
    select = context.meta.get(_SELECTED)
    name = environment or globally or EnvironmentName.LOCAL
    return Command(name, json_only=as_json or json_globally or select is not None, select=select)


def _select(context: typer.Context, value: str | None) -> None:
    """Keep what --fields names for `command`. Raises WrongUse for what is no field, with those there are."""
    if value is None or context.resilient_parsing:
        return
    document = DOCUMENTS[_words(context)]
    names = [name.strip() for name in value.split(",")]
    unknown = [name for name in names if name not in document.fields]
    if unknown:
        fault = f"There is no field {', '.join(unknown)}." if all(unknown) else "--fields wants names, separated by commas."
        raise WrongUse(fault, next_step=document.told)
    context.meta[_SELECTED] = lambda told: document.select(names, told)


FieldsOption = Annotated[
    str | None,
    typer.Option(
        "--fields",
        metavar="NAME,...",
        help="Print these fields only, as JSON.",
        callback=_select,
        expose_value=False,
        show_default=False,
    ),
]


def _words(context: typer.Context) -> str:
    """The verb as it is typed, as in `jobs list`."""
    return context.command_path.removeprefix(context.find_root().command_path).strip()


def tell_fields(verbs: Mapping[str, TyperCommand]) -> None:
    """Give every verb that has a document `--fields`, and name the fields in its help."""
    template = typer.Typer()

    @template.command()
    def _(fields: FieldsOption = None) -> None: ...

    (option,) = (each for each in typer.main.get_command(template).params if each.name == "fields")
    for words in DOCUMENTS.keys() & verbs.keys():
        verbs[words].params.append(option)
        verbs[words].epilog = DOCUMENTS[words].told


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
