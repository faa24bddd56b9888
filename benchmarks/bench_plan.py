"""What planning and deploying the stack costs, as ratios in one run to a bare program of as many resources.

    make bench

Both are run by the same engine with the same provider into the same emulated AWS, each from nothing. The bare program registers
one log group after another, with no component, policy or output between them: what no program of that size can do without. How
the bare program grows with the number of resources is the last figure: what twice as many take by what half of them take.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local_cloud import deploy

STACKS = ("local", "dev")
ROUNDS = 2
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
        started = time.perf_counter()
        selected = deploy.Deployment(stack=stack, state=Path(state), endpoint=endpoint).select()
        resources = 0

        def on_event(event: Any) -> None:
            nonlocal resources
            resources += event.resource_pre_event is not None

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


@contextmanager
def emulated_aws() -> Iterator[str]:
    """In a process of its own: on Linux the peak memory of a process is never below its parent's at the time it was started."""
    command = [sys.executable, "-m", "local_cloud.moto_server", "--port", "0"]
    variables = os.environ | {"MOTO_ACM_VALIDATION_WAIT": "1"}
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            yield server.stdout.readline().split()[-1] if server.stdout else ""
        finally:
            server.terminate()


def main() -> None:
    print("Stack against a bare program of as many resources: time and memory of the one by those of the other")
    with emulated_aws() as endpoint:
        for stack in STACKS:
            for work in ("plan", "up"):
                pairs = []
                for _ in range(ROUNDS):
                    ours = run(work, stack, endpoint)
                    pairs.append((ours, run(work, stack, endpoint, ours["resources"])))
                time_ratio = statistics.median(ours["seconds"] / plain["seconds"] for ours, plain in pairs)
                memory_ratio = statistics.median(ours["mib"] / plain["mib"] for ours, plain in pairs)
                count = pairs[0][0]["resources"]
                half = run(work, stack, endpoint, count // 2)
                growth = statistics.median(plain["seconds"] for _, plain in pairs) / half["seconds"]
                name = f"{work} of {stack}, {count} resources"
                print(
                    f"  {name:30} time {time_ratio:6.2f}   memory {memory_ratio:6.2f}   bare, twice as many {growth:6.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))))
    else:
        main()
