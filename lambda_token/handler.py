"""``POST /token``: who signs with an IAM role that the stack names gets a credential of 15 minutes.

API Gateway lets nobody through without a valid signature (authorization AWS_IAM) and says whose it is; here the role is looked up
and given a key with its groups. Nothing in the request but the signature counts: no body, no parameter, no header.

The configuration is read when the module is imported, so that a wrong one fails before the first call. In a process that has none
of it, a test run for example, the import is harmless and every call fails.
"""

import os
import re
import sys
import time
import traceback
from collections.abc import Mapping
from typing import Any

from lambda_authorizer import problems
from lambda_authorizer.aws import Aws
from lambda_authorizer.environment import LOCAL
from lambda_authorizer.problems import Refused
from lambda_authorizer.reasons import Fault
from lambda_authorizer.secret_store import ManagedSecrets
from lambda_token import answers, audit, config, credential, roles
from lambda_token.audit import Call
from lambda_token.credential import StoreError

BUDGET = 8.0
"""Seconds that one exchange may wait for AWS."""

_REQUEST_ID = re.compile(r"[!-~]{1,128}")
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]{2,45}")


class Exchange:
    """The answers of one configuration, and what it keeps between them."""

    def __init__(self, configuration: config.Configuration) -> None:
        self._configuration = configuration
        self._aws = Aws(endpoint=configuration.endpoint, own_addresses=configuration.environment != LOCAL)
        self._secrets = ManagedSecrets(configuration.secret_arn, self._aws)

    def answer(self, event: Any) -> dict[str, Any]:
        """The response for API Gateway. Writes one audit line, whatever happens."""
        call = _call(event)
        try:
            return self._exchange(event, call)
        except Refused as refusal:
            problem = refusal.problem
            audit.write(audit.DENY if problem.status < 500 else audit.ERROR, problem.code, call)
            return problems.problem(problem, call.request_id)
        except Exception as error:  # noqa: BLE001  # whatever it is, it must be an error and recorded
            # The place, not the text: that may hold what a caller sent.
            sys.stderr.write(f"{type(error).__name__}\n" + "".join(traceback.format_tb(error.__traceback__)))
            audit.write(audit.ERROR, problems.INTERNAL.code, call)
            return problems.problem(problems.INTERNAL, call.request_id)

    def _exchange(self, event: Any, call: Call) -> dict[str, Any]:
        session = roles.session(_user_arn(event))
        if session is None:
            raise Refused(answers.NOT_A_ROLE)
        grant = self._configuration.grants.get(session.role)
        if grant is None:
            raise Refused(answers.UNKNOWN_ROLE)
        call.principal, call.session, call.groups = grant.role, session.name, sorted(grant.groups)
        now, deadline = time.time(), time.monotonic() + BUDGET
        made = credential.new(self._configuration.environment, now=now)
        try:
            credential.store(
                made,
                grant,
                table=self._configuration.api_keys_table,
                pepper=self._secrets.get(now=now, deadline=deadline).api_key_pepper,
                aws=self._aws,
                region=self._configuration.region,
                deadline=deadline,
            )
        except (Fault, StoreError):
            raise Refused(problems.UNAVAILABLE) from None
        call.key_id, call.expires_at = made.public_id, made.expires_at
        # Before the answer: what is not recorded must not be given.
        audit.write(audit.ALLOW, "exchanged", call)
        return answers.granted(made, grant, call.request_id)


def _call(event: Any) -> Call:
    """What identifies the call in the audit line. Never raises."""
    context = event.get("requestContext") if isinstance(event, dict) else None
    context = context if isinstance(context, dict) else {}
    identity = context.get("identity")
    source_ip = identity.get("sourceIp") if isinstance(identity, dict) else None
    return Call(_matching(_REQUEST_ID, context.get("requestId")), _matching(_ADDRESS, source_ip))


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


def _matching(pattern: re.Pattern[str], value: object) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def _configured(environ: Mapping[str, str]) -> bool:
    # Lambda sets the function's name before it imports the handler.
    return bool(environ.get("AWS_LAMBDA_FUNCTION_NAME"))


_exchange: Exchange | None = Exchange(config.load(os.environ)) if _configured(os.environ) else None


def handler(event: Any, context: object) -> dict[str, Any]:  # noqa: ARG001  # the signature is Lambda's
    """Answer an event of a REST API's Lambda proxy integration. Raises ConfigurationError."""
    return (_exchange or Exchange(config.load(os.environ))).answer(event)
