"""The function's configuration, out of its environment variables, by the rules of ``lambda_authorizer.environment``.

==========================  ============================================================================================
HEARTMAP_ENVIRONMENT        local, dev or prod
HEARTMAP_API_KEYS_TABLE     the DynamoDB table of API keys
HEARTMAP_SECRETS            the ARN of the authorizer's secret, which holds the pepper of the keys' digests
HEARTMAP_IAM_ROLES          ``{"<ARN of a role>": ["<group>", …]}``; ``{}``: nobody is given anything
AWS_REGION                  set by Lambda
AWS_ENDPOINT_URL            stands in for AWS's own addresses; honoured only in local, which never calls AWS itself
==========================  ============================================================================================
"""

from collections.abc import Mapping
from typing import NamedTuple

from lambda_authorizer import environment as variables
from lambda_authorizer.encoding import json_object
from lambda_authorizer.reasons import ConfigurationError
from lambda_token import roles


class Configuration(NamedTuple):
    """What the function starts with. ``grants`` are by the parts of a role that a session names."""

    environment: str
    api_keys_table: str
    secret_arn: str
    grants: dict[tuple[str, str, str], roles.Grant]
    region: str
    endpoint: str | None


def load(environ: Mapping[str, str]) -> Configuration:
    """The configuration in ``environ``. Raises ConfigurationError."""
    return Configuration(
        environment=variables.environment(environ),
        api_keys_table=variables.required(environ, "HEARTMAP_API_KEYS_TABLE", variables.TABLE),
        secret_arn=variables.required(environ, "HEARTMAP_SECRETS", variables.SECRET_ARN),
        grants=_grants(variables.text(environ, "HEARTMAP_IAM_ROLES")),
        region=variables.required(environ, "AWS_REGION", variables.REGION),
        endpoint=variables.endpoint(environ),
    )


def _grants(text: str) -> dict[tuple[str, str, str], roles.Grant]:
    try:
        given = json_object(text.encode("utf-8"))
        if not all(isinstance(groups, list) and all(isinstance(group, str) for group in groups) for groups in given.values()):
            raise ConfigurationError("HEARTMAP_IAM_ROLES must hold a list of groups for each role.")
        return roles.table(given)
    except ValueError:
        raise ConfigurationError("HEARTMAP_IAM_ROLES is no object of roles with groups.") from None
