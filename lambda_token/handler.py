"""``POST /token``: who signs with an IAM role that the stack names gets a credential of 15 minutes.

API Gateway lets nobody through without a valid signature (authorization AWS_IAM) and says whose it is; here the role is looked up
and given a key with its groups. Nothing in the request but the signature counts: no body, no parameter, no header.

The configuration is read when the module is imported, so that a wrong one fails before the first call. In a process that has none
of it, a test run for example, the import is harmless and every call fails.
"""

import os
import time
from typing import Any

from lambda_api import answering, audit
from lambda_authorizer import problems
from lambda_authorizer.problems import Refused
from lambda_authorizer.secret_store import ManagedSecrets
from lambda_token import answers, config, credential, roles
from lambda_token.audit import Call

BUDGET = 8.0
"""Seconds that one exchange may wait for AWS."""


class Exchange:
    """The answers of one configuration, and what it keeps between them."""

    def __init__(self, configuration: config.Configuration) -> None:
        self._configuration = configuration
        self._aws = configuration.aws()
        self._secrets = ManagedSecrets(configuration.secret_arn, self._aws)

    def answer(self, event: Any) -> dict[str, Any]:
        """The response for API Gateway. Writes one audit record, whatever happens."""
        call = Call.of(event)
        return answering.answer(call, lambda: self._exchange(event, call))

    def _exchange(self, event: Any, call: Call) -> dict[str, Any]:
        session = roles.session(_user_arn(event))
        if session is None:
            raise Refused(answers.NOT_A_ROLE)
        grant = self._configuration.grants.get(session.role)
        if grant is None:
            raise Refused(answers.UNKNOWN_ROLE)
        call.action = "exchange"
        call.principal, call.session, call.groups = grant.role, session.name, sorted(grant.groups)
        now, deadline = time.time(), time.monotonic() + BUDGET
        made = credential.new(self._configuration.environment, now=now)
        credential.store(
            made,
            grant,
            table=self._configuration.api_keys_table,
            pepper=self._secrets.get(now=now, deadline=deadline).api_key_pepper,
            aws=self._aws,
            region=self._configuration.region,
            deadline=deadline,
        )
        call.key_id, call.expires_at = made.public_id, made.expires_at
        # Before the answer: what is not recorded must not be given.
        audit.write(audit.ALLOW, "exchanged", call)
        return answers.granted(made, grant, call.request_id)


def _user_arn(event: Any) -> str:
    """Whose signature API Gateway verified. Raises Refused for an event that is none of ``POST /token``."""
    if not isinstance(event, dict) or (event.get("httpMethod"), event.get("resource")) != ("POST", "/token"):
        raise Refused(problems.INTERNAL)
    context = event.get("requestContext")
    identity = context.get("identity") if isinstance(context, dict) else None
    if not isinstance(identity, dict):
        raise Refused(problems.INTERNAL)
    arn, account = identity.get("userArn"), identity.get("accountId")
    # A session's account is the caller's.
    if not isinstance(arn, str) or not isinstance(account, str) or f":{account}:" not in arn:
        raise Refused(answers.NOT_A_ROLE)
    return arn


_exchange: Exchange | None = Exchange(config.load(os.environ)) if answering.in_lambda(os.environ) else None


def handler(event: Any, context: object) -> dict[str, Any]:  # noqa: ARG001  # the signature is Lambda's
    """Answer an event of a REST API's Lambda proxy integration. Raises ConfigurationError."""
    return (_exchange or Exchange(config.load(os.environ))).answer(event)
