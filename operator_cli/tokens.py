"""A session's tokens, and where they rest between commands.

One session a user pool and app client of an environment. In the system keyring where there is a real one, else in a file that
only its owner can read; for `local` always in a file under the state directory of that local environment.
"""

import base64
import binascii
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from operator_cli.environments import APPLICATION, Environment
from operator_cli.errors import CliError

# A token that is about to end would end on its way.
MARGIN_SECONDS = 60
LOCK_SECONDS = 60


class Tokens(BaseModel):
    """`expires_at` is the access token's end, in seconds since the epoch, `email` the person's as the identity token had it."""

    model_config = ConfigDict(frozen=True)

    access_token: str = Field(repr=False, min_length=1)
    refresh_token: str | None = Field(default=None, repr=False)
    expires_at: float
    email: str | None = None

    @property
    def fresh(self) -> bool:
        return self.expires_at - MARGIN_SECONDS > time.time()

    @property
    def claims(self) -> dict[str, Any]:
        return claims_of(self.access_token)


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a JWT, without a check of its signature: the token came straight from the token endpoint over TLS, which
    OpenID Connect Core 3.1.3.7 accepts in place of the signature. The service checks it in full.

    Raises ValueError when the text is not a JWT.
    """
    try:
        _, payload, _ = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, binascii.Error):
        raise ValueError("not a JWT") from None
    if not isinstance(claims, dict):
        raise ValueError("not a JWT")  # noqa: TRY004  (one kind of error for one fault)
    return claims


class TokenStore:
    """Reads, writes and forgets the tokens of one environment."""

    def __init__(self, environment: Environment) -> None:
        identity = hashlib.sha256(f"{environment.issuer}\n{environment.client_id}".encode()).hexdigest()[:16]
        self._entry = f"{environment.name}-{identity}"
        self._directory = environment.state_directory
        self._file = self._directory / f"{self._entry}.json"
        self._keyring = None if environment.is_local else _system_keyring()

    def lock(self) -> FileLock:
        """Held while tokens are renewed: a refresh token that rotates can be used by one process only."""
        self._make_directory()
        return FileLock(self._directory / f"{self._entry}.lock", timeout=LOCK_SECONDS, mode=0o600)

    @property
    def file(self) -> Path:
        """Where the tokens are where they are not in a keyring."""
        return self._file

    def load(self) -> tuple[Tokens, str] | None:
        """The tokens and where they were found, "keyring" or "file". None when there are none, or none that can be read."""
        for place, read in (("keyring", self._read_keyring), ("file", self._read_file)):
            text = read()
            if text is not None:
                try:
                    return Tokens.model_validate_json(text), place
                except ValidationError:
                    continue
        return None

    def save(self, tokens: Tokens) -> str:
        """Keep the tokens; says where. Raises CliError when this machine cannot."""
        text = tokens.model_dump_json()
        if self._write_keyring(text):
            self._file.unlink(missing_ok=True)
            return "keyring"
        self._write_file(text)
        return "file"

    def clear(self) -> None:
        """Forget the tokens, wherever they are."""
        self._file.unlink(missing_ok=True)
        if self._keyring is not None and self._read_keyring() is not None:
            self._keyring.delete_password(APPLICATION, self._entry)

    def _read_keyring(self) -> str | None:
        if self._keyring is None:
            return None
        from keyring.errors import KeyringError

        try:
            return self._keyring.get_password(APPLICATION, self._entry)
        except KeyringError:
            return None

    def _write_keyring(self, text: str) -> bool:
        if self._keyring is None:
            return False
        from keyring.errors import KeyringError

        try:
            self._keyring.set_password(APPLICATION, self._entry, text)
        except KeyringError:
            return False
        return True

    def _read_file(self) -> str | None:
        try:
            return self._file.read_text()
        except (FileNotFoundError, UnicodeDecodeError):
            return None

    def _make_directory(self) -> None:
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise CliError(f"The session cannot be kept in {self._directory}: {error.strerror}.") from None

    def _write_file(self, text: str) -> None:
        self._make_directory()
        # mkstemp makes the file for its owner alone (0600); the rename is atomic and replaces a link instead of following it.
        handle, name = tempfile.mkstemp(dir=self._directory, prefix=f".{self._entry}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "w") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(self._file)
        except OSError as error:
            raise CliError(f"The session cannot be kept in {self._directory}: {error.strerror}.") from None
        finally:
            temporary.unlink(missing_ok=True)


def _system_keyring() -> Any:
    """The keyring of this machine when it is a real one, else None.

    The keyring package gives backends that store nothing (fail, null) or plain text a priority below 1.
    """
    import keyring

    backend = keyring.get_keyring()
    return backend if backend.priority >= 1 else None
