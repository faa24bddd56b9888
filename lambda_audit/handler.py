"""``/audit``: administrators search the audit lines of the authorizer and of the functions behind the API.

The authorizer lets administrators alone through, and says so in its assertion; here the assertion is verified again. The function
can read these log groups and write to none but its own.

The configuration is read when the module is imported, so that a wrong one fails before the first call. In a process that has none
of it, a test run for example, the import is harmless and every call fails.
"""

import os
import time
from typing import Any

from lambda_api import answering, audit, requests
from lambda_api.admission import Admission
from lambda_audit import config, lines, queries, seals
from lambda_audit.audit import Call
from lambda_audit.seals import Seals
from lambda_audit.search import OutOfTime, Search
from lambda_authorizer import problems
from lambda_authorizer.access_policy import AUDIT
from lambda_authorizer.problems import Refused
from lambda_authorizer.secret_store import ManagedSecrets

SEALS = ("GET", "/audit/seals")
"""The one other call."""
BUDGET = 20.0
"""Seconds that one call may wait for AWS."""
SEARCH_BUDGET = 12.0
"""Seconds of it after which no further page of lines is read."""


class Trail:
    """The answers of one configuration, and what it keeps between them."""

    def __init__(self, configuration: config.Configuration) -> None:
        self._configuration = configuration
        self._aws = configuration.aws()
        self._seals = Seals(configuration)
        secrets = ManagedSecrets(configuration.secret_arn, self._aws)
        self._admission = Admission(configuration.secret_arn, secrets, self._aws, answered_by=AUDIT)

    def answer(self, event: Any) -> dict[str, Any]:
        """The response for API Gateway. Writes one audit record, whatever happens."""
        call = Call.of(event)
        return answering.answer(call, lambda: self._answer(event, call))

    def _answer(self, event: Any, call: Call) -> dict[str, Any]:
        now, started = time.time(), time.monotonic()
        admitted = self._admission.admit(event, call.request_id, now=now, deadline=started + BUDGET)
        call.principal = admitted.principal
        return (self._list_seals if admitted.call == SEALS else self._search)(event, call, now, started)

    def _list_seals(self, event: Any, call: Call, now: float, _: float) -> dict[str, Any]:
        call.action = "list_seals"
        content = self._seals.page(seals.query(requests.query(event)), now=now)
        call.records = len(content["seals"])
        audit.write(audit.ALLOW, "listed", call)
        return problems.document(200, content, call.request_id)

    def _search(self, event: Any, call: Call, now: float, started: float) -> dict[str, Any]:
        call.action = "search"
        query = queries.query(requests.query(event), now=now)
        call.since, call.until = query.since // 1000, query.until // 1000
        call.filters = sorted({*query.fields, *(["text"] if query.text else [])})
        search = Search(
            self._configuration.log_groups,
            aws=self._aws,
            region=self._configuration.region,
            until=started + SEARCH_BUDGET,
            deadline=started + BUDGET,
        )
        try:
            found = search.records(query)
        except OutOfTime:
            raise Refused(problems.UNAVAILABLE) from None
        call.records = len(found.records)
        audit.write(audit.ALLOW, "searched", call)
        content: dict[str, Any] = {"records": found.records, "read_back_to": lines.rfc3339(found.read_back_to)}
        if found.cursor is not None:
            content["next_cursor"] = found.cursor
        return problems.document(200, content, call.request_id)


_trail: Trail | None = Trail(config.load(os.environ)) if answering.in_lambda(os.environ) else None


def handler(event: Any, context: object) -> dict[str, Any]:  # noqa: ARG001  # the signature is Lambda's
    """Answer an event of a REST API's Lambda proxy integration. Raises ConfigurationError."""
    return (_trail or Trail(config.load(os.environ))).answer(event)
