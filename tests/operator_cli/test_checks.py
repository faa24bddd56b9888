"""`heartmapctl doctor`: each condition broken, one at a time, is found, and what repairs it is named."""

import json
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from operator_cli import checks
from operator_cli.checks import Check
from operator_cli.credentials import KEY_FILE_VARIABLE, KEY_VARIABLE, SIGNING_KEY_FILE_VARIABLE
from operator_cli.main import app
from operator_cli.session import Session
from operator_cli.vocabulary import AnalysisType, EnvironmentName

KEY = "hm_local_01J8ZQ4Y7M3W5X9K2B6C1D0EFJ_" + "s_e-c" * 9


def doctor(*words: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *words], catch_exceptions=False)


def found(name: EnvironmentName = EnvironmentName.LOCAL) -> dict[str, Check]:
    return {check.name: check for check in checks.run(name)}


@pytest.fixture
def well(service: Any, callback_ports: tuple[int, ...], reply: Any, refuse: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An environment and a machine where nothing is wrong."""
    models = {"models": [{"name": str(kind)} for kind in AnalysisType]}
    service.server.routes |= {
        ("GET", "/health"): refuse(401, "unauthenticated", "No valid credential."),
        ("GET", "/"): reply(200, {"message": "HeartMAP API", "version": "2.0.2"}),
        ("GET", "/models"): reply(200, models),
        ("GET", "/oauth2/authorize"): reply(400),
    }
    # The test authority's certificates last a day.
    monkeypatch.setattr(checks, "CERTIFICATE_DAYS", 0)
    return service


@pytest.fixture
def dev(well: Any, state: Path, tmp_path: Path) -> Path:
    """The same servers, described as the dev environment is."""
    file = tmp_path / "config" / "heartmapctl" / "environments" / "dev.json"
    file.parent.mkdir(parents=True)
    file.write_text((state / "environment.json").read_text())
    return file


def test_where_nothing_is_wrong_everything_passes_and_it_is_exit_0(well: Any, state: Path) -> None:
    (state / "environment.json").chmod(0o600)
    result = doctor("--json")
    told = json.loads(result.stdout)
    assert {check["state"] for check in told["checks"]} == {"pass"}, told
    assert not any(check["next_step"] for check in told["checks"])
    assert result.exit_code == 0
    for_people = doctor()
    assert for_people.stdout.count("pass  ") == len(told["checks"])
    assert "0 failed" in for_people.stderr


def test_a_check_that_fails_is_exit_1_with_what_repairs_it(well: Any, state: Path, environment: Any) -> None:
    (state / "environment.json").chmod(0o600)
    Session(environment).end()
    result = doctor()
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("fail  session")]
    assert lines[at + 1].strip() == "Sign in: heartmapctl login"
    assert json.loads(doctor("--json").stdout)["environment"] == "local"


def broken(check: Check, state: str, *words: str) -> None:
    assert check.state == state, check
    for word in words:
        assert word in f"{check.detail} {check.next_step}"
    assert check.next_step


# The description


def test_an_environment_that_is_not_described(tmp_path: Path, callback_ports: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTMAP_LOCAL_STATE", str(tmp_path / "nowhere"))
    broken(found()["description"], "fail", "make local")
    there = found(EnvironmentName.PROD)
    broken(there["description"], "fail", "pulumi stack output --json --stack prod")
    assert there["callback ports"].state == "pass"


def test_a_description_that_lacks_something(state: Path) -> None:
    document = json.loads((state / "environment.json").read_text())
    (state / "environment.json").write_text(json.dumps({**document, "client_id": ""}))
    broken(found()["description"], "fail", "client_id", "make local")


def test_a_description_with_passwords_that_others_can_read(well: Any, state: Path) -> None:
    (state / "environment.json").chmod(0o644)
    broken(found()["description"], "fail", f"chmod 600 {state / 'environment.json'}")


# The network


def edit(state: Path, **values: str) -> None:
    document = json.loads((state / "environment.json").read_text())
    (state / "environment.json").write_text(json.dumps(document | values))


def test_a_name_without_an_address(well: Any, state: Path) -> None:
    edit(state, api="https://nowhere.invalid", authorize_url="https://login.invalid/oauth2/authorize")
    broken(found()["service"], "fail", "nowhere.invalid has no address", "DNS")
    broken(found()["sign-in page"], "fail", "login.invalid has no address")


def test_a_service_that_does_not_listen(well: Any, state: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        edit(state, api=f"https://localhost:{probe.getsockname()[1]}")
        broken(found()["service"], "fail", "cannot be reached", "make local")


def test_a_certificate_of_another_authority(well: Any, state: Path, tmp_path: Path) -> None:
    import certifi

    edit(state, ca_bundle=certifi.where())
    broken(found()["service"], "fail", "not trusted", "ca_bundle")


def test_an_authority_that_cannot_be_read(well: Any, state: Path, tmp_path: Path) -> None:
    edit(state, ca_bundle=str(tmp_path / "missing.pem"))
    broken(found()["certificate authority"], "fail", "cannot be read", "ca_bundle")


def test_a_certificate_that_ends_soon(well: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "CERTIFICATE_DAYS", 14)
    broken(found()["certificate"], "warn", "ends in 0 days", "administrator")


@pytest.mark.parametrize(
    ("seconds", "told", "word"),
    [(3600, "fail", "ahead of"), (-3600, "fail", "behind"), (62, "fail", "ahead of"), (45, "warn", "s ahead of")],
)
def test_a_clock_that_is_wrong(well: Any, monkeypatch: pytest.MonkeyPatch, seconds: int, told: str, word: str) -> None:
    monkeypatch.setattr(checks, "time", SimpleNamespace(time=lambda: time.time() + seconds))
    broken(found()["clock"], told, word, "timedatectl")


def test_a_service_that_refuses_this_network(well: Any, refuse: Any) -> None:
    well.server.routes["GET", "/health"] = refuse(403, "blocked", "No.")
    broken(found()["service"], "fail", "refuses calls from this network", "network")


@pytest.mark.parametrize("status", [200, 302, 404, 502])
def test_something_else_answers(well: Any, reply: Any, status: int) -> None:
    well.server.routes["GET", "/health"] = reply(status, b"<h1>Hello</h1>")
    broken(found()["service"], "fail", f"answers {status}")


def test_a_sign_in_page_that_fails(well: Any, reply: Any) -> None:
    well.server.routes["GET", "/oauth2/authorize"] = reply(503)
    broken(found()["sign-in page"], "warn", "503")


def test_a_proxy_is_told_without_its_password(dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://jane:secret@127.0.0.1:9")
    seen = found(EnvironmentName.DEV)
    assert seen["proxy"].state == "pass"
    assert "127.0.0.1" in seen["proxy"].detail
    assert not any("secret" in f"{check.detail}{check.next_step}" for check in seen.values())
    broken(seen["service"], "fail", "cannot be reached")
    assert found()["proxy"].detail == "none is used"


def test_a_proxy_that_is_no_address(dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://")
    broken(found(EnvironmentName.DEV)["proxy"], "fail", "unset HTTPS_PROXY")


# Who calls


def test_nobody_is_signed_in(well: Any, environment: Any) -> None:
    Session(environment).end()
    seen = found()
    broken(seen["session"], "fail", "Not signed in", "heartmapctl login")
    assert "access" not in seen


def test_a_session_that_has_ended(well: Any, environment: Any, signed_in: Any, pool: Any) -> None:
    Session(environment).start(signed_in.model_copy(update={"expires_at": time.time() - 1}))
    assert found()["session"].state == "pass"
    Session(environment).start(signed_in.model_copy(update={"expires_at": time.time() - 1}))
    pool.refuse_refresh = True
    broken(found()["session"], "fail", "has ended", "heartmapctl login")


def test_a_session_that_cannot_be_renewed(well: Any, environment: Any, signed_in: Any) -> None:
    Session(environment).start(signed_in.model_copy(update={"refresh_token": None}))
    broken(found()["session"], "warn", "cannot be renewed", "heartmapctl login")


def test_a_person_in_no_group(well: Any, environment: Any, signed_in: Any, pool: Any) -> None:
    pool.groups = []
    answer = pool.issue()
    Session(environment).start(signed_in.model_copy(update={"access_token": answer["access_token"]}))
    broken(found()["session"], "warn", "in no group", "administrator")


def test_a_session_that_the_service_refuses(well: Any, refuse: Any) -> None:
    well.server.routes["GET", "/"] = refuse(401, "unauthenticated", "No.")
    broken(found()["access"], "fail", "does not accept this session", "heartmapctl login")


@pytest.mark.parametrize(("mode", "name"), [(0o755, "heartmapctl"), (0o770, "heartmapctl")])
def test_a_directory_that_others_can_enter(well: Any, state: Path, mode: int, name: str) -> None:
    (state / name).chmod(mode)
    broken(found()["kept in"], "fail", f"chmod 700 {state / name}")


def test_tokens_that_others_can_read(well: Any, state: Path) -> None:
    (file,) = (state / "heartmapctl").glob("*.json")
    (state / "heartmapctl").chmod(0o700)
    file.chmod(0o640)
    broken(found()["kept in"], "fail", f"chmod 600 {file}")


def test_a_machine_without_a_keyring(dev: Path, signed_in: Any) -> None:
    from operator_cli.environments import load

    Session(load(EnvironmentName.DEV)).start(signed_in)
    broken(found(EnvironmentName.DEV)["kept in"], "warn", "no keyring", "Secret Service")


def test_an_api_key_beside_a_session(well: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    broken(found()["API key"], "warn", "and not with your session", f"unset {KEY_VARIABLE}")


def test_an_api_key_alone_is_well(well: Any, environment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Session(environment).end()
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    seen = found()
    assert (seen["API key"].state, seen["access"].detail) == ("pass", "the service accepts the API key")
    assert "session" not in seen
    assert not any(KEY in f"{check.detail}{check.next_step}" for check in seen.values())


def test_an_api_key_that_is_none(well: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "hm_local_nonsense")
    check = found()["API key"]
    broken(check, "fail", "not an API key")
    assert "nonsense" not in check.detail


def test_a_signing_key_without_an_api_key(well: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SIGNING_KEY_FILE_VARIABLE, "key.pem")
    broken(found()["API key"], "fail", SIGNING_KEY_FILE_VARIABLE, KEY_VARIABLE)


def test_an_api_key_file_that_others_can_read(
    well: Any, environment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o644)
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(file))
    broken(found()["API key"], "fail", f"chmod 600 {file}")


def test_a_service_of_another_age(well: Any, reply: Any) -> None:
    kinds = [{"name": str(kind)} for kind in AnalysisType]
    well.server.routes["GET", "/models"] = reply(200, {"models": [*kinds, {"name": "trajectories"}]})
    broken(found()["version"], "warn", "older than the service (trajectories)", "Install heartmapctl")
    well.server.routes["GET", "/models"] = reply(200, {"models": kinds[1:]})
    broken(found()["version"], "warn", "newer than the service")
    well.server.routes["GET", "/models"] = reply(403, {})
    assert found()["version"].state == "pass"
    well.server.routes["GET", "/"] = reply(200, b"<h1>Hello</h1>")
    broken(found()["version"], "fail", "not HeartMAP's")


# This machine


def test_callback_ports_that_are_taken(callback_ports: tuple[int, ...], well: Any) -> None:
    taken = [socket.create_server(("127.0.0.1", port)) for port in callback_ports]
    try:
        broken(found()["callback ports"], "fail", "all taken", "ss -ltnp")
        taken.pop().close()
        assert found()["callback ports"].state == "pass"
    finally:
        for each in taken:
            each.close()


@pytest.fixture
def plugin(dev: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one program on the path, and an AWS identity."""
    described = json.loads(dev.read_text())
    dev.write_text(
        json.dumps(
            described
            | {"region": "eu-central-1", "bastion_group": "heartmap-dev-bastion", "internal_host": "api.internal.example"}
        )
    )
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "example")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    program = directory / "session-manager-plugin"
    program.write_text("#!/bin/sh\necho 1.2.707.0\n")
    program.chmod(0o755)
    return program


def test_what_a_tunnel_needs(plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(EnvironmentName.DEV)["tunnel"].detail == "the plugin and an AWS identity are here"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    broken(found(EnvironmentName.DEV)["tunnel"], "warn", "no AWS identity", "aws sso login")
    plugin.write_text("#!/bin/sh\necho 1.2.497.0\n")
    broken(found(EnvironmentName.DEV)["tunnel"], "warn", "too old", "https://docs.aws.amazon.com/")
    plugin.unlink()
    broken(found(EnvironmentName.DEV)["tunnel"], "warn", "not installed", "https://docs.aws.amazon.com/")


def test_an_environment_without_a_bastion_needs_no_plugin(dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(EnvironmentName.DEV)["tunnel"].state == "pass"
    assert found()["tunnel"].detail == "local needs none"
