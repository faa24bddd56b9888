"""Sends an allowed request on to the service, as an HTTP_PROXY integration and a load balancer do, and brings the answer back."""

import asyncio
import re
import ssl
import time
from urllib.parse import parse_qsl, urlencode

import httpx
import structlog

from local_cloud.edge.exchange import Exchange, Headers
from local_cloud.edge.gateway_responses import Answer, Refused
from local_cloud.edge.rest_api import Integration
from local_cloud.edge.targets import Target, TargetGroup

# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
PAYLOAD_BYTES = 10 * 1024 * 1024
CONNECT_SECONDS = 10.0
# A connection that the target closes just as it is used again is a 502. So this ends before any server's own keep-alive does.
KEEPALIVE_SECONDS = 1.0

# RFC 9110, 7.6.1; the names in a Connection header come on top.
HOP_BY_HOP = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
    *("te", "trailer", "transfer-encoding", "upgrade"),
}
OURS = {
    *("host", "content-length", "expect", "x-amzn-apigateway-api-id"),
    *("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"),
}
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
REMAPPED = {"date", "server", "www-authenticate"}

_log = structlog.get_logger()


def make_client() -> httpx.AsyncClient:
    """The client for the targets: it trusts any certificate, as a load balancer does, and no proxy setting of this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=KEEPALIVE_SECONDS)
    return httpx.AsyncClient(verify=context, trust_env=False, limits=limits, timeout=httpx.Timeout(None, connect=CONNECT_SECONDS))


async def forward(
    exchange: Exchange, integration: Integration, body: bytes, group: TargetGroup, client: httpx.AsyncClient
) -> Answer:
    """The service's answer. Raises Refused when there is none in time, or none that API Gateway would pass on."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(integration.timeout):
            return await _send(exchange, integration, _as_text_unless_binary(exchange, body), group, client)
    except TimeoutError:
        raise Refused("INTEGRATION_TIMEOUT") from None
    except httpx.LocalProtocolError:
        # A mapping made something that is no HTTP request.
        raise Refused("API_CONFIGURATION_ERROR") from None
    except httpx.TransportError as error:
        _log.warning("the service does not answer", request_id=exchange.request_id, error=repr(error))
        raise Refused("INTEGRATION_FAILURE") from None
    finally:
        exchange.integration_latency = time.monotonic() - started


async def _send(
    exchange: Exchange, integration: Integration, body: bytes, group: TargetGroup, client: httpx.AsyncClient
) -> Answer:
    if group.has_expired:
        raise Refused("INTEGRATION_FAILURE")
    tried: list[Target] = []
    while target := group.next(tried) or await _fresh(group, tried):
        tried.append(target)
        request = httpx.Request(
            integration.method,
            f"{target.scheme}://{target.address}:{target.port}/",
            # Bytes beyond ASCII are passed on as they came (RFC 9110, 5.5).
            headers=httpx.Headers(_request_headers(exchange, integration), encoding="latin-1"),
            content=body or None,
            # As it is: a URL object would normalise the path that the authorizer has seen.
            extensions={"target": _target(exchange, integration)},
        )
        try:
            response = await client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            continue  # Nothing was sent, so another target may have it.
        try:
            return await _answer(exchange, response)
        finally:
            await response.aclose()
    raise Refused("INTEGRATION_FAILURE")


async def _fresh(group: TargetGroup, tried: list[Target]) -> Target | None:
    await group.refresh()
    return group.next(tried)


def _target(exchange: Exchange, integration: Integration) -> bytes:
    """Path and query. Private integrations get the stage's name in front of the path."""
    values = {
        (place, name): origin.resolve(exchange) or "" for place, name, origin in integration.parameters if place != "header"
    }
    path = re.sub(r"{([^}]*)}", lambda name: values["path", name[1]], integration.path)
    query = exchange.query
    mapped = {name: value for (place, name), value in values.items() if place == "querystring"}
    if mapped:
        sent = parse_qsl(query, keep_blank_values=True)
        query = urlencode([*((name, value) for name, value in sent if name not in mapped), *mapped.items()])
    return f"/{exchange.api.stage}{path}{'?' if query else ''}{query}".encode("ascii")


def _request_headers(exchange: Exchange, integration: Integration) -> Headers:
    mapped = {name.lower(): origin.resolve(exchange) for place, name, origin in integration.parameters if place == "header"}
    dropped = HOP_BY_HOP | OURS | mapped.keys() | _named_by_connection(exchange.headers)
    forwarded = ", ".join([*exchange.header_values("x-forwarded-for"), exchange.source_ip])
    return [
        ("host", integration.host),
        *((name, value) for name, value in exchange.headers if name.lower() not in dropped),
        ("x-forwarded-for", forwarded),
        ("x-forwarded-port", "443"),
        ("x-forwarded-proto", "https"),
        ("x-amzn-apigateway-api-id", exchange.api.id),
        *((name, value) for name, value in mapped.items() if value is not None),
    ]


def _named_by_connection(headers: Headers) -> set[str]:
    return {name.strip().lower() for header, value in headers if header.lower() == "connection" for name in value.split(",")}


def _as_text_unless_binary(exchange: Exchange, body: bytes) -> bytes:
    """Without a matching binary media type API Gateway takes a body for UTF-8 text, and so spoils what is none.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings.html
    """
    return body if is_binary(exchange) else body.decode("utf-8", "replace").encode()


def is_binary(exchange: Exchange) -> bool:
    """Whether the body is of one of the REST API's binary media types."""
    sent = (exchange.header("content-type") or "").split(";")[0].strip().lower()
    binary = exchange.api.binary_media_types
    return "*/*" in binary or sent in binary


async def _answer(exchange: Exchange, response: httpx.Response) -> Answer:
    exchange.integration_status = response.status_code
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > PAYLOAD_BYTES:
            raise Refused("API_CONFIGURATION_ERROR")
    received = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers.raw]
    dropped = HOP_BY_HOP | {"content-length", "x-amzn-requestid"} | _named_by_connection(received)
    headers = [("x-amzn-requestid", exchange.request_id)]
    headers += [
        (f"x-amzn-remapped-{name}" if name in REMAPPED else name, value) for name, value in received if name not in dropped
    ]
    return Answer(response.status_code, headers, bytes(body))
