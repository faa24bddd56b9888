import json
import zipfile
from typing import Any

import pytest

from lambda_authorizer.access_policy import KEYS, RULES
from lambda_keys import config
from lambda_keys.bodies import MAX_DAYS, MAX_OVERLAP_HOURS, MAX_RANGES
from lambda_keys.records import ROLES
from lambda_token.credential import PREFIX

NAME = "key-administration"


def function(plan: Any) -> dict[str, Any]:
    return plan.one("lambda/function:Function", NAME).inputs


def statements(plan: Any) -> dict[str, dict[str, Any]]:
    policy = json.loads(plan.one("iam/policy:Policy", NAME).inputs["policy"])
    return {each["Sid"]: each for each in policy["Statement"]}


def test_the_function_starts_with_what_it_is_given(plan: Any) -> None:
    variables = function(plan)["environment"]["variables"]
    assert variables == {
        "HEARTMAP_ENVIRONMENT": plan.stack,
        "HEARTMAP_API_KEYS_TABLE": f"heartmap-{plan.stack}-api-keys",
        "HEARTMAP_KEY_USE_TABLE": f"heartmap-{plan.stack}-key-use",
        "HEARTMAP_SECRETS": "arn:aws:Secret/authorizer",
    }
    secret = f"arn:aws:secretsmanager:us-east-1:123456789012:secret:heartmap-{plan.stack}/authorizer-a1b2c3"
    configuration = config.load(variables | {"HEARTMAP_SECRETS": secret, "AWS_REGION": "us-east-1"})
    assert configuration.endpoint is None
    assert (configuration.api_keys_table, configuration.key_use_table) == (
        f"heartmap-{plan.stack}-api-keys",
        f"heartmap-{plan.stack}-key-use",
    )


def test_it_makes_and_changes_keys_of_people_and_programs_and_never_those_of_roles(plan: Any) -> None:
    keys = statements(plan)["Keys"]
    assert keys["Action"] == ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
    assert keys["Resource"] == ["arn:aws:Table/api-keys"]
    assert keys["Condition"] == {
        "ForAllValues:StringNotLike": {"dynamodb:LeadingKeys": ["role*"]},
        "Null": {"dynamodb:LeadingKeys": "false"},
    }
    # The word is the same wherever it stands.
    assert PREFIX == ROLES == "role"


def test_it_reads_what_else_it_needs_and_deletes_nothing(plan: Any) -> None:
    found = statements(plan)
    assert set(found) == {"Keys", "Listing", "KeyUse", "Secret", "Decryption", "Logs", "Traces"}
    assert (found["Listing"]["Action"], found["Listing"]["Resource"]) == (["dynamodb:Scan"], ["arn:aws:Table/api-keys"])
    assert (found["KeyUse"]["Action"], found["KeyUse"]["Resource"]) == (["dynamodb:BatchGetItem"], ["arn:aws:Table/key-use"])
    assert (found["Secret"]["Action"], found["Secret"]["Resource"]) == (
        ["secretsmanager:GetSecretValue"],
        ["arn:aws:Secret/authorizer"],
    )
    assert found["Decryption"]["Resource"] == ["arn:aws:Key/data", "arn:aws:Key/secrets"]


def test_the_package_holds_no_library_and_is_what_the_function_runs(plan: Any) -> None:
    code = plan.one("s3/bucketObjectv2:BucketObjectv2", NAME).inputs
    assert code["key"] == function(plan)["s3Key"]
    assert function(plan)["handler"] == "lambda_keys.handler.handler"
    assert "vpcConfig" not in function(plan)
    with zipfile.ZipFile(code["source"].path) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {"lambda_api", "lambda_authorizer", "lambda_keys"}
        assert "lambda_keys/handler.py" in archive.namelist()


def test_its_failures_are_heard_of_and_its_log_is_told(plan: Any) -> None:
    alarm = plan.one("cloudwatch/metricAlarm:MetricAlarm", "keys-errors").inputs
    assert alarm["dimensions"] == {"FunctionName": function(plan)["name"]}
    assert (alarm["metricName"], alarm["alarmActions"]) == ("Errors", ["arn:aws:Topic/alarms"])
    assert plan.outputs["key_administration_log_group"] == function(plan)["loggingConfig"]["logGroup"]


@pytest.mark.parametrize(
    ("definition", "member", "word", "limit"),
    [
        ("api-POST-keys", "expires_in_days", "maximum", MAX_DAYS),
        ("api-POST-keys", "source_ranges", "maxItems", MAX_RANGES),
        ("api-POST-keys-key_id-rotate", "overlap_hours", "maximum", MAX_OVERLAP_HOURS),
    ],
)
def test_the_models_at_the_gateway_have_the_limits_of_the_function(
    plan: Any, definition: str, member: str, word: str, limit: int
) -> None:
    schema = json.loads(plan.one("apigateway/model:Model", definition).inputs["schema"])
    assert schema["additionalProperties"] is False
    assert schema["properties"][member][word] == limit


def test_writing_keys_asks_for_a_fresh_sign_in_and_all_of_it_for_an_administrator() -> None:
    rows = {call: rule for call, rule in RULES.items() if rule.answered_by == KEYS}
    assert {call: rule.sign_in_age for call, rule in rows.items()} == {
        ("GET", "/keys"): None,
        ("POST", "/keys"): 900,
        ("POST", "/keys/{key_id}/rotate"): 900,
        ("DELETE", "/keys/{key_id}"): 900,
    }
    assert all((rule.groups, rule.scopes, rule.any_principal) == ({"admin"}, set(), False) for rule in rows.values())
