"""The function's configuration: what ``lambda_api.config`` says, and

==========================  ============================================================================================
HEARTMAP_API_KEYS_TABLE     the DynamoDB table of API keys
HEARTMAP_IAM_ROLES          ``{"<ARN of a role>": ["<group>", …]}``; ``{}``: nobody is given anything
==========================  ============================================================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lambda_api import config
from lambda_authorizer import environment as variables
from lambda_authorizer.encoding import json_object
from lambda_authorizer.reasons import ConfigurationError
from lambda_token import roles


@dataclass(frozen=True, kw_only=True)
class Configuration(config.Configuration):
    """What the function starts with. ``grants`` are by the parts of a role that a session names."""

    api_keys_table: str
    grants: dict[tuple[str, str, str], roles.Grant]


def load(environ: Mapping[str, str]) -> Configuration:
    """The configuration in ``environ``. Raises ConfigurationError."""
    return Configuration(
        **config.common(environ),
        api_keys_table=variables.required(environ, "HEARTMAP_API_KEYS_TABLE", variables.TABLE),
        grants=_grants(variables.text(environ, "HEARTMAP_IAM_ROLES")),
    )


def _grants(text: str) -> dict[tuple[str, str, str], roles.Grant]:
    try:
        given = json_object(text.encode("utf-8"))
        if not all(isinstance(groups, list) and all(isinstance(group, str) for group in groups) for groups in given.values()):
            raise ConfigurationError("HEARTMAP_IAM_ROLES must hold a list of groups for each role.")
        return roles.table(given)
    except ValueError:
        raise ConfigurationError("HEARTMAP_IAM_ROLES is no object of roles with groups.") from None
