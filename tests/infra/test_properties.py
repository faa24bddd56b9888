"""Any settings that are accepted give a plan that keeps the invariants, and in production every control that it is for."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.setting_types import RETENTION_DAYS
from infra.settings import FARGATE_MEMORY, SettingsError
from lambda_authorizer.access_policy import SCOPES
from posture.controls import findings
from posture.controls.page import PAGE, read
from posture.invariants import INVARIANTS
from posture.plan import ACCOUNT, run_program

EXAMPLES = 8
MET_IN_PROD = [number for number, row in read(PAGE.read_text(encoding="utf-8")).controls.items() if "prod" in row.stacks]
CERTIFICATE = f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/"
DIGEST = "a" * 64

quickly = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)


def text(values: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    """As the engine hands them over: text as it is, everything else as JSON."""
    return values.map(lambda value: value if isinstance(value, str) else json.dumps(value))


@st.composite
def sizes(draw: st.DrawFn) -> dict[str, str]:
    api, worker = draw(st.sampled_from(sorted(FARGATE_MEMORY))), draw(st.sampled_from([2048, 4096, 8192]))
    memory = draw(st.sampled_from([size for size in FARGATE_MEMORY[worker] if size >= 8192]))
    least = draw(st.integers(2, 4))
    return {
        "api_cpu": str(api),
        "api_memory": str(draw(st.sampled_from(FARGATE_MEMORY[api]))),
        "worker_cpu": str(worker),
        "worker_memory": str(memory),
        "job_memory_bytes": str((memory - 1536) * 1024**2),
        "api_tasks_min": str(least),
        "api_tasks_max": str(draw(st.integers(least, 8))),
        "worker_tasks_min": str(draw(st.integers(0, 2))),
        "worker_tasks_max": str(draw(st.integers(2, 20))),
        "max_upload_bytes": str(draw(st.integers(1024**2, 5 * 1024**3))),
        "import_buckets": draw(st.sampled_from(["[]", '["atlas"]', '["atlas.example.org", "labdata"]'])),
        "quota_queued_jobs": str(draw(st.integers(1, 10_000))),
    }


@st.composite
def networks(draw: st.DrawFn) -> dict[str, str]:
    chosen = {
        "endpoint_zones": "2",
        "vpc_cidr": draw(st.sampled_from(["10.0.0.0/16", "10.64.0.0/20", "172.16.0.0/18", "192.168.0.0/22"])),
        "bastion": draw(st.sampled_from(["true", "false"])),
        "allowed_ipv4": json.dumps(
            draw(st.lists(st.sampled_from(["192.0.2.0/24", "198.51.100.7/32", "10.0.0.0/8"]), min_size=1))
        ),
        "allowed_ipv6": json.dumps(draw(st.lists(st.sampled_from(["2001:db8::/32", "2001:db8:1::/48"])))),
    }
    vpn = draw(st.sampled_from(["off", "off", "certificate", "federated"]))
    if vpn != "off":
        chosen |= {"vpn": vpn, "vpn_cidr": "10.200.0.0/22", "vpn_server_certificate_arn": CERTIFICATE + "server"}
        chosen |= (
            {"vpn_client_certificate_arn": CERTIFICATE + "clients"}
            if vpn == "certificate"
            else {"vpn_saml_provider_arn": f"arn:aws:iam::{ACCOUNT}:saml-provider/people"}
        )
    return chosen


@st.composite
def edges(draw: st.DrawFn) -> dict[str, str]:
    chosen = {
        "requests_per_minute": str(draw(st.integers(10, 2_000_000))),
        "sensitive_requests_per_minute": str(draw(st.integers(10, 2_000_000))),
        "waf_mode": draw(st.sampled_from(["block", "count"])),
        "anonymous_networks": draw(st.sampled_from(["allow", "challenge", "block"])),
        "program_scopes": json.dumps(draw(st.lists(st.sampled_from(sorted(SCOPES)), unique=True, max_size=3))),
        "log_retention_days": str(draw(st.sampled_from([days for days in RETENTION_DAYS if days >= 365]))),
        "audit_lock_days": str(draw(st.integers(365, 3653))),
        "secret_rotation_days": str(draw(st.integers(30, 90))),
        "image": draw(st.sampled_from(["", f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/heartmap@sha256:{DIGEST}"])),
        "iam_roles": json.dumps(draw(st.sampled_from([{}, {f"arn:aws:iam::{ACCOUNT}:role/pipeline": ["analyst"]}]))),
    }
    if draw(st.booleans()):
        chosen |= {
            "federation": "saml",
            "federation_name": "Staff",
            "federation_metadata_url": "https://idp.example.org/metadata",
        }
    return chosen


def full(settings_: dict[str, str]) -> dict[str, str]:
    return {f"heartmap:{key}": value for key, value in settings_.items()}


def broken(plan: Any) -> list[str]:
    return [f"{name}: {found}" for name, check in INVARIANTS.items() for found in check(plan)]


@quickly
@given(sizes(), networks(), edges())
def test_every_accepted_production_keeps_the_invariants_and_its_controls(sized: Any, networked: Any, edged: Any) -> None:
    plan = run_program("prod", full(sized | networked | edged))
    assert broken(plan) == []
    # The checks of the bastion ask for one.
    bastion = {"82", "83", "84", "86", "154"} if networked["bastion"] == "false" else set()
    assert {number: found for number in MET_IN_PROD if number not in bastion and (found := findings(number, plan))} == {}


@quickly
@given(
    mfa=st.sampled_from(["off", "optional", "required"]),
    threats=st.sampled_from(["off", "audit", "enforced"]),
    flags=st.fixed_dictionaries(
        {key: st.sampled_from(["true", "false"]) for key in ("deletion_protection", "audit_trail", "malware_scan", "bastion")}
    ),
    days=st.sampled_from(RETENTION_DAYS),
    lock=st.sampled_from([0, 1, 400]),
    rotation=st.sampled_from([0, 30, 365]),
    stack=st.sampled_from(["dev", "dev", "local"]),
)
def test_every_accepted_other_stack_keeps_the_invariants(
    mfa: str, threats: str, flags: dict[str, str], days: int, lock: int, rotation: int, stack: str
) -> None:
    chosen = full(
        {
            "mfa": mfa,
            "threat_protection": threats,
            **flags,
            "log_retention_days": str(days),
            "audit_lock_days": str(lock),
            "secret_rotation_days": str(rotation),
        }
    )
    try:
        plan = run_program(stack, chosen)
    except SettingsError:
        # Not accepted, which is another way to keep them; tests/infra/test_settings.py says when.
        return
    assert broken(plan) == []


def test_a_dev_with_a_domain_and_a_bastion_keeps_the_invariants() -> None:
    domain = {"domain": "dev.example.org", "hosted_zone_id": "Z0123456789EXAMPLE", "hosted_zone_name": "example.org"}
    assert broken(run_program("dev", full(domain | {"bastion": "true"}))) == []
