"""Data sets: sent, listed, shared."""

from pathlib import Path
from typing import Annotated

import typer

from operator_cli.errors import WrongUse
from operator_cli.verbs import options
from operator_cli.verbs.options import EnvironmentOption, JsonOption, LimitOption, SharedWithArgument, VisibilityOption

app = typer.Typer()
uploads_app = typer.Typer(help="Data sets on the server.")
app.add_typer(uploads_app, name="uploads")


@app.command()
def upload(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A data set, .h5ad.", show_default=False)] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source", metavar="s3://BUCKET/KEY", help="Have it copied from a bucket that the environment allows, without FILE."
        ),
    ] = None,
    visibility: VisibilityOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the service accepted or rejected it.")] = False,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a data set straight to the environment's storage.

    A large one goes in parts, several at a time. What broke off, by Ctrl-C or otherwise, goes on where it was when the same
    command is run again.

    \b
    heartmapctl upload cells.h5ad --wait
    heartmapctl upload --source s3://atlas/heart/cells.h5ad --visibility shared
    """
    from operator_cli import uploads

    command = options.command(context, environment, as_json)
    if (file is None) == (source is None):
        raise WrongUse("Give either FILE or --source.")
    seen_by = uploads.parse_visibility(visibility)
    if file is not None:
        uploads.size_of(file)
    with command.service() as (api, storage):
        if file is not None:
            upload_id = uploads.send(api, storage, command.output, file, seen_by)
        else:
            upload_id = uploads.copy(api, source or "", seen_by)
        state = "pending"
        if wait:
            state = uploads.wait_until_checked(api, command.output, upload_id).state
    command.output.result(
        {"upload_id": upload_id, "state": state}, lambda: command.output.fields([("upload", upload_id), ("state", state)])
    )


@uploads_app.command("list")
def uploads_list(
    context: typer.Context, limit: LimitOption = 100, environment: EnvironmentOption = None, as_json: JsonOption = False
) -> None:
    """List the uploads that you may see, the newest first.

    \b
    heartmapctl uploads list --limit 5
    """
    from operator_cli import uploads

    command = options.command(context, environment, as_json)
    with command.service() as (api, _):
        found = uploads.every(api, limit)
    command.show_uploads(found)


@uploads_app.command("share")
def uploads_share(
    context: typer.Context,
    upload_id: Annotated[str, typer.Argument(metavar="UPLOAD", help="The id of an upload.", show_default=False)],
    visibility: SharedWithArgument,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say who may see an upload and analyse it.

    \b
    heartmapctl uploads share 01J8ZQ4Y7M3W5X9K2B6C1D0EFG shared
    """
    from operator_cli import uploads

    if not options.is_id(upload_id):
        raise WrongUse("UPLOAD is an id of 26 letters and digits, as `heartmapctl uploads list` shows it.")
    seen_by = uploads.parse_visibility(visibility)
    command = options.command(context, environment, as_json)
    with command.service() as (api, _):
        shared = uploads.share(api, upload_id, seen_by or "private")
    command.show_upload(shared)
