import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.gateway_responses import SECURITY_HEADERS
from lambda_authorizer import api_keys, problems
from lambda_authorizer.building.target import Target
from lambda_token import config, credential, package
from lambda_token.handler import Exchange, handler

TABLE = "heartmap-local-api-keys"
PUBLISHER = "arn:aws:iam::123456789012:role/ci/jobs/publisher"
PEPPER = bytes(range(32))


@pytest.fixture
def exchange(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Exchange:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return Exchange(config.load(environ))


def body(answer: dict[str, Any]) -> dict[str, Any]:
    return json.loads(answer["body"])


def rows(aws: Callable[[str], Any]) -> list[dict[str, Any]]:
    return aws("dynamodb").scan(TableName=TABLE)["Items"]


def line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (text,) = capsys.readouterr().out.splitlines()
    return json.loads(text)


def test_a_role_gets_a_key_of_fifteen_minutes_with_its_groups_that_the_authorizer_takes(
    exchange: Exchange, aws: Callable[[str], Any], make_event: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    before = time.time()
    answer = exchange.answer(make_event())
    assert answer["statusCode"] == 200
    given = body(answer)
    assert given.keys() == {"access_token", "token_type", "expires_in", "groups"}
    assert (given["token_type"], given["expires_in"], given["groups"]) == ("ApiKey", 900, ["analyst"])
    key = given["access_token"]
    key_id = api_keys.public_id(key, environment="local")
    item = aws("dynamodb").get_item(TableName=TABLE, Key={"public_id": {"S": key_id}})["Item"]
    assert item.keys() == {"public_id", "digest", "peppers", "principal", "groups", "expires_at"}
    end = int(item["expires_at"]["N"])
    assert int(before) + 900 <= end <= int(time.time()) + 900
    verified = api_keys.verify(key, key_id, item, pepper=PEPPER)
    assert (verified.expires_at, verified.source_ranges, verified.signing_key) == (end, None, None)
    caller = verified.caller
    assert (caller.principal, caller.groups, caller.scopes) == (PUBLISHER, frozenset({"analyst"}), frozenset())
    said = line(capsys)
    assert (said["event"], said["decision"], said["reason"]) == ("token", "allow", "exchanged")
    assert (said["principal"], said["session"], said["groups"]) == (PUBLISHER, "build-7", ["analyst"])
    assert (said["key_id"], said["expires_at"], said["source_ip"]) == (key_id, end, "192.0.2.7")
    assert key not in json.dumps(said)


def test_each_exchange_gives_another_key(exchange: Exchange, make_event: Callable[..., dict[str, Any]]) -> None:
    keys = {body(exchange.answer(make_event()))["access_token"] for _ in range(3)}
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"user_arn": "arn:aws:sts::123456789012:assumed-role/somebody-else/s1"}, "unknown_role"),
        ({"user_arn": "arn:aws:sts::210987654321:assumed-role/publisher/s1", "accountId": "210987654321"}, "unknown_role"),
        ({"user_arn": "arn:aws-cn:sts::123456789012:assumed-role/publisher/s1"}, "unknown_role"),
        ({"user_arn": "arn:aws:sts::123456789012:assumed-role/Publisher/s1"}, "unknown_role"),
        ({"user_arn": "arn:aws:sts::123456789012:assumed-role/publisher/s1", "accountId": "210987654321"}, "not_a_role"),
        ({"user_arn": "arn:aws:sts::123456789012:assumed-role/publisher/s1", "accountId": None}, "not_a_role"),
        ({"user_arn": PUBLISHER}, "not_a_role"),
        ({"user_arn": "arn:aws:iam::123456789012:user/publisher"}, "not_a_role"),
        ({"user_arn": "arn:aws:iam::123456789012:root"}, "not_a_role"),
        ({"user_arn": "arn:aws:sts::123456789012:federated-user/publisher"}, "not_a_role"),
        ({"user_arn": "arn:aws:sts::123456789012:assumed-role/ci/jobs/publisher/s1"}, "not_a_role"),
        ({"user_arn": "arn:aws:sts::123456789012:assumed-role/publisher"}, "not_a_role"),
        ({"user_arn": "arn:aws:sts::123456789012:assumed-role/publisher/"}, "not_a_role"),
        ({"user_arn": "arn:aws:sts::123456789012:assumed-role/publisher/s1\n"}, "not_a_role"),
        ({"user_arn": "x arn:aws:sts::123456789012:assumed-role/publisher/s1"}, "not_a_role"),
        ({"user_arn": ""}, "not_a_role"),
        ({"user_arn": None}, "not_a_role"),
        ({"user_arn": ["arn:aws:sts::123456789012:assumed-role/publisher/s1"]}, "not_a_role"),
    ],
)
def test_whoever_is_no_session_of_a_listed_role_gets_nothing(
    exchange: Exchange,
    aws: Callable[[str], Any],
    make_event: Callable[..., dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    event: dict[str, Any],
    code: str,
) -> None:
    before = len(rows(aws))
    answer = exchange.answer(make_event(**event))
    assert (answer["statusCode"], body(answer)["code"]) == (403, code)
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert body(answer)["request_id"] == answer["headers"]["X-Request-Id"] == "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    assert len(rows(aws)) == before
    said = line(capsys)
    assert (said["decision"], said["reason"], said["principal"], said["key_id"]) == ("deny", code, None, None)


@pytest.mark.parametrize(
    "changes",
    [{"httpMethod": "GET"}, {"resource": "/config"}, {"requestContext": None}, {"requestContext": {"identity": None}}, {}],
)
def test_an_event_of_something_else_is_a_fault(
    exchange: Exchange,
    make_event: Callable[..., dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
) -> None:
    answer = exchange.answer(make_event() | changes if changes else "no event")
    assert (answer["statusCode"], body(answer)["code"]) == (500, "internal")
    assert line(capsys)["decision"] == "error"


def test_nothing_but_the_signature_counts(exchange: Exchange, make_event: Callable[..., dict[str, Any]]) -> None:
    event = make_event() | {
        "body": '{"groups": ["admin"], "role": "reader"}',
        "headers": {"X-Groups": "admin"},
        "queryStringParameters": {"groups": "admin", "expires_in": "99999"},
    }
    assert body(exchange.answer(event))["groups"] == ["analyst"]


@pytest.mark.parametrize("variable", ["HEARTMAP_API_KEYS_TABLE", "HEARTMAP_SECRETS"])
def test_without_the_table_or_the_secret_nothing_is_given(
    environ: dict[str, str],
    make_event: Callable[..., dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    environ[variable] = environ[variable].replace("heartmap-local", "heartmap-gone")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    answer = Exchange(config.load(environ)).answer(make_event())
    assert (answer["statusCode"], body(answer)["code"]) == (503, "unavailable")
    assert answer["headers"]["Retry-After"] == "5"
    assert "access_token" not in answer["body"]
    assert line(capsys)["decision"] == "error"


def test_a_key_that_is_there_is_never_written_over(
    exchange: Exchange, aws: Callable[[str], Any], make_event: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credential.secrets, "token_hex", lambda _: "0" * 28)
    assert exchange.answer(make_event())["statusCode"] == 200
    before = rows(aws)
    assert exchange.answer(make_event())["statusCode"] == 503
    assert rows(aws) == before


def test_what_cannot_be_recorded_in_the_audit_is_not_given(
    exchange: Exchange, make_event: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def write(self, text: str) -> int:
            raise OSError("no space left")

    monkeypatch.setattr("sys.stdout", Full())
    with pytest.raises(OSError, match="no space left"):
        exchange.answer(make_event())


def test_every_answer_carries_the_headers_of_the_gateways_own() -> None:
    assert problems.SECURITY_HEADERS == SECURITY_HEADERS
    answer = problems.problem(problems.INTERNAL, None)
    assert answer["headers"].items() >= SECURITY_HEADERS.items()
    assert "X-Request-Id" not in answer["headers"]


def test_the_handler_starts_from_the_package_alone_and_needs_no_library(
    tmp_path: Path, environ: dict[str, str], make_event: Callable[..., dict[str, Any]]
) -> None:
    path = package.build(tmp_path, target=Target.host())
    assert package.build(tmp_path / "again", target=Target.host()).read_bytes() == path.read_bytes()
    zipfile.ZipFile(path).extractall(tmp_path / "task")
    script = (
        "import json, sys; sys.path.insert(0, sys.argv[1])\n"
        "from lambda_token.handler import handler\n"
        "print(handler(json.loads(sys.argv[2]), None)['statusCode'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, str(tmp_path / "task"), json.dumps(make_event())],
        env=environ | {"AWS_LAMBDA_FUNCTION_NAME": "token"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "200"
    assert done.stderr == ""


def test_a_process_without_a_configuration_answers_nobody(
    make_event: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEARTMAP_ENVIRONMENT", raising=False)
    with pytest.raises(Exception, match="HEARTMAP_ENVIRONMENT is not set"):
        handler(make_event(), None)
