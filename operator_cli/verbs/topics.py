"""What is worth knowing beside the verbs: `heartmapctl help`."""

from typing import Annotated, NamedTuple

import typer

from operator_cli.errors import WrongUse
from operator_cli.verbs import options
from operator_cli.verbs.options import EnvironmentOption, JsonOption

app = typer.Typer()


class Topic(NamedTuple):
    """Names and what they mean."""

    summary: str
    entries: tuple[tuple[str, str], ...]


TOPICS = {
    "exit-codes": Topic(
        "What the exit code tells",
        (
            ("0", "done"),
            ("1", "refused or failed; an analysis that was watched failed or was cancelled"),
            ("2", "wrong use: the command line cannot be carried out as typed"),
            ("3", "not signed in, the session has ended or began too long ago, or the API key is not accepted"),
            ("130", "interrupted (Ctrl-C); what was started on the server goes on, and is named"),
        ),
    ),
    "environment": Topic(
        "The environment variables that are read; an option wins over its variable",
        (
            ("HEARTMAP_ENVIRONMENT", "local, dev or prod, where --environment does not say it"),
            ("HEARTMAP_LOCAL_STATE", "the state directory of the local environment (default: .local in the checkout)"),
            ("HEARTMAP_API_KEY", "an API key to call with in place of a session, as `heartmapctl keys create` printed it"),
            ("HEARTMAP_API_KEY_FILE", "or the file that holds it"),
            ("HEARTMAP_SIGNING_KEY_FILE", "the private key that an API key's calls are signed with, where they have to be"),
            ("NO_COLOR", "no colour, whatever its value; in a pipe there is none anyway"),
            ("BROWSER", "the browser that `heartmapctl login` opens"),
            ("HTTPS_PROXY, ALL_PROXY, NO_PROXY", "the proxy to call through, except to the local environment"),
            ("PYTHON_KEYRING_BACKEND", "where sessions are kept, in place of the system's keyring"),
            (
                "XDG_CONFIG_HOME, XDG_STATE_HOME",
                "where environments are described, and where sessions are kept without a keyring",
            ),
        ),
    ),
    "output": Topic(
        "What is printed for people, and what for programs",
        (
            ("on a terminal", "tables with a heading, progress with speed and time left"),
            ("in a pipe", "rows of cells with tabs between them, without a heading, colour or progress"),
            ("--json", "one JSON document on standard output and nothing else; a failure is {'error': {message, code, ...}}"),
            ("--fields NAME,...", "that document with these fields only; each verb's --help names its fields"),
            ("standard error", "what goes on, and failures: what was wrong, the code and the request id, what to do next"),
        ),
    ),
}


@app.command("help")
def show_help(
    context: typer.Context,
    topic: Annotated[
        str | None, typer.Argument(metavar="[TOPIC]", help=f"{', '.join(TOPICS)}; none: which there are.", show_default=False)
    ] = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain exit codes, environment variables, and output for programs.

    \b
    heartmapctl help exit-codes
    heartmapctl help environment
    heartmapctl help output
    """
    output = options.command(context, environment, as_json).output
    if topic is not None and topic not in TOPICS:
        raise WrongUse(f"There is no topic {topic}.", next_step=f"There are: {', '.join(TOPICS)}; or COMMAND --help.")
    shown = TOPICS[topic] if topic else Topic("The topics", tuple((name, each.summary) for name, each in TOPICS.items()))
    document = {"topic": topic, "entries": [{"name": name, "meaning": meaning} for name, meaning in shown.entries]}

    def show() -> None:
        output.text(f"{shown.summary}.\n")
        output.fields(shown.entries)

    output.result(document, show)
