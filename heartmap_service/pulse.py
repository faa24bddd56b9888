"""Signs of life of the work in hand, from a thread of their own: they go on while the work waits for AWS or for a child."""

import contextvars
import threading
import time
from collections.abc import Callable

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from heartmap_service.job_attempts import AttemptStore
from heartmap_service.protection import TaskProtection
from heartmap_service.queue import Message, Queue
from heartmap_service.records import Analysis
from heartmap_service.timing import Timing

_log = structlog.get_logger()


class Pulse:
    """Calls ``beat`` every ``interval`` seconds while the block runs. One that AWS fails is logged: the next one may succeed."""

    def __init__(self, beat: Callable[[], None], interval: float) -> None:
        self._beat = beat
        self._interval = interval
        self._over = threading.Event()
        # With what the log lines of the work in hand carry.
        self._thread = threading.Thread(target=contextvars.copy_context().run, args=(self._run,), name="pulse", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._interval):
            try:
                self._beat()
            except (BotoCoreError, ClientError) as error:
                _log.warning("sign of life failed", error=type(error).__name__)


class Renewal:
    """Keeps the message in hand hidden from other workers, and this worker's task from being scaled in."""

    def __init__(self, queue: Queue, message: Message, protection: TaskProtection, timing: Timing) -> None:
        self._queue = queue
        self._message = message
        self._protection = protection
        self._timing = timing
        self._renewed = time.monotonic()

    def beat(self) -> None:
        """Renews what it is time to renew."""
        self._protection.renew()
        now = time.monotonic()
        if now - self._renewed >= self._timing.renewal:
            self._queue.keep(self._message, self._timing.visibility)
            self._renewed = now


class Lease:
    """An attempt's hold on its analysis: renewed with every beat, which also shows the progress and hears of a cancellation."""

    def __init__(self, store: AttemptStore, analysis: Analysis, renewal: Renewal, timing: Timing) -> None:
        self._store = store
        self._analysis = analysis
        self._renewal = renewal
        self._timing = timing
        self._until = analysis.lease_until
        self._told = ("downloading", 0.0)
        self.taken = False
        """The analysis is no longer this attempt's: cancelled, or taken over."""

    @property
    def held(self) -> bool:
        """Not when the analysis was taken, nor when nobody has heard of this attempt for so long that it may be."""
        return not self.taken and time.time() < self._until

    def tell(self, stage: str, progress: float) -> None:
        """What the next beat shows."""
        self._told = (stage, progress)

    def beat(self) -> None:
        """Raises what botocore raises; then nothing is renewed."""
        until = time.time() + self._timing.lease
        stage, progress = self._told
        if self._store.heartbeat(self._analysis, stage=stage, progress=progress, lease_until=until):
            self._until = until
        else:
            self.taken = True
        self._renewal.beat()
