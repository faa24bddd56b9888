"""What AWS refuses and moto takes: order and references that a program must get right before it meets a real account.

Found by replaying answers of AWS, see `tests/local_cloud/aws_answers`. Applied with the other fixes, see `moto_fixes`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from inspect import signature
from typing import Any

from moto.apigateway import models as apigateway
from moto.apigateway.exceptions import BadRequestException, ConflictException
from moto.s3 import models as s3
from moto.s3.exceptions import NoSuchUpload, S3ClientError
from moto.sqs.models import sqs_backends

from local_cloud.moto_patching import replace

_METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD", "ANY")
_AUTHORIZED = {"CUSTOM", "COGNITO_USER_POOLS"}
# Every API has them from its beginning.
_MODELS_OF_AWS = {"Empty", "Error"}


class _MalformedPolicy(S3ClientError):
    def __init__(self, message: str) -> None:
        super().__init__("MalformedPolicy", message)


class _UnknownDestination(S3ClientError):
    def __init__(self) -> None:
        super().__init__("InvalidArgument", "Unable to validate the following destination configurations")


class _LockedBucket(S3ClientError):
    def __init__(self) -> None:
        text = "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
        super().__init__("InvalidBucketState", text)


def refuse_methods_that_refer_to_nothing() -> None:
    """API Gateway: PutMethod refuses an unknown HTTP method, authorizer, validator or model, and two parameters of one name."""

    def make(original: Any) -> Any:
        def put_method(self: Any, *given: Any, **named: Any) -> Any:
            call = signature(original).bind(self, *given, **named).arguments
            self.get_resource(call["function_id"], call["resource_id"])  # what is not there is said first
            api = self.get_rest_api(call["function_id"])
            if call["method_type"] not in _METHODS:
                raise BadRequestException(f"Invalid HttpMethod specified. Valid options are {','.join(_METHODS)}")
            if call["authorization_type"] in _AUTHORIZED and call.get("authorizer_id") not in api.authorizers:
                raise BadRequestException(
                    "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a "
                    "valid authorizer."
                )
            validator = call.get("request_validator_id")
            if validator and validator not in api.request_validators:
                raise BadRequestException("Invalid Request Validator identifier specified")
            names = [parameter.rpartition(".")[2] for parameter in call.get("request_parameters") or {}]
            if len(names) != len(set(names)):
                raise BadRequestException("Parameter names must be unique across querystring, header and path")
            for name in (call.get("request_models") or {}).values():
                if name not in api.models.keys() | _MODELS_OF_AWS:
                    raise BadRequestException(f"Invalid model identifier specified: {name}")
            return original(self, *given, **named)

        return put_method

    replace(apigateway.APIGatewayBackend, "put_method", make)


def refuse_resources_that_are_ambiguous() -> None:
    """API Gateway: of the children of a resource one may be a variable, and a greedy variable has none."""

    def make(original: Any) -> Any:
        def create_resource(self: Any, function_id: str, parent_resource_id: str, path_part: str) -> Any:
            resources = self.get_rest_api(function_id).resources
            parent = resources.get(parent_resource_id)
            if parent is not None and (parent.path_part or "").endswith("+}"):
                raise BadRequestException(f"Cannot create a child of a resource with a greedy path variable: {parent.path_part}")
            siblings = [one.path_part for one in resources.values() if one.parent_id == parent_resource_id]
            variable = next((part for part in siblings if part.startswith("{")), None)
            if variable and (path_part or "").startswith("{"):
                raise BadRequestException(
                    f"A sibling ({variable}) of this resource already has a variable path part -- only one is allowed"
                )
            return original(self, function_id, parent_resource_id, path_part)

        return create_resource

    replace(apigateway.APIGatewayBackend, "create_resource", make)


def keep_models_in_use() -> None:
    """API Gateway: DeleteModel refuses a model that a method refers to."""

    def make(original: Any) -> Any:
        def delete_model(self: Any, rest_api_id: str, model_name: str) -> None:
            for resource in self.get_rest_api(rest_api_id).resources.values():
                for name, method in resource.resource_methods.items():
                    if model_name in (method.request_models or {}).values():
                        where = f"{resource.get_path()}/{name}"
                        raise ConflictException(f"Cannot delete model '{model_name}', is referenced in method request: {where}")
            original(self, rest_api_id, model_name)

        return delete_model

    replace(apigateway.APIGatewayBackend, "delete_model", make)


def keep_deployments_in_use() -> None:
    """API Gateway: DeleteDeployment refuses a deployment that a stage points to."""

    def make(original: Any) -> Any:
        def delete_deployment(self: Any, function_id: str, deployment_id: str) -> Any:
            if any(stage.deployment_id == deployment_id for stage in self.get_rest_api(function_id).stages.values()):
                raise BadRequestException("Active stages pointing to this deployment must be moved or deleted")
            return original(self, function_id, deployment_id)

        return delete_deployment

    replace(apigateway.APIGatewayBackend, "delete_deployment", make)


def refuse_bucket_policies_that_are_none() -> None:
    """S3: PutBucketPolicy takes nothing but a JSON object with statements."""

    def make(original: Any) -> Any:
        def put_bucket_policy(self: Any, bucket_name: str, policy: bytes) -> None:
            try:
                document = json.loads(policy)
            except ValueError:
                document = None
            if not isinstance(document, dict):
                raise _MalformedPolicy("Policies must be valid JSON and the first byte must be '{'")
            if "Statement" not in document:
                raise _MalformedPolicy("Missing required field Statement")
            original(self, bucket_name, policy)

        return put_bucket_policy

    replace(s3.S3Backend, "put_bucket_policy", make)


def keep_versions_of_locked_buckets() -> None:
    """S3: the versioning of a bucket with Object Lock cannot be suspended."""

    def make(original: Any) -> Any:
        def put_bucket_versioning(self: Any, bucket_name: str, status: str) -> None:
            if status != "Enabled" and self.get_bucket(bucket_name).object_lock_enabled:
                raise _LockedBucket
            original(self, bucket_name, status)

        return put_bucket_versioning

    replace(s3.S3Backend, "put_bucket_versioning", make)


def refuse_notifications_to_no_queue() -> None:
    """S3: PutBucketNotificationConfiguration refuses a queue that does not exist."""

    def make(original: Any) -> Any:
        def put(self: Any, bucket_name: str, notification_config: dict[str, Any]) -> None:
            queues = (notification_config or {}).get("QueueConfiguration") or []
            for target in queues if isinstance(queues, list) else [queues]:
                region, account, name = target["Queue"].split(":")[3:6]
                if name not in sqs_backends[account][region].queues:
                    raise _UnknownDestination
            original(self, bucket_name, notification_config)

        return put

    replace(s3.S3Backend, "put_bucket_notification_configuration", make)


def refuse_parts_of_no_upload() -> None:
    """S3: UploadPart and CompleteMultipartUpload answer NoSuchUpload for an upload that is not there. moto fails."""

    def make(original: Any) -> Any:
        def with_upload(self: Any, bucket_name: str, multipart_id: str, *more: Any, **named: Any) -> Any:
            if multipart_id not in self.get_bucket(bucket_name).multiparts:
                raise NoSuchUpload(upload_id=multipart_id)
            return original(self, bucket_name, multipart_id, *more, **named)

        return with_upload

    replace(s3.S3Backend, "upload_part", make)
    replace(s3.S3Backend, "complete_multipart_upload", make)


FIXES: tuple[Callable[[], None], ...] = (
    refuse_resources_that_are_ambiguous,
    refuse_methods_that_refer_to_nothing,
    keep_models_in_use,
    keep_deployments_in_use,
    refuse_bucket_policies_that_are_none,
    keep_versions_of_locked_buckets,
    refuse_notifications_to_no_queue,
    refuse_parts_of_no_upload,
)
