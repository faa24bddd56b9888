"""Second factors and demanded password changes, as Cognito has them. moto takes any code, and any session for any challenge.

Applied with the other fixes, see `moto_fixes`. Every sign-in with a password ends in one gate: there it is decided what is still
due before tokens are given, by the pool's configuration of that moment.

https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-mfa-totp.html
"""

import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.cognitoidp import models
from moto.cognitoidp.exceptions import (
    CodeMismatchException,
    ExpiredCodeException,
    InvalidParameterException,
    NotAuthorizedError,
    ResourceNotFoundError,
)
from moto.core.exceptions import JsonRESTError

from local_cloud import moto_mails, totp
from local_cloud.moto_patching import replace

NEW_PASSWORD, CODE, SETUP = "NEW_PASSWORD_REQUIRED", "SOFTWARE_TOKEN_MFA", "MFA_SETUP"
INVALID_SESSION = "Invalid session for the user."
RESET_CODE_SECONDS = 3600.0

Backend = models.CognitoIdpBackend

# A code is taken once, whoever else asks at the same moment: moto serves each request from a thread of its own.
_taking = threading.Lock()


@dataclass
class Challenge:
    """What a session may answer. ``secret`` is the one under enrolment, ``verified`` once its code was right."""

    name: str
    username: str
    secret: str | None = None
    verified: bool = False


def _challenges(backend: Any) -> dict[str, Challenge]:
    return vars(backend).setdefault("challenges", {})


def _ask(backend: Any, pool: Any, username: str, name: str) -> dict[str, Any]:
    session = secrets.token_urlsafe(32)
    backend.sessions[session] = (username, pool)
    _challenges(backend)[session] = Challenge(name, username)
    parameters = {"USER_ID_FOR_SRP": username} | ({"MFAS_CAN_SETUP": json.dumps([CODE])} if name == SETUP else {})
    return {"ChallengeName": name, "ChallengeParameters": parameters, "Session": session}


def _asked(backend: Any, session: str | None, name: str) -> tuple[Challenge, Any, Any]:
    """The challenge of a session, its pool and its user, who must not be disabled since. Raises NotAuthorizedError."""
    found = _challenges(backend).get(session or "")
    if found is None or found.name != name:
        raise NotAuthorizedError(INVALID_SESSION)
    _, pool = backend.sessions[session]
    user = backend.admin_get_user(pool.id, found.username)
    if not user.enabled:
        raise NotAuthorizedError("User is disabled.")
    return found, pool, user


def _forget(backend: Any, session: str) -> None:
    backend.sessions.pop(session, None)
    _challenges(backend).pop(session, None)


def _take(user: Any, secret: str, code: str | None, mismatch: JsonRESTError) -> None:
    """Takes a code, once. Raises ``mismatch`` for a wrong one, ExpiredCodeException for one that is not newer than the last."""
    with _taking:
        step = totp.matching_step(secret, code or "", time.time())
        if step is None:
            raise mismatch
        taken = getattr(user, "totp_taken", None)
        if taken is not None and taken[0] == secret and step <= taken[1]:
            raise ExpiredCodeException("Your software token has already been used once.")
        user.totp_taken = (secret, step)


def _due(pool: Any, user: Any) -> str | None:
    """The challenge before tokens. An optional factor is asked for where it is switched on, a required one where it is known."""
    known = user.token_verified and getattr(user, "totp_secret", None)
    if pool.mfa_config == "ON":
        return CODE if known else SETUP
    return CODE if pool.mfa_config == "OPTIONAL" and known and user.software_token_mfa_enabled else None


# moto's own, which gives tokens to whoever comes.
_give_tokens = vars(Backend)["_log_user_in"]


def ask_for_second_factors() -> None:
    """Cognito: no tokens before the second factor that the pool demands at that moment. moto looks at the user only."""

    def gate(_original: Any) -> Any:
        def log_user_in(self: Any, user_pool: Any, client: Any, username: str) -> dict[str, Any]:
            user = self.admin_get_user(user_pool.id, username)
            challenge = _due(user_pool, user)
            # By the name that the pool has, however it was typed: tokens say it, and a sign-out finds them by it.
            name = user.username
            return _ask(self, user_pool, name, challenge) if challenge else _give_tokens(self, user_pool, client, name)

        return log_user_in

    replace(Backend, "_log_user_in", gate)


def ask_through_one_gate() -> None:
    """Cognito: every flow with a password asks for the same. moto's flows differ, and the SRP flow takes any proof."""

    def by_administrator(original: Any) -> Any:
        def admin_initiate_auth(
            self: Any, user_pool_id: str, client_id: str, auth_flow: str, auth_parameters: dict[str, str]
        ) -> dict[str, Any]:
            result = original(self, user_pool_id, client_id, auth_flow, auth_parameters)
            session = result.get("Session")
            if session is None or session in _challenges(self):
                return result
            # A challenge of moto's own, after the right password.
            username, pool = self.sessions.pop(session)
            user = self.admin_get_user(pool.id, username)
            if user.status == models.UserStatus.RESET_REQUIRED:
                raise JsonRESTError("PasswordResetRequiredException", "Password reset required for the user")
            if user.status == models.UserStatus.FORCE_CHANGE_PASSWORD:
                return _ask(self, pool, user.username, NEW_PASSWORD)
            return self._log_user_in(pool, pool.clients[client_id], username)

        return admin_initiate_auth

    def by_anybody(original: Any) -> Any:
        def initiate_auth(self: Any, client_id: str, auth_flow: str, auth_parameters: dict[str, str]) -> dict[str, Any]:
            if auth_flow in ("REFRESH_TOKEN", "REFRESH_TOKEN_AUTH"):
                return original(self, client_id, auth_flow, auth_parameters)
            if auth_flow != "USER_PASSWORD_AUTH":
                raise InvalidParameterException(f"The flow {auth_flow} is not emulated.")
            pool = _pool_of(self, client_id)
            return self.admin_initiate_auth(pool.id, client_id, "ADMIN_USER_PASSWORD_AUTH", auth_parameters)

        return initiate_auth

    replace(Backend, "admin_initiate_auth", by_administrator)
    replace(Backend, "initiate_auth", by_anybody)


def _pool_of(backend: Any, client_id: str) -> Any:
    for pool in backend.user_pools.values():
        if client_id in pool.clients:
            return pool
    raise ResourceNotFoundError(client_id)


def check_answers_to_challenges() -> None:
    """Cognito: a session answers its own challenge for its own user, once, and codes are right. moto checks none of it."""

    def answers(_original: Any) -> Any:
        def respond_to_auth_challenge(
            self: Any, session: str, client_id: str, challenge_name: str, challenge_responses: Mapping[str, str]
        ) -> dict[str, Any]:
            check = _CHECKS.get(challenge_name)
            if check is None:
                raise InvalidParameterException("This challenge is not emulated.")
            challenge, pool, user = _asked(self, session, challenge_name)
            client = pool.clients.get(client_id)
            if client is None or pool._get_user(challenge_responses.get("USERNAME") or "") is not user:
                raise NotAuthorizedError(INVALID_SESSION)
            check(self, challenge, pool, user, challenge_responses)
            _forget(self, session)
            # Behind a new password a second factor may be due; whoever gave that has given everything.
            log_in = type(self)._log_user_in if challenge_name == NEW_PASSWORD else _give_tokens
            return log_in(self, pool, client, challenge.username)

        return respond_to_auth_challenge

    replace(Backend, "respond_to_auth_challenge", answers)


def _new_password(backend: Any, _challenge: Challenge, pool: Any, user: Any, answer: Mapping[str, str]) -> None:
    password = answer.get("NEW_PASSWORD") or ""
    backend._validate_password(pool.id, password)
    user.password, user.status = password, models.UserStatus.CONFIRMED


def _code(_backend: Any, _challenge: Challenge, _pool: Any, user: Any, answer: Mapping[str, str]) -> None:
    secret = getattr(user, "totp_secret", None)
    if not secret or not user.token_verified:
        raise NotAuthorizedError(INVALID_SESSION)
    _take(user, secret, answer.get("SOFTWARE_TOKEN_MFA_CODE"), CodeMismatchException("Invalid code received for user"))


def _setup(_backend: Any, challenge: Challenge, _pool: Any, user: Any, _answer: Mapping[str, str]) -> None:
    """What was verified within the sign-in is switched on with it."""
    if not challenge.verified:
        raise NotAuthorizedError(INVALID_SESSION)
    user.software_token_mfa_enabled, user.preferred_mfa_setting = True, CODE


_CHECKS: Mapping[str, Callable[[Any, Challenge, Any, Any, Mapping[str, str]], None]] = {
    NEW_PASSWORD: _new_password,
    CODE: _code,
    SETUP: _setup,
}


def enrol_with_real_codes() -> None:
    """Cognito: each user has a secret of their own, known from its first right code on. moto has one for all."""

    def associate(_original: Any) -> Any:
        def associate_software_token(self: Any, access_token: str | None, session: str | None) -> dict[str, str]:
            secret = totp.new_secret()
            if session:
                _asked(self, session, SETUP)[0].secret = secret
                return {"SecretCode": secret, "Session": session}
            self.get_user(access_token).totp_offered = secret
            return {"SecretCode": secret}

        return associate_software_token

    def verify(_original: Any) -> Any:
        def verify_software_token(
            self: Any,
            access_token: str | None,
            session: str | None,
            user_code: str,
            friendly_device_name: str | None,  # noqa: ARG001 - moto's own name, which it does not keep either
        ) -> dict[str, str]:
            challenge, user = None, None
            if session:
                challenge, _, user = _asked(self, session, SETUP)
                secret = challenge.secret
            else:
                user = self.get_user(access_token)
                secret = getattr(user, "totp_offered", None)
            if secret is None:
                raise InvalidParameterException("AssociateSoftwareToken comes first.")
            _take(user, secret, user_code, JsonRESTError("EnableSoftwareTokenMFAException", "Code mismatch"))
            user.totp_secret, user.totp_offered, user.token_verified = secret, None, True
            if challenge is not None:
                challenge.verified = True
            return {"Status": "SUCCESS"} | ({"Session": session} if session else {})

        return verify_software_token

    replace(Backend, "associate_software_token", associate)
    replace(Backend, "verify_software_token", verify)


def reset_passwords_by_code() -> None:
    """Cognito: a password that an administrator reset is set anew with the code that was mailed, once. moto takes any code.

    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminResetUserPassword.html
    """

    def reset(original: Any) -> Any:
        def admin_reset_user_password(self: Any, user_pool_id: str, username: str) -> None:
            original(self, user_pool_id, username)
            user = self.admin_get_user(user_pool_id, username)
            user.confirmation_code = f"{secrets.randbelow(10**6):06}"
            user.confirmation_ends = time.time() + RESET_CODE_SECONDS
            moto_mails.send(user, f"Your code to set a new password is {user.confirmation_code}")

        return admin_reset_user_password

    def confirm(_original: Any) -> Any:
        def confirm_forgot_password(self: Any, client_id: str, username: str, password: str, confirmation_code: str) -> None:
            pool = _pool_of(self, client_id)
            user = pool._get_user(username)
            expected = user.confirmation_code if user and user.enabled else None
            if not expected or not hmac.compare_digest(expected.encode(), confirmation_code.encode()):
                raise CodeMismatchException("Invalid verification code provided, please try again.")
            if time.time() >= getattr(user, "confirmation_ends", 0.0):
                raise ExpiredCodeException("Invalid code provided, please request a code again.")
            self._validate_password(pool.id, password)
            user.password, user.status, user.confirmation_code = password, models.UserStatus.CONFIRMED, None

        return confirm_forgot_password

    replace(Backend, "admin_reset_user_password", reset)
    replace(Backend, "confirm_forgot_password", confirm)


def keep_the_time_of_the_sign_in() -> None:
    """Cognito: auth_time is when the person signed in, also in the tokens of a renewal. moto takes the time of the renewal.

    https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
    """

    def begin(original: Any) -> Any:
        def create_refresh_token(self: Any, client_id: str, username: str) -> tuple[str, str]:
            token, origin = original(self, client_id, username)
            vars(self).setdefault("sign_in_times", {})[origin] = int(time.time())
            return token, origin

        return create_refresh_token

    def keep(original: Any) -> Any:
        def create_jwt(
            self: Any,
            client_id: str,
            username: str,
            token_use: str,
            expires_in: int = 3600,
            extra_data: dict[str, Any] | None = None,
        ) -> tuple[str, int]:
            claims = dict(extra_data or {})
            signed_in = vars(self).get("sign_in_times", {}).get(claims.get("origin_jti"))
            if signed_in is not None:
                claims["auth_time"] = signed_in
            return original(self, client_id, username, token_use, expires_in, claims)

        return create_jwt

    replace(models.CognitoIdpUserPool, "create_refresh_token", begin)
    replace(models.CognitoIdpUserPool, "create_jwt", keep)


def tell_addresses() -> None:
    """Cognito: an identity token tells what the client may read, by default the e-mail address too. moto tells nothing.

    https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html
    """

    def make(original: Any) -> Any:
        def get_user_extra_data_by_client_id(self: Any, client_id: str, username: str) -> dict[str, Any]:
            told = original(self, client_id, username)
            client = self.clients.get(client_id)
            known = self._get_user(username).attribute_lookup
            if client and not client.get_readable_fields() and "email" in known:
                told |= {"email": known["email"], "email_verified": known.get("email_verified") == "true"}
            return told

        return get_user_extra_data_by_client_id

    replace(models.CognitoIdpUserPool, "get_user_extra_data_by_client_id", make)


FIXES: tuple[Callable[[], None], ...] = (
    ask_for_second_factors,
    ask_through_one_gate,
    check_answers_to_challenges,
    enrol_with_real_codes,
    reset_passwords_by_code,
    keep_the_time_of_the_sign_in,
    tell_addresses,
)
