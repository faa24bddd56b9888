"""Nothing takes as long as somebody else likes: a body has to arrive, and an answer to begin, within a time."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heartmap_service.problems import Problem, respond

BODY_SECONDS = 60.0
"""From the head of a call to the end of its body. The largest body that is taken, 10 MB, asks for 1.4 Mbit/s."""
ANSWER_SECONDS = 25.0
"""From the end of the body to the beginning of the answer. API Gateway gives up after 29."""
SLOW = frozenset({"/analyze"})
"""Paths with a time of their own, which they keep themselves."""


class TimeLimits:
    """ASGI middleware for behind the gate, which answers the Problem that this raises.

    What is late may be in a thread, and threads cannot be ended: the caller is answered, what the application says afterwards is
    dropped, and the call counts as one in hand until it ends.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = _Call(scope, receive, send)
        try:
            await self._app(scope, call.receive, call.send)
        finally:
            await call.end()


class _Call:
    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._body_until = self._loop.time() + BODY_SECONDS
        self._begun = self._late = False
        self._answering: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        if _has_no_body(scope):
            self._start()

    def _start(self) -> None:
        if self._alarm is None and self._scope["path"] not in SLOW:
            self._alarm = self._loop.call_later(ANSWER_SECONDS, self._expire)

    async def receive(self) -> Message:
        if self._body_until is None:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._body_until):
                message = await self._receive()
        except TimeoutError:
            detail = f"The body did not arrive within {BODY_SECONDS:.0f} seconds. Send large data sets with heartmapctl upload."
            # What is left of the body is not waited for.
            raise Problem(408, "body_too_slow", detail, headers={"Connection": "close"}) from None
        if not message.get("more_body", False):
            self._body_until = None
            self._start()
        return message

    async def send(self, message: Message) -> None:
        if self._late:
            return
        self._begun = True
        await self._send(message)

    def _expire(self) -> None:
        if not self._begun:
            self._late = True
            self._answering = self._loop.create_task(self._answer())

    async def _answer(self) -> None:
        detail = "The service took too long. Try again; if you were changing something, see first whether it has changed."
        request_id = self._scope["state"]["caller"].request_id
        await respond(Problem(504, "timeout", detail), request_id)(self._scope, self._receive, self._send)

    async def end(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self._answering is not None:
            await self._answering


def _has_no_body(scope: Scope) -> bool:
    """A body announces itself: RFC 9112, section 6."""
    return all(name not in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
