"""``/users``: administrators list the people of the user pool, invite some, put them into groups, and keep some out.

The authorizer lets administrators alone through, with a fresh sign-in for what writes, and says so in its assertion; here the
assertion is verified again. It may be an hour old, as the token is: whoever writes has to be an administrator now as well, or two
of them could make each other none.

The configuration is read when the module is imported, so that a wrong one fails before the first call. In a process that has none
of it, a test run for example, the import is harmless and every call fails.
"""

import os
import re
import time
from collections.abc import Callable
from typing import Any

from lambda_api import answering, audit, requests
from lambda_api import answers as common
from lambda_api.admission import Admission, Admitted
from lambda_authorizer import problems
from lambda_authorizer.access_policy import ADMIN, USERS
from lambda_authorizer.problems import Refused
from lambda_authorizer.secret_store import ManagedSecrets
from lambda_users import answers, bodies, config
from lambda_users.audit import Call
from lambda_users.bodies import Change
from lambda_users.lock_outs import LockOuts
from lambda_users.pool import EXTERNAL, Pool, User

BUDGET = 12.0
"""Seconds that one call may wait for AWS."""

LIST, INVITE, CHANGE = "list", "invite", "change"
# The rows of the access policy that are answered here.
ACTIONS = {("GET", "/users"): LIST, ("POST", "/users"): INVITE, ("PATCH", "/users"): CHANGE}

# What Cognito makes of a person, and what the authorizer makes of an IAM role.
_PERSON = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ROLE = re.compile(r"arn:[!-~]+")


class Users:
    """The answers of one configuration, and what it keeps between them."""

    def __init__(self, configuration: config.Configuration) -> None:
        self._configuration = configuration
        self._aws = configuration.aws()
        secrets = ManagedSecrets(configuration.secret_arn, self._aws)
        self._admission = Admission(configuration.secret_arn, secrets, self._aws, answered_by=USERS)

    def answer(self, event: Any) -> dict[str, Any]:
        """The response for API Gateway. Writes one audit record, whatever happens."""
        call = Call.of(event)
        return answering.answer(call, lambda: self._answer(event, call))

    def _answer(self, event: Any, call: Call) -> dict[str, Any]:
        deadline = time.monotonic() + BUDGET
        admitted = self._admission.admit(event, call.request_id, now=time.time(), deadline=deadline)
        call.action, call.principal = ACTIONS[admitted.call], admitted.principal
        pool = Pool(self._configuration.user_pool, aws=self._aws, region=self._configuration.region, deadline=deadline)
        if call.action == INVITE:
            return _invite(admitted, call, pool)
        if call.action == CHANGE:
            return _change(admitted, call, pool, lambda subject: self._lock_out(subject, deadline))
        return _list(event, call, pool)

    def _lock_out(self, subject: str, deadline: float) -> None:
        lock_outs = LockOuts(self._configuration.lock_outs_table, aws=self._aws, region=self._configuration.region)
        lock_outs.add(subject, now=time.time(), deadline=deadline)


def _list(event: dict[str, Any], call: Call, pool: Pool) -> dict[str, Any]:
    page = bodies.page(requests.query(event))
    listing = pool.listed(limit=page.limit, cursor=page.cursor)
    if listing is None:
        raise Refused(common.invalid([("cursor", "must be the next_cursor of another page")]))
    audit.write(audit.ALLOW, "listed", call)
    content: dict[str, Any] = {"users": [_shown(user) for user in listing.users]}
    if listing.cursor is not None:
        content["next_cursor"] = listing.cursor
    return problems.document(200, content, call.request_id)


def _invite(admitted: Admitted, call: Call, pool: Pool) -> dict[str, Any]:
    wanted = bodies.new_user(admitted.body)
    call.group = wanted.group
    _check_still_admin(admitted.principal, pool)
    if pool.with_email(wanted.email):
        raise Refused(answers.USER_EXISTS)
    username = pool.invite(wanted.email)
    if username is None:
        raise Refused(answers.USER_EXISTS)
    user = _found(username, call, pool)
    pool.set_group(user, wanted.group)
    audit.write(audit.ALLOW, "invited", call)
    return problems.document(201, _shown(user._replace(groups=frozenset({wanted.group}))), call.request_id)


def _change(admitted: Admitted, call: Call, pool: Pool, lock_out: Callable[[str], None]) -> dict[str, Any]:
    wanted = bodies.change(admitted.body)
    call.group = "none" if wanted.no_group else wanted.group
    call.enabled, call.reset_mfa = wanted.enabled, wanted.reset_mfa or None
    user = _found(wanted.username, call, pool)
    _check_still_admin(admitted.principal, pool)
    demoted = ADMIN in user.groups and (wanted.no_group or wanted.group not in (None, ADMIN))
    disabled = user.enabled and wanted.enabled is False
    if user.subject == admitted.principal and (demoted or disabled):
        raise Refused(answers.OWN_ACCOUNT)
    if wanted.reset_mfa and user.status == EXTERNAL:
        raise Refused(answers.EXTERNAL_USER)
    _apply(wanted, user, pool)
    if (demoted or disabled) and not _is_admin(admitted.principal, pool):
        _undo(user, pool, demoted=demoted, disabled=disabled)
        raise Refused(answers.LAST_ADMIN)
    if (wanted.enabled is False or _narrows(wanted, user)) and user.subject is not None:
        # The last thing: no token is issued from here on that says what was.
        lock_out(user.subject)
    audit.write(audit.ALLOW, "changed", call)
    return problems.document(200, _shown(pool.get(user.username) or user), call.request_id)


def _narrows(wanted: Change, user: User) -> bool:
    """Whether a change leaves somebody with fewer rights than their tokens say: each role has those of the ones before it."""
    if not wanted.no_group and wanted.group is None:
        return False
    left = -1 if wanted.group is None else bodies.ROLES.index(wanted.group)
    return any(bodies.ROLES.index(role) > left for role in user.groups)


def _apply(wanted: Change, user: User, pool: Pool) -> None:
    """Each step may be done again: a change that failed half way is made by asking for it once more."""
    # What takes rights away comes first.
    if wanted.enabled is False:
        pool.disable(user.username)
    if wanted.no_group or wanted.group is not None:
        pool.set_group(user, wanted.group)
    if wanted.reset_mfa:
        pool.forget_second_factor(user.username)
    if wanted.enabled:
        pool.enable(user.username)


def _undo(user: User, pool: Pool, *, demoted: bool, disabled: bool) -> None:
    """Of two administrators who take each other's rights at one moment, at least one finds the other's change made, after the
    own one: so at least one is taken back."""
    if demoted:
        # As it is now: the change put them into another.
        pool.set_group(pool.get(user.username) or user, ADMIN)
    if disabled:
        pool.enable(user.username)


def _found(username: str, call: Call, pool: Pool) -> User:
    user = pool.get(username)
    if user is None:
        raise Refused(answers.NO_SUCH_USER)
    call.subject = user.subject
    return user


def _check_still_admin(principal: str, pool: Pool) -> None:
    if not _is_admin(principal, pool):
        raise Refused(answers.NO_ADMIN_ANY_MORE)


def _is_admin(principal: str, pool: Pool) -> bool:
    """Whether a caller with the rights of an administrator still is one. The groups of an IAM role are the stack's."""
    if _PERSON.fullmatch(principal):
        return pool.is_admin(principal, ADMIN)
    return bool(_ROLE.fullmatch(principal))


def _shown(user: User) -> dict[str, Any]:
    return user._asdict() | {"groups": [role for role in bodies.ROLES if role in user.groups]}


_users: Users | None = Users(config.load(os.environ)) if answering.in_lambda(os.environ) else None


def handler(event: Any, context: object) -> dict[str, Any]:  # noqa: ARG001  # the signature is Lambda's
    """Answer an event of a REST API's Lambda proxy integration. Raises ConfigurationError."""
    return (_users or Users(config.load(os.environ))).answer(event)
