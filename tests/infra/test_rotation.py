import json
from typing import Any


def test_secrets_rotate_as_often_as_the_setting_says_and_not_at_once(plan: Any) -> None:
    rotations = plan.of("secretsmanager/secretRotation:SecretRotation")
    if not plan.settings.secret_rotation_days:
        assert not rotations
        return
    (rotation,) = rotations
    assert rotation.inputs["secretId"] == "arn:aws:Secret/authorizer"
    assert rotation.inputs["rotationLambdaArn"] == "arn:aws:Function/rotation"
    assert rotation.inputs["rotationRules"] == {"automaticallyAfterDays": plan.settings.secret_rotation_days}
    assert rotation.inputs["rotateImmediately"] is False
    assert plan.one("lambda/permission:Permission", "rotation").urn in rotation.dependencies


def test_only_secrets_manager_calls_the_function_and_only_for_this_secret(planned: Any) -> None:
    permission = planned("prod").one("lambda/permission:Permission", "rotation").inputs
    assert (permission["principal"], permission["action"]) == ("secretsmanager.amazonaws.com", "lambda:InvokeFunction")
    assert (permission["sourceArn"], permission["sourceAccount"]) == ("arn:aws:Secret/authorizer", "123456789012")


def test_two_rotations_never_run_at_once(planned: Any) -> None:
    function = planned("prod").one("lambda/function:Function", "rotation").inputs
    assert function["reservedConcurrentExecutions"] == 1
    assert function["handler"] == "lambda_rotation.handler.handler"


def test_the_function_is_told_what_it_rotates_and_nothing_secret(planned: Any) -> None:
    variables = planned("prod").one("lambda/function:Function", "rotation").inputs["environment"]["variables"]
    assert variables == {
        "HEARTMAP_SECRETS": "arn:aws:Secret/authorizer",
        "HEARTMAP_SERVICE_PARAMETER": "/heartmap-prod/assertion-keys",
        "HEARTMAP_SECRETS_KEY": "arn:aws:Key/secrets",
        "HEARTMAP_CLUSTER": "heartmap-prod",
        "HEARTMAP_API_SERVICE": "heartmap-prod-api",
    }


def test_the_function_touches_one_secret_one_parameter_one_key_and_one_service(planned: Any) -> None:
    statements = json.loads(planned("prod").one("iam/policy:Policy", "rotation").inputs["policy"])["Statement"]
    own = {statement["Sid"]: statement["Resource"] for statement in statements if statement["Sid"] not in ("Logs", "Traces")}
    assert own == {
        "Secret": ["arn:aws:Secret/authorizer"],
        "Parameter": ["arn:aws:Parameter/service"],
        "SecretsKey": ["arn:aws:Key/secrets"],
        "Tasks": ["arn:aws:ecs:us-east-1:123456789012:service/heartmap-prod/heartmap-prod-api"],
    }
    actions = [action for statement in statements for action in statement["Action"]]
    assert "ecs:UpdateService" in actions
    assert "iam:PassRole" not in actions
