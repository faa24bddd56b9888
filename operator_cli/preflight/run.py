"""All checks of a stack, in order: first its file, then the account."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from operator_cli.errors import CliError
from operator_cli.preflight.place import Line, Place, code_of, reading_only
from operator_cli.preflight.registry import CHECKS, Check

if TYPE_CHECKING:
    import boto3

    from infra.settings import Settings
    from posture.plan import Plan

MODULES = ("permissions", "regions", "quotas", "networks", "domain", "mail", "account", "leftovers", "cost")

STATE_SECONDS = 60
ALWAYS = "us-east-1"
"""A region that every account has."""
PLACEHOLDERS = re.compile(r"example\.(com|net|org)$|EXAMPLE$|^(192\.0\.2|198\.51\.100|203\.0\.113)\.")
"""What stands for somebody's own in the files of the repository: RFC 2606, RFC 5737, and the ids of AWS's documentation."""

DENIED = re.compile(r"AccessDenied|Unauthorized|AuthorizationError|Forbidden|OptInRequired")
EXPIRED = re.compile(r"ExpiredToken|InvalidClientTokenId|UnrecognizedClient|InvalidAccessKeyId|SignatureDoesNotMatch|AuthFailure")

SIGN_IN = "Sign in to AWS: aws sso login, or name a profile: export AWS_PROFILE=NAME"


def settings_lines(project: Path, stack: str) -> "tuple[Settings | None, list[Line]]":
    """The settings of the stack's file, or what is wrong with them."""
    from infra.settings import SettingsError, load_stack_file

    try:
        settings = load_stack_file(project, stack)
    except SettingsError as error:
        where = f"Change Pulumi.{stack}.yaml; Pulumi.yaml describes every key."
        return None, [Line(name="settings", state="fail", detail=text, next_step=where) for text in str(error).splitlines()]
    left = sorted(_placeholders(settings))
    if left:
        return settings, [
            Line(
                name="settings",
                state="fail",
                detail=f"placeholders of the repository are left in Pulumi.{stack}.yaml: {', '.join(left)}",
                next_step="Put your own values there.",
                items=tuple(left),
            )
        ]
    return settings, [Line(name="settings", state="pass", detail=f"Pulumi.{stack}.yaml is valid and has no placeholder")]


def _placeholders(settings: "Settings") -> Iterator[str]:
    for key in ("domain", "hosted_zone_id", "hosted_zone_name", "alarm_email"):
        if PLACEHOLDERS.search(str(getattr(settings, key))):
            yield f"heartmap:{key}"
    if any(PLACEHOLDERS.search(str(network)) for network in settings.allowed_ipv4):
        yield "heartmap:allowed_ipv4"


def identity(session: "boto3.Session", region: str) -> tuple[str, str]:
    """The account and the ARN of the shell's credentials.

    Raises CliError where there are none, AWS does not take them, or the account has not enabled the region, where none are taken.
    """
    from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError

    try:
        if session.get_credentials() is None:
            raise CliError("This shell has no AWS credentials.", next_step=SIGN_IN)
        answer = session.client("sts", region_name=ALWAYS).get_caller_identity()
        _enabled(session, region)
    except (EndpointConnectionError, ConnectTimeoutError):
        raise CliError("AWS cannot be reached.", next_step="Check the network and the proxy.") from None
    except ClientError as error:
        expired = "expired" if "Expired" in code_of(error) else "not valid"
        raise CliError(f"The AWS credentials of this shell are {expired}.", next_step=SIGN_IN) from None
    except BotoCoreError:
        # An SSO session that has ended, a profile that there is not, a program for credentials that fails.
        raise CliError("The AWS credentials of this shell cannot be used; they may have expired.", next_step=SIGN_IN) from None
    return answer["Account"], answer["Arn"]


def _enabled(session: "boto3.Session", region: str) -> None:
    from botocore.exceptions import ClientError

    try:
        asked = session.client("ec2", region_name=ALWAYS).describe_regions(RegionNames=[region], AllRegions=True)
    except ClientError as error:
        if EXPIRED.search(code_of(error)):
            raise
        return  # who may not ask learns it from the checks
    if any(one.get("OptInStatus") == "not-opted-in" for one in asked["Regions"]):
        step = f"Enable it, or choose another aws:region: aws account enable-region --region-name {region}"
        raise CliError(f"This account has not enabled the region {region}.", next_step=step)


def deployed_names(project: Path, stack: str) -> frozenset[str] | None:
    """The names and ids in the stack's own state; empty where the stack is new, None where there is no state to be read."""
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        return None
    try:
        answer = subprocess.run(
            [pulumi, "stack", "export", "--stack", stack, "--non-interactive"],
            cwd=project,
            env=os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=STATE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode:
        return frozenset() if "no stack named" in answer.stderr else None
    resources = json.loads(answer.stdout)["deployment"].get("resources") or []
    return frozenset(_names(resources))


def _names(resources: Iterable[dict[str, Any]]) -> Iterator[str]:
    for resource in resources:
        inputs = resource.get("inputs") or {}
        yield from (value for key in ("name", "bucket", "domainName") if isinstance(value := inputs.get(key), str))


def look(place: Place) -> Iterator[Line]:
    """Every check."""
    for name in checks():
        yield from guarded(name, place)


def guarded(name: str, place: Place) -> Iterator[Line]:
    """One check. Where it may not look, or gets no answer, that is a warning of its own: nothing of it is taken for well.

    Raises CliError once AWS takes the credentials no more.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield from checks()[name](place)
    except ClientError as error:
        code, operation = code_of(error), error.operation_name
        if EXPIRED.search(code):
            raise CliError("The AWS credentials of this shell have expired meanwhile.", next_step=SIGN_IN) from None
        if DENIED.search(code):
            told, step = f"you may not call {operation}", f"Let somebody look who may call {operation}, or be allowed to."
        else:
            told, step = f"AWS answered {operation} with {code}", "Try again; if it stays, look at it in the console of AWS."
        yield Line(name=name, state="warn", detail=f"not looked at: {told}", next_step=step)
    except (BotoCoreError, ResponseParserError):
        step = "Try again; check the network and the proxy."
        yield Line(name=name, state="warn", detail="not looked at: AWS gave no answer", next_step=step)


def checks() -> dict[str, Check]:
    """Those of every module, in the order in which they are worth knowing."""
    for module in MODULES:
        import_module(f"operator_cli.preflight.{module}")
    return CHECKS


def run(project: Path, stack: str) -> Iterator[Line]:
    """Look at the stack's file and at the account of this shell's credentials.

    Raises CliError without credentials that AWS takes.
    """
    settings, lines = settings_lines(project, stack)
    yield from lines
    if settings is None:
        return
    yield from look(place_of(project, settings))


def place_of(project: Path, settings: "Settings") -> Place:
    import boto3
    import dns.resolver
    from botocore.exceptions import BotoCoreError

    try:
        session = reading_only(boto3.Session(region_name=settings.region))
    except BotoCoreError:
        raise CliError("The AWS profile of this shell is not in its configuration.", next_step=SIGN_IN) from None
    account, caller = identity(session, settings.region)
    return Place(
        settings=settings,
        plan=_plan(str(settings.environment)),
        session=session,
        account=account,
        caller=caller,
        deployed=deployed_names(project, str(settings.environment)),
        resolver=dns.resolver.Resolver(),
    )


def _plan(stack: str) -> "Plan":
    import warnings
    from contextlib import redirect_stderr
    from io import StringIO

    from posture.plan import run_program

    # What the SDK says of the program meanwhile is for its authors.
    with redirect_stderr(StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return run_program(stack)
