"""What holds for everything that the program registers, in every stack."""

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import rpc

from infra import program

ROOT = Path(__file__).resolve().parents[2]

OUTPUTS = {
    "api_url", "region", "user_pool_id", "client_id", "program_client_id", "issuer", "authorize_url", "token_url",
    "rest_api_id", "stage_name", "stage_arn", "web_acl_arn", "authorizer_function", "audit_log_group", "load_balancer_arn",
    "target_group_arn", "vpc_link_id", "cluster", "api_service", "worker_service", "uploads_bucket", "results_bucket",
    "jobs_table", "config_table", "api_keys_table", "queue_url", "dead_letter_queue_url", "callback_urls", "internal_host",
    "token_log_group", "token_policy_arn", "key_use_table", "key_administration_log_group",
    "user_administration_log_group", "audit_search_log_group", "sealing_log_group", "audit_bucket", "audit_public_key",
    "allowed_ranges", "requests_per_minute", "sensitive_requests_per_minute",
}  # fmt: skip
WITH_A_BASTION = {"bastion_group", "session_document", "operator_policy_arn"}

COMPONENT_TYPES = {
    "heartmap:iam:ServiceRole",
    "heartmap:network:Network",
    "heartmap:network:FlowLog",
    "heartmap:data:Keys",
    "heartmap:data:PrivateBucket",
    "heartmap:data:Buckets",
    "heartmap:data:Tables",
    "heartmap:data:Queue",
    "heartmap:data:Secrets",
    "heartmap:certificates:SelfSignedCertificate",
    "heartmap:compute:ServiceImage",
    "heartmap:compute:LoadBalancer",
    "heartmap:compute:Services",
    "heartmap:scaling:ApiScaling",
    "heartmap:scaling:WorkerScaling",
    "heartmap:identity:Identity",
    "heartmap:authorizer:Authorizer",
    "heartmap:token_exchange:TokenExchange",
    "heartmap:key_administration:KeyAdministration",
    "heartmap:user_administration:UserAdministration",
    "heartmap:audit_sealing:SigningKey",
    "heartmap:audit_sealing:Sealing",
    "heartmap:audit_search:AuditSearch",
    "heartmap:api:Api",
    "heartmap:edge:WebAcl",
    "heartmap:alarms:AlarmTopic",
    "heartmap:observability:ServiceAlarms",
    "heartmap:observability:WebAclLog",
    "heartmap:activity_alarms:SealAlarms",
    "heartmap:activity_alarms:ActivityAlarms",
    "heartmap:saved_queries:SavedQueries",
    "heartmap:dashboard:Dashboard",
    "heartmap:budget:Budget",
}
BESIDE_A_BASTION = {"heartmap:bastion:Bastion", "heartmap:private_dns:PrivateDns"}
WITH_A_DOMAIN = {
    "heartmap:certificates:IssuedCertificate",
    "heartmap:edge:Domain",
    "heartmap:edge:SignInDomain",
    "heartmap:mail:Sender",
}

# Each module may import those before it: as the request and its data flow.
MODULE_ORDER = [
    "setting_types", "settings", "naming", "iam", "alarms", "certificates", "network", "data", "functions", "scanning",
    "build_context", "compute", "scaling", "mail", "identity", "key_set", "authorizer", "rotation", "api_functions",
    "token_exchange", "key_administration", "user_administration", "audit_sealing", "audit_search",
    "gateway_responses", "request_models", "api",
    "waf_rules", "edge", "break_glass", "change_alarms", "observability", "activity_alarms", "saved_queries", "dashboard",
    "budget", "private_dns", "bastion", "vpn", "program",
]  # fmt: skip

# Inputs that hold a secret value.
SECRET_INPUTS = {
    ("aws:secretsmanager/secretVersion:SecretVersion", "secretString"),
    ("aws:ssm/parameter:Parameter", "value"),
    ("aws:acm/certificate:Certificate", "privateKey"),
}


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def plain_strings(value: Any) -> list[str]:
    """The strings that are in no envelope of a secret."""
    if rpc.is_rpc_secret(value):
        return []
    if isinstance(value, dict):
        return [text for item in value.values() for text in plain_strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in plain_strings(item)]
    return [value] if isinstance(value, str) else []


def secret_texts(plan: Any) -> set[str]:
    """The bare values of the plan's secrets: keys, the pepper, the lines of a private key."""
    texts: set[str] = set()
    for resource in plan.resources:
        for type_, key in SECRET_INPUTS:
            if resource.type != type_ or key not in resource.inputs:
                continue
            value = resource.inputs[key]
            texts |= set(strings(json.loads(value))) if value.startswith("{") else set(value.splitlines()[1:-1])
    return {text for text in texts if len(text) > 16}


def test_every_resource_has_a_component_of_this_project_as_its_parent(plan: Any) -> None:
    types = {resource.urn: resource.type for resource in plan.resources}
    for resource in plan.resources:
        if resource.type == "pulumi:providers:aws":
            continue
        parent = types.get(resource.parent, "the stack")
        allowed = parent.startswith("heartmap:") or (parent == "the stack" and resource.type.startswith("heartmap:"))
        assert allowed, f"{resource.urn} has {parent} as its parent"


def test_urns_are_unique(plan: Any) -> None:
    urns = [resource.urn for resource in plan.resources]
    assert sorted(urns) == sorted(set(urns))


@pytest.mark.parametrize("stack", ["local", "dev", "prod"])
def test_a_preview_without_any_answer_from_aws_registers_the_same_resources(stack: str, planned: Any, run: Any) -> None:
    preview = {resource.urn for resource in run(stack, preview=True).resources}
    assert preview == {resource.urn for resource in planned(stack).resources}


def test_the_component_types_are_the_pinned_ones(plan: Any) -> None:
    expected = COMPONENT_TYPES
    if plan.settings.domain:
        expected = (COMPONENT_TYPES | WITH_A_DOMAIN) - {"heartmap:certificates:SelfSignedCertificate"}
    if plan.settings.audit_trail:
        expected = expected | {"heartmap:observability:AuditTrail"}
    if plan.settings.malware_scan:
        expected = expected | {"heartmap:scanning:MalwareScan"}
    if plan.settings.secret_rotation_days:
        expected = expected | {"heartmap:rotation:Rotation"}
    if plan.settings.bastion:
        expected = expected | BESIDE_A_BASTION
    assert {component.type for component in plan.components} == expected


def test_every_component_name_says_the_module_it_is_in(plan: Any) -> None:
    for component in plan.components:
        _, module, class_name = component.type.split(":")
        kinds = ("pulumi.ComponentResource", "ApiFunction")
        text = (ROOT / "infra" / f"{module}.py").read_text()
        assert any(f"class {class_name}({kind})" in text for kind in kinds)


def test_secrets_are_marked_as_secrets_and_stand_in_no_other_input_and_no_output(plan: Any) -> None:
    secrets = secret_texts(plan)
    assert len(secrets) >= 2
    for resource in plan.resources:
        for text in plain_strings(resource.raw):
            assert not any(secret in text for secret in secrets), f"a secret in plain in {resource.urn}"
    for text in strings(plan.outputs):
        assert not any(secret in text for secret in secrets)
    assert not any(rpc.is_rpc_secret(value) for value in plan.outputs.values())


def test_no_input_holds_the_text_of_an_output_object(plan: Any) -> None:
    for resource in plan.resources:
        assert not any("Calling __str__ on an Output" in text or "<pulumi" in text for text in strings(resource.inputs)), (
            resource.urn
        )


def test_the_stack_exports_exactly_the_outputs_that_the_tools_read(plan: Any) -> None:
    assert set(plan.outputs) == OUTPUTS | (WITH_A_BASTION if plan.settings.bastion else set())
    empty = {key for key, value in plan.outputs.items() if not value}
    ranges = (*plan.settings.allowed_ipv4, *plan.settings.allowed_ipv6)
    assert plan.outputs["allowed_ranges"] == [str(network) for network in ranges]
    assert empty == (set() if plan.settings.program_scopes else {"program_client_id"}) | (set() if ranges else {"allowed_ranges"})


def test_everything_carries_the_tags_of_project_and_environment(plan: Any) -> None:
    providers = [resource for resource in plan.resources if resource.type == "pulumi:providers:aws"]
    assert providers
    for provider in providers:
        tags = json.loads(provider.inputs["defaultTags"])["tags"]
        assert tags == {"Project": "heartmap", "Environment": plan.stack, "ManagedBy": "pulumi"}


def test_local_builds_no_image_and_the_others_build_it_for_arm(plan: Any) -> None:
    images = [resource for resource in plan.resources if resource.type == "awsx:ecr:Image"]
    assert [image.inputs.get("platform") for image in images] == ([] if plan.stack == "local" else ["linux/arm64"])


def test_a_given_image_is_run_instead_of_a_built_one(run: Callable[..., Any]) -> None:
    image = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/heartmap-dev-service@sha256:{'a' * 64}"
    plan = run("dev", {"heartmap:image": image})
    assert not [resource for resource in plan.resources if resource.type == "awsx:ecr:Image"]
    containers = [json.loads(task.inputs["containerDefinitions"])[0] for task in plan.of("ecs/taskDefinition:TaskDefinition")]
    assert {container["image"] for container in containers} == {image}


def test_modules_import_only_those_that_come_before_them() -> None:
    modules = {path.stem for path in (ROOT / "infra").glob("*.py")} - {"__init__"}
    assert modules == set(MODULE_ORDER)
    for module in modules:
        tree = ast.parse((ROOT / "infra" / f"{module}.py").read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "infra":
                module_path = (node.module or "").split(".")
                names = module_path[1:] or [alias.name for alias in node.names]
                for imported in names:
                    assert MODULE_ORDER.index(imported) < MODULE_ORDER.index(module), f"{module} imports {imported}"


def test_the_entry_point_runs_this_program_and_nothing_else() -> None:
    assert [line for line in (ROOT / "__main__.py").read_text().splitlines() if line] == [
        "from infra import program",
        "program.main()",
    ]


def test_wrong_settings_stop_the_program_before_anything_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(program.aws, "Provider", lambda *args, **kwargs: asked.append("provider"))
    monkeypatch.setattr(program.pulumi, "get_stack", lambda: "staging")
    with pytest.raises(pulumi.RunError, match="there is no environment 'staging'"):
        program.main()
    assert asked == []


def test_no_stack_file_holds_a_secret() -> None:
    for path in ROOT.glob("Pulumi*.yaml"):
        text = path.read_text()
        assert "secure:" not in text
        # What says where a secret is, or how long it lives, is none.
        assert not re.search(r"(?i)(password|token|secret|credential)(?![\w-]*_(arn|days):)[\w-]*:", text), path.name
