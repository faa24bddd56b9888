"""A data set on its way: announced, sent straight to the bucket, checked by the service."""

import os
from pathlib import Path
from typing import BinaryIO

from operator_cli.answers import PartAddresses, UploadState, UploadTicket
from operator_cli.api import Api
from operator_cli.errors import CliError, Interrupted, WrongUse
from operator_cli.output import Output, human_bytes, printable
from operator_cli.polling import poll
from operator_cli.storage import Storage

# Presigned addresses are asked for as they are needed, so that they do not expire while earlier parts are sent.
PARTS_AT_ONCE = 10
CHECK_SECONDS = 15 * 60


def size_of(file: Path) -> int:
    """Bytes of a data set that can be sent. Raises WrongUse when there is nothing to send."""
    if not file.is_file():
        raise WrongUse(f"{file} is not a file.")
    size = file.stat().st_size
    if size == 0:
        raise WrongUse(f"{file} is empty.")
    return size


def send(api: Api, storage: Storage, output: Output, file: Path) -> str:
    """Send a data set; the upload's id. Raises CliError when it is refused on the way."""
    size = size_of(file)
    try:
        with file.open("rb") as source:
            before = os.fstat(source.fileno())
            ticket = api.call("POST", "/uploads", UploadTicket, {"name": printable(file.name)[:255], "bytes": size})
            if ticket.max_bytes is not None and size > ticket.max_bytes:
                raise CliError(
                    f"{file.name} has {human_bytes(size)}; this environment takes {human_bytes(ticket.max_bytes)} at most."
                )
            with output.transfer(f"Uploading {file.name}", size) as done:
                if ticket.url is not None and ticket.fields is not None:
                    storage.post(ticket.url, ticket.fields, source, size, done)
                else:
                    _send_parts(api, storage, ticket, source, size, done)
            after = os.fstat(source.fileno())
    except OSError as error:
        raise WrongUse(f"{file} cannot be read: {error.strerror}.") from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise CliError(f"{file.name} changed while it was sent.", next_step="Upload it again when it is complete.")
    return ticket.upload_id


def _send_parts(api: Api, storage: Storage, ticket: UploadTicket, source: BinaryIO, size: int, done) -> None:
    if ticket.part_bytes is None or ticket.parts is None or ticket.parts != -(-size // ticket.part_bytes):
        raise CliError("The service did not say how to send the data set.", next_step="Update heartmapctl.")
    path = f"/uploads/{ticket.upload_id}"
    sent = []
    for first in range(1, ticket.parts + 1, PARTS_AT_ONCE):
        numbers = list(range(first, min(first + PARTS_AT_ONCE, ticket.parts + 1)))
        addresses = api.call("POST", f"{path}/parts", PartAddresses, {"numbers": numbers}, repeatable=True)
        urls = {part.number: part.url for part in addresses.parts}
        if set(urls) != set(numbers):
            raise CliError("The service did not name every part's address.", next_step="Start the upload again.")
        for number in numbers:
            offset = (number - 1) * ticket.part_bytes
            length = min(ticket.part_bytes, size - offset)
            etag = storage.put(urls[number], source, offset, length, lambda part, before=offset: done(before + part))
            sent.append({"number": number, "etag": etag})
    api.require("POST", f"{path}/complete", {"parts": sent}, repeatable=True)


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
