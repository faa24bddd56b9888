from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from local_cloud.provider.framework import Refused

FUNCTION = "aws:lambda/function:Function"


@pytest.fixture(scope="module")
def upload(cloud: Any) -> Callable[[str], dict[str, str]]:
    """Puts a package with this handler into the bucket; gives the function's arguments for its code."""
    cloud.client("s3").create_bucket(Bucket="artifacts")

    def put(source: str) -> dict[str, str]:
        with io.BytesIO() as buffer:
            with zipfile.ZipFile(buffer, "w") as package:
                package.writestr("handler.py", source)
            content = buffer.getvalue()
        digest = hashlib.sha256(content)
        cloud.client("s3").put_object(Bucket="artifacts", Key=f"{digest.hexdigest()}.zip", Body=content)
        code = {"s3Bucket": "artifacts", "s3Key": f"{digest.hexdigest()}.zip"}
        return code | {"sourceCodeHash": base64.b64encode(digest.digest()).decode()}

    return put


@pytest.fixture(scope="module")
def arguments(cloud: Any, upload: Callable[[str], dict[str, str]]) -> dict[str, Any]:
    role = cloud.client("iam").create_role(RoleName="authorizer", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    settings = {"role": role, "runtime": "python3.13", "handler": "handler.handler", "architectures": ["arm64"], "timeout": 5}
    return settings | upload("def handler(event, context): return 1")


def test_a_function_runs_what_is_in_the_bucket(make: Callable[..., Any], arguments: dict[str, Any], cloud: Any) -> None:
    logging = {"logFormat": "Text", "logGroup": "/aws/lambda/authorizer"}
    made = make(FUNCTION, name="authorizer", **arguments, environment={"variables": {"MODE": "first"}}, loggingConfig=logging)
    arn = "arn:aws:lambda:us-east-1:123456789012:function:authorizer"
    assert made.state["arn"] == arn
    assert made.state["invokeArn"] == f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"
    assert made.state["qualifiedArn"] == f"{arn}:$LATEST"
    assert made.state["codeSha256"] == arguments["sourceCodeHash"]
    assert made.drift() == {}
    found = cloud.client("lambda").get_function(FunctionName="authorizer")
    assert found["Configuration"]["Environment"]["Variables"] == {"MODE": "first"}
    assert found["Configuration"]["LoggingConfig"]["LogGroup"] == "/aws/lambda/authorizer"
    assert found["Tags"] == {"project": "heartmap"}
    made.delete()
    assert made.read() is None
    made.delete()


def test_code_and_configuration_can_change(
    make: Callable[..., Any], arguments: dict[str, Any], upload: Callable[[str], dict[str, str]], cloud: Any
) -> None:
    made = make(FUNCTION, name="changing", **arguments, environment={"variables": {"A": "1"}}, description="first")
    newer = upload("def handler(event, context): return 2")
    state = made.update(**newer, timeout=10, memorySize=512, environment=None, description=None, reservedConcurrentExecutions=3)
    assert state["codeSha256"] == newer["sourceCodeHash"]
    assert made.drift() == {}
    found = cloud.client("lambda").get_function(FunctionName="changing")
    configuration = found["Configuration"]
    assert (configuration["Timeout"], configuration["MemorySize"], configuration["Description"]) == (10, 512, "")
    assert "Environment" not in configuration
    assert found["Concurrency"] == {"ReservedConcurrentExecutions": 3}
    made.update(reservedConcurrentExecutions=None, tags={"a": "b"})
    found = cloud.client("lambda").get_function(FunctionName="changing")
    assert "Concurrency" not in found
    assert found["Tags"] == {"project": "heartmap", "a": "b"}


def test_a_function_keeps_its_key_its_traces_and_its_bound(
    make: Callable[..., Any], arguments: dict[str, Any], cloud: Any
) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1"
    hardening = {"tracingConfig": {"mode": "Active"}, "kmsKeyArn": key, "reservedConcurrentExecutions": 5}
    made = make(FUNCTION, name="hardened", **arguments, **hardening)
    assert made.drift() == {}
    client = cloud.client("lambda")
    found = client.get_function(FunctionName="hardened")
    assert found["Configuration"]["TracingConfig"] == {"Mode": "Active"}
    assert found["Configuration"]["KMSKeyArn"] == key
    assert found["Concurrency"] == {"ReservedConcurrentExecutions": 5}
    client.delete_function_concurrency(FunctionName="hardened")
    client.update_function_configuration(FunctionName="hardened", TracingConfig={"Mode": "PassThrough"})
    assert made.drift().keys() == {"tracingConfig", "reservedConcurrentExecutions"}


def test_another_archive_than_the_programs_is_refused_and_leaves_no_function(
    make: Callable[..., Any], arguments: dict[str, Any], cloud: Any
) -> None:
    with pytest.raises(Refused, match="is not the archive of sourceCodeHash"):
        make(FUNCTION, name="wrong", **(arguments | {"sourceCodeHash": "AAAA"}))
    names = [function["FunctionName"] for function in cloud.client("lambda").list_functions()["Functions"]]
    assert "wrong" not in names


def test_a_function_in_a_vpc_is_refused(refusals: Callable[..., list[str]], arguments: dict[str, Any]) -> None:
    (reason,) = refusals(FUNCTION, name="x", **arguments, vpcConfig={"subnetIds": []})
    assert "vpcConfig" in reason


def test_a_permission_is_a_statement_of_the_functions_policy(
    make: Callable[..., Any], arguments: dict[str, Any], cloud: Any
) -> None:
    make(FUNCTION, name="invoked", **arguments)
    source = "arn:aws:execute-api:us-east-1:123456789012:abc/authorizers/def"
    made = make(
        "aws:lambda/permission:Permission",
        action="lambda:InvokeFunction",
        function="invoked",
        principal="apigateway.amazonaws.com",
        sourceArn=source,
    )
    assert made.id == made.state["statementId"]
    assert made.drift() == {}
    (statement,) = json.loads(cloud.client("lambda").get_policy(FunctionName="invoked")["Policy"])["Statement"]
    assert statement["Principal"] == {"Service": "apigateway.amazonaws.com"}
    assert statement["Condition"] == {"ArnLike": {"AWS:SourceArn": source}}
    made.delete()
    assert made.read() is None
    made.delete()
