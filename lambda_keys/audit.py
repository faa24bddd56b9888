"""The fields of the record that each call leaves (``lambda_api.audit``), with the event "keys".

``action`` (create, list, rotate, revoke) and, once the caller is known to be an administrator, ``principal``, ``key_id`` (the
public id of the key that is made, rotated or revoked), ``name``, ``replaced_by`` (the public id of the key that a rotation makes)
and, of a key that is made, ``scopes`` and ``expires_at`` (seconds since the epoch). Never a key.

A record with the decision error names the key that was about to be made: where AWS's answer got lost there is one, and nobody
holds it.
"""

from dataclasses import dataclass
from typing import ClassVar

from lambda_api import audit


@dataclass
class Call(audit.Call):
    """What is known of a call so far."""

    EVENT: ClassVar[str] = "keys"
    key_id: str | None = None
    name: str | None = None
    replaced_by: str | None = None
    scopes: list[str] | None = None
    expires_at: int | None = None

    def resource(self) -> str | None:
        return self.key_id
