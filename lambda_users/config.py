"""The function's configuration: what ``lambda_api.config`` says, and

==========================  ============================================================================================
HEARTMAP_USER_POOL          the id of the one Cognito user pool that is administered here
HEARTMAP_LOCK_OUTS_TABLE    the DynamoDB table in which the authorizer looks up who is locked out
==========================  ============================================================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lambda_api import config
from lambda_authorizer import environment as variables

# https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UserPoolType.html
POOL = r"[a-z]{2}(-[a-z]+)+-[0-9]_[0-9A-Za-z]+"


@dataclass(frozen=True, kw_only=True)
class Configuration(config.Configuration):
    """What the function starts with."""

    user_pool: str
    lock_outs_table: str


def load(environ: Mapping[str, str]) -> Configuration:
    """The configuration in ``environ``. Raises ConfigurationError."""
    return Configuration(
        **config.common(environ),
        user_pool=variables.required(environ, "HEARTMAP_USER_POOL", POOL),
        lock_outs_table=variables.required(environ, "HEARTMAP_LOCK_OUTS_TABLE", variables.TABLE),
    )
