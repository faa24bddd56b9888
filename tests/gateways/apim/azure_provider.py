"""A stand-in for Azure's provider: takes every resource as it is, and knows one API Management instance.

It proves what the program asks for, and in which order; not that Azure takes it.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

INSTANCE = "HEARTMAP_TEST_INSTANCE"
"""The environment variable with the instance, in JSON."""
VERSION = "3.29.0"


class AzureProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Each resource's name is what its id says; Azure's own names for ids are not imitated."""

    def Handshake(self, request, context):  # noqa: N802  # gRPC's names, here and below
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def GetPluginInfo(self, request, context):  # noqa: N802
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, request, context):  # noqa: N802
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": "azure-native", "version": VERSION}))

    def Attach(self, request, context):  # noqa: N802
        return empty_pb2.Empty()

    def Cancel(self, request, context):  # noqa: N802
        return empty_pb2.Empty()

    def CheckConfig(self, request, context):  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request, context):  # noqa: N802
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request, context):  # noqa: N802
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(self, request, context):  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request, context):  # noqa: N802
        same = request.old_inputs == request.news
        kinds = provider_pb2.DiffResponse
        return kinds(changes=kinds.DIFF_NONE if same else kinds.DIFF_SOME)

    def Create(self, request, context):  # noqa: N802
        name = request.urn.rpartition("::")[2]
        made = provider_pb2.CreateResponse(id="" if request.preview else name, properties=request.properties)
        given = dict(request.properties)
        ids = [key for key in given if key.endswith("Id") and key not in ("loggerId", "policyId")]
        made.properties["name"] = given[ids[-1]] if ids else name
        return made

    def Invoke(self, request, context):  # noqa: N802
        answer = provider_pb2.InvokeResponse()
        json_format.ParseDict(json.loads(os.environ[INSTANCE]), getattr(answer, "return"))
        return answer


if __name__ == "__main__":
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(AzureProvider(), server)
    engine = os.getppid()
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while os.getppid() == engine:
        time.sleep(1)
