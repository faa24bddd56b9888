"""The people of an environment's user pool: invited, listed, put into groups, kept out."""

from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict

from operator_cli.api import Api


class User(BaseModel):
    """One person. Times are in seconds since the epoch; `mfa` is None for who has the second factor elsewhere."""

    model_config = ConfigDict(extra="allow")

    username: str
    subject: str | None = None
    email: str | None = None
    groups: list[str]
    enabled: bool
    status: str
    mfa: bool | None = None
    created_at: int | None = None
    changed_at: int | None = None

    def document(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    @property
    def state(self) -> str:
        """disabled, invited (has not signed in yet), external (by another identity provider), active, or Cognito's word."""
        if not self.enabled:
            return "disabled"
        known = {"CONFIRMED": "active", "FORCE_CHANGE_PASSWORD": "invited", "EXTERNAL_PROVIDER": "external"}
        return known.get(self.status, self.status.lower())


class _Users(BaseModel):
    model_config = ConfigDict(extra="allow")

    users: list[User]
    next_cursor: str | None = None


PAGE = 60
"""The most that the service gives at once."""


def every(api: Api, limit: int) -> list[User]:
    """At most so many of them."""
    found: list[User] = []
    asked: dict[str, str] = {}
    while True:
        page = api.call("GET", f"/users?{urlencode({'limit': str(min(PAGE, limit - len(found)))} | asked)}", _Users)
        found += page.users
        if page.next_cursor is None or len(found) >= limit:
            return found[:limit]
        asked = {"cursor": page.next_cursor}


def add(api: Api, email: str, group: str) -> User:
    """Invite somebody: Cognito sends a temporary password to the address."""
    return api.call("POST", "/users", User, {"email": email, "group": group})


def change(api: Api, username: str, **changes: Any) -> User:
    """Change somebody: `group` (None for none), `enabled`, `reset_mfa`."""
    return api.call("PATCH", "/users", User, {"username": username, **changes})
