"""What the login remembers between requests: sign-ins under way, codes, refresh tokens and failed attempts. All of it in memory.

Tokens and codes are kept as digests, so that a dump of the memory's tables gives none away.
"""

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from local_cloud.login.pool import Due

Clock = Callable[[], float]
"""Seconds since any moment."""

T = TypeVar("T")

SIGN_IN_SECONDS = 600.0
# Cognito's live for 5 minutes; a loopback client is back at once. RFC 6749, 4.1.2: short-lived and single-use.
CODE_SECONDS = 60.0
MOST_ENTRIES = 10_000

# https://docs.aws.amazon.com/cognito/latest/developerguide/authentication.html, lockout behaviour for failed sign-in attempts
FREE_ATTEMPTS = 5
LONGEST_LOCK = 900.0


class Store(Generic[T]):
    """Values under random names, each for a time; the oldest go first when there are too many."""

    def __init__(self, seconds: float, clock: Clock = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._values: OrderedDict[str, tuple[float, T]] = OrderedDict()

    def add(self, value: T, seconds: float | None = None) -> str:
        """The name under which the value is kept."""
        name = secrets.token_urlsafe(32)
        self._values[_digest(name)] = (self._clock() + (self._seconds if seconds is None else seconds), value)
        if len(self._values) > MOST_ENTRIES:
            self._values.popitem(last=False)
        return name

    def get(self, name: str) -> T | None:
        """The value, if its time is not over."""
        end, value = self._values.get(_digest(name), (0.0, None))
        return value if self._clock() < end else None

    def drop(self, name: str) -> None:
        """Forgets the value."""
        self._values.pop(_digest(name), None)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


class Request(NamedTuple):
    """A valid authorization request. ``challenge`` is the S256 code challenge."""

    redirect_uri: str
    scopes: tuple[str, ...]
    state: str | None
    nonce: str | None
    challenge: str


@dataclass(kw_only=True)
class SignIn:
    """A sign-in under way: what was asked for, by which browser, and, after the password, by whom and what is due of them."""

    request: Request
    browser: str
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    username: str = ""
    due: Due | None = None
    notice: str = ""


@dataclass(kw_only=True)
class Session:
    """A person signed in to the client. ``pool_token`` is the user pool's own refresh token, which nobody else sees."""

    username: str
    pool_token: str
    scopes: tuple[str, ...]
    revoked: bool = False
    ends: float | None = None
    """When its refresh tokens end, on the clock of the sessions; known from the first one on."""


@dataclass(kw_only=True)
class Code:
    """An authorization code's grant. It stays known after its use, so that a second use can end the session (RFC 6749, 4.1.2)."""

    request: Request
    session: Session
    tokens: dict[str, str]
    used: bool = False


@dataclass(kw_only=True)
class RefreshToken:
    """``replaced`` is when it was exchanged for another one, on the clock of the sessions."""

    session: Session
    replaced: float | None = None


class RefreshTokens:
    """Refresh tokens, with rotation where the client has it.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._tokens: Store[RefreshToken] = Store(0, clock)

    def issue(self, session: Session, seconds: float) -> str:
        """A new token for the session, which ends so long after its first one: here, rotation does not make a session longer.

        It is the stricter of the two readings of what Cognito does, which no deployment here could tell.
        """
        if session.ends is None:
            session.ends = self._clock() + seconds
        return self._tokens.add(RefreshToken(session=session), session.ends - self._clock())

    def use(self, token: str, *, rotates: bool, grace: float) -> Session | None:
        """The session behind a valid token.

        Where tokens rotate this use is the last one, but for ``grace`` seconds in which a client may try again. A use after that
        means that somebody copied the token: it ends the session for all of them (RFC 9700, 4.14.2).
        """
        found = self._tokens.get(token)
        if found is None or found.session.revoked:
            return None
        if found.replaced is not None and self._clock() >= found.replaced + grace:
            found.session.revoked = True
            return None
        if rotates and found.replaced is None:
            found.replaced = self._clock()
        return found.session

    def revoke(self, token: str) -> None:
        """Ends the session of the token, if there is one (RFC 7009)."""
        found = self._tokens.get(token)
        if found is not None:
            found.session.revoked = True


class Lockout:
    """After five failures a username has to wait, for one second, then for twice as long each time."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def attempt(self, username: str) -> bool:
        """Counts an attempt as failed before its outcome is known, so that many at a time are no more than one after another.

        False while the username has to wait: such an attempt is not even looked at, and does not count.
        """
        # The pool's usernames do not differ by case, so that a name counts once however it is written.
        name = username.casefold()
        count, until = self._failures.get(name, (0, 0.0))
        if self._clock() < until:
            return False
        count += 1
        wait = min(2.0 ** (count - FREE_ATTEMPTS), LONGEST_LOCK) if count >= FREE_ATTEMPTS else 0.0
        self._failures.pop(name, None)
        self._failures[name] = (count, self._clock() + wait)
        if len(self._failures) > MOST_ENTRIES:
            self._failures.popitem(last=False)
        return True

    def succeeded(self, username: str) -> None:
        """Starts the count anew."""
        self._failures.pop(username.casefold(), None)
