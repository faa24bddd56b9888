"""The fields of the record that each call leaves (``lambda_api.audit``), with the event "users".

``action`` (list, invite, change) and, once the caller is known to be an administrator, ``principal``; of a change ``subject``
(whom it is about, as the tokens of that person say), ``group`` (the new one, or "none"), ``enabled`` and ``reset_mfa``: what
was asked for, whatever the decision. Never a name or an address: the user pool knows whose a subject is.
"""

from dataclasses import dataclass
from typing import ClassVar

from lambda_api import audit


@dataclass
class Call(audit.Call):
    """What is known of a call so far."""

    EVENT: ClassVar[str] = "users"
    subject: str | None = None
    group: str | None = None
    enabled: bool | None = None
    reset_mfa: bool | None = None

    def resource(self) -> str | None:
        return self.subject
