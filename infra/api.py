"""The REST API: one method a row of the access policy, each behind the authorizer, on to the load balancer by the VPC link."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra.authorizer import Authorizer
from infra.compute import LoadBalancer
from infra.gateway_responses import GATEWAY_RESPONSES
from infra.iam import ServiceRole, ServiceRoleArgs, Statement
from infra.naming import STAGE, Names
from infra.network import Network
from infra.settings import Settings
from lambda_authorizer.access_policy import ACCESS_POLICY, Rule

TYPE_API = "heartmap:api:Api"

# TLS 1.3, or 1.2 with forward secrecy, with post-quantum key exchange.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-security-policies-list.html
TLS_POLICY = "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09"

IDENTITY_SOURCE = "method.request.header.Authorization"
INTEGRATION_TIMEOUT_MS = 29_000

# For a request that no row's own limit covers, and for all callers together.
STAGE_RATE, STAGE_BURST = 50.0, 100

PARAMETER = re.compile(r"\{([a-z_]+)\}")

ACCESS_LOG = {
    "time": "$context.requestTime",
    "request_id": "$context.requestId",
    "address": "$context.identity.sourceIp",
    "principal": "$context.authorizer.principalId",
    "method": "$context.httpMethod",
    "route": "$context.resourcePath",
    "status": "$context.status",
    "response_bytes": "$context.responseLength",
    "latency_ms": "$context.responseLatency",
    "integration_status": "$context.integration.status",
    "authorizer_status": "$context.authorizer.status",
    "waf": "$context.waf.status",
    "error": "$context.error.responseType",
}


def method_path(rule: Rule) -> str:
    """How the settings of a stage name a method: the path with each slash as ``~1`` (RFC 6901), then the method."""
    return f"{rule.route.replace('/', '~1')}/{rule.method}"


def _resource_name(*parts: str) -> str:
    """A name within the program out of words and routes: ``api-GET-uploads-upload_id``."""
    return "-".join(re.findall(r"[A-Za-z0-9_]+|\*", " ".join(parts)))


def integration_parameters(rule: Rule) -> dict[str, str]:
    """What API Gateway puts into the request to the service."""
    parameters = {f"integration.request.path.{name}": f"method.request.path.{name}" for name in PARAMETER.findall(rule.route)}
    return parameters | {
        "integration.request.header.X-HeartMAP-Assertion": "context.authorizer.assertion",
        "integration.request.header.X-Request-Id": "context.requestId",
        # The service has no use for the caller's credential, so that it cannot leak it.
        "integration.request.header.Authorization": "'redacted'",
    }


@dataclass(frozen=True, kw_only=True)
class ApiArgs:
    names: Names
    settings: Settings
    network: Network
    balancer: LoadBalancer
    authorizer: Authorizer
    logs_key_arn: Input[str]


class Api(pulumi.ComponentResource):
    """The API with its one stage, ``live``."""

    rest_api_id: Output[str]
    stage_arn: Output[str]
    stage_name: Output[str]
    stage_url: Output[str]
    vpc_link_id: Output[str]
    access_log_group_name: Output[str]

    def __init__(self, name: str, args: ApiArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_API, name, None, opts)
        self._name, self._args, self._child = name, args, ResourceOptions(parent=self)
        # Everything that a deployment takes a snapshot of: the resources, and their arguments to tell when they change.
        self._parts: list[pulumi.Resource] = []
        self._definition: list[Any] = []
        self._rest_api = self._make_rest_api()
        self.rest_api_id = self._rest_api.id
        self.vpc_link_id = self._vpc_link()
        self._authorizer_id = self._make_authorizer()
        self._validator = aws.apigateway.RequestValidator(
            name,
            rest_api=self.rest_api_id,
            name="parameters",
            validate_request_parameters=True,
            validate_request_body=False,
            opts=self._child,
        )
        for rule in ACCESS_POLICY:
            self._method(rule, self._resource_id(rule.route))
        self._gateway_responses()
        stage = self._stage()
        self._throttles(stage)
        self.stage_arn, self.stage_name, self.stage_url = stage.arn, stage.stage_name, stage.invoke_url
        self.register_outputs({"rest_api_id": self.rest_api_id, "stage_arn": self.stage_arn})

    def _make_rest_api(self) -> aws.apigateway.RestApi:
        arguments: dict[str, Any] = {
            "name": self._args.names.prefix,
            "description": "HeartMAP, behind the access policy",
            "binary_media_types": ["multipart/form-data"],
            # With a domain, the address that AWS makes up would lead past the domain's web ACL and certificate.
            "disable_execute_api_endpoint": bool(self._args.settings.domain),
            "security_policy": TLS_POLICY,
            "endpoint_access_mode": "STRICT",
        }
        self._definition.append(arguments)
        self._resources: dict[str, Output[str]] = {}
        api = aws.apigateway.RestApi(
            self._name,
            endpoint_configuration=aws.apigateway.RestApiEndpointConfigurationArgs(types="REGIONAL"),
            opts=self._child,
            **arguments,
        )
        self._resources["/"] = api.root_resource_id
        return api

    def _vpc_link(self) -> Output[str]:
        link = aws.apigatewayv2.VpcLink(
            self._name,
            name=self._args.names.prefix,
            subnet_ids=self._args.network.subnet_ids,
            security_group_ids=[self._args.network.link_security_group_id],
            opts=self._child,
        )
        return link.id

    def _make_authorizer(self) -> Output[str]:
        arguments: dict[str, Any] = {
            "name": "heartmap",
            "type": "REQUEST",
            "identity_source": IDENTITY_SOURCE,
            # A cached answer knows neither the next route nor the token's expiry.
            "authorizer_result_ttl_in_seconds": 0,
            "authorizer_uri": self._args.authorizer.invoke_arn,
        }
        authorizer = aws.apigateway.Authorizer(self._name, rest_api=self.rest_api_id, opts=self._child, **arguments)
        aws.lambda_.Permission(
            self._name,
            action="lambda:InvokeFunction",
            function=self._args.authorizer.function_name,
            principal="apigateway.amazonaws.com",
            source_arn=Output.concat(self._rest_api.execution_arn, "/authorizers/", authorizer.id),
            opts=self._child,
        )
        self._keep(authorizer, arguments)
        return authorizer.id

    def _resource_id(self, route: str) -> Output[str]:
        """The resource of a route, made with its parents where it is not there yet."""
        if route not in self._resources:
            parent, _, part = route.rpartition("/")
            resource = aws.apigateway.Resource(
                _resource_name(self._name, route),
                rest_api=self.rest_api_id,
                parent_id=self._resource_id(parent or "/"),
                path_part=part,
                opts=self._child,
            )
            self._keep(resource, {"route": route})
            self._resources[route] = resource.id
        return self._resources[route]

    def _method(self, rule: Rule, resource_id: Output[str]) -> None:
        name = _resource_name(self._name, rule.method + rule.route)
        of_method: dict[str, Any] = {
            "http_method": rule.method,
            "authorization": "CUSTOM",
            "authorizer_id": self._authorizer_id,
            "request_validator_id": self._validator.id,
            "request_parameters": {f"method.request.path.{parameter}": True for parameter in PARAMETER.findall(rule.route)},
        }
        method = aws.apigateway.Method(name, rest_api=self.rest_api_id, resource_id=resource_id, opts=self._child, **of_method)
        settings = self._args.settings
        of_integration: dict[str, Any] = {
            "http_method": rule.method,
            "type": "HTTP_PROXY",
            "integration_http_method": rule.method,
            "connection_type": "VPC_LINK",
            "connection_id": self.vpc_link_id,
            "integration_target": self._args.balancer.arn,
            "uri": f"https://{settings.internal_host}{rule.route}",
            "request_parameters": integration_parameters(rule),
            "timeout_milliseconds": INTEGRATION_TIMEOUT_MS,
        }
        integration = aws.apigateway.Integration(
            name,
            rest_api=self.rest_api_id,
            resource_id=resource_id,
            # Without a domain no authority can vouch for the load balancer; with one, the certificate is checked.
            tls_config=(None if settings.domain else aws.apigateway.IntegrationTlsConfigArgs(insecure_skip_verification=True)),
            # The method has to be there first, which no argument says.
            opts=ResourceOptions(parent=self, depends_on=[method]),
            **of_integration,
        )
        self._keep(method, {"route": rule.route} | of_method)
        self._keep(integration, {"route": rule.route, "verified": bool(settings.domain)} | of_integration)

    def _gateway_responses(self) -> None:
        for answer in GATEWAY_RESPONSES:
            arguments: dict[str, Any] = {
                "response_type": answer.response_type,
                "status_code": None if answer.status is None else str(answer.status),
                "response_templates": {"application/json": answer.template},
                "response_parameters": answer.parameters,
            }
            response = aws.apigateway.Response(
                f"{self._name}-{answer.response_type.lower().replace('_', '-')}",
                rest_api_id=self.rest_api_id,
                opts=self._child,
                **arguments,
            )
            self._keep(response, arguments)

    def _keep(self, part: pulumi.Resource, arguments: Mapping[str, Any]) -> None:
        self._parts.append(part)
        self._definition.append(dict(arguments))

    def _stage(self) -> aws.apigateway.Stage:
        account = self._logging_account()
        deployment = aws.apigateway.Deployment(
            self._name,
            rest_api=self.rest_api_id,
            triggers={
                "definition": Output.json_dumps(self._definition, sort_keys=True).apply(
                    lambda text: hashlib.sha256(text.encode()).hexdigest()
                )
            },
            # A deployment is a snapshot: what is not there yet is not in it.
            opts=ResourceOptions(parent=self, depends_on=self._parts),
        )
        # API Gateway prescribes the name of the execution log; made here, it is encrypted and does not grow for ever. A stage
        # that is there before it has one made, and this one is then refused.
        execution_log = self._log_group("execution", Output.concat("API-Gateway-Execution-Logs_", self.rest_api_id, "/", STAGE))
        access_log = self._log_group("access", self._args.names.log_group("api-access"))
        self.access_log_group_name = access_log.name
        return aws.apigateway.Stage(
            self._name,
            rest_api=self.rest_api_id,
            deployment=deployment.id,
            stage_name=STAGE,
            access_log_settings=aws.apigateway.StageAccessLogSettingsArgs(
                destination_arn=access_log.arn, format=json.dumps(ACCESS_LOG, separators=(",", ":"))
            ),
            # A stage with logs is refused until the account lets API Gateway write them.
            opts=ResourceOptions(parent=self, depends_on=[account, execution_log]),
        )

    def _log_group(self, purpose: str, log_group: Input[str]) -> aws.cloudwatch.LogGroup:
        return aws.cloudwatch.LogGroup(
            f"{self._name}-{purpose}",
            name=log_group,
            retention_in_days=self._args.settings.log_retention_days,
            kms_key_id=self._args.logs_key_arn,
            opts=self._child,
        )

    def _logging_account(self) -> aws.apigateway.Account:
        """API Gateway's one setting of the account and region: the role by which it writes logs."""
        role = ServiceRole(
            f"{self._name}-logs",
            ServiceRoleArgs(
                name=self._args.names.of("api-gateway-logs"),
                service="apigateway.amazonaws.com",
                description="Lets API Gateway write its logs",
                statements=[
                    Statement(
                        sid="Logs",
                        actions=(
                            "logs:CreateLogGroup",
                            "logs:CreateLogStream",
                            "logs:DescribeLogGroups",
                            "logs:DescribeLogStreams",
                            "logs:FilterLogEvents",
                            "logs:GetLogEvents",
                            "logs:PutLogEvents",
                        ),
                        resources=("*",),
                        reason="API Gateway refuses a role that lacks any of these on any log group",
                    )
                ],
            ),
            self._child,
        )
        return aws.apigateway.Account(self._name, cloudwatch_role_arn=role.arn, opts=self._child)

    def _throttles(self, stage: aws.apigateway.Stage) -> None:
        limits = {"*/*": (STAGE_RATE, STAGE_BURST)} | {method_path(rule): (rule.rate, rule.burst) for rule in ACCESS_POLICY}
        previous: list[pulumi.Resource] = []
        for path, (rate, burst) in limits.items():
            setting = aws.apigateway.MethodSettings(
                _resource_name(self._name, "throttle", path.replace("~1", "/")),
                rest_api=self.rest_api_id,
                stage_name=stage.stage_name,
                method_path=path,
                settings=aws.apigateway.MethodSettingsSettingsArgs(
                    throttling_rate_limit=rate,
                    throttling_burst_limit=burst,
                    logging_level="ERROR",
                    # Bodies hold people's data.
                    data_trace_enabled=False,
                    metrics_enabled=True,
                ),
                # One after the other: API Gateway refuses changes of a stage that come at once.
                opts=ResourceOptions(parent=self, depends_on=previous),
            )
            previous = [setting]
