"""Kong Gateway, open source, 3.4 or newer, without a database: read against 3.9.3's sources.

The declarative configuration, ``kong.conf``, and what Kong's nginx includes. Functions in Lua, which Kong's pre-function plugin
runs in its sandbox, do what no plugin of the open-source edition does; each says why it is there.
"""

import json
import math
from urllib.parse import urlsplit

from gateways.model import (
    BODY_SECONDS,
    CREDENTIAL_HEADER,
    FORWARDED_FOR_HEADER,
    HEAD_BYTES,
    HEAD_SECONDS,
    REQUEST_ID_HEADER,
    STRIPPED_HEADERS,
    TIMEOUT_SECONDS,
    Gateway,
    GatewayError,
    Route,
)
from gateways.problems import PROBLEMS, SECURITY_HEADERS, GatewayProblem
from gateways.templates import environment
from gateways.tls import CIPHERS, CURVES, PROTOCOLS

FILES = ("http.conf", "kong.conf", "kong.yml", "server.conf")
PHASES = ("rewrite", "access", "header_filter", "body_filter")
"""Of a request in Kong, for which there is a function in Lua."""
DIRECTORY = "/etc/kong/heartmap"
"""Where the files stand on the gateway's host."""

KEY_HEADER, DIGEST_HEADER = "X-HeartMAP-Gateway-Key", "X-HeartMAP-Gateway-Digest"
TOKEN_GROUP, PROGRAM_GROUP = "token", "program"
"""Groups of Kong's own, beside those that are named as scopes: who comes with a token of the user pool, and every program."""

# In words that fit all of this gateway's credentials.
_UNAUTHENTICATED = GatewayProblem(
    401,
    "Unauthorized",
    "unauthenticated",
    "Send Authorization: Bearer with an access token that has not expired; or, as a program, this gateway's key in "
    f"{KEY_HEADER} beside its own API key or signature.",
    (("WWW-Authenticate", 'Bearer realm="heartmap", ApiKey realm="heartmap"'),),
)
_FORBIDDEN = GatewayProblem(
    403, "Forbidden", "forbidden", "This gateway's key does not open this route. Ask whoever runs the gateway for one that does."
)
# What Kong makes of a body that is too large where the caller asked first (Expect: 100-continue).
_EXPECTATION = PROBLEMS[413]._replace(status=417, title="Expectation Failed")

ANSWERS = {**PROBLEMS, 401: _UNAUTHENTICATED, 403: _FORBIDDEN, 417: _EXPECTATION}
# What is not believed from outside: besides every gateway's list, what Kong and its plugins tell the service.
UNTRUSTED = (
    *STRIPPED_HEADERS,
    CREDENTIAL_HEADER,
    FORWARDED_FOR_HEADER,
    REQUEST_ID_HEADER,
    KEY_HEADER,
    DIGEST_HEADER,
    "X-Anonymous-Consumer",
    "X-Authenticated-Groups",
    "X-Consumer-Custom-ID",
    "X-Consumer-Groups",
    "X-Consumer-ID",
    "X-Consumer-Username",
    "X-Credential-Identifier",
    "X-Forwarded-Path",
    # Kong would take the headers that it names away from what the service is sent, the request's id among them.
    "Connection",
    "Upgrade",
)

PLUGINS = (
    "pre-function",
    "correlation-id",
    "jwt",
    "key-auth",
    "ip-restriction",
    "request-size-limiting",
    "acl",
    "rate-limiting",
    "response-transformer",
    "file-log",
)
"""In the order in which Kong runs them."""

BLOCKED = PROBLEMS[403]
"""The other 403: of an address, which says so in the message that this text is put in the place of."""


def files(gateway: Gateway) -> dict[str, str]:
    """The files of ``DIRECTORY``. Raises GatewayError without a key of the user pool, which Kong does not fetch, and for a
    service that goes by another name than the gateway."""
    if not gateway.signing_keys:
        raise GatewayError(f"Kong has to be given the user pool's keys: fetch {gateway.jwks_url} and name the file with --jwks.")
    if gateway.upstream_host != gateway.server_name:
        raise GatewayError(
            "Kong verifies the service's certificate for the name that callers use: give the service one for it, and "
            f"--upstream-host {gateway.server_name}."
        )
    templates = environment("kong", yaml=_yaml, lua=_lua, allowed=_allowed, windows=_windows)
    upstream = urlsplit(gateway.upstream)
    values = {
        "gateway": gateway,
        "host": upstream.hostname,
        "port": upstream.port,
        "directory": DIRECTORY,
        "plugins": [name for name in PLUGINS if name != "ip-restriction" or gateway.allowed_ranges],
        "protocols": PROTOCOLS,
        "ciphers": CIPHERS,
        "curves": CURVES,
        "stripped": UNTRUSTED,
        "security_headers": SECURITY_HEADERS,
        "answers": ANSWERS,
        "blocked": BLOCKED,
        "key_header": KEY_HEADER,
        "digest_header": DIGEST_HEADER,
        "request_id_header": REQUEST_ID_HEADER,
        "program_group": PROGRAM_GROUP,
        "token_group": TOKEN_GROUP,
        "timeout_seconds": TIMEOUT_SECONDS,
        "head_seconds": HEAD_SECONDS,
        "body_seconds": BODY_SECONDS,
        "head_bytes": HEAD_BYTES,
    }
    functions = {phase: templates.get_template(f"{phase}.lua.j2").render(values).rstrip() for phase in PHASES}
    return {name: templates.get_template(f"{name}.j2").render(values, **functions) for name in FILES}


def _yaml(value: object) -> str:
    """In the notation of JSON, which YAML shares."""
    return json.dumps(value)


def _lua(text: str) -> str:
    """As a long string. Raises GatewayError for a text that would end it."""
    if "]==]" in text or not text.isprintable():
        raise GatewayError(f"This cannot be written into Lua: {text[:200]!r}.")
    return f"[==[{text}]==]"


def _allowed(route: Route) -> str:
    """Kong's groups that open the row. What a token's own groups and scopes open, the service reads."""
    return json.dumps([TOKEN_GROUP, *([PROGRAM_GROUP] if route.any_principal else []), *route.scopes])


def _windows(route: Route) -> str:
    """The row's rate over a minute, and its burst in a second: a fixed window has no burst. Kong refuses a minute with less
    than its second."""
    second = max(route.burst, math.ceil(route.rate))
    return f"second: {second}, minute: {max(second, math.ceil(route.rate * 60))}"
