"""The configuration of the pipelines."""

from typing import TYPE_CHECKING, Annotated

import typer

from operator_cli.verbs import options
from operator_cli.verbs.options import EnvironmentOption, JsonOption, LimitOption

if TYPE_CHECKING:
    from operator_cli.answers import Configuration, FieldChange
    from operator_cli.output import Output

app = typer.Typer()
config_app = typer.Typer(help="The configuration of the pipelines.")
app.add_typer(config_app, name="config")


@config_app.command("show")
def config_show(context: typer.Context, environment: EnvironmentOption = None, as_json: JsonOption = False) -> None:
    """Show the configuration, its version and who changed it last.

    \b
    heartmapctl config show
    """
    from operator_cli import configuration

    command = options.command(context, environment, as_json)
    with command.service() as (api, _):
        current = configuration.see(api).current
    command.output.result(current.document(), lambda: _show(command.output, current))


@config_app.command("set")
def config_set(
    context: typer.Context,
    settings: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE...", help="What to change; a value that reads as JSON is that, as 0.8 or null.", show_default=False
        ),
    ],
    if_version: Annotated[
        int | None,
        typer.Option(
            "--if-version",
            metavar="VERSION",
            help="Change it only while it is at this version, which you have looked at.",
            min=0,
            show_default=False,
        ),
    ] = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change the configuration, for the analyses started from now on. What it was and becomes is shown. For administrators.

    Refused when somebody else changed it meanwhile. `heartmapctl config restore` brings an earlier version back.

    \b
    heartmapctl config set resolution=0.8 max_cells_subset=null
    heartmapctl config set min_genes=250 --if-version 3
    """
    from operator_cli import configuration, pairs

    values = pairs.parse(settings, "KEY=VALUE", "resolution=0.8")
    command = options.command(context, environment, as_json)
    with command.service() as (api, _):
        seen = configuration.see(api)
        configuration.require_version(seen, if_version)
        wanted = configuration.changes(seen, values)
        current = configuration.change(api, seen, wanted) if wanted else seen.current
    document = {**current.document(), "changes": [each.model_dump(mode="json", by_alias=True) for each in wanted]}
    command.output.result(document, lambda: _show_changes(command.output, current, wanted))


@config_app.command("history")
def config_history(
    context: typer.Context, limit: LimitOption = 20, environment: EnvironmentOption = None, as_json: JsonOption = False
) -> None:
    """Show who changed what in the configuration, the newest first.

    \b
    heartmapctl config history --limit 5
    """
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
    """Bring the values of an earlier version back, as the next version. For administrators.

    \b
    heartmapctl config restore 3
    """
    from operator_cli import configuration

    command = options.command(context, environment, as_json)
    with command.service() as (api, _):
        current = configuration.restore(api, version)
    told = f"Version {current.version} has the values of version {version}."
    command.output.result(current.model_dump(mode="json"), lambda: command.output.text(told))


def _show(output: "Output", current: "Configuration") -> None:
    from operator_cli.output import as_json as in_json

    rows: list[tuple[str, object]] = [
        ("version", current.version),
        ("changed by", current.changed_by or "nobody: HeartMAP's own"),
    ]
    if current.changed_at:
        rows.append(("changed at", current.changed_at))
    output.fields([*rows, *((name, in_json(value)) for name, value in current.config.items())])


def _show_changes(output: "Output", current: "Configuration", changes: "list[FieldChange]") -> None:
    from operator_cli.output import as_json as in_json

    if not changes:
        output.note(f"Nothing to change: version {current.version} has these values.")
        return
    output.table(("SETTING", "WAS", "IS"), [(each.field, in_json(each.before), in_json(each.after)) for each in changes])
    output.note(f"The configuration is at version {current.version} now.")
