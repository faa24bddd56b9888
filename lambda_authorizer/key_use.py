"""What the authorizer writes down of API keys, in a table of its own: nonces of signed calls, and when a key was last used.

An item: ``id`` S, which is ``nonce#<public id>#<nonce>`` or ``use#<public id>``; ``expires_at`` N, after which DynamoDB removes
it; and, of a key, ``last_used_at`` N. Times are in seconds since the epoch. The authorizer can write here, and read nothing; it
writes nowhere else: the keys themselves are not within its reach.
"""

import sys
from collections import OrderedDict

from lambda_authorizer.aws import Aws, AwsError
from lambda_authorizer.bounded import remember
from lambda_authorizer.reasons import Fault, Reason

NONCE_KEPT = 600
"""Seconds after a signature's ``created``. It is refused for its age well before that."""
NOTED_EVERY = 3600
"""Seconds between two notes of one key's use: no call pays for a write but the first of an hour."""
RETRY_AFTER = 60
"""Seconds to the next attempt at a note that failed."""
NOTE_BUDGET = 0.4
"""Seconds that a call waits for its note. A key's last use is good to know, and no reason to refuse it."""
USE_KEPT = 400 * 24 * 3600
"""Seconds after a key's end for which its last use is remembered; after the use, where the key has none."""

_MAX_NOTED = 1000


class KeyUse:
    """The table."""

    def __init__(self, table: str, aws: Aws) -> None:
        self._table = table
        self._aws = aws
        # When the next note of a key is due, by its public id.
        self._due: OrderedDict[str, float] = OrderedDict()

    def take(self, key_id: str, nonce: str, *, created: int, region: str, deadline: float) -> bool:
        """Whether this call is the first with the key's nonce; from then on none is.

        ``created`` is in seconds since the epoch, ``deadline`` on the clock of ``time.monotonic``. Raises Fault.
        """
        item = {"id": {"S": f"nonce#{key_id}#{nonce}"}, "expires_at": {"N": str(created + NONCE_KEPT)}}
        try:
            self._put(item, region=region, deadline=deadline, condition="attribute_not_exists(id)")
        except AwsError as error:
            if error.code == "ConditionalCheckFailedException":
                return False
            raise Fault(Reason.KEY_USE_UNAVAILABLE) from None
        return True

    def note(self, key_id: str, *, ends: int | None, now: float, region: str, deadline: float) -> None:
        """Write down that the key is used, if that has not been done within the hour. Never raises: a failure goes to stderr.

        ``ends`` is the key's end, None for none. It and ``now`` are in seconds since the epoch, ``deadline`` is on the clock of
        ``time.monotonic``.
        """
        if now < self._due.get(key_id, 0):
            return
        item = {
            "id": {"S": f"use#{key_id}"},
            "last_used_at": {"N": str(int(now))},
            "expires_at": {"N": str((ends or int(now)) + USE_KEPT)},
        }
        wait = NOTED_EVERY
        try:
            self._put(item, region=region, deadline=deadline)
        except AwsError:
            sys.stderr.write("The last use of an API key could not be written down.\n")
            wait = RETRY_AFTER
        remember(self._due, key_id, now + wait, _MAX_NOTED)

    def _put(self, item: dict[str, dict[str, str]], *, region: str, deadline: float, condition: str | None = None) -> None:
        parameters = {"TableName": self._table, "Item": item}
        if condition is not None:
            parameters["ConditionExpression"] = condition
        self._aws.call("dynamodb", "DynamoDB_20120810.PutItem", parameters, region=region, deadline=deadline)
