"""The REST API: one method a row of the access policy, each behind the authorizer.

What answers is the service, through the load balancer and the VPC link to it, or the function that the row names.

And one method more: ``POST /token`` is not in the access policy, because no credential opens it but an IAM signature.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra.api_functions import ApiFunction
from infra.authorizer import Authorizer
from infra.compute import LoadBalancer
from infra.gateway_responses import GATEWAY_RESPONSES
from infra.iam import ServiceRole, ServiceRoleArgs, Statement, document
from infra.naming import STAGE, Names
from infra.network import Network
from infra.request_models import ANY_CONTENT_TYPE, BODIES, model_name, schema
from infra.settings import Settings
from lambda_authorizer.access_policy import ACCESS_POLICY, SERVICE, Rule

TYPE_API = "heartmap:api:Api"

# TLS 1.3, or 1.2 with forward secrecy, with post-quantum key exchange.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-security-policies-list.html
TLS_POLICY = "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09"

IDENTITY_SOURCE = "method.request.header.Authorization"
INTEGRATION_TIMEOUT_MS = 29_000

# For a request that no row's own limit covers, and for all callers together.
STAGE_RATE, STAGE_BURST = 50.0, 100

# Not of the access policy, by which the authorizer decides.
TOKEN_RULE = Rule("POST", "/token", groups=frozenset(), scopes=frozenset(), rate=2.0, burst=10, body=0)

PARAMETER = re.compile(r"\{([a-z_]+)\}")

ACCESS_LOG = {
    "time": "$context.requestTime",
    "request_id": "$context.requestId",
    "trace_id": "$context.xrayTraceId",
    "address": "$context.identity.sourceIp",
    "principal": "$context.authorizer.principalId",
    "decision": "$context.authorizer.decision",
    "reason": "$context.authorizer.reason",
    "key_id": "$context.authorizer.key_id",
    "role": "$context.identity.userArn",
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


def ranges_only(allowed: Sequence[str], api_arn: Input[str]) -> Statement:
    """The statement of the API's policy that refuses whoever is outside the allowed ranges.

    It only refuses. An Allow would let each IAM principal of the account ask for a token, whatever its own policies say, and
    other accounts' as well: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-authorization-flow.html
    """
    return Statement(
        sid="AllowedRanges",
        effect="Deny",
        principals={"AWS": ("*",)},
        actions=("execute-api:Invoke",),
        resources=(Output.concat(api_arn, "/*"),),
        conditions={"NotIpAddress": {"aws:SourceIp": list(allowed)}},
        reason="a refusal has to hold for everyone, every method and every stage",
    )


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
    """``functions`` are by what the rows of the access policy say that they are answered by."""

    names: Names
    settings: Settings
    network: Network
    balancer: LoadBalancer
    authorizer: Authorizer
    token_exchange: ApiFunction
    functions: Mapping[str, ApiFunction]
    logs_key_arn: Input[str]


class Api(pulumi.ComponentResource):
    """The API with its one stage, ``live``."""

    rest_api_id: Output[str]
    stage_arn: Output[str]
    stage_name: Output[str]
    stage_url: Output[str]
    vpc_link_id: Output[str]
    access_log_group_name: Output[str]
    token_policy_arn: Output[str]

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
        self._parameters = self._validator(name, "parameters", bodies=False)
        self._bodies = self._validator(f"{name}-bodies", "bodies", bodies=True)
        for rule in ACCESS_POLICY:
            self._method(rule, self._resource_id(rule.route))
        self._token_method()
        self._gateway_responses()
        self._policy()
        stage = self._stage()
        self._throttles(stage)
        self._usage_plan(stage)
        self.token_policy_arn = self._token_policy()
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
            endpoint_configuration=aws.apigateway.RestApiEndpointConfigurationArgs(types="REGIONAL", ip_address_type="dualstack"),
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
            source_account=self._args.names.account,
            opts=self._child,
        )
        self._keep(authorizer, arguments)
        return authorizer.id

    def _validator(self, resource_name: str, name: str, *, bodies: bool) -> Output[str]:
        validator = aws.apigateway.RequestValidator(
            resource_name,
            rest_api=self.rest_api_id,
            name=name,
            validate_request_parameters=True,
            validate_request_body=bodies,
            opts=self._child,
        )
        return validator.id

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
            "request_validator_id": self._parameters,
            "request_parameters": {f"method.request.path.{parameter}": True for parameter in PARAMETER.findall(rule.route)},
        }
        if (rule.method, rule.route) in BODIES:
            of_method |= {
                "request_validator_id": self._bodies,
                "request_models": {ANY_CONTENT_TYPE: self._model(rule)},
            }
        method = aws.apigateway.Method(name, rest_api=self.rest_api_id, resource_id=resource_id, opts=self._child, **of_method)
        self._keep(method, {"route": rule.route} | of_method)
        if rule.answered_by == SERVICE:
            self._service_integration(rule, method)
        else:
            self._function_integration(rule, method, self._args.functions[rule.answered_by])

    def _service_integration(self, rule: Rule, method: aws.apigateway.Method) -> None:
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
            _resource_name(self._name, rule.method + rule.route),
            rest_api=self.rest_api_id,
            resource_id=method.resource_id,
            # Without a domain no authority can vouch for the load balancer; with one, the certificate is checked.
            tls_config=(None if settings.domain else aws.apigateway.IntegrationTlsConfigArgs(insecure_skip_verification=True)),
            # The method has to be there first, which no argument says.
            opts=ResourceOptions(parent=self, depends_on=[method]),
            **of_integration,
        )
        self._keep(integration, {"route": rule.route, "verified": bool(settings.domain)} | of_integration)

    def _function_integration(self, rule: Rule, method: aws.apigateway.Method, function: ApiFunction) -> None:
        """The function answers the method, and may be invoked for it and for nothing else.

        It gets the request as it came, the caller's credential included, and what the authorizer said.
        """
        name = _resource_name(self._name, rule.method + rule.route)
        of_integration: dict[str, Any] = {
            "http_method": rule.method,
            "type": "AWS_PROXY",
            "integration_http_method": "POST",
            "uri": function.invoke_arn,
            "timeout_milliseconds": INTEGRATION_TIMEOUT_MS,
        }
        integration = aws.apigateway.Integration(
            name,
            rest_api=self.rest_api_id,
            resource_id=method.resource_id,
            # The method has to be there first, which no argument says.
            opts=ResourceOptions(parent=self, depends_on=[method]),
            **of_integration,
        )
        aws.lambda_.Permission(
            name,
            action="lambda:InvokeFunction",
            function=function.function_name,
            principal="apigateway.amazonaws.com",
            source_arn=self._call_arn(rule),
            source_account=self._args.names.account,
            opts=self._child,
        )
        self._keep(integration, {"route": rule.route} | of_integration)

    def _model(self, rule: Rule) -> Output[str]:
        body = BODIES[rule.method, rule.route]
        arguments: dict[str, Any] = {
            "name": model_name((rule.method, rule.route)),
            "description": f"The body of {rule.method} {rule.route}",
            "content_type": "application/json",
            "schema": schema(body),
        }
        model = aws.apigateway.Model(
            _resource_name(self._name, rule.method + rule.route), rest_api=self.rest_api_id, opts=self._child, **arguments
        )
        self._keep(model, arguments)
        return model.name

    def _token_method(self) -> None:
        """``POST /token``, which API Gateway opens to a valid IAM signature and to nothing else, and the function behind it."""
        name, resource_id = _resource_name(self._name, TOKEN_RULE.method + TOKEN_RULE.route), self._resource_id(TOKEN_RULE.route)
        of_method: dict[str, Any] = {
            "http_method": TOKEN_RULE.method,
            "authorization": "AWS_IAM",
            "request_validator_id": self._parameters,
        }
        method = aws.apigateway.Method(name, rest_api=self.rest_api_id, resource_id=resource_id, opts=self._child, **of_method)
        self._keep(method, {"route": TOKEN_RULE.route} | of_method)
        self._function_integration(TOKEN_RULE, method, self._args.token_exchange)

    def _call_arn(self, rule: Rule) -> Output[str]:
        """The calls of one method, in the form that policies name them: whatever id stands in the path."""
        return Output.concat(self._rest_api.execution_arn, f"/{STAGE}/{rule.method}{PARAMETER.sub('*', rule.route)}")

    def _token_policy(self) -> Output[str]:
        """For an administrator to attach to the roles of ``heartmap:iam_roles``: a signature alone opens nothing."""
        policy = aws.iam.Policy(
            f"{self._name}-token-callers",
            name=self._args.names.of("token-callers"),
            description="May ask the HeartMAP API for a credential of 15 minutes",
            policy=document(Statement(sid="Token", actions=("execute-api:Invoke",), resources=(self._call_arn(TOKEN_RULE),))),
            opts=self._child,
        )
        return policy.arn

    def _policy(self) -> None:
        settings = self._args.settings
        allowed = [str(network) for network in (*settings.allowed_ipv4, *settings.allowed_ipv6)]
        if not allowed:
            return
        policy = aws.apigateway.RestApiPolicy(
            self._name,
            rest_api_id=self.rest_api_id,
            policy=document(ranges_only(allowed, self._rest_api.execution_arn)),
            opts=self._child,
        )
        # A policy counts from the next deployment on.
        self._keep(policy, {"allowed": allowed})

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
        # By which the other side can tell that it is API Gateway that calls. It is valid for a year.
        certificate = aws.apigateway.ClientCertificate(self._name, description=self._args.names.prefix, opts=self._child)
        return aws.apigateway.Stage(
            self._name,
            rest_api=self.rest_api_id,
            deployment=deployment.id,
            stage_name=STAGE,
            client_certificate_id=certificate.id,
            xray_tracing_enabled=True,
            access_log_settings=aws.apigateway.StageAccessLogSettingsArgs(
                destination_arn=access_log.arn, format=json.dumps(ACCESS_LOG, separators=(",", ":"))
            ),
            # A stage with logs is refused until the account lets API Gateway write them. Its certificate is the first one until
            # `heartmapctl operate rotate certificates` gives it another, which stays.
            opts=ResourceOptions(parent=self, depends_on=[account, execution_log], ignore_changes=["clientCertificateId"]),
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
                unbound="AWS documents this trust without a condition, and one whose key is not sent would end all logs",
            ),
            self._child,
        )
        return aws.apigateway.Account(self._name, cloudwatch_role_arn=role.arn, opts=self._child)

    def _throttles(self, stage: aws.apigateway.Stage) -> None:
        rules = (*ACCESS_POLICY, TOKEN_RULE)
        limits = {"*/*": (STAGE_RATE, STAGE_BURST)} | {method_path(rule): (rule.rate, rule.burst) for rule in rules}
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
                    # Metrics of each method cost by the metric; the stage has its own without.
                    metrics_enabled=False,
                ),
                # One after the other: API Gateway refuses changes of a stage that come at once.
                opts=ResourceOptions(parent=self, depends_on=previous),
            )
            previous = [setting]

    def _usage_plan(self, stage: aws.apigateway.Stage) -> None:
        """The same limits for whoever is ever given a key of API Gateway's own, which meters and proves nothing. None is."""
        aws.apigateway.UsagePlan(
            self._name,
            name=self._args.names.prefix,
            description="The limits of the access policy",
            api_stages=[
                aws.apigateway.UsagePlanApiStageArgs(
                    api_id=self.rest_api_id,
                    stage=stage.stage_name,
                    throttles=[
                        aws.apigateway.UsagePlanApiStageThrottleArgs(
                            path=f"{rule.route}/{rule.method}", rate_limit=rule.rate, burst_limit=rule.burst
                        )
                        for rule in ACCESS_POLICY
                    ],
                )
            ],
            throttle_settings=aws.apigateway.UsagePlanThrottleSettingsArgs(rate_limit=STAGE_RATE, burst_limit=STAGE_BURST),
            opts=self._child,
        )
