"""A session of the break-glass role (infra/break_glass.py), by which a stack is repaired when nobody else can.

AWS itself demands what is asked for here: one of the users that the role names, a second factor just given, and a reason. The
credentials are given to one program that is started here, and are neither shown nor written down.
"""

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from operator_cli.errors import CliError, WrongUse

if TYPE_CHECKING:
    import boto3

REASON = re.compile(r"[\w .:/=+@-]{10,256}")
"""What the value of a session tag may be (and at least as much of it as the role's trust demands).

https://docs.aws.amazon.com/STS/latest/APIReference/API_Tag.html
"""
SHORTEST, LONGEST = 15, 60
"""Minutes: what STS and the role allow."""

RECORDED = (
    "Recorded in CloudTrail, which this role cannot change: who you are, the reason, the time, this machine's address, and every "
    "call that is made. The alarm break-glass-used calls those who hear the alarms."
)


@dataclass(frozen=True, kw_only=True)
class Opening:
    """Who opens what, and why. ``device`` is the ARN of the second factor."""

    role: str
    user: str
    device: str
    reason: str
    minutes: int


def prepare(session: "boto3.Session", environment: str, reason: str, minutes: int, device: str | None) -> Opening:
    """Look at who asks. Raises WrongUse for a reason that AWS would refuse, CliError for an identity that cannot open it."""
    if not REASON.fullmatch(reason):
        raise WrongUse(
            "The reason is to be a sentence of 10 to 256 letters, digits, spaces and _ . : / = + - @.",
            next_step="Say what happened, such as: --reason 'all administrators lost their phones: ticket OPS-12'",
        )
    _, partition, _, _, account, resource = _caller(session).split(":", 5)
    kind, _, path = resource.partition("/")
    if kind != "user":
        raise CliError(
            "This shell's AWS identity is not an IAM user, and only the users that the stack names open break-glass.",
            next_step="Take the access key that is kept for emergencies: export AWS_PROFILE=NAME",
        )
    user = path.rsplit("/", 1)[-1]
    return Opening(
        role=f"arn:{partition}:iam::{account}:role/heartmap-{environment}-break-glass",
        user=user,
        device=device or _device(session, user),
        reason=reason,
        minutes=minutes,
    )


def _caller(session: "boto3.Session") -> str:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return session.client("sts").get_caller_identity()["Arn"]
    except (BotoCoreError, ClientError):
        step = "Take the access key that is kept for emergencies: export AWS_PROFILE=NAME"
        raise CliError("This shell has no AWS credentials that AWS takes.", next_step=step) from None


def _device(session: "boto3.Session", user: str) -> str:
    from botocore.exceptions import ClientError

    try:
        devices = session.client("iam").list_mfa_devices(UserName=user)["MFADevices"]
    except ClientError:
        devices = []
    if not devices:
        raise CliError(f"No second factor of {user} is known.", next_step="Name it: --device arn:aws:iam::ACCOUNT:mfa/NAME")
    return devices[0]["SerialNumber"]


def open_session(session: "boto3.Session", opening: Opening, code: str) -> tuple[Mapping[str, str], datetime]:
    """The credentials as environment variables, and when they end. Raises CliError where AWS refuses."""
    from botocore.exceptions import ClientError, ParamValidationError

    sts: Any = session.client("sts")
    try:
        answer = sts.assume_role(
            RoleArn=opening.role,
            RoleSessionName=opening.user,
            SourceIdentity=opening.user,
            Tags=[{"Key": "Reason", "Value": opening.reason}],
            DurationSeconds=opening.minutes * 60,
            SerialNumber=opening.device,
            TokenCode=code,
        )["Credentials"]
    except (ClientError, ParamValidationError):
        raise CliError(
            f"AWS refused {opening.user} the role {opening.role.rpartition('/')[2]}. The refusal is recorded.",
            next_step="Is the code fresh and of this device? Is the user in heartmap:break_glass_users of this account's stack?",
        ) from None
    variables = {
        "AWS_ACCESS_KEY_ID": answer["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": answer["SecretAccessKey"],
        "AWS_SESSION_TOKEN": answer["SessionToken"],
    }
    return variables, answer["Expiration"]


def run_with(variables: Mapping[str, str], words: Sequence[str], *, quiet: bool) -> int:
    """Run a program, or a shell, with these credentials and none beside them; its exit code. ``quiet`` leaves stdout alone."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AWS_") or name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE")
    }
    before = signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the program that runs
    try:
        return subprocess.run(
            list(words) or [os.environ.get("SHELL") or "/bin/sh"],
            env={**own, **variables},
            stdout=2 if quiet else None,
            check=False,
        ).returncode
    except OSError:
        raise CliError(f"{words[0] if words else 'The shell'} cannot be started.") from None
    finally:
        signal.signal(signal.SIGINT, before)
