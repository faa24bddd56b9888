"""The Client VPN's certificates: its authority, profiles for people, and taking them back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from operator_cli.verbs import options
from operator_cli.verbs.options import EnvironmentOption, JsonOption

if TYPE_CHECKING:
    from operator_cli.command import Command
    from operator_cli.operations.stack import Stack
    from operator_cli.operations.vpn_authority import Authority

app = typer.Typer()
vpn = typer.Typer(help="The VPN's certificates: for whoever has the stack's AWS credentials.")
app.add_typer(vpn, name="vpn")

LONGEST_DAYS = 825

AuthorityOption = Annotated[
    Path | None,
    typer.Option(
        "--authority",
        metavar="DIR",
        help="The directory of the authority that signs (default: one of yours for each environment).",
        show_default=False,
        file_okay=False,
    ),
]
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Whose it is: an e-mail address, or a machine's name.", show_default=False)
]


@vpn.command("setup")
def setup(
    context: typer.Context,
    authority: AuthorityOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the authority that signs the VPN's certificates, and put the endpoint's certificate into ACM.

    It asks for the passphrase that locks the authority's key, or reads it from standard input. Run again, it renews the
    endpoint's certificate: the authority stays, and so do all profiles.

    \b
    heartmapctl vpn setup --environment dev
    heartmapctl vpn setup --environment prod --authority /media/key/heartmap-vpn
    """
    from operator_cli.operations import vpn as certificates
    from operator_cli.operations.vpn_authority import Authority
    from operator_cli.terminal import secret

    command = options.command(context, environment, as_json)
    stack, directory = _place(command, authority)
    if Authority.exists(directory):
        signer = _unlocked(directory)
    else:
        passphrase = secret("A passphrase for the new authority's key", twice=True)
        signer = Authority.create(directory, f"HeartMAP VPN, {stack.name}", passphrase)
    server = certificates.import_server(stack, signer)
    settings = {
        "heartmap:vpn": "certificate",
        "heartmap:vpn_server_certificate_arn": server.arn,
        # The chain by which clients are known is the same authority's.
        "heartmap:vpn_client_certificate_arn": server.arn,
    }
    document = {"authority": str(directory), "certificate": server.arn, "ends": server.ends, "renewed": server.renewed}

    def show() -> None:
        command.output.fields(list(document.items()))
        if server.renewed:
            command.output.note("The endpoint takes it over by itself, within a day.")
            return
        command.output.note(
            f"\nWrite into Pulumi.{stack.name}.yaml, with heartmap:vpn_cidr, a range for the clients, and deploy:"
        )
        for name, value in settings.items():
            command.output.note(f"  {name}: {value}")
        command.output.note("Keep a copy of the authority, and its passphrase elsewhere: without them nobody is revoked.")

    command.output.result({**document, "settings": settings}, show)


@vpn.command("profile")
def profile(
    context: typer.Context,
    name: NameArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="The new file (default: NAME.ovpn).", show_default=False, dir_okay=False),
    ] = None,
    days: Annotated[int, typer.Option("--days", metavar="N", help="How long it is good.", min=1, max=LONGEST_DAYS)] = 365,
    authority: AuthorityOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the file with which one person or machine connects: AWS's client takes it, and OpenVPN.

    It holds their key. Hand it over so that nobody else reads it, and delete it here.

    \b
    heartmapctl vpn profile ada@example.org --environment dev
    heartmapctl vpn profile backup-host --days 30 --output backup-host.ovpn --environment dev
    """
    from operator_cli.operations import vpn as certificates
    from operator_cli.operations.vpn_authority import checked_name

    command = options.command(context, environment, as_json)
    checked_name(name)
    file = output or Path(f"{name}.ovpn")
    stack, directory = _place(command, authority)
    endpoint = certificates.Endpoint(stack)
    issued = certificates.write_profile(stack, endpoint, _unlocked(directory), name, days, file)
    document = {"profile": str(file), "name": name, "serial": issued.serial, "ends": issued.ends}
    command.output.result(document, lambda: command.output.fields(list(document.items())))


@vpn.command("revoke")
def revoke(
    context: typer.Context,
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    authority: AuthorityOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back every profile of a name. AWS then closes all connections of the VPN, and the others connect anew.

    \b
    heartmapctl vpn revoke ada@example.org --environment dev
    """
    from operator_cli.operations import vpn as certificates

    command = options.command(context, environment, as_json)
    stack, directory = _place(command, authority)
    endpoint = certificates.Endpoint(stack)
    if not yes:
        options.confirm(f"Take back every profile of {name} in the {command.name} environment?")
    revoked = certificates.revoke(endpoint, _unlocked(directory), name)
    document = {"name": name, "serials": revoked.serials, "listed": revoked.listed}
    rows = [("name", name), ("serials", ", ".join(revoked.serials)), ("listed", revoked.listed)]
    command.output.result(document, lambda: command.output.fields(rows))


def _place(command: "Command", authority: Path | None) -> "tuple[Stack, Path]":
    """The stack, and the directory of its authority. Raises CliError in local, where there is no VPN."""
    from platformdirs import user_data_path

    from operator_cli import APPLICATION
    from operator_cli.errors import CliError
    from operator_cli.operations.stack import load
    from operator_cli.vocabulary import EnvironmentName

    if command.name is EnvironmentName.LOCAL:
        raise CliError(
            "The local environment has no VPN: whatever belongs to it listens on this machine.",
            code="no_vpn",
            next_step="Name another one: --environment dev",
        )
    return load(command.name), authority or user_data_path(APPLICATION, appauthor=False) / "vpn" / command.name


def _unlocked(directory: Path) -> "Authority":
    from operator_cli.operations.vpn_authority import Authority
    from operator_cli.terminal import secret

    return Authority.unlock(directory, secret("The passphrase of the authority's key") if Authority.exists(directory) else "")
