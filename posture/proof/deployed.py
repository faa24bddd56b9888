"""The export of a stack that the real engine deployed into an emulated AWS, for whoever has none of their own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import boto3

from local_cloud.deploy import CREDENTIALS, REGION, WITHOUT_CHECKPOINTS, DeployFailed, Deployment
from local_cloud.engine import PROJECT, EngineMissing
from local_cloud.moto_server import running_moto

_PLACEHOLDER = "Z0123456789EXAMPLE"
_ZONE = "example.org"


def export(stack: str) -> str:
    """Deploy a stack in a process of its own (the SDK and the emulated AWS keep their state for a process) and export it.

    Raises subprocess.CalledProcessError; the process has said why.
    """
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "export.json"
        # A certificate's validation takes a minute there as well, unless told otherwise.
        environment = os.environ | {"MOTO_ACM_VALIDATION_WAIT": "1"} | WITHOUT_CHECKPOINTS
        command = [sys.executable, "-W", "ignore", "-m", "posture.proof.deployed", stack, str(file)]
        subprocess.run(command, check=True, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL)
        return file.read_text(encoding="utf-8")


def _deploy(stack: str, file: Path) -> None:
    project = file.parent / "project"
    project.mkdir()
    with running_moto() as endpoint:
        settings = (PROJECT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8")
        if _PLACEHOLDER in settings:
            # The zone that the placeholder stands for: it exists before the stack does.
            session = boto3.Session(*CREDENTIALS.values(), region_name=REGION)
            zones = session.client("route53", endpoint_url=endpoint)
            zone = zones.create_hosted_zone(Name=_ZONE, CallerReference="proof")["HostedZone"]["Id"].rsplit("/", 1)[-1]
            settings = settings.replace(_PLACEHOLDER, zone)
        (project / f"Pulumi.{stack}.yaml").write_text(settings, encoding="utf-8")
        (project / "Pulumi.yaml").write_text((PROJECT / "Pulumi.yaml").read_text(encoding="utf-8"), encoding="utf-8")
        deployment = Deployment(stack=stack, state=file.parent, endpoint=endpoint, project=project)
        deployment.up()
        state = deployment.select().export_stack()
    file.write_text(json.dumps({"version": state.version, "deployment": state.deployment}), encoding="utf-8")


if __name__ == "__main__":
    try:
        _deploy(sys.argv[1], Path(sys.argv[2]))
    except (DeployFailed, EngineMissing) as error:
        sys.exit(str(error))
