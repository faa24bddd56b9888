"""Signing in and out, and who that is."""

from typing import Annotated

import typer

from operator_cli.verbs import options
from operator_cli.verbs.options import EnvironmentOption, JsonOption
from operator_cli.vocabulary import Role

app = typer.Typer()


@app.command()
def login(
    context: typer.Context,
    as_role: Annotated[
        Role | None, typer.Option("--as", help="Local only: sign in as that role's user, without typing.", show_default=False)
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the sign-in page in a browser.")] = True,
    timeout: Annotated[int, typer.Option(help="Seconds to wait for the sign-in.", min=1, max=600)] = 600,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign in, in a browser, with a password and a second factor.

    \b
    heartmapctl login --environment dev
    heartmapctl login --as analyst
    """
    command = options.command(context, environment, as_json)
    if as_role is not None:
        from operator_cli.local_sign_in import as_role as sign_in_as

        tokens = sign_in_as(command.environment, as_role)
    else:
        from operator_cli.sign_in import with_browser

        tokens = with_browser(command.environment, command.output, open_browser=browser, seconds=timeout)
    command.session.start(tokens)
    command.show_session()
    if command.api_key is not None:
        command.output.note("An API key is set in this shell: other commands call with it, and not with this session.")


@app.command()
def logout(context: typer.Context, environment: EnvironmentOption = None, as_json: JsonOption = False) -> None:
    """Sign out: end the session at the user pool and forget it here."""
    command = options.command(context, environment, as_json)
    was_signed_in = command.session.end()
    name = command.environment.name
    told = f"Signed out of the {name} environment." if was_signed_in else f"Was not signed in to the {name} environment."
    command.output.result({"environment": name, "signed_out": was_signed_in}, lambda: command.output.text(told))


@app.command()
def whoami(context: typer.Context, environment: EnvironmentOption = None, as_json: JsonOption = False) -> None:
    """Show who is signed in, with which groups, and until when; or which API key the environment variables name."""
    options.command(context, environment, as_json).show_caller()


@app.command()
def token(context: typer.Context, environment: EnvironmentOption = None, as_json: JsonOption = False) -> None:
    """Print a valid access token of the session, renewed where needed. Keep it secret.

    \b
    curl --cacert .local/tls/ca.pem -H "Authorization: Bearer $(heartmapctl token)" https://localhost:8443/models
    """
    command = options.command(context, environment, as_json)
    tokens = command.session.tokens()
    document = {"access_token": tokens.access_token, "expires_at": tokens.expires_at}
    command.output.result(document, lambda: command.output.text(tokens.access_token))
