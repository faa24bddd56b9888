"""Entity tags (RFC 9110, section 8.8.3): a caller that has an answer already is told so, and one that changes something may say
what it believes to be changing.

The answers stay ``no-store``: a tag is for programs that keep what they were told, such as one that polls, and not for caches.
"""

import json
import re
from hashlib import sha256
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heartmap_service.problems import Problem

HEADER = "ETag"
PRESIGNED = "/results"
"""How the paths end whose answers hold presigned URLs: no two of them are the same."""

_TAG = re.compile(r'(W/)?"([!#-~]*)"')


def of_bytes(body: bytes) -> str:
    """The strong tag of a body, in its quotation marks."""
    return f'"{sha256(body).hexdigest()[:32]}"'


def etag_of(document: Any) -> str:
    """The strong tag of a JSON document, whatever way it is written: for answers that a later change is conditional on."""
    return of_bytes(json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("utf-8"))


def require_match(if_match: str | None, etag: str, *, code: str, detail: str) -> None:
    """Raises Problem 412 with ``code`` and ``detail`` when If-Match is there and names another state than ``etag``.

    The comparison is the strong one (RFC 9110, section 13.1.1): a weak tag never matches.
    """
    if if_match is None or if_match.strip() == "*":
        return
    if etag not in [tag.group() for tag in _TAG.finditer(if_match) if not tag.group(1)]:
        raise Problem(412, code, detail)


def _has(if_none_match: str, etag: str) -> bool:
    """The weak comparison of section 13.1.2."""
    return if_none_match.strip() == "*" or etag.removeprefix("W/") in [
        f'"{tag.group(2)}"' for tag in _TAG.finditer(if_none_match)
    ]


class ETags:
    """ASGI middleware for behind the gate: 200 answers in JSON to a GET carry a tag, their own where the route gave one; a caller
    that has the answer (If-None-Match) gets 304 and no body. What is sent in several pieces passes as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"].endswith(PRESIGNED):
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).getlist("if-none-match")
        start: Message | None = None

        async def tagged(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_taggable(message):
                start = message
                return
            if start is not None and message["type"] == "http.response.body":
                start, begun = None, start
                if not message.get("more_body", False):
                    begun, message = _answer(begun, message, asked)
                await send(begun)
            await send(message)

        await self._app(scope, receive, tagged)


def _is_taggable(start: Message) -> bool:
    return start["status"] == 200 and Headers(raw=start["headers"]).get("content-type") == "application/json"


def _answer(start: Message, body: Message, asked: list[str]) -> tuple[Message, Message]:
    headers = MutableHeaders(raw=list(start["headers"]))
    etag = headers.setdefault(HEADER, of_bytes(body.get("body", b"")))
    if not any(_has(each, etag) for each in asked):
        return {**start, "headers": headers.raw}, body
    for name in ("Content-Length", "Content-Type"):
        del headers[name]
    return {**start, "status": 304, "headers": headers.raw}, {"type": "http.response.body", "body": b""}
