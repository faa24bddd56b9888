"""API keys of programs."""

from pathlib import Path
from typing import Annotated

import typer

from operator_cli.errors import WrongUse
from operator_cli.verbs import options
from operator_cli.verbs.options import EnvironmentOption, JsonOption
from operator_cli.vocabulary import Scope

app = typer.Typer()
keys = typer.Typer(help="API keys, with which programs call. For administrators.")
app.add_typer(keys, name="keys")

SignWithOption = Annotated[
    Path | None,
    typer.Option(
        "--sign-with",
        metavar="FILE",
        help="Take only calls that are signed with the Ed25519 key in this PEM file, which is made where there is none.",
        show_default=False,
        dir_okay=False,
    ),
]
KeyArgument = Annotated[
    str, typer.Argument(metavar="KEY_ID", help="The id of a key, as `heartmapctl keys list` shows it.", show_default=False)
]


@keys.command("create")
def keys_create(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The program's name: lower-case letters, digits, hyphens.", show_default=False)
    ],
    scope: Annotated[
        list[Scope],
        typer.Option(
            "--scope", metavar="SCOPE", help=f"What the key opens: {', '.join(Scope)}; may be repeated.", show_default=False
        ),
    ],
    expires_in_days: Annotated[
        int | None,
        typer.Option(
            "--expires-in-days", metavar="N", help="Days until it ends (default: 90).", min=1, max=365, show_default=False
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="CIDR", help="Addresses that it may be used from (default: any); may be repeated."),
    ] = None,
    sign_with: SignWithOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an API key for a program. It is printed once.

    \b
    heartmapctl keys create nightly --scope analyses:read --scope uploads:write
    heartmapctl keys create settings --scope config:write --sign-with settings.pem --from 192.0.2.0/24
    """
    from operator_cli import keys as api_keys

    api_keys.check_name(name)
    ranges = api_keys.parse_ranges(source or [])
    command = options.command(context, environment, as_json)
    with command.service() as (api, _):
        registered = api_keys.signing_key(command.output, sign_with)
        made = api_keys.create(api, name, scope, days=expires_in_days, ranges=ranges, registered=registered)
    command.show_new_key(made, sign_with)


@keys.command("list")
def keys_list(context: typer.Context, environment: EnvironmentOption = None, as_json: JsonOption = False) -> None:
    """List the API keys, and those that ended within the last 30 days.

    The states: active; ending (another has taken its place, and it goes on until its end); revoked; ended.

    \b
    heartmapctl keys list
    """
    from operator_cli import keys as api_keys

    command = options.command(context, environment, as_json)
    with command.service() as (api, _):
        found = api_keys.every(api)
    command.show_keys(found)


@keys.command("rotate")
def keys_rotate(
    context: typer.Context,
    key: KeyArgument,
    overlap_hours: Annotated[
        int | None,
        typer.Option(
            "--overlap-hours",
            metavar="N",
            help="Hours for which the old key goes on (default: 24).",
            min=0,
            max=168,
            show_default=False,
        ),
    ] = None,
    sign_with: SignWithOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key that takes another's place, with its name, scopes, addresses and lifetime. It is printed once.

    \b
    heartmapctl keys rotate 01J8ZQ4Y7M3W5X9K2B6C1D0EFG --overlap-hours 2
    """
    from operator_cli import keys as api_keys

    key_id = _key_id(key)
    command = options.command(context, environment, as_json)
    with command.service() as (api, _):
        registered = api_keys.signing_key(command.output, sign_with)
        made = api_keys.rotate(api, key_id, hours=overlap_hours, registered=registered)
    command.show_new_key(made, sign_with)


@keys.command("revoke")
def keys_revoke(
    context: typer.Context,
    key: KeyArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """End an API key at once, for ever.

    \b
    heartmapctl keys revoke 01J8ZQ4Y7M3W5X9K2B6C1D0EFG
    heartmapctl keys revoke 01J8ZQ4Y7M3W5X9K2B6C1D0EFG --yes
    """
    from operator_cli import keys as api_keys

    key_id = _key_id(key)
    command = options.command(context, environment, as_json)
    if not yes:
        options.confirm(f"Revoke the key {key_id} of the {command.environment.name} environment for ever?")
    with command.service() as (api, _):
        revoked = api_keys.revoke(api, key_id)
    command.show_revoked_key(revoked)


def _key_id(text: str) -> str:
    if not options.is_id(text):
        raise WrongUse("KEY_ID is an id of 26 letters and digits, as `heartmapctl keys list` shows it.")
    return text
