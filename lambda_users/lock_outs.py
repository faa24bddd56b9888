"""Writes the list of who is locked out, as ``lambda_authorizer.lock_outs`` reads it."""

import math
import sys
from typing import Any

from lambda_authorizer.aws import Aws, AwsError
from lambda_authorizer.lock_outs import ITEM

KEPT = 25 * 3600
"""Seconds after which a moment is forgotten: more than a token's longest life and its tolerance."""
MARGIN = 1
"""Seconds by which a clock of AWS's may be behind the one that dates tokens."""


class LockOuts:
    """The list."""

    def __init__(self, table: str, *, aws: Aws, region: str) -> None:
        self._table = table
        self._aws = aws
        self._region = region

    def add(self, subject: str, *, now: float, deadline: float) -> None:
        """Lock out all tokens of this person issued until now.

        ``now`` is in seconds since the epoch, ``deadline`` is on the clock of ``time.monotonic``. Raises AwsError.
        """
        added = self._update(
            {
                "UpdateExpression": "SET #who = :until",
                "ExpressionAttributeNames": {"#who": subject},
                "ExpressionAttributeValues": {":until": {"N": str(math.ceil(now) + MARGIN)}},
                "ReturnValues": "ALL_NEW",
            },
            deadline,
        )
        past = [
            (who, moment)
            for who, moment in added.get("Attributes", {}).items()
            if who != "public_id" and int(moment["N"]) < now - KEPT
        ]
        try:
            for who, moment in past:
                self._forget(who, moment, deadline)
        except AwsError:
            # Who is locked out is, and the next one tries again.
            sys.stderr.write("A lock-out that is past could not be forgotten.\n")

    def _forget(self, who: str, moment: dict[str, str], deadline: float) -> None:
        self._update(
            {
                "UpdateExpression": "REMOVE #who",
                # Somebody may lock them out anew at this moment.
                "ConditionExpression": "#who = :moment",
                "ExpressionAttributeNames": {"#who": who},
                "ExpressionAttributeValues": {":moment": moment},
            },
            deadline,
        )

    def _update(self, parameters: dict[str, Any], deadline: float) -> dict[str, Any]:
        where = {"TableName": self._table, "Key": {"public_id": {"S": ITEM}}}
        return self._aws.call(
            "dynamodb", "DynamoDB_20120810.UpdateItem", where | parameters, region=self._region, deadline=deadline
        )
