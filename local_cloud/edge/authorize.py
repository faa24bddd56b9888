"""Asks the authorizer: the event that a REST API sends to a REQUEST authorizer, and what comes of the answer.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from local_cloud.edge.exchange import Exchange
from local_cloud.edge.gateway_responses import Refused
from local_cloud.edge.policy import Decision, InvalidAnswer, decide
from local_cloud.edge.rest_api import Authorizer, Method
from local_cloud.lambda_runtime import FunctionCrashed, FunctionError, FunctionThrottled, FunctionTimedOut, LambdaRuntime

UNAUTHORIZED = "Unauthorized"
"""The one exception text that means 401."""


async def authorize(exchange: Exchange, method: Method, authorizer: Authorizer, runtime: LambdaRuntime) -> None:
    """Notes principal and context in the exchange. Raises Refused unless the method is allowed."""
    if not all(_identity(exchange, place, name) for place, name in authorizer.identity):
        raise Refused("UNAUTHORIZED")
    started = time.monotonic()
    try:
        decision = await _ask(exchange, method, runtime)
    except Refused as refusal:
        exchange.authorizer_status = 401 if refusal.response_type == "UNAUTHORIZED" else 500
        raise
    finally:
        exchange.authorizer_latency = time.monotonic() - started
    exchange.principal, exchange.authorizer_context = decision.principal, decision.context
    exchange.authorizer_status = 200 if decision.allowed else 403
    if not decision.allowed:
        raise Refused("ACCESS_DENIED")


async def _ask(exchange: Exchange, method: Method, runtime: LambdaRuntime) -> Decision:
    event = request_event(exchange, method)
    try:
        return decide(await runtime.invoke(event), event["methodArn"])
    except FunctionError as error:
        raise Refused("UNAUTHORIZED" if str(error) == UNAUTHORIZED else "AUTHORIZER_FAILURE") from None
    except (FunctionCrashed, FunctionThrottled, FunctionTimedOut):
        raise Refused("AUTHORIZER_FAILURE") from None
    except InvalidAnswer:
        raise Refused("AUTHORIZER_CONFIGURATION_ERROR") from None


def _identity(exchange: Exchange, place: str, name: str) -> str | None:
    if place == "header":
        return exchange.header(name)
    return dict(parse_qsl(exchange.query)).get(name)


def request_event(exchange: Exchange, method: Method) -> dict[str, Any]:
    """The event. Of several values of a name the last one stands in the single-valued maps."""
    api = exchange.api
    query = parse_qsl(exchange.query, keep_blank_values=True)
    # As behind a custom domain: requestContext.path is the path that the client sent, without the stage.
    return {
        "type": "REQUEST",
        "methodArn": api.method_arn(exchange.method, exchange.path),
        "resource": method.resource,
        "path": exchange.path,
        "httpMethod": exchange.method,
        "headers": dict(exchange.headers),
        "multiValueHeaders": _grouped(exchange.headers),
        "queryStringParameters": dict(query),
        "multiValueQueryStringParameters": _grouped(query),
        "pathParameters": {name: unquote(value) for name, value in exchange.path_parameters.items()},
        "stageVariables": {},
        "requestContext": {
            "accountId": api.account,
            "apiId": api.id,
            "domainName": exchange.header("host"),
            "domainPrefix": "localhost",
            "extendedRequestId": exchange.request_id,
            "httpMethod": exchange.method,
            "identity": _identity_fields(exchange),
            "path": exchange.path,
            "protocol": exchange.protocol,
            "requestId": exchange.request_id,
            "requestTime": exchange.variable("requestTime"),
            "requestTimeEpoch": round(exchange.received * 1000),
            "resourceId": method.resource_id,
            "resourcePath": method.resource,
            "stage": api.stage,
            "deploymentId": api.deployment_id,
        },
    }


def _identity_fields(exchange: Exchange) -> Mapping[str, str | None]:
    unknown = (
        "accessKey",
        "accountId",
        "apiKey",
        "apiKeyId",
        "caller",
        "cognitoAuthenticationProvider",
        "cognitoAuthenticationType",
    )
    more = ("cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId", "user", "userArn")
    known = {}
    if signer := exchange.signer:
        known = {"accountId": signer.account, "caller": signer.user_id, "user": signer.user_id, "userArn": signer.arn}
    sent = {"sourceIp": exchange.source_ip, "userAgent": exchange.header("user-agent")}
    return dict.fromkeys(unknown + more) | known | sent


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, value in pairs:
        groups.setdefault(name, []).append(value)
    return groups
