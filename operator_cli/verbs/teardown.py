"""`heartmapctl operate teardown`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from operator_cli.verbs import options
from operator_cli.verbs.options import EnvironmentOption, JsonOption
from operator_cli.vocabulary import EnvironmentName

if TYPE_CHECKING:
    import pulumi.automation as auto

    from operator_cli.output import Output

PROJECT = Path(__file__).parents[2]
"""The checkout that heartmapctl is of, with the stack files."""


def teardown(
    context: typer.Context,
    account: Annotated[str, typer.Option("--account", help="The AWS account that the stack is in.", show_default=False)],
    backup: Annotated[
        str | None,
        typer.Option(
            "--backup", metavar="PLACE", help="A backup of today: a directory, or s3://BUCKET/PREFIX.", show_default=False
        ),
    ] = None,
    without_backup: Annotated[bool, typer.Option("--without-backup", help="Lose the data.")] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Only say what would be done.")] = False,
    confirm: Annotated[
        str | None, typer.Option("--confirm", metavar="TEXT", help="What would be asked to be typed.", show_default=False)
    ] = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Destroy a stack for good, after saying what goes and what stays.

    A stack that is protected, in another account, or of another name is refused; so is one without a backup of today.

    \b
    heartmapctl operate teardown --environment dev --account 123456789012 --preview
    heartmapctl operate teardown --environment dev --account 123456789012 --backup /backups/monday
    """
    import boto3

    from operator_cli.errors import WrongUse
    from operator_cli.operations import rotate
    from operator_cli.operations import teardown as tearing

    command = options.command(context, environment, as_json)
    if (environment or context.obj[0]) is None or command.name is EnvironmentName.LOCAL:
        raise WrongUse("Name the stack: --environment dev, or prod.", next_step="The local environment: make local-down")
    if not preview and bool(backup) == without_backup:
        raise WrongUse("Say either where today's backup is, by --backup, or --without-backup, which loses the data.")
    region = _given_up(command.name)
    stack, session = _stack(command.name), boto3.Session()
    state = stack.export_stack().deployment or {}
    decided = tearing.plan(state, stack=command.name, account=account, session=session)
    holds = tearing.amounts(decided, session, region)
    document = decided.document() | {"holds": holds, "done": not preview}
    if preview:
        command.output.result(document, lambda: _show(command.output, document))
        return
    if backup:
        _check(backup, command.name)
    _show_on(command.output.instruction, document)
    _confirm(confirm, decided.name)
    tearing.destroy(stack, decided, command.output.note)
    rotate.forget_certificates(session.client("apigateway", region_name=region), command.name)
    command.output.result(
        document, lambda: command.output.text(f"{command.name} is gone; {len(decided.kept)} resources are kept.")
    )


def _given_up(stack: str) -> str:
    """The stack's region. Raises CliError for a production stack whose file does not say that it is given up."""
    from infra.settings import SettingsError, load_stack_file
    from operator_cli.errors import CliError

    try:
        settings = load_stack_file(PROJECT, stack)
    except SettingsError as error:
        raise CliError(str(error).splitlines()[0]) from None
    if stack == EnvironmentName.PROD and not settings.decommission:
        raise CliError(
            "A production stack is destroyed only once its file says so.",
            next_step="In Pulumi.prod.yaml `heartmap:deletion_protection: false` and `heartmap:decommission: true`, and up.",
        )
    return settings.region


def _stack(name: str) -> "auto.Stack":
    import pulumi.automation as auto
    from pulumi.automation.errors import CommandError

    from operator_cli.errors import CliError

    try:
        return auto.select_stack(name, work_dir=str(PROJECT))
    except (CommandError, OSError, RuntimeError):
        raise CliError(
            f"The Pulumi CLI does not find the stack {name}.",
            next_step="Is it on PATH and signed in? pulumi whoami; pulumi stack ls",
        ) from None


def _check(place: str, stack: str) -> None:
    from datetime import UTC, datetime

    from operator_cli.operations import archive
    from operator_cli.operations.teardown import check_backup

    if place.startswith("s3://"):
        import boto3

        where: Any = archive.Bucket.checked(boto3.client("s3"), place)
    else:
        where = archive.Directory(Path(place))
    check_backup(archive.Archive(where).manifest(), stack, datetime.now(UTC))


def _confirm(given: str | None, name: str) -> None:
    import sys

    from operator_cli.errors import CliError, WrongUse

    typed = given
    if typed is None:
        if not sys.stdin.isatty():
            raise WrongUse("There is no terminal to ask on.", next_step=f"Say it: --confirm '{name}'")
        typed = str(typer.prompt(f"To destroy it, type: {name}\n", prompt_suffix="> ", err=True))
    if typed.strip() != name:
        raise CliError("Nothing was done.")


def _show(output: "Output", document: dict[str, Any]) -> None:
    _show_on(output.text, document)


def _show_on(line: Any, document: dict[str, Any]) -> None:
    line(f"Destroyed for good, {sum(document['destroyed'].values())} resources of {document['account']}, with what people made:")
    for each in document["holds"]:
        line(f"  {each}")
    line(f"Kept, {len(document['kept'])} with their settings:" if document["kept"] else "Nothing is kept.")
    for each in document["kept"]:
        line(f"  {each}")
    for each in document["told"]:
        line(each)
