"""What is unusual in the records that were sealed: each seal's are looked at once, and what is known of before is kept beside.

``habits/<sequence>.json`` is what was known after that seal. It is put where something changed, and every so many seals: from the
last one the next run goes on.
"""

import json
from collections.abc import Callable
from typing import Any

from lambda_sealing import habits
from lambda_sealing.sealer import Sealed
from lambda_sealing.seals import PREFIX, name_of
from lambda_sealing.store import Store

HABITS_PREFIX = f"{PREFIX}habits/"
MOST_BYTES = 8 * 1024 * 1024
EVERY = 12
"""Seals after which what is known is put again, though it did not change."""


def examine(
    store: Store,
    last: int,
    read: Callable[[int], Sealed],
    tell: Callable[[dict[str, Any]], None],
    in_time: Callable[[], bool],
) -> None:
    """Look at the records of all seals up to the ``last`` one that were not looked at, as far as there is time, and ``tell`` each
    suspicion: before what is known is put, so that none is lost and one may be told twice.

    Raises what ``read`` and boto3 raise, and ValueError for what is kept and malformed.
    """
    kept = store.latest(HABITS_PREFIX)
    known: dict[str, Any] = json.loads(store.get(name_of(HABITS_PREFIX, kept), MOST_BYTES)) if kept else {}
    for sequence in range(kept + 1, last + 1):
        if not in_time():
            return
        sealed = read(sequence)
        suspicions, learned = habits.unusual((json.loads(line) for line in sealed.lines), known, sealed.seal.until)
        for suspicion in suspicions:
            tell(suspicion)
        if suspicions or learned != known or sequence - kept >= EVERY:
            data = json.dumps(learned, separators=(",", ":")).encode("ascii")
            if not store.put_new(name_of(HABITS_PREFIX, sequence), data, "application/json"):
                return
            kept = sequence
        known = learned
