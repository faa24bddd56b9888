"""The function's configuration: what ``lambda_api.config`` says, and

==========================  ============================================================================================
HEARTMAP_API_KEYS_TABLE     the DynamoDB table of API keys
HEARTMAP_KEY_USE_TABLE      the DynamoDB table in which the authorizer notes when a key was used
==========================  ============================================================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lambda_api import config
from lambda_authorizer import environment as variables


@dataclass(frozen=True, kw_only=True)
class Configuration(config.Configuration):
    """What the function starts with."""

    api_keys_table: str
    key_use_table: str


def load(environ: Mapping[str, str]) -> Configuration:
    """The configuration in ``environ``. Raises ConfigurationError."""
    return Configuration(
        **config.common(environ),
        api_keys_table=variables.required(environ, "HEARTMAP_API_KEYS_TABLE", variables.TABLE),
        key_use_table=variables.required(environ, "HEARTMAP_KEY_USE_TABLE", variables.TABLE),
    )
