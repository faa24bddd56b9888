"""How long things take in a worker, in seconds. What production uses are the defaults; tests of failures shorten them."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Timing:
    """``lease`` is how long an attempt owns its analysis without a sign of life, of which it gives one every ``heartbeat``: that
    is also the longest that a cancelled analysis goes on. ``visibility`` is the queue's own setting: how long a message in hand
    stays hidden, each time that it is renewed, every ``renewal``."""

    lease: float = 90.0
    heartbeat: float = 2.0
    visibility: int = 120
    renewal: float = 40.0
    retry_delay: int = 20
    """Until a message comes again after AWS failed."""
    token_wait: int = 20
    """Until a token without an analysis comes again; after ``token_patience`` it is given up."""
    token_patience: float = 60.0
    pause: float = 5.0
    """Between a step that failed and the next one."""
    scan_patience: float = 900.0
    """For the malware scan of a data set; GuardDuty takes some minutes at most."""
    scan_poll: float = 3.0

    def __post_init__(self) -> None:
        # A killed worker's message comes back to an analysis that can be taken over; a beat or two may fail.
        if not 3 * self.heartbeat <= self.lease < self.visibility or 2 * self.renewal > self.visibility:
            raise ValueError("heartbeat, lease, renewal and visibility do not fit each other")
