"""Who is calling, and whether they may: checked here on every call, whatever stands in front.

An ASGI middleware and not a dependency, because FastAPI reads the body and answers 404 and 405 before it looks at dependencies.
Nothing behind it is reached by a caller whom the identity source does not vouch for, for this very method and route, or whom the
access policy does not permit; the load balancer's probe, ``GET /healthz``, alone is answered by itself.

The identity source is the authorizer's assertion (``FromAssertion``: behind API Gateway), or the authorizer's own core in this
process (``direct_identity``: behind another gateway, or behind none).
"""

import contextlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

from heartmap_service import audit
from heartmap_service.problems import AUDIT, Problem, respond
from heartmap_service.queue import ULID_PATTERN
from lambda_authorizer.access_policy import ADMIN, RULES, SERVICE, Rule, permits
from lambda_authorizer.assertion import HEADER, Assertion, AssertionRefused, verify

PROBE = "/healthz"
ALWAYS = frozenset({"/", "/health"})
"""Paths that are answered however many calls are in hand: they wait for nothing, and who watches the service asks for them."""

SECURITY_HEADERS = {
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}

_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_SECURITY_HEADERS = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in SECURITY_HEADERS.items()]
_OURS = frozenset({b"x-request-id", *(name for name, _ in _SECURITY_HEADERS)})
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


class IdentitySource(Protocol):
    """Says who a call is from."""

    def request_id(self, scope: Scope, headers: Headers) -> str:
        """The id that the call goes by in the logs and in its answer, before it is known who calls."""
        ...

    async def identify(self, scope: Scope, headers: Headers, request_id: str) -> Assertion:
        """Who calls, and which method and route they were let through to. Raises Problem."""
        ...


class FromAssertion:
    """The authorizer's word, which came with the call through the gateway. ``keys`` are the assertion's, by their ids."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = keys

    def request_id(self, scope: Scope, headers: Headers) -> str:  # noqa: ARG002  # IdentitySource's
        """The gateway's id of the call. Nobody is trusted for more than its shape: it only finds log lines again."""
        return given_request_id(headers) or str(ULID())

    async def identify(self, scope: Scope, headers: Headers, request_id: str) -> Assertion:  # noqa: ARG002  # IdentitySource's
        """Raises Problem 401 without one assertion that holds, of this request where the gateway named it."""
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


def given_request_id(headers: Headers) -> str | None:
    """The id that the call came with, if it has the shape of one."""
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else None


class Gate:
    """The outermost layer: host, identity, route, role, size of the body, number of calls; security headers, and one audit record
    and one log line a call.

    Args:
        app: what is behind it.
        identity: says who is calling.
        internal_host: the only Host that is answered, with any port.
        stage: what API Gateway may send as the first segment of the path; None where there is no API Gateway in front.
        most_calls: calls in hand at once. One more is told to come again, so that calls that wait for AWS cannot fill the memory.
    """

    def __init__(
        self, app: ASGIApp, *, identity: IdentitySource, internal_host: str, stage: str | None, most_calls: int = 256
    ) -> None:
        self._app = app
        self._identity = identity
        self._host = internal_host.lower()
        self._stage = f"/{stage}" if stage else None
        self._most_calls = most_calls
        self._calls = 0
        # Who was let through to a row that something else answers gets nothing here.
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
        record = audit.Call(self._identity.request_id(scope, headers))
        state = scope.setdefault("state", {})
        state[AUDIT] = record
        answer = _Answer(record, scope, receive, send)
        self._calls += 1
        with structlog.contextvars.bound_contextvars(request_id=record.request_id):
            try:
                state["caller"], rule = await self._admit(scope, headers, record)
                structlog.contextvars.bind_contextvars(request_id=record.request_id)
                await self._app(scope, _bounded(receive, rule.body), answer.send)
            except Problem as problem:
                await respond(problem, record.request_id)(scope, receive, answer.send)
            finally:
                self._calls -= 1
                answer.end()
                _log.info(
                    "call",
                    status=answer.status,
                    milliseconds=round((time.monotonic() - started) * 1000),
                    method=scope["method"],
                    route=record.route,
                    principal=record.principal,
                    reason=record.reason,
                )

    async def _admit(self, scope: Scope, headers: Headers, record: audit.Call) -> tuple[Caller, Rule]:
        """Whoever is let through, and to which row; what is found out on the way stands in the record, whatever comes of it."""
        if [host.lower().partition(":")[0] for host in headers.getlist("host")] != [self._host]:
            raise Problem(421, "misdirected_request", "This host does not serve the API.")
        if "content-length" in headers and "transfer-encoding" in headers:
            # RFC 9112, section 6.3: what stands in front may have read the one where this server reads the other.
            detail = "A body has a Content-Length or a Transfer-Encoding, and not both."
            raise Problem(400, "bad_request", detail, headers={"Connection": "close"})
        path = self._without_stage(scope)
        if self._calls > self._most_calls and path not in ALWAYS:
            raise Problem(503, "overloaded", "There are too many calls at once. Try again.", headers={"Retry-After": "2"})
        identity = await self._identity.identify(scope, headers, record.request_id)
        record.principal, record.request_id = identity.principal, identity.request_id
        rule = self._rules.get((identity.method, identity.route))
        found = self._templates[rule.route].fullmatch(path) if rule is not None and rule.method == scope["method"] else None
        if rule is None or found is None:
            raise Problem(403, "wrong_route", "The call is not the one that was authorised.")
        record.method, record.route, record.action = rule.method, rule.route, audit.ACTIONS[rule.method, rule.route]
        record.resource = found[1] if found.re.groups else None
        if not permits(rule, identity.groups, identity.scopes):
            raise Problem(403, "forbidden", "Your role does not allow this. Ask an administrator for the group that does.")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > rule.body:
            raise _too_large(rule.body)
        return Caller(identity.principal, identity.groups, identity.scopes, identity.request_id), rule

    def _without_stage(self, scope: Scope) -> str:
        """The path, which is that of the call from here on."""
        path = scope["path"]
        if self._stage and (path == self._stage or path.startswith(f"{self._stage}/")):
            path = path[len(self._stage) :] or "/"
            scope["path"], scope["raw_path"] = path, path.encode("utf-8")
        return path


class _Answer:
    """The answer to a call, which does not leave before its audit record is written."""

    def __init__(self, record: audit.Call, scope: Scope, receive: Receive, send: Send) -> None:
        self._record = record
        self._scope, self._receive, self._send = scope, receive, send
        self._is_withheld = False
        self.status: int | None = None
        """None before it begins."""

    async def send(self, message: Message) -> None:
        if self._is_withheld:
            return
        if message["type"] == "http.response.start":
            try:
                self._record.write(message["status"])
            except (OSError, ValueError):
                # What is not recorded is not given.
                self._is_withheld = True
                detail = "The call could not be recorded, and so it is not answered. Try again."
                problem = Problem(503, "unavailable", detail, headers={"Retry-After": "5"})
                await respond(problem, self._record.request_id)(self._scope, self._receive, self._begun)
                return
        await self._begun(message)

    async def _begun(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = _with_headers(message, self._record.request_id)
        await self._send(message)

    def end(self) -> None:
        """A call that ends without an answer is recorded too."""
        if self.status is None:
            self._record.reason = audit.NO_ANSWER
            with contextlib.suppress(OSError, ValueError):
                self._record.write(500)


def _template(route: str) -> re.Pattern[str]:
    """The paths of a route. Every path parameter is a ULID, and there is one at most."""
    return re.compile(
        "".join(f"({ULID_PATTERN})" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", route)),
        re.ASCII,
    )


def _with_headers(start: Message, request_id: str) -> Message:
    own = [pair for pair in start.get("headers", ()) if pair[0] not in _OURS]
    return {**start, "headers": [*own, *_SECURITY_HEADERS, (b"x-request-id", request_id.encode("latin-1"))]}


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
