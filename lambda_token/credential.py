"""The credential: an API key of a role, which ends after 15 minutes."""

import secrets
from typing import NamedTuple

from lambda_authorizer import api_keys, peppers
from lambda_authorizer.aws import Aws
from lambda_token.roles import Grant

LIFETIME = 900
"""Seconds."""

PREFIX = "role"
"""Begins the public id. The function's policy lets it write no key whose id begins otherwise: no one else's."""
_ID_BYTES, _SECRET_BYTES = 14, 32


class Credential(NamedTuple):
    """``expires_at`` is in seconds since the epoch."""

    key: str
    public_id: str
    expires_at: int


def new(environment: str, *, now: float) -> Credential:
    """A new one, which is of no use before ``store`` has recorded it."""
    public_id = PREFIX + secrets.token_hex(_ID_BYTES)
    return Credential(f"hm_{environment}_{public_id}_{secrets.token_urlsafe(_SECRET_BYTES)}", public_id, int(now) + LIFETIME)


def store(credential: Credential, grant: Grant, *, table: str, pepper: bytes, aws: Aws, region: str, deadline: float) -> None:
    """Record it in the table of API keys, for the role. ``deadline`` is on the clock of ``time.monotonic``. Raises AwsError."""
    item = {
        "public_id": {"S": credential.public_id},
        "digest": {"S": api_keys.digest(credential.key, pepper)},
        "peppers": {"S": peppers.name(pepper)},
        "principal": {"S": grant.role},
        "groups": {"SS": sorted(grant.groups)},
        "expires_at": {"N": str(credential.expires_at)},
    }
    # A key that is there already is somebody's.
    parameters = {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(public_id)"}
    aws.call("dynamodb", "DynamoDB_20120810.PutItem", parameters, region=region, deadline=deadline)
