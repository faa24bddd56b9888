"""What Cognito would mail. moto mails nothing; here it is a line in the log of the emulated AWS, which only its owner can read.

Applied with the other fixes, see `moto_fixes`.
"""

import secrets
from collections.abc import Callable
from typing import Any

from moto.cognitoidp import models

from local_cloud.moto_patching import replace


def send(user: Any, text: str) -> None:
    """A mail to a user of the pool."""
    address = user.attribute_lookup.get("email", user.username)
    print(f"Mail to {address}: {text}", flush=True)  # noqa: T201 - its log is the standard output


def invite_people() -> None:
    """Cognito: AdminCreateUser makes a temporary password where none is given, and mails it. moto leaves such people without any.

    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUser.html
    """

    def make(original: Any) -> Any:
        def admin_create_user(
            self: Any,
            user_pool_id: str,
            username: str,
            message_action: str | None,
            temporary_password: str | None,
            attributes: list[dict[str, str]],
        ) -> Any:
            # Upper and lower case, digits and symbols, whatever the random part has of them.
            password = temporary_password or f"Aa1-{secrets.token_urlsafe(15)}"
            user = original(self, user_pool_id, username, message_action, password, attributes)
            if message_action != "SUPPRESS":
                send(user, f"Your username is {user.username} and your temporary password is {password}")
            return user

        return admin_create_user

    replace(models.CognitoIdpBackend, "admin_create_user", make)


FIXES: tuple[Callable[[], None], ...] = (invite_people,)
