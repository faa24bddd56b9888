"""The configuration of the pipelines."""

from typing import Annotated

import typer

from operator_cli.verbs import options
from operator_cli.verbs.options import EnvironmentOption, JsonOption, LimitOption

app = typer.Typer()
config_app = typer.Typer(help="The configuration of the pipelines.")
app.add_typer(config_app, name="config")


@config_app.command("history")
def config_history(
    context: typer.Context, limit: LimitOption = 20, environment: EnvironmentOption = None, as_json: JsonOption = False
) -> None:
    """Show who changed what in the configuration, the newest first."""
    from operator_cli import configuration

    command = options.command(context, environment, as_json)
    with command.service() as (api, _):
        found = configuration.history(api, limit)
    command.show_versions(found)


@config_app.command("restore")
def config_restore(
    context: typer.Context,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="Its number in the history; 0: HeartMAP's own.", min=0)],
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the values of an earlier version back, as the next version.

    \b
    heartmapctl config restore 3
    """
    from operator_cli import configuration

    command = options.command(context, environment, as_json)
    with command.service() as (api, _):
        current = configuration.restore(api, version)
    told = f"Version {current.version} has the values of version {version}."
    command.output.result(current.model_dump(mode="json"), lambda: command.output.text(told))
