"""The deployed user pool and its app client, as the login needs them."""

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx
from botocore.exceptions import ClientError
from joserfc import jwt
from joserfc.jwk import RSAKey
from moto.utilities.utils import load_resource

KEY_ID = "dummy"
"""The id of the emulated pool's one key."""

UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
DEFAULT_REFRESH_DAYS = 30
DEFAULT_ACCESS_HOURS = 1


class PoolUnusable(Exception):
    """The deployed pool or client asks for something that the login cannot do. The text says what."""


class WrongPassword(Exception):
    """No such person, wrong password, or a person who is disabled: the difference is nobody's business."""


class PasswordRefused(Exception):
    """The new password does not meet the pool's policy."""


class WrongCode(Exception):
    """The code is not the one of this moment, or not the one that was mailed."""


class CodeUsed(Exception):
    """The code was right, and was taken before: the app shows another one in a moment."""


class SignInOver(Exception):
    """The pool's session has ended, or the person may not sign in any more: only a new sign-in helps."""


@dataclass(frozen=True, kw_only=True)
class AppClient:
    """What the app client may do. Times are in seconds."""

    id: str
    callback_urls: tuple[str, ...]
    logout_urls: tuple[str, ...]
    scopes: tuple[str, ...]
    refresh_seconds: float
    rotates: bool
    grace: float
    revocable: bool


@dataclass(frozen=True, kw_only=True)
class ProgramClient:
    """The client that proves itself by a secret and gets tokens for nobody but itself. ``seconds`` is how long those live."""

    id: str
    secret: str
    scopes: tuple[str, ...]
    seconds: int


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What the pool gave a person. ``refresh`` stays with the login. ``expires_in`` is in seconds."""

    access: str
    id: str
    refresh: str
    expires_in: int


class Step(StrEnum):
    """What the pool wants after the password."""

    NEW_PASSWORD = "NEW_PASSWORD_REQUIRED"  # noqa: S105 - a challenge of Cognito
    CODE = "SOFTWARE_TOKEN_MFA"
    ENROLMENT = "MFA_SETUP"
    RESET = "RESET_REQUIRED"


@dataclass(frozen=True, kw_only=True)
class Due:
    """A step before the tokens.

    ``session`` goes back with the answer; ``secret`` is the one to enrol; ``shortest`` is the length of a new password.
    """

    step: Step
    session: str = ""
    secret: str = ""
    shortest: int = 0


class Pool:
    """Blocking calls of the emulated Cognito.

    Args:
        cognito: boto3 client of cognito-idp.
        pool_id, client_id: what was deployed.
        program_client_id: empty when there is no client for programs.
    """

    def __init__(self, cognito: Any, pool_id: str, client_id: str, program_client_id: str = "") -> None:
        self._cognito, self.id, self.client_id, self.program_client_id = cognito, pool_id, client_id, program_client_id

    def arn(self) -> str:
        """The pool's ARN. Raises PoolUnusable."""
        return self._describe()["Arn"]

    def check(self) -> None:
        """Raises PoolUnusable, with what to change, for what cannot be served."""
        self._describe()
        factors = self._cognito.get_user_pool_mfa_config(UserPoolId=self.id)
        apps = (factors.get("SoftwareTokenMfaConfiguration") or {}).get("Enabled")
        if factors.get("MfaConfiguration", "OFF") != "OFF" and not apps:
            raise PoolUnusable(
                "The user pool asks for a second factor other than an authenticator app, which is not served here."
            )
        self.app_client()
        self.program_client()

    def _describe(self) -> dict[str, Any]:
        try:
            return self._cognito.describe_user_pool(UserPoolId=self.id)["UserPool"]
        except ClientError:
            raise PoolUnusable("The user pool of outputs.json does not exist. Run make local.") from None

    def _shortest_password(self) -> int:
        return self._describe()["Policies"]["PasswordPolicy"]["MinimumLength"]

    def _describe_client(self, client_id: str) -> dict[str, Any]:
        try:
            return self._cognito.describe_user_pool_client(UserPoolId=self.id, ClientId=client_id)["UserPoolClient"]
        except ClientError:
            raise PoolUnusable("The app client of outputs.json does not exist. Run make local.") from None

    def program_client(self) -> ProgramClient | None:
        """The client for programs as it is deployed now, if there is one. Raises PoolUnusable."""
        if not self.program_client_id:
            return None
        client = self._describe_client(self.program_client_id)
        if client.get("AllowedOAuthFlows") != ["client_credentials"] or not client.get("ClientSecret"):
            raise PoolUnusable("The client for programs allows something else than client credentials.")
        unit = (client.get("TokenValidityUnits") or {}).get("AccessToken", "hours")
        return ProgramClient(
            id=self.program_client_id,
            secret=client["ClientSecret"],
            scopes=tuple(client.get("AllowedOAuthScopes") or ()),
            seconds=int(client.get("AccessTokenValidity") or DEFAULT_ACCESS_HOURS) * UNITS[unit],
        )

    def app_client(self) -> AppClient:
        """The app client as it is deployed now. Raises PoolUnusable."""
        client = self._describe_client(self.client_id)
        if not client.get("AllowedOAuthFlowsUserPoolClient") or client.get("AllowedOAuthFlows") != ["code"]:
            raise PoolUnusable("The app client allows something else than the authorization code flow.")
        if client.get("ClientSecret"):
            raise PoolUnusable("The app client has a secret, which a program on the user's machine cannot keep.")
        if client.get("SupportedIdentityProviders") != ["COGNITO"]:
            raise PoolUnusable("The app client allows other identity providers than the pool itself.")
        rotation = client.get("RefreshTokenRotation") or {}
        unit = (client.get("TokenValidityUnits") or {}).get("RefreshToken", "days")
        return AppClient(
            id=self.client_id,
            callback_urls=tuple(client.get("CallbackURLs") or ()),
            logout_urls=tuple(client.get("LogoutURLs") or ()),
            scopes=tuple(client.get("AllowedOAuthScopes") or ()),
            refresh_seconds=float(client.get("RefreshTokenValidity") or DEFAULT_REFRESH_DAYS) * UNITS[unit],
            rotates=rotation.get("Feature") == "ENABLED",
            grace=float(rotation.get("RetryGracePeriodSeconds") or 0),
            revocable=bool(client.get("EnableTokenRevocation")),
        )

    def sign_in(self, username: str, password: str) -> Tokens | Due:
        """What the pool answers to the password. Raises WrongPassword."""
        try:
            answer = self._cognito.admin_initiate_auth(
                UserPoolId=self.id,
                ClientId=self.client_id,
                AuthFlow="ADMIN_USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": username, "PASSWORD": password},
            )
        except self._cognito.exceptions.PasswordResetRequiredException:
            return Due(step=Step.RESET, shortest=self._shortest_password())
        except ClientError as error:
            raise _refusal(error, WrongPassword) from None
        return self._outcome(answer)

    def set_password(self, username: str, password: str, session: str) -> Tokens | Due:
        """Answers the pool's demand for a new password. Raises PasswordRefused or SignInOver."""
        return self._respond(Step.NEW_PASSWORD, session, {"USERNAME": username, "NEW_PASSWORD": password})

    def check_code(self, username: str, code: str, session: str) -> Tokens | Due:
        """Answers the demand for a code. Raises WrongCode, CodeUsed or SignInOver."""
        return self._respond(Step.CODE, session, {"USERNAME": username, "SOFTWARE_TOKEN_MFA_CODE": code})

    def enrol(self, username: str, code: str, session: str) -> Tokens | Due:
        """Makes the secret of this session the person's, by its first code. Raises WrongCode, CodeUsed or SignInOver."""
        try:
            verified = self._cognito.verify_software_token(Session=session, UserCode=code)
        except ClientError as error:
            raise _refusal(error, SignInOver) from None
        return self._respond(Step.ENROLMENT, verified["Session"], {"USERNAME": username})

    def reset_password(self, username: str, code: str, password: str) -> None:
        """Sets a new password with the code that the pool mailed. Raises WrongCode or PasswordRefused."""
        try:
            self._cognito.confirm_forgot_password(
                ClientId=self.client_id, Username=username, ConfirmationCode=code, Password=password
            )
        except self._cognito.exceptions.ExpiredCodeException:
            raise WrongCode from None
        except ClientError as error:
            raise _refusal(error, WrongCode) from None

    def _respond(self, step: Step, session: str, answers: Mapping[str, str]) -> Tokens | Due:
        try:
            answer = self._cognito.admin_respond_to_auth_challenge(
                UserPoolId=self.id,
                ClientId=self.client_id,
                ChallengeName=step.value,
                ChallengeResponses=dict(answers),
                Session=session,
            )
        except ClientError as error:
            raise _refusal(error, SignInOver) from None
        return self._outcome(answer)

    def refresh(self, username: str, refresh_token: str) -> Tokens:
        """New tokens. Raises WrongPassword when the person may not sign in any more."""
        try:
            user = self._cognito.admin_get_user(UserPoolId=self.id, Username=username)
            if not user["Enabled"] or user["UserStatus"] != "CONFIRMED":
                raise WrongPassword
            answer = self._cognito.admin_initiate_auth(
                UserPoolId=self.id,
                ClientId=self.client_id,
                AuthFlow="REFRESH_TOKEN_AUTH",
                AuthParameters={"REFRESH_TOKEN": refresh_token},
            )
        except ClientError as error:
            raise _refusal(error, WrongPassword) from None
        result = answer["AuthenticationResult"]
        return Tokens(
            access=result["AccessToken"], id=result["IdToken"], refresh=refresh_token, expires_in=int(result["ExpiresIn"])
        )

    def _outcome(self, answer: Mapping[str, Any]) -> Tokens | Due:
        challenge = answer.get("ChallengeName")
        if challenge is not None:
            # A challenge that is none of these ends the sign-in: it is not passed over.
            step, session = Step(challenge), answer["Session"]
            if step is not Step.ENROLMENT:
                shortest = self._shortest_password() if step is Step.NEW_PASSWORD else 0
                return Due(step=step, session=session, shortest=shortest)
            offered = self._cognito.associate_software_token(Session=session)
            return Due(step=step, session=offered["Session"], secret=offered["SecretCode"])
        result = answer["AuthenticationResult"]
        return Tokens(
            access=result["AccessToken"],
            id=result["IdToken"],
            refresh=result["RefreshToken"],
            expires_in=int(result["ExpiresIn"]),
        )

    def key_set(self) -> dict[str, Any]:
        """The pool's public keys (JWKS). Raises httpx.HTTPError."""
        url = f"{os.environ['AWS_ENDPOINT_URL']}/{self.id}/.well-known/jwks.json"
        answer = httpx.get(url, timeout=5, trust_env=False)
        return answer.raise_for_status().json()


_REFUSED = {"NotAuthorizedException", "UserNotFoundException", "ResourceNotFoundException", "InvalidParameterException"}
_KINDS: Mapping[str, type[Exception]] = {
    "InvalidPasswordException": PasswordRefused,
    "CodeMismatchException": WrongCode,
    "EnableSoftwareTokenMFAException": WrongCode,
    "ExpiredCodeException": CodeUsed,
}


def _refusal(error: ClientError, otherwise: type[Exception]) -> Exception:
    """What the pool's refusal means; ``otherwise`` where it does not say more. The error itself when it is no refusal."""
    code = error.response.get("Error", {}).get("Code", "")
    if kind := _KINDS.get(code):
        return kind()
    return otherwise() if code in _REFUSED else error


def with_nonce(id_token: str, nonce: str | None) -> str:
    """The identity token with the client's nonce (OpenID Connect Core, 3.1.2.1), which the emulated pool leaves out."""
    if nonce is None:
        return id_token
    header, payload, _ = id_token.split(".")
    return signed(_decoded(payload) | {"nonce": nonce}, _decoded(header)["kid"])


def signed(claims: Mapping[str, Any], key_id: str = KEY_ID) -> str:
    """The claims as a token, signed with the emulated pool's key, which is the same everywhere and public in moto's sources."""
    key = RSAKey.import_key(load_resource("cognitoidp/resources/jwks-private.json"))
    return jwt.encode({"alg": "RS256", "kid": key_id}, dict(claims), key)


def _decoded(part: str) -> dict[str, Any]:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
