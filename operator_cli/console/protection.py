"""Which requests are this console's own page's, checked before anything else sees them, and the headers of every answer.

Fetch Metadata: https://www.w3.org/TR/fetch-metadata/
"""

import re
from http.cookies import CookieError, SimpleCookie
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from operator_cli.console.pages import refusal_page
from operator_cli.console.problems import Problem
from operator_cli.console.secrets import Secrets, same

KEY_HEADER = "x-heartmap-console"
START_PATH = "/start"
DOWNLOAD_PATH = re.compile(r"/console/downloads/[A-Za-z0-9_-]{1,64}")
"""Opened by the browser itself, which sends no header of ours: the ticket stands in for the key."""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "font-src 'self'",
        "worker-src 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
    )
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Protection:
    """Refuses what did not come from this console's page, in this browser."""

    def __init__(self, app: ASGIApp, *, secrets: Secrets, port: int) -> None:
        self._app = app
        self._secrets = secrets
        self._hosts = (f"127.0.0.1:{port}", f"localhost:{port}")
        self._cookie_name = cookie_name(port)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check(scope["path"], scope["method"], Headers(scope=scope))
        except Problem as problem:
            await _refusal(problem, scope["path"])(scope, receive, send_protected)
            return
        await self._app(scope, receive, send_protected)

    def _check(self, path: str, method: str, headers: Headers) -> None:
        host = self._check_host(headers)
        self._check_origin(path, host, headers)
        if path == START_PATH:
            return
        if not self._has_cookie(headers):
            raise Problem(401, "no_console_session", "This browser was not started by the console: heartmapctl console")
        if method == "GET" and DOWNLOAD_PATH.fullmatch(path):
            return
        if is_call(path) and not self._has_key(headers):
            raise Problem(403, "no_page_key", "The call did not come from the console's page.")

    def _check_host(self, headers: Headers) -> str:
        """Another name that leads here is somebody else's (DNS rebinding)."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            raise Problem(421, "misdirected_request", "This host is not the console's.")
        return hosts[0]

    def _check_origin(self, path: str, host: str, headers: Headers) -> None:
        if "upgrade" in headers:
            raise Problem(400, "bad_request", "The console has no protocol but HTTP.")
        if any(origin != f"http://{host}" for origin in headers.getlist("origin")):
            raise Problem(403, "cross_origin", "The request comes from another site.")
        if path == START_PATH:
            # Opened from a terminal, a mail or a file: a page of its own, never a part of another one.
            started = (headers.get("sec-fetch-mode", "navigate"), headers.get("sec-fetch-dest", "document"))
            if started != ("navigate", "document"):
                raise Problem(403, "cross_origin", "The start address is to be opened as a page.")
        elif any(site not in ("same-origin", "none") for site in headers.getlist("sec-fetch-site")):
            raise Problem(403, "cross_origin", "The request comes from another site.")

    def _has_cookie(self, headers: Headers) -> bool:
        found = [cookie for text in headers.getlist("cookie") for cookie in _cookies(text, self._cookie_name)]
        return len(found) == 1 and same(found[0], self._secrets.cookie)

    def _has_key(self, headers: Headers) -> bool:
        keys = headers.getlist(KEY_HEADER)
        return len(keys) == 1 and same(keys[0], self._secrets.page_key)


def cookie_name(port: int) -> str:
    """Cookies know no ports: the name does, so that consoles side by side keep theirs."""
    return f"heartmap-console-{port}"


def is_call(path: str) -> bool:
    """Whether the path is one that the page's program calls, in place of a file of the page."""
    return path.startswith(("/api/", "/console/")) or path in ("/api", "/console")


def _cookies(text: str, name: str) -> list[str]:
    try:
        parsed = SimpleCookie(text)
    except CookieError:
        return []
    return [parsed[name].value] if name in parsed else []


def _refusal(problem: Problem, path: str) -> Response:
    response = problem.response() if is_call(path) else refusal_page(problem.status, problem.detail)
    # A body that came along is not read.
    response.headers["Connection"] = "close"
    return response
