"""The two calls to AWS that the authorizer makes, signed by hand: boto3 costs six times as much of a cold start as all the rest.

Signature Version 4: https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
"""

import hashlib
import hmac
import json
import os
import time
from typing import Any

from lambda_authorizer.bounded_http import HttpError, exchange
from lambda_authorizer.encoding import json_object


class AwsError(Exception):
    """AWS did not answer in time, or not with a success. The text is fixed.

    ``code`` is the error's name, such as ``ConditionalCheckFailedException``, and empty where AWS gave none.
    """

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


def partition_of(region: str) -> str:
    """The partition that a region belongs to. Cognito user pools exist in no other than these."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def endpoint_of(service: str, region: str) -> str:
    """The URL of a service in a region, without a path."""
    suffix = "amazonaws.com.cn" if partition_of(region) == "aws-cn" else "amazonaws.com"
    return f"https://{service}.{region}.{suffix}"


class Aws:
    """AWS at ``endpoint``, or without one at its own addresses, unless ``own_addresses`` is false: then there is no AWS."""

    def __init__(self, *, endpoint: str | None, own_addresses: bool) -> None:
        self._endpoint = endpoint
        self._own_addresses = own_addresses

    def call(self, service: str, operation: str, parameters: dict[str, Any], *, region: str, deadline: float) -> dict[str, Any]:
        """Call ``operation`` (its X-Amz-Target) of a service that speaks AWS's JSON 1.0 or 1.1 protocol, and return its answer.

        ``deadline`` is on the clock of ``time.monotonic``. The credentials are those that Lambda puts into the environment.
        Raises AwsError.
        """
        if self._endpoint is None and not self._own_addresses:
            raise AwsError("there is no AWS here")
        url = self._endpoint or endpoint_of(service, region)
        body = json.dumps(parameters).encode("ascii")
        headers = {"Content-Type": _CONTENT_TYPES[service], "X-Amz-Target": operation}
        headers |= _signature(service, region, url.partition("://")[2], headers, body)
        try:
            response = exchange("POST", f"{url}/", headers=headers, body=body, deadline=deadline)
            answer = json_object(response.body)
        except (HttpError, ValueError):
            raise AwsError(f"{service} gave no usable answer in time") from None
        if response.status != 200:
            # The name follows a shape's namespace: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
            raise AwsError(f"{service} answered {response.status}", str(answer.get("__type", "")).rpartition("#")[2])
        return answer


_CONTENT_TYPES = {"dynamodb": "application/x-amz-json-1.0"} | dict.fromkeys(
    ("cognito-idp", "logs", "secretsmanager"), "application/x-amz-json-1.1"
)


def _signature(service: str, region: str, host: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
    """The headers that sign a POST of ``body`` to the path ``/`` with ``headers``."""
    key_id, secret, session = (
        os.environ.get(f"AWS_{name}", "") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")
    )
    if not key_id or not secret:
        raise AwsError("there are no AWS credentials in the environment")
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    added = {"X-Amz-Date": moment} | ({"X-Amz-Security-Token": session} if session else {})
    signed = sorted((name.lower(), value) for name, value in {"Host": host, **headers, **added}.items())
    names = ";".join(name for name, _ in signed)
    canonical_headers = "".join(f"{name}:{value}\n" for name, value in signed)
    canonical = f"POST\n/\n\n{canonical_headers}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, to_sign.encode(), "sha256").hexdigest()
    added["Authorization"] = f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return added
