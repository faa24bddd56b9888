"""The user pool, and no other: its id is in each call.

https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_Operations.html. All raise AwsError.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from lambda_authorizer.aws import Aws, AwsError
from lambda_users.bodies import ROLES

EXTERNAL = "EXTERNAL_PROVIDER"
"""The status of who signs in with another identity provider."""

AT_ONCE = 8
"""Calls. Each has a connection of its own, and most of a call is waiting."""
_MEMBERS = 60
"""Users that ListUsersInGroup gives at a time, at most."""


class User(NamedTuple):
    """One person. ``groups`` are those of the access policy; ``mfa`` is whether there is a second factor, None for who has it
    elsewhere; times are in seconds since the epoch."""

    username: str
    subject: str | None
    email: str | None
    groups: frozenset[str]
    enabled: bool
    status: str
    mfa: bool | None
    created_at: int | None
    changed_at: int | None


class Listing(NamedTuple):
    """Some of the users, and where the others begin, if there are more."""

    users: list[User]
    cursor: str | None


class Pool:
    """The pool for one call of the function: ``deadline`` is on the clock of ``time.monotonic``."""

    def __init__(self, pool_id: str, *, aws: Aws, region: str, deadline: float) -> None:
        self._id = pool_id
        self._aws = aws
        self._region = region
        self._deadline = deadline

    def listed(self, *, limit: int, cursor: str | None) -> Listing | None:
        """A page of the users; None when no page of this pool ended at the cursor."""
        asked = {"Limit": limit} | ({"PaginationToken": cursor} if cursor else {})
        try:
            answer = self._call("ListUsers", asked)
        except AwsError as error:
            if cursor and error.code == "InvalidParameterException":
                return None
            raise
        names = [found["Username"] for found in answer.get("Users", [])]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            members = dict(zip(ROLES, threads.map(self._members, ROLES), strict=True))
            # The list itself does not tell who has a second factor.
            details = list(threads.map(self._details, names))
        groups = {name: frozenset(role for role in ROLES if name in members[role]) for name in names}
        # Whoever was deleted meanwhile is no user.
        users = [_user(found, groups[found["Username"]]) for found in details if found is not None]
        return Listing(users, answer.get("PaginationToken"))

    def get(self, username: str) -> User | None:
        """Somebody, None if there is nobody of this name."""
        found = self._details(username)
        # A local user is found by the subject as well: https://docs.aws.amazon.com/cognito-user-identity-pools/latest/
        # APIReference/API_AdminGetUser.html. What follows is about the username.
        return None if found is None else _user(found, self._groups(found["Username"]))

    def with_email(self, email: str) -> bool:
        """Whether somebody has this address, which ``bodies`` has read."""
        return bool(self._call("ListUsers", {"Limit": 1, "Filter": f'email = "{email}"'}).get("Users"))

    def is_admin(self, subject: str, admin: str) -> bool:
        """Whether this subject, a UUID, may sign in and is in the group ``admin``."""
        found = self._call("ListUsers", {"Limit": 1, "Filter": f'sub = "{subject}"'}).get("Users", [])
        return bool(found) and found[0]["Enabled"] and admin in self._groups(found[0]["Username"])

    def invite(self, email: str) -> str | None:
        """Make a user whose name is the address, and have Cognito send a temporary password there. The username; None when there
        is one already."""
        asked = {
            "Username": email,
            "UserAttributes": [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}],
            "DesiredDeliveryMediums": ["EMAIL"],
        }
        try:
            return self._call("AdminCreateUser", asked)["User"]["Username"]
        except AwsError as error:
            if error.code == "UsernameExistsException":
                return None
            raise

    def set_group(self, user: User, group: str | None) -> None:
        """Leave somebody in this group and in no other of the access policy."""
        # In this order, so that nobody has rights of two groups for a moment.
        for other in sorted(user.groups - {group}):
            self._about(user.username, "AdminRemoveUserFromGroup", {"GroupName": other})
        if group is not None and group not in user.groups:
            self._about(user.username, "AdminAddUserToGroup", {"GroupName": group})

    def enable(self, username: str) -> None:
        """Let somebody sign in."""
        self._about(username, "AdminEnableUser")

    def disable(self, username: str) -> None:
        """Keep somebody from signing in, and end their sessions: no refresh token of theirs is taken any more."""
        self._about(username, "AdminDisableUser")
        self._about(username, "AdminUserGlobalSignOut")

    def forget_second_factor(self, username: str) -> None:
        """Have somebody set up a new second factor when they next sign in.

        AdminSetUserMFAPreference would not do: where the pool requires a second factor it changes nothing and says it did.
        https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminDeleteSoftwareToken.html
        """
        self._about(username, "AdminDeleteSoftwareToken")

    def _details(self, username: str) -> dict[str, Any] | None:
        try:
            return self._about(username, "AdminGetUser")
        except AwsError as error:
            if error.code == "UserNotFoundException":
                return None
            raise

    def _groups(self, username: str) -> frozenset[str]:
        pages = self._pages(lambda token: self._about(username, "AdminListGroupsForUser", {"Limit": _MEMBERS} | token))
        # A group of an identity provider's people is Cognito's own.
        return frozenset(group["GroupName"] for page in pages for group in page["Groups"]) & frozenset(ROLES)

    def _members(self, group: str) -> frozenset[str]:
        pages = self._pages(lambda token: self._call("ListUsersInGroup", {"GroupName": group, "Limit": _MEMBERS} | token))
        return frozenset(user["Username"] for page in pages for user in page["Users"])

    def _pages(self, call: Callable[[dict[str, str]], dict[str, Any]]) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            page = call(token)
            yield page
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}

    def _about(self, username: str, operation: str, more: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._call(operation, {"Username": username} | (more or {}))

    def _call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return self._aws.call(
            "cognito-idp",
            f"AWSCognitoIdentityProviderService.{operation}",
            {"UserPoolId": self._id} | parameters,
            region=self._region,
            deadline=self._deadline,
        )


def _user(found: dict[str, Any], groups: frozenset[str]) -> User:
    attributes = {attribute["Name"]: attribute.get("Value") for attribute in found.get("UserAttributes", [])}
    status = found.get("UserStatus", "UNKNOWN")
    return User(
        username=found["Username"],
        subject=attributes.get("sub"),
        email=attributes.get("email"),
        groups=groups,
        enabled=found["Enabled"],
        status=status,
        mfa=None if status == EXTERNAL else bool(found.get("UserMFASettingList")),
        created_at=_seconds(found.get("UserCreateDate")),
        changed_at=_seconds(found.get("UserLastModifiedDate")),
    )


def _seconds(moment: float | None) -> int | None:
    return None if moment is None else int(moment)
