"""The fields of the record that each search leaves (``lambda_api.audit``), with the event "audit": who reads is recorded too.

``action`` (search) and, once the caller is known to be an administrator, ``principal``, ``since`` and ``until`` (seconds since
the epoch), ``filters`` (the names of those that were given) and ``records`` (how many were).
"""

from dataclasses import dataclass
from typing import ClassVar

from lambda_api import audit


@dataclass
class Call(audit.Call):
    """What is known of a call so far."""

    EVENT: ClassVar[str] = "audit"
    since: int | None = None
    until: int | None = None
    filters: list[str] | None = None
    records: int | None = None
