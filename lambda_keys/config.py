"""The function's configuration, out of its environment variables, by the rules of ``lambda_authorizer.environment``.

==========================  ============================================================================================
HEARTMAP_ENVIRONMENT        local, dev or prod
HEARTMAP_API_KEYS_TABLE     the DynamoDB table of API keys
HEARTMAP_KEY_USE_TABLE      the DynamoDB table in which the authorizer notes when a key was used
HEARTMAP_SECRETS            the ARN of the authorizer's secret: the pepper of the keys' digests, and the assertions' keys
AWS_REGION                  set by Lambda
AWS_ENDPOINT_URL            stands in for AWS's own addresses; honoured only in local, which never calls AWS itself
==========================  ============================================================================================
"""

from collections.abc import Mapping
from typing import NamedTuple

from lambda_authorizer import environment as variables


class Configuration(NamedTuple):
    """What the function starts with."""

    environment: str
    api_keys_table: str
    key_use_table: str
    secret_arn: str
    region: str
    endpoint: str | None


def load(environ: Mapping[str, str]) -> Configuration:
    """The configuration in ``environ``. Raises ConfigurationError."""
    return Configuration(
        environment=variables.environment(environ),
        api_keys_table=variables.required(environ, "HEARTMAP_API_KEYS_TABLE", variables.TABLE),
        key_use_table=variables.required(environ, "HEARTMAP_KEY_USE_TABLE", variables.TABLE),
        secret_arn=variables.required(environ, "HEARTMAP_SECRETS", variables.SECRET_ARN),
        region=variables.required(environ, "AWS_REGION", variables.REGION),
        endpoint=variables.endpoint(environ),
    )
