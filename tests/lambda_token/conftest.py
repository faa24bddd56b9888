"""An emulated AWS with a table of keys and the authorizer's secret, and the events that API Gateway would send."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

TABLE = "heartmap-local-api-keys"
ACCOUNT = "123456789012"
PUBLISHER = f"arn:aws:iam::{ACCOUNT}:role/ci/jobs/publisher"
READER = f"arn:aws:iam::{ACCOUNT}:role/reader"
PEPPER = bytes(range(32))


@pytest.fixture(scope="module")
def secret_arn(aws: Callable[[str], Any]) -> str:
    """The secret of the environment, and the table beside it."""
    aws("dynamodb").create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "public_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "public_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    content = {
        "api_key_pepper": base64.b64encode(PEPPER).decode(),
        "assertion_keys": {"a1": base64.b64encode(b"a" * 32).decode()},
        "current_assertion_key": "a1",
    }
    return aws("secretsmanager").create_secret(Name="heartmap-local/authorizer", SecretString=json.dumps(content))["ARN"]


@pytest.fixture
def environ(moto_url: str, secret_arn: str) -> dict[str, str]:
    """The function's environment."""
    return {
        "HEARTMAP_ENVIRONMENT": "local",
        "HEARTMAP_API_KEYS_TABLE": TABLE,
        "HEARTMAP_SECRETS": secret_arn,
        "HEARTMAP_IAM_ROLES": json.dumps({PUBLISHER: ["analyst"], READER: ["viewer"]}),
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": moto_url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }


@pytest.fixture
def make_event() -> Callable[..., dict[str, Any]]:
    """The event of a call by this session; ``changes`` are of what API Gateway says about the caller."""

    def make(user_arn: object = f"arn:aws:sts::{ACCOUNT}:assumed-role/publisher/build-7", **changes: Any) -> dict[str, Any]:
        identity = {"accountId": ACCOUNT, "userArn": user_arn, "sourceIp": "192.0.2.7", "userAgent": "x"} | changes
        context = {"requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef", "identity": identity, "apiId": "a1b2c3d4e5"}
        return {
            "resource": "/token",
            "path": "/token",
            "httpMethod": "POST",
            "headers": {"Authorization": "AWS4-HMAC-SHA256 …"},
            "requestContext": context,
            "body": None,
            "isBase64Encoded": False,
        }

    return make
