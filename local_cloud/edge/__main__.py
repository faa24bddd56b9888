"""Serves the deployed REST API: ``python -m local_cloud.edge --state DIR --port 8443``."""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from local_cloud import deployed, serving, signatures
from local_cloud.edge import integration, rest_api, signature, targets, waf, waf_log
from local_cloud.edge.app import Edge
from local_cloud.edge.interpret import Uninterpretable, require
from local_cloud.edge.protocol import Protocol
from local_cloud.edge.rest_api import FunctionIntegration, Integration
from local_cloud.edge.waf import WebAcl
from local_cloud.lambda_runtime import FunctionCrashed, FunctionUnusable, LambdaRuntime, read_function
from local_cloud.log_shipper import LogGroupMissing, LogShipper

_log = structlog.get_logger()


@contextlib.asynccontextmanager
async def running_edge(state: Path, port: int) -> AsyncIterator[Edge]:
    """The edge for what is deployed now, with the processes and tasks behind it, while the context lasts.

    Raises Uninterpretable, NotDeployed, FunctionUnusable, LogGroupMissing, or botocore's errors.
    """
    outputs = deployed.outputs(state)
    api_id, stage, stage_arn = (deployed.output(outputs, name) for name in ("rest_api_id", "stage_name", "stage_arn"))
    api = await asyncio.to_thread(rest_api.read, api_id, stage, stage_arn, deployed.client)
    async with contextlib.AsyncExitStack() as stack:
        runtimes = {}
        authorizers = {method.authorizer.function_arn for method in api.methods if method.authorizer}
        integrations = [method.integration for method in api.methods]
        for arn in authorizers:
            runtimes[arn] = await _runtime(arn, "authorizer", state, stack)
        for arn in {each.function_arn for each in integrations if isinstance(each, FunctionIntegration)} - authorizers:
            runtimes[arn] = await _runtime(arn, arn.rsplit(":", 1)[-1], state, stack)
        groups = {}
        for key in {(each.load_balancer_arn, each.port) for each in integrations if isinstance(each, Integration)}:
            groups[key] = targets.read(*key, deployed.client)
            await groups[key].refresh()
            watching = asyncio.create_task(groups[key].watch())
            stack.callback(watching.cancel)
        record = _discard
        if api.access_log:
            record = _shipper(api.access_log.log_group, f"{uuid4()}", state / "log" / "edge-access.log", stack).write
        web_acl = _web_acl(outputs, stage_arn)
        record_waf = _discard
        if web_acl and (group := waf_log.log_group(web_acl.arn, deployed.client("wafv2"))):
            record_waf = _shipper(group, f"{uuid4()}", state / "log" / "edge-waf.log", stack).write
        yield Edge(
            api=api,
            web_acl=web_acl,
            hosts=frozenset(f"{name}:{port}" for name in ("localhost", serving.HOST)),
            runtimes=runtimes,
            groups=groups,
            client=await stack.enter_async_context(integration.make_client()),
            ask=signature.asking(deployed.endpoint(), signatures.PATH),
            record=record,
            record_waf=record_waf,
        )


async def _runtime(function_arn: str, log: str, state: Path, stack: contextlib.AsyncExitStack) -> LambdaRuntime:
    name = function_arn.rsplit(":", 1)[-1]
    function = read_function(function_arn, state / "run" / "lambda" / name, deployed.client("lambda"))
    shipper = _shipper(function.log_group, function.log_stream, state / "log" / f"{log}.log", stack)
    runtime = LambdaRuntime(function, shipper.write)
    stack.push_async_callback(runtime.stop)
    try:
        await runtime.start()
    except FunctionCrashed:
        # As in AWS: the API is up, every call that needs it is refused with 500, and the function's log says why.
        _log.error("the function refuses to start", function=name, log_group=function.log_group)
    return runtime


def _shipper(group: str, stream: str, file: Path, stack: contextlib.AsyncExitStack) -> LogShipper:
    shipper = LogShipper(deployed.client("logs"), group, stream, file)
    stack.callback(shipper.close)
    return shipper


def _discard(_line: str) -> None:
    """For a log that there is not."""


def _web_acl(outputs: dict[str, Any], stage_arn: str) -> WebAcl | None:
    acl = waf.read(stage_arn, deployed.client("wafv2"))
    expected = outputs.get("web_acl_arn") or None
    require((acl and acl.arn) == expected, "The web ACL of the stack is not the one that is associated with the stage.")
    return acl


async def serve(state: Path, port: int) -> None:
    """Serves until SIGTERM or SIGINT. Raises what running_edge raises, and PortTaken."""
    with serving.listen(port) as listener:
        async with running_edge(state, listener.getsockname()[1]) as edge:
            await serving.serve("edge", edge, listener, state / "tls", protocol=Protocol)


def main(arguments: list[str] | None = None) -> int:
    """Runs the edge; 1 with a sentence on standard error when it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m local_cloud.edge", description="The local edge in front of the service.")
    parser.add_argument("--state", type=Path, required=True, help="directory with the stack's outputs.json")
    parser.add_argument("--port", type=int, default=8443, help="port on the loopback (8443)")
    options = parser.parse_args(arguments)
    serving.log_as_json()
    try:
        asyncio.run(serve(options.state.absolute(), options.port))
    except (Uninterpretable, deployed.NotDeployed, FunctionUnusable, LogGroupMissing, serving.PortTaken) as error:
        sys.stderr.write(f"The edge does not start. {error}\n")
    except (BotoCoreError, ClientError):
        _log.exception("reading the deployed stack failed")
        sys.stderr.write("The edge does not start. The emulated AWS does not hold what outputs.json names. Run make local.\n")
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
