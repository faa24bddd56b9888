"""Runs every scheduled rule that is deployed, as EventBridge does: ``python -m local_cloud.scheduler --state DIR``.

Each target has to be a Lambda function that admits the rule; it runs from its deployed zip. What cannot be interpreted stops the
program with an error. A rule's first call is made at once, where EventBridge waits for one interval; ``--once`` makes no other.
"""

import argparse
import asyncio
import contextlib
import json
import re
import sys
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from local_cloud import deployed, serving
from local_cloud.edge.interpret import Uninterpretable, require
from local_cloud.lambda_runtime import (
    FunctionCrashed,
    FunctionError,
    FunctionThrottled,
    FunctionTimedOut,
    FunctionUnusable,
    LambdaRuntime,
    read_function,
)
from local_cloud.log_shipper import LogGroupMissing, LogShipper

_log = structlog.get_logger()

_RATE = re.compile(r"rate\(([1-9][0-9]*) (minute|hour|day)s?\)")
_SECONDS = {"minute": 60, "hour": 3600, "day": 24 * 3600}


@dataclass(frozen=True)
class Call:
    """What a rule calls, every so many seconds: the function with this ARN, with ``given``, or else EventBridge's own event."""

    rule: str
    rule_arn: str
    every: float
    function_arn: str
    given: str | None

    def event(self) -> dict[str, Any]:
        """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html"""
        if self.given is not None:
            return json.loads(self.given)
        _, _, _, region, account, _ = self.rule_arn.split(":", 5)
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": account,
            "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "region": region,
            "resources": [self.rule_arn],
            "detail": {},
        }


def seconds(expression: str) -> float:
    """The interval of a schedule. Raises Uninterpretable."""
    found = _RATE.fullmatch(expression)
    require(found, f"The schedule {expression} is not a rate: nothing else is run here.")
    return int((found or [])[1]) * _SECONDS[(found or [])[2]]


def calls(events: Any, functions: Any) -> list[Call]:
    """What the rules of the default bus call that are schedules and enabled. Raises Uninterpretable and botocore's errors."""
    found: list[Call] = []
    for page in events.get_paginator("list_rules").paginate():
        for rule in page["Rules"]:
            if "ScheduleExpression" not in rule or rule["State"] != "ENABLED":
                continue
            for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                unknown = target.keys() - {"Id", "Arn", "Input"}
                require(
                    not unknown, f"The target of the rule {rule['Name']} says {', '.join(unknown)}, which nothing here knows."
                )
                require(":lambda:" in target["Arn"], f"The rule {rule['Name']} has a target that is no Lambda function.")
                require(
                    admitted(rule["Arn"], target["Arn"], functions), f"{target['Arn']} does not admit the rule {rule['Name']}."
                )
                every = seconds(rule["ScheduleExpression"])
                found.append(Call(rule["Name"], rule["Arn"], every, target["Arn"], target.get("Input")))
    return found


def admitted(rule_arn: str, function_arn: str, functions: Any) -> bool:
    """Whether the function's policy lets EventBridge call it for this rule."""
    try:
        policy = json.loads(functions.get_policy(FunctionName=function_arn)["Policy"])
    except functions.exceptions.ResourceNotFoundException:
        return False
    return any(
        statement["Effect"] == "Allow"
        and statement["Action"] == "lambda:InvokeFunction"
        and statement["Principal"] == {"Service": "events.amazonaws.com"}
        and statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn") == rule_arn
        for statement in policy["Statement"]
    )


async def run(call: Call, state: Path, *, once: bool) -> bool:
    """Makes the calls of one rule; whether the last one succeeded. Raises FunctionUnusable and LogGroupMissing."""
    name = call.function_arn.rsplit(":", 1)[-1]
    # Its code is unpacked for this process alone: --once may run beside the one that is always there.
    directory = state / "run" / "scheduled" / f"{name}-{uuid.uuid4().hex[:8]}"
    function = await asyncio.to_thread(read_function, call.function_arn, directory, deployed.client("lambda"))
    shipper = LogShipper(deployed.client("logs"), function.log_group, function.log_stream, state / "log" / f"{name}.log")
    runtime = LambdaRuntime(function, shipper.write)
    succeeded = False
    try:
        while True:
            began = time.monotonic()
            try:
                await runtime.invoke(call.event())
                succeeded = True
            except (FunctionError, FunctionCrashed, FunctionThrottled, FunctionTimedOut):
                succeeded = False
                _log.warning("the scheduled function failed", function=name, rule=call.rule, log_group=function.log_group)
            if once:
                return succeeded
            await asyncio.sleep(max(0.0, began + call.every - time.monotonic()))
    finally:
        await runtime.stop()
        shipper.close()


async def schedule(state: Path, *, once: bool) -> bool:
    """Runs all rules beside one another. Raises Uninterpretable, FunctionUnusable, LogGroupMissing and botocore's errors."""
    found = calls(deployed.client("events"), deployed.client("lambda"))
    _log.info("scheduled", rules=[call.rule for call in found])
    if not found and not once:
        # Where every rule is switched off, nothing has ended: whoever switches one on starts this anew.
        await asyncio.Event().wait()
    return all(await asyncio.gather(*(run(call, state, once=once) for call in found)))


def main(arguments: list[str] | None = None) -> int:
    """Runs until it is stopped; 1 with a sentence on standard error when it cannot start, or when a call of ``--once`` failed."""
    parser = argparse.ArgumentParser(prog="python -m local_cloud.scheduler", description="The schedules of the local stack.")
    parser.add_argument("--state", type=Path, required=True, help="directory with the stack's outputs.json")
    parser.add_argument("--once", action="store_true", help="call everything once and end")
    options = parser.parse_args(arguments)
    serving.log_as_json()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            return 0 if asyncio.run(schedule(options.state.absolute(), once=options.once)) else 1
    except (Uninterpretable, deployed.NotDeployed, FunctionUnusable, LogGroupMissing) as error:
        sys.stderr.write(f"The scheduler does not start. {error}\n")
    except (BotoCoreError, ClientError):
        _log.exception("reading the deployed rules failed")
        sys.stderr.write("The scheduler does not start. The emulated AWS does not hold the stack. Run make local.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
