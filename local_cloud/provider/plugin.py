"""What both plugins are: a gRPC server that the Pulumi engine starts and stops, and errors in one clear sentence."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import grpc
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ParamValidationError
from pulumi.runtime.proto import provider_pb2_grpc

from local_cloud.provider import wire
from local_cloud.provider.framework import Refused

WORKERS: Final = 32


@contextmanager
def clear_errors(context: grpc.ServicerContext, subject: str) -> Iterator[None]:
    """Turn what went wrong into one sentence that names the resource; context.abort raises, so that the call ends here."""
    try:
        yield
    except Refused as error:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{subject}: {error}")
    except ClientError as error:
        answer = error.response.get("Error", {})
        context.abort(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"{subject}: the emulated AWS refused {error.operation_name}: {answer.get('Code')}: {answer.get('Message')}",
        )
    except ParamValidationError as error:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{subject}: a value does not fit the AWS API: {error}")
    except (HTTPClientError, BotoCoreError):
        context.abort(grpc.StatusCode.UNAVAILABLE, f"{subject}: the emulated AWS does not answer: is the moto server running?")
    except Exception as error:  # noqa: BLE001  # the boundary: a handler's own mistake must reach the operator, with its place on stderr
        traceback.print_exc(file=sys.stderr)
        context.abort(
            grpc.StatusCode.INTERNAL, f"{subject}: the local cloud's handler failed ({type(error).__name__}): please report it"
        )


def serve(servicer: provider_pb2_grpc.ResourceProviderServicer) -> None:
    """Serve on a free loopback port, print it as the engine expects, and end when the engine does."""
    engine = os.getppid()
    server = grpc.server(
        ThreadPoolExecutor(max_workers=WORKERS),
        options=[
            ("grpc.max_receive_message_length", wire.MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", wire.MAX_MESSAGE_BYTES),
        ],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # noqa: T201  # the plugin protocol
    # The engine stops its plugins, unless it was killed itself.
    while server.wait_for_termination(timeout=1) and os.getppid() == engine:
        pass
