"""Where moto answers otherwise than AWS, and this project would notice.

Each function mends one thing, and its docstring says what AWS does. None of them loosens what moto checks, but for conditions in
bucket policies, which moto cannot evaluate. They were written against one release of moto: with another, or where what they mend
is not there, `apply` raises FixDoesNotFit, so that the local environment never runs half mended.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

import boto3
from botocore.config import Config
from moto.acm import models as acm
from moto.apigateway import exceptions as apigateway_exceptions
from moto.apigateway import models as apigateway
from moto.apigateway import urls as apigateway_urls
from moto.apigateway.responses import APIGatewayResponse
from moto.awslambda import models as awslambda
from moto.awslambda.responses import LambdaResponse
from moto.cognitoidp import models as cognitoidp
from moto.cognitoidp.exceptions import InvalidParameterException
from moto.ecs import models as ecs
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.moto_server import werkzeug_app
from moto.s3 import models as s3
from moto.s3 import notifications
from moto.s3.responses import S3Response
from moto.sqs import models as sqs
from moto.wafv2 import models as wafv2

from local_cloud import (
    moto_fixes_apigateway,
    moto_fixes_appautoscaling,
    moto_fixes_cloudtrail,
    moto_fixes_cognito,
    moto_fixes_dynamodb,
    moto_fixes_ec2,
    moto_fixes_guardduty,
    moto_fixes_iam,
    moto_fixes_kms,
    moto_fixes_logs,
    moto_fixes_preflight,
    moto_fixes_refusals,
    moto_fixes_s3,
    moto_fixes_secretsmanager,
    moto_fixes_ses,
    post_policy,
)
from local_cloud.moto_patching import FixDoesNotFit, add, replace

WRITTEN_AGAINST = "5.2.5"


# --- the server


def allow_no_other_origin() -> None:
    """AWS's endpoints let no page of another origin read their answers, but by a bucket's CORS rules. moto lets every one."""
    replace(werkzeug_app, "DISABLE_GLOBAL_CORS", lambda _: True)


# --- SQS


def keep_queue_policies() -> None:
    """SQS: SetQueueAttributes leaves what it does not name alone; an empty policy removes the policy. moto always removes it."""

    def make(original: Any) -> Any:
        def set_attributes(self: Any, attributes: dict[str, Any], now: float | None = None) -> None:
            policy = getattr(self, "policy", None)
            original(self, attributes, now)
            self.policy = attributes.get("Policy", policy) or None

        return set_attributes

    replace(sqs.Queue, "_set_attributes", make)


def know_redrive_allow_policies() -> None:
    """SQS: RedriveAllowPolicy is an attribute of a queue; an empty value removes it. moto knows none and reports none."""
    if "RedriveAllowPolicy" in sqs.Queue.BASE_ATTRIBUTES:
        raise FixDoesNotFit("moto knows RedriveAllowPolicy by now: remove the fix")
    sqs.Queue.BASE_ATTRIBUTES.append("RedriveAllowPolicy")
    sqs.Queue.redrive_allow_policy = None  # pyright: ignore[reportAttributeAccessIssue]  # a queue's own value shadows it

    def make(original: Any) -> Any:
        def attributes(self: Any) -> dict[str, Any]:
            return {name: value for name, value in original.fget(self).items() if name != "RedriveAllowPolicy" or value}

        return property(attributes)

    replace(sqs.Queue, "attributes", make)


# --- S3


def let_buckets_be_log_targets() -> None:
    """S3: PutBucketLogging does not evaluate the target's policy. moto does, and knows only some spellings of it."""
    replace(s3.FakeBucket, "_log_permissions_enabled_policy", lambda _: staticmethod(lambda **_: True))


def ignore_conditional_denials() -> None:
    """S3: a Deny with a condition applies to requests that meet it. moto evaluates none and would refuse every request."""

    def make(original: Any) -> Any:
        def get_permission(self: Any, action: str, resource: str) -> Any:
            if self.policy is None:
                return original(self, action, resource)
            document = json.loads(self.policy)
            listed = document["Statement"]
            statements = [one for one in (listed if isinstance(listed, list) else [listed]) if not one.get("Condition")]
            unconditional = SimpleNamespace()
            unconditional.policy = json.dumps({**document, "Statement": statements}).encode()
            return original(unconditional, action, resource)

        return get_permission

    replace(s3.FakeBucket, "get_permission", make)


def enforce_post_policies() -> None:
    """S3: a POST upload without a policy, against its conditions, or of a size out of range is refused. moto stores it."""

    def make(original: Any) -> Any:
        def bucket_response_post(self: Any, request: Any, bucket_name: str) -> Any:
            if request.mimetype == "multipart/form-data":
                body = self.body or b""
                size = len(body.encode() if isinstance(body, str) else body)
                fields = {**self.form_data.to_dict(), "bucket": bucket_name}
                refused = post_policy.refusal(fields, size, datetime.now(UTC))
                if refused is not None:
                    text = f"<Error><Code>{refused.code}</Code><Message>{escape(refused.message)}</Message></Error>"
                    return refused.status, {"Content-Type": "application/xml"}, f'<?xml version="1.0" encoding="UTF-8"?>{text}'
            return original(self, request, bucket_name)

        return bucket_response_post

    replace(S3Response, "_bucket_response_post", make)


def announce_multipart_uploads_once() -> None:
    """S3: a completed multipart upload is one event, ObjectCreated:CompleteMultipartUpload. moto sends one of a Put before it."""

    def make(original: Any) -> Any:
        def put_object(self: Any, *args: Any, **kwargs: Any) -> Any:
            return original(self, *args, **kwargs | ({"disable_notification": True} if kwargs.get("multipart") else {}))

        return put_object

    replace(s3.S3Backend, "put_object", make)


def name_versions_in_events() -> None:
    """S3: the notification of a versioned bucket names the object's version. moto leaves it out.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """

    def make(original: Any) -> Any:
        def get_s3_event(event_name: str, bucket: Any, key: Any, notification_id: str) -> dict[str, Any]:
            event = original(event_name, bucket, key, notification_id)
            if bucket.is_versioned:
                event["Records"][0]["s3"]["object"]["versionId"] = key.version_id
            return event

        return get_s3_event

    replace(notifications, "_get_s3_event", make)


# --- API Gateway


def escape_api_policies() -> None:
    """API Gateway: a REST API's policy comes back with its quotes escaped once more. moto returns it as it was put."""

    def make(original: Any) -> Any:
        def to_dict(self: Any) -> dict[str, Any]:
            answer = original(self)
            if answer.get("policy"):
                answer["policy"] = json.dumps(answer["policy"])[1:-1]
            return answer

        return to_dict

    replace(apigateway.RestAPI, "to_dict", make)


# Settings of a REST API that UpdateRestApi replaces, and what their text stands for.
REST_API_PATCHES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "/disableExecuteApiEndpoint": ("disableExecuteApiEndpoint", lambda text: text == "true"),
    "/minimumCompressionSize": ("minimum_compression_size", lambda text: int(text) if text else None),
    "/endpointAccessMode": ("endpoint_access_mode", str),
    "/securityPolicy": ("security_policy", str),
}


def keep_rest_api_settings() -> None:
    """API Gateway: a REST API keeps its TLS settings and its binary media types, and all can be replaced. moto drops them, and
    takes the text "false" for true."""

    def keep_on_create(original: Any) -> Any:
        def create_rest_api(self: Any) -> Any:
            answer = original(self)
            if isinstance(answer, tuple) and answer[0] == 200:
                api = self.backend.apis[json.loads(answer[2])["id"]]
                api.security_policy = self._get_param("securityPolicy")
                api.endpoint_access_mode = self._get_param("endpointAccessMode")
                api.binaryMediaTypes = self._get_param("binaryMediaTypes") or []
                return 201, {"status": 201}, json.dumps(api.to_dict())
            return answer

        return create_rest_api

    def patch(original: Any) -> Any:
        def apply_patch_operations(self: Any, operations: list[dict[str, Any]]) -> None:
            for operation in operations:
                if operation["path"] in REST_API_PATCHES and operation["op"] == "replace":
                    attribute, parse = REST_API_PATCHES[operation["path"]]
                    setattr(self, attribute, parse(operation.get("value") or ""))
                else:
                    original(self, [operation])

        return apply_patch_operations

    def echo(original: Any) -> Any:
        def to_dict(self: Any) -> dict[str, Any]:
            kept = {
                "securityPolicy": getattr(self, "security_policy", None),
                "endpointAccessMode": getattr(self, "endpoint_access_mode", None),
            }
            return original(self) | {name: value for name, value in kept.items() if value}

        return to_dict

    replace(APIGatewayResponse, "create_rest_api", keep_on_create)
    replace(apigateway.RestAPI, "apply_patch_operations", patch)
    replace(apigateway.RestAPI, "to_dict", echo)


KEPT_BY_INTEGRATIONS = ("connectionId", "integrationTarget", "responseTransferMode", "cacheKeyParameters")


def keep_integration_settings() -> None:
    """API Gateway: GetIntegration names the VPC link and its target, and the defaults: 29 s, WHEN_NO_MATCH. moto drops both."""

    def keep(original: Any) -> Any:
        def put_integration(self: Any) -> Any:
            status, headers, _ = original(self)
            _, _, api, _, resource, _, method, *_ = self.path.split("/")
            integration = self.backend.get_integration(api, resource, method)
            integration.kept = {name: self._get_param(name) for name in KEPT_BY_INTEGRATIONS if self._get_param(name)}
            return status, headers, json.dumps(integration.to_json())

        return put_integration

    def echo(original: Any) -> Any:
        def to_json(self: Any) -> dict[str, Any]:
            answer = original(self) | getattr(self, "kept", {})
            answer["timeoutInMillis"] = answer["timeoutInMillis"] or 29000
            answer["passthroughBehavior"] = answer["passthroughBehavior"] or "WHEN_NO_MATCH"
            return answer

        return to_json

    replace(APIGatewayResponse, "put_integration", keep)
    replace(apigateway.Integration, "to_json", echo)


# Attributes of a method that UpdateMethod replaces.
METHOD_PATCHES = {
    "/authorizationType": "authorization_type",
    "/authorizerId": "authorizer_id",
    "/requestValidatorId": "request_validator_id",
    "/operationName": "operation_name",
    "/apiKeyRequired": "api_key_required",
}

# Maps of a method that UpdateMethod changes entry by entry, and what an entry's text stands for.
METHOD_MAPS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "requestParameters": ("request_parameters", lambda text: text == "true"),
    "requestModels": ("request_models", str),
}


def update_methods() -> None:
    """API Gateway: UpdateMethod changes a method and leaves its integration alone. moto has no such call.

    https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html#UpdateMethod-Patch
    """

    def update_method(self: Any) -> str:
        _, _, api, _, resource, _, name, *_ = self.path.split("/")
        method = self.backend.get_method(api, resource, name)
        for operation in self._get_param("patchOperations"):
            path, value = operation["path"], operation.get("value")
            kind, _, escaped = path.removeprefix("/").partition("/")
            key = escaped.replace("~1", "/").replace("~0", "~")  # RFC 6901
            if path in METHOD_PATCHES and operation["op"] == "replace":
                setattr(method, METHOD_PATCHES[path], value == "true" if path == "/apiKeyRequired" else value)
            elif kind in METHOD_MAPS and operation["op"] in {"add", "replace", "remove"}:
                attribute, parse = METHOD_MAPS[kind]
                kept = {name: one for name, one in (getattr(method, attribute) or {}).items() if name != key}
                setattr(method, attribute, kept if operation["op"] == "remove" else kept | {key: parse(value)})
            else:
                raise apigateway_exceptions.BadRequestException("Invalid patch path")
        return json.dumps(method.to_json())

    add(APIGatewayResponse, "update_method", update_method)


def update_deployments() -> None:
    """API Gateway: UpdateDeployment changes a deployment's description. moto has no such call."""

    def update_deployment(self: Any) -> str:
        _, _, api, _, deployment_id, *_ = self.path.split("/")
        deployment = self.backend.get_deployment(api, deployment_id)
        for operation in self._get_param("patchOperations"):
            if (operation["op"], operation["path"]) != ("replace", "/description"):
                raise apigateway_exceptions.BadRequestException("Invalid patch path")
            deployment.description = operation.get("value") or ""
        return json.dumps(deployment.to_json())

    add(APIGatewayResponse, "update_deployment", update_deployment)


DOMAIN_NAME_PATCHES = {
    "/regionalCertificateArn": "regional_certificate_arn",
    "/securityPolicy": "security_policy",
    "/endpointAccessMode": "endpoint_access_mode",
}


def keep_domain_name_settings() -> None:
    """API Gateway: a domain name keeps its endpointAccessMode and can be updated. moto drops the one and lacks UpdateDomainName.

    https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html#UpdateDomainName-Patch
    """

    def keep(original: Any) -> Any:
        def create_domain_name(self: Any) -> Any:
            status, headers, _ = original(self)
            domain = self.backend.get_domain_name(self._get_param("domainName"))
            domain.endpoint_access_mode = self._get_param("endpointAccessMode")
            return status, headers, json.dumps(domain.to_json())

        return create_domain_name

    def echo(original: Any) -> Any:
        def to_json(self: Any) -> dict[str, Any]:
            mode = getattr(self, "endpoint_access_mode", None)
            return original(self) | ({"endpointAccessMode": mode} if mode else {})

        return to_json

    def update_domain_name(self: Any) -> str:
        domain = self.backend.get_domain_name(self.path.split("/")[2])
        for operation in self._get_param("patchOperations"):
            if operation["op"] == "replace" and operation["path"] == moto_fixes_apigateway.IP_ADDRESS_TYPE:
                domain.endpoint_configuration["ipAddressType"] = operation["value"]
            elif operation["op"] == "replace" and operation["path"] in DOMAIN_NAME_PATCHES:
                setattr(domain, DOMAIN_NAME_PATCHES[operation["path"]], operation.get("value"))
            else:
                raise apigateway_exceptions.BadRequestException("Invalid patch path")
        return json.dumps(domain.to_json())

    replace(APIGatewayResponse, "create_domain_name", keep)
    replace(apigateway.DomainName, "to_json", echo)
    add(APIGatewayResponse, "update_domain_name", update_domain_name)


def remove_method_settings() -> None:
    """API Gateway: UpdateStage with `remove /<path>/<method>` removes the overrides of that method. moto ignores it."""

    def make(original: Any) -> Any:
        def apply_operations(self: Any, operations: list[dict[str, Any]]) -> Any:
            for operation in operations:
                key = operation["path"].removeprefix("/")
                if operation["op"] == "remove" and key in self.method_settings:
                    del self.method_settings[key]
                else:
                    original(self, [operation])
            return self

        return apply_operations

    replace(apigateway.Stage, "apply_operations", make)


def answer_404_for_what_is_gone() -> None:
    """API Gateway: deleting or reading what does not exist is a NotFoundException. moto fails by itself, or answers nothing."""
    missing = {
        "delete_rest_api": apigateway_exceptions.RestAPINotFound,
        "delete_resource": apigateway_exceptions.ResourceIdNotFoundException,
        "delete_authorizer": apigateway_exceptions.AuthorizerNotFoundException,
        "delete_request_validator": _ValidatorNotFound,
        "get_deployment": apigateway_exceptions.DeploymentNotFoundException,
        "delete_integration": apigateway_exceptions.NoIntegrationDefined,
        "get_integration": apigateway_exceptions.NoIntegrationDefined,
        "get_base_path_mapping": apigateway_exceptions.BasePathNotFoundException,
        "delete_base_path_mapping": apigateway_exceptions.BasePathNotFoundException,
    }

    def guarded(exception: type[Exception]) -> Callable[[Any], Any]:
        def make(original: Any) -> Any:
            @functools.wraps(original)
            def call(self: Any, *args: Any, **kwargs: Any) -> Any:
                try:
                    answer = original(self, *args, **kwargs)
                except KeyError as error:
                    raise exception from error
                if answer is None and original.__name__ in {"get_integration", "delete_integration"}:
                    raise exception
                return answer

            return call

        return make

    replace(apigateway, "RequestValidatorNotFound", lambda _: _ValidatorNotFound)
    for name, exception in missing.items():
        replace(apigateway.APIGatewayBackend, name, guarded(exception))


TAGGED: dict[str, Callable[[Any, str], Any]] = {
    "restapis": lambda backend, name: backend.get_rest_api(name),
    "domainnames": lambda backend, name: backend.get_domain_name(name),
    "usageplans": lambda backend, name: backend.get_usage_plan(name),
    "clientcertificates": lambda backend, name: moto_fixes_apigateway.certificates(backend)[name],
}


def _tagged(response: Any) -> Any:
    """What a request about tags names; None for a stage."""
    kind, _, name = unquote(response.path.split("/tags/")[1]).split("::/")[-1].partition("/")
    return None if "/" in name else TAGGED[kind](response.backend, name)


def tag_more_than_stages() -> None:
    """API Gateway: APIs, domain names, usage plans and client certificates can be tagged, like stages. moto takes every ARN for a
    stage's."""

    def get(original: Any) -> Any:
        def get_tags(self: Any) -> str:
            found = _tagged(self)
            return original(self) if found is None else json.dumps({"tags": found.tags or {}})

        return get_tags

    def put(original: Any) -> Any:
        def tag_resource(self: Any) -> str:
            found = _tagged(self)
            if found is None:
                return original(self)
            found.tags = (found.tags or {}) | self._get_param("tags")
            return "{}"

        return tag_resource

    def remove(original: Any) -> Any:
        def untag_resource(self: Any) -> str:
            found = _tagged(self)
            if found is None:
                return original(self)
            removed = self.querystring.get("tagKeys", [])
            found.tags = {key: value for key, value in (found.tags or {}).items() if key not in removed}
            return "{}"

        return untag_resource

    of = "{0}/tags/arn:(?P<partition>[^/]+):apigateway:(?P<region_name>[^/]+)::"
    apigateway_urls.url_paths[f"{of}/(?P<kind>{'|'.join(TAGGED)})/(?P<name>[^/]+)$"] = APIGatewayResponse.dispatch
    replace(APIGatewayResponse, "get_tags", get)
    replace(APIGatewayResponse, "tag_resource", put)
    replace(APIGatewayResponse, "untag_resource", remove)


class _ValidatorNotFound(apigateway_exceptions.NotFoundException):
    def __init__(self) -> None:
        super().__init__("Invalid Request Validator identifier specified")


# --- WAF


def associate_one_web_acl() -> None:
    """WAF: a resource has at most one web ACL; associating another one replaces it. moto keeps both and answers with the first.

    https://docs.aws.amazon.com/waf/latest/APIReference/API_AssociateWebACL.html
    """

    def make(original: Any) -> Any:
        def associate_web_acl(self: Any, web_acl_arn: str, resource_arn: str) -> None:
            if web_acl_arn in self.wacls:
                self.disassociate_web_acl(resource_arn)
            original(self, web_acl_arn, resource_arn)

        return associate_web_acl

    replace(wafv2.WAFV2Backend, "associate_web_acl", make)


def let_web_acls_lose_their_rules() -> None:
    """WAF: UpdateWebACL replaces the whole definition. moto keeps the old rules and association settings where none are given."""

    def make(original: Any) -> Any:
        def update_web_acl(self: Any, name: str, _id: str, default_action: Any, rules: Any, *args: Any, **kwargs: Any) -> str:
            acl = self.get_web_acl(None, name, _id)
            kept = acl.rules, acl.association_config
            acl.rules, acl.association_config = [], None
            try:
                return original(self, name, _id, default_action, rules, *args, **kwargs)
            except Exception:
                acl.rules, acl.association_config = kept
                raise

        return update_web_acl

    replace(wafv2.WAFV2Backend, "update_web_acl", make)


# --- Lambda


def serve_deployed_code() -> None:
    """Lambda: GetFunction answers with a presigned URL of the deployed package. moto names an address that nobody serves."""

    def make(original: Any) -> Any:
        def get_function(self: Any) -> str:
            answer = json.loads(original(self))
            function = self.backend.get_function(answer["Configuration"]["FunctionName"])
            if "S3Bucket" in function.code:
                client = boto3.client(
                    "s3",
                    endpoint_url=f"http://{self.headers['Host']}",
                    region_name=self.region,
                    config=Config(signature_version="s3v4"),
                    aws_access_key_id="local",
                    aws_secret_access_key="local",  # noqa: S106  # moto takes any words
                )
                place = {"Bucket": function.code["S3Bucket"], "Key": function.code["S3Key"]}
                answer["Code"]["Location"] = client.generate_presigned_url("get_object", Params=place, ExpiresIn=600)
            return json.dumps(answer)

        return get_function

    replace(LambdaResponse, "get_function", make)


# Settings of a function that moto keeps but does not update.
LAMBDA_SETTINGS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "KMSKeyArn": ("kms_key_arn", str),
    "TracingConfig": ("tracing_config", dict),
    "EphemeralStorage": ("ephemeral_storage", lambda value: value["Size"]),
    "LoggingConfig": ("logging_config", dict),
}


def keep_function_settings() -> None:
    """Lambda: LoggingConfig is kept and defaults to /aws/lambda/<name>. moto drops it."""

    def keep(original: Any) -> Any:
        def init(self: Any, account_id: str, spec: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            self.logging_config = spec.get("LoggingConfig") or {}
            original(self, account_id, spec, *args, **kwargs)

        return init

    def echo(original: Any) -> Any:
        def get_configuration(self: Any, on_create: bool = False) -> dict[str, Any]:
            defaults = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{self.function_name}"}
            return original(self, on_create) | {"LoggingConfig": defaults | self.logging_config}

        return get_configuration

    replace(awslambda.LambdaFunction, "__init__", keep)
    replace(awslambda.LambdaFunction, "get_configuration", echo)


def update_every_function_setting() -> None:
    """Lambda: the key, tracing, storage, logging and architecture of a function can be updated. moto ignores it."""

    def update(original: Any) -> Any:
        def update_configuration(self: Any, updates: dict[str, Any]) -> dict[str, Any]:
            for name in LAMBDA_SETTINGS.keys() & updates.keys():
                attribute, parse = LAMBDA_SETTINGS[name]
                setattr(self, attribute, parse(updates[name]))
            return original(self, updates)

        return update_configuration

    def update_code(original: Any) -> Any:
        def update_function_code(self: Any, spec: dict[str, Any]) -> Any:
            if spec.get("Architectures"):
                self.architectures = spec["Architectures"]
            return original(self, spec)

        return update_function_code

    replace(awslambda.LambdaFunction, "update_configuration", update)
    replace(awslambda.LambdaFunction, "update_function_code", update_code)


# --- ECS

KEPT_BY_SERVICES = {
    "deploymentConfiguration": "deployment_configuration",
    "healthCheckGracePeriodSeconds": "health_check_grace_period_seconds",
    "enableExecuteCommand": "enable_execute_command",
    "enableECSManagedTags": "enable_ecs_managed_tags",
    "availabilityZoneRebalancing": "availability_zone_rebalancing",
}


def keep_service_settings() -> None:
    """ECS: DescribeServices tells how a service is deployed and checked. moto forgets what CreateService says about it."""

    def make(original: Any) -> Any:
        def create_service(self: Any) -> Any:
            answer = original(self)
            name, cluster = self._get_param("serviceName"), self._get_param("cluster", "default")
            (service,), _ = self.ecs_backend.describe_services(cluster, [name])
            for parameter, attribute in KEPT_BY_SERVICES.items():
                setattr(service, attribute, self._get_param(parameter))
            return answer

        return create_service

    replace(EC2ContainerServiceResponse, "create_service", make)


def complete_rollouts() -> None:
    """ECS: a deployment whose tasks run and are healthy is COMPLETED. moto runs no tasks, and has it IN_PROGRESS for ever."""

    def make(original: Any) -> Any:
        def describe_services(self: Any, *arguments: Any, **named: Any) -> Any:
            services, failures = original(self, *arguments, **named)
            for deployment in (deployment for service in services for deployment in service.deployments):
                deployment |= {"rolloutState": "COMPLETED", "runningCount": deployment["desiredCount"], "pendingCount": 0}
            return services, failures

        return describe_services

    replace(ecs.EC2ContainerServiceBackend, "describe_services", make)


def follow_task_definitions() -> None:
    """ECS: the primary deployment of a service runs the task definition that the service names. moto keeps the first one."""

    def make(original: Any) -> Any:
        def update_service(self: Any, service_properties: dict[str, Any]) -> Any:
            service = original(self, service_properties)
            for deployment in service.deployments[:1]:
                deployment["taskDefinition"] = service.task_definition
            return service

        return update_service

    replace(ecs.EC2ContainerServiceBackend, "update_service", make)


# --- Cognito


def update_mfa_of_user_pools() -> None:
    """Cognito: UpdateUserPool sets MfaConfiguration and PoolName as well. moto leaves them alone."""

    def make(original: Any) -> Any:
        def update_user_pool(self: Any, user_pool_id: str, extended_config: dict[str, Any]) -> None:
            original(self, user_pool_id, extended_config)
            pool = self.describe_user_pool(user_pool_id)
            pool.mfa_config = extended_config.get("MfaConfiguration") or pool.mfa_config
            pool.name = extended_config.get("PoolName") or pool.name

        return update_user_pool

    replace(cognitoidp.CognitoIdpBackend, "update_user_pool", make)


def protect_user_pools() -> None:
    """Cognito: a user pool whose DeletionProtection is ACTIVE is not deleted. moto deletes it.

    https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-deletion-protection.html
    """

    def make(original: Any) -> Any:
        def delete_user_pool(self: Any, user_pool_id: str) -> None:
            if self.describe_user_pool(user_pool_id).extended_config.get("DeletionProtection") == "ACTIVE":
                raise InvalidParameterException(
                    "The user pool cannot be deleted because deletion protection is activated. "
                    "Deletion protection must be inactivated first."
                )
            original(self, user_pool_id)

        return delete_user_pool

    replace(cognitoidp.CognitoIdpBackend, "delete_user_pool", make)


# --- ACM


def keep_tags_of_what_is_imported_again() -> None:
    """ACM: a certificate that is imported again keeps its ARN and what is associated with it. moto forgets its tags.

    https://docs.aws.amazon.com/acm/latest/userguide/import-reimport.html
    """

    def make(original: Any) -> Any:
        def import_certificate(self: Any, certificate: bytes, private_key: bytes, chain: Any, arn: Any, tags: Any) -> str:
            before = self._certificates[arn].tags if arn in self._certificates else None
            made = original(self, certificate, private_key, chain, arn, tags)
            if before is not None:
                self._certificates[made].tags = before
            return made

        return import_certificate

    replace(acm.AWSCertificateManagerBackend, "import_certificate", make)


FIXES: tuple[Callable[[], None], ...] = (
    allow_no_other_origin,
    keep_queue_policies,
    know_redrive_allow_policies,
    let_buckets_be_log_targets,
    ignore_conditional_denials,
    enforce_post_policies,
    announce_multipart_uploads_once,
    name_versions_in_events,
    keep_rest_api_settings,
    escape_api_policies,
    keep_integration_settings,
    update_methods,
    update_deployments,
    keep_domain_name_settings,
    remove_method_settings,
    answer_404_for_what_is_gone,
    tag_more_than_stages,
    associate_one_web_acl,
    let_web_acls_lose_their_rules,
    serve_deployed_code,
    keep_function_settings,
    update_every_function_setting,
    keep_service_settings,
    complete_rollouts,
    follow_task_definitions,
    update_mfa_of_user_pools,
    protect_user_pools,
    keep_tags_of_what_is_imported_again,
)


@functools.cache
def apply() -> None:
    """Mend the moto of this process, once. Raises FixDoesNotFit for a moto that the fixes were not written for."""
    installed = version("moto")
    if installed != WRITTEN_AGAINST:
        raise FixDoesNotFit(f"the fixes were written against moto {WRITTEN_AGAINST}, not {installed}: install the pinned one")
    for fix in (
        *FIXES,
        *moto_fixes_apigateway.FIXES,
        *moto_fixes_appautoscaling.FIXES,
        *moto_fixes_cloudtrail.FIXES,
        *moto_fixes_cognito.FIXES,
        *moto_fixes_dynamodb.FIXES,
        *moto_fixes_ec2.FIXES,
        *moto_fixes_iam.FIXES,
        *moto_fixes_kms.FIXES,
        *moto_fixes_logs.FIXES,
        *moto_fixes_preflight.FIXES,
        *moto_fixes_secretsmanager.FIXES,
        *moto_fixes_ses.FIXES,
        *moto_fixes_refusals.FIXES,
        *moto_fixes_s3.FIXES,
        *moto_fixes_guardduty.FIXES,
    ):
        fix()
