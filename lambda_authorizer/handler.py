"""The Lambda authorizer: who is calling, and may they?

``Authorization: Bearer <access token>`` or ``Authorization: ApiKey <key>``. The answers, and what API Gateway makes of them:

- an Allow or a Deny policy for exactly the call at hand: the call goes on, or 403;
- the exception ``Unauthorized``: 401;
- any other exception, because it was not the caller's fault: 500.

The configuration is read when the module is imported, so a wrong one fails before the first call. In a process that has none of
it, a test run for example, the import is harmless and every call fails.
"""

import gc
import os
import sys
import time
import traceback
from collections.abc import Mapping
from typing import Any, NamedTuple

from lambda_authorizer import api_keys, assertion, audit, config, events, policy, signature, tokens
from lambda_authorizer.api_keys import Key
from lambda_authorizer.aws import Aws
from lambda_authorizer.events import Origin, Request
from lambda_authorizer.key_use import NOTE_BUDGET, KeyUse
from lambda_authorizer.keys import KeySource
from lambda_authorizer.lock_outs import LockOuts
from lambda_authorizer.policy import ALLOWED, written
from lambda_authorizer.reasons import ConfigurationError, Fault, Reason, Refused
from lambda_authorizer.secret_store import FixedSecrets, ManagedSecrets
from lambda_authorizer.signature import Signed
from lambda_authorizer.tokens import Verified

BUDGET = 1.8
"""Seconds that one decision may wait for AWS."""


class Unauthorized(Exception):
    """API Gateway answers 401 to an exception with exactly this text."""

    def __init__(self) -> None:
        super().__init__("Unauthorized")


class _Opening(NamedTuple):
    """What all answers have in common that open one route to callers of one kind, under the assertion keys of the moment."""

    keys: assertion.Keys
    assertions: assertion.Template
    line: audit.Line
    context: dict[str, str]


class Authorizer:
    """The decisions of one configuration, and what it keeps between them. ``aws`` is how it calls AWS: as a Lambda function does,
    unless another way is given."""

    def __init__(self, configuration: config.Configuration, aws: Aws | None = None) -> None:
        aws = aws or Aws(endpoint=configuration.endpoint, own_addresses=configuration.environment != config.LOCAL)
        self._region = configuration.region
        self._tokens = tokens.TokenVerifier(
            KeySource(configuration.keys, configuration.jwks_url, now=time.time()),
            issuers=configuration.issuers,
            client_ids=configuration.client_ids,
        )
        secrets = configuration.secrets
        self._secrets = ManagedSecrets(secrets, aws) if isinstance(secrets, str) else FixedSecrets(secrets)
        table = api_keys.KeyTable(configuration.api_keys_table, aws) if configuration.api_keys_table else None
        self._keys = api_keys.KeyVerifier(table, self._secrets, environment=configuration.environment)
        self._key_use = KeyUse(configuration.key_use_table, aws) if configuration.key_use_table else None
        self._lock_outs = LockOuts(configuration.lock_outs_table, aws) if configuration.lock_outs_table else None

    def decide(self, event: Any) -> dict[str, Any]:
        """The policy for the call in ``event``. Raises Unauthorized, or Fault. Writes one audit record, whatever happens."""
        origin = events.origin(event)
        request: Request | None = None
        try:
            request = events.read(event, origin, region=self._region)
            return self._answer(event, request, origin)
        except Refused as refusal:
            line = audit.Line(audit.UNAUTHENTICATED, refusal.reason, request=request, caller=refusal.caller)
            line.write(origin, request, written(refusal.caller))
            raise Unauthorized from None
        except Fault as fault:
            audit.Line(audit.ERROR, fault.reason, request=request).write(origin, request)
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, it must be an error and recorded
            # The place, not the text: that may hold what a caller sent.
            sys.stderr.write(f"{type(error).__name__}\n" + "".join(traceback.format_tb(error.__traceback__)))
            audit.Line(audit.ERROR, Reason.INTERNAL, request=request).write(origin, request)
            raise Fault(Reason.INTERNAL) from None

    def _answer(self, event: dict[str, Any], request: Request, origin: Origin) -> dict[str, Any]:
        request_id = origin.request_id or ""  # read() takes no event without one
        call, parameters, method_arn, region, _, settled = request
        now, deadline = time.time(), time.monotonic() + BUDGET
        authorization, headers = events.presented(event)
        scheme, _, credential = authorization.partition(" ")
        key: Key | None = None
        signed: Signed | None = None
        # The scheme's case does not matter: RFC 9110, section 11.1. Of letters beyond ASCII lower() would make some of these: the
        # Kelvin sign would be a second spelling of ApiKey.
        scheme = scheme.lower() if credential and authorization.isascii() else ""
        if scheme == "bearer":
            if headers and signature.is_signed(headers):
                raise Refused(Reason.SIGNATURE_UNEXPECTED)
            held = self._tokens.verify(credential, now, deadline)
            if self._lock_outs is not None and self._lock_outs.locked(
                held.caller.principal, held.issued, region=region, now=now, deadline=deadline
            ):
                raise Refused(Reason.TOKEN_LOCKED_OUT, held.caller)
        elif scheme == "apikey":
            held = key = self._keys.verify(credential, region=region, now=now, deadline=deadline)
            signed = _signature(key, event, request, headers, now)
        else:
            raise Refused(Reason.UNKNOWN_SCHEME)
        caller = held.caller
        opening: _Opening | None = held.answers.get(call)
        # What was opened once is open to callers of this kind still, unless more than their kind decides.
        reason = ALLOWED if opening and settled else policy.decide(caller, call, parameters, now)
        if reason is ALLOWED and key is not None and not key.opens_from(origin.source_ip):
            reason = Reason.KEY_SOURCE
        if reason is not ALLOWED:
            audit.Line(audit.DENY, reason, request=request, caller=caller).write(origin, request, held.written)
            return policy.document(reason, method_arn, caller, policy.context(reason, caller), request_id)
        keys = self._secrets.get(now, deadline).assertion_keys
        if opening is None or opening.keys is not keys:
            opening = _open(request, held, keys)
        _, assertions, line, context = opening
        minted = assertions.mint(held.written.subject, request_id, now)
        if key is not None:
            self._use(key, signed, region=region, now=now, deadline=deadline)
        line.write(origin, request, held.written)
        return policy.document(ALLOWED, method_arn, caller, context, request_id, minted)

    def _use(self, key: Key, signed: Signed | None, *, region: str, now: float, deadline: float) -> None:
        """Take the signature's nonce, and note that the key is used. Raises Refused, and Fault."""
        key_id = key.caller.key_id or ""
        if signed is not None:
            if self._key_use is None:
                raise Fault(Reason.KEY_USE_UNAVAILABLE)
            if not self._key_use.take(key_id, signed.nonce, created=signed.created, region=region, deadline=deadline):
                raise Refused(Reason.SIGNATURE_REPLAYED, key.caller)
        if self._key_use is not None:
            patience = min(deadline, time.monotonic() + NOTE_BUDGET)
            self._key_use.note(key_id, ends=key.expires_at, now=now, region=region, deadline=patience)


def _open(request: Request, held: Verified | Key, keys: assertion.Keys) -> _Opening:
    caller, call = held.caller, request.call
    template = assertion.Template(keys, call, caller.groups, caller.scopes)
    line = audit.Line(audit.ALLOW, ALLOWED, request=request, caller=caller)
    # For no more calls than the access policy has: no other is opened.
    held.answers[call] = opening = _Opening(keys, template, line, policy.context(ALLOWED, caller))
    return opening


def _signature(key: Key, event: dict[str, Any], request: Request, headers: dict[str, list[str]], now: float) -> Signed | None:
    """The call's signature, which its key made, where the key's calls have to be signed. Raises Refused."""
    is_signed = signature.is_signed(headers)
    if key.signing_key is None:
        if is_signed:
            raise Refused(Reason.SIGNATURE_UNEXPECTED, key.caller)
        return None
    if not is_signed:
        raise Refused(Reason.SIGNATURE_MISSING, key.caller)
    try:
        signed = signature.read(headers, method=request.call[0], path=request.url_path, parameters=events.query(event))
        signature.verify(signed, key_id=key.caller.key_id or "", public_key=key.signing_key, now=now)
    except Refused as refusal:
        raise Refused(refusal.reason, key.caller) from None
    return signed


def _configured(environ: Mapping[str, str]) -> bool:
    # Lambda sets the function's name before it imports the handler.
    return any(environ.get(name) for name in (*config.VARIABLES, "AWS_LAMBDA_FUNCTION_NAME"))


def _at_start(environ: Mapping[str, str]) -> Authorizer | None:
    if not _configured(environ):
        return None
    authorizer = Authorizer(config.load(environ))
    # All that there is now stays to the end: no collection of garbage need look at it again.
    gc.freeze()
    return authorizer


_authorizer = _at_start(os.environ)


def handler(event: Any, context: object) -> dict[str, Any]:  # noqa: ARG001  # the signature is Lambda's
    """Decide on a REST API REQUEST authorizer event.

    Raises Unauthorized, and Fault or ConfigurationError when it is not the caller's fault.
    """
    global _authorizer
    if _authorizer is None:
        try:
            _authorizer = Authorizer(config.load(os.environ))
        except ConfigurationError:
            audit.Line(audit.ERROR, Reason.MISCONFIGURED).write(events.origin(event))
            raise
    return _authorizer.decide(event)
