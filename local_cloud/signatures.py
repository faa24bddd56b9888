"""Whose Signature Version 4 is this? AWS's services ask IAM that of every request; the local edge asks the emulated AWS here.

The keys of users and of role sessions are in the emulated AWS, whose own calls give them to nobody afterwards. So the question
goes where they are: the edge sends what was signed and the signature, and is told who signed and by which policies, or nothing.

https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from moto.core.utils import utcnow
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends
from werkzeug.wrappers import Request, Response

PATH = "/heartmap/signatures"
"""No service of AWS has a path like it."""

QUESTION_BYTES = 64 * 1024

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Any]


class Signer(NamedTuple):
    """A principal with what it signs with. ``limits`` are policies that have to allow a call as well."""

    secret: str
    token: str | None
    arn: str
    user_id: str
    account: str
    policies: list[str]
    limits: list[str]


class Signatures:
    """The emulated AWS with this one question more."""

    def __init__(self, app: Wsgi) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ.get("PATH_INFO") != PATH:
            return self._app(environ, start_response)
        return _answer(Request(environ))(environ, start_response)


def _answer(request: Request) -> Response:
    length = request.content_length
    if request.method != "POST" or length is None or length > QUESTION_BYTES:
        return Response("a POST of a question", 400)
    try:
        question = json.loads(request.get_data())
        key_id, token, scope, to_sign, signature = (
            question[name] for name in ("access_key_id", "session_token", "scope", "string_to_sign", "signature")
        )
        found = next((signer for signer in _signers(key_id) if signer.token == token), None)
        matches = found is not None and hmac.compare_digest(_signature(found.secret, scope, to_sign), signature)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Response("no question about a signature", 400)
    if found is None or not matches:
        return Response("{}", 403, content_type="application/json")
    answer = {name: getattr(found, name) for name in ("arn", "user_id", "account", "policies", "limits")}
    return Response(json.dumps(answer), content_type="application/json")


def _signature(secret: str, scope: str, to_sign: str) -> str:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, to_sign.encode(), "sha256").hexdigest()


def signer_of(key_id: str) -> Signer | None:
    """Who signs with a key; None where IAM has no such key, or its session has ended."""
    return next(_signers(key_id), None)


def _signers(key_id: str) -> Iterator[Signer]:
    yield from _sessions(key_id)
    yield from _users(key_id)


def _sessions(key_id: str) -> Iterator[Signer]:
    """Sessions of roles that exist, until they end."""
    for _, partitions in list(sts_backends.items()):
        for session in [session for backend in list(partitions.values()) for session in backend.assumed_roles]:
            if session.access_key_id != key_id or session.expiration <= utcnow():
                continue
            roles = iam_backends[session.account_id][session.partition].roles.values()
            role = next((role for role in list(roles) if role.arn == session.role_arn), None)
            if role is None:
                continue
            yield Signer(
                secret=session.secret_access_key,
                token=session.session_token,
                arn=session.arn,
                user_id=session.user_id,
                account=session.account_id,
                policies=_documents(role),
                limits=_boundary(role, session) + ([session.policy] if session.policy else []),
            )


def _users(key_id: str) -> Iterator[Signer]:
    """Users with an active key."""
    for account, partitions in list(iam_backends.items()):
        for backend in list(partitions.values()):
            for user in list(backend.users.values()):
                key = next((key for key in user.access_keys if key.access_key_id == key_id and key.status == "Active"), None)
                if key is None:
                    continue
                groups = [group for group in list(backend.groups.values()) if user in group.users]
                yield Signer(
                    secret=key.secret_access_key,
                    token=None,
                    arn=user.arn,
                    user_id=user.id,
                    account=account,
                    policies=[text for owner in (user, *groups) for text in _documents(owner)],
                    limits=[],
                )


def _documents(owner: Any) -> list[str]:
    """The inline and the attached policies of a role, a user or a group."""
    attached = [_default(policy) for policy in owner.managed_policies.values()]
    inline = [text if isinstance(text, str) else json.dumps(text) for text in owner.policies.values()]
    return inline + attached


def _default(policy: Any) -> str:
    return next(version.document for version in policy.versions if version.is_default)


def _boundary(role: Any, session: Any) -> list[str]:
    if not role.permissions_boundary_arn:
        return []
    policy = iam_backends[session.account_id][session.partition].managed_policies.get(role.permissions_boundary_arn)
    # A boundary that is gone allows nothing.
    return [_default(policy) if policy else '{"Version": "2012-10-17", "Statement": []}']
