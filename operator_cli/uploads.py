"""A data set on its way: announced, sent straight to the bucket, checked by the service."""

import os
from pathlib import Path
from typing import Any, BinaryIO

from operator_cli.answers import PartAddresses, Uploads, UploadState, UploadTicket
from operator_cli.api import Api
from operator_cli.errors import CliError, Interrupted, WrongUse
from operator_cli.output import Output, human_bytes, printable
from operator_cli.pages import pages
from operator_cli.polling import poll
from operator_cli.resumption import Resumption, new_key
from operator_cli.storage import Done, Storage

# Presigned addresses are asked for as they are needed, so that they do not expire while earlier parts are sent.
PARTS_AT_ONCE = 10
CHECK_SECONDS = 15 * 60
GONE = frozenset(
    {
        "idempotency_key_reused",
        "no_such_upload",
        "not_in_parts",
        "parts_incomplete",
        "upload_arrived",
        "upload_complete",
        "upload_expired",
    }
)
"""Codes of an upload that cannot be gone on with."""

Visibility = str | list[str]


def size_of(file: Path) -> int:
    """Bytes of a data set that can be sent. Raises WrongUse when there is nothing to send."""
    if not file.is_file():
        raise WrongUse(f"{file} is not a file.")
    size = file.stat().st_size
    if size == 0:
        raise WrongUse(f"{file} is empty.")
    return size


def parse_visibility(text: str | None) -> Visibility | None:
    """`private`, `shared`, or the principals to name, separated by commas. Raises WrongUse."""
    if text is None or text in ("private", "shared"):
        return text
    names = [name.strip() for name in text.split(",")]
    if not all(name.isascii() and name.isprintable() and name and " " not in name for name in names):
        raise WrongUse("A visibility is private, shared, or the principals who may see it, separated by commas.")
    return names


def copy(api: Api, source: str, visibility: Visibility | None = None) -> str:
    """Have an object of a bucket that the environment allows analysed instead of an upload; the upload's id."""
    body = {"source": source, "name": printable(source.rpartition("/")[2])[:255] or None, "visibility": visibility}
    given = {name: value for name, value in body.items() if value is not None}
    return api.call("POST", "/uploads", UploadTicket, given, key=new_key()).upload_id


def every(api: Api, limit: int) -> list[UploadState]:
    """The newest uploads that this user may see."""
    return pages(api, "/uploads", Uploads, lambda page: page.uploads, limit)


def share(api: Api, upload_id: str, visibility: Visibility) -> UploadState:
    """Say who may see an upload and analyse it."""
    return api.call("PATCH", f"/uploads/{upload_id}", UploadState, {"visibility": visibility}, repeatable=True)


def send(api: Api, storage: Storage, output: Output, file: Path, visibility: Visibility | None = None) -> str:
    """Send a data set; the upload's id. What broke off in an earlier command goes on where it was.

    Raises CliError when it is refused on the way.
    """
    size = size_of(file)
    try:
        with file.open("rb") as source:
            before = os.fstat(source.fileno())
            resumption = Resumption.of_file(api.environment, file, before)
            body = {"name": printable(file.name)[:255], "bytes": size} | ({"visibility": visibility} if visibility else {})
            ticket = _ticket(api, resumption, body)
            if ticket.max_bytes is not None and size > ticket.max_bytes:
                raise CliError(
                    f"{file.name} has {human_bytes(size)}; this environment takes {human_bytes(ticket.max_bytes)} at most."
                )
            with output.transfer(f"Uploading {file.name}", size) as done:
                if ticket.url is not None and ticket.fields is not None:
                    storage.post(ticket.url, ticket.fields, source, size, done)
                else:
                    _send_parts(api, storage, ticket, source, size, done, resumption)
            after = os.fstat(source.fileno())
    except OSError as error:
        raise WrongUse(f"{file} cannot be read: {error.strerror}.") from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise CliError(f"{file.name} changed while it was sent.", next_step="Upload it again when it is complete.")
    return ticket.upload_id


def _ticket(api: Api, resumption: Resumption, body: dict[str, Any]) -> UploadTicket:
    try:
        return api.call("POST", "/uploads", UploadTicket, body, key=resumption.sent.key)
    except CliError as error:
        if error.code not in GONE:
            raise
    # The earlier upload of this file is over, or was of another kind.
    resumption.restart()
    return api.call("POST", "/uploads", UploadTicket, body, key=resumption.sent.key)


def _send_parts(
    api: Api, storage: Storage, ticket: UploadTicket, source: BinaryIO, size: int, done: Done, resumption: Resumption
) -> None:
    if ticket.part_bytes is None or ticket.parts is None or ticket.parts != -(-size // ticket.part_bytes):
        raise CliError("The service did not say how to send the data set.", next_step="Update heartmapctl.")
    path, etags = f"/uploads/{ticket.upload_id}", resumption.of_upload(ticket.upload_id)
    missing = [number for number in range(1, ticket.parts + 1) if number not in etags]
    try:
        for first in range(0, len(missing), PARTS_AT_ONCE):
            numbers = missing[first : first + PARTS_AT_ONCE]
            _send_some(api, storage, path, numbers, ticket.part_bytes, source, size, done, resumption)
        named = [{"number": number, "etag": etags[number]} for number in range(1, ticket.parts + 1)]
        api.require("POST", f"{path}/complete", {"parts": named}, repeatable=True)
    except CliError as error:
        if error.code in GONE:
            resumption.forget()
        raise
    resumption.forget()


def _send_some(
    api: Api,
    storage: Storage,
    path: str,
    numbers: list[int],
    part_bytes: int,
    source: BinaryIO,
    size: int,
    done: Done,
    resumption: Resumption,
) -> None:
    addresses = api.call("POST", f"{path}/parts", PartAddresses, {"numbers": numbers}, repeatable=True)
    urls = {part.number: part.url for part in addresses.parts}
    if set(urls) != set(numbers):
        raise CliError("The service did not name every part's address.", next_step="Start the upload again.")
    for number in numbers:
        offset = (number - 1) * part_bytes
        length = min(part_bytes, size - offset)
        resumption.keep(
            number, storage.put(urls[number], source, offset, length, lambda part, before=offset: done(before + part))
        )


def wait_until_checked(api: Api, output: Output, upload_id: str) -> UploadState:
    """The state of an upload once the service accepted it.

    Raises CliError when the service rejects the data set or does not check it in time, Interrupted on Ctrl-C.
    """
    again = f"See what became of it: {api.environment.command('api', 'GET', f'/uploads/{upload_id}')}"
    try:
        with output.stages("Checking the data set") as update:

            def ask() -> UploadState:
                state = api.call("GET", f"/uploads/{upload_id}", UploadState)
                update(state.state, None)
                return state

            state = poll(ask, lambda answer: answer.state in ("accepted", "rejected"), seconds=CHECK_SECONDS)
    except KeyboardInterrupt:
        raise Interrupted(
            "Interrupted; the upload goes on being checked.", document={"upload_id": upload_id}, next_step=again
        ) from None
    if state.state == "accepted":
        return state
    if state.state == "rejected":
        raise CliError(
            f"The data set was rejected: {state.detail or 'no reason was given'}",
            code=state.code,
            next_step="Correct the file and upload it again.",
            document=state.document(),
        )
    raise CliError("The data set has not been checked in 15 minutes.", document=state.document(), next_step=again)
