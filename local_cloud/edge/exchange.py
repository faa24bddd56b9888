"""One request on its way through the edge, and the $context variables that describe it.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html
"""

import json
import re
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from local_cloud.edge.interpret import require

if TYPE_CHECKING:
    from local_cloud.edge.rest_api import Method, RestApi
    from local_cloud.edge.signature import Signer

Headers = list[tuple[str, str]]


@dataclass(kw_only=True)
class Exchange:
    """What is known about a request so far. ``path`` is as it was sent, percent-encoding included; times are in seconds."""

    method: str
    path: str
    query: str
    headers: Headers
    source_ip: str
    protocol: str
    api: "RestApi"
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    received: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.monotonic)

    route: "Method | None" = None
    path_parameters: dict[str, str] = field(default_factory=dict)
    """As they were sent, percent-encoding included."""
    signer: "Signer | None" = None
    """Who signed, where the method asks for a signature."""
    principal: str | None = None
    authorizer_context: dict[str, str] = field(default_factory=dict)
    authorizer_status: int | None = None
    authorizer_latency: float | None = None
    integration_status: int | None = None
    integration_latency: float | None = None
    web_acl_arn: str | None = None
    waf_response: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    status: int = 0
    response_length: int = 0

    def header_values(self, name: str) -> list[str]:
        """Every value of a header, in the order in which they were sent."""
        name = name.lower()
        return [value for header, value in self.headers if header.lower() == name]

    def header(self, name: str) -> str | None:
        """API Gateway keeps the last of several values."""
        values = self.header_values(name)
        return values[-1] if values else None

    def variable(self, name: str) -> str | None:
        """The value of ``$context.<name>``; None when this request has none. The name is one that ``check_variable`` accepts."""
        if name.startswith(AUTHORIZER) and name not in VARIABLES:
            return (
                self.principal if name == "authorizer.principalId" else self.authorizer_context.get(name.removeprefix(AUTHORIZER))
            )
        value = VARIABLES[name](self)
        return None if value is None else str(value)


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _quoted(text: str | None) -> str | None:
    return None if text is None else json.dumps(text)


AUTHORIZER = "authorizer."
"""Begins the names of values that the authorizer's context holds."""

VARIABLES = {
    "accountId": lambda x: x.api.account,
    "apiId": lambda x: x.api.id,
    "authorizer.latency": lambda x: _milliseconds(x.authorizer_latency),
    "authorizer.principalId": lambda x: x.principal,
    "authorizer.status": lambda x: x.authorizer_status,
    "authorizer.integrationStatus": lambda x: x.authorizer_status,
    "deploymentId": lambda x: x.api.deployment_id,
    "domainName": lambda x: x.header("host"),
    "error.message": lambda x: x.error_message,
    "error.messageString": lambda x: _quoted(x.error_message),
    "error.responseType": lambda x: x.error_type,
    "extendedRequestId": lambda x: x.request_id,
    "httpMethod": lambda x: x.method,
    "identity.sourceIp": lambda x: x.source_ip,
    "identity.userAgent": lambda x: x.header("user-agent"),
    "identity.userArn": lambda x: x.signer.arn if x.signer else None,
    "integration.latency": lambda x: _milliseconds(x.integration_latency),
    "integration.status": lambda x: x.integration_status,
    "integrationLatency": lambda x: _milliseconds(x.integration_latency),
    "integrationStatus": lambda x: x.integration_status,
    "path": lambda x: x.path,
    "protocol": lambda x: x.protocol,
    "requestId": lambda x: x.request_id,
    "requestTime": lambda x: datetime.fromtimestamp(x.received, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
    "requestTimeEpoch": lambda x: _milliseconds(x.received),
    "resourceId": lambda x: x.route.resource_id if x.route else None,
    "resourcePath": lambda x: x.route.resource if x.route else None,
    "responseLatency": lambda x: _milliseconds(time.monotonic() - x.clock),
    "responseLength": lambda x: x.response_length,
    "stage": lambda x: x.api.stage,
    "status": lambda x: x.status,
    "waf.status": lambda x: 200 if x.waf_response else None,
    "wafResponseCode": lambda x: x.waf_response,
    "webaclArn": lambda x: x.web_acl_arn,
    # There is no X-Ray here.
    "xrayTraceId": lambda _: None,
}


def check_variable(name: str, where: str) -> None:
    """Raises Uninterpretable for a name that the edge does not know. ``where`` says where it is used."""
    require(
        name in VARIABLES or name.startswith(AUTHORIZER), f"{where} uses $context.{name}, which the local edge does not know."
    )


class Template:
    """Text with $context variables, as access log formats and gateway responses have them.

    Values are escaped as the inside of a JSON string, so that no request can add a field or a line; a value that does not
    exist is ``-``. Raises Uninterpretable for anything else that begins with a dollar sign.
    """

    _VARIABLE = re.compile(r"\$context\.([A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_-]+)*)")

    def __init__(self, text: str, where: str) -> None:
        self._parts = self._VARIABLE.split(text)
        require("$" not in "".join(self._parts[::2]), f"{where} uses more than $context variables.")
        for name in self._parts[1::2]:
            check_variable(name, where)

    def render(self, exchange: Exchange) -> str:
        parts = list(self._parts)
        parts[1::2] = [self._value(exchange, name) for name in parts[1::2]]
        return "".join(parts)

    @staticmethod
    def _value(exchange: Exchange, name: str) -> str:
        value = exchange.variable(name)
        if value is None:
            return "-"
        # This one variable brings its own quotation marks.
        return value if name == "error.messageString" else json.dumps(value)[1:-1]
