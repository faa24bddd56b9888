"""The AWS provider of the local cloud, in which one operation on one resource goes wrong.

The environment variable FAULT_FILE names a JSON file: {"operation": create|update|delete, "target": type::name, "kind", "call"}.
Where the file is gone, nothing goes wrong; the fault removes it when it strikes, so that it strikes once.

The kind `every` is different: each operation on each resource, and each question of the program, fails at its first call, then at
its second, and so on until it comes to its end, once with the call refused and, where the call changes something, once with its
answer lost. EXTRA_TAG is a tag for all resources: so all change.

The others, of which all but `refused` and `lost` strike at the AWS call number `call`, or at the end where there are fewer:
    refused      the operation fails before it begins
    call         AWS refuses the call
    cut          AWS carries out the call, and its answer is lost
    died         the provider process dies after the call
    engine_died  the engine dies after the call (the provider notices later)
    lost         everything was done, and the operation fails all the same
"""

# ruff: noqa: N802  # the names of the methods are those of the protocol

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

import boto3
from botocore.exceptions import ClientError, ConnectionClosedError

from local_cloud.provider import framework
from local_cloud.provider.framework import REGISTRY, Refused, ResourceType, load_handlers
from local_cloud.provider.plugin import serve
from local_cloud.provider.server import AwsProvider

REFUSAL: Any = {"Error": {"Code": "Faulted", "Message": "a fault of the test"}}
MOST_CALLS = 100
# Calls that change nothing, so that it is the same whether they are refused or their answer is lost.
READS = ("Describe", "Get", "Head", "List")


class Fault:
    """The one fault of this process. A contextvar says whether the calls of this thread are the target's."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.spec: dict[str, Any] = json.loads(file.read_text())
        self.subject: ContextVar[str] = ContextVar("subject", default="")
        self._calls = 0
        self._made = True  # whether the call that is under way was sent

    @property
    def _due(self) -> bool:
        return self._file.exists() and self.subject.get() == f"{self.spec['operation']} {self.spec['target']}"

    def _strikes(self) -> None:
        self._file.unlink()

    def before(self, operation: str) -> None:
        if self.spec["kind"] == "refused" and self._due and operation == self.spec["operation"]:
            self._strikes()
            raise Refused("a fault of the test: refused")

    def before_call(self, event_name: str, **_: Any) -> None:
        if self._due:
            self._calls += 1
            if self.spec["kind"] == "call" and self._calls == self.spec["call"]:
                self._strikes()
                raise ClientError(REFUSAL, event_name.rpartition(".")[2])

    def after_call(self, **_: Any) -> None:
        if self._due and self._calls >= self.spec["call"]:
            self._break_off()

    def _break_off(self) -> None:
        kind = self.spec["kind"]
        if kind == "cut":
            self._strikes()
            raise ConnectionClosedError(endpoint_url="a fault of the test")
        if kind == "died":
            self._strikes()
            os._exit(1)
        if kind == "engine_died":
            self._strikes()
            os.kill(os.getppid(), signal.SIGKILL)

    def after(self, operation: str) -> None:
        """The operation has fewer calls than the fault asks for, or it is to fail at its end."""
        if self._due and operation == self.spec["operation"]:
            if self.spec["kind"] in {"lost", "call"}:
                self._strikes()
                raise Refused("a fault of the test: lost")
            self._break_off()


def faulty(fault: Fault, operation: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def work(*arguments: Any) -> Any:
        fault.before(operation)
        answer = original(*arguments)
        fault.after(operation)
        return answer

    return work


class FaultyProvider(AwsProvider):
    def __init__(self, fault: Fault) -> None:
        super().__init__(os.environ)
        self._fault = fault

    def _of(self, operation: str, request: Any) -> None:
        preview = getattr(request, "preview", False)
        kind, name = request.urn.split("::")[2].rpartition("$")[2], request.urn.rpartition("::")[2]
        self._fault.subject.set("" if preview else f"{operation} {kind}::{name}")

    def Create(self, request, context):
        self._of("create", request)
        return super().Create(request, context)

    def Update(self, request, context):
        self._of("update", request)
        return super().Update(request, context)

    def Delete(self, request, context):
        self._of("delete", request)
        return super().Delete(request, context)


class EveryFault(threading.local):
    """For the kind `every`: what is to strike now is a matter of each thread."""

    kind, calls_left, struck, reads = "", 0, False, False
    """``reads``: whether the call that was refused last changes nothing."""

    def arm(self, kind: str, call: int) -> None:
        self.kind, self.calls_left, self.struck = kind, call, False

    def before_call(self, event_name: str, **_: Any) -> None:
        self.calls_left -= 1
        if self.kind == "call" and self.calls_left == 0:
            operation = event_name.rpartition(".")[2]
            self.struck, self.reads = True, operation.startswith(READS)
            raise ClientError(REFUSAL, operation)

    def after_call(self, **_: Any) -> None:
        if self.kind == "cut" and self.calls_left == 0:
            self.calls_left, self.struck = -1, True
            raise ConnectionClosedError(endpoint_url="a fault of the test")


class Failed(Exception):
    """An operation came to no good answer."""


class Trial:
    """In the place of gRPC's context, for an operation that may fail."""

    def abort(self, code: Any, details: str) -> NoReturn:
        raise Failed(details)


class EverywhereFaultyProvider(AwsProvider):
    def __init__(self, fault: EveryFault) -> None:
        super().__init__(os.environ)
        self._fault = fault

    def _until_done(self, operation: Callable[[Any, Any], Any], request: Any, context: Any) -> Any:
        if not getattr(request, "preview", False):
            for call in range(1, MOST_CALLS):
                for kind in ("call", "cut"):
                    if kind == "cut" and self._fault.reads:
                        continue
                    self._fault.arm(kind, call)
                    try:
                        return operation(request, Trial())
                    except Failed:
                        struck = self._fault.struck
                        self._fault.arm("", 0)
                        if not struck:  # it fails by itself: let the engine say so
                            return operation(request, context)
        return operation(request, context)

    def Create(self, request, context):
        return self._until_done(super().Create, request, context)

    def Update(self, request, context):
        return self._until_done(super().Update, request, context)

    def Delete(self, request, context):
        return self._until_done(super().Delete, request, context)

    def Invoke(self, request, context):
        return self._until_done(super().Invoke, request, context)


class FaultySession(boto3.session.Session):
    fault: Fault | EveryFault

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.events.register("before-send", self.fault.before_call)
        self.events.register("response-received", self.fault.after_call)


def tag_everything(text: str) -> None:
    original = framework.Aws.__init__

    def tagged(self: framework.Aws, endpoint: str, region: str, default_tags: Any = None) -> None:
        original(self, endpoint, region, {**(default_tags or {}), "Extra": text})

    framework.Aws.__init__ = tagged  # pyright: ignore[reportAttributeAccessIssue]


def main() -> None:
    load_handlers()
    if extra := os.environ.get("EXTRA_TAG"):
        tag_everything(extra)
    file = Path(os.environ["FAULT_FILE"])
    if not file.exists():
        serve(AwsProvider(os.environ))
        return
    framework.boto3.session.Session = FaultySession  # pyright: ignore[reportPrivateImportUsage]
    if json.loads(file.read_text())["kind"] == "every":
        FaultySession.fault = everywhere = EveryFault()
        serve(EverywhereFaultyProvider(everywhere))
        return
    FaultySession.fault = fault = Fault(file)
    handlers: list[ResourceType] = list(REGISTRY.values())
    for handler in handlers:
        for operation in ("create", "update", "delete"):
            setattr(handler, operation, faulty(fault, operation, getattr(handler, operation)))
    serve(FaultyProvider(fault))


if __name__ == "__main__":
    main()
