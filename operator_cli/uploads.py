"""A data set on its way: announced, sent straight to the bucket, checked by the service."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from operator_cli.answers import PartAddresses, Uploads, UploadState, UploadTicket
from operator_cli.api import Api
from operator_cli.errors import CliError, Interrupted, WrongUse
from operator_cli.output import Output, human_bytes, printable
from operator_cli.pages import pages
from operator_cli.parts import AT_ONCE, Parts
from operator_cli.polling import poll
from operator_cli.resumption import Resumption, new_key
from operator_cli.storage import Storage

# Presigned addresses are asked for as they are needed, so that they do not expire while earlier parts are sent.
ADDRESSES_AT_ONCE = 5 * AT_ONCE
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
            if ticket.url is not None and ticket.fields is not None:
                _send_form(storage, output, ticket.url, ticket.fields, file, source, size)
            else:
                _send_parts(api, storage, output, ticket, file, source, size, resumption)
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


def _send_form(
    storage: Storage, output: Output, url: str, fields: Mapping[str, str], file: Path, source: BinaryIO, size: int
) -> None:
    try:
        with output.transfer(f"Uploading {file.name}", size) as done:
            storage.post(url, fields, source, size, done)
    except KeyboardInterrupt:
        raise Interrupted("Interrupted; nothing was uploaded.", next_step="The same command sends it again.") from None


def _send_parts(
    api: Api,
    storage: Storage,
    output: Output,
    ticket: UploadTicket,
    file: Path,
    source: BinaryIO,
    size: int,
    resumption: Resumption,
) -> None:
    if ticket.part_bytes is None or ticket.parts is None or ticket.parts != -(-size // ticket.part_bytes):
        raise CliError("The service did not say how to send the data set.", next_step="Update heartmapctl.")
    etags = resumption.of_upload(ticket.upload_id)
    already = _bytes_of(etags, ticket.part_bytes, size)
    if already:
        output.note(f"Going on with {file.name}: {human_bytes(already)} of {human_bytes(size)} are there.")
    try:
        with output.transfer(f"Uploading {file.name}", size, already) as done:
            parts = Parts(storage, source, size, ticket.part_bytes, already=already, done=done)
            _send_missing(api, f"/uploads/{ticket.upload_id}", parts, resumption, etags)
    except CliError as error:
        if error.code in GONE:
            resumption.forget()
        raise
    except KeyboardInterrupt:
        there = human_bytes(_bytes_of(etags, ticket.part_bytes, size))
        raise Interrupted(
            f"Interrupted; {there} of {human_bytes(size)} are there.",
            document={"upload_id": ticket.upload_id},
            next_step="The same command goes on there.",
        ) from None
    resumption.forget()


def _bytes_of(numbers: Iterable[int], part_bytes: int, size: int) -> int:
    """Bytes in these parts of a file, of which the last is shorter."""
    return sum(min(part_bytes, size - (number - 1) * part_bytes) for number in numbers)


def _send_missing(api: Api, path: str, parts: Parts, resumption: Resumption, etags: Mapping[int, str]) -> None:
    missing = [number for number in range(1, parts.count + 1) if number not in etags]
    for first in range(0, len(missing), ADDRESSES_AT_ONCE):
        numbers = missing[first : first + ADDRESSES_AT_ONCE]
        addresses = api.call("POST", f"{path}/parts", PartAddresses, {"numbers": numbers}, repeatable=True)
        urls = {part.number: part.url for part in addresses.parts}
        if set(urls) != set(numbers):
            raise CliError("The service did not name every part's address.", next_step="Start the upload again.")
        for number, etag in parts.send(urls):
            resumption.keep(number, etag)
    named = [{"number": number, "etag": etags[number]} for number in range(1, parts.count + 1)]
    api.require("POST", f"{path}/complete", {"parts": named}, repeatable=True)


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
