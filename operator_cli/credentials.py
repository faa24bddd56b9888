"""What a call is made with: the session of a person, or the API key of a program.

A program has its key in the environment, and with it there neither reads nor needs a session. Each sending of a request is
authorised anew, so that one that is signed can be repeated: the service takes a signature once.
"""

import os
from collections.abc import Generator
from pathlib import Path
from typing import Protocol

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lambda_authorizer.api_keys import public_id
from lambda_authorizer.reasons import Reason, Refused
from operator_cli import signing
from operator_cli.environments import Environment
from operator_cli.errors import WrongUse
from operator_cli.session import Session

KEY_VARIABLE = "HEARTMAP_API_KEY"
KEY_FILE_VARIABLE = "HEARTMAP_API_KEY_FILE"
SIGNING_KEY_FILE_VARIABLE = "HEARTMAP_SIGNING_KEY_FILE"

# A key has at most 180 characters.
LARGEST_FILE = 1024


class Credential(Protocol):
    """Who calls."""

    refused: str
    """What to tell when the service answers 401."""

    def authorization(self) -> httpx.Auth: ...

    def renewed(self, rejected: httpx.Auth) -> httpx.Auth | None:
        """Another one in place of what the service answered with 401, None where there is none."""
        ...

    def repair(self) -> str:
        """What to do about a 401."""
        ...


class Bearer(httpx.Auth):
    """An access token."""

    def __init__(self, token: str) -> None:
        self.token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self.token}"
        yield request


class SessionCredential:
    """The session of whoever is signed in."""

    refused = "The service does not accept this session."

    def __init__(self, environment: Environment, session: Session) -> None:
        self._environment = environment
        self._session = session

    def authorization(self) -> Bearer:
        """Raises NotSignedIn without a session, CliError when the user pool cannot be asked."""
        return Bearer(self._session.tokens().access_token)

    def renewed(self, rejected: httpx.Auth) -> Bearer | None:
        """A new token. The one that was rejected ended earlier than this machine's clock says, or was revoked."""
        token = rejected.token if isinstance(rejected, Bearer) else None
        return Bearer(self._session.tokens(rejected=token).access_token)

    def repair(self) -> str:
        return f"Sign in: {self._environment.command('login')}"


class ApiKey(httpx.Auth):
    """The API key of a program, which signs its calls where there is a key to sign with."""

    refused = "The service does not accept this API key."
    # A signature is over the body as it is sent.
    requires_request_body = True

    def __init__(self, key: str, key_id: str, signing_key: Ed25519PrivateKey | None, source: str = KEY_VARIABLE) -> None:
        self.key_id = key_id
        self.source = source
        self.signs = signing_key is not None
        self._key = key
        self._signing_key = signing_key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"ApiKey {self._key}"
        if self._signing_key is not None:
            signing.sign(request, self._signing_key, self.key_id)
        yield request

    def authorization(self) -> "ApiKey":
        return self

    def renewed(self, rejected: httpx.Auth) -> None:  # noqa: ARG002  (a key has no successor)
        return None

    def repair(self) -> str:
        if self.signs:
            how = f"Is the key in {SIGNING_KEY_FILE_VARIABLE} the one that was registered, and this machine's clock right?"
        else:
            how = f"Must its calls be signed? Then set {SIGNING_KEY_FILE_VARIABLE} to the file of its signing key."
        return f"It may have been revoked or have ended: ask an administrator. {how}"


def api_key(environment: Environment) -> ApiKey | None:
    """The API key in this program's environment, None where there is none. Raises WrongUse, which never tells a key."""
    given = [name for name in (KEY_VARIABLE, KEY_FILE_VARIABLE) if os.environ.get(name)]
    signing_file = os.environ.get(SIGNING_KEY_FILE_VARIABLE)
    if not given:
        if signing_file:
            raise WrongUse(
                f"{SIGNING_KEY_FILE_VARIABLE} signs the calls of an API key, and there is none.",
                next_step=f"Set {KEY_VARIABLE} or {KEY_FILE_VARIABLE} too, or unset it to call with your session.",
            )
        return None
    if len(given) > 1:
        raise WrongUse(f"{' and '.join(given)} are both set.", next_step="Unset one of them.")
    key = os.environ[KEY_VARIABLE] if given == [KEY_VARIABLE] else _read(Path(os.environ[KEY_FILE_VARIABLE]))
    try:
        key_id = public_id(key, environment=environment.name)
    except Refused as refused:
        if refused.reason is Reason.KEY_ENVIRONMENT:
            raise WrongUse(
                f"The key in {given[0]} is not one of the {environment.name} environment.",
                next_step="Name the key's own environment with --environment, or take another key.",
            ) from None
        raise WrongUse(f"What {given[0]} holds is not an API key: they look like hm_{environment.name}_ID_SECRET.") from None
    return ApiKey(key, key_id, signing.load(Path(signing_file)) if signing_file else None, given[0])


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(LARGEST_FILE).decode("ascii").strip()
    except OSError as error:
        raise WrongUse(f"The API key in {file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise WrongUse(f"The file {file} does not hold an API key.") from None
