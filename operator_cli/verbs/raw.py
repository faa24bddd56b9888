"""Calls of the service as they are."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from operator_cli.errors import WrongUse
from operator_cli.verbs import options
from operator_cli.verbs.options import EnvironmentOption, JsonOption

app = typer.Typer()


@app.command("api")
def api_call(
    context: typer.Context,
    method: Annotated[str, typer.Argument(metavar="METHOD", help="GET, POST, PATCH, DELETE, ...", show_default=False)],
    path: Annotated[str, typer.Argument(metavar="PATH", help="A path of the service, as in /models.", show_default=False)],
    data: Annotated[
        str | None, typer.Option("--data", metavar="JSON|@FILE", help="The body: JSON, or the file that holds it.")
    ] = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Call the service and print its answer; exit code 1 when it is an error (400 or above).

    \b
    heartmapctl api GET /config
    heartmapctl api POST /config --data @config.json
    """
    command = options.command(context, environment, as_json)
    if not re.fullmatch(r"[A-Za-z]{1,16}", method):
        raise WrongUse(f"{method} is not an HTTP method.")
    body = _json_body(data)
    with command.service() as (api, _):
        response = api.send(method.upper(), path, body)
    command.show_response(response)


def _json_body(data: str | None) -> Any:
    import json

    if data is None:
        return None
    try:
        return json.loads(Path(data[1:]).read_text() if data.startswith("@") else data)
    except OSError as error:
        raise WrongUse(f"--data {data} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise WrongUse("--data is not JSON.") from None
