"""The gRPC service that the Pulumi engine starts as `pulumi-resource-awsx`: awsx:ecr:Image, the one component in use.

It stands in for a machine with Docker when the engine tests deploy `dev` and `prod`: the component is registered with the engine,
and its imageUri refers to the repository by digest as a pushed image would. No image is built: the digest is that of the
arguments and the Dockerfile, so that it changes when they do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, resource_pb2, resource_pb2_grpc
from typing_extensions import override

from local_cloud.provider import wire
from local_cloud.provider.framework import UNKNOWN, Refused
from local_cloud.provider.plugin import clear_errors, serve

CHECKOUT: Final = Path(__file__).resolve().parent.parent.parent
IMAGE: Final = "awsx:ecr:Image"
IMAGE_ARGUMENTS: Final = frozenset(
    {"repositoryUrl", "args", "cacheFrom", "context", "dockerfile", "imageName", "imageTag", "platform", "registryId", "target"}
)
_CHANNEL_OPTIONS: Final = [
    ("grpc.max_receive_message_length", wire.MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", wire.MAX_MESSAGE_BYTES),
]


class AwsxProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Constructs awsx:ecr:Image and nothing else."""

    @override
    def Handshake(self, request, context):
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True, accept_outputs=True)

    @override
    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version=version("pulumi_awsx"))

    @override
    def GetSchema(self, request, context):
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": "awsx", "version": version("pulumi_awsx")}))

    @override
    def Attach(self, request, context):
        return empty_pb2.Empty()

    @override
    def Cancel(self, request, context):
        return empty_pb2.Empty()

    @override
    def CheckConfig(self, request, context):
        return provider_pb2.CheckResponse(inputs=request.news)

    @override
    def DiffConfig(self, request, context):
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    @override
    def Configure(self, request, context):
        return provider_pb2.ConfigureResponse(acceptSecrets=True, acceptResources=True, acceptOutputs=True, supportsPreview=True)

    @override
    def Construct(self, request, context):
        with clear_errors(context, f'{request.type} "{request.name}"'):
            if request.type != IMAGE:
                raise Refused(f"the local cloud knows only {IMAGE} of awsx: use the plain aws resources instead")
            inputs, _ = wire.decode(request.inputs)
            uri = image_uri(inputs)
            outputs = wire.encode({"imageUri": uri})
            urn = _register(request, outputs)
            dependencies = provider_pb2.ConstructResponse.PropertyDependencies(urns=[urn])
            return provider_pb2.ConstructResponse(urn=urn, state=outputs, stateDependencies={"imageUri": dependencies})


def image_uri(inputs: Mapping[str, Any]) -> Any:
    """`<repository>@sha256:<digest>`, or UNKNOWN while an argument is. Raises Refused: an unknown argument, a missing file."""
    unknown = sorted(inputs.keys() - IMAGE_ARGUMENTS)
    if unknown:
        raise Refused(
            f'the local cloud does not know the argument "{unknown[0]}": leave it out or add it to local_cloud/provider/awsx.py'
        )
    if "repositoryUrl" not in inputs:
        raise Refused('the argument "repositoryUrl" is missing')
    if wire.contains_unknown(dict(inputs)):
        return UNKNOWN
    # Relative to this checkout: the engine itself may run beside a copy of the stack's files.
    dockerfile = CHECKOUT / inputs.get("dockerfile", f"{inputs.get('context', '.')}/Dockerfile")
    try:
        text = dockerfile.read_bytes()
    except OSError as error:
        raise Refused(f"the Dockerfile {dockerfile.name} cannot be read ({error.strerror})") from error
    arguments = {name: value for name, value in inputs.items() if name not in {"context", "dockerfile", "repositoryUrl"}}
    digest = hashlib.sha256(json.dumps(arguments, sort_keys=True).encode() + b"\0" + text).hexdigest()
    return f"{inputs['repositoryUrl']}@sha256:{digest}"


def _register(request: Any, outputs: struct_pb2.Struct) -> str:
    """Registers the component with the engine as if the program had; returns its URN."""
    with grpc.insecure_channel(request.monitorEndpoint, options=_CHANNEL_OPTIONS) as channel:
        monitor = resource_pb2_grpc.ResourceMonitorStub(channel)
        registered = monitor.RegisterResource(
            resource_pb2.RegisterResourceRequest(
                type=request.type,
                name=request.name,
                parent=request.parent,
                custom=False,
                object=struct_pb2.Struct(),
                dependencies=request.dependencies,
                providers=request.providers,
                aliases=request.aliases,
                protect=request.protect,
                acceptSecrets=True,
            )
        )
        monitor.RegisterResourceOutputs(resource_pb2.RegisterResourceOutputsRequest(urn=registered.urn, outputs=outputs))
        return registered.urn


if __name__ == "__main__":
    serve(AwsxProvider())
