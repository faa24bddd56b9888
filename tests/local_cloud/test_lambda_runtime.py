"""The host of the deployed function, against functions deployed to moto through a bucket."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from local_cloud import lambda_runtime
from local_cloud.lambda_runtime import (
    THROTTLED,
    FunctionCrashed,
    FunctionError,
    FunctionThrottled,
    FunctionTimedOut,
    FunctionUnusable,
    LambdaRuntime,
)
from local_cloud.log_shipper import LogShipper

pytestmark = pytest.mark.usefixtures("local_environment")

HANDLER = """
import os, sys, time

def handler(event, context):
    match event.get("do"):
        case "print":
            print(event["text"])
            print("to stderr", file=sys.stderr)
        case "raise":
            raise {"Unauthorized": Exception, "KeyError": KeyError}[event["type"]](event["text"])
        case "sleep":
            time.sleep(60)
        case "exit":
            os._exit(3)
        case "import":
            __import__(event["module"])
        case "nonsense":
            os.write(int(sys.argv[2]), b"not json\\n")
        case "unserialisable":
            return {1, 2}
        case "not a number":
            return {"context": {"value": float("nan")}}
        case "slow echo":
            print("started")
            time.sleep(0.3)
        case "environment":
            return dict(os.environ)
        case "context":
            return {"name": context.function_name, "arn": context.invoked_function_arn, "request": context.aws_request_id,
                    "left": context.get_remaining_time_in_millis(), "memory": context.memory_limit_in_mb}
    return {"pid": os.getpid(), "event": event}
"""


@pytest.fixture
def deploy(aws: Callable, zipped: Callable[..., bytes], tmp_path: Path) -> Callable:
    """Deploys a function and reads it back."""
    role = {"Version": "2012-10-17", "Statement": []}

    def make(code: str | bytes = HANDLER, **settings):
        iam, s3, functions = aws("iam"), aws("s3"), aws("lambda")
        try:
            arn = iam.create_role(RoleName="function", AssumeRolePolicyDocument=json.dumps(role))["Role"]["Arn"]
        except iam.exceptions.EntityAlreadyExistsException:
            arn = iam.get_role(RoleName="function")["Role"]["Arn"]
        s3.create_bucket(Bucket="artifacts")
        body = code if isinstance(code, bytes) else zipped(app=code)
        s3.put_object(Bucket="artifacts", Key="authorizer/code.zip", Body=body)
        name = f"function-{os.urandom(4).hex()}"
        arguments = {"Runtime": "python3.13", "Handler": "app.handler", "Timeout": 1, "MemorySize": 256} | settings
        functions.create_function(
            FunctionName=name, Role=arn, Code={"S3Bucket": "artifacts", "S3Key": "authorizer/code.zip"}, **arguments
        )
        return lambda_runtime.read_function(name, tmp_path / "code", aws("lambda"))

    return make


@pytest.fixture
async def run(deploy: Callable) -> AsyncIterator[Callable]:
    """Deploys and hosts a function; gives the host and the lines it logs."""
    hosts: list[LambdaRuntime] = []

    def start(code: str = HANDLER, **settings) -> tuple[LambdaRuntime, list[str]]:
        lines: list[str] = []
        function = deploy(code, **settings)
        hosts.append(LambdaRuntime(function, lines.append))
        return hosts[-1], lines

    yield start
    for host in hosts:
        await host.stop()


async def _until(lines: list[str], text: str) -> None:
    async with asyncio.timeout(5):
        while not any(text in line for line in lines):  # noqa: ASYNC110 - the host only knows a callback
            await asyncio.sleep(0.01)


async def test_the_handler_answers_and_its_process_is_kept(run: Callable) -> None:
    host, _ = run()
    first, second = await host.invoke({"do": "", "n": 1}), await host.invoke({"do": "", "n": 2})
    assert (first["event"]["n"], second["event"]["n"]) == (1, 2)
    assert first["pid"] == second["pid"] != os.getpid()


async def test_the_function_sees_only_its_deployed_environment_and_what_lambda_adds(run: Callable, monkeypatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "x")
    host, _ = run(Environment={"Variables": {"HEARTMAP_ENVIRONMENT": "local"}})
    seen = await host.invoke({"do": "environment"})
    assert seen.pop("HEARTMAP_ENVIRONMENT") == "local"
    assert seen["AWS_REGION"] == "us-east-1"
    assert {name for name in seen if not name.startswith("AWS_")} <= {
        "_HANDLER",
        "LAMBDA_TASK_ROOT",
        "LANG",
        "LC_CTYPE",
        "PATH",
        "TZ",
    }


# boto3 is: AWS has it in the runtime.
@pytest.mark.parametrize("module", ["pulumi", "local_cloud", "cryptography"])
async def test_nothing_outside_the_zip_can_be_imported(run: Callable, module: str) -> None:
    host, _ = run()
    with pytest.raises(FunctionError, match=f"No module named '{module}'") as caught:
        await host.invoke({"do": "import", "module": module})
    assert caught.value.error_type == "ModuleNotFoundError"


async def test_the_context_is_the_one_that_lambda_gives(run: Callable) -> None:
    host, _ = run()
    context = await host.invoke({"do": "context"})
    assert context["arn"].endswith(f":function:{context['name']}")
    assert 0 < context["left"] <= 1000
    assert context["memory"] == "256"


async def test_an_exception_arrives_with_its_own_text(run: Callable) -> None:
    host, _ = run()
    with pytest.raises(FunctionError) as caught:
        await host.invoke({"do": "raise", "type": "Unauthorized", "text": "Unauthorized"})
    assert (caught.value.error_type, str(caught.value)) == ("Exception", "Unauthorized")
    assert (await host.invoke({"do": ""}))["event"] == {"do": ""}


async def test_a_call_that_takes_longer_than_deployed_ends_the_process(run: Callable) -> None:
    host, lines = run()
    first = (await host.invoke({"do": ""}))["pid"]
    with pytest.raises(FunctionTimedOut):
        await host.invoke({"do": "sleep"})
    assert not psutil.pid_exists(first)
    assert (await host.invoke({"do": ""}))["pid"] != first
    await _until(lines, "Task timed out after 1.00 seconds")


@pytest.mark.parametrize("do", ["exit", "nonsense"])
async def test_a_crash_fails_the_call_and_the_next_one_gets_a_fresh_process(run: Callable, do: str) -> None:
    host, _ = run()
    first = (await host.invoke({"do": ""}))["pid"]
    with pytest.raises(FunctionCrashed):
        await host.invoke({"do": do})
    assert (await host.invoke({"do": ""}))["pid"] != first


@pytest.mark.parametrize("do", ["unserialisable", "not a number"])
async def test_a_result_that_is_not_json_is_an_error(run: Callable, do: str) -> None:
    host, _ = run()
    with pytest.raises(FunctionError):
        await host.invoke({"do": do})


@pytest.mark.parametrize(
    "code", ["raise RuntimeError('no key set')", "import sys; sys.exit(0)", "handler_is_missing = 1", "while True: pass"]
)
async def test_code_that_does_not_start_fails_every_call(run: Callable, code: str, monkeypatch) -> None:
    monkeypatch.setattr(lambda_runtime, "INIT_SECONDS", 1.0)
    host, _ = run(code)
    for _ in range(2):
        with pytest.raises(FunctionCrashed):
            await host.invoke({"do": ""})


async def test_an_abandoned_call_cannot_answer_the_next_one(run: Callable) -> None:
    host, lines = run()
    abandoned = asyncio.create_task(host.invoke({"do": "slow echo", "n": 1}))
    await _until(lines, "started")
    abandoned.cancel()
    assert (await host.invoke({"do": "", "n": 2}))["event"]["n"] == 2


async def test_calls_at_the_same_time_each_get_their_own_answer(run: Callable) -> None:
    host, _ = run()
    answers = await asyncio.gather(*(host.invoke({"do": "", "n": n}) for n in range(50)))
    assert [answer["event"]["n"] for answer in answers] == list(range(50))


async def test_what_the_handler_prints_is_logged_line_by_line(run: Callable) -> None:
    host, lines = run()
    await host.invoke({"do": "print", "text": "one\ntwo"})
    await _until(lines, "to stderr")
    await _until(lines, "two")
    assert "one" in lines


async def test_a_printed_line_without_end_does_not_stop_the_log(run: Callable) -> None:
    host, lines = run()
    await host.invoke({"do": "print", "text": "x" * 600_000})
    await host.invoke({"do": "print", "text": "after"})
    await _until(lines, "after")
    assert sum(len(line) for line in lines if set(line) == {"x"}) == 600_000


async def test_stopping_leaves_no_process(run: Callable) -> None:
    host, _ = run()
    pid = (await host.invoke({"do": ""}))["pid"]
    await host.stop()
    assert not psutil.pid_exists(pid)


def test_code_that_is_not_the_deployed_one_is_refused(deploy: Callable, aws: Callable, tmp_path: Path) -> None:
    function = deploy()
    aws("s3").put_object(Bucket="artifacts", Key="authorizer/code.zip", Body=b"exchanged after the deployment")
    with pytest.raises(FunctionUnusable, match="not the deployed one"):
        lambda_runtime.read_function(function.name, tmp_path / "again", aws("lambda"))


def test_code_that_is_gone_is_refused(deploy: Callable, aws: Callable, tmp_path: Path) -> None:
    function = deploy()
    aws("s3").delete_object(Bucket="artifacts", Key="authorizer/code.zip")
    with pytest.raises(FunctionUnusable, match="not where it was put"):
        lambda_runtime.read_function(function.name, tmp_path / "again", aws("lambda"))


def test_a_runtime_that_is_not_python_is_refused(deploy: Callable) -> None:
    with pytest.raises(FunctionUnusable, match="not a zip for Python"):
        deploy(Runtime="nodejs22.x")


def test_a_function_that_is_not_deployed_is_refused(aws: Callable, tmp_path: Path) -> None:
    with pytest.raises(FunctionUnusable, match="not deployed"):
        lambda_runtime.read_function("absent", tmp_path, aws("lambda"))


def test_the_environment_never_holds_the_hosts_credentials(deploy: Callable, monkeypatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a real one")
    function = replace(deploy(), environment={"AWS_REGION": "elsewhere"})
    assert lambda_runtime.variables(function)["AWS_SECRET_ACCESS_KEY"] == "local"
    assert lambda_runtime.variables(function)["AWS_REGION"] == "us-east-1"


def test_lines_reach_the_log_group_and_the_file_in_order(aws: Callable, tmp_path: Path, poll: Callable) -> None:
    logs = aws("logs")
    logs.create_log_group(logGroupName="/aws/lambda/ordered")
    shipper = LogShipper(logs, "/aws/lambda/ordered", "2026/11/24/[$LATEST]x", tmp_path / "log" / "authorizer.log")
    expected = [f"line {n}" for n in range(2500)]
    for line in expected:
        shipper.write(line)
    shipper.close()
    sent = [event["message"] for event in _events(logs, "/aws/lambda/ordered")]
    assert sent == expected
    assert (tmp_path / "log" / "authorizer.log").read_text().splitlines() == expected
    assert (tmp_path / "log" / "authorizer.log").stat().st_mode & 0o777 == 0o600


def _events(logs, group: str) -> list[dict]:
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    return [event for page in pages for event in page["events"]]


async def test_more_calls_at_once_than_are_reserved_are_throttled(deploy: Callable, aws: Callable, tmp_path: Path) -> None:
    name, lines = deploy().name, []
    aws("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=2)
    host = LambdaRuntime(lambda_runtime.read_function(name, tmp_path / "reserved", aws("lambda")), lines.append)
    try:
        ended = await asyncio.gather(*(host.invoke({"do": "slow echo"}) for _ in range(3)), return_exceptions=True)
        assert [type(one) for one in ended] == [dict, dict, FunctionThrottled]
        assert [line.endswith(THROTTLED) for line in lines if line != "started"] == [True]
        # Those that are over make room.
        assert await host.invoke({})
    finally:
        await host.stop()


def test_of_a_function_that_may_not_run_at_all_no_call_is_made(deploy: Callable, aws: Callable, tmp_path: Path) -> None:
    name = deploy().name
    aws("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert lambda_runtime.read_function(name, tmp_path / "none", aws("lambda")).concurrency == 0
