"""`heartmapctl operate break-glass`: what it asks AWS for, to whom it gives the session, and what it never shows."""

import json
import os
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from typer.testing import (
    CliRunner,
    _NamedTextIOWrapper,  # pyright: ignore[reportAttributeAccessIssue]
)

from operator_cli.errors import CliError, WrongUse
from operator_cli.main import app
from operator_cli.operations import break_glass

ACCOUNT = "123456789012"
REASON = "all administrators lost their phones: OPS-12"
ENDS = datetime(2026, 11, 30, 12, 30, tzinfo=UTC)


class Aws:
    """Stands for a boto3 session of one caller, and keeps what AssumeRole was asked."""

    def __init__(self, caller: str = f"arn:aws:iam::{ACCOUNT}:user/people/jane") -> None:
        self.caller, self.asked, self.refuses = caller, {}, False

    def client(self, service: str) -> Any:
        return self

    def get_caller_identity(self) -> dict[str, str]:
        return {"Arn": self.caller, "Account": ACCOUNT}

    def list_mfa_devices(self, UserName: str) -> Any:  # noqa: N803 - boto3's own
        return {"MFADevices": [{"SerialNumber": f"arn:aws:iam::{ACCOUNT}:mfa/{UserName}"}]}

    def assume_role(self, **asked: Any) -> Any:
        self.asked = asked
        if self.refuses:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "invalid MFA one time pass code"}}, "AssumeRole")
        keys = {"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "the-secret", "SessionToken": "the-token"}
        return {"Credentials": {**keys, "Expiration": ENDS}}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    made = Aws()
    monkeypatch.setattr("boto3.Session", lambda: made)
    return made


def opened(*words: str, typed: str = "y\n123456\n") -> Any:
    command = ["operate", "break-glass", "--environment", "prod", "--reason", REASON, *words]
    return CliRunner().invoke(app, command, input=typed, catch_exceptions=False)


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner's input counts as a terminal."""
    monkeypatch.setattr(_NamedTextIOWrapper, "isatty", lambda _: True, raising=False)


def test_aws_is_asked_for_a_session_that_says_who_and_why(aws: Aws) -> None:
    opening = break_glass.prepare(aws, "prod", REASON, 15, None)  # pyright: ignore[reportArgumentType]
    variables, ends = break_glass.open_session(aws, opening, "123456")  # pyright: ignore[reportArgumentType]
    assert aws.asked == {
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/heartmap-prod-break-glass",
        "RoleSessionName": "jane",
        "SourceIdentity": "jane",
        "Tags": [{"Key": "Reason", "Value": REASON}],
        "DurationSeconds": 900,
        "SerialNumber": f"arn:aws:iam::{ACCOUNT}:mfa/jane",
        "TokenCode": "123456",
    }
    assert variables["AWS_ACCESS_KEY_ID"] == "ASIAEXAMPLE"
    assert ends == ENDS


@pytest.mark.parametrize("reason", ["", "because", "x" * 257, "a reason with\nanother line", "with <markup> in it"])
def test_a_reason_that_aws_would_refuse_is_refused_before(aws: Aws, reason: str) -> None:
    with pytest.raises(WrongUse, match="The reason is to be a sentence"):
        break_glass.prepare(aws, "prod", reason, 15, None)  # pyright: ignore[reportArgumentType]


def test_whoever_is_no_user_is_told_so(aws: Aws) -> None:
    aws.caller = f"arn:aws:sts::{ACCOUNT}:assumed-role/admin/jane"
    with pytest.raises(CliError, match="is not an IAM user"):
        break_glass.prepare(aws, "prod", REASON, 15, None)  # pyright: ignore[reportArgumentType]


def test_a_refusal_is_told_without_the_words_of_aws(aws: Aws) -> None:
    aws.refuses = True
    opening = break_glass.prepare(aws, "prod", REASON, 15, None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(CliError, match="The refusal is recorded") as refused:
        break_glass.open_session(aws, opening, "000000")  # pyright: ignore[reportArgumentType]
    assert "one time pass" not in refused.value.message


def test_the_program_has_the_session_and_no_other_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    file = tmp_path / "environment.json"
    monkeypatch.setenv("AWS_PROFILE", "emergency")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://elsewhere")
    program = "import json, os, sys; json.dump(dict(os.environ), open(sys.argv[1], 'w')); sys.exit(3)"
    variables = {"AWS_ACCESS_KEY_ID": "ASIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
    code = break_glass.run_with(variables, ["python3", "-c", program, str(file)], quiet=True)
    assert code == 3
    given = {name: value for name, value in json.loads(file.read_text()).items() if name.startswith("AWS_")}
    assert given == {**variables, "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
    assert os.environ["AWS_PROFILE"] == "emergency"


def test_the_command_says_what_is_recorded_asks_and_shows_no_secret(aws: Aws) -> None:
    done = opened("--json", "--", "true")
    assert done.exit_code == 0, done.output
    assert "Recorded in CloudTrail" in done.stderr
    assert "break-glass-used" in done.stderr
    # The runner shows what is typed, before the document.
    assert json.loads(done.stdout[done.stdout.index("{") :])["user"] == "jane"
    for secret in ("the-secret", "the-token", "ASIAEXAMPLE"):
        assert secret not in done.output


def test_nothing_is_opened_without_a_yes(aws: Aws) -> None:
    done = opened("--", "true", typed="n\n")
    assert done.exit_code == 1
    assert aws.asked == {}


def test_a_reason_is_demanded_and_the_time_is_short(aws: Aws) -> None:
    assert CliRunner().invoke(app, ["operate", "break-glass", "--environment", "prod"]).exit_code == 2
    assert opened("--minutes", "120").exit_code == 2
    assert aws.asked == {}
