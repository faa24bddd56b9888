"""The function's configuration: what ``lambda_api.config`` says, and

==========================  ============================================================================================
HEARTMAP_AUDIT_LOG_GROUPS   ``{"<stream>": "<log group>", …}``: where the lines of each function are, by ``lines.EVENTS``
HEARTMAP_AUDIT_BUCKET       the bucket with the seals
HEARTMAP_AUDIT_PUBLIC_KEY   the key that they are verified by: PEM
HEARTMAP_AUDIT_KEPT_DAYS    how many days the log groups keep lines
==========================  ============================================================================================
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lambda_api import config
from lambda_audit import lines
from lambda_authorizer import environment as variables
from lambda_authorizer.encoding import json_object
from lambda_authorizer.reasons import ConfigurationError

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_LogGroup.html
_LOG_GROUP = re.compile(r"[A-Za-z0-9_/.#-]{1,512}")


@dataclass(frozen=True, kw_only=True)
class Configuration(config.Configuration):
    """What the function starts with. ``log_groups`` are by their streams."""

    log_groups: dict[str, str]
    bucket: str
    public_key: str
    kept_days: int


def load(environ: Mapping[str, str]) -> Configuration:
    """The configuration in ``environ``. Raises ConfigurationError."""
    return Configuration(
        **config.common(environ),
        log_groups=_log_groups(variables.text(environ, "HEARTMAP_AUDIT_LOG_GROUPS")),
        bucket=variables.required(environ, "HEARTMAP_AUDIT_BUCKET", r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"),
        public_key=variables.text(environ, "HEARTMAP_AUDIT_PUBLIC_KEY"),
        kept_days=int(variables.required(environ, "HEARTMAP_AUDIT_KEPT_DAYS", r"[1-9][0-9]{0,4}")),
    )


def _log_groups(text: str) -> dict[str, str]:
    try:
        given = json_object(text.encode("utf-8"))
    except ValueError:
        raise ConfigurationError("HEARTMAP_AUDIT_LOG_GROUPS is no object of streams with log groups.") from None
    if given.keys() != lines.EVENTS.keys():
        raise ConfigurationError(f"HEARTMAP_AUDIT_LOG_GROUPS must name the streams {', '.join(lines.EVENTS)}.")
    if not all(isinstance(group, str) and _LOG_GROUP.fullmatch(group) for group in given.values()):
        raise ConfigurationError("HEARTMAP_AUDIT_LOG_GROUPS must hold the name of a log group for each stream.")
    return given
