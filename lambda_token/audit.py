"""The fields of the line that each exchange leaves (``lambda_api.audit``), with the event "token".

Only for a role that is known, ``principal`` (its ARN), ``session``, ``groups``, ``key_id`` (the credential's public id) and
``expires_at`` (seconds since the epoch). Never a credential.
"""

from dataclasses import dataclass
from typing import ClassVar

from lambda_api import audit


@dataclass
class Call(audit.Call):
    """What is known of a call so far."""

    EVENT: ClassVar[str] = "token"
    principal: str | None = None
    session: str | None = None
    groups: list[str] | None = None
    key_id: str | None = None
    expires_at: int | None = None
