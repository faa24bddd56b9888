"""Who is calling, as the authorizer's assertion says, and whether they may: checked here again on every call.

An ASGI middleware and not a dependency, because FastAPI reads the body and answers 404 and 405 before it looks at dependencies.
Nothing behind it is reached without a valid assertion for this very method and route, whose holder the access policy permits;
the load balancer's probe, ``GET /healthz``, alone is answered by itself.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

from heartmap_service.problems import Problem, respond
from heartmap_service.queue import ULID_PATTERN
from lambda_authorizer.access_policy import ADMIN, RULES, SERVICE, Rule, permits
from lambda_authorizer.assertion import HEADER, Assertion, AssertionRefused, verify

PROBE = "/healthz"

SECURITY_HEADERS = {
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}

_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_log = structlog.get_logger()


@dataclass(frozen=True)
class Caller:
    """A principal that the access policy permits the call in hand."""

    principal: str
    groups: frozenset[str]
    scopes: frozenset[str]
    request_id: str

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.groups


class Gate:
    """The outermost layer: host, assertion, route, role, size of the body; security headers and one log line a call."""

    def __init__(self, app: ASGIApp, *, keys: Mapping[str, bytes], internal_host: str, stage: str) -> None:
        self._app = app
        self._keys = keys
        self._host = internal_host.lower()
        self._stage = f"/{stage}"
        # An assertion for a row that something else answers opens nothing here.
        self._rules = {call: rule for call, rule in RULES.items() if rule.answered_by == SERVICE}
        self._templates = {rule.route: _template(rule.route) for rule in self._rules.values()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # The lifespan; websockets are not served.
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        if scope["method"] == "GET" and scope["path"] == PROBE:
            await JSONResponse({"status": "ok"})(scope, receive, send)
            return
        started = time.monotonic()
        headers = Headers(scope=scope)
        call = {"request_id": _request_id(headers), "method": scope["method"]}
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                out = MutableHeaders(scope=message)
                out.update({**SECURITY_HEADERS, "X-Request-Id": call["request_id"]})
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=call["request_id"]):
            try:
                caller, rule = self._admit(scope, headers)
                call |= {"request_id": caller.request_id, "principal": caller.principal, "route": rule.route}
                structlog.contextvars.bind_contextvars(request_id=caller.request_id)
                scope.setdefault("state", {})["caller"] = caller
                await self._app(scope, _bounded(receive, rule.body), send_with_headers)
            except Problem as problem:
                call["code"] = problem.code
                await respond(problem, call["request_id"])(scope, receive, send_with_headers)
            finally:
                _log.info("call", status=status, milliseconds=round((time.monotonic() - started) * 1000), **call)

    def _admit(self, scope: Scope, headers: Headers) -> tuple[Caller, Rule]:
        if [host.lower().partition(":")[0] for host in headers.getlist("host")] != [self._host]:
            raise Problem(421, "misdirected_request", "This host does not serve the API.")
        assertion = self._verify(headers)
        path = scope["path"]
        if path == self._stage or path.startswith(f"{self._stage}/"):
            path = path[len(self._stage) :] or "/"
            scope["path"], scope["raw_path"] = path, path.encode("utf-8")
        rule = self._rules.get((assertion.method, assertion.route))
        if rule is None or scope["method"] != rule.method or not self._templates[rule.route].fullmatch(path):
            raise Problem(403, "wrong_route", "The call is not the one that was authorised.")
        if not permits(rule, assertion.groups, assertion.scopes):
            raise Problem(403, "forbidden", "Your role does not allow this. Ask an administrator for the group that does.")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > rule.body:
            raise _too_large(rule.body)
        return Caller(assertion.principal, assertion.groups, assertion.scopes, assertion.request_id), rule

    def _verify(self, headers: Headers) -> Assertion:
        texts = headers.getlist(HEADER)
        try:
            if len(texts) != 1:
                raise AssertionRefused("missing" if not texts else "more than one")  # noqa: TRY301
            assertion = verify(texts[0], self._keys, now=time.time())
            if assertion.request_id != headers.get("x-request-id", assertion.request_id):
                raise AssertionRefused("of another request")  # noqa: TRY301
        except AssertionRefused as refused:
            _log.warning("assertion refused", reason=str(refused))
            raise Problem(
                401, "unauthenticated", "The call did not come through the API's gateway. Call the API's own address."
            ) from None
        return assertion


def _template(route: str) -> re.Pattern[str]:
    """The paths of a route. Every path parameter is a ULID."""
    return re.compile(
        "".join(ULID_PATTERN if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", route)), re.ASCII
    )


def _request_id(headers: Headers) -> str:
    """The gateway's id of the call. Nobody is trusted for more than its shape: it only finds log lines again."""
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else str(ULID())


def _bounded(receive: Receive, limit: int) -> Receive:
    """A body without a Content-Length is counted as it comes."""
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise _too_large(limit)
        return message

    return bounded


def _too_large(limit: int) -> Problem:
    if limit == 0:
        return Problem(413, "body_too_large", "This call takes no body.")
    return Problem(413, "body_too_large", f"The body may have at most {limit:,} bytes. Send data sets with heartmapctl upload.")
