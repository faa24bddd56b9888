"""The signed-in user of an environment: a valid access token, renewed silently."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout

from operator_cli import token_endpoint
from operator_cli.environments import Environment
from operator_cli.errors import CliError, NotSignedIn
from operator_cli.tokens import Tokens, TokenStore


class Session:
    """What is kept of a sign-in, shared by every process of this user."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._store = TokenStore(environment)

    def tokens(self, *, rejected: str | None = None) -> Tokens:
        """Tokens whose access token is valid, and is not the one that the service rejected.

        Raises NotSignedIn when there is no session or the pool no longer renews it, CliError when the pool cannot be asked.
        """
        found = self._kept()
        if found.fresh and found.access_token != rejected:
            return found
        with self._alone():
            # Another process may have renewed them while this one waited.
            found = self._kept()
            if found.fresh and found.access_token != rejected:
                return found
            return self._renew(found)

    def start(self, tokens: Tokens) -> str:
        """Keep a new sign-in; says where ("keyring" or "file")."""
        with self._alone():
            return self._store.save(tokens)

    def end(self) -> bool:
        """Forget the session here and revoke it at the pool. False when there was none.

        Raises CliError when the pool did not revoke it; it is forgotten here all the same.
        """
        with self._alone():
            found = self._store.load()
            self._store.clear()
        if found is None:
            return False
        refresh_token = found[0].refresh_token
        if refresh_token is not None:
            try:
                token_endpoint.revoke(self._environment, refresh_token)
            except CliError as error:
                raise CliError(
                    f"Signed out on this machine, but the session was not revoked: {error.message}",
                    next_step="It ends by itself; an administrator can end it at once by disabling the user.",
                ) from None
        return True

    def place(self) -> str | None:
        """Where the session is kept, or None when there is none."""
        found = self._store.load()
        return found[1] if found else None

    @property
    def file(self) -> Path:
        """Where it is kept where the place is "file"."""
        return self._store.file

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other process renews, begins or ends the session. Raises CliError when one does so for a minute."""
        lock = self._store.lock()
        try:
            lock.acquire()
        except Timeout:
            raise CliError("Another heartmapctl has been renewing the session for a minute.", next_step="Try again.") from None
        try:
            yield
        finally:
            lock.release()

    def _kept(self) -> Tokens:
        found = self._store.load()
        if found is None:
            raise NotSignedIn(
                f"Not signed in to the {self._environment.name} environment.",
                next_step=f"Sign in: {self._environment.command('login')}",
            )
        return found[0]

    def _renew(self, found: Tokens) -> Tokens:
        try:
            renewed = token_endpoint.refresh(self._environment, found)
        except NotSignedIn:
            self._store.clear()
            raise
        self._store.save(renewed)
        return renewed
