import json
from pathlib import Path
from typing import Any

import pytest

from operator_cli.environments import load
from operator_cli.errors import CliError
from operator_cli.vocabulary import EnvironmentName

OUTPUTS = {
    "api_url": "https://heartmap.example/live",
    "issuer": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Abc",
    "client_id": "client",
    "authorize_url": "https://login.example/oauth2/authorize",
    "token_url": "https://login.example/oauth2/token",
    "callback_urls": ["http://localhost:8400/callback"],
    "region": "us-east-1",
}


@pytest.fixture
def describe(tmp_path: Path) -> Any:
    def write(content: Any) -> None:
        file = tmp_path / "config" / "heartmapctl" / "environments" / "dev.json"
        file.parent.mkdir(parents=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))

    return write


def test_the_outputs_of_a_stack_describe_an_environment(describe: Any) -> None:
    describe(OUTPUTS)
    dev = load(EnvironmentName.DEV)
    assert dev.api == "https://heartmap.example/live"
    assert dev.revoke_url == "https://login.example/oauth2/revoke"
    assert dev.command("jobs", "list") == "heartmapctl jobs list --environment dev"


@pytest.mark.parametrize("key", ["api_url", "authorize_url", "token_url"])
@pytest.mark.parametrize("address", ["http://localhost:8443", "https://", "https://user@host/", "ftp://host", "host", 7])
def test_an_address_that_is_not_https_is_refused_and_its_key_named(describe: Any, key: str, address: Any) -> None:
    describe({**OUTPUTS, key: address})
    with pytest.raises(CliError, match=key.removesuffix("_url")):
        load(EnvironmentName.DEV)


@pytest.mark.parametrize("key", ["api_url", "issuer", "client_id", "authorize_url", "token_url"])
def test_a_missing_key_is_named(describe: Any, key: str) -> None:
    describe({name: value for name, value in OUTPUTS.items() if name != key})
    with pytest.raises(CliError, match=key.removesuffix("_url")):
        load(EnvironmentName.DEV)


@pytest.mark.parametrize("content", ["", "[]", "{", "null", '"dev"'])
def test_what_is_not_a_json_object_is_refused(describe: Any, content: str) -> None:
    describe(content)
    with pytest.raises(CliError, match="not a JSON object") as refused:
        load(EnvironmentName.DEV)
    assert refused.value.next_step is not None
    assert "pulumi stack output" in refused.value.next_step


def test_an_environment_that_is_not_described_says_where_the_description_belongs(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="not known on this machine") as missing:
        load(EnvironmentName.DEV)
    assert missing.value.next_step is not None
    assert str(tmp_path / "config" / "heartmapctl" / "environments" / "dev.json") in missing.value.next_step


def test_a_faulty_local_description_does_not_print_the_passwords(state: Path) -> None:
    description = json.loads((state / "environment.json").read_text())
    description["users"]["admin"] = {"password": "hunter2"}
    (state / "environment.json").write_text(json.dumps(description))
    with pytest.raises(CliError) as refused:
        load(EnvironmentName.LOCAL)
    assert "users" in refused.value.message
    assert "hunter2" not in str(vars(refused.value))


def test_the_passwords_are_not_in_the_representation(environment: Any) -> None:
    assert "correct horse" not in repr(environment)


def test_the_description_cannot_rename_its_environment(describe: Any) -> None:
    describe({**OUTPUTS, "name": "local"})
    assert load(EnvironmentName.DEV).name == "dev"
