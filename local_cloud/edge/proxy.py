"""Lambda proxy integrations: the request, and what the authorizer said, as the function's event; its answer as the response.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import asyncio
import base64
import time
from typing import Any

import structlog

from local_cloud.edge.authorize import request_event
from local_cloud.edge.exchange import Exchange, Headers
from local_cloud.edge.gateway_responses import Answer, Refused
from local_cloud.edge.integration import PAYLOAD_BYTES, REMAPPED, is_binary
from local_cloud.edge.rest_api import FunctionIntegration, Method
from local_cloud.lambda_runtime import FunctionCrashed, FunctionError, FunctionThrottled, FunctionTimedOut, LambdaRuntime

_log = structlog.get_logger()


async def invoke(
    exchange: Exchange, method: Method, integration: FunctionIntegration, body: bytes, runtime: LambdaRuntime
) -> Answer:
    """The function's answer. Raises Refused when there is none in time, or none that API Gateway would pass on."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(integration.timeout):
            answer = _answer(exchange, await runtime.invoke(_event(exchange, method, body)))
    except TimeoutError:
        raise Refused("INTEGRATION_TIMEOUT") from None
    except (FunctionError, FunctionCrashed, FunctionThrottled, FunctionTimedOut, _MalformedError) as error:
        _log.warning("the function gives no answer", request_id=exchange.request_id, error=type(error).__name__)
        raise Refused("INTEGRATION_FAILURE") from None
    finally:
        exchange.integration_latency = time.monotonic() - started
    exchange.integration_status = answer.status
    return answer


class _MalformedError(Exception):
    """Not an answer that API Gateway passes on."""


def _event(exchange: Exchange, method: Method, body: bytes) -> dict[str, Any]:
    event = request_event(exchange, method)
    # An authorizer's event has these two, a proxy integration's has not.
    del event["type"], event["methodArn"]
    if method.authorizer:
        event["requestContext"]["authorizer"] = {
            **exchange.authorizer_context,
            "principalId": exchange.principal,
            "integrationLatency": round((exchange.authorizer_latency or 0) * 1000),
        }
    binary = is_binary(exchange)
    text = base64.b64encode(body).decode() if binary else body.decode("utf-8", "replace")
    return event | {"body": text or None, "isBase64Encoded": binary and bool(body)}


def _answer(exchange: Exchange, answer: Any) -> Answer:
    if not isinstance(answer, dict) or not answer.keys() <= {
        "statusCode",
        "headers",
        "multiValueHeaders",
        "body",
        "isBase64Encoded",
    }:
        raise _MalformedError
    status, body = answer.get("statusCode"), answer.get("body") or ""
    if type(status) is not int or not 200 <= status <= 599 or not isinstance(body, str):
        raise _MalformedError
    # Only a request that accepts a binary media type would get it decoded; nothing here answers so.
    if answer.get("isBase64Encoded") or len(body.encode()) > PAYLOAD_BYTES:
        raise _MalformedError
    headers: Headers = [("x-amzn-requestid", exchange.request_id), *_headers(answer)]
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "application/json"))
    return Answer(status, headers, body.encode())


def _headers(answer: dict[str, Any]) -> Headers:
    single, multiple = answer.get("headers") or {}, answer.get("multiValueHeaders") or {}
    if not isinstance(single, dict) or not isinstance(multiple, dict):
        raise _MalformedError
    pairs = [(name, value) for name, values in multiple.items() for value in values]
    pairs += [(name, value) for name, value in single.items() if name not in multiple]
    headers: Headers = []
    for name, value in pairs:
        text = str(value)
        if not isinstance(value, str | int | float | bool) or not text.isprintable() or not text.isascii():
            raise _MalformedError
        lower = name.lower()
        if lower not in ("content-length", "transfer-encoding", "connection"):
            headers.append((f"x-amzn-remapped-{lower}" if lower in REMAPPED else lower, text))
    return headers
