"""The bastion of an environment, as AWS knows it: its instance of today, sessions on it, and a key for a minute.

What this asks of AWS is what the stack's policy for operators allows, and no more (infra/bastion.py).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, ValidationError

from operator_cli.aws_errors import code_of, in_words
from operator_cli.environments import Environment, description_file
from operator_cli.errors import CliError

TUNNEL_USER = "tunnel"
"""Whom the SSH server on the bastion knows (infra/bastion.py)."""
FORWARD_DOCUMENT, SSH_DOCUMENT = "AWS-StartPortForwardingSessionToRemoteHost", "AWS-StartSSHSession"
# An instance of the bastion's kind has started, and its agent has told Session Manager of it, after about a minute.
START_SECONDS = 180
PAUSE_SECONDS = 5
_CONFIG = Config(connect_timeout=10, read_timeout=30, retries={"mode": "standard", "max_attempts": 3})


class Place(BaseModel):
    """Where the bastion is: outputs of the stack, of which the description of an environment is made."""

    model_config = ConfigDict(extra="ignore")

    region: str
    bastion_group: str
    internal_host: str


def place(environment: Environment) -> Place:
    """Raises CliError where the environment has no bastion."""
    if environment.is_local:
        raise CliError(
            "The local environment has no bastion: whatever belongs to it listens on this machine.",
            code="no_bastion",
            next_step=f"Call its API: {environment.command('api', 'GET', '/health')}",
        )
    try:
        return Place.model_validate_json(description_file(environment.name).read_bytes())
    except ValidationError:
        raise CliError(
            f"The {environment.name} environment has no bastion, or its description is older than the bastion.",
            code="no_bastion",
            next_step="Set heartmap:bastion to true, deploy, and save the stack's outputs anew; or use the VPN (docs/access.md).",
        ) from None


@dataclass(frozen=True, kw_only=True)
class Session:
    """A session as Session Manager opened it. ``response`` holds its token, which the plugin alone may see."""

    session_id: str
    response: Mapping[str, str]
    request: Mapping[str, Any]
    region: str
    endpoint: str


class Bastion:
    """``note`` is told what is waited for."""

    def __init__(self, where: Place, note: Callable[[str], None]) -> None:
        self._where, self._note = where, note
        with in_words():
            self._aws = boto3.Session(region_name=where.region)

    def instance(self) -> str:
        """The id of the instance that runs, once it does. Raises CliError when the bastion is stopped, or there is none."""
        return self._wait_for(self._running)

    @contextmanager
    def session(self, instance: str, document: str, parameters: Mapping[str, str]) -> Iterator[Session]:
        """A session on the instance, which is ended in any case. Raises CliError when Session Manager refuses it."""
        request = {
            "Target": instance,
            "DocumentName": document,
            "Parameters": {name: [value] for name, value in parameters.items()},
        }
        client = self._client("ssm")
        with in_words():
            answer = self._wait_for(lambda: self._start(client, request))
        try:
            yield Session(
                session_id=answer["SessionId"],
                response={name: answer[name] for name in ("SessionId", "TokenValue", "StreamUrl")},
                request=request,
                region=self._where.region,
                endpoint=client.meta.endpoint_url,
            )
        finally:
            self._end(client, answer["SessionId"])

    def admit(self, instance: str, public_key: str) -> None:
        """Have the SSH server take a key, for a minute.

        https://docs.aws.amazon.com/ec2-instance-connect/latest/APIReference/API_SendSSHPublicKey.html
        """
        with in_words():
            self._client("ec2-instance-connect").send_ssh_public_key(
                InstanceId=instance, InstanceOSUser=TUNNEL_USER, SSHPublicKey=public_key
            )

    def _end(self, client: Any, session_id: str) -> None:
        try:
            with in_words():
                client.terminate_session(SessionId=session_id)
        except CliError as error:
            self._note(f"The session was not ended: {error.message} Session Manager ends it when it has been idle for a while.")

    def _client(self, service: str) -> Any:
        return self._aws.client(service, config=_CONFIG)  # pyright: ignore[reportCallIssue, reportArgumentType]  (any service)

    def _wait_for(self, ask: Callable[[], Any]) -> Any:
        """The first answer. The time is counted in pauses, so that a clock that is set meanwhile does no harm."""
        for attempt in range(int(START_SECONDS / PAUSE_SECONDS)):
            found = ask()
            if found is not None:
                return found
            if attempt == 0:
                self._note("The bastion is starting; this takes about a minute.")
            time.sleep(PAUSE_SECONDS)
        raise CliError(
            "The bastion has started, and Session Manager does not know it yet.",
            code="bastion_not_ready",
            next_step="Try again in a few minutes; if it stays, an administrator can look at the agent on the instance.",
        )

    def _running(self) -> str | None:
        name = self._where.bastion_group
        with in_words():
            groups = self._client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
        if not groups:
            raise CliError(
                f"The AWS account of these credentials has no bastion {name} in {self._where.region}.",
                code="no_bastion",
                next_step="Which account it is: aws sts get-caller-identity. Another one: AWS_PROFILE, or aws sso login.",
            )
        (group,) = groups
        ready = [each["InstanceId"] for each in group["Instances"] if each["LifecycleState"] == "InService"]
        if not ready and group["DesiredCapacity"] == 0:
            raise CliError(
                "The bastion is stopped: it runs in the environment's working hours (heartmap:working_hours).",
                code="bastion_stopped",
                next_step="An administrator can start it before: "
                f"aws autoscaling set-desired-capacity --auto-scaling-group-name {name} --desired-capacity 1",
            )
        return ready[0] if ready else None

    @staticmethod
    def _start(client: Any, request: Mapping[str, Any]) -> Any:
        """None while the instance has not told Session Manager of itself.

        https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartSession.html#API_StartSession_Errors
        """
        try:
            return client.start_session(**request)
        except ClientError as error:
            if code_of(error) == "TargetNotConnected":
                return None
            raise
