"""`heartmapctl audit verify`: with what the service has, or with a copy of it, and how it is told."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from operator_cli import audit
from operator_cli.api import Api
from operator_cli.audit_verify import Key, Report, Verification, rfc3339
from operator_cli.errors import CliError
from operator_cli.live_log import HOUR, LiveLog
from operator_cli.sealed import Directory, Service
from operator_cli.storage import Storage

if TYPE_CHECKING:
    from operator_cli.command import Command

ALL = 10_000_000
EVERY = 1000
"""Seals after which it is said how far it is."""


def offline(directory: Path, key: Key, since: int | None, until: int | None) -> Report:
    """Verify a copy of the seals. Raises WrongUse."""
    return Verification(Directory(directory), key, since=since, until=until).run()


def online(
    api: Api, storage: Storage, key: Key | None, since: int | None, until: int | None, note: Callable[[str], None]
) -> Report:
    """Verify what the service has, and compare it with the log as far as that is kept. Raises CliError."""
    source = Service(api, storage)
    if key is None:
        note(
            "The key is the one that the service names. To rely on nobody, give the stack output audit_public_key: --public-key."
        )
        key = Key(source.first.public_key.encode())
    now = time.time_ns() // 1_000_000
    kept = source.first.kept_since
    if since is None and source.first.seals and source.first.seals[0].sequence > 1:
        # What the retention has let go by is not missing. The bucket keeps seals for as long at least.
        since = kept + HOUR

    def progress(sequence: int) -> None:
        if sequence % EVERY == 0:
            note(f"Seal {sequence} of {source.latest()} …")

    return Verification(
        source,
        key,
        since=since,
        until=until,
        now=now,
        live=lambda first: LiveLog(lambda begin, end: _lines(api, begin, end), first, now),
        live_since=kept + HOUR,
        progress=progress,
    ).run()


def _lines(api: Api, begin: int, end: int) -> Iterator[tuple[int, str]]:
    """The lines of the log from a time to before another."""
    asked = {"form": "lines", "since": rfc3339(begin), "until": rfc3339(end - 1)}
    for each in audit.search(api, asked, ALL):
        yield round(datetime.fromisoformat(each["time"]).timestamp() * 1000), each["line"]


def show(command: "Command", report: Report) -> None:
    """Print it. Raises CliError when something is wrong."""
    document = report.document()
    if report.problems:
        for problem in report.problems:
            command.output.note(problem.detail)
        raise CliError(
            "The audit trail is not as it was written.",
            code="audit_trail_broken",
            document=document,
            next_step="Keep what there is, and read docs/runbook.md, section audit-chain.",
        )

    def tell() -> None:
        rows = [
            ("seals", f"{report.first or '-'} to {report.last or '-'}, {report.seals} of them, each signed, none missing"),
            ("records", f"{report.records}, each as it was written"),
            ("period", f"{report.since or '-'} to {report.until or '-'}"),
            ("live log", f"the same since {report.compared_since}" if report.compared_since else "not compared"),
        ]
        if report.waiting:
            rows.append(("not yet", f"{report.waiting} records that the next seal should have"))
        command.output.fields(rows)

    command.output.result(document, tell)
