"""Environment variables, read once, at the start. What is missing or malformed stops a function: it never guesses.

An unset variable and an empty one mean the same. Every reader raises ConfigurationError, which names the variable and
never its value.
"""

import re
from collections.abc import Mapping

from lambda_authorizer.reasons import ConfigurationError

LOCAL = "local"
_ENVIRONMENTS = frozenset({LOCAL, "dev", "prod"})

_URL = r"{scheme}://[A-Za-z0-9.-]+(:(?P<port>[0-9]{{1,5}}))?{path}"
TABLE = r"[A-Za-z0-9_.-]{3,255}"
SECRET_ARN = r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+"  # noqa: S105  # a form, not a secret
REGION = r"[a-z]{2,}(-[a-z]+)+-[0-9]+"


def text(environ: Mapping[str, str], name: str) -> str:
    """A variable that has to be there."""
    value = environ.get(name, "")
    if not value:
        raise ConfigurationError(f"{name} is not set.")
    return value


def optional(environ: Mapping[str, str], name: str, pattern: str) -> str | None:
    """A variable that has to match where it is there."""
    value = environ.get(name, "")
    if value and not re.fullmatch(pattern, value):
        raise ConfigurationError(f"{name} is malformed.")
    return value or None


def required(environ: Mapping[str, str], name: str, pattern: str) -> str:
    """A variable that has to be there and to match."""
    text(environ, name)
    return optional(environ, name, pattern) or ""


def environment(environ: Mapping[str, str]) -> str:
    """HEARTMAP_ENVIRONMENT: local, dev or prod."""
    value = text(environ, "HEARTMAP_ENVIRONMENT")
    if value not in _ENVIRONMENTS:
        raise ConfigurationError("HEARTMAP_ENVIRONMENT must be local, dev or prod.")
    return value


def url(environ: Mapping[str, str], name: str, *, scheme: str, path: str) -> str | None:
    """A URL whose scheme and path match."""
    pattern = _URL.format(scheme=scheme, path=path)
    value = optional(environ, name, pattern)
    match = value and re.fullmatch(pattern, value)
    if match and match["port"] and not 0 < int(match["port"]) < 2**16:
        raise ConfigurationError(f"{name} is malformed: its port is not one of 1 to 65535.")
    return value


def endpoint(environ: Mapping[str, str]) -> str | None:
    """AWS_ENDPOINT_URL, without a slash at its end, in the local environment; None everywhere else."""
    if environment(environ) != LOCAL:
        return None
    value = url(environ, "AWS_ENDPOINT_URL", scheme="https?", path="/?")
    return value and value.rstrip("/")
