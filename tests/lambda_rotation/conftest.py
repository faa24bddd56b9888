"""The authorizer's secret, the service's parameter and the API's ECS service in an emulated AWS, and Secrets Manager's part."""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.moto_api._internal.models import moto_api_backend
from moto.secretsmanager.models import secretsmanager_backends

from infra.data import new_authorizer_secret, service_secret
from lambda_rotation.handler import Configuration, Rotation

REGION = "us-east-1"
PARAMETER, CLUSTER, SERVICE = "/heartmap-dev/assertion-keys", "heartmap-dev", "heartmap-dev-api"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:rotation"
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


class Cloud:
    """What the stack deploys, and what Secrets Manager does with it."""

    def __init__(self, secret: str) -> None:
        self.secrets, self.ssm, self.ecs, self.kms = (
            boto3.client(service, region_name=REGION) for service in ("secretsmanager", "ssm", "ecs", "kms")
        )
        key = self.kms.create_key()["KeyMetadata"]["Arn"]
        self.arn = self.secrets.create_secret(Name="heartmap-dev/authorizer", SecretString=secret)["ARN"]
        # Not by RotateSecret: moto would look for the function and call it.
        kept = self._kept()
        kept.rotation_requested, kept.rotation_enabled, kept.rotation_lambda_arn = True, True, FUNCTION
        self.ssm.put_parameter(Name=PARAMETER, Value=service_secret(secret), Type="SecureString", KeyId=key)
        self.ecs.create_cluster(clusterName=CLUSTER)
        self.ecs.register_task_definition(family="api", containerDefinitions=[{"name": "api", "image": "i", "memory": 1}])
        # No task: in moto, as in ECS, its deployment is complete then.
        self.ecs.create_service(cluster=CLUSTER, serviceName=SERVICE, taskDefinition="api", desiredCount=0)
        self.configuration = Configuration(self.arn, PARAMETER, key, CLUSTER, SERVICE)
        self.deployments: list[dict[str, Any]] = []
        self.parameters_written: list[dict[str, Any]] = []
        self.ecs.meta.events.register("provide-client-params.ecs.UpdateService", self._deployed)
        self.ssm.meta.events.register("provide-client-params.ssm.PutParameter", self._written)
        self.rotation = Rotation(self.configuration, self.secrets, self.ssm, self.ecs)

    def _written(self, params: dict[str, Any], **_: Any) -> None:
        self.parameters_written.append(dict(params))

    def _deployed(self, params: dict[str, Any], **_: Any) -> None:
        self.deployments.append(dict(params))

    def _kept(self) -> Any:
        return secretsmanager_backends["123456789012"][REGION].secrets[self.arn]

    def start(self) -> str:
        """A new pending version without a value, as RotateSecret leaves it for the function; its id."""
        token = str(uuid.uuid4())
        secret = self._kept()
        secret.remove_version_stages_from_old_versions(["AWSPENDING"])
        secret.versions[token] = {"createdate": 0, "version_id": token, "version_stages": ["AWSPENDING"]}
        return token

    def step(self, name: str, token: str) -> None:
        self.rotation.step({"Step": name, "SecretId": self.arn, "ClientRequestToken": token})

    def rotate(self) -> None:
        """One whole rotation."""
        token = self.start()
        for name in STEPS:
            self.step(name, token)

    def secret(self, stage: str = "AWSCURRENT") -> dict[str, Any]:
        return json.loads(self.secrets.get_secret_value(SecretId=self.arn, VersionStage=stage)["SecretString"])

    def parameter(self) -> dict[str, str]:
        """The keys that a task started now verifies by."""
        answer = self.ssm.get_parameter(Name=PARAMETER, WithDecryption=True)["Parameter"]
        return json.loads(answer["Value"])["assertion_keys"]


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        # Within another test's mock in the same process, this one begins with what is there.
        moto_api_backend.reset()
        yield


@pytest.fixture
def cloud(emulated: None) -> Cloud:
    """A stack as it is deployed first."""
    return Cloud(new_authorizer_secret())


@pytest.fixture
def cloud_with(emulated: None) -> Callable[[str], Cloud]:
    """A stack with a secret of one's own."""
    return Cloud
