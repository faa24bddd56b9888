"""Checks an authorization request against the deployed client. RFC 6749, 4.1.1; RFC 7636, 4.3; RFC 9700, 2.1."""

import re
from collections.abc import Sequence
from urllib.parse import urlencode

from local_cloud.login.grants import Request
from local_cloud.login.pool import AppClient

# BASE64URL(SHA256(verifier)) without padding.
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
LONGEST_VALUE = 2048

Parameters = Sequence[tuple[str, str]]


class NotForThisClient(Exception):
    """Client or redirect address are unknown: nothing may be sent back there. The text is for the person."""


class RequestRefused(Exception):
    """Goes back to the client. ``error`` is one of RFC 6749, 4.1.2.1."""

    def __init__(self, redirect_uri: str, state: str | None, error: str, description: str) -> None:
        super().__init__(description)
        self.location = redirect(redirect_uri, {"error": error, "error_description": description}, state)


def redirect(redirect_uri: str, values: dict[str, str], state: str | None) -> str:
    """The client's address with the values and its state in the query."""
    query = urlencode(values | ({} if state is None else {"state": state}))
    return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{query}"


def check(parameters: Parameters, client: AppClient) -> Request:
    """Raises NotForThisClient or RequestRefused."""
    values = dict(parameters)
    single = len(values) == len(parameters)
    if not single or values.get("client_id") != client.id:
        raise NotForThisClient("The application that sent you here is not known.")
    redirect_uri = values.get("redirect_uri", "")
    # As strings, character by character: RFC 9700, 2.1.
    if redirect_uri not in client.callback_urls:
        raise NotForThisClient("The application that sent you here wants the answer at an address that it did not register.")
    state = values.get("state")

    def refuse(error: str, description: str) -> RequestRefused:
        return RequestRefused(redirect_uri, state, error, description)

    if any(len(value) > LONGEST_VALUE for value in values.values()):
        raise refuse("invalid_request", "A parameter is too long")
    if values.get("response_type") != "code":
        raise refuse("unsupported_response_type", "Only the response type code is served")
    if values.get("code_challenge_method") != "S256" or not CHALLENGE.fullmatch(values.get("code_challenge", "")):
        raise refuse("invalid_request", "PKCE with the method S256 is required")
    # Everybody is asked anew here, so that login is what happens anyway, and none cannot be done (OpenID Connect Core, 3.1.2.1).
    if "none" in values.get("prompt", "").split():
        raise refuse("login_required", "A person has to sign in here each time")
    scopes = tuple(dict.fromkeys(values.get("scope", "").split())) or client.scopes
    if not set(scopes) <= set(client.scopes):
        raise refuse("invalid_scope", "The client may not ask for that scope")
    return Request(redirect_uri, scopes, state, values.get("nonce"), values["code_challenge"])
