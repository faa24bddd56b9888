"""The rotation of the authorizer's secret: what Secrets Manager calls, once for each of its four steps.

https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html

A step that fails, or that is called twice, leaves a state from which the same rotation can be called again. No text that is
written or raised here holds anything of the secret.
"""

import json
import os
import sys
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
from botocore.config import Config

from lambda_authorizer import environment as variables
from lambda_authorizer.assertion import AssertionRefused, decode_keys, mint, verify
from lambda_rotation import keys

if TYPE_CHECKING:
    from mypy_boto3_ecs.client import ECSClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient
    from mypy_boto3_ssm.client import SSMClient

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"


class RotationFailed(Exception):
    """The step cannot be carried out now. Secrets Manager tries the rotation again, and says that it failed."""


class Configuration(NamedTuple):
    """``key`` encrypts the parameter; ``cluster`` and ``service`` are those of the API, whose tasks read it when they start."""

    secret_arn: str
    parameter: str
    key: str
    cluster: str
    service: str

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> "Configuration":
        """Out of the function's variables. Raises ConfigurationError."""
        return cls(
            variables.required(environ, "HEARTMAP_SECRETS", variables.SECRET_ARN),
            *(
                variables.text(environ, f"HEARTMAP_{name}")
                for name in ("SERVICE_PARAMETER", "SECRETS_KEY", "CLUSTER", "API_SERVICE")
            ),
        )


class Rotation:
    """The four steps for one secret."""

    def __init__(self, configuration: Configuration, secrets: "SecretsManagerClient", ssm: "SSMClient", ecs: "ECSClient") -> None:
        self._configuration = configuration
        self._secrets = secrets
        self._ssm = ssm
        self._ecs = ecs

    def step(self, event: Mapping[str, Any]) -> None:
        """Carry out the step that the event names. Raises RotationFailed, and ValueError for a secret that is malformed."""
        steps = {"createSecret": self._create, "setSecret": self._set, "testSecret": self._test, "finishSecret": self._finish}
        name, token = event.get("Step"), event.get("ClientRequestToken")
        if name not in steps or not isinstance(token, str) or event.get("SecretId") != self._configuration.secret_arn:
            raise RotationFailed("the event is no step of this secret's rotation")
        described = self._secrets.describe_secret(SecretId=self._configuration.secret_arn)
        stages = described.get("VersionIdsToStages", {})
        if not described.get("RotationEnabled") or token not in stages:
            raise RotationFailed("the version is none that this secret is being rotated to")
        if CURRENT in stages[token]:
            _say(name, "done already")
            return
        if PENDING not in stages[token]:
            raise RotationFailed("the version is not the pending one")
        steps[name](token)
        _say(name, "done")

    def at_once(self) -> None:
        """All steps, for whoever rotates a secret that Secrets Manager does not. Raises as ``step`` does."""
        token = str(uuid.uuid4())
        self._create(token)
        self._set(token)
        self._finish(token)

    def _create(self, token: str) -> None:
        """Make the new value, once: another try goes on with the one that is there."""
        if self._value(PENDING, token) is None:
            self._secrets.put_secret_value(
                SecretId=self._configuration.secret_arn,
                ClientRequestToken=token,
                SecretString=keys.rotated(self._current()),
                VersionStages=[PENDING],
            )

    def _set(self, token: str) -> None:
        """Let new tasks know the new keys, and replace the tasks.

        Not while tasks of before the last rotation may run: they would not know the key that is to sign.
        """
        document = keys.service_document(self._current(), self._pending(token))
        if document != self._parameter():
            self._need_one_generation_of_tasks()
            self._ssm.put_parameter(
                Name=self._configuration.parameter,
                Value=document,
                Type="SecureString",
                # Without it the parameter would change to the account's own key of AWS.
                KeyId=self._configuration.key,
                Overwrite=True,
            )
        self._ecs.update_service(
            cluster=self._configuration.cluster, service=self._configuration.service, forceNewDeployment=True
        )

    def _test(self, token: str) -> None:
        """What the pending secret signs, new tasks verify by the parameter, and older ones by what they were started with."""
        signed = mint(
            keys.signing_keys(self._pending(token)),
            principal="rotation",
            groups=(),
            scopes=(),
            route="/",
            method="GET",
            request_id="rotation",
            now=time.time(),
        )
        known = (decode_keys(json.loads(self._parameter())["assertion_keys"]), keys.signing_keys(self._current()).keys)
        for verifying in known:
            try:
                verify(signed, verifying, now=time.time())
            except AssertionRefused:
                raise RotationFailed("the service would refuse what the new secret signs") from None

    def _finish(self, token: str) -> None:
        """Make the pending version the current one, which authorizers read within five minutes.

        Not when the peppers are others by now: the pending version has those of when it was made, and keys would be lost.
        """
        if keys.without_keys(self._pending(token)) != keys.without_keys(self._current()):
            raise RotationFailed("the peppers were rotated meanwhile: the keys are rotated with a new version")
        described = self._secrets.describe_secret(SecretId=self._configuration.secret_arn)
        before = next(version for version, stages in described["VersionIdsToStages"].items() if CURRENT in stages)
        self._test(token)
        self._secrets.update_secret_version_stage(
            SecretId=self._configuration.secret_arn, VersionStage=CURRENT, MoveToVersionId=token, RemoveFromVersionId=before
        )

    def _need_one_generation_of_tasks(self) -> None:
        found = self._ecs.describe_services(cluster=self._configuration.cluster, services=[self._configuration.service])
        deployments = [deployment for service in found["services"] for deployment in service.get("deployments", [])]
        if [deployment.get("rolloutState") for deployment in deployments] != ["COMPLETED"]:
            raise RotationFailed("a deployment of the API is under way, or failed: the keys are rotated when it is complete")

    def _current(self) -> str:
        value = self._value(CURRENT)
        if value is None:
            raise RotationFailed("the secret has no current value")
        return value

    def _pending(self, token: str) -> str:
        value = self._value(PENDING, token)
        if value is None:
            raise RotationFailed("the pending version has no value: createSecret comes first")
        return value

    def _value(self, stage: str, version: str | None = None) -> str | None:
        which = {"VersionId": version} if version else {}
        try:
            answer = self._secrets.get_secret_value(SecretId=self._configuration.secret_arn, VersionStage=stage, **which)
        except self._secrets.exceptions.ResourceNotFoundException:
            return None
        return answer.get("SecretString")

    def _parameter(self) -> str:
        answer = self._ssm.get_parameter(Name=self._configuration.parameter, WithDecryption=True)
        return answer["Parameter"].get("Value", "")


def _say(step: str, outcome: str) -> None:
    sys.stdout.write(json.dumps({"event": "rotation", "step": step, "outcome": outcome}) + "\n")
    sys.stdout.flush()


def handler(event: Mapping[str, Any], context: object) -> None:  # noqa: ARG001  # the signature is Lambda's
    """Carry out one step. Raises RotationFailed, ConfigurationError, and what AWS's clients raise."""
    settings = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
    Rotation(
        Configuration.load(os.environ),
        boto3.client("secretsmanager", config=settings),
        boto3.client("ssm", config=settings),
        boto3.client("ecs", config=settings),
    ).step(event)
