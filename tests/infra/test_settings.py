import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.settings import Environment, Mfa, Settings, SettingsError, load, load_stack_file

ROOT = Path(__file__).resolve().parents[2]

VALID = {
    "aws:region": "us-east-1",
    "heartmap:domain": "",
    "heartmap:hosted_zone_id": "",
    "heartmap:vpc_cidr": "10.40.0.0/16",
    "heartmap:availability_zones": "2",
    "heartmap:allowed_ipv4": '["192.0.2.0/24"]',
    "heartmap:allowed_ipv6": "[]",
    "heartmap:requests_per_minute": "600",
    "heartmap:log_retention_days": "30",
    "heartmap:api_cpu": "1024",
    "heartmap:api_memory": "4096",
    "heartmap:api_count": "1",
    "heartmap:worker_cpu": "4096",
    "heartmap:worker_memory": "30720",
    "heartmap:worker_count": "1",
    "heartmap:image": "",
    "heartmap:max_upload_bytes": "5368709120",
    "heartmap:job_memory_bytes": "4294967296",
    "heartmap:deletion_protection": "false",
    "heartmap:mfa": "optional",
}


def changed(key: str, value: str) -> dict[str, str]:
    return VALID | {key: value}


def test_the_text_of_a_configuration_becomes_typed_settings() -> None:
    settings = load(VALID, "dev")
    assert settings.environment is Environment.DEV
    assert str(settings.allowed_ipv4[0]) == "192.0.2.0/24"
    assert settings.mfa is Mfa.OPTIONAL
    assert settings.deletion_protection is False
    assert settings.internal_host == "internal.heartmap.internal"


def test_settings_cannot_be_changed_afterwards() -> None:
    settings = load(VALID, "dev")
    with pytest.raises(ValueError, match="frozen"):
        settings.api_count = 5  # pyright: ignore[reportAttributeAccessIssue]  # that is the point


@pytest.mark.parametrize("key", sorted(VALID))
def test_a_missing_key_is_named_with_the_line_to_add(key: str) -> None:
    config = {name: value for name, value in VALID.items() if name != key}
    with pytest.raises(SettingsError) as refused:
        load(config, "dev")
    assert str(refused.value) == f"{key} is missing: add the line `  {key}: <value>` under `config:` in Pulumi.dev.yaml"


@pytest.mark.parametrize("key", ["heartmap:bandwidth", "heartmap:environment", "heartmap:region", "gcp:region", "domain"])
def test_an_unknown_key_is_refused_by_name(key: str) -> None:
    with pytest.raises(SettingsError, match=rf"unknown key {key} in Pulumi.dev.yaml: remove it"):
        load(changed(key, "1"), "dev")


@pytest.mark.parametrize("key", ["aws:secretKey", "aws:profile"])
def test_credentials_are_refused_in_a_stack_file_and_their_value_is_not_repeated(key: str) -> None:
    with pytest.raises(SettingsError, match="belong in the environment") as refused:
        load(changed(key, "wJalrXUtnFEMI"), "dev")
    assert "wJalrXUtnFEMI" not in str(refused.value)


@pytest.mark.parametrize("stack", ["staging", "Dev", "", "dev2", "organization/dev"])
def test_a_stack_that_is_no_environment_is_refused(stack: str) -> None:
    with pytest.raises(SettingsError, match="must be called local, dev, prod"):
        load(VALID, stack)


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("aws:region", "virginia", "must be the name of a region"),
        ("heartmap:domain", "Heartmap.example.org", "must be a host name in lower case"),
        ("heartmap:domain", "localhost", "must be a host name in lower case with at least one dot"),
        ("heartmap:domain", "a" * 60 + ".example.org", "of at most 55 characters"),
        ("heartmap:hosted_zone_id", "/hostedzone/Z1", "must be the id of a hosted zone"),
        ("heartmap:vpc_cidr", "10.40.0.0/15", "must be a private range"),
        ("heartmap:vpc_cidr", "10.40.0.0/23", "from /16 to /22"),
        ("heartmap:vpc_cidr", "8.8.0.0/16", "must be a private range"),
        ("heartmap:vpc_cidr", "10.40.0.1/16", "is not a valid IPv4 network"),
        ("heartmap:availability_zones", "1", "greater than or equal to 2"),
        ("heartmap:availability_zones", "4", "less than or equal to 3"),
        ("heartmap:allowed_ipv4", "192.0.2.0/24", "must be a list"),
        ("heartmap:allowed_ipv4", '["0.0.0.0/0"]', "must not hold a /0"),
        ("heartmap:allowed_ipv6", '["::/0"]', "must not hold a /0"),
        ("heartmap:requests_per_minute", "9", "greater than or equal to 10"),
        ("heartmap:log_retention_days", "42", "must be one of 1, 3, 5, 7"),
        ("heartmap:api_cpu", "1000", "must be one of 256, 512"),
        ("heartmap:api_memory", "1024", "Fargate has no task of 1024 CPU units with it; it must be one of 2048"),
        ("heartmap:worker_memory", "4096", "Fargate has no task of 4096 CPU units"),
        ("heartmap:api_count", "0", "greater than or equal to 1"),
        ("heartmap:worker_count", "-1", "greater than or equal to 0"),
        ("heartmap:image", "service;rm", "must be the name of a container image"),
        ("heartmap:image", "service:latest", "must end in @sha256: and the digest"),
        ("heartmap:max_upload_bytes", "1000", "greater than or equal to 1048576"),
        ("heartmap:max_upload_bytes", "5368709121", "less than or equal to 5368709120"),
        ("heartmap:job_memory_bytes", "1073741824", "greater than or equal to 2147483648"),
        ("heartmap:job_memory_bytes", "32212254720", "must leave 1 GiB of worker_memory"),
        ("heartmap:deletion_protection", "perhaps", "boolean"),
        ("heartmap:mfa", "sms", "'required', 'optional' or 'off'"),
        ("heartmap:api_count", "two", "valid integer"),
    ],
)
def test_a_wrong_value_is_answered_with_key_value_and_rule(key: str, value: str, rule: str) -> None:
    with pytest.raises(SettingsError, match=rule) as refused:
        load(changed(key, value), "dev")
    first = str(refused.value).splitlines()[0]
    assert first.startswith(f"{key} is ")
    assert "in Pulumi.dev.yaml" in first


def test_every_wrong_value_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        load(VALID | {"heartmap:mfa": "sms", "heartmap:api_count": "99"}, "dev")
    assert len(str(refused.value).splitlines()) == 2


@pytest.mark.parametrize("missing", ["domain", "hosted_zone_id"])
def test_prod_is_refused_without_a_domain_and_its_zone(missing: str) -> None:
    config = VALID | {"heartmap:domain": "heartmap.example.org", "heartmap:hosted_zone_id": "Z0123456789EXAMPLE"}
    load(config, "prod")
    with pytest.raises(SettingsError, match=r"heartmap:(domain|hosted_zone_id) is ''"):
        load(config | {f"heartmap:{missing}": ""}, "prod")
    with pytest.raises(SettingsError, match=r"heartmap:domain is '' in Pulumi.prod\.yaml: it is required in prod"):
        load(VALID, "prod")


def test_dev_may_have_a_domain_and_then_calls_the_service_by_a_name_below_it() -> None:
    config = VALID | {"heartmap:domain": "heartmap.example.org", "heartmap:hosted_zone_id": "Z0123456789EXAMPLE"}
    assert load(config, "dev").internal_host == "internal.heartmap.example.org"


def test_local_needs_an_image_name_and_takes_no_domain() -> None:
    with pytest.raises(SettingsError, match=r"heartmap:image is '' in Pulumi.local\.yaml: it is required in local"):
        load(VALID, "local")
    with_image = changed("heartmap:image", "heartmap-service")
    assert load(with_image, "local").is_local
    domain = {"heartmap:domain": "heartmap.example.org", "heartmap:hosted_zone_id": "Z0123456789EXAMPLE"}
    with pytest.raises(SettingsError, match="must be empty in local"):
        load(with_image | domain, "local")


@pytest.mark.parametrize("stack", list(Environment))
def test_the_stack_files_of_the_repository_load(stack: Environment) -> None:
    assert load_stack_file(ROOT, stack).environment is stack


def test_every_setting_is_declared_with_a_type_and_a_description_and_no_other() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert set(declared) == set(Settings.model_fields) - {"environment", "region"}
    for key, entry in declared.items():
        assert entry["type"] in {"string", "integer", "boolean", "array"}, key
        assert len(entry["description"]) > 10, key


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """A project directory with the repository's Pulumi.yaml and a stack file of one's own."""

    def make(**stack_values: Any) -> Path:
        (tmp_path / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
        values = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]
        values |= {f"heartmap:{key}": value for key, value in stack_values.items()}
        (tmp_path / "Pulumi.dev.yaml").write_text(json.dumps({"config": values}))
        return tmp_path

    return make


def test_the_defaults_of_the_project_stand_below_the_values_of_the_stack(project: Callable[..., Path]) -> None:
    directory = project(requests_per_minute=77, allowed_ipv4=["192.0.2.0/24"])
    settings = load_stack_file(directory, "dev")
    assert settings.requests_per_minute == 77
    assert settings.availability_zones == 2
    assert [str(network) for network in settings.allowed_ipv4] == ["192.0.2.0/24"]


def test_a_secret_in_a_stack_file_is_refused(project: Callable[..., Path]) -> None:
    with pytest.raises(SettingsError, match=r"heartmap:image in Pulumi.dev\.yaml is secret or nested"):
        load_stack_file(project(image={"secure": "v1:abc"}), "dev")


@pytest.mark.parametrize("text", ["config: [", "- a\n- b\n", "config: 5\n", "\0"])
def test_a_file_that_is_no_such_yaml_is_refused_without_the_parsers_words(project: Callable[..., Path], text: str) -> None:
    directory = project()
    (directory / "Pulumi.dev.yaml").write_text(text)
    with pytest.raises(SettingsError, match=r"Pulumi.dev\.yaml") as refused:
        load_stack_file(directory, "dev")
    assert str(directory) not in str(refused.value)


def test_a_missing_stack_file_is_named(project: Callable[..., Path]) -> None:
    directory = project()
    (directory / "Pulumi.dev.yaml").unlink()
    with pytest.raises(SettingsError, match=r"Pulumi.dev\.yaml is missing from the project directory"):
        load_stack_file(directory, "dev")


def test_a_stack_name_is_never_used_as_a_path(project: Callable[..., Path]) -> None:
    with pytest.raises(SettingsError, match="there is no environment"):
        load_stack_file(project(), "../dev")
