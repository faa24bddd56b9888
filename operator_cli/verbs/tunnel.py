"""A way to the internal load balancer."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from operator_cli.errors import CliError, WrongUse
from operator_cli.verbs import options
from operator_cli.verbs.options import EnvironmentOption, JsonOption

if TYPE_CHECKING:
    from operator_cli.command import Command
    from operator_cli.tunnel import Tunnel

app = typer.Typer()


@app.command("tunnel")
def tunnel(
    context: typer.Context,
    local_port: Annotated[
        int, typer.Option("--local-port", help="The port of this machine to listen on; 0: any that is free.", min=0, max=65535)
    ] = 9443,
    ssh: Annotated[bool, typer.Option("--ssh", help="Forward by ssh -L, with Session Manager as its proxy.")] = False,
    identity: Annotated[
        Path | None,
        typer.Option(
            "--identity",
            metavar="FILE",
            help="With --ssh: the private key to use, its public part beside it (default: one made for this tunnel alone).",
            show_default=False,
            dir_okay=False,
        ),
    ] = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open a port that leads to the internal load balancer, through the bastion, until Ctrl-C.

    It needs an AWS identity with the stack's policy for operators, and AWS's Session Manager plugin (docs/access.md).

    \b
    heartmapctl tunnel --environment dev
    heartmapctl tunnel --environment dev --ssh --local-port 0
    """
    command = options.command(context, environment, as_json)
    if identity is not None and not ssh:
        raise WrongUse("--identity is a key for SSH.", next_step="Add --ssh.")
    from operator_cli import bastion
    from operator_cli import tunnel as ways

    where = bastion.place(command.environment)
    reach = bastion.Bastion(where, command.output.note)
    known_hosts = command.environment.state_directory / "known_hosts"
    opening = ways.by_ssh(reach, where, local_port, identity, known_hosts) if ssh else ways.forwarded(reach, where, local_port)
    opened = False
    try:
        with ways.ended_by_signals(), opening as way:
            opened = True
            _show(command, way)
            way.wait()
    except KeyboardInterrupt:
        if not opened:
            raise
        command.output.note("The tunnel is closed.")
        return
    raise CliError(
        "The tunnel was closed from the other side: it was idle, the bastion was stopped, or the connection broke.",
        code="tunnel_closed",
        next_step=f"Open it again: {command.environment.command('tunnel')}",
    )


def _show(command: "Command", way: "Tunnel") -> None:
    document = {
        "url": way.url,
        "host": way.host,
        "port": way.port,
        "instance": way.instance,
        "session_id": way.session_id,
        "certificate": way.reached,
        "curl": way.curl,
    }

    def show() -> None:
        command.output.fields([("url", way.url), ("host", way.host), ("bastion", way.instance)])
        command.output.note("")
        command.output.note("Call it by the name in its certificate:")
        command.output.note(f"  {way.curl}")
        if way.reached is not way.reached.TRUSTED:
            command.output.note("Nobody vouches for that certificate (the stack has no domain), so curl is told not to ask.")
        command.output.note("Ctrl-C closes the tunnel.")

    command.output.result(document, show)
    # A program that reads it waits for the line, not for the end.
    sys.stdout.flush()
