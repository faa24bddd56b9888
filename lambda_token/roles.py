"""Which IAM role is calling, and the groups of each role that may.

A session is named ``arn:aws:sts::<account>:assumed-role/<role name>/<session>``, without the role's path. The name of a role is
unique within its account whatever its path is, so that account and name tell the role:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lambda_authorizer.access_policy import GROUPS

# https://docs.aws.amazon.com/IAM/latest/APIReference/API_Role.html: a path of slashes and visible characters, a name of 64.
_ROLE = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):iam::(?P<account>[0-9]{12}):role(?P<path>/([!-.0-~]+/)*)(?P<name>[\w+=,.@-]{1,64})", re.ASCII
)
_SESSION = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):sts::(?P<account>[0-9]{12}):assumed-role/(?P<name>[\w+=,.@-]{1,64})/(?P<session>[\w+=,.@-]{2,64})",
    re.ASCII,
)
# The service lets an analysis be shared with principals of at most this many characters.
LONGEST_ROLE = 128


class RolesError(ValueError):
    """The table of roles cannot be used. The text says why."""


class Session(NamedTuple):
    """A session of a role: the role's partition, account and name, and the session's own name."""

    role: tuple[str, str, str]
    name: str


class Grant(NamedTuple):
    """The ARN of a role, with its path, and its groups."""

    role: str
    groups: frozenset[str]


def session(user_arn: str) -> Session | None:
    """The session that API Gateway found the signature to be of; None for a user, a federated user, a root or nonsense."""
    match = _SESSION.fullmatch(user_arn)
    return match and Session((match["partition"], match["account"], match["name"]), match["session"])


def table(roles: Mapping[str, Sequence[str]]) -> dict[tuple[str, str, str], Grant]:
    """The grants by partition, account and name of the role. Raises RolesError."""
    grants: dict[tuple[str, str, str], Grant] = {}
    for arn, groups in roles.items():
        match = _ROLE.fullmatch(arn)
        if match is None or len(arn) > LONGEST_ROLE:
            raise RolesError(f"{arn} is no ARN of an IAM role of at most {LONGEST_ROLE} characters")
        if not groups or not GROUPS.issuperset(groups):
            raise RolesError(f"the groups of {arn} must be out of {', '.join(sorted(GROUPS))}")
        key = (match["partition"], match["account"], match["name"])
        if key in grants:
            raise RolesError(f"{arn} and {grants[key].role} have one name, and sessions of the two cannot be told apart")
        grants[key] = Grant(arn, frozenset(groups))
    return grants
