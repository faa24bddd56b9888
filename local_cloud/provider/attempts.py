"""Creations that broke off leave nothing behind, wherever they broke off.

The emulated AWS records the answers of each creation until it is done (`local_cloud/attempts.py`). One that broke off - a call
failed, its answer was lost, the process died - is repeated from the record: the answers that are there are given again, what is
missing is done, and the resource that comes out is deleted. The engine never knew of it and creates it anew. An attempt is taken
back where it failed; else before the same resource is created again; else, where its process is gone, before the first change of
another provider process. One that was done stays on record until its resource is deleted: an engine that died before it wrote the
answer down creates the resource again, and shows by that alone that it does not know of the first.

The AWS provider of real accounts has nothing but AWS's client tokens for this, which a process that died has lost: there, what a
killed provider or engine left behind has to be imported or removed by hand.
"""

from __future__ import annotations

import hashlib
import os
import threading
from typing import Any, Final

import psutil
import urllib3
from botocore.exceptions import ClientError, EndpointConnectionError
from google.protobuf import json_format, struct_pb2

from local_cloud.attempts import PATH
from local_cloud.provider import wire
from local_cloud.provider.framework import REGISTRY, Aws, Inputs, Refused, ResourceType
from local_cloud.provider.recording import recorded

SECONDS: Final = 30


class Attempts:
    """The creations that the emulated AWS has on record, for one configured provider."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._http = urllib3.PoolManager(maxsize=32, timeout=SECONDS, retries=False)
        self._lock = threading.Lock()
        self._settled = False
        self._known: set[tuple[str, str]] = set()

    def know(self, urn: str, resource_id: str) -> None:
        """The engine spoke of this resource."""
        self._known.add((_id(urn), resource_id))

    def create(self, handler: ResourceType, urn: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
        """The handler's create; when it fails, what there was of the resource is gone again.

        What cannot be taken back now stays an open attempt, so that the next start tries again. The failure itself is raised.
        """
        attempt_id = _id(urn)
        record = {"token": handler.token, "owner": os.getpid(), "inputs": json_format.MessageToDict(wire.encode(inputs))}
        if self._ask("PUT", attempt_id, record).status == 409:
            self._make_way(self._of(attempt_id))
            self._ask("PUT", attempt_id, record)
        try:
            with recorded(attempt_id, []):
                made = handler.create(self._aws, inputs)
        except BaseException as error:
            try:
                self._take_back(self._of(attempt_id))
            except Exception as second:  # noqa: BLE001  # the first failure is the one to report
                error.add_note(f"what it left could not be taken back yet: {second}")
            raise
        state = json_format.MessageToDict(wire.encode({**inputs, **made[1]}))
        self._ask("POST", attempt_id, {"resource": made[0], "state": state})
        return made

    def delete(self, handler: ResourceType, urn: str, resource_id: str, state: dict[str, Any]) -> None:
        """The handler's delete; its creation needs no record any more."""
        handler.delete(self._aws, resource_id, state)
        self._ask("DELETE", f"{_id(urn)}", {"resource": resource_id})

    def take_back_abandoned(self) -> None:
        """Take back what providers that are gone have left unfinished: once, before the first change of this one."""
        with self._lock:
            if not self._settled:
                for attempt in self._all():
                    if "resource" not in attempt and not psutil.pid_exists(attempt["owner"]):
                        self._take_back(attempt)
                self._settled = True

    def _make_way(self, attempt: dict[str, Any]) -> None:
        """For another creation of the same resource: the earlier one is its predecessor, or the engine never heard of it."""
        if (attempt["id"], attempt.get("resource")) in self._known:
            self._ask("DELETE", attempt["id"])
        else:
            self._take_back(attempt)

    def _take_back(self, attempt: dict[str, Any]) -> None:
        handler = REGISTRY[attempt["token"]]
        inputs = _decoded(attempt["inputs"])
        if "resource" in attempt:
            handler.delete(self._aws, attempt["resource"], _decoded(attempt["state"]))
        else:
            try:
                with recorded(attempt["id"], attempt["answers"]):
                    resource_id, outputs = handler.create(self._aws, inputs)
            except (ClientError, Refused):
                pass  # refused now as it was then; what it had made, the handler itself has removed
            else:
                handler.delete(self._aws, resource_id, {**inputs, **outputs})
        self._ask("DELETE", attempt["id"])

    def _all(self) -> list[dict[str, Any]]:
        return self._ask("GET").json()

    def _of(self, attempt_id: str) -> dict[str, Any]:
        return next(attempt for attempt in self._all() if attempt["id"] == attempt_id)

    def _ask(self, method: str, attempt_id: str = "", body: dict[str, Any] | None = None) -> Any:
        try:
            answer = self._http.request(method, f"{self._aws.endpoint.rstrip('/')}{PATH}/{attempt_id}".rstrip("/"), json=body)
        except urllib3.exceptions.HTTPError as error:
            raise EndpointConnectionError(endpoint_url=self._aws.endpoint) from error
        if answer.status not in {200, 201, 204, 409}:
            raise Refused("this is not the emulated AWS of this project: start it with python -m local_cloud.moto_server")
        return answer


def _id(urn: str) -> str:
    return hashlib.sha256(urn.encode()).hexdigest()[:32]


def _decoded(properties: dict[str, Any]) -> dict[str, Any]:
    return wire.decode(json_format.ParseDict(properties, struct_pb2.Struct()))[0]
