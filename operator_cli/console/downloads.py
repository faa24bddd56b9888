"""Results for the person to keep: a ticket that the browser opens once, since it sends no page key with what it saves."""

import secrets
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from operator_cli.answers import ResultFile
from operator_cli.console.bodies import read_model
from operator_cli.console.bucket import Bucket
from operator_cli.console.problems import Problem
from operator_cli.console.results import SANDBOX, Listings
from operator_cli.console.upstream import Upstream

TICKET_SECONDS = 60
MOST_TICKETS = 100


class NewDownload(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    analysis_id: str
    name: str


class _Ticket(NamedTuple):
    subject: str
    file: ResultFile
    until: float


class DownloadCalls:
    def __init__(self, upstream: Upstream, listings: Listings, bucket: Bucket) -> None:
        self._upstream = upstream
        self._listings = listings
        self._bucket = bucket
        self._tickets: dict[str, _Ticket] = {}

    async def create(self, request: Request) -> Response:
        asked = await read_model(request, NewDownload)
        file = await self._listings.file(asked.analysis_id, asked.name)
        ticket = secrets.token_urlsafe(24)
        self._tickets[ticket] = _Ticket(await self._upstream.subject(), file, time.monotonic() + TICKET_SECONDS)
        while len(self._tickets) > MOST_TICKETS:
            del self._tickets[next(iter(self._tickets))]
        return JSONResponse({"path": f"/console/downloads/{ticket}"})

    async def open(self, request: Request) -> Response:
        """The file, streamed. What turns out not to be what was announced breaks off, so that the browser says that it failed."""
        ticket = self._tickets.pop(request.path_params["ticket"], None)
        if ticket is None or ticket.until < time.monotonic() or ticket.subject != await self._upstream.subject():
            raise Problem(404, "no_such_download", "The download has been used or is too old. Start it again.")
        # The first block shows whether the storage gives it at all, while that can still be said.
        blocks = self._bucket.blocks(ticket.file)
        first = await anext(blocks, b"")

        async def body() -> AsyncIterator[bytes]:
            yield first
            async for block in blocks:
                yield block

        headers = {"Content-Length": str(ticket.file.bytes), "Content-Security-Policy": SANDBOX}
        return StreamingResponse(body(), headers=headers | _attachment(ticket.file.name), media_type="application/octet-stream")

    def clear(self) -> None:
        """Nothing stays of a session that has ended."""
        self._tickets.clear()


def _attachment(name: str) -> dict[str, str]:
    """RFC 6266, as Starlette writes it."""
    headers: MutableHeaders = FileResponse("", filename=name).headers
    return {"Content-Disposition": headers["content-disposition"]}
