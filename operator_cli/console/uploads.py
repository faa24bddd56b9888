"""Data sets from the page to the storage: a part at a time, streamed through, and gone on with after a break."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from operator_cli.answers import PartAddresses, UploadTicket
from operator_cli.console.bodies import announced, blocks, read_model
from operator_cli.console.bucket import Bucket
from operator_cli.console.problems import Problem
from operator_cli.console.upstream import Upstream
from operator_cli.output import printable
from operator_cli.resumption import Resumption
from operator_cli.uploads import GONE

MOST_UPLOADS = 200
"""Begun in one console and remembered by it. The oldest is forgotten first; the page begins it again, and goes on."""
PARTS_AT_ONCE = 4


class NewUpload(BaseModel):
    """A file of the page's. ``last_modified`` is in milliseconds since the epoch, as browsers tell it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    bytes: int = Field(gt=0)
    last_modified: int | None = None
    visibility: str | list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Upload:
    """An upload on its way; in one POST where it has no ``part_bytes``."""

    subject: str
    new: NewUpload
    ticket: UploadTicket
    resumption: Resumption
    sent_whole: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def part_bytes(self) -> int:
        return self.ticket.part_bytes or self.new.bytes

    @property
    def parts(self) -> int:
        return -(-self.new.bytes // self.part_bytes)

    @property
    def received(self) -> list[int]:
        if self.ticket.part_bytes is None:
            return [1] if self.sent_whole.is_set() else []
        return sorted(self.resumption.of_upload(self.ticket.upload_id))

    def length(self, number: int) -> int:
        return min(self.part_bytes, self.new.bytes - (number - 1) * self.part_bytes)

    def document(self) -> dict[str, Any]:
        return {
            "upload_id": self.ticket.upload_id,
            "part_bytes": self.part_bytes,
            "parts": self.parts,
            "received": self.received,
        }


class UploadCalls:
    def __init__(self, upstream: Upstream, bucket: Bucket) -> None:
        self._upstream = upstream
        self._bucket = bucket
        self._uploads: dict[str, Upload] = {}
        self._slots = asyncio.Semaphore(PARTS_AT_ONCE)

    async def begin(self, request: Request) -> Response:
        """Begin an upload, or go on with the one of the same file, whichever console or browser it broke off in."""
        new = await read_model(request, NewUpload)
        subject = await self._upstream.subject()
        resumption = Resumption(self._upstream.environment, "console", subject, new.name, new.bytes, new.last_modified)
        ticket = await self._ticket(new, resumption)
        if ticket.max_bytes is not None and new.bytes > ticket.max_bytes:
            raise Problem(422, "upload_too_large", f"This environment takes {ticket.max_bytes} bytes at most.")
        if ticket.url is None and ticket.part_bytes is None:
            raise Problem(502, "bad_gateway", "The service did not say how to send the data set.")
        if new.visibility is not None:
            await self._upstream.require("PATCH", f"/uploads/{ticket.upload_id}", {"visibility": new.visibility})
        upload = Upload(subject=subject, new=new, ticket=ticket, resumption=resumption)
        self._uploads.pop(ticket.upload_id, None)
        self._uploads[ticket.upload_id] = upload
        while len(self._uploads) > MOST_UPLOADS:
            del self._uploads[next(iter(self._uploads))]
        return JSONResponse(upload.document())

    async def put_part(self, request: Request) -> Response:
        """One part, passed on while it comes."""
        upload = await self._upload(request)
        number = request.path_params["number"]
        if not 1 <= number <= upload.parts:
            raise Problem(422, "no_such_part", "The upload has no part of that number.")
        length = announced(request)
        if length != upload.length(number):
            raise Problem(422, "wrong_length", f"The part has {upload.length(number)} bytes.")
        async with self._slots:
            if upload.ticket.part_bytes is None:
                await self._send_whole(upload, request)
            else:
                await self._send_part(upload, number, request)
        return JSONResponse({"number": number})

    async def complete(self, request: Request) -> Response:
        """All parts are there: have them put together."""
        upload = await self._upload(request)
        if len(upload.received) != upload.parts:
            raise Problem(409, "parts_incomplete", "Parts are missing.")
        if upload.ticket.part_bytes is not None:
            etags = upload.resumption.of_upload(upload.ticket.upload_id)
            named = [{"number": number, "etag": etags[number]} for number in sorted(etags)]
            try:
                await self._upstream.require("POST", f"/uploads/{upload.ticket.upload_id}/complete", {"parts": named})
            except Problem as problem:
                if problem.code in GONE:
                    self._forget(upload)
                raise
        self._forget(upload)
        return JSONResponse({})

    async def _ticket(self, new: NewUpload, resumption: Resumption) -> UploadTicket:
        # Without the visibility: the same call is the same upload, whoever was to see it then.
        body = {"name": printable(new.name)[:255], "bytes": new.bytes}
        try:
            return await self._begin(body, resumption)
        except Problem as problem:
            if problem.code not in GONE:
                raise
        # The earlier upload of this file is over.
        resumption.restart()
        return await self._begin(body, resumption)

    async def _begin(self, body: dict[str, Any], resumption: Resumption) -> UploadTicket:
        headers = {"Idempotency-Key": resumption.sent.key}
        return await self._upstream.call("POST", "/uploads", UploadTicket, body, headers)

    async def _send_whole(self, upload: Upload, request: Request) -> None:
        # Asked for now: the form of the beginning may have expired.
        ticket = await self._ticket(upload.new, upload.resumption)
        if ticket.upload_id != upload.ticket.upload_id or ticket.url is None or ticket.fields is None:
            raise Problem(409, "upload_expired", "The upload is over: begin it again.")
        await self._bucket.post(ticket.url, ticket.fields, blocks(request, upload.new.bytes), upload.new.bytes)
        upload.sent_whole.set()

    async def _send_part(self, upload: Upload, number: int, request: Request) -> None:
        upload_id = upload.ticket.upload_id
        addresses = await self._upstream.call("POST", f"/uploads/{upload_id}/parts", PartAddresses, {"numbers": [number]})
        url = next((part.url for part in addresses.parts if part.number == number), None)
        if url is None:
            raise Problem(502, "bad_gateway", "The service did not name the part's address.")
        length = upload.length(number)
        etag = await self._bucket.put(url, blocks(request, length), length)
        upload.resumption.of_upload(upload_id)
        upload.resumption.keep(number, etag)

    async def _upload(self, request: Request) -> Upload:
        """The upload that is named, when it was begun here by whoever is signed in now."""
        upload = self._uploads.get(request.path_params["upload_id"])
        if upload is None or upload.subject != await self._upstream.subject():
            raise Problem(404, "no_such_upload", "The upload was not begun in this console: begin it again.")
        return upload

    def _forget(self, upload: Upload) -> None:
        upload.resumption.forget()
        self._uploads.pop(upload.ticket.upload_id, None)
