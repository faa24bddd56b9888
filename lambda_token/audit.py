"""The fields of the record that each exchange leaves (``lambda_api.audit``), with the event "token".

``action`` (exchange) and, only for a role that is known, ``principal`` (its ARN), ``session``, ``groups``, ``key_id`` (the
credential's public id) and ``expires_at`` (seconds since the epoch). Never a credential.
"""

from dataclasses import dataclass
from typing import ClassVar

from lambda_api import audit


@dataclass
class Call(audit.Call):
    """What is known of a call so far."""

    EVENT: ClassVar[str] = "token"
    session: str | None = None
    groups: list[str] | None = None
    key_id: str | None = None
    expires_at: int | None = None

    def resource(self) -> str | None:
        return self.key_id
