"""Who is locked out: people whose access tokens are refused though they have not ended.

One item of the table of API keys, under an id that no key can have: an attribute for each person, named as their tokens' ``sub``,
with the moment (N, seconds since the epoch) up to which their tokens were issued that open nothing any more. Whoever is let in
again signs in, and has a token of after that. A moment is of no more use once no token of before it can be valid.

API keys need no such list: each is looked up, and a revoked one is refused within a second.
"""

import re
import time
from typing import Any

from lambda_authorizer.aws import Aws, AwsError
from lambda_authorizer.reasons import Fault, Reason

ITEM = "locked"
"""The item's ``public_id``, shorter than any key's."""
MAX_AGE = 30
"""Seconds after which the list is read again: so long, at most, does a token outlive its lock-out while the table answers."""
STALE_AGE = 300
"""Seconds for which a list that could not be read again is still believed. After that nobody's token opens anything."""
RETRY_AFTER = 5
"""Seconds from an attempt that failed to the next."""
TIMEOUT = 1.0
"""Seconds for one attempt."""

_MOMENT = re.compile(r"[0-9]{1,12}")


class LockOuts:
    """The list, read when it is asked for and is older than MAX_AGE: most decisions look into a dict."""

    def __init__(self, table: str, aws: Aws) -> None:
        self._table = table
        self._aws = aws
        self._until: dict[str, int] = {}
        self._read_at = self._attempted_at = float("-inf")

    def locked(self, subject: str, issued: int, *, region: str, now: float, deadline: float) -> bool:
        """Whether a token of this person, issued at that moment, is locked out.

        ``issued`` and ``now`` are in seconds since the epoch, ``deadline`` is on the clock of ``time.monotonic``. Raises Fault.
        """
        age = now - self._read_at
        if not 0 <= age <= MAX_AGE and not 0 <= now - self._attempted_at < RETRY_AFTER:
            self._attempted_at = now
            self._read(region, now, min(deadline, time.monotonic() + TIMEOUT))
        if not 0 <= now - self._read_at <= STALE_AGE:
            raise Fault(Reason.LOCK_OUTS_UNAVAILABLE)
        return issued <= self._until.get(subject, -1)

    def _read(self, region: str, now: float, deadline: float) -> None:
        parameters = {"TableName": self._table, "Key": {"public_id": {"S": ITEM}}, "ConsistentRead": True}
        try:
            answer = self._aws.call("dynamodb", "DynamoDB_20120810.GetItem", parameters, region=region, deadline=deadline)
            self._until, self._read_at = _moments(answer.get("Item", {})), now
        except (AwsError, ValueError):
            return


def _moments(item: dict[str, Any]) -> dict[str, int]:
    """The list in an item as DynamoDB writes it. Raises ValueError for what nothing of ours writes."""
    moments: dict[str, int] = {}
    for subject, attribute in item.items():
        if subject == "public_id":
            continue
        moment = attribute.get("N") if isinstance(attribute, dict) else None
        if not isinstance(moment, str) or not _MOMENT.fullmatch(moment):
            raise ValueError("a lock-out is a moment")
        moments[subject] = int(moment)
    return moments
