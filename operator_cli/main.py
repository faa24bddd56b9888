"""The program: its verbs put together, and every failure turned into its message and exit code."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from operator_cli.errors import CliError, Interrupted, WrongUse
from operator_cli.verbs import analyses, config, data, keys, raw, session
from operator_cli.verbs.options import JsonOption
from operator_cli.vocabulary import EnvironmentName

HELP = """Analyse single-cell data of the heart with HeartMAP, on an environment that you sign in to.

\b
Begin with:
  heartmapctl login
  heartmapctl analyze cells.h5ad --type comprehensive --wait --output results

\b
Exit codes:
  0    done
  1    refused or failed
  2    wrong use
  3    not signed in, the session has ended or began too long ago, or the API key is not accepted
  130  interrupted; what was started on the server goes on

\b
Environment variables:
  HEARTMAP_ENVIRONMENT  local, dev or prod, where --environment does not say it
  HEARTMAP_LOCAL_STATE  the state directory of the local environment (default: .local in the checkout)
  NO_COLOR              no colour, whatever its value

\b
A program calls with an API key in place of a session (docs/api-keys.md):
  HEARTMAP_API_KEY            the key, as `heartmapctl keys create` printed it
  HEARTMAP_API_KEY_FILE       or the file that holds it
  HEARTMAP_SIGNING_KEY_FILE   the private key that its calls are signed with, where they have to be
"""

GlobalEnvironmentOption = Annotated[
    EnvironmentName | None,
    typer.Option(
        "--environment", envvar="HEARTMAP_ENVIRONMENT", help="Which environment to talk to (default: local).", show_default=False
    ),
]


class _Root(TyperGroup):
    """Turns every failure into its message, its document and its exit code."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        words = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        try:
            code = super().main(words, *rest, **extra)
            if code == Interrupted.exit_code:
                raise Interrupted("Interrupted.")
        except (CliError, typer.TyperException, OSError) as error:
            code = _tell(error, json_only="--json" in words)
        sys.exit(code if isinstance(code, int) else 0)


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


# Plain help: the rich one costs more than everything else that `--help` does. No rich tracebacks: they print local variables,
# and those are tokens.
app = typer.Typer(name="heartmapctl", cls=_Root, help=HELP, rich_markup_mode=None, pretty_exceptions_enable=False)
for module in (session, data, analyses, config, keys, raw):
    app.add_typer(module.app)


@app.callback()
def _globals(context: typer.Context, environment: GlobalEnvironmentOption = None, as_json: JsonOption = False) -> None:
    context.obj = (environment, as_json)


def main() -> None:
    """The entry point. Exits with the codes of the help text."""
    app()


if __name__ == "__main__":
    main()
