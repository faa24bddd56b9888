"""The console's own secrets: how its one browser is told from everything else on this machine."""

import hmac
import secrets
import time
from collections.abc import Callable

START_SECONDS = 10 * 60


class Secrets:
    """``cookie`` and ``page_key`` are the browser's after the start; each lives and ends with this process.

    A cookie is sent to every port of a host, so that another user's server may be given it; the page key stays with the origin.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.start_token = secrets.token_urlsafe(32)
        self.cookie = secrets.token_urlsafe(32)
        self.page_key = secrets.token_urlsafe(32)
        self._until: float | None = clock() + START_SECONDS

    def start(self, token: str) -> bool:
        """Whether this is the start token: once, and within its time."""
        if self._until is None or self._clock() > self._until or not same(token, self.start_token):
            return False
        self._until = None
        return True


def same(given: str, expected: str) -> bool:
    """Compared in a time that does not tell how much of it is right."""
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())
