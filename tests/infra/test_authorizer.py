import base64
import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from infra import key_set
from infra.authorizer import build_package
from infra.functions import AWS_TARGET
from lambda_authorizer import config, package


def function(plan: Any) -> dict[str, Any]:
    return plan.one("lambda/function:Function", "authorizer").inputs


def test_the_function_runs_the_zip_that_was_put_into_the_bucket(plan: Any) -> None:
    code = plan.one("s3/bucketObjectv2:BucketObjectv2", "authorizer").inputs
    assert code["key"].startswith("authorizer/")
    assert (function(plan)["s3Bucket"], function(plan)["s3Key"]) == (code["bucket"], code["key"])
    digest = base64.b64decode(function(plan)["sourceCodeHash"])
    assert code["key"] == f"authorizer/{digest.hex()}.zip"


def test_the_function_is_the_handler_on_arm_outside_the_vpc(plan: Any) -> None:
    assert function(plan)["handler"] == "lambda_authorizer.handler.handler"
    assert function(plan)["runtime"] == "python3.13"
    assert function(plan)["architectures"] == ["arm64"]
    assert "vpcConfig" not in function(plan)
    assert function(plan)["timeout"] < 29


def test_the_environment_names_the_secret_and_holds_none(plan: Any) -> None:
    variables = function(plan)["environment"]["variables"]
    issuer = "https://cognito-idp.us-east-1.amazonaws.com/UserPool/identity"
    assert variables == {
        "HEARTMAP_ENVIRONMENT": plan.stack,
        "HEARTMAP_ISSUERS": issuer,
        "HEARTMAP_CLIENT_IDS": "UserPoolClient/identity",
        "HEARTMAP_API_KEYS_TABLE": f"heartmap-{plan.stack}-api-keys",
        "HEARTMAP_KEY_USE_TABLE": f"heartmap-{plan.stack}-key-use",
        "HEARTMAP_LOCK_OUTS_TABLE": f"heartmap-{plan.stack}-api-keys",
        "HEARTMAP_SECRETS": "arn:aws:Secret/authorizer",
        "HEARTMAP_JWKS_URL": f"{issuer}/.well-known/jwks.json",
    }


def test_every_variable_is_one_that_the_authorizer_reads(plan: Any) -> None:
    assert set(function(plan)["environment"]["variables"]) <= config.VARIABLES


def test_it_reads_keys_one_by_one_and_notes_their_use_where_no_key_is(plan: Any) -> None:
    policy = json.loads(plan.one("iam/policy:Policy", "authorizer").inputs["policy"])
    tables = {
        statement["Sid"]: (statement["Action"], statement["Resource"])
        for statement in policy["Statement"]
        if any(action.startswith("dynamodb:") for action in statement["Action"])
    }
    assert tables == {
        "Keys": (["dynamodb:GetItem"], ["arn:aws:Table/api-keys"]),
        "KeyUse": (["dynamodb:PutItem"], ["arn:aws:Table/key-use"]),
    }


def test_the_audit_lines_go_to_the_log_group_of_the_output(plan: Any) -> None:
    assert plan.outputs["audit_log_group"] == function(plan)["loggingConfig"]["logGroup"]
    assert plan.outputs["audit_log_group"] == f"/aws/lambda/{function(plan)['name']}"


def test_the_package_is_for_lambda_but_in_local_for_this_machine(plan: Any) -> None:
    asset = plan.one("s3/bucketObjectv2:BucketObjectv2", "authorizer").inputs["source"]
    with zipfile.ZipFile(asset.path) as archive:
        target = archive.read("target").decode()
    assert target == repr(tuple(package.Target.host() if plan.stack == "local" else AWS_TARGET))


def test_the_package_holds_the_key_set_and_is_named_by_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = json.dumps({"keys": [{"kid": "one"}]}).encode()
    asked: list[tuple[str, str, str]] = []
    seen: list[bytes] = []

    def fetch(pool_id: str, *, region: str, endpoint: str) -> bytes:
        asked.append((pool_id, region, endpoint))
        return keys

    def build(destination_dir: Path, *, key_set: bytes, target: package.Target) -> Path:
        seen.append(key_set)
        path = tmp_path / "authorizer.zip"
        path.write_bytes(b"zip")
        return path

    monkeypatch.setattr(key_set, "fetch", fetch)
    monkeypatch.setattr(package, "build", build)
    built = build_package("us-east-1_A", region="us-east-1", endpoint="http://127.0.0.1:1", target=AWS_TARGET)
    assert asked == [("us-east-1_A", "us-east-1", "http://127.0.0.1:1")]
    assert seen == [keys]
    assert built.sha256 == hashlib.sha256(b"zip").digest()
