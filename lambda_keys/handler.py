"""``/keys``: administrators make API keys for programs, list them, rotate and revoke them.

A key is shown once, in the answer that makes it, and always ends. The authorizer lets administrators alone through, with a fresh
sign-in for what writes, and says so in its assertion; here the assertion is verified again.

The configuration is read when the module is imported, so that a wrong one fails before the first call. In a process that has none
of it, a test run for example, the import is harmless and every call fails.
"""

import os
import sys
import time
from typing import Any

from lambda_api import answering, audit
from lambda_api.admission import Admission
from lambda_authorizer import problems
from lambda_authorizer.access_policy import KEYS
from lambda_authorizer.aws import AwsError
from lambda_authorizer.problems import Refused
from lambda_authorizer.secret_store import ManagedSecrets
from lambda_keys import answers, bodies, calls, config, records
from lambda_keys.audit import Call
from lambda_keys.records import Item, Made
from lambda_keys.store import Store

BUDGET = 8.0
"""Seconds that one call may wait for AWS."""
SCAN_BUDGET = 5.0
"""Seconds of it after which no further page of keys is read."""


class Keys:
    """The answers of one configuration, and what it keeps between them."""

    def __init__(self, configuration: config.Configuration) -> None:
        self._environment = configuration.environment
        aws = configuration.aws()
        self._secrets = ManagedSecrets(configuration.secret_arn, aws)
        self._admission = Admission(configuration.secret_arn, self._secrets, aws, answered_by=KEYS)
        self._store = Store(
            keys=configuration.api_keys_table, use=configuration.key_use_table, aws=aws, region=configuration.region
        )

    def answer(self, event: Any) -> dict[str, Any]:
        """The response for API Gateway. Writes one audit record, whatever happens."""
        call = Call.of(event)
        return answering.answer(call, lambda: self._answer(event, call))

    def _answer(self, event: Any, call: Call) -> dict[str, Any]:
        now, deadline = time.time(), time.monotonic() + BUDGET
        admitted = self._admission.admit(event, call.request_id, now=now, deadline=deadline)
        key_id = calls.key_id(event, admitted.call[1])
        call.action, call.principal, call.key_id = calls.ACTIONS[admitted.call], admitted.principal, key_id or None
        match call.action:
            case calls.CREATE:
                return self._create(admitted.body, call, now, deadline)
            case calls.ROTATE:
                return self._rotate(key_id, admitted.body, call, now, deadline)
            case calls.REVOKE:
                return self._revoke(key_id, admitted.principal, call, now, deadline)
            case _:
                return self._list(call, now, deadline)

    def _create(self, body: bytes, call: Call, now: float, deadline: float) -> dict[str, Any]:
        made = self._make(bodies.new_key(body), call, now, deadline)
        call.key_id = records.text(made.item, "public_id")
        self._store.add(made.item, deadline=deadline)
        return _given(made, "created", call)

    def _rotate(self, key_id: str, body: bytes, call: Call, now: float, deadline: float) -> dict[str, Any]:
        wanted = bodies.rotation(body)
        old, end = self._rotatable(key_id, call, now, deadline)
        following = records.like(old)
        if following is None:
            raise Refused(answers.NOT_ROTATABLE)
        following = following._replace(signing_key=wanted.signing_key or following.signing_key)
        bodies.check_signing(following.scopes, following.signing_key)
        made = self._make(following, call, now, deadline)
        call.replaced_by = records.text(made.item, "public_id")
        ends = min(end, int(now) + wanted.overlap)
        if not self._store.replace(old, made.item, ends=ends, deadline=deadline):
            # Somebody else was faster, or is writing at this moment.
            self._rotatable(key_id, call, now, deadline)
            raise Refused(problems.UNAVAILABLE)
        return _given(made, "rotated", call)

    def _rotatable(self, key_id: str, call: Call, now: float, deadline: float) -> tuple[Item, int]:
        """A key that is valid and that no other has replaced, and its end in seconds since the epoch. Raises Refused."""
        item = self._store.get(key_id, deadline=deadline)
        if item is None:
            raise Refused(answers.NOT_FOUND)
        call.name = records.text(item, "name")
        if "revoked_at" in item:
            raise Refused(answers.REVOKED)
        if "replaced_by" in item:
            raise Refused(answers.REPLACED)
        end = records.number(item, "expires_at")
        if end is None:
            raise Refused(answers.NOT_ROTATABLE)
        if now >= end:
            raise Refused(answers.ENDED)
        return item, end

    def _revoke(self, key_id: str, by: str, call: Call, now: float, deadline: float) -> dict[str, Any]:
        item, first = self._store.revoke(key_id, by=by, now=now, deadline=deadline)
        if item is None:
            raise Refused(answers.NOT_FOUND)
        call.name = records.text(item, "name")
        audit.write(audit.ALLOW, "revoked" if first else "already_revoked", call)
        try:
            used = self._store.last_used([key_id], deadline=deadline)
        except AwsError:
            # What is done is done: no other table's failure makes it look otherwise.
            sys.stderr.write("The last use of a revoked API key could not be read.\n")
            used = {}
        return problems.document(200, records.shown(item, last_used_at=used.get(key_id)), call.request_id)

    def _list(self, call: Call, now: float, deadline: float) -> dict[str, Any]:
        listing = self._store.listed(now=now, scan_until=deadline - BUDGET + SCAN_BUDGET, deadline=deadline)
        ids = [item["public_id"]["S"] for item in listing.items]
        used = self._store.last_used(ids, deadline=deadline)
        shown = [records.shown(item, last_used_at=used.get(key_id)) for key_id, item in zip(ids, listing.items, strict=True)]
        audit.write(audit.ALLOW, "listed", call)
        content: dict[str, Any] = {"keys": shown}
        if listing.truncated:
            content["truncated"] = True
        return problems.document(200, content, call.request_id)

    def _make(self, wanted: bodies.NewKey, call: Call, now: float, deadline: float) -> Made:
        pepper = self._secrets.get(now=now, deadline=deadline).api_key_pepper
        made = records.make(wanted, environment=self._environment, pepper=pepper, by=call.principal or "", now=now)
        call.name, call.scopes = wanted.name, sorted(wanted.scopes)
        call.expires_at = records.number(made.item, "expires_at")
        return made


def _given(made: Made, reason: str, call: Call) -> dict[str, Any]:
    """The one answer that holds a key."""
    # Before the answer: what is not recorded must not be given.
    audit.write(audit.ALLOW, reason, call)
    return problems.document(201, {**records.shown(made.item, last_used_at=None), "key": made.key}, call.request_id)


_keys: Keys | None = Keys(config.load(os.environ)) if answering.in_lambda(os.environ) else None


def handler(event: Any, context: object) -> dict[str, Any]:  # noqa: ARG001  # the signature is Lambda's
    """Answer an event of a REST API's Lambda proxy integration. Raises ConfigurationError."""
    return (_keys or Keys(config.load(os.environ))).answer(event)
