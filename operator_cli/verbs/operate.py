"""What an operator does to a stack with AWS credentials of their own: back it up, rotate its secrets, lock somebody out."""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from operator_cli.verbs import options
from operator_cli.verbs.break_glass import break_glass
from operator_cli.verbs.options import EnvironmentOption, JsonOption
from operator_cli.verbs.teardown import teardown

if TYPE_CHECKING:
    from operator_cli.operations.archive import Archive

app = typer.Typer()
operate = typer.Typer(help="Backups, rotations, lock-outs: for whoever has the stack's AWS credentials.")
app.add_typer(operate, name="operate")

RECIPIENT_VARIABLE = "HEARTMAP_BACKUP_RECIPIENT"

IdentityOption = Annotated[
    Path | None,
    typer.Option("--identity", metavar="FILE", help="The file with the age identity that opens the backup.", dir_okay=False),
]
InputOption = Annotated[
    str,
    typer.Option("--input", metavar="PLACE", help="Where the backup is: a directory, or s3://BUCKET/PREFIX.", show_default=False),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Replace what is there.")]


class Rotated(StrEnum):
    """What can be rotated."""

    PEPPER = "pepper"
    ASSERTION_KEYS = "assertion-keys"
    CERTIFICATES = "certificates"
    KEYS = "keys"
    UNDO = "undo"


@operate.command("backup-key")
def backup_key(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the identity is put.", show_default=False)],
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the pair of keys for backups: the recipient, which is printed, and the identity, which opens them.

    Keep the identity where the stack is not: without it there is no restore, and whoever has it reads every backup.

    \b
    heartmapctl operate backup-key heartmap-backups.key
    """
    import os

    from operator_cli.operations.archive import age

    command = options.command(context, environment, as_json)
    identity = age().x25519.Identity.generate()
    recipient = str(identity.to_public())
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(f"# public key: {recipient}\n{identity}\n")
    command.output.result({"recipient": recipient, "identity": str(file)}, lambda: command.output.text(recipient))


@operate.command("backup")
def backup(
    context: typer.Context,
    output: Annotated[
        str, typer.Option("--output", metavar="PLACE", help="A directory, or s3://BUCKET/PREFIX.", show_default=False)
    ],
    recipient: Annotated[
        list[str] | None,
        typer.Option(
            "--recipient", metavar="age1...", envvar=RECIPIENT_VARIABLE, help="Whom it is encrypted for.", show_default=False
        ),
    ] = None,
    unencrypted: Annotated[
        bool, typer.Option("--unencrypted", help="Into a private directory or bucket, not encrypted.")
    ] = False,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="As of this time, within 35 days (default: now).", show_default=False),
    ] = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Back up tables, buckets and people, all as of one moment. Interrupted, it goes on where it was.

    No passwords, no second factors and no secrets are in it.

    \b
    heartmapctl operate backup --environment prod --output /backups/monday --recipient age1...
    heartmapctl operate backup --environment prod --output s3://example-backups/heartmap/monday --recipient age1...
    """
    from operator_cli.errors import WrongUse
    from operator_cli.operations.backup import Backup
    from operator_cli.operations.stack import load

    command = options.command(context, environment, as_json)
    if bool(recipient) == unencrypted:
        raise WrongUse(
            "Say either for whom the backup is encrypted, by --recipient, or --unencrypted.",
            next_step="Make a pair of keys: heartmapctl operate backup-key FILE",
        )
    stack = load(command.name)
    archive = _archive(stack, output, recipients=recipient or (), made=True)
    manifest = Backup(stack, archive, at=_moment(at), tell=command.output.note).run()
    files = len(manifest["files"])
    document = {"at": manifest["at"], "files": files, "encrypted": manifest["encrypted"], "output": output}
    command.output.result(document, lambda: command.output.fields(list(document.items())))


@operate.command("verify")
def verify(
    context: typer.Context,
    input_: InputOption,
    identity: IdentityOption = None,
    live: Annotated[bool, typer.Option("--live", help="Compare it with the data of the environment as well.")] = False,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that a backup is whole: each file by its SHA-256, and with the identity also that it can be read.

    \b
    heartmapctl operate verify --input /backups/monday --identity heartmap-backups.key
    """
    from operator_cli.errors import CliError
    from operator_cli.operations import restore as restoring
    from operator_cli.operations.stack import load

    command = options.command(context, environment, as_json)
    stack = load(command.name) if live or input_.startswith("s3://") else None
    content = restoring.Content.of(_archive(stack, input_, identity=identity))
    faults = restoring.verified(content)
    if live and not faults and stack is not None:
        faults = restoring.differences(stack, content)
    document = {"files": len(content.files), "at": content.manifest["at"], "faults": faults}
    if faults:
        raise CliError("\n".join(["The backup is not whole, or not what there is:", *faults[:20]]), document=document)
    command.output.result(document, lambda: command.output.text(f"{len(content.files)} files, as of {document['at']}: whole."))


@operate.command("restore")
def restore(
    context: typer.Context,
    input_: InputOption,
    identity: IdentityOption = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="PART", help="A table, a bucket or people; may be given several times.")
    ] = None,
    yes: YesOption = False,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a backup into a stack, a fresh one. People are invited anew; what was theirs stays theirs.

    The backup is verified first. Nothing is removed; what is there of the same keys is replaced with --yes alone.

    \b
    heartmapctl operate restore --environment prod --input /backups/monday --identity heartmap-backups.key
    heartmapctl operate restore --input backup --only api-keys --yes
    """
    from operator_cli.errors import CliError
    from operator_cli.operations import restore as restoring
    from operator_cli.operations.stack import load

    command = options.command(context, environment, as_json)
    parts = restoring.check_parts(only or ())
    stack = load(command.name)
    content = restoring.Content.of(_archive(stack, input_, identity=identity))
    restored = restoring.Restore(stack, content, parts=parts, tell=command.output.note)
    restoring.check_empty(restored, yes=yes)
    faults = restoring.verified(content)
    if faults:
        raise CliError("\n".join(["The backup is not whole; nothing was written:", *faults[:20]]), document={"faults": faults})
    document = restored.run()
    command.output.result(document, lambda: command.output.fields(_rows(document)))


@operate.command("rotate")
def rotate(
    context: typer.Context,
    what: Annotated[Rotated, typer.Argument(metavar="WHAT", help=f"One of {', '.join(Rotated)}.", show_default=False)],
    settle: Annotated[
        float | None,
        typer.Option(
            "--settle",
            metavar="SECONDS",
            min=0,
            help="After which every function has read the secret anew (default: 6 minutes).",
            show_default=False,
        ),
    ] = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rotate a secret while the service is used: no call is refused. Interrupted, run it again.

    pepper: of the API keys; 12 minutes. assertion-keys: by which the service knows the authorizer. certificates: those that AWS
    does not renew. keys: the material of the stack's keys in KMS. undo: back to the secret before the last change of it.

    \b
    heartmapctl operate rotate pepper --environment prod
    heartmapctl operate rotate certificates --environment prod
    """
    from operator_cli.operations import rotate as rotation
    from operator_cli.operations.stack import load

    command = options.command(context, environment, as_json)
    stack, tell = load(command.name), command.output.note
    document: dict[str, Any] = {"rotated": what}
    match what:
        case Rotated.PEPPER:
            seconds = rotation.SETTLE_SECONDS if settle is None else settle
            document |= rotation.pepper(stack, tell=tell, settle=seconds)._asdict()
        case Rotated.ASSERTION_KEYS:
            rotation.assertion_keys(stack, tell=tell)
        case Rotated.CERTIFICATES:
            document["certificates"] = [each._asdict() for each in rotation.certificates(stack, tell=tell)]
        case Rotated.KEYS:
            document["keys"] = rotation.kms_keys(stack, tell=tell)
        case Rotated.UNDO:
            document["version"] = rotation.Secret(stack).undo()
    command.output.result(document, lambda: command.output.fields(_rows(document)))


@operate.command("lock-out")
def lock_out(
    context: typer.Context,
    who: Annotated[
        str,
        typer.Argument(
            metavar="WHO", help="A username, the id of a key, program:NAME, or the ARN of a role.", show_default=False
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lock out a person or a key, tokens that they hold included, without the API: within half a minute.

    A person is disabled, and let in again by `heartmapctl users enable`. Keys are revoked for good. A role could ask for a new
    credential: take the policy from it first.

    \b
    heartmapctl operate lock-out ada@example.org --yes
    heartmapctl operate lock-out program:nightly --yes
    """
    from operator_cli.operations import lock_out as locking
    from operator_cli.operations.stack import load

    command = options.command(context, environment, as_json)
    stack = load(command.name)
    if not yes:
        options.confirm(f"Lock {who} out of the {command.name} environment?")
    document = locking.lock_out(stack, who)
    command.output.result(document, lambda: command.output.fields(_rows(document)))


operate.command("break-glass")(break_glass)
operate.command("teardown")(teardown)


def _archive(
    stack: Any, place: str, *, recipients: Iterable[str] = (), identity: Path | None = None, made: bool = False
) -> "Archive":
    from operator_cli.operations import archive

    where = archive.Bucket.checked(stack.client("s3"), place) if place.startswith("s3://") else _directory(place, made=made)
    opened = archive.identities(identity) if identity else ()
    return archive.Archive(where, recipients=tuple(recipients), identities=opened)


def _directory(place: str, *, made: bool) -> Any:
    from operator_cli.errors import CliError
    from operator_cli.operations.archive import Directory

    if not made and not Path(place).is_dir():
        raise CliError(f"There is no directory {place}.")
    return Directory.made(Path(place))


def _moment(text: str | None) -> Any:
    from datetime import UTC, datetime

    from operator_cli.errors import WrongUse

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise WrongUse("--at wants a time such as 2026-11-30T08:00:00Z.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _rows(document: dict[str, Any]) -> list[tuple[str, object]]:
    return [(name, value if isinstance(value, str | int) else _in_words(value)) for name, value in document.items()]


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return "; ".join(_in_words(each) if isinstance(each, dict) else str(each) for each in value)
