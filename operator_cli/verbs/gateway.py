"""Other gateways than AWS's: their configuration, and who may pass them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from operator_cli.errors import CliError, WrongUse
from operator_cli.verbs import options
from operator_cli.verbs.options import EnvironmentOption, JsonOption
from operator_cli.vocabulary import EnvironmentName, Scope

if TYPE_CHECKING:
    from gateways.model import Gateway

app = typer.Typer()
gateway = typer.Typer(help="Configuration for nginx, Apache, Traefik, Kong or Azure API Management.")
app.add_typer(gateway, name="gateway")


class Kind(StrEnum):
    """The gateways there are; ``gateways.render.KINDS`` renders each."""

    NGINX = "nginx"
    APACHE = "apache"
    TRAEFIK = "traefik"
    KONG = "kong"
    AZURE_APIM = "azure-apim"


@gateway.command("render")
def render(
    context: typer.Context,
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help=f"One of {', '.join(Kind)}.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where the files are put.", show_default=False, file_okay=False)
    ],
    server_name: Annotated[
        str, typer.Option("--server-name", metavar="HOST", help="The name that callers use.", show_default=False)
    ],
    upstream: Annotated[
        str, typer.Option("--upstream", metavar="URL", help="The service: https://HOST:PORT.", show_default=False)
    ] = "https://127.0.0.1:8443",
    upstream_ca: Annotated[
        str | None,
        typer.Option("--upstream-ca", metavar="FILE", help="What its certificate is verified by (default: the system's)."),
    ] = None,
    upstream_host: Annotated[
        str | None, typer.Option("--upstream-host", metavar="HOST", help="The name in its certificate (default: its host).")
    ] = None,
    certificate: Annotated[
        str, typer.Option("--certificate", metavar="FILE", help="The gateway's certificate, with its chain, there.")
    ] = "/etc/heartmap/certificate.pem",
    key: Annotated[str, typer.Option("--key", metavar="FILE", help="Its private key, there.")] = "/etc/heartmap/key.pem",
    listen: Annotated[
        list[str] | None,
        typer.Option("--listen", metavar="ADDRESS:PORT", help="Where it listens (default: port 443 of all); may be repeated."),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", metavar="CIDR", help="Addresses that may call (default: the stack's); may be repeated."),
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option("--trusted-proxy", metavar="CIDR", help="What stands in front of the gateway; may be repeated."),
    ] = None,
    decision: Annotated[
        str | None,
        typer.Option("--decision", metavar="URL", help="For Traefik: who decides, https://HOST:PORT (see docs/gateways.md)."),
    ] = None,
    basic_auth: Annotated[
        bool, typer.Option("--basic-auth/--no-basic-auth", help="Ask for a password too, in nginx and Apache.")
    ] = False,
    password_file: Annotated[
        str | None, typer.Option("--password-file", metavar="FILE", help="The file of passwords, there.")
    ] = None,
    client_rate: Annotated[
        int | None,
        typer.Option("--client-rate", metavar="N", help="Requests a minute from one address (default: the stack's)."),
    ] = None,
    log_directory: Annotated[
        str | None, typer.Option("--log-directory", metavar="DIR", help="Where it logs (default: where its package does).")
    ] = None,
    outputs: Annotated[
        Path | None,
        typer.Option(
            "--outputs",
            metavar="FILE",
            help="What `pulumi stack output --json` printed (default: the environment's).",
            dir_okay=False,
        ),
    ] = None,
    jwks: Annotated[
        Path | None,
        typer.Option("--jwks", metavar="FILE", help="For Kong: the user pool's keys (default: fetched).", dir_okay=False),
    ] = None,
    gateway_keys: Annotated[
        Path | None,
        typer.Option("--gateway-keys", metavar="FILE", help="For Kong: what `gateway key` wrote.", dir_okay=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files of others too.")] = False,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a gateway's configuration out of the access policy and the stack's outputs.

    It is plain text with comments, and never to be edited: render it anew when the policy or the stack has changed.

    \b
    heartmapctl gateway render nginx --environment prod --server-name heartmap.example.org --out nginx
    heartmapctl gateway render apache --server-name heartmap.example.org --allow 192.0.2.0/24 --basic-auth --out apache
    """
    from gateways import render as renderings
    from gateways import writing
    from gateways.model import Options, from_stack

    command = options.command(context, environment, as_json)
    wanted = Options(
        server_name=server_name,
        upstream=upstream,
        upstream_ca=upstream_ca,
        upstream_host=upstream_host,
        certificate=certificate,
        key=key,
        environment=command.name,
        listen=tuple(listen or ()),
        allow=tuple(allow or ()),
        trusted_proxies=tuple(trusted_proxy or ()),
        decision=decision,
        basic_auth=basic_auth,
        password_file=password_file,
        client_rate=client_rate,
        log_directory=log_directory,
    )
    with _told():
        made = from_stack(_outputs(command.name, outputs), wanted)
        if kind is Kind.KONG:
            made = _with_keys(made, jwks, gateway_keys)
        written = writing.write(out, renderings.render(kind, made), force=force)
    names = [str(file) for file in written]
    command.output.result({"kind": kind, "files": names}, lambda: command.output.text("\n".join(names)))


@gateway.command("password")
def password(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file of passwords.", show_default=False, dir_okay=False)],
    user: Annotated[str, typer.Argument(metavar="USER", help="Whose password it is.", show_default=False)],
    ask: Annotated[bool, typer.Option("--ask", help="Take one that is typed, or standard input's first line.")] = False,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give somebody a password for nginx's or Apache's basic authentication. It is printed once; the file has a hash of it.

    It stands in front of the service's own sign-in, and is no part of that. One that is typed costs each call more time.

    \b
    heartmapctl gateway password passwords alice
    heartmapctl gateway password passwords bob --ask
    """
    from gateways import passwords
    from operator_cli.terminal import secret

    command = options.command(context, environment, as_json)
    given = secret("Password", twice=True) if ask else passwords.generate()
    with _told():
        changed = passwords.change(file, user, given, cost=passwords.TYPED_COST if ask else passwords.GENERATED_COST)
    command.output.note(f"{user} is {'changed' if changed else 'added'} in {file}.")
    document = {"user": user, "file": str(file), "changed": changed, "password": None if ask else given}
    command.output.result(document, lambda: None if ask else command.output.text(given))


@gateway.command("key")
def gateway_key(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file of gateway keys.", show_default=False, dir_okay=False)],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The program's name.", show_default=False)],
    scope: Annotated[
        list[Scope],
        typer.Option(
            "--scope", metavar="SCOPE", help=f"What the key opens: {', '.join(Scope)}; may be repeated.", show_default=False
        ),
    ],
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key by which a program passes Kong, in the place of the one it had. It is printed once; the file has a digest of it.

    It stands in front of the service's own API key, and is no part of that.

    \b
    heartmapctl gateway key gateway-keys.json nightly --scope analyses:read --scope uploads:write
    """
    from gateways.kong import keys

    command = options.command(context, environment, as_json)
    with _told():
        made = keys.add(file, name, scope)
    command.output.result({"name": name, "file": str(file), "key": made}, lambda: command.output.text(made))


def _outputs(name: EnvironmentName, file: Path | None) -> Mapping[str, Any]:
    if file is None:
        from operator_cli.operations.stack import load

        return load(name).outputs
    import json

    try:
        found = json.loads(file.read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise CliError(f"{file} is not a JSON object.", next_step="Write it with: pulumi stack output --json")
    return found


def _with_keys(made: "Gateway", jwks: Path | None, gateway_keys: Path | None) -> "Gateway":
    """Kong verifies tokens by keys that it is given, and knows programs by keys of its own."""
    from dataclasses import replace

    from gateways import writing
    from gateways.kong import keys

    document = _fetch(made.jwks_url) if jwks is None else jwks.read_bytes()
    programs = () if gateway_keys is None else keys.programs(writing.read(gateway_keys))
    return replace(made, signing_keys=keys.signing_keys(document), programs=programs)


def _fetch(url: str) -> bytes:
    import httpx

    try:
        return httpx.get(url, timeout=10).raise_for_status().content
    except httpx.HTTPError:
        raise CliError(f"The user pool's keys could not be fetched from {url}.", next_step="Give them by --jwks FILE.") from None


@contextmanager
def _told() -> Iterator[None]:
    """What a rendering cannot be made of is wrong use."""
    from gateways.model import GatewayError

    try:
        yield
    except GatewayError as error:
        raise WrongUse(str(error)) from None
