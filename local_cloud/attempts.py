"""What the emulated AWS remembers of the creations of the local cloud's provider.

A provider that dies between AWS's answer and its own leaves something behind that the Pulumi engine never hears of. Real AWS
helps with client tokens: a call repeated with the same token gets the first answer again. moto knows none, so the server keeps
the answers itself until the creation (an "attempt") is done. Another provider process can repeat the attempt up to where it broke
off, and take back what it made: see `provider/attempts.py`.

State is in memory, as moto's is: both live and die with the process. The record of an attempt holds its resource's inputs.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Request, Response

# moto reserves this path for itself: no bucket can have the name.
PATH: Final = "/moto-api/attempts"
ATTEMPT_HEADER: Final = "X-HeartMAP-Attempt"
CALL_HEADER: Final = "X-HeartMAP-Call"
# botocore gives the repetitions of one call the same id.
_INVOCATION_HEADER: Final = "amz-sdk-invocation-id"


class Attempts:
    """WSGI middleware around the emulated AWS.

    PUT PATH/<id> opens an attempt (201, or 409 while there is one); POST PATH/<id> says which resource came of it, and ends the
    recording; DELETE PATH/<id> forgets it, or only if it made the resource named in the body; GET PATH lists all. A call with the
    attempt's id in a header is recorded, in order; one that the client only repeats gets the first answer again.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._attempts: dict[str, dict[str, Any]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        if request.path == "/moto-api/reset":
            self._attempts.clear()
        if request.path.startswith(PATH):
            return self._manage(request)(environ, start_response)
        attempt = self._attempts.get(request.headers.get(ATTEMPT_HEADER, ""))
        if attempt is None:
            return self._app(environ, start_response)
        return self._recorded(attempt, request)(environ, start_response)

    def _manage(self, request: Request) -> Response:
        attempt_id = request.path.removeprefix(PATH).strip("/")
        body = json.loads(request.get_data() or b"{}")
        with self._lock:
            if request.method == "GET":
                return Response(json.dumps(list(self._attempts.values())), mimetype="application/json")
            if request.method == "PUT" and attempt_id in self._attempts:
                return Response(status=409)
            if request.method == "PUT":
                self._attempts[attempt_id] = {**body, "id": attempt_id, "answers": []}
                return Response(status=201)
            attempt = self._attempts.get(attempt_id)
            if request.method == "POST" and attempt is not None:
                attempt.update(body, answers=[])
            elif attempt is not None and body.get("resource") in {None, attempt.get("resource")}:
                del self._attempts[attempt_id]
            return Response(status=204)

    def _recorded(self, attempt: dict[str, Any], request: Request) -> Response:
        invocation = request.headers.get(_INVOCATION_HEADER)
        with self._lock:
            found = next((one for one in attempt["answers"] if one["invocation"] == invocation), None)
        if found is not None:
            return Response(base64.b64decode(found["body"]), found["status"], found["headers"])
        chunks, status, headers = run_wsgi_app(self._app, request.environ, buffered=True)
        body = b"".join(chunks)
        with self._lock:
            attempt["answers"].append(
                {
                    "invocation": invocation,
                    "call": request.headers.get(CALL_HEADER),
                    "status": int(status.split()[0]),
                    "headers": list(headers),
                    "body": base64.b64encode(body).decode(),
                }
            )
        return Response(body, status, headers)
