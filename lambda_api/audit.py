"""One audit record on standard output for each call of a function: CloudWatch Logs keeps it.

``audit_fields`` names the fields that it has in common with all other records; each function's own ``Call`` adds some. ``method``
and ``route`` are those that API Gateway took the call for.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from lambda_authorizer import events
from lambda_authorizer.access_policy import RULES
from lambda_authorizer.audit_chain import PROCESS
from lambda_authorizer.audit_fields import ALLOW, DENY, ERROR, open_line

__all__ = ["ALLOW", "DENY", "ERROR", "Call", "write"]

TOKEN_CALL = ("POST", "/token")
"""The one route that the access policy does not describe: IAM opens it."""


@dataclass
class Call:
    """What is known of a call so far."""

    EVENT: ClassVar[str]
    request_id: str | None
    source_ip: str | None
    method: str | None = None
    route: str | None = None
    action: str | None = None
    principal: str | None = None

    @classmethod
    def of(cls, event: Any) -> Self:
        """The call of an event of a Lambda proxy integration. Never raises."""
        origin = events.origin(event)
        asked = (event.get("httpMethod"), event.get("resource")) if isinstance(event, dict) else None
        # An unknown route is whatever somebody sent: it is not repeated. A list, of which some are no key, is none.
        known = next((call for call in (*RULES, TOKEN_CALL) if call == asked), (None, None))
        return cls(*origin, *known)

    def resource(self) -> str | None:
        """The id of what it is about."""
        return None


def write(decision: str, reason: str, call: Call) -> None:
    """Write the record. Raises OSError when it cannot be written: what is not recorded must not be given."""
    PROCESS.write(open_line(call.EVENT, decision, reason, resource=call.resource(), **vars(call)))
