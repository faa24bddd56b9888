"""What the processes of the local environment know about the stack: its outputs and clients of the emulated AWS."""

import json
import os
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config


class NotDeployed(Exception):
    """There is no stack to serve, or it cannot be read. The text says what to do."""


def outputs(state: Path) -> dict[str, Any]:
    """The outputs of the stack, from ``outputs.json`` in the state directory. Raises NotDeployed."""
    try:
        values = json.loads((state / "outputs.json").read_bytes())
    except FileNotFoundError:
        raise NotDeployed("The local stack is not deployed: outputs.json is missing. Run make local.") from None
    except (OSError, ValueError):
        raise NotDeployed("The stack's outputs.json cannot be read. Run make local-down and make local.") from None
    if not isinstance(values, dict):
        raise NotDeployed("The stack's outputs.json is not an object. Run make local-down and make local.")
    return values


def output(values: dict[str, Any], name: str) -> str:
    """One output that has to be a non-empty string. Raises NotDeployed."""
    value = values.get(name)
    if not isinstance(value, str) or not value:
        raise NotDeployed(f"The stack has no output {name}. Run make local.")
    return value


INSIDE = "AWS-Internal"
"""Part of the user agent of what stands for AWS's own works, whose looks at the stack are no calls of the account."""

_NAMELESS = "AWS_ENDPOINT_URL and AWS_REGION have to name the emulated AWS. make local sets them."


def endpoint() -> str:
    """The address of the emulated AWS. Raises NotDeployed where the environment names none."""
    address = os.environ.get("AWS_ENDPOINT_URL")
    if not address:
        raise NotDeployed(_NAMELESS)
    return address


def client(service: str) -> Any:
    """A boto3 client of the emulated AWS that the environment names. Raises NotDeployed where it names none.

    Real AWS is never asked: without AWS_ENDPOINT_URL there is no client.
    """
    address, region = endpoint(), os.environ.get("AWS_REGION")
    if not region:
        raise NotDeployed(_NAMELESS)
    retries: Any = {"max_attempts": 3, "mode": "standard"}
    config = Config(connect_timeout=5, read_timeout=20, retries=retries, user_agent_extra=INSIDE)
    return boto3.client(service, region_name=region, endpoint_url=address, config=config)  # pyright: ignore[reportCallIssue, reportArgumentType] # a name known at run time
