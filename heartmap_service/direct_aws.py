"""The authorizer's calls to AWS in a process that is no Lambda function: with the credentials that botocore finds, such as those
of an ECS task's role, which are renewed all the time and are in no environment variable."""

import json
from typing import Any

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError

from lambda_authorizer.aws import Aws, AwsError, endpoint_of
from lambda_authorizer.bounded_http import HttpError, exchange
from lambda_authorizer.encoding import json_object

_VERSIONS = {"dynamodb": "1.0", "secretsmanager": "1.1"}


class DirectAws(Aws):
    """AWS at ``endpoint``, or without one at its own addresses, unless ``own_addresses`` is false: then there is no AWS."""

    def __init__(self, *, endpoint: str | None, own_addresses: bool) -> None:
        super().__init__(endpoint=endpoint, own_addresses=own_addresses)
        self._at = endpoint
        self._is_anywhere = endpoint is not None or own_addresses
        self._session = botocore.session.Session()

    def call(self, service: str, operation: str, parameters: dict[str, Any], *, region: str, deadline: float) -> dict[str, Any]:
        """As Aws.call, of whose answers nothing is changed either. Raises AwsError."""
        if not self._is_anywhere:
            raise AwsError("there is no AWS here")
        url = f"{self._at or endpoint_of(service, region)}/"
        headers = {"Content-Type": f"application/x-amz-json-{_VERSIONS[service]}", "X-Amz-Target": operation}
        body = json.dumps(parameters).encode("ascii")
        request = AWSRequest("POST", url, headers=headers, data=body)
        try:
            credentials: Any = self._session.get_credentials()
            if credentials is None:
                raise AwsError("there are no AWS credentials")
            SigV4Auth(credentials.get_frozen_credentials(), service, region).add_auth(request)
            response = exchange("POST", url, headers=dict(request.headers.items()), body=body, deadline=deadline)
            answer = json_object(response.body)
        except (BotoCoreError, HttpError, ValueError):
            raise AwsError(f"{service} gave no usable answer in time") from None
        if response.status != 200:
            raise AwsError(f"{service} answered {response.status}", str(answer.get("__type", "")).rpartition("#")[2])
        return answer
