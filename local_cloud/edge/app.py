"""The edge as an ASGI application: one request through every stage, in AWS's order."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import httpx
import structlog

from local_cloud.edge import iam, signature, waf, waf_log
from local_cloud.edge.authorize import authorize
from local_cloud.edge.exchange import Exchange
from local_cloud.edge.gateway_responses import Answer, Refused
from local_cloud.edge.integration import PAYLOAD_BYTES, forward
from local_cloud.edge.proxy import invoke
from local_cloud.edge.rest_api import FunctionIntegration, Method, RestApi
from local_cloud.edge.routes import Routes
from local_cloud.edge.signature import Ask
from local_cloud.edge.targets import TargetGroup
from local_cloud.edge.throttle import TokenBucket
from local_cloud.edge.waf import WebAcl
from local_cloud.lambda_runtime import LambdaRuntime

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# A client that is cut off in the middle of a body sees a reset instead of the answer, so that much more is read and thrown away.
DRAINED_BYTES = 64 * 1024 * 1024

# RFC 9110, 8.6: an answer without a body says no length, which in a 304 would be that of the body which the client has.
BODILESS = frozenset({204, 304})

_log = structlog.get_logger()


class ClientGone(Exception):
    """The client closed the connection before it had sent its request."""


class Edge:
    """Everything behind TLS.

    Args:
        api: the REST API to serve.
        web_acl: its web ACL, if one is associated.
        hosts: the values of the Host header that are served.
        runtimes: the host of each function, by its ARN.
        groups: the target group of each (load balancer's ARN, port).
        client: see integration.make_client.
        ask: gives the signer of a signature.
        record: takes each line of the access log.

    Raises Uninterpretable.
    """

    def __init__(
        self,
        *,
        api: RestApi,
        web_acl: WebAcl | None,
        hosts: frozenset[str],
        runtimes: Mapping[str, LambdaRuntime],
        groups: Mapping[tuple[str, int], TargetGroup],
        client: httpx.AsyncClient,
        ask: Ask,
        record: Callable[[str], None],
        record_waf: Callable[[str], None],
    ) -> None:
        self._api, self._web_acl, self._hosts, self._client, self._record = api, web_acl, hosts, client, record
        self._record_waf = record_waf
        self._runtimes, self._groups, self._ask = runtimes, groups, ask
        self._routes = Routes(api.methods)
        self._buckets = {_key(method): TokenBucket(method.limit) for method in api.methods if method.limit}

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        exchange = Exchange(
            method=scope["method"],
            path=scope["raw_path"].decode("ascii"),
            query=scope["query_string"].decode("ascii"),
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
            source_ip=scope["client"][0],
            protocol=f"HTTP/{scope['http_version']}",
            api=self._api,
        )
        try:
            answer = await self._answer(exchange, receive)
        except ClientGone:
            return
        except Refused as refusal:
            exchange.error_message = refusal.message
            answer = self._api.responses.answer(refusal.response_type, exchange)
        except Exception:  # noqa: BLE001 - whatever went wrong is no business of the caller, and must not let anything through
            _log.exception("request failed", request_id=exchange.request_id)
            answer = self._api.responses.answer("API_CONFIGURATION_ERROR", exchange)
        self._note(exchange, answer)
        await _send(answer, exchange, send)

    def malformed(self, source_ip: str) -> Answer:
        """The answer to what is no HTTP request, recorded as others are."""
        exchange = Exchange(method="-", path="-", query="", headers=[], source_ip=source_ip, protocol="-", api=self._api)
        answer = self._api.responses.answer("BAD_REQUEST_BODY", exchange)
        self._note(exchange, answer)
        return answer

    def _note(self, exchange: Exchange, answer: Answer) -> None:
        exchange.status, exchange.response_length = answer.status, len(answer.body)
        if self._api.access_log:
            self._record(self._api.access_log.format.render(exchange))

    async def _answer(self, exchange: Exchange, receive: Receive) -> Answer:
        if exchange.header_values("host") not in [[host] for host in self._hosts]:
            raise Refused("ACCESS_DENIED", "The host name is not one of this API")
        # The web ACL goes by the size of the body, which is not known beforehand where it comes in chunks.
        declared = exchange.header("content-length")
        body = await _body(exchange, receive) if exchange.header("transfer-encoding") is not None else None
        if blocked := self._blocked(exchange, int(declared or 0) if body is None else len(body)):
            return blocked
        body = await _body(exchange, receive) if body is None else body
        method = self._route(exchange)
        method_arn = self._api.method_arn(exchange.method, exchange.path)
        if self._api.policy and self._api.policy.refuses(exchange.source_ip, method_arn):
            raise Refused("ACCESS_DENIED")
        bucket = self._buckets.get(_key(method))
        if bucket and not bucket.take():
            raise Refused("THROTTLED")
        if method.authorizer:
            await authorize(exchange, method, method.authorizer, self._runtimes[method.authorizer.function_arn])
        else:
            await self._verify(exchange, body, method_arn)
        _validate(exchange, method, body)
        integration = method.integration
        if isinstance(integration, FunctionIntegration):
            return await invoke(exchange, method, integration, body, self._runtimes[integration.function_arn])
        group = self._groups[integration.load_balancer_arn, integration.port]
        return await forward(exchange, integration, body, group, self._client)

    async def _verify(self, exchange: Exchange, body: bytes, method_arn: str) -> None:
        """Notes the signer in the exchange. Raises Refused unless the signature is somebody's of this account who may."""
        signer = await self._ask(signature.read(exchange, body, region=self._api.region))
        if signer is None:
            raise Refused("INVALID_SIGNATURE")
        exchange.signer = signer
        # Another account's principals come in only where the API's own policy admits them, and it admits nobody.
        if signer.account != self._api.account or not iam.allows(signer.policies, signer.limits, method_arn):
            raise Refused("ACCESS_DENIED")

    def _blocked(self, exchange: Exchange, body_bytes: int) -> Answer | None:
        if self._web_acl is None:
            return None
        verdict = self._web_acl.evaluate(
            waf.Request(
                source_ip=exchange.source_ip,
                method=exchange.method,
                path=exchange.path,
                headers=exchange.headers,
                body_bytes=body_bytes,
            )
        )
        exchange.web_acl_arn = self._web_acl.arn
        exchange.waf_response = "WAF_ALLOW" if verdict.allowed else "WAF_BLOCK"
        self._record_waf(waf_log.line(self._web_acl.arn, exchange, allowed=verdict.allowed))
        if verdict.allowed:
            return None
        if verdict.response is None:
            raise Refused("WAF_FILTERED")
        headers = [("x-amzn-requestid", exchange.request_id), *verdict.response.headers]
        return Answer(verdict.response.status, headers, verdict.response.body)

    def _route(self, exchange: Exchange) -> Method:
        match = self._routes.match(exchange.method, exchange.path)
        if match is None:
            raise Refused("MISSING_AUTHENTICATION_TOKEN")
        exchange.route, exchange.path_parameters = match.method, match.parameters
        return match.method


def _key(method: Method) -> tuple[str, str]:
    return method.http_method, method.resource


async def _body(exchange: Exchange, receive: Receive) -> bytes:
    """The whole body. Raises Refused above 10 MB or when its length is declared in two ways (smuggling), and ClientGone."""
    declared = exchange.header("content-length")
    if declared is not None and exchange.header("transfer-encoding") is not None:
        raise Refused("BAD_REQUEST_BODY", "Content-Length and Transfer-Encoding exclude each other")
    expects = exchange.header("expect") is not None
    # A client that would send little more than allowed gets to send it, and so reads the answer.
    if declared is not None and int(declared) > (PAYLOAD_BYTES if expects else DRAINED_BYTES):
        raise Refused("REQUEST_TOO_LARGE")
    body, size, more = bytearray(), 0, True
    while more and size <= DRAINED_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size <= PAYLOAD_BYTES:
            body += chunk
        else:
            body.clear()
    if size > PAYLOAD_BYTES:
        raise Refused("REQUEST_TOO_LARGE")
    return bytes(body)


def _validate(exchange: Exchange, method: Method, body: bytes) -> None:
    sent = {"header": exchange.header, "path": exchange.path_parameters.get, "querystring": httpx.QueryParams(exchange.query).get}
    missing = [name for place, name in method.required if not sent[place](name)]
    if missing:
        raise Refused("BAD_REQUEST_PARAMETERS", f"Missing required request parameters: [{', '.join(missing)}]")
    if method.bodies and not method.bodies.accept(exchange.header("content-type"), body):
        raise Refused("BAD_REQUEST_BODY")


async def _send(answer: Answer, exchange: Exchange, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    if answer.status not in BODILESS:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    if exchange.error_type in ("REQUEST_TOO_LARGE", "BAD_REQUEST_BODY"):
        headers.append((b"connection", b"close"))
    with suppress(OSError):
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})
