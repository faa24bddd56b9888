import json
from pathlib import Path

import pytest

from lambda_authorizer import environment
from lambda_authorizer.config import load
from lambda_authorizer.reasons import ConfigurationError

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:heartmap-dev-authorizer-AbCdEf"


def changed(environ: dict[str, str], **changes: str | None) -> dict[str, str]:
    return {name: value for name, value in (environ | changes).items() if value is not None}


def test_everything_is_read(environ: dict[str, str], names) -> None:
    configuration = load(
        changed(
            environ,
            HEARTMAP_JWKS_URL="http://127.0.0.1:5000/pool/.well-known/jwks.json",
            HEARTMAP_API_KEYS_TABLE="heartmap-local-keys",
            HEARTMAP_LOCK_OUTS_TABLE="heartmap-local-keys",
            AWS_ENDPOINT_URL="http://127.0.0.1:5000/",
        )
    )
    assert configuration.environment == "local"
    assert names.issuer in configuration.issuers
    assert len(configuration.issuers) == 2
    assert configuration.client_ids == {names.client_id}
    assert list(configuration.keys) == ["key-1"]
    assert configuration.jwks_url == "http://127.0.0.1:5000/pool/.well-known/jwks.json"
    assert configuration.api_keys_table == configuration.lock_outs_table == "heartmap-local-keys"
    assert configuration.region == "us-east-1"
    assert configuration.endpoint == "http://127.0.0.1:5000"
    assert not isinstance(configuration.secrets, str)
    assert configuration.secrets.api_key_pepper == names.pepper


def test_what_may_be_missing_may_be_missing(environ: dict[str, str]) -> None:
    configuration = load(changed(environ, AWS_REGION=None))
    assert (configuration.jwks_url, configuration.api_keys_table, configuration.region, configuration.endpoint) == (None,) * 4


@pytest.mark.parametrize("port", [1, 5000, 65535])
def test_an_address_may_have_any_port(environ: dict[str, str], port: int) -> None:
    assert load(environ | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}).endpoint == f"http://127.0.0.1:{port}"


def test_unset_and_empty_mean_the_same(environ: dict[str, str]) -> None:
    optional = (
        *("HEARTMAP_JWKS_URL", "HEARTMAP_API_KEYS_TABLE", "HEARTMAP_LOCK_OUTS_TABLE", "HEARTMAP_SECRETS", "AWS_REGION"),
        "AWS_ENDPOINT_URL",
    )
    empty, unset = load(environ | dict.fromkeys(optional, "")), load(changed(environ, AWS_REGION=None))
    for one, other in zip(empty, unset, strict=True):
        assert one is other or one == other or isinstance(one, dict)


@pytest.mark.parametrize("value", ["", None])
@pytest.mark.parametrize("name", ["HEARTMAP_ENVIRONMENT", "HEARTMAP_ISSUERS", "HEARTMAP_CLIENT_IDS", "HEARTMAP_SECRETS_FILE"])
def test_what_must_be_set_must_be_set(environ: dict[str, str], name: str, value: str | None) -> None:
    with pytest.raises(ConfigurationError, match=name):
        load(changed(environ, **{name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEARTMAP_ENVIRONMENT", "test"),
        ("HEARTMAP_ENVIRONMENT", "Local"),
        ("HEARTMAP_ENVIRONMENT", "local "),
        ("HEARTMAP_ISSUERS", ","),
        ("HEARTMAP_ISSUERS", "https://a.example, https://b.example"),
        ("HEARTMAP_ISSUERS", "https://a.example,"),
        ("HEARTMAP_ISSUERS", "a.example"),
        ("HEARTMAP_ISSUERS", "https://a.example\n"),
        ("HEARTMAP_CLIENT_IDS", "one,,two"),
        ("HEARTMAP_CLIENT_IDS", "one two"),
        ("HEARTMAP_CLIENT_IDS", "*"),
        ("HEARTMAP_JWKS_URL", "file:///etc/passwd"),
        ("HEARTMAP_JWKS_URL", "https://user@host/x"),
        ("HEARTMAP_JWKS_URL", "https://host/x y"),
        ("HEARTMAP_JWKS_URL", "host"),
        ("HEARTMAP_JWKS_URL", "https://host:65536/x"),
        ("HEARTMAP_JWKS_URL", "https://host:0/x"),
        ("HEARTMAP_JWKS_URL", "https://host:/x"),
        ("HEARTMAP_API_KEYS_TABLE", "a b"),
        ("HEARTMAP_API_KEYS_TABLE", "x"),
        ("AWS_REGION", "nowhere"),
        ("AWS_REGION", "us-east-1.example.org/"),
        ("AWS_ENDPOINT_URL", "127.0.0.1:5000"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:5000/path"),
        ("HEARTMAP_JWKS_FILE", "/nowhere/jwks.json"),
        ("HEARTMAP_JWKS_FILE", "/"),
        ("HEARTMAP_SECRETS_FILE", "/nowhere/secrets.json"),
    ],
)
def test_what_is_malformed_stops_the_start(environ: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        load(environ | {name: value})
    assert "/nowhere" not in str(caught.value)


@pytest.mark.parametrize("arn", ["secret", "arn:aws:s3:::bucket", ARN + "\n", ARN.replace("123456789012", "1")])
def test_a_secret_must_be_an_arn(environ: dict[str, str], arn: str) -> None:
    with pytest.raises(ConfigurationError, match="HEARTMAP_SECRETS"):
        load(changed(environ, HEARTMAP_SECRETS=arn, HEARTMAP_SECRETS_FILE=None))


@pytest.mark.parametrize("document", ["", "{}", '{"keys": []}', '{"keys": [{"kty": "EC", "kid": "x"}]}'])
def test_a_key_set_without_a_key_stops_the_start(environ: dict[str, str], tmp_path: Path, document: str) -> None:
    (tmp_path / "jwks.json").write_text(document)
    with pytest.raises(ConfigurationError, match="HEARTMAP_JWKS_FILE"):
        load(environ | {"HEARTMAP_JWKS_FILE": str(tmp_path / "jwks.json")})


def test_the_key_set_is_looked_for_beside_the_handler(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="HEARTMAP_JWKS_FILE"):
        load(changed(environ, HEARTMAP_JWKS_FILE=None))


def test_a_malformed_secrets_file_stops_the_start(environ: dict[str, str], tmp_path: Path, names) -> None:
    for change in ({"api_key_pepper": "x"}, {"assertion_keys": {}}, {"current_assertion_key": "zz"}):
        (tmp_path / "secrets.json").write_text(json.dumps(names.secret | change))
        with pytest.raises(ConfigurationError, match="HEARTMAP_SECRETS_FILE"):
            load(environ | {"HEARTMAP_SECRETS_FILE": str(tmp_path / "secrets.json")})


def test_both_secrets_are_one_too_many(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="exactly one"):
        load(environ | {"HEARTMAP_SECRETS": ARN})


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_what_is_for_local_is_refused_or_ignored_elsewhere(environ: dict[str, str], environment: str) -> None:
    elsewhere = environ | {"HEARTMAP_ENVIRONMENT": environment}
    with pytest.raises(ConfigurationError, match="HEARTMAP_SECRETS_FILE"):
        load(elsewhere)
    elsewhere = changed(elsewhere, HEARTMAP_SECRETS_FILE=None, HEARTMAP_SECRETS=ARN)
    configuration = load(elsewhere | {"AWS_ENDPOINT_URL": "http://127.0.0.1:5000"})
    assert configuration.endpoint is None
    assert configuration.secrets == ARN
    with pytest.raises(ConfigurationError, match="HEARTMAP_JWKS_URL"):
        load(elsewhere | {"HEARTMAP_JWKS_URL": "http://host/jwks.json"})
    with pytest.raises(ConfigurationError, match="HEARTMAP_ISSUERS"):
        load(elsewhere | {"HEARTMAP_ISSUERS": "http://host"})


@pytest.mark.parametrize("value", ["", "a b", "no/table"])
def test_a_variable_that_is_required_is_there_and_matches(value: str) -> None:
    with pytest.raises(ConfigurationError, match="THE_TABLE"):
        environment.required({"THE_TABLE": value}, "THE_TABLE", environment.TABLE)
    assert environment.required({"THE_TABLE": "a-table"}, "THE_TABLE", environment.TABLE) == "a-table"
