import json
import zipfile
from typing import Any

from lambda_authorizer import lock_outs
from lambda_authorizer.access_policy import RULES, USERS
from lambda_users import config

NAME = "user-administration"


def function(plan: Any) -> dict[str, Any]:
    return plan.one("lambda/function:Function", NAME).inputs


def test_the_function_starts_with_what_it_is_given(plan: Any) -> None:
    variables = function(plan)["environment"]["variables"]
    assert variables == {
        "HEARTMAP_ENVIRONMENT": plan.stack,
        "HEARTMAP_SECRETS": "arn:aws:Secret/authorizer",
        "HEARTMAP_USER_POOL": plan.outputs["user_pool_id"],
        "HEARTMAP_LOCK_OUTS_TABLE": plan.outputs["api_keys_table"],
    }
    secret = f"arn:aws:secretsmanager:us-east-1:123456789012:secret:heartmap-{plan.stack}/authorizer-a1b2c3"
    real = {"HEARTMAP_SECRETS": secret, "HEARTMAP_USER_POOL": "us-east-1_a1B2c3D4e", "AWS_REGION": "us-east-1"}
    assert config.load(variables | real).user_pool == "us-east-1_a1B2c3D4e"


def test_it_administers_the_people_of_this_pool_and_reads_the_one_secret(plan: Any) -> None:
    policy = json.loads(plan.one("iam/policy:Policy", NAME).inputs["policy"])
    found = {each["Sid"]: each for each in policy["Statement"]}
    assert set(found) == {"Reading", "People", "LockOuts", "Secret", "Decryption", "Logs", "Traces"}
    for sid in ("Reading", "People"):
        assert (found[sid]["Resource"], found[sid].get("Condition")) == (["arn:aws:UserPool/identity"], None)
    allowed = {action for each in found.values() for action in each["Action"]}
    assert not {f"cognito-idp:{action}" for action in ("AdminSetUserPassword", "AdminUpdateUserAttributes", "*")} & allowed
    assert not any(action.startswith(("s3:", "logs:Filter", "iam:")) for action in allowed)


def test_of_the_table_of_keys_it_can_write_the_list_of_who_is_locked_out_alone(plan: Any) -> None:
    policy = json.loads(plan.one("iam/policy:Policy", NAME).inputs["policy"])
    (found,) = (each for each in policy["Statement"] if any(action.startswith("dynamodb:") for action in each["Action"]))
    assert (found["Action"], found["Resource"]) == (["dynamodb:UpdateItem"], ["arn:aws:Table/api-keys"])
    assert found["Condition"] == {
        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [lock_outs.ITEM]},
        "Null": {"dynamodb:LeadingKeys": "false"},
    }


def test_the_package_holds_no_library_and_is_what_the_function_runs(plan: Any) -> None:
    code = plan.one("s3/bucketObjectv2:BucketObjectv2", NAME).inputs
    assert (code["key"], function(plan)["handler"]) == (function(plan)["s3Key"], "lambda_users.handler.handler")
    with zipfile.ZipFile(code["source"].path) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {"lambda_api", "lambda_authorizer", "lambda_users"}


def test_its_failures_are_heard_of_and_its_log_is_told(plan: Any) -> None:
    alarm = plan.one("cloudwatch/metricAlarm:MetricAlarm", "users-errors").inputs
    assert alarm["dimensions"] == {"FunctionName": function(plan)["name"]}
    assert plan.outputs["user_administration_log_group"] == function(plan)["loggingConfig"]["logGroup"]


def test_changing_people_asks_for_a_fresh_sign_in_and_all_of_it_for_an_administrator() -> None:
    rows = {call: rule for call, rule in RULES.items() if rule.answered_by == USERS}
    assert {call: rule.sign_in_age for call, rule in rows.items()} == {
        ("GET", "/users"): None,
        ("POST", "/users"): 900,
        ("PATCH", "/users"): 900,
    }
    assert all((rule.groups, rule.scopes, rule.any_principal) == ({"admin"}, set(), False) for rule in rows.values())
