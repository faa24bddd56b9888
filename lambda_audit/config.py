"""The function's configuration: what ``lambda_api.config`` says, and

==========================  ============================================================================================
HEARTMAP_AUDIT_LOG_GROUPS   ``{"<stream>": "<log group>", …}``: where the lines of each function are, by ``lines.EVENTS``
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


def load(environ: Mapping[str, str]) -> Configuration:
    """The configuration in ``environ``. Raises ConfigurationError."""
    return Configuration(**config.common(environ), log_groups=_log_groups(variables.text(environ, "HEARTMAP_AUDIT_LOG_GROUPS")))


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
