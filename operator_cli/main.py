"""The program: its verbs put together, and every failure turned into its message and exit code."""

import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from operator_cli import APPLICATION, DISTRIBUTION
from operator_cli.errors import CliError, Interrupted, WrongUse
from operator_cli.verbs import (
    analyses,
    audit,
    config,
    console,
    data,
    doctor,
    gateway,
    keys,
    operate,
    preflight,
    raw,
    session,
    topics,
    tunnel,
    users,
    vpn,
)
from operator_cli.verbs.options import JsonOption, tell_fields
from operator_cli.vocabulary import EnvironmentName

HELP = """Analyse single-cell data of the heart with HeartMAP, on an environment that you sign in to.

\b
Begin with:
  heartmapctl login
  heartmapctl analyze cells.h5ad --type comprehensive --wait --output results

\b
When something does not work:
  heartmapctl doctor
"""
EPILOG = """\b
More:
  heartmapctl help            exit codes, environment variables, output
  heartmapctl COMMAND --help  what a command takes, with examples
"""

GlobalEnvironmentOption = Annotated[
    EnvironmentName | None,
    typer.Option(
        "--environment", envvar="HEARTMAP_ENVIRONMENT", help="Which environment to talk to (default: local).", show_default=False
    ),
]


class _Root(TyperGroup):
    """Turns every failure into its message, its document and its exit code; tells each verb's JSON fields."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        tell_fields(dict(leaves(self)))

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        words = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        try:
            code = super().main(words, *rest, **extra)
            if code == Interrupted.exit_code:
                raise Interrupted("Interrupted.")
        except (CliError, typer.TyperException, OSError) as error:
            code = _tell(error, json_only=any(word == "--json" or word.startswith("--fields") for word in words))
        sys.exit(code if isinstance(code, int) else 0)


def leaves(group: TyperGroup, *before: str) -> Iterator[tuple[str, TyperCommand]]:
    """Every verb, as it is typed."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from leaves(command, *before, name)
        elif isinstance(command, TyperCommand):
            yield " ".join((*before, name)), command


def _tell(error: CliError | typer.TyperException | OSError, *, json_only: bool) -> int:
    from operator_cli.output import report

    if isinstance(error, OSError):
        # Of this machine: a full disk, a directory that may not be read. It is the user's own, so it is named.
        error = CliError(": ".join(str(part) for part in (error.filename, error.strerror or "input or output failed") if part))
    elif not isinstance(error, CliError):
        context = getattr(error, "ctx", None)
        help_line = f"See: {context.command_path} --help" if context is not None else None
        error = WrongUse(_in_one_line(error), next_step=help_line)
    report(error, json_only=json_only)
    return error.exit_code


def _in_one_line(error: typer.TyperException) -> str:
    text = " ".join(error.format_message().split())
    # Where typer names the choices, pydantic begins the sentence.
    return text.replace(": Value error, ", ": ") or "A command is missing."


# Plain help: the rich one costs more than everything else that `--help` does, and its width is the same everywhere, since the
# root's is kept (see `__main__`). No rich tracebacks: they print local variables, and those are tokens.
app = typer.Typer(
    name=APPLICATION,
    cls=_Root,
    help=HELP,
    epilog=EPILOG,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"terminal_width": 80},
)
for module in (
    session,
    data,
    analyses,
    config,
    keys,
    users,
    audit,
    console,
    tunnel,
    vpn,
    gateway,
    raw,
    doctor,
    preflight,
    operate,
    topics,
):
    app.add_typer(module.app)


def _tell_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        sys.stdout.write(f"{APPLICATION} {version(DISTRIBUTION)}\n")
        raise typer.Exit


@app.callback()
def _globals(
    context: typer.Context,
    environment: GlobalEnvironmentOption = None,
    as_json: JsonOption = False,
    version: Annotated[  # noqa: ARG001  (its callback ends the program)
        bool, typer.Option("--version", help="Print the version and exit.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    context.obj = (environment, as_json)


def main() -> None:
    """Exits with the codes of `heartmapctl help exit-codes`."""
    # The name also of what `python -m` starts: completion and the kept help go by it.
    app(prog_name=APPLICATION)


if __name__ == "__main__":
    main()
