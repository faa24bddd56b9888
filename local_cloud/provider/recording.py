"""The calls of one creation, as they pass by: marked so that the emulated AWS records them, or answered from such a record."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from io import BytesIO
from typing import Any, Final

import urllib3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from local_cloud.attempts import ATTEMPT_HEADER, CALL_HEADER

# Asked once for each process, and nothing that a creation does.
_NOT_PART_OF_IT: Final = "sts."


class _Recording:
    """The calls of one attempt: the first of them are those that `answers` are the answers of."""

    def __init__(self, attempt_id: str, answers: list[dict[str, Any]]) -> None:
        self._id, self._answers = attempt_id, list(answers)

    def pass_by(self, request: AWSPreparedRequest, call: str) -> AWSResponse | None:
        if self._answers and self._answers[0]["call"] == call:
            answer = self._answers.pop(0)
            raw = urllib3.HTTPResponse(BytesIO(base64.b64decode(answer["body"])), preload_content=False)
            return AWSResponse(request.url, answer["status"], HTTPHeaders.from_pairs(answer["headers"]), raw)
        self._answers = []  # another call than before: what follows is new, and is recorded as well
        request.headers[ATTEMPT_HEADER], request.headers[CALL_HEADER] = self._id, call
        return None


_current: ContextVar[_Recording | None] = ContextVar("recording", default=None)


def before_send(request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse | None:
    """botocore's event of the same name: an answer here is taken instead of sending the request."""
    recording, call = _current.get(), event_name.removeprefix("before-send.")
    return None if recording is None or call.startswith(_NOT_PART_OF_IT) else recording.pass_by(request, call)


@contextmanager
def recorded(attempt_id: str, answers: list[dict[str, Any]]) -> Iterator[None]:
    """The calls of this thread belong to an attempt of which `answers` are known already."""
    token = _current.set(_Recording(attempt_id, answers))
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def unrecorded() -> Iterator[None]:
    """For taking something back: the calls are made, whatever the record says, and belong to no attempt."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)
