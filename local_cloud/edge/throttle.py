"""Token buckets, as API Gateway throttles the methods of a stage.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
"""

import time
from collections.abc import Callable
from typing import NamedTuple


class Limit(NamedTuple):
    """``rate`` in requests a second, ``burst`` in requests."""

    rate: float
    burst: int


class TokenBucket:
    """Holds at most ``burst`` tokens, gains ``rate`` a second, and pays one for each request. ``clock`` is in seconds."""

    def __init__(self, limit: Limit, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._clock = limit, clock
        self._tokens, self._at = float(limit.burst), clock()

    def take(self) -> bool:
        """Whether the request may pass."""
        now = self._clock()
        self._tokens = min(self._limit.burst, self._tokens + (now - self._at) * self._limit.rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
