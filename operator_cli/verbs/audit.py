"""What was decided and done."""

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from operator_cli.verbs import options
from operator_cli.verbs.options import EnvironmentOption, JsonOption

if TYPE_CHECKING:
    from operator_cli.audit import Record
    from operator_cli.command import Command

app = typer.Typer()
audit = typer.Typer(help="The audit trail: who asked for what, and what came of it. For administrators.")
app.add_typer(audit, name="audit")

HEADS = ("TIME", "DECISION", "WHAT", "WHO", "REASON", "REQUEST", "FROM")


class Decision(StrEnum):
    """What came of a call."""

    ALLOW = "allow"
    DENY = "deny"
    UNAUTHENTICATED = "unauthenticated"
    ERROR = "error"


DecisionOption = Annotated[
    Decision | None, typer.Option("--decision", help=f"Only these: {', '.join(Decision)}.", show_default=False)
]
PrincipalOption = Annotated[
    str | None,
    typer.Option("--principal", metavar="WHO", help="A subject, program:NAME or the ARN of a role.", show_default=False),
]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", metavar="REASON", help="Such as not_permitted or token_expired.", show_default=False)
]
RequestOption = Annotated[
    str | None, typer.Option("--request-id", metavar="ID", help="The id of a request, as an error tells it.", show_default=False)
]
MethodOption = Annotated[str | None, typer.Option("--method", metavar="METHOD", help="Such as POST.", show_default=False)]
RouteOption = Annotated[
    str | None,
    typer.Option("--route", metavar="ROUTE", help="Such as /analyses/{analysis_id}.", show_default=False),
]
SourceOption = Annotated[
    str | None, typer.Option("--source-ip", metavar="ADDRESS", help="Where the call came from.", show_default=False)
]
KeyOption = Annotated[str | None, typer.Option("--key-id", metavar="KEY_ID", help="The id of an API key.", show_default=False)]
ActionOption = Annotated[
    str | None, typer.Option("--action", metavar="ACTION", help="Such as results_read or config_changed.", show_default=False)
]
ResourceOption = Annotated[
    str | None,
    typer.Option("--resource", metavar="ID", help="The id of an upload, an analysis, a key or a person.", show_default=False),
]
SinceOption = Annotated[str, typer.Option("--since", metavar="WHEN", help="A span such as 30m, 24h or 7d, or a time.")]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="WHEN", help="The same, for the end (default: now).", show_default=False)
]
TextOption = Annotated[
    str | None, typer.Option("--text", metavar="TEXT", help="What stands anywhere in a record, in any case.", show_default=False)
]


@audit.command("search")
def audit_search(
    context: typer.Context,
    since: SinceOption = "24h",
    until: UntilOption = None,
    decision: DecisionOption = None,
    principal: PrincipalOption = None,
    action: ActionOption = None,
    resource: ResourceOption = None,
    reason: ReasonOption = None,
    request_id: RequestOption = None,
    method: MethodOption = None,
    route: RouteOption = None,
    source_ip: SourceOption = None,
    key_id: KeyOption = None,
    text: TextOption = None,
    limit: options.LimitOption = 100,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search the audit trail, the newest records first.

    \b
    heartmapctl audit search --since 7d --decision deny
    heartmapctl audit search --since 30d --action config_changed
    heartmapctl audit search --request-id 7b7ad8ab-5f4b-4ab5-b4c3-0ea4dbb6b6a3
    heartmapctl audit search --since 2026-11-30T09:00:00Z --route /keys --method POST --json
    """
    from operator_cli import audit as trail

    filters = _given(
        since=trail.moment("--since", since),
        until=until and trail.moment("--until", until),
        decision=decision,
        principal=principal,
        action=action,
        resource=resource,
        reason=reason,
        request_id=request_id,
        method=method,
        route=route,
        source_ip=source_ip,
        key_id=key_id,
        text=text,
    )
    command = options.command(context, environment, as_json)
    with command.service() as (api, _):
        found = trail.search(api, filters, limit)
    _show(command, found)


class Asked(StrEnum):
    """The names of the questions."""

    WHO_READ = "who-read"
    LAST_USE = "last-use"
    CHANGES_BY = "changes-by"
    REFUSALS_OF = "refusals-of"
    HISTORY_OF = "history-of"
    STORY_OF = "story-of"


@audit.command("ask")
def audit_ask(
    context: typer.Context,
    question: Annotated[Asked, typer.Argument(metavar="QUESTION", help=f"One of {', '.join(Asked)}.", show_default=False)],
    about: Annotated[str, typer.Argument(metavar="ID", help="What it is about.", show_default=False)],
    since: SinceOption = "30d",
    until: UntilOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the audit trail a question that it has a name for.

    \b
    who-read ANALYSIS_ID    who was given the results of this analysis
    last-use KEY_ID         when this key was last used, for what and from where
    changes-by PRINCIPAL    what this person or program changed
    refusals-of PRINCIPAL   what they were refused
    history-of ID           what happened to this upload, analysis, key or person
    story-of REQUEST_ID     what came of this call, from the gateway to the worker

    \b
    heartmapctl audit ask who-read 01JEXAMPLE0000000000000000
    heartmapctl audit ask last-use 01JEXAMPLE0000000000000000 --since 90d
    heartmapctl audit ask changes-by program:nightly --json
    """
    from operator_cli import audit as trail
    from operator_cli.questions import QUESTIONS, answers

    time = _given(since=trail.moment("--since", since), until=until and trail.moment("--until", until))
    command = options.command(context, environment, as_json)
    command.output.note(f"{QUESTIONS[question].text} Since {time['since']}:")
    with command.service() as (api, _):
        found = list(answers(api, QUESTIONS[question], about, time))
    _show(command, found)


@audit.command("tail")
def audit_tail(
    context: typer.Context,
    decision: DecisionOption = None,
    principal: PrincipalOption = None,
    reason: ReasonOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Follow the audit trail until Ctrl-C. With --json each record is a document of its own.

    \b
    heartmapctl audit tail
    heartmapctl audit tail --decision deny
    """
    from operator_cli import audit as trail

    command = options.command(context, environment, as_json)
    command.output.note("Records appear a few seconds after what they are about. Ctrl-C ends it.")
    with command.service() as (api, _):
        for record in trail.follow(api, _given(decision=decision, principal=principal, reason=reason)):
            command.output.result(record, lambda record=record: command.output.text("  ".join(map(_printable, _row(record)))))
            sys.stdout.flush()


@audit.command("verify")
def audit_verify(
    context: typer.Context,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="A span such as 24h or 7d, or a time (default: all).", show_default=False),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="WHEN", help="The same, for the end (default: now).", show_default=False)
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option("--directory", help="A copy of the audit bucket's seals, instead of the service.", show_default=False),
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option(
            "--public-key",
            help="The stack output audit_public_key, in a file (default: what the service says).",
            show_default=False,
        ),
    ] = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify that the audit trail is as it was written: exit code 1 and each record that was removed, reordered, changed or
    inserted, and each seal that is missing, when it is not.

    \b
    heartmapctl audit verify
    heartmapctl audit verify --since 24h
    heartmapctl audit verify --directory seals --public-key audit.pem
    """
    from operator_cli import audit as trail
    from operator_cli.audit_verify import Key
    from operator_cli.errors import WrongUse
    from operator_cli.verifying import offline, online, show

    period = [trail.milliseconds(option, text) for option, text in (("--since", since), ("--until", until))]
    command = options.command(context, environment, as_json)
    key = Key.at(public_key) if public_key is not None else None
    if directory is not None:
        if key is None:
            raise WrongUse(
                "--directory needs --public-key: what is verified cannot say by which key.",
                next_step="Take the stack output audit_public_key.",
            )
        report = offline(directory, key, *period)
    else:
        with command.service() as (api, storage):
            report = online(api, storage, key, *period, note=command.output.note)
    show(command, report)


def _given(**filters: str | None) -> dict[str, str]:
    return {name: str(value) for name, value in filters.items() if value is not None}


def _show(command: "Command", found: Sequence["Record"]) -> None:
    def show() -> None:
        if found:
            command.output.table(HEADS, [_row(record) for record in found])
        else:
            command.output.note("No records.")

    command.output.result({"records": list(found)}, show)


def _row(record: Mapping[str, Any]) -> tuple[object, ...]:
    what = _done(record) if record.get("action") or not record.get("route") else f"{record.get('method')} {record.get('route')}"
    told = (record.get(name) for name in ("principal", "reason", "request_id", "source_ip"))
    return (record.get("time"), record.get("decision"), what, *told)


def _done(record: Mapping[str, Any]) -> str:
    about = record.get("resource") or record.get("subject") or record.get("key_id")
    much = f"({record['files']} files, {record['bytes']:,} bytes)" if record.get("files") is not None else None
    words = (record.get("stream"), record.get("action"), about, much, *(record.get("changes") or ()))
    return " ".join(str(word) for word in words if word)


def _printable(cell: object) -> str:
    from operator_cli.output import printable

    return "-" if cell is None else printable(cell)
