"""Decisions for a gateway that asks about each call before it passes it on: forward auth, as Traefik has it.

``GET /authorize`` describes a call in its headers. The answer is 204 with an assertion for that one call, which the service
accepts as it accepts the authorizer's, or the problem that the gateway answers with. ``python -m heartmap_service.forward_auth``
serves that and nothing else: no bucket, no queue and no table of jobs, but the keys that assertions are signed with, which is why
nobody but the trusted proxies may ask.

The nonce of a signed call is taken here, once; the service verifies the assertion, and with the body in its hands its size and
``Content-Digest``. https://doc.traefik.io/traefik/middlewares/http/forwardauth/
"""

import re
import time
from typing import NoReturn

import structlog
import uvicorn
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from ulid import ULID

from heartmap_service import direct_identity, server
from heartmap_service.identity import PROBE, SECURITY_HEADERS
from heartmap_service.log import configure
from heartmap_service.problems import Problem, respond
from heartmap_service.settings import DecisionSettings, load
from lambda_authorizer.assertion import HEADER

PATH = "/authorize"
MOST_CALLS = 64
"""In hand at once. Eight are decided at a time, each within 1.8 s: more could not be before their gateway has given up."""

_METHOD, _URI, _HOST, _FOR = "x-forwarded-method", "x-forwarded-uri", "x-forwarded-host", "x-forwarded-for"
# Of this call, and not of the one that is asked about.
_NOT_THE_CALLS = re.compile(r"host|content-length|transfer-encoding|x-forwarded-(?!for$).*")
_log = structlog.get_logger()


class ForwardAuth:
    """The ASGI application.

    Args:
        core: decides, and signs with the keys that the service verifies with.
        host: the name that callers use, the only one for which calls are let through, with any port.
    """

    def __init__(self, core: direct_identity.Core, *, host: str) -> None:
        self._core = core
        self._host = host.lower()
        self._calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] == "GET" and scope["path"] == PROBE:
            await JSONResponse({"status": "ok"})(scope, receive, send)
            return
        # Always a new one: Traefik has none of its own, and the caller's is the caller's.
        request_id, started = str(ULID()), time.monotonic()
        self._calls += 1
        try:
            answer = Response(status_code=204, headers={HEADER: await self._assertion(scope, request_id)})
        except Problem as problem:
            answer = respond(problem, request_id)
        finally:
            self._calls -= 1
        MutableHeaders(raw=answer.raw_headers).update({**SECURITY_HEADERS, "X-Request-Id": request_id})
        milliseconds = round((time.monotonic() - started) * 1000)
        _log.info("decision", request_id=request_id, status=answer.status_code, milliseconds=milliseconds)
        await answer(scope, receive, send)

    async def _assertion(self, scope: Scope, request_id: str) -> str:
        if not self._core.is_from_trusted(scope):
            raise Problem(403, "forbidden", "Only the gateways that are trusted here may ask.")
        if scope["method"] != "GET" or scope["raw_path"] != PATH.encode("ascii"):
            raise Problem(403, "no_such_route", "There is no such route or method in this API.")
        if self._calls > MOST_CALLS:
            raise Problem(503, "overloaded", "There are too many calls at once. Try again.", headers={"Retry-After": "2"})
        call = _described(scope)
        headers = Headers(scope=call)
        if headers["host"].lower().partition(":")[0] != self._host:
            raise Problem(421, "misdirected_request", "This host does not serve the API.")
        return await self._core.assertion(call, headers, request_id)


def _described(scope: Scope) -> Scope:
    """The call that is asked about, of the peer that asks, its path and query as they were sent."""
    headers = Headers(scope=scope)
    values = [headers.getlist(name) for name in (_METHOD, _URI, _HOST)]
    # Without the address a key that is bound to some would open from the gateway's own.
    if any(len(found) != 1 for found in values) or not headers.getlist(_FOR):
        _undescribed()
    [method], [uri], [host] = values
    path, _, query = uri.partition("?")
    own = [(name, value) for name, value in headers.raw if not _NOT_THE_CALLS.fullmatch(name.decode("latin-1"))]
    return {
        **scope,
        "method": method,
        "path": path,
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "headers": [*own, (b"host", host.encode("latin-1"))],
    }


def _undescribed() -> NoReturn:
    detail = "The gateway has to describe the call: X-Forwarded-Method, -Uri and -Host once each, and X-Forwarded-For."
    raise Problem(400, "bad_request", detail)


def create_app(settings: DecisionSettings) -> ForwardAuth:
    """The application. Raises SystemExit when the authorizer's environment is not usable."""
    core = direct_identity.Core(
        direct_identity.configured(rotating=True), region=settings.region, trusted_proxies=settings.trusted_proxies
    )
    return ForwardAuth(core, host=settings.internal_host)


def main() -> None:
    """Serves until SIGTERM, then ends the calls in hand."""
    settings = load(DecisionSettings)
    configure("forward-auth", settings.log_level)
    uvicorn.Server(server.listening(create_app(settings), settings)).run()


if __name__ == "__main__":
    main()
