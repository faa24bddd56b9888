"""The authorizer's configuration, out of its environment variables, by the rules of ``environment``.

==========================  ============================================================================================
HEARTMAP_ENVIRONMENT        local, dev or prod
HEARTMAP_ISSUERS            the ``iss`` values to accept, exact, separated by commas
HEARTMAP_CLIENT_IDS         the ``client_id`` values to accept, separated by commas
HEARTMAP_JWKS_FILE          the user pool's keys; default: jwks.json beside the handler
HEARTMAP_JWKS_URL           where to refresh them; empty: never
HEARTMAP_API_KEYS_TABLE     the DynamoDB table of API keys; empty: no key is valid
HEARTMAP_KEY_USE_TABLE      the DynamoDB table of their use (``key_use``); empty: no signed call is valid, and no use is noted
HEARTMAP_LOCK_OUTS_TABLE    the DynamoDB table that says who is locked out (``lock_outs``): that of API keys; empty: nobody is
HEARTMAP_SECRETS            the ARN of the secret (``secret_store``)
HEARTMAP_SECRETS_FILE       the same content in a file, instead; only in local
AWS_REGION                  set by Lambda
AWS_ENDPOINT_URL            stands in for AWS's own addresses; honoured only in local, which never calls AWS itself
==========================  ============================================================================================
"""

import os.path
import re
from collections.abc import Mapping
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from lambda_authorizer import environment as environment_variables
from lambda_authorizer import secret_store
from lambda_authorizer.environment import LOCAL, REGION, SECRET_ARN, TABLE, endpoint, optional, text, url
from lambda_authorizer.keys import parse_key_set
from lambda_authorizer.reasons import ConfigurationError
from lambda_authorizer.secret_store import Secrets

VARIABLES = frozenset(
    {
        "HEARTMAP_ENVIRONMENT",
        "HEARTMAP_ISSUERS",
        "HEARTMAP_CLIENT_IDS",
        "HEARTMAP_JWKS_FILE",
        "HEARTMAP_JWKS_URL",
        "HEARTMAP_API_KEYS_TABLE",
        "HEARTMAP_KEY_USE_TABLE",
        "HEARTMAP_LOCK_OUTS_TABLE",
        "HEARTMAP_SECRETS",
        "HEARTMAP_SECRETS_FILE",
    }
)

_ISSUER = r"{scheme}://[!-+\--~]+"
_CLIENT_ID = r"[A-Za-z0-9._+-]{1,128}"

# Not pathlib: importing it is a twentieth of a cold start.
_KEY_SET_BESIDE = os.path.join(os.path.dirname(__file__), "jwks.json")


class Configuration(NamedTuple):
    """What the authorizer starts with. ``secrets`` is the content of the secret or, as a string, its ARN."""

    environment: str
    issuers: frozenset[str]
    client_ids: frozenset[str]
    keys: dict[str, RSAPublicKey]
    jwks_url: str | None
    api_keys_table: str | None
    key_use_table: str | None
    lock_outs_table: str | None
    secrets: Secrets | str
    region: str | None
    endpoint: str | None


def load(environ: Mapping[str, str]) -> Configuration:
    """The configuration in ``environ`` and in the files that it names. Raises ConfigurationError."""
    environment = environment_variables.environment(environ)
    local = environment == LOCAL
    scheme = "https?" if local else "https"
    return Configuration(
        environment=environment,
        issuers=_names(environ, "HEARTMAP_ISSUERS", _ISSUER.format(scheme=scheme)),
        client_ids=_names(environ, "HEARTMAP_CLIENT_IDS", _CLIENT_ID),
        keys=_key_set(environ),
        jwks_url=url(environ, "HEARTMAP_JWKS_URL", scheme=scheme, path="/[!-~]*"),
        api_keys_table=optional(environ, "HEARTMAP_API_KEYS_TABLE", TABLE),
        key_use_table=optional(environ, "HEARTMAP_KEY_USE_TABLE", TABLE),
        lock_outs_table=optional(environ, "HEARTMAP_LOCK_OUTS_TABLE", TABLE),
        secrets=_secrets(environ, local=local),
        region=optional(environ, "AWS_REGION", REGION),
        endpoint=endpoint(environ),
    )


def _names(environ: Mapping[str, str], name: str, pattern: str) -> frozenset[str]:
    values = text(environ, name).split(",")
    if not all(re.fullmatch(pattern, value) for value in values):
        raise ConfigurationError(f"{name} is malformed: give exact values, separated by commas, without spaces.")
    return frozenset(values)


def _read(path: str, name: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except (OSError, ValueError):
        raise ConfigurationError(f"The file of {name} cannot be read.") from None


def _key_set(environ: Mapping[str, str]) -> dict[str, RSAPublicKey]:
    document = _read(environ.get("HEARTMAP_JWKS_FILE") or _KEY_SET_BESIDE, "HEARTMAP_JWKS_FILE")
    try:
        return parse_key_set(document)
    except ValueError as error:
        raise ConfigurationError(f"The file of HEARTMAP_JWKS_FILE is not a usable key set: {error}.") from None


def _secrets(environ: Mapping[str, str], *, local: bool) -> Secrets | str:
    arn = optional(environ, "HEARTMAP_SECRETS", SECRET_ARN)
    path = environ.get("HEARTMAP_SECRETS_FILE", "")
    if bool(path) == bool(arn):
        raise ConfigurationError("Set exactly one of HEARTMAP_SECRETS and HEARTMAP_SECRETS_FILE.")
    if arn:
        return arn
    if not local:
        raise ConfigurationError("HEARTMAP_SECRETS_FILE is for the local environment only: set HEARTMAP_SECRETS.")
    try:
        return secret_store.parse(_read(path, "HEARTMAP_SECRETS_FILE"))
    except ValueError:
        raise ConfigurationError("The file of HEARTMAP_SECRETS_FILE has not the content that it must have.") from None
