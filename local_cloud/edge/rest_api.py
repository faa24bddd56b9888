"""The deployed REST API as the edge serves it: read back from the emulated AWS, whole or not at all."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from local_cloud.edge.bodies import Bodies
from local_cloud.edge.exchange import Template
from local_cloud.edge.gateway_responses import GatewayResponses
from local_cloud.edge.interpret import known_only, require
from local_cloud.edge.mapping import Source, request_parameter, source, target
from local_cloud.edge.policy import arn_matches
from local_cloud.edge.resource_policy import ResourcePolicy
from local_cloud.edge.throttle import Limit

# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
INTEGRATION_SECONDS = 29.0

Client = Callable[[str], Any]
"""Gives the boto3 client of a service."""


@dataclass(frozen=True, kw_only=True)
class Authorizer:
    """A REQUEST authorizer without a cache. ``identity`` lists (header or querystring, name)."""

    id: str
    function_arn: str
    identity: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Integration:
    """An HTTP_PROXY integration through a VPC link. ``path`` is a template; ``timeout`` is in seconds."""

    method: str
    host: str
    port: int
    path: str
    parameters: tuple[tuple[str, str, Source], ...]
    """(header, path or querystring; name; where the value comes from)."""
    timeout: float
    load_balancer_arn: str


@dataclass(frozen=True, kw_only=True)
class FunctionIntegration:
    """A Lambda proxy integration (AWS_PROXY). ``timeout`` is in seconds."""

    function_arn: str
    timeout: float


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method of a resource. Without an ``authorizer`` it asks for an IAM signature (AWS_IAM), never for nothing.

    ``required`` lists the parameters that a request validator asks for, ``bodies`` holds the models that it holds bodies to.
    """

    http_method: str
    resource_id: str
    resource: str
    authorizer: Authorizer | None
    required: tuple[tuple[str, str], ...]
    bodies: Bodies | None
    limit: Limit | None
    integration: Integration | FunctionIntegration


@dataclass(frozen=True, kw_only=True)
class AccessLog:
    """Where a line for each request goes."""

    log_group: str
    format: Template


@dataclass(frozen=True, kw_only=True)
class RestApi:
    """One stage of a REST API."""

    id: str
    stage: str
    deployment_id: str
    region: str
    account: str
    partition: str
    binary_media_types: frozenset[str]
    policy: ResourcePolicy | None
    methods: tuple[Method, ...]
    responses: GatewayResponses
    access_log: AccessLog | None

    def method_arn(self, http_method: str, path: str) -> str:
        """The ARN that policies are evaluated against. ``path`` is the request's, without the stage."""
        return f"arn:{self.partition}:execute-api:{self.region}:{self.account}:{self.id}/{self.stage}/{http_method}{path}"


def read(api_id: str, stage_name: str, stage_arn: str, client: Client) -> RestApi:
    """Reads the stage. Raises Uninterpretable, or botocore's ClientError when something is not there."""
    gateway = client("apigateway")
    api = gateway.get_rest_api(restApiId=api_id)
    stage = gateway.get_stage(restApiId=api_id, stageName=stage_name)
    _, partition, _, region, *_ = stage_arn.split(":")
    account = client("sts").get_caller_identity()["Account"]
    _check_api(api)
    known_only(f"The stage {stage_name}", stage, _STAGE_SETTINGS)
    if stage.get("clientCertificateId"):
        # It is shown to the load balancer, which is a part of this process: being there is all that it can do.
        gateway.get_client_certificate(clientCertificateId=stage["clientCertificateId"])
    api_arn = f"arn:{partition}:execute-api:{region}:{account}:{api_id}"
    parts = _Parts(
        client=client,
        stage_arn=f"{api_arn}/{stage_name}",
        authorizers={
            item["id"]: _authorizer(item, api_arn, client)
            for item in gateway.get_authorizers(restApiId=api_id, limit=500)["items"]
        },
        validators={item["id"]: item for item in gateway.get_request_validators(restApiId=api_id, limit=500)["items"]},
        schemas={item["name"]: item["schema"] for item in gateway.get_models(restApiId=api_id, limit=500)["items"]},
        limits={_setting_key(key): _limit(key, settings) for key, settings in stage.get("methodSettings", {}).items()},
        links={link["VpcLinkId"] for link in client("apigatewayv2").get_vpc_links()["Items"]},
    )
    log = stage.get("accessLogSettings")
    return RestApi(
        id=api_id,
        stage=stage_name,
        deployment_id=stage["deploymentId"],
        region=region,
        account=account,
        partition=partition,
        binary_media_types=frozenset(api.get("binaryMediaTypes") or ()),
        policy=ResourcePolicy(api["policy"]) if api.get("policy") else None,
        methods=tuple(_methods(gateway, api_id, parts)),
        responses=GatewayResponses(gateway.get_gateway_responses(restApiId=api_id, limit=500)["items"]),
        access_log=_access_log(log) if log else None,
    )


_API_SETTINGS = (
    *("id", "name", "description", "createdDate", "version", "tags", "rootResourceId", "apiKeySource", "binaryMediaTypes"),
    *("endpointConfiguration", "disableExecuteApiEndpoint", "securityPolicy", "endpointAccessMode", "apiStatus", "policy"),
    "ResponseMetadata",
)
_STAGE_SETTINGS = (
    *("stageName", "deploymentId", "description", "methodSettings", "accessLogSettings", "webAclArn", "tags", "tracingEnabled"),
    *("createdDate", "lastUpdatedDate", "cacheClusterStatus", "clientCertificateId", "ResponseMetadata"),
)


def _check_api(api: Mapping[str, Any]) -> None:
    what = f"The REST API {api['name']}"
    known_only(what, api, _API_SETTINGS)
    require(api.get("endpointConfiguration", {}).get("types") == ["REGIONAL"], f"{what} is not a regional one.")


_AUTHORIZER_SETTINGS = (
    *("id", "name", "type", "authType", "authorizerUri", "authorizerCredentials", "identitySource"),
    "authorizerResultTtlInSeconds",
)


def _authorizer(item: Mapping[str, Any], api_arn: str, client: Client) -> Authorizer:
    what = f"The authorizer {item['name']}"
    known_only(what, item, _AUTHORIZER_SETTINGS)
    require(item["type"] == "REQUEST", f"{what} is of the type {item['type']}: the local edge runs REQUEST authorizers.")
    require(item.get("authorizerResultTtlInSeconds") == 0, f"{what} caches its answers (a TTL of 0 turns that off).")
    function_arn = _invoked(what, item["authorizerUri"])
    if not item.get("authorizerCredentials"):
        permitted = _may_invoke(client("lambda"), function_arn, f"{api_arn}/authorizers/{item['id']}")
        require(permitted, f"{what}: the function does not permit this REST API to invoke it.")
    identity = [request_parameter(name.strip(), what) for name in (item.get("identitySource") or "").split(",") if name.strip()]
    require(all(place != "path" for place, _ in identity), f"{what} takes the identity from the path.")
    return Authorizer(id=item["id"], function_arn=function_arn, identity=tuple(identity))


def _may_invoke(functions: Any, function_arn: str, source_arn: str) -> bool:
    try:
        policy = json.loads(functions.get_policy(FunctionName=function_arn)["Policy"])
    except ClientError:
        return False
    return any(
        statement.get("Effect") == "Allow"
        and statement.get("Principal") == {"Service": "apigateway.amazonaws.com"}
        and statement.get("Action") == "lambda:InvokeFunction"
        and _from(statement, source_arn)
        for statement in policy["Statement"]
    )


def _from(statement: Mapping[str, Any], source_arn: str) -> bool:
    """Whether the statement is about this source. One without a source would let every account's API in: here it lets none.

    https://docs.aws.amazon.com/lambda/latest/dg/permissions-function-services.html
    """
    arn, account, more = None, None, False
    for test, keys in (statement.get("Condition") or {}).items():
        for key, value in keys.items():
            if (test, key) in (("ArnLike", "AWS:SourceArn"), ("StringEquals", "AWS:SourceArn")):
                arn = value
            elif (test, key) == ("StringEquals", "AWS:SourceAccount"):
                account = value
            else:
                more = True
    return not more and arn is not None and arn_matches(arn, source_arn) and account in (None, source_arn.split(":")[4])


def _access_log(settings: Mapping[str, Any]) -> AccessLog:
    arn = settings["destinationArn"]
    require(":log-group:" in arn, "The access log goes somewhere else than to a log group.")
    return AccessLog(
        log_group=arn.split(":log-group:")[1].removesuffix(":*"), format=Template(settings["format"], "The access log")
    )


def _setting_key(key: str) -> tuple[str, str]:
    path, _, method = key.rpartition("/")
    return "/" + path.replace("~1", "/").strip("/") if path != "*" else "*", method


_METHOD_SETTINGS = (
    *("throttlingRateLimit", "throttlingBurstLimit"),
    *("loggingLevel", "metricsEnabled"),  # what API Gateway tells its operators; no request is treated differently
    *("cacheTtlInSeconds", "cacheDataEncrypted", "requireAuthorizationForCacheControl", "unauthorizedCacheControlHeaderStrategy"),
)


def _limit(key: str, settings: Mapping[str, Any]) -> Limit | None:
    known_only(f"The method settings for {key}", settings, _METHOD_SETTINGS)
    rate, burst = float(settings.get("throttlingRateLimit", -1)), int(settings.get("throttlingBurstLimit", -1))
    require((rate < 0) == (burst < 0), f"The method settings for {key} limit only one of rate and burst.")
    return None if rate < 0 else Limit(rate, burst)


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """What methods refer to. ``stage_arn`` begins the ARNs of methods."""

    client: Client
    stage_arn: str
    authorizers: Mapping[str, Authorizer]
    validators: Mapping[str, Mapping[str, Any]]
    schemas: Mapping[str, str]
    limits: Mapping[tuple[str, str], Limit | None]
    links: set[str]


def _methods(gateway: Any, api_id: str, parts: _Parts) -> Iterator[Method]:
    for page in gateway.get_paginator("get_resources").paginate(restApiId=api_id, embed=["methods"]):
        for resource in page["items"]:
            for http_method, deployed in (resource.get("resourceMethods") or {}).items():
                what = f"The method {http_method} {resource['path']}"
                require(http_method != "ANY", f"{what} takes every method, which the local edge does not serve.")
                keys = [(resource["path"], http_method), ("*", "*")]
                yield Method(
                    http_method=http_method,
                    resource_id=resource["id"],
                    resource=resource["path"],
                    authorizer=_method_authorizer(what, deployed, parts.authorizers),
                    required=tuple(_required(what, deployed, parts.validators)),
                    bodies=_bodies(what, deployed, parts),
                    limit=next((parts.limits[key] for key in keys if key in parts.limits), None),
                    integration=_any_integration(what, deployed.get("methodIntegration"), http_method + resource["path"], parts),
                )


def _method_authorizer(what: str, deployed: Mapping[str, Any], authorizers: Mapping[str, Authorizer]) -> Authorizer | None:
    known = {
        *("httpMethod", "authorizationType", "authorizerId", "requestParameters", "requestModels", "requestValidatorId"),
        *("operationName", "methodIntegration", "methodResponses"),
    }
    known_only(what, deployed, known)
    authorization, authorizer = deployed["authorizationType"], deployed.get("authorizerId")
    if authorization == "AWS_IAM":
        require(not authorizer, f"{what} has an authorizer beside the authorization AWS_IAM.")
        return None
    require(
        authorization == "CUSTOM",
        f"{what} has the authorization {authorization}: the local edge serves what the authorizer or a signature guards.",
    )
    require(authorizer in authorizers, f"{what} names an authorizer that the REST API does not have.")
    return authorizers[authorizer or ""]


def _required(what: str, deployed: Mapping[str, Any], validators: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    validator = validators.get(deployed.get("requestValidatorId") or "", {})
    for expression, is_required in (deployed.get("requestParameters") or {}).items():
        parameter = request_parameter(expression, what)
        if validator.get("validateRequestParameters") and str(is_required).lower() == "true":
            yield parameter


# API Gateway's own, which takes anything.
EMPTY_MODEL = "Empty"


def _bodies(what: str, deployed: Mapping[str, Any], parts: _Parts) -> Bodies | None:
    """The models that a validator holds bodies to; None where none does."""
    named = {kind: name for kind, name in (deployed.get("requestModels") or {}).items() if name != EMPTY_MODEL}
    if not named or not parts.validators.get(deployed.get("requestValidatorId") or "", {}).get("validateRequestBody"):
        return None
    missing = sorted(set(named.values()) - parts.schemas.keys())
    require(not missing, f"{what} names the models {', '.join(missing)}, which the REST API does not have.")
    return Bodies(what, {kind: parts.schemas[name] for kind, name in named.items()})


_INTEGRATION_SETTINGS = (
    *("type", "httpMethod", "uri", "connectionType", "connectionId", "integrationTarget", "requestParameters", "timeoutInMillis"),
    *(
        "responseTransferMode",
        "tlsConfig",
        "cacheNamespace",
        "passthroughBehavior",
        "integrationResponses",
    ),  # the last two: not for proxies
)


def _any_integration(
    what: str, deployed: Mapping[str, Any] | None, method: str, parts: _Parts
) -> Integration | FunctionIntegration:
    """``method`` is its part of the ARN: the HTTP method and the resource's path."""
    what = f"The integration of {what[0].lower()}{what[1:]}"
    require(deployed, f"{what} is missing.")
    deployed = deployed or {}
    require(deployed.get("responseTransferMode") in (None, "BUFFERED"), f"{what} streams responses.")
    kind = deployed.get("type")
    if kind == "AWS_PROXY":
        return _function_integration(what, deployed, f"{parts.stage_arn}/{method}", parts.client)
    require(kind == "HTTP_PROXY", f"{what} is of the type {kind}: the local edge serves HTTP_PROXY and AWS_PROXY.")
    return _integration(what, deployed, parts.links)


_FUNCTION_SETTINGS = (
    *("type", "httpMethod", "uri", "timeoutInMillis", "responseTransferMode"),
    *("cacheNamespace", "passthroughBehavior", "integrationResponses"),  # not for proxies
)


def _function_integration(what: str, deployed: Mapping[str, Any], method_arn: str, client: Client) -> FunctionIntegration:
    known_only(what, deployed, _FUNCTION_SETTINGS)
    require(deployed.get("httpMethod") == "POST", f"{what} does not invoke its function by POST.")
    function_arn = _invoked(what, deployed["uri"])
    permitted = _may_invoke(client("lambda"), function_arn, method_arn)
    require(permitted, f"{what}: the function does not permit this method to invoke it.")
    return FunctionIntegration(function_arn=function_arn, timeout=_timeout(deployed))


def _invoked(what: str, uri: str) -> str:
    """The ARN of the Lambda function that the URI invokes."""
    _, _, path = uri.partition(":lambda:path/2015-03-31/functions/")
    require(path.endswith("/invocations"), f"{what} does not name a Lambda function in its URI.")
    return path.removesuffix("/invocations")


def _timeout(deployed: Mapping[str, Any]) -> float:
    return int(deployed.get("timeoutInMillis") or INTEGRATION_SECONDS * 1000) / 1000


def _integration(what: str, deployed: Mapping[str, Any], links: set[str]) -> Integration:
    known_only(what, deployed, _INTEGRATION_SETTINGS)
    # Whether the load balancer's certificate is checked: that hop stays inside this process.
    known_only(
        f"The TLS configuration of {what[0].lower()}{what[1:]}", deployed.get("tlsConfig") or {}, {"insecureSkipVerification"}
    )
    require(deployed.get("connectionType") == "VPC_LINK", f"{what} does not go through a VPC link.")
    require(deployed.get("connectionId") in links, f"{what} names a VPC link that does not exist.")
    require(deployed.get("integrationTarget"), f"{what} names no load balancer as its target.")
    uri = urlsplit(deployed["uri"])
    require(uri.scheme == "https" and uri.hostname and not uri.query, f"{what} has a URI that is not plain https.")
    parameters = tuple(
        (*target(left, "integration.request", what), source(right, what))
        for left, right in (deployed.get("requestParameters") or {}).items()
    )
    unmapped = set(re.findall(r"{([^}]*)}", uri.path)) - {name for location, name, _ in parameters if location == "path"}
    require(not unmapped, f"{what} has the unmapped path parameters {', '.join(sorted(unmapped))}.")
    return Integration(
        method=deployed["httpMethod"],
        host=uri.hostname or "",
        port=uri.port or 443,
        path=uri.path or "/",
        parameters=parameters,
        timeout=_timeout(deployed),
        load_balancer_arn=deployed["integrationTarget"],
    )
