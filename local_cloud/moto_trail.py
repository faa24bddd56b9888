"""The trails of the emulated AWS: what each call of an API leaves in the log group of a trail that is logging.

moto keeps trails, and writes nothing. What is recorded are management events; of data events, whatever a trail selects, there are
none here, and no files in a bucket. Nor is there a record of what the environment's own processes look up, such as the load
balancer its targets: in AWS those are no calls of the account. A call costs what keeping it costs: its record is written when
somebody asks for log lines, or when many wait.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from typing import Any, Final, NamedTuple

from moto.cloudtrail.models import cloudtrail_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.logs.models import logs_backends
from werkzeug.test import run_wsgi_app

from local_cloud.deployed import INSIDE
from local_cloud.moto_trail_records import Call, Unreadable, is_on_data, record
from local_cloud.signatures import signer_of

MANY: Final = 500
"""Calls whose records are written whether somebody asks or not."""

_SIGNED: Final = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/,]+)/\d+/([^/,]+)/([^/,]+)/aws4_request")
_COGNITO: Final = "AWSCognitoIdentityProviderService."
_LOGS: Final = "Logs_20140328."
# What an agent does all the time that only writes lines.
_WRITES_LINES: Final = (f"{_LOGS}PutLogEvents", f"{_LOGS}CreateLogStream")
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Place(NamedTuple):
    """Where records go: the log group of a trail."""

    account: str
    region: str
    group: str


class Trails:
    """WSGI middleware around the emulated AWS."""

    def __init__(self, app: Wsgi) -> None:
        self._app = app
        self._waiting: list[tuple[set[_Place], Call]] = []
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if (target.startswith(_LOGS) and target not in _WRITES_LINES) or len(self._waiting) >= MANY:
            self.deliver()
        before = set(_logging())
        signed = _scope(environ, target)
        # StartLogging and CreateTrail have a trail after them only.
        if signed is None or not (before or "cloudtrail" in signed):
            return self._app(environ, start_response)
        return self._observed(signed, before, environ, start_response)

    def _observed(
        self, signed: tuple[str, str, str], before: set[_Place], environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        key_id, region, service = signed
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        account, identity = _caller(key_id)
        kept = {name: value for name, value in environ.items() if isinstance(value, str)}
        chunks, status, headers = run_wsgi_app(self._app, {**environ, "wsgi.input": BytesIO(body)}, buffered=True)
        answer = b"".join(chunks)
        code = int(status.split()[0])
        places = {place for place in before | set(_logging()) if place.account == account}
        # What moto does not implement has not happened.
        if places and code != 501:
            call = Call(service, region, account, identity, time.time(), kept, body, code, dict(headers), answer)
            with self._lock:
                self._waiting.append((places, call))
        start_response(status, list(headers))
        return [answer]

    def deliver(self) -> None:
        """Write the records of all calls until now."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            lines: dict[_Place, list[dict[str, Any]]] = defaultdict(list)
            for places, call in waiting:
                try:
                    made = record(call)
                except Unreadable as error:
                    sys.stderr.write(f"CloudTrail's record of a call cannot be made: {error}\n")
                    continue
                if made is not None:
                    event = {"timestamp": int(call.at * 1000), "message": json.dumps(made, separators=(",", ":"), default=str)}
                    for place in places:
                        lines[place].append(event)
            for place, events in lines.items():
                _write(place, events)


def _scope(environ: dict[str, Any], target: str) -> tuple[str, str, str] | None:
    """The key, the region and the service that a call is signed with; None of what is no call of the account's, or seen to be on
    data before its body is read."""
    if INSIDE in environ.get("HTTP_USER_AGENT", ""):
        return None
    found = _SIGNED.match(environ.get("HTTP_AUTHORIZATION", ""))
    if found is None:
        return ("", _region(), "cognito-idp") if target.startswith(_COGNITO) else None
    key_id, region, service = found.groups()
    path = environ.get("PATH_INFO", "")
    is_object, is_invocation = service == "s3" and "/" in path.strip("/"), service == "lambda" and path.endswith("/invocations")
    if is_object or is_invocation or is_on_data(service, target.rpartition(".")[2]):
        return None
    return key_id, region, service


def _region() -> str:
    """Where an unsigned call is taken to be made: where the trail is."""
    return next((place.region for place in _logging()), "")


def _logging() -> Iterator[_Place]:
    """The log groups of the trails that are logging management events."""
    for account, regions in list(cloudtrail_backends.items()):
        for region, backend in list(regions.items()):
            for trail in list(backend.trails.values()):
                if trail.status.is_logging and trail.cw_log_group_arn and _takes_management(trail):
                    group = trail.cw_log_group_arn.partition(":log-group:")[2].removesuffix(":*")
                    yield _Place(account, region, group)


def _takes_management(trail: Any) -> bool:
    if trail.advanced_event_selectors:
        selected = [field for one in trail.advanced_event_selectors for field in one["FieldSelectors"]]
        return any(field["Field"] == "eventCategory" and "Management" in field.get("Equals", ()) for field in selected)
    return not trail.event_selectors or any(one.get("IncludeManagementEvents", True) for one in trail.event_selectors)


def _caller(key_id: str) -> tuple[str, dict[str, Any]]:
    """The account and the identity behind a key.

    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
    """
    if not key_id:
        return DEFAULT_ACCOUNT_ID, {"type": "Unknown", "principalId": "Anonymous"}
    signer = signer_of(key_id)
    if signer is None:
        # The emulated AWS takes any other key for one of a user who may do everything.
        arn = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:user/{key_id}"
        user = {"principalId": key_id, "arn": arn, "accountId": DEFAULT_ACCOUNT_ID, "accessKeyId": key_id, "userName": key_id}
        return DEFAULT_ACCOUNT_ID, {"type": "IAMUser", **user}
    common = {"principalId": signer.user_id, "arn": signer.arn, "accountId": signer.account, "accessKeyId": key_id}
    if ":assumed-role/" not in signer.arn:
        return signer.account, {"type": "IAMUser", **common, "userName": signer.arn.rpartition("/")[2]}
    role = signer.arn.split("/")[1]
    issuer = {
        "type": "Role",
        "principalId": signer.user_id.partition(":")[0],
        "arn": f"arn:aws:iam::{signer.account}:role/{role}",
        "accountId": signer.account,
        "userName": role,
    }
    return signer.account, {"type": "AssumedRole", **common, "sessionContext": {"sessionIssuer": issuer}}


def _write(place: _Place, events: list[dict[str, Any]]) -> None:
    """Add lines to the stream that CloudTrail has in a log group; a log group that is gone gets none."""
    logs, stream = logs_backends[place.account][place.region], f"{place.account}_CloudTrail_{place.region}"
    if place.group in logs.groups:
        logs.ensure_log_stream(place.group, stream)
        logs.put_log_events(place.group, stream, events)
