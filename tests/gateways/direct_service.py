"""The service in direct mode, as a process of its own, with the tables, buckets and user pool of a local environment."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from local_cloud import deploy
from local_cloud.__main__ import client
from local_cloud.ecs_agent import container_of, environment_of
from local_cloud.lambda_runtime import read_function

STARTING_SECONDS = 60


def variables(state: Path, directory: Path, port: int) -> dict[str, str]:
    """What docs/direct-identity.md says that the process has to be told, from what is deployed: the API's task and the
    authorizer's function, whose package has the user pool's keys. ``state`` is the local environment's directory, ``directory``
    one for the process."""
    outputs = json.loads((state / "outputs.json").read_text())
    endpoint = json.loads((state / "environment.json").read_text())["aws_endpoint"]
    of_task = environment_of(
        container_of(outputs["api_service"], outputs["cluster"], client(endpoint, "ecs")), lambda name: client(endpoint, name)
    )
    authorizer = read_function(outputs["authorizer_function"], directory / "authorizer", client(endpoint, "lambda"))
    return (
        of_task
        | authorizer.environment
        | deploy.emulated_aws(endpoint)
        | {
            "HEARTMAP_IDENTITY": "direct",
            "HEARTMAP_INTERNAL_HOST": "localhost",
            "HEARTMAP_TRUSTED_PROXIES": "127.0.0.1/32",
            "HEARTMAP_JWKS_FILE": str(authorizer.code / "lambda_authorizer" / "jwks.json"),
            "HEARTMAP_PORT": str(port),
            "HEARTMAP_BIND_ADDRESS": "127.0.0.1",
            "HEARTMAP_SCRATCH_DIR": str(directory),
            "TMPDIR": str(directory),
        }
    )


@contextlib.contextmanager
def running_service(environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process, answering, with these variables of ours and no others."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HEARTMAP_", "PULUMI_"))}
    command = [sys.executable, "-m", "heartmap_service.api"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=clean | environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait(f"https://127.0.0.1:{environment['HEARTMAP_PORT']}/healthz", process, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(probe: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            # Its certificate is its own: a new one at each start.
            if httpx.get(probe, verify=False, timeout=5).status_code == 200:  # noqa: S501
                return
        time.sleep(0.1)
    raise AssertionError(f"The service does not answer:\n{log.read_text()[-2000:]}")
