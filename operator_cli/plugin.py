"""AWS's Session Manager plugin: it carries the bytes of a session. AWS's own command line starts it in the same way.

https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping

from operator_cli.bastion import Session
from operator_cli.errors import CliError

PROGRAM = "session-manager-plugin"
VARIABLE = "AWS_SSM_START_SESSION_RESPONSE"
"""Where the plugin reads the session's token: in its arguments every user of this machine could see it."""
TOO_OLD = (1, 2, 497, 0)
"""The last release that takes the token in its arguments only (aws/aws-cli, awscli/customizations/sessionmanager.py)."""
INSTALL = "https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html"


def check() -> None:
    """Raises CliError where there is no plugin, or an old one: without it a session is opened and nothing happens."""
    if shutil.which(PROGRAM) is None:
        raise CliError(
            "AWS's Session Manager plugin is not installed on this machine.",
            code="plugin_missing",
            next_step=f"Install it: {INSTALL}",
        )
    try:
        said = subprocess.run(
            [PROGRAM, "--version"], capture_output=True, text=True, timeout=20, check=True, stdin=subprocess.DEVNULL
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        said = ""
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9}){3}", said) or tuple(map(int, said.split("."))) <= TOO_OLD:
        raise CliError(
            "The Session Manager plugin on this machine is too old, or does not run.",
            code="plugin_too_old",
            next_step=f"Install a newer one: {INSTALL}",
        )


def arguments(session: Session) -> list[str]:
    """The plugin's command line. The empty one is the profile: it finds credentials where this program found them."""
    return [PROGRAM, VARIABLE, session.region, "StartSession", "", json.dumps(session.request), session.endpoint]


def surroundings(session: Session) -> Mapping[str, str]:
    """The environment variables of the plugin; it listens on this machine's loopback, whatever they were."""
    return {**os.environ, VARIABLE: json.dumps(session.response), "SSM_PLUGIN_LOCAL_HOST": "127.0.0.1"}
