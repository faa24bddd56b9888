"""CloudTrail's record of a call, made of the request and the answer by what botocore's models say of the operation.

Names are AWS's own: those of S3's calls are not those of the API. Left out are `tlsDetails`, `resources` and the API version that
Lambda's names end with. What a model calls sensitive, such as a secret, a password or a function's environment, is not shown.
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, Final, NamedTuple

from botocore.exceptions import UnknownServiceError
from botocore.parsers import ResponseParserError, create_parser
from moto.core.parse import PROTOCOL_PARSERS, RequestParserError
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from requests.structures import CaseInsensitiveDict
from werkzeug.exceptions import HTTPException

VERSION: Final = "1.11"
HIDDEN: Final = "HIDDEN_DUE_TO_SECURITY_REASONS"

# The service in a signature, where botocore's model has another name.
_MODELS = {
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
    "servicequotas": "service-quotas",
    "tagging": "resourcegroupstaggingapi",
}
_SECOND_MODELS = {"apigateway": "apigatewayv2", "ses": "sesv2"}
"""Services with a second API below /v2/."""
_SOURCES = {"application-autoscaling": "autoscaling"}
"""Services that CloudTrail has another name for."""

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-s3-info.html
_S3_NAMES = {
    "DeletePublicAccessBlock": "DeleteBucketPublicAccessBlock",
    "GetBucketLifecycleConfiguration": "GetBucketLifecycle",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutBucketLifecycleConfiguration": "PutBucketLifecycle",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
}

# Calls on data, of which there is no management event.
_DATA: Mapping[str, tuple[str, ...]] = {
    "dynamodb": ("BatchExecute", "BatchGet", "BatchWrite", "DeleteItem", "Execute", "GetItem", "PutItem", "Query", "Scan",
                 "Transact", "UpdateItem"),
    "lambda": ("Invoke",),
    "logs": ("FilterLogEvents", "GetLogEvents", "GetLogRecord", "PutLogEvents"),
    "monitoring": ("GetMetricData", "GetMetricWidgetImage", "PutMetricData"),
    "s3": ("AbortMultipart", "CompleteMultipart", "CopyObject", "CreateMultipart", "DeleteObject", "GetObject", "HeadObject",
           "ListMultipart", "ListObject", "ListParts", "PutObject", "RestoreObject", "SelectObject", "UploadPart"),
    "sns": ("Publish",),
    "sqs": ("ChangeMessage", "DeleteMessage", "ReceiveMessage", "SendMessage"),
}  # fmt: skip
_READS = ("BatchGet", "Describe", "Filter", "Get", "Head", "List", "Lookup", "Search", "Simulate", "Test")
_READS_BY_OTHER_NAMES = {"AssumeRole", "Decrypt", "Encrypt", "GenerateDataKey", "Sign", "StartQuery", "Verify"}


class Unreadable(Exception):
    """A call of which no record can be made. The text names it."""


class Call(NamedTuple):
    """A call and what was answered. ``service`` is the name in the signature, ``environ`` what WSGI tells of the request but its
    body, ``at`` when the answer was there, in seconds since the epoch."""

    service: str
    region: str
    account: str
    identity: Mapping[str, Any]
    at: float
    environ: Mapping[str, Any]
    body: bytes
    status: int
    headers: Mapping[str, str]
    answer: bytes


def is_on_data(service: str, event: str) -> bool:
    """Whether an event of a service is on data: an object, an item, a message, a line."""
    return event.startswith(_DATA.get(service, ()))


def record(call: Call) -> dict[str, Any] | None:
    """The record of a call; None of a call on data, which is no management event. Raises Unreadable."""
    request = Request({**call.environ, "wsgi.input": BytesIO(call.body)})
    try:
        model = get_service_model(_model(call.service, request.path))
        operation, labels = get_service_router(model.service_name).match(request)
        protocol = determine_request_protocol(model, request.content_type)
    except (HTTPException, NotImplementedError, UnknownServiceError):
        raise Unreadable(f"{call.service} {request.method} {request.path}") from None
    name = _S3_NAMES.get(operation.name, operation.name) if call.service == "s3" else operation.name
    if is_on_data(call.service, name):
        return None
    read_only = name.startswith(_READS) or name in _READS_BY_OTHER_NAMES
    answer = _answer(call, protocol, operation, read_only=read_only)
    denied = "AccessDenied" in answer.get("errorCode", "") or "Unauthorized" in answer.get("errorCode", "")
    given = None if denied else _given(request, operation, protocol, labels)
    headers = CaseInsensitiveDict(call.headers)
    return {
        "eventVersion": VERSION,
        "userIdentity": call.identity,
        "eventTime": f"{datetime.fromtimestamp(call.at, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": f"{_SOURCES.get(call.service, call.service)}.amazonaws.com",
        "eventName": name,
        "awsRegion": call.region,
        "sourceIPAddress": call.environ.get("REMOTE_ADDR", ""),
        "userAgent": call.environ.get("HTTP_USER_AGENT", ""),
        "requestParameters": given,
        **answer,
        "requestID": headers.get("x-amzn-requestid") or headers.get("x-amz-request-id") or str(uuid.uuid4()),
        "eventID": str(uuid.uuid4()),
        "readOnly": read_only,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": call.account,
        "eventCategory": "Management",
    }


def _model(service: str, path: str) -> str:
    if path.startswith("/v2/"):
        service = _SECOND_MODELS.get(service, service)
    return _MODELS.get(service, service)


def _given(request: Request, operation: Any, protocol: str, labels: dict[str, Any]) -> Any:
    """What was asked, without what is secret; None where nothing is told."""
    if operation.input_shape is None:
        return None
    parsed = PROTOCOL_PARSERS[protocol](operation)
    try:
        given = parsed.parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": request.get_data(),
                "url_path": request.path,
                "url_params": labels,
            }
        )
    except (RequestParserError, ValueError):
        return None
    shown = _shown(operation.input_shape, given) or None
    if shown and operation.service_model.service_name == "s3" and "bucket" in shown:
        shown = {"bucketName": shown.pop("bucket"), **shown}
    return shown


def _answer(call: Call, protocol: str, operation: Any, *, read_only: bool) -> dict[str, Any]:
    """What is told of the answer: of a failure its code, of a change what came of it."""
    if call.status < 300 and read_only:
        return {"responseElements": None}
    answer = {"status_code": call.status, "headers": CaseInsensitiveDict(call.headers), "body": call.answer}
    try:
        parsed = create_parser(protocol).parse(answer, operation.output_shape)
    except ResponseParserError:
        parsed = {"Error": {"Code": str(call.status), "Message": ""}} if call.status >= 300 else {}
    if call.status >= 300:
        error = parsed.get("Error", {})
        code = f"Client.{error.get('Code')}" if call.service == "ec2" else error.get("Code", "")
        return {"errorCode": code, "errorMessage": error.get("Message", ""), "responseElements": None}
    shown = _shown(operation.output_shape, parsed) if operation.output_shape else None
    return {"responseElements": shown or None}


def _shown(shape: Any, value: Any) -> Any:
    """A value as CloudTrail writes it: names begin small, what is sensitive is hidden, and what are only bytes is left out."""
    if value is None:
        return None
    if shape.metadata.get("sensitive"):
        return HIDDEN
    if shape.type_name == "structure":
        members = ((name, value[name]) for name in shape.members if name in value)
        return {f"{name[0].lower()}{name[1:]}": _shown(shape.members[name], one) for name, one in members}
    if shape.type_name == "list":
        return [_shown(shape.member, one) for one in value]
    if shape.type_name == "map":
        return {str(key): _shown(shape.value, one) for key, one in value.items()}
    if shape.type_name == "blob":
        return None
    return value.isoformat() if isinstance(value, datetime) else value
