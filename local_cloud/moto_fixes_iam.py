"""What moto does otherwise than IAM. Applied with the other fixes, see `moto_fixes`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.exceptions import AccessDeniedError, JsonRESTError
from moto.iam.models import iam_backends

from local_cloud.moto_patching import replace


def ask_what_users_may_do() -> None:
    """IAM: what is signed with a user's key has to be signed with that key, and is refused where no policy of the user's or of a
    group's allows it. moto asks that of all callers after so many calls, or of none; here it asks it of IAM's users, always.

    As far as moto goes: for most calls a policy has to name the resource `*`, and conditions count as met.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
    """

    def make(_original: Any) -> Any:
        def authenticate_and_authorize(self: Any, request_class: Any, resource: str = "*") -> None:
            if self.headers.get("X-Amz-Target") in self.PUBLIC_OPERATIONS or not _is_of_a_user(self.access_key):
                return
            query = urlparse(self.uri).query
            asked = request_class(
                account_id=self.current_account,
                method=self.method,
                path=f"{self.raw_path}?{query}" if query else self.raw_path,
                data=self.data,
                body=self.raw_body,
                headers=self.headers,
                action=self._get_action(),
            )
            asked.check_signature()
            try:
                asked.check_action_permitted(resource)
            except AccessDeniedError as error:
                raise _refusal(self, error, resource) from None

        return authenticate_and_authorize

    replace(ActionAuthenticatorMixin, "_authenticate_and_authorize_action", make)


def _is_of_a_user(key_id: str) -> bool:
    users = [user for parts in list(iam_backends.values()) for one in list(parts.values()) for user in list(one.users.values())]
    return any(key.access_key_id == key_id for user in users for key in user.access_keys)


class _Refused(AccessDeniedError):
    """A refusal in XML."""

    def __init__(self, code: str, message: str) -> None:
        super(AccessDeniedError, self).__init__(code, message)


def _refusal(response: Any, error: AccessDeniedError, resource: str) -> Exception:
    """A refusal as the service writes it, with the resource where it is known."""
    message = error.message if resource == "*" else f"{error.message} on resource: {resource}"
    if response.service_name == "ec2":
        return _Refused("UnauthorizedOperation", f"You are not authorized to perform this operation. {message}")
    if response.headers.get("X-Amz-Target"):
        return JsonRESTError("AccessDeniedException", message)
    return _Refused(error.error_type, message)


FIXES: tuple[Callable[[], None], ...] = (ask_what_users_may_do,)
