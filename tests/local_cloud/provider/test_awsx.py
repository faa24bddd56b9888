from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, resource_pb2, resource_pb2_grpc

from local_cloud.provider import awsx, wire
from local_cloud.provider.framework import UNKNOWN, Refused

DOCKERFILE = "heartmap_service/Dockerfile"
REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/heartmap-dev-service"


class Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """The part of the engine that a component talks to."""

    def __init__(self) -> None:
        self.registered: list[Any] = []
        self.outputs: list[Any] = []

    def RegisterResource(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        self.registered.append(request)
        return resource_pb2.RegisterResourceResponse(urn=f"urn:{request.name}")

    def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        self.outputs.append(request)
        return empty_pb2.Empty()


@pytest.fixture
def monitor() -> Iterator[SimpleNamespace]:
    server, servicer = grpc.server(ThreadPoolExecutor(1)), Monitor()
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield SimpleNamespace(endpoint=f"127.0.0.1:{port}", calls=servicer)
    server.stop(0)


@pytest.fixture(autouse=True)
def checkout(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A checkout with a Dockerfile, which is not the directory that the engine runs in."""
    monkeypatch.setattr(awsx, "CHECKOUT", tmp_path)
    (tmp_path / "heartmap_service").mkdir()
    (tmp_path / DOCKERFILE).write_text("FROM scratch\n")
    return tmp_path


class Refusal(Exception):
    pass


class Context:
    def abort(self, code: Any, details: str) -> None:
        raise Refusal(details)


CONTEXT: Any = Context()


def test_the_component_is_registered_with_its_parent_and_its_image(monitor: SimpleNamespace) -> None:
    inputs = wire.encode({"repositoryUrl": REPOSITORY, "context": ".", "dockerfile": DOCKERFILE, "platform": "linux/arm64"})
    request = provider_pb2.ConstructRequest(
        type=awsx.IMAGE,
        name="service",
        parent="urn:parent",
        inputs=inputs,
        monitorEndpoint=monitor.endpoint,
        providers={"aws": "p"},
    )
    answer = awsx.AwsxProvider().Construct(request, CONTEXT)
    (registered,) = monitor.calls.registered
    assert (registered.type, registered.name, registered.parent, registered.custom) == (
        awsx.IMAGE,
        "service",
        "urn:parent",
        False,
    )
    (outputs,) = monitor.calls.outputs
    assert answer.urn == outputs.urn == "urn:service"
    assert outputs.outputs == answer.state
    assert wire.decode(answer.state)[0]["imageUri"].startswith(f"{REPOSITORY}@sha256:")
    assert list(answer.stateDependencies["imageUri"].urns) == ["urn:service"]


def test_another_component_is_refused(monitor: SimpleNamespace) -> None:
    request = provider_pb2.ConstructRequest(type="awsx:ec2:Vpc", name="network", monitorEndpoint=monitor.endpoint)
    with pytest.raises(Refusal, match=r'^awsx:ec2:Vpc "network": the local cloud knows only awsx:ecr:Image'):
        awsx.AwsxProvider().Construct(request, CONTEXT)
    assert monitor.calls.registered == []


def test_the_digest_follows_the_dockerfile_and_the_arguments(checkout: Any) -> None:
    arguments = {"repositoryUrl": REPOSITORY, "dockerfile": DOCKERFILE}
    first = awsx.image_uri(arguments)
    assert awsx.image_uri(arguments) == first
    assert awsx.image_uri({**arguments, "platform": "linux/amd64"}) != first
    (checkout / DOCKERFILE).write_text("FROM scratch\nUSER 10001\n")
    assert awsx.image_uri(arguments) != first


def test_without_a_repository_yet_the_image_is_unknown() -> None:
    assert awsx.image_uri({"repositoryUrl": UNKNOWN, "dockerfile": DOCKERFILE}) is UNKNOWN


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"repositoryUrl": REPOSITORY, "dockerfile": "missing/Dockerfile"}, "the Dockerfile Dockerfile cannot be read"),
        ({"repositoryUrl": REPOSITORY, "dockerFile": DOCKERFILE}, '"dockerFile"'),
        ({"dockerfile": DOCKERFILE}, '"repositoryUrl" is missing'),
    ],
)
def test_what_cannot_be_built_is_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        awsx.image_uri(arguments)
