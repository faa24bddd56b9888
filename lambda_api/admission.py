"""Who calls, by the authorizer's assertion: whoever may invoke the function can write any event, and no other part is believed.

What API Gateway puts into ``requestContext.authorizer`` is the authorizer's context, with the assertion among it:
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from lambda_api import answers, requests
from lambda_authorizer import assertion
from lambda_authorizer.access_policy import RULES, permits
from lambda_authorizer.assertion import Assertion, AssertionRefused
from lambda_authorizer.aws import Aws, AwsError
from lambda_authorizer.problems import Refused
from lambda_authorizer.secret_store import ManagedSecrets, parse


class Admitted(NamedTuple):
    """A call that the access policy opens to its caller: the method and the route, who calls, and what with."""

    call: tuple[str, str]
    principal: str
    body: bytes


class Admission:
    """The check of assertions, by the keys of the secret, for the rows of the access policy that are ``answered_by`` it."""

    def __init__(self, secret_arn: str, secrets: ManagedSecrets, aws: Aws, *, answered_by: str) -> None:
        self._arn = secret_arn
        self._answered_by = answered_by
        self._secrets = secrets
        self._aws = aws

    def admit(self, event: Any, request_id: str | None, *, now: float, deadline: float) -> Admitted:
        """The call in an event of a Lambda proxy integration. ``now`` is in seconds since the epoch, ``deadline`` on the clock of
        ``time.monotonic``. Raises Refused, and Fault or AwsError when the secret cannot be read."""
        said = self._verified(_assertion(event), now=now, deadline=deadline)
        if said.request_id != request_id:
            raise Refused(answers.UNAUTHENTICATED)
        call = (said.method, said.route)
        rule = RULES.get(call)
        if rule is None or rule.answered_by != self._answered_by or call != (event.get("httpMethod"), event.get("resource")):
            raise Refused(answers.WRONG_ROUTE)
        if not permits(rule, said.groups, said.scopes):
            raise Refused(answers.FORBIDDEN)
        return Admitted(call, said.principal, requests.body(event, limit=rule.body))

    def _verified(self, text: str, *, now: float, deadline: float) -> Assertion:
        keys = self._secrets.get(now=now, deadline=deadline).assertion_keys.keys
        # v2.<key id>.<grant>.…
        if text.partition(".")[2].partition(".")[0] not in keys:
            keys = self._keys_before(deadline)
        try:
            return assertion.verify(text, keys, now=now)
        except AssertionRefused:
            raise Refused(answers.UNAUTHENTICATED) from None

    def _keys_before(self, deadline: float) -> Mapping[str, bytes]:
        """The key that signed before the last rotation, which an authorizer that has not read the new secret yet still uses."""
        parameters = {"SecretId": self._arn, "VersionStage": "AWSPREVIOUS"}
        region = self._arn.split(":")[3]
        try:
            answer = self._aws.call(
                "secretsmanager", "secretsmanager.GetSecretValue", parameters, region=region, deadline=deadline
            )
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                return {}
            raise
        keys = parse(answer["SecretString"].encode("utf-8")).assertion_keys
        return {keys.current: keys.keys[keys.current]}


def _assertion(event: Any) -> str:
    context = event.get("requestContext") if isinstance(event, dict) else None
    said = context.get("authorizer") if isinstance(context, dict) else None
    text = said.get("assertion") if isinstance(said, dict) else None
    if not isinstance(text, str):
        raise Refused(answers.UNAUTHENTICATED)
    return text
