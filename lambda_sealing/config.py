"""The function's configuration.

=========================  ==============================================================================
HEARTMAP_AUDIT_LOG_GROUPS  ``["<log group>", …]``: where the records of every writer are
HEARTMAP_AUDIT_BUCKET      the bucket that keeps them, sealed
HEARTMAP_SIGNING_KEY       the ARN of the KMS key that signs seals: ECC_NIST_P256
=========================  ==============================================================================
"""

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from lambda_authorizer import environment as variables
from lambda_authorizer.reasons import ConfigurationError

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_LogGroup.html
_LOG_GROUP = re.compile(r"[A-Za-z0-9_/.#-]{1,512}")
_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_KEY_ARN = r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+"


class Configuration(NamedTuple):
    """What the function starts with."""

    log_groups: tuple[str, ...]
    bucket: str
    key: str


def load(environ: Mapping[str, str]) -> Configuration:
    """The configuration in ``environ``. Raises ConfigurationError."""
    return Configuration(
        _log_groups(variables.text(environ, "HEARTMAP_AUDIT_LOG_GROUPS")),
        variables.required(environ, "HEARTMAP_AUDIT_BUCKET", _BUCKET),
        variables.required(environ, "HEARTMAP_SIGNING_KEY", _KEY_ARN),
    )


def _log_groups(text: str) -> tuple[str, ...]:
    try:
        groups = json.loads(text)
    except ValueError:
        groups = None
    if (
        not isinstance(groups, list)
        or not groups
        or not all(isinstance(one, str) and _LOG_GROUP.fullmatch(one) for one in groups)
    ):
        raise ConfigurationError("HEARTMAP_AUDIT_LOG_GROUPS must be a list of the names of log groups.")
    return tuple(groups)
