"""What planning and deploying the stack costs, as ratios in one run to a bare program of as many resources.

    make bench

Both are run by the same engine with the same provider into the same emulated AWS, each from nothing. The bare program registers
one log group after another, with no component, policy or output between them: what no program of that many resources can do without.
Time is wall time within the interpreter that runs the program (its imports included); memory is the peak of that interpreter.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pulumi.automation as auto

from local_cloud import deploy
from local_cloud.moto_server import running_moto

STACKS = ("local", "dev")
ROUNDS = 3
MIB = 1024


def bare(count: int) -> None:
    """As many log groups; the provider counts as a resource, and so does the stack itself."""
    import pulumi
    import pulumi_aws as aws

    provider = aws.Provider("aws", region=deploy.REGION)
    for number in range(count - 2):
        aws.cloudwatch.LogGroup(f"group-{number}", name=f"/bare/{number}", opts=pulumi.ResourceOptions(provider=provider))


def measure(work: str, stack: str, endpoint: str, count: int) -> dict[str, float]:
    """One plan or deployment of the stack, or of the bare program where `count` is not 0."""
    if count:
        deploy._program = lambda: bare(count)
    with tempfile.TemporaryDirectory() as state:
        selected = deploy.Deployment(stack=stack, state=Path(state), endpoint=endpoint).select()
        resources = 0

        def on_event(event: auto.events.EngineEvent) -> None:
            nonlocal resources
            resources += event.resource_pre_event is not None

        started = time.perf_counter()
        (selected.preview if work == "plan" else selected.up)(on_event=on_event)
        seconds = time.perf_counter() - started
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB
        if work == "up":
            selected.destroy()
    return {"seconds": seconds, "mib": memory, "resources": resources}


def run(work: str, stack: str, endpoint: str, count: int = 0) -> dict[str, Any]:
    """`measure` in an interpreter of its own."""
    arguments = [sys.executable, __file__, work, stack, endpoint, str(count)]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    os.environ["MOTO_ACM_VALIDATION_WAIT"] = "1"
    print("Stack against a bare program of as many resources: time and memory of the one by those of the other")
    with running_moto() as endpoint:
        for stack in STACKS:
            for work in ("plan", "up"):
                pairs = []
                for _ in range(ROUNDS):
                    ours = run(work, stack, endpoint)
                    pairs.append((ours, run(work, stack, endpoint, ours["resources"])))
                time_ratio = statistics.median(ours["seconds"] / plain["seconds"] for ours, plain in pairs)
                memory_ratio = statistics.median(ours["mib"] / plain["mib"] for ours, plain in pairs)
                count = pairs[0][0]["resources"]
                print(f"  {f'{work} of {stack}, {count} resources':40} time {time_ratio:6.2f}   memory {memory_ratio:6.2f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))))
    else:
        main()
