"""An emulated AWS in a process of its own, with a stack in it that the real engine deployed: an account for a scanner."""

import contextlib
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import boto3

from local_cloud.engine import PROJECT

START_SECONDS = 60


@contextlib.contextmanager
def aws() -> Iterator[str]:
    """An emulated AWS with nothing in it: its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "local_cloud.moto_server", "--port", str(port)],
        # A certificate's validation takes a minute there as well, unless told otherwise.
        env=os.environ | {"MOTO_ACM_VALIDATION_WAIT": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port):
            assert server.poll() is None, "the emulated AWS ended: run python -m local_cloud.moto_server --port 0 to see why"  # noqa: S101
            assert time.monotonic() < deadline, "the emulated AWS did not start"  # noqa: S101
            time.sleep(0.05)
        yield url
    finally:
        server.terminate()
        server.wait(20)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def stack_files(project: Path, stack: str, endpoint: str) -> None:
    """Write the stack's files into ``project``, and make the hosted zone that prod's placeholder stands for."""
    for name in ("Pulumi.yaml", f"Pulumi.{stack}.yaml"):
        text = (PROJECT / name).read_text(encoding="utf-8")
        if "Z0123456789EXAMPLE" in text:
            route53 = boto3.Session("testing", "testing", region_name="us-east-1").client("route53", endpoint_url=endpoint)
            zone = route53.create_hosted_zone(Name="example.org", CallerReference=stack)["HostedZone"]["Id"]
            text = text.replace("Z0123456789EXAMPLE", zone.rsplit("/", 1)[-1])
        (project / name).write_text(text, encoding="utf-8")


@contextlib.contextmanager
def deployed(stack: str) -> Iterator[str]:
    """An emulated AWS in which a stack of this project is deployed: its URL. Raises RuntimeError when it could not be."""
    with aws() as endpoint, tempfile.TemporaryDirectory(prefix="heartmap-posture-") as directory:
        state = Path(directory)
        (state / "project").mkdir()
        stack_files(state / "project", stack, endpoint)
        # In a process of its own: the SDK keeps global state, and the deployment sets this machine's AWS variables.
        process = multiprocessing.get_context("spawn").Process(target=_deploy, args=(stack, state, endpoint))
        process.start()
        process.join()
        if process.exitcode:
            raise RuntimeError(f"the stack {stack} could not be deployed into an emulated AWS: the reason stands above")
        yield endpoint


def _deploy(stack: str, state: Path, endpoint: str) -> None:
    from local_cloud.deploy import WITHOUT_CHECKPOINTS, Deployment

    os.environ.update(WITHOUT_CHECKPOINTS)
    Deployment(stack=stack, state=state, endpoint=endpoint, project=state / "project").up()
