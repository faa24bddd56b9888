"""The API for the page: the methods and routes of the access policy, and no others, with the session's credential."""

import json
import re
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lambda_authorizer.access_policy import ACCESS_POLICY, GATEWAY_BODY_LIMIT, Rule
from operator_cli.console.bodies import read_json
from operator_cli.console.problems import MEDIA_TYPE, Problem
from operator_cli.console.upstream import Upstream

PREFIX = "/api"
IDLE_HEADER = "x-heartmap-idle"
"""Set by the page when nobody has touched it for a while: what it then asks for by itself renews no session."""
FORWARDED = ("if-match", "if-none-match", "idempotency-key")
RETURNED = ("etag", "retry-after", "x-request-id", "idempotency-replayed")
SECRET_FIELDS = frozenset({"url", "fields"})
"""A presigned address, and the form that goes with one: whoever has it needs no credential."""
PRESIGNED: Final = re.compile(r"X-Amz-Signature=|X-Amz-Credential=|[?&]Signature=", re.IGNORECASE)
LONGEST_QUERY = 4096
LONGEST_HEADER = 512
MOST_PARAMETERS = 32
# No dot, escape, slash or colon: what is matched is what is sent, and nothing on the way can read it otherwise.
_SEGMENT = "[A-Za-z0-9_-]{1,128}"


def _pattern(route: str) -> re.Pattern[str]:
    return re.compile("/".join(_SEGMENT if part.startswith("{") else re.escape(part) for part in route.split("/")))


# What takes a whole data set is not for JSON: the page uploads.
_RULES = [(_pattern(rule.route), rule) for rule in ACCESS_POLICY if rule.body < GATEWAY_BODY_LIMIT]


class Proxy:
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def __call__(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode("ascii").removeprefix(PREFIX)
        rule = rule_for(request.method, path)
        if rule is None:
            raise Problem(403, "no_such_route", "There is no such route or method.")
        body = await read_json(request, rule.body)
        response = await self._upstream.send(
            request.method,
            path + _query(request.scope["query_string"]),
            body=body,
            headers=_forwarded(request),
            renew=IDLE_HEADER not in request.headers,
        )
        return _answer(response)


def rule_for(method: str, path: str) -> Rule | None:
    """The row of the access policy that a request falls under."""
    return next((rule for pattern, rule in _RULES if rule.method == method and pattern.fullmatch(path)), None)


def _query(raw: bytes) -> str:
    """The parameters, written anew."""
    if not raw:
        return ""
    if len(raw) > LONGEST_QUERY:
        raise Problem(414, "bad_request", "The parameters are too long.")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise Problem(400, "bad_request", "The parameters cannot be read.") from None
    return "?" + urlencode(pairs)


def _forwarded(request: Request) -> dict[str, str]:
    found = {name: request.headers.getlist(name) for name in FORWARDED if name in request.headers}
    for values in found.values():
        if len(values) != 1 or len(values[0]) > LONGEST_HEADER or not values[0].isascii() or not values[0].isprintable():
            raise Problem(400, "bad_request", "A header cannot be read.")
    return {name: values[0] for name, values in found.items()}


def _answer(response: httpx.Response) -> Response:
    headers = {name: response.headers[name] for name in RETURNED if name in response.headers}
    if not response.content:
        return Response(status_code=response.status_code, headers=headers)
    try:
        document = json.loads(response.content)
    except (ValueError, RecursionError):
        raise Problem(502, "bad_gateway", "The service's answer is not JSON.") from None
    media_type = MEDIA_TYPE if response.is_error else "application/json"
    return JSONResponse(without_secrets(document), response.status_code, headers, media_type)


def without_secrets(value: Any) -> Any:
    """The document without presigned addresses."""
    if isinstance(value, dict):
        return {name: without_secrets(each) for name, each in value.items() if name not in SECRET_FIELDS}
    if isinstance(value, list):
        return [without_secrets(each) for each in value]
    if isinstance(value, str) and PRESIGNED.search(value):
        return None
    return value
