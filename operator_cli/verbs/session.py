"""Signing in and out, and who that is."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from operator_cli.verbs import options
from operator_cli.verbs.options import EnvironmentOption, JsonOption
from operator_cli.vocabulary import Role

if TYPE_CHECKING:
    from operator_cli.command import Command
    from operator_cli.credentials import ApiKey
    from operator_cli.tokens import Tokens

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
    _show_session(command)
    if command.api_key is not None:
        command.output.note("An API key is set in this shell: other commands call with it, and not with this session.")


@app.command()
def logout(context: typer.Context, environment: EnvironmentOption = None, as_json: JsonOption = False) -> None:
    """Sign out: end the session at the user pool and forget it here.

    \b
    heartmapctl logout --environment dev
    """
    command = options.command(context, environment, as_json)
    was_signed_in = command.session.end()
    name = command.environment.name
    told = f"Signed out of the {name} environment." if was_signed_in else f"Was not signed in to the {name} environment."
    command.output.result({"environment": name, "signed_out": was_signed_in}, lambda: command.output.text(told))


@app.command()
def whoami(context: typer.Context, environment: EnvironmentOption = None, as_json: JsonOption = False) -> None:
    """Show who is signed in, or whose API key is set.

    It tells until when, what is missing, and the command that repairs it.

    \b
    heartmapctl whoami
    heartmapctl whoami --environment dev --json
    """
    command = options.command(context, environment, as_json)
    key = command.api_key
    if key is None:
        _show_session(command)
    else:
        _show_key(command, key)


@app.command()
def token(context: typer.Context, environment: EnvironmentOption = None, as_json: JsonOption = False) -> None:
    """Print a valid access token of the session, renewed where needed. Keep it secret.

    \b
    heartmapctl token
    curl --cacert .local/tls/ca.pem -H "Authorization: Bearer $(heartmapctl token)" https://localhost:8443/models
    """
    command = options.command(context, environment, as_json)
    tokens = command.session.tokens()
    document = {"access_token": tokens.access_token, "expires_at": tokens.expires_at}
    command.output.result(document, lambda: command.output.text(tokens.access_token))


def _show_session(command: "Command") -> None:
    """Who is signed in, and what is missing. Raises NotSignedIn when nobody is."""
    session, environment = command.session, command.environment
    tokens, place = session.tokens(), session.place()
    claims = tokens.claims
    groups, signed_in_at = claims.get("cognito:groups") or [], claims.get("auth_time")
    missing = _missing(command, tokens)
    document = {
        "environment": environment.name,
        "api": environment.api,
        "username": claims.get("username"),
        "email": tokens.email,
        "groups": groups,
        "subject": claims.get("sub"),
        "signed_in_at": signed_in_at,
        "expires_at": tokens.expires_at,
        "stored_in": place,
        "missing": [{"what": what, "repair": repair} for what, repair in missing],
    }
    rows = [
        ("environment", f"{environment.name} ({environment.api})"),
        ("user", claims.get("username")),
        ("e-mail", tokens.email if tokens.email != claims.get("username") else None),
        ("groups", ", ".join(map(str, groups)) or "none"),
        ("signed in", _ago(signed_in_at)),
        ("token until", f"{_local_time(tokens.expires_at)}, then renewed by itself"),
        ("session in", session.file if place == "file" else "the system keyring"),
    ]

    def show() -> None:
        command.output.fields([row for row in rows if row[1] is not None])
        for what, repair in missing:
            command.output.note(f"{what}\n  {repair}")

    command.output.result(document, show)


def _missing(command: "Command", tokens: "Tokens") -> list[tuple[str, str]]:
    """What the session cannot do, in words, and the command that repairs it."""
    from lambda_authorizer.access_policy import ADMIN, GROUPS, STEP_UP_AGE

    claims, environment = tokens.claims, command.environment
    groups = set(claims.get("cognito:groups") or [])
    found: list[tuple[str, str]] = []
    if not groups & set(GROUPS):
        what = "You are in none of the groups, so that nothing is open to you. Ask an administrator, who runs:"
        found.append((what, environment.command("users", "set-group", str(claims.get("username")), "viewer")))
    signed_in_at = claims.get("auth_time")
    if ADMIN in groups and isinstance(signed_in_at, int) and time.time() - signed_in_at > STEP_UP_AGE:
        what = f"What administrators change needs a sign-in of the last {STEP_UP_AGE // 60} minutes. Sign in again:"
        found.append((what, environment.command("login")))
    return found


def _show_key(command: "Command", key: "ApiKey") -> None:
    document = {
        "environment": command.environment.name,
        "api": command.environment.api,
        "key_id": key.key_id,
        "signed": key.signs,
        "key_from": key.source,
    }
    rows = [
        ("environment", f"{command.environment.name} ({command.environment.api})"),
        ("API key", key.key_id),
        ("key from", key.source),
        ("signs calls", "yes" if key.signs else "no"),
    ]
    command.output.result(document, lambda: command.output.fields(rows))


def _local_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(seconds))


def _ago(seconds: Any) -> str | None:
    if not isinstance(seconds, int):
        return None
    minutes = max(int(time.time() - seconds), 0) // 60
    hours, rest = divmod(minutes, 60)
    lasting = f"{hours} h {rest} min" if hours else f"{rest} min"
    return f"{_local_time(seconds)}, {lasting} ago"
