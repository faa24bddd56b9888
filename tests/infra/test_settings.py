import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.settings import UNSAFE_IN_PROD, Environment, Mfa, Settings, SettingsError, load, load_stack_file

ROOT = Path(__file__).resolve().parents[2]

VALID = {
    "aws:region": "us-east-1",
    "heartmap:domain": "",
    "heartmap:hosted_zone_id": "",
    "heartmap:hosted_zone_name": "",
    "heartmap:vpc_cidr": "10.40.0.0/16",
    "heartmap:availability_zones": "2",
    "heartmap:endpoint_zones": "2",
    "heartmap:existing_vpc_id": "",
    "heartmap:existing_subnet_ids": "[]",
    "heartmap:vpn": "off",
    "heartmap:vpn_cidr": "",
    "heartmap:vpn_server_certificate_arn": "",
    "heartmap:vpn_client_certificate_arn": "",
    "heartmap:vpn_saml_provider_arn": "",
    "heartmap:bastion": "true",
    "heartmap:working_hours": "",
    "heartmap:time_zone": "UTC",
    "heartmap:allowed_ipv4": '["192.0.2.0/24"]',
    "heartmap:allowed_ipv6": "[]",
    "heartmap:requests_per_minute": "600",
    "heartmap:sensitive_requests_per_minute": "120",
    "heartmap:waf_mode": "block",
    "heartmap:anonymous_networks": "block",
    "heartmap:mfa": "required",
    "heartmap:threat_protection": "enforced",
    "heartmap:federation": "none",
    "heartmap:federation_name": "",
    "heartmap:federation_metadata_url": "",
    "heartmap:federation_issuer": "",
    "heartmap:federation_client_id": "",
    "heartmap:federation_client_secret_arn": "",
    "heartmap:program_scopes": "[]",
    "heartmap:iam_roles": "[]",
    "heartmap:break_glass_users": "[]",
    "heartmap:api_cpu": "1024",
    "heartmap:api_memory": "4096",
    "heartmap:api_tasks_min": "2",
    "heartmap:api_tasks_max": "4",
    "heartmap:worker_cpu": "4096",
    "heartmap:worker_memory": "30720",
    "heartmap:worker_tasks_min": "0",
    "heartmap:worker_tasks_max": "4",
    "heartmap:image": "",
    "heartmap:log_level": "INFO",
    "heartmap:max_upload_bytes": "5368709120",
    "heartmap:import_buckets": '["atlas.example.org", "labdata"]',
    "heartmap:job_memory_bytes": "4294967296",
    "heartmap:quota_queued_jobs": "20",
    "heartmap:quota_jobs_per_day": "200",
    "heartmap:quota_upload_bytes_per_day": "214748364800",
    "heartmap:malware_scan": "true",
    "heartmap:deletion_protection": "true",
    "heartmap:decommission": "false",
    "heartmap:secret_rotation_days": "90",
    "heartmap:log_retention_days": "365",
    "heartmap:audit_trail": "true",
    "heartmap:audit_lock_days": "365",
    "heartmap:alarm_email": "security@example.org",
    "heartmap:runbook": "docs/runbook.md",
    "heartmap:monthly_budget_usd": "400",
}
DOMAIN = {"heartmap:domain": "heartmap.example.org", "heartmap:hosted_zone_id": "Z0123456789EXAMPLE"}
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0a1b-2c"
ROLE = "arn:aws:iam::123456789012:role/pipelines/nightly"
USER = "arn:aws:iam::123456789012:user/jane"


def changed(key: str, value: str) -> dict[str, str]:
    return VALID | {key: value}


def test_the_text_of_a_configuration_becomes_typed_settings() -> None:
    settings = load(VALID, "dev")
    assert settings.environment is Environment.DEV
    assert str(settings.allowed_ipv4[0]) == "192.0.2.0/24"
    assert settings.mfa is Mfa.REQUIRED
    assert settings.deletion_protection is True
    assert settings.vpn_cidr is None
    assert settings.working_hours is None
    assert settings.internal_host == "internal.heartmap.internal"


def test_settings_cannot_be_changed_afterwards() -> None:
    settings = load(VALID, "dev")
    with pytest.raises(ValueError, match="frozen"):
        settings.api_tasks_min = 5  # pyright: ignore[reportAttributeAccessIssue]  # that is the point


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
        ("aws:region", "virginia", "must be one of af-south-1"),
        ("aws:region", "us-gov-west-1", "must be one of af-south-1"),
        ("heartmap:hosted_zone_name", "example.org.", "must be a host name in lower case"),
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
        ("heartmap:api_tasks_min", "-1", "greater than or equal to 0"),
        ("heartmap:api_tasks_max", "1", "must be at least 1 and api_tasks_min, which is 2"),
        ("heartmap:worker_tasks_max", "0", "must be at least 1 and worker_tasks_min, which is 0"),
        ("heartmap:worker_tasks_max", "101", "less than or equal to 100"),
        ("heartmap:endpoint_zones", "3", "must not be more than availability_zones, 2"),
        ("heartmap:existing_vpc_id", "vpc-1", "must be the id of a VPC"),
        ("heartmap:existing_subnet_ids", '["subnet-1"]', "must hold ids of subnets"),
        ("heartmap:vpn", "ipsec", "'off', 'certificate' or 'federated'"),
        ("heartmap:vpn_cidr", "10.40.8.0/22", "must not overlap with vpc_cidr, 10.40.0.0/16"),
        ("heartmap:vpn_server_certificate_arn", "arn:aws:iam::1:certificate", "must be the ARN of a certificate in ACM"),
        ("heartmap:vpn_saml_provider_arn", CERTIFICATE, "must be the ARN of a SAML provider"),
        ("heartmap:working_hours", "8-18", "must be days of a week and hours of a day"),
        ("heartmap:working_hours", "FRI-MON 8-18", "must be days of a week"),
        ("heartmap:working_hours", "MON-FRI 18-8", "must be days of a week"),
        ("heartmap:working_hours", "MON-FRI 8-24", "must be days of a week"),
        ("heartmap:time_zone", "Mars/Olympus", "must be the IANA name of a time zone"),
        ("heartmap:sensitive_requests_per_minute", "1", "greater than or equal to 10"),
        ("heartmap:waf_mode", "off", "'block' or 'count'"),
        ("heartmap:anonymous_networks", "captcha", "'allow', 'challenge' or 'block'"),
        ("heartmap:threat_protection", "on", "'off', 'audit' or 'enforced'"),
        ("heartmap:federation", "ldap", "'none', 'oidc' or 'saml'"),
        ("heartmap:federation_name", "a b", "must be 3 to 32 letters"),
        ("heartmap:federation_metadata_url", "http://login.example.org", "must be an https address"),
        ("heartmap:federation_client_secret_arn", "hunter2", "must be the ARN of a secret in Secrets Manager"),
        ("heartmap:program_scopes", '["analyses:delete"]', "must be a list of different scopes out of analyses:read"),
        ("heartmap:program_scopes", '["analyses:read", "analyses:read"]', "must be a list of different scopes"),
        ("heartmap:iam_roles", '["arn:aws:iam::123456789012:user/x=viewer"]', "must be a list of `<ARN of an IAM role>=<group>`"),
        ("heartmap:iam_roles", f'["{ROLE}=owner"]', "of admin, analyst, viewer"),
        ("heartmap:iam_roles", f'["{ROLE}=viewer", "{ROLE}=admin"]', "must name each role once"),
        ("heartmap:break_glass_users", f'["{ROLE}"]', "must hold ARNs of IAM users"),
        ("heartmap:break_glass_users", f'["{USER}", "{USER}"]', "must be a list of at most 5 different users"),
        ("heartmap:log_level", "TRACE", "'INFO' or 'DEBUG'"),
        ("heartmap:secret_rotation_days", "7", "must be 30 to 365, or 0 for never"),
        ("heartmap:audit_lock_days", "4000", "less than or equal to 3653"),
        ("heartmap:alarm_email", "nobody", "must be an e-mail address"),
        ("heartmap:runbook", "", "must be the address of a page"),
        ("heartmap:runbook", "docs/run book.md", "must be the address of a page"),
        ("heartmap:monthly_budget_usd", "-1", "greater than or equal to 0"),
        ("heartmap:image", "service;rm", "must be the name of a container image"),
        ("heartmap:image", "service:latest", "must end in @sha256: and the digest"),
        ("heartmap:max_upload_bytes", "1000", "greater than or equal to 1048576"),
        ("heartmap:max_upload_bytes", "5368709121", "less than or equal to 5368709120"),
        ("heartmap:job_memory_bytes", "1073741824", "greater than or equal to 2147483648"),
        ("heartmap:job_memory_bytes", "30601641985", "must leave 1.5 GiB of worker_memory"),
        ("heartmap:quota_queued_jobs", "0", "greater than or equal to 1"),
        ("heartmap:quota_jobs_per_day", "0", "greater than or equal to 1"),
        ("heartmap:quota_upload_bytes_per_day", "5368709119", "must not be less than max_upload_bytes, 5368709120"),
        ("heartmap:import_buckets", "atlas", "must be a list"),
        ("heartmap:import_buckets", '["s3://atlas"]', "must hold names of buckets"),
        ("heartmap:import_buckets", '["atlas/heart"]', "must hold names of buckets"),
        ("heartmap:import_buckets", '["*"]', "must hold names of buckets"),
        ("heartmap:import_buckets", '["atlas*"]', "must hold names of buckets"),
        ("heartmap:import_buckets", '["atlas?"]', "must hold names of buckets"),
        ("heartmap:import_buckets", '["a,b"]', "must hold names of buckets"),
        ("heartmap:import_buckets", '["Atlas"]', "must hold names of buckets"),
        ("heartmap:import_buckets", '["ab"]', "must hold names of buckets"),
        ("heartmap:import_buckets", f'["{"a" * 64}"]', "must hold names of buckets"),
        ("heartmap:import_buckets", '["atlas..heart"]', "must hold names of buckets"),
        ("heartmap:import_buckets", '["atlas\\n"]', "must hold names of buckets"),
        ("heartmap:import_buckets", '["192.0.2.1"]', "must hold names of buckets"),
        ("heartmap:import_buckets", '["atlas", "atlas"]', "must be a list of at most 20 different buckets"),
        ("heartmap:import_buckets", json.dumps([f"bucket-{n}" for n in range(21)]), "must be a list of at most 20"),
        ("heartmap:deletion_protection", "perhaps", "boolean"),
        ("heartmap:mfa", "sms", "'required', 'optional' or 'off'"),
        ("heartmap:api_tasks_min", "two", "valid integer"),
    ],
)
def test_a_wrong_value_is_answered_with_key_value_and_rule(key: str, value: str, rule: str) -> None:
    with pytest.raises(SettingsError, match=rule) as refused:
        load(changed(key, value), "dev")
    first = str(refused.value).splitlines()[0]
    assert first.startswith(f"{key} is ")
    assert "in Pulumi.dev.yaml" in first


@pytest.mark.parametrize("stack", list(Environment))
def test_no_stack_imports_from_the_buckets_of_any_where_results_and_audit_records_are(stack: Environment) -> None:
    own = f'["heartmap-{stack}-results-123456789012-us-east-1"]'
    with pytest.raises(SettingsError, match=f"must not name a bucket of the stacks' own: heartmap-{stack}-results"):
        load(changed("heartmap:import_buckets", own), "dev")
    assert load(changed("heartmap:import_buckets", '["heartmap-atlas"]'), "dev").import_buckets == ("heartmap-atlas",)


def test_every_wrong_value_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        load(VALID | {"heartmap:mfa": "sms", "heartmap:api_tasks_max": "101"}, "dev")
    assert len(str(refused.value).splitlines()) == 2


@pytest.mark.parametrize("missing", ["domain", "hosted_zone_id"])
def test_prod_is_refused_without_a_domain_and_its_zone(missing: str) -> None:
    load(VALID | DOMAIN, "prod")
    with pytest.raises(SettingsError, match=r"heartmap:(domain|hosted_zone_id) is ''"):
        load(VALID | DOMAIN | {f"heartmap:{missing}": ""}, "prod")
    with pytest.raises(SettingsError, match=r"heartmap:domain is '' in Pulumi.prod\.yaml: it is required in prod"):
        load(VALID, "prod")


UNSAFE = [
    ("endpoint_zones", "1", "one zone's failure would stop every task"),
    ("api_tasks_min", "1", "one task is in one zone"),
    ("working_hours", "MON-FRI 8-18", "people rely on it at all hours"),
    ("allowed_ipv4", "[]", "the whole internet may"),
    ("allowed_ipv4", '["0.0.0.0/1", "128.0.0.0/1"]', "no range wider than /8"),
    ("allowed_ipv6", '["2000::/3"]', "no range wider than /20"),
    ("mfa", "optional", "a stolen password must not be enough"),
    ("threat_protection", "audit", "leaked passwords and risky sign-ins"),
    ("log_level", "DEBUG", "may hold people's data"),
    ("log_retention_days", "180", "must be at least 365 in prod"),
    ("audit_trail", "false", "leave no trace"),
    ("audit_lock_days", "364", "remove the traces"),
    ("alarm_email", "", "nobody would hear the alarms"),
    ("monthly_budget_usd", "0", "nobody would hear what it costs"),
    ("malware_scan", "false", "reach the workers unseen"),
    ("deletion_protection", "false", "one mistake would remove the data"),
    ("secret_rotation_days", "0", "good for ever"),
]


@pytest.mark.parametrize(("key", "value", "reason"), UNSAFE)
def test_prod_refuses_an_unsafe_value_with_the_reason_and_dev_takes_it(key: str, value: str, reason: str) -> None:
    config = VALID | DOMAIN | {f"heartmap:{key}": value}
    with pytest.raises(SettingsError, match=reason) as refused:
        load(config, "prod")
    assert str(refused.value).startswith(f"heartmap:{key} is ")
    load(config, "dev")


def test_prod_gives_its_protection_up_only_to_be_decommissioned() -> None:
    last = VALID | DOMAIN | {"heartmap:decommission": "true"}
    assert not load(last | {"heartmap:deletion_protection": "false"}, "prod").deletion_protection
    with pytest.raises(SettingsError, match=r"heartmap:deletion_protection is 'True' .* must be false to decommission"):
        load(last, "prod")


def test_every_refusal_of_prod_is_tried() -> None:
    assert {unsafe.key for unsafe in UNSAFE_IN_PROD} == {key for key, _, _ in UNSAFE} | {"domain"}


def test_an_allowed_ipv6_range_is_enough_for_prod() -> None:
    load(VALID | DOMAIN | {"heartmap:allowed_ipv4": "[]", "heartmap:allowed_ipv6": '["2001:db8::/32"]'}, "prod")


def test_a_domain_outside_its_zone_is_refused() -> None:
    load(VALID | DOMAIN | {"heartmap:hosted_zone_name": "example.org"}, "dev")
    load(VALID | DOMAIN | {"heartmap:hosted_zone_name": "heartmap.example.org"}, "dev")
    with pytest.raises(SettingsError, match=r"heartmap:domain is 'heartmap.example.org'.* must lie in the zone ample.org"):
        load(VALID | DOMAIN | {"heartmap:hosted_zone_name": "ample.org"}, "dev")


def test_an_existing_vpc_needs_one_subnet_a_zone() -> None:
    vpc = {"heartmap:existing_vpc_id": "vpc-0123456789abcdef0"}
    two = {"heartmap:existing_subnet_ids": '["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]'}
    assert len(load(VALID | vpc | two, "dev").existing_subnet_ids) == 2
    for wrong in (vpc, two, vpc | {"heartmap:existing_subnet_ids": '["subnet-0123456789abcdef0", "subnet-0123456789abcdef0"]'}):
        with pytest.raises(SettingsError, match="existing_"):
            load(VALID | wrong, "dev")


VPN = {
    "certificate": {
        "vpn_cidr": "10.50.0.0/22",
        "vpn_server_certificate_arn": CERTIFICATE,
        "vpn_client_certificate_arn": CERTIFICATE,
    },
    "federated": {
        "vpn_cidr": "10.50.0.0/22",
        "vpn_server_certificate_arn": CERTIFICATE,
        "vpn_saml_provider_arn": "arn:aws:iam::123456789012:saml-provider/lab",
    },
}
PROVIDERS = {
    "oidc": {
        "federation_name": "Institute",
        "federation_issuer": "https://login.example.org",
        "federation_client_id": "heartmap",
        "federation_client_secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:institute-AbCdEf",
    },
    "saml": {"federation_name": "Institute", "federation_metadata_url": "https://login.example.org/metadata?format=xml"},
}


@pytest.mark.parametrize(
    ("option", "kind", "needed"),
    [("vpn", kind, needed) for kind, needed in VPN.items()]
    + [("federation", kind, needed) for kind, needed in PROVIDERS.items()],
)
def test_an_option_needs_all_that_belongs_to_it(option: str, kind: str, needed: dict[str, str]) -> None:
    chosen = VALID | {f"heartmap:{option}": kind} | {f"heartmap:{key}": value for key, value in needed.items()}
    load(chosen, "dev")
    for key in needed:
        with pytest.raises(SettingsError, match=rf"heartmap:{key} is '' .* is required with the {option} {kind}"):
            load(chosen | {f"heartmap:{key}": ""}, "dev")


def test_working_hours_are_days_and_times() -> None:
    hours = load(changed("heartmap:working_hours", "MON-FRI 8-18"), "dev").working_hours
    assert hours is not None
    assert (hours.days, hours.start.hour, hours.stop.hour) == ("MON-FRI", 8, 18)


def test_roles_are_read_with_their_groups() -> None:
    roles = load(changed("heartmap:iam_roles", f'["{ROLE}=viewer+analyst"]'), "dev").iam_roles
    assert roles == {ROLE: ("viewer", "analyst")}


def test_nobody_breaks_the_glass_unseen() -> None:
    unseen = changed("heartmap:break_glass_users", f'["{USER}"]') | {"heartmap:audit_trail": "false"}
    with pytest.raises(SettingsError, match="needs an audit_trail, which records who opens it"):
        load(unseen, "dev")
    assert load(unseen | {"heartmap:audit_trail": "true"}, "dev").break_glass_users == (USER,)


def test_nothing_can_start_the_api_from_zero() -> None:
    with pytest.raises(SettingsError, match="nothing starts the API when a request comes"):
        load(changed("heartmap:api_tasks_min", "0"), "dev")


def test_threat_protection_needs_a_second_factor_to_ask_for() -> None:
    with pytest.raises(SettingsError, match="needs an mfa other than off"):
        load(VALID | {"heartmap:mfa": "off", "heartmap:threat_protection": "audit"}, "dev")


def test_dev_may_have_a_domain_and_then_calls_the_service_by_a_name_below_it() -> None:
    assert load(VALID | DOMAIN, "dev").internal_host == "internal.heartmap.example.org"


def test_local_needs_an_image_name_and_takes_no_domain() -> None:
    with pytest.raises(SettingsError, match=r"heartmap:image is '' in Pulumi.local\.yaml: it is required in local"):
        load(VALID, "local")
    with_image = changed("heartmap:image", "heartmap-service")
    assert load(with_image, "local").is_local
    with pytest.raises(SettingsError, match="must be empty in local"):
        load(with_image | DOMAIN, "local")


@pytest.mark.parametrize("option", [{"vpn": "certificate", **VPN["certificate"]}, {"existing_vpc_id": "vpc-0123456789abcdef0"}])
def test_local_has_no_network_to_join(option: dict[str, str]) -> None:
    subnets = '["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]' if "existing_vpc_id" in option else "[]"
    local = {"heartmap:image": "heartmap-service", "heartmap:existing_subnet_ids": subnets}
    with pytest.raises(SettingsError, match="has nothing to connect in local"):
        load(VALID | local | {f"heartmap:{key}": value for key, value in option.items()}, "local")


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
