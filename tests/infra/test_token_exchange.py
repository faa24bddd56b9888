import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from infra.token_exchange import RoleError, check_roles
from lambda_token import config

ROLE = "arn:aws:iam::123456789012:role/ci/publisher"


def function(plan: Any) -> dict[str, Any]:
    return plan.one("lambda/function:Function", "token").inputs


def test_the_function_starts_with_what_it_is_given(run: Callable[..., Any]) -> None:
    plan = run("dev", {"heartmap:iam_roles": f'["{ROLE}=analyst+viewer"]'})
    variables = function(plan)["environment"]["variables"]
    assert variables == {
        "HEARTMAP_ENVIRONMENT": "dev",
        "HEARTMAP_API_KEYS_TABLE": "heartmap-dev-api-keys",
        "HEARTMAP_SECRETS": "arn:aws:Secret/authorizer",
        "HEARTMAP_IAM_ROLES": f'{{"{ROLE}":["analyst","viewer"]}}',
    }
    secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:heartmap-dev/authorizer-a1b2c3"
    configuration = config.load(variables | {"HEARTMAP_SECRETS": secret, "AWS_REGION": "us-east-1"})
    assert configuration.grants["aws", "123456789012", "publisher"].groups == {"analyst", "viewer"}


def test_without_roles_nobody_is_given_anything(run: Callable[..., Any]) -> None:
    assert function(run("dev", {"heartmap:iam_roles": "[]"}))["environment"]["variables"]["HEARTMAP_IAM_ROLES"] == "{}"


def test_it_may_write_its_own_keys_only_and_read_the_one_secret(plan: Any) -> None:
    statements = {each["Sid"]: each for each in json.loads(plan.one("iam/policy:Policy", "token").inputs["policy"])["Statement"]}
    assert statements["Keys"]["Action"] == ["dynamodb:PutItem"]
    assert statements["Keys"]["Condition"] == {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["role*"]},
        "Null": {"dynamodb:LeadingKeys": "false"},
    }
    assert statements["Secret"]["Action"] == ["secretsmanager:GetSecretValue"]
    assert set(statements) == {"Keys", "Secret", "Decryption", "Logs", "Traces"}


def test_the_package_holds_no_library_and_is_what_the_function_runs(plan: Any) -> None:
    code = plan.one("s3/bucketObjectv2:BucketObjectv2", "token").inputs
    assert code["key"] == function(plan)["s3Key"]
    with zipfile.ZipFile(code["source"].path) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {"lambda_api", "lambda_authorizer", "lambda_token"}
        assert "lambda_token/handler.py" in archive.namelist()


@pytest.mark.parametrize(
    ("role", "words"),
    [
        ("arn:aws:iam::210987654321:role/publisher", "is not of this account"),
        ("arn:aws:iam::123456789012:role/" + "p" * 64 + "/" + "q" * 64, "no ARN of an IAM role of at most 128"),
    ],
)
def test_a_role_that_cannot_be_let_in_stops_the_program(run: Callable[..., Any], role: str, words: str) -> None:
    with pytest.raises(RoleError, match=words):
        check_roles({role: ("viewer",)}, account="123456789012")
