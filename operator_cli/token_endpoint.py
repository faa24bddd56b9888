"""Cognito's token endpoint: a code for tokens, a refresh token for new ones, and the end of a session.

https://docs.aws.amazon.com/cognito/latest/developerguide/token-endpoint.html
"""

import time
from collections.abc import Mapping
from typing import Any

import httpx
from pydantic import BaseModel, Field, ValidationError

from operator_cli.environments import Environment
from operator_cli.errors import CliError, NotSignedIn
from operator_cli.tokens import Tokens, claims_of
from operator_cli.transport import client, unreachable

# Between this machine's clock and the user pool's, in seconds.
CLOCK_TOLERANCE = 60


class _Answer(BaseModel):
    access_token: str = Field(repr=False)
    id_token: str | None = Field(default=None, repr=False)
    refresh_token: str | None = Field(default=None, repr=False)


def exchange(environment: Environment, *, code: str, verifier: str, redirect_uri: str, nonce: str) -> Tokens:
    """The tokens for an authorization code (RFC 6749 4.1.3, RFC 7636 4.5).

    Raises CliError when the endpoint refuses, or when a token is not for this sign-in, pool and client.
    """
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier, "redirect_uri": redirect_uri}
    answer = _ask(environment, form)
    identity = _check_id_token(environment, answer.id_token, nonce)
    email = identity.get("email")
    return _tokens(environment, answer).model_copy(update={"email": email if isinstance(email, str) else None})


def refresh(environment: Environment, previous: Tokens) -> Tokens:
    """New tokens for a refresh token, which may be replaced with them (rotation).

    Raises NotSignedIn when there is no refresh token or the endpoint refuses it.
    """
    ended = NotSignedIn("The session has ended.", next_step=f"Sign in: {environment.command('login')}")
    if previous.refresh_token is None:
        raise ended
    try:
        answer = _ask(environment, {"grant_type": "refresh_token", "refresh_token": previous.refresh_token})
    except _RefusedByEndpoint:
        raise ended from None
    renewed = _tokens(environment, answer)
    return renewed.model_copy(
        update={"refresh_token": renewed.refresh_token or previous.refresh_token, "email": previous.email}
    )  # fmt: skip


def revoke(environment: Environment, refresh_token: str) -> None:
    """End the session at the pool (RFC 7009). Raises CliError when it was not ended."""
    response = _post(environment, environment.revoke_url, {"token": refresh_token, "client_id": environment.client_id})
    if not response.is_success:
        raise CliError("The user pool did not revoke the session.")


class _RefusedByEndpoint(CliError):
    """A 4xx of the token endpoint: what was presented is not valid."""


def _post(environment: Environment, url: str, form: Mapping[str, str]) -> httpx.Response:
    with client(environment) as http:
        try:
            return http.post(url, data=dict(form))
        except httpx.HTTPError as error:
            raise unreachable(environment, url, error) from None


def _ask(environment: Environment, form: Mapping[str, str]) -> _Answer:
    response = _post(environment, environment.token_url, {**form, "client_id": environment.client_id})
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
        raise CliError(f"The sign-in service answered {response.status_code}.", next_step="Try again in a minute.")
    if not response.is_success:
        raise _RefusedByEndpoint("The sign-in service refused the request.", code=_error_code(response))
    try:
        return _Answer.model_validate_json(response.content)
    except ValidationError:
        raise CliError("The sign-in service gave an answer without tokens.") from None


def _error_code(response: httpx.Response) -> str | None:
    """RFC 6749 5.2: a short ASCII word."""
    try:
        code = response.json()["error"]
    except (ValueError, TypeError, KeyError):
        return None
    return code if isinstance(code, str) else None


def _tokens(environment: Environment, answer: _Answer) -> Tokens:
    claims = _claims(answer.access_token)
    expected = {"iss": environment.issuer, "client_id": environment.client_id, "token_use": "access"}
    _compare(claims, expected)
    end = claims.get("exp")
    if not isinstance(end, int | float):
        raise CliError("The sign-in service gave a token without an end.")
    return Tokens(access_token=answer.access_token, refresh_token=answer.refresh_token, expires_at=end)


def _check_id_token(environment: Environment, id_token: str | None, nonce: str) -> dict[str, Any]:
    """Its claims (OpenID Connect Core 3.1.3.7, steps 2, 3, 9 and 11)."""
    if id_token is None:
        raise CliError("The sign-in service gave no identity token.")
    claims = _claims(id_token)
    _compare(claims, {"iss": environment.issuer, "aud": environment.client_id, "token_use": "id", "nonce": nonce})
    end = claims.get("exp")
    if not isinstance(end, int | float) or end + CLOCK_TOLERANCE < time.time():
        raise CliError("The identity token has already ended.", next_step="Check this machine's clock.")
    return claims


def _claims(token: str) -> dict[str, Any]:
    try:
        return claims_of(token)
    except ValueError:
        raise CliError("The sign-in service gave a token that is not a JWT.") from None


def _compare(claims: Mapping[str, Any], expected: Mapping[str, str]) -> None:
    for name, value in expected.items():
        if claims.get(name) != value:
            raise CliError(
                f"The sign-in service gave a token that is not for this sign-in ({name}).",
                next_step="Nothing was kept. Check the environment's description and sign in again.",
            )
