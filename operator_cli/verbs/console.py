"""The console: a web app for one person, on this machine."""

from typing import Annotated

import typer

from operator_cli.verbs import options

app = typer.Typer()


@app.command("console")
def console(
    context: typer.Context,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in a browser.")] = True,
    port: Annotated[
        int, typer.Option("--port", help="Port on the loopback; 0, the default, is any that is free.", min=0, max=65535)
    ] = 0,
    environment: options.EnvironmentOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Serve the console, a web app for you alone on this machine, until Ctrl-C.

    The address that it prints opens it once, within 10 minutes. With --json: one line, {"url": ...}.

    \b
    heartmapctl console
    heartmapctl console --no-browser --json
    """
    import contextlib
    import json
    import sys

    from operator_cli.console import serve

    command = options.command(context, environment, as_json)
    output = command.output
    with contextlib.ExitStack() as stack:
        show = stack.enter_context(serve.opened_in_browser(command.environment.state_directory)) if browser else None

        def ready(address: str) -> None:
            if as_json or context.obj[1]:
                output.text(json.dumps({"url": address}))
            else:
                output.text(address)
                output.note("The console is at this address, for this machine and once. Ctrl-C ends it.")
            sys.stdout.flush()
            if show is not None:
                show(address)

        serve.serve(command.environment, port=port, ready=ready, warn=output.note)
