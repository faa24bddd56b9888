"""A body is what its sender said it is: Content-Digest (RFC 9530), compared whenever a call carries it.

The authorizer verifies the signature of a call, which covers this header, and never sees the body. Nothing behind this layer
sees a byte of the body before it was compared.
"""

import re
import tempfile
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import IO, Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heartmap_service.problems import Problem

HEADER = "Content-Digest"
IN_MEMORY = 1024 * 1024
"""Bytes of a body that are held in memory, as many as Starlette holds of a file; the rest waits in the scratch directory."""
PIECE = 64 * 1024

# One digest of the one algorithm: 32 bytes are 43 characters of base64, the last of which has two bits to spare, and these are 0.
_FORM = re.compile(r"sha-256=:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=:")


class ContentDigest:
    """ASGI middleware for behind the gate, which answers the Problem that this raises and bounds what is read here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope).getlist(HEADER) if scope["type"] == "http" else []
        if not given:
            await self._app(scope, receive, send)
            return
        if len(given) > 1 or not _FORM.fullmatch(given[0]):
            raise Problem(400, "content_digest_invalid", f"Send one {HEADER}, of the form sha-256=:base64:.")
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as file:
            body = _Body(file)
            found = await body.keep(receive)
            # None: the caller is gone, and the application finds that out for itself.
            if found is not None and f"sha-256=:{b64encode(found).decode('ascii')}:" != given[0]:
                raise Problem(400, "content_digest_mismatch", f"The body is not the one that {HEADER} was made of.")
            await self._app(scope, body.before(receive), send)


class _Body:
    """A body that is read, and then handed on."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._size = 0
        self._whole = False

    async def keep(self, receive: Receive) -> bytes | None:
        """The SHA-256 of the body, once it was read; None when the caller went away before its end."""
        digest = sha256()
        while not self._whole:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            piece = message.get("body", b"")
            digest.update(piece)
            self._size += len(piece)
            await self._do(self._file.write, piece)
            self._whole = not message.get("more_body", False)
        return digest.digest()

    def before(self, receive: Receive) -> Receive:
        """What the application receives: the body, or that the caller went away, and then what comes after it."""
        self._file.seek(0)
        left, told = self._size, False

        async def again() -> Message:
            nonlocal left, told
            if told:
                return await receive()
            if not self._whole:
                told = True
                return {"type": "http.disconnect"}
            piece = await self._do(self._file.read, min(left, PIECE))
            left -= len(piece)
            told = left == 0
            return {"type": "http.request", "body": piece, "more_body": not told}

        return again

    async def _do(self, work: Callable[[Any], Any], argument: Any) -> Any:
        """In a thread once the file is one on the disk; before that there is nothing to wait for, and no thread either."""
        if self._size <= IN_MEMORY:
            return work(argument)
        return await run_in_threadpool(work, argument)
