"""What one principal may have and begin: analyses at once, analyses a day, bytes uploaded a day. Days are UTC's.

The counts are rows of the jobs table: ``quota#<principal>`` with ``unfinished``, the analyses that are queued or running, and
``quota#<principal>#<YYYY-MM-DD>`` with the ``jobs`` and ``bytes`` of that day, which expires. A charge is a step of the very
transaction that writes what is charged, and a release one of the transaction that ends the analysis: neither happens without
the other, and neither twice.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from heartmap_service.problems import Problem
from heartmap_service.settings import GIB
from heartmap_service.transactions import Step

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

QUEUED_RETRY = 60
"""Seconds after which to try again when too many analyses are unfinished: nobody knows when one ends."""
KEPT_DAYS = 2
"""Days after its own for which a day's row is kept."""


@dataclass(frozen=True, kw_only=True)
class Quotas:
    """What each principal may. ``queued_jobs`` counts running analyses as well."""

    queued_jobs: int
    jobs_per_day: int
    upload_bytes_per_day: int


class QuotaExceeded(Problem):
    """429. ``retry_after`` is in whole seconds."""

    def __init__(self, code: str, detail: str, retry_after: int) -> None:
        super().__init__(429, code, detail, headers={"Retry-After": str(retry_after)})


class NothingToRelease(Exception):  # what it is, not an error of ours
    """The principal has no unfinished analysis on its count: an analysis that was never charged ends without a release."""


def charge_job(table: str, principal: str, quotas: Quotas, now: float) -> list[Step]:
    """Counts one analysis, at ``now`` in seconds since the epoch. Its steps raise QuotaExceeded."""
    return [
        _add(table, unfinished_key(principal), "unfinished", 1, quotas.queued_jobs, lambda: _too_many_unfinished(quotas)),
        _add(
            table,
            day_key(principal, now),
            "jobs",
            1,
            quotas.jobs_per_day,
            lambda: _too_many_jobs(quotas, now),
            expires_at=_row_expiry(now),
        ),
    ]


def release_job(table: str, principal: str) -> Step:
    """Takes one analysis off the count of the unfinished ones. Raises NothingToRelease rather than count below zero."""
    update = {
        "TableName": table,
        "Key": {"pk": {"S": unfinished_key(principal)}},
        "UpdateExpression": "SET unfinished = unfinished - :one",
        "ConditionExpression": "unfinished >= :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    return Step({"Update": update}, NothingToRelease)


def charge_bytes(table: str, principal: str, amount: int, quotas: Quotas, now: float) -> list[Step]:
    """Counts the bytes of one upload. Its steps raise QuotaExceeded; so does this, for more bytes than a whole day's."""
    most = quotas.upload_bytes_per_day
    if amount > most:
        # A condition on a row that is not there yet would not see it.
        raise _too_many_bytes(quotas, now)
    return [
        _add(
            table,
            day_key(principal, now),
            "bytes",
            amount,
            most,
            lambda: _too_many_bytes(quotas, now),
            expires_at=_row_expiry(now),
        )
    ]


def check_job(dynamodb: "DynamoDBClient", table: str, principal: str, quotas: Quotas, now: float) -> None:
    """Raises QuotaExceeded when one analysis more would be refused as things stand. It charges nothing and promises nothing."""

    def count(pk: str, name: str) -> int:
        answer: Any = dynamodb.get_item(TableName=table, Key={"pk": {"S": pk}}, ConsistentRead=True)
        return int(answer.get("Item", {}).get(name, {}).get("N", "0"))

    if count(unfinished_key(principal), "unfinished") >= quotas.queued_jobs:
        raise _too_many_unfinished(quotas)
    if count(day_key(principal, now), "jobs") >= quotas.jobs_per_day:
        raise _too_many_jobs(quotas, now)


def unfinished_key(principal: str) -> str:
    return f"quota#{principal}"


def day_key(principal: str, now: float) -> str:
    return f"quota#{principal}#{_day(now):%Y-%m-%d}"


def _add(table: str, pk: str, name: str, amount: int, most: int, refusal: Any, *, expires_at: int | None = None) -> Step:
    """Adds ``amount``, at most up to ``most``."""
    update: dict[str, Any] = {
        "TableName": table,
        "Key": {"pk": {"S": pk}},
        "UpdateExpression": "ADD #count :amount",
        "ConditionExpression": "attribute_not_exists(#count) OR #count <= :room",
        "ExpressionAttributeNames": {"#count": name},
        "ExpressionAttributeValues": {":amount": {"N": str(amount)}, ":room": {"N": str(most - amount)}},
    }
    if expires_at is not None:
        update["UpdateExpression"] += " SET expires_at = :expires"
        update["ExpressionAttributeValues"][":expires"] = {"N": str(expires_at)}
    return Step({"Update": update}, refusal)


def _too_many_unfinished(quotas: Quotas) -> QuotaExceeded:
    detail = (
        f"You may have {quotas.queued_jobs:,} analyses queued or running at once, and have as many. "
        "Wait until one ends, or cancel one."
    )
    return QuotaExceeded("quota_queued_jobs", detail, QUEUED_RETRY)


def _too_many_jobs(quotas: Quotas, now: float) -> QuotaExceeded:
    detail = f"You may begin {quotas.jobs_per_day:,} analyses a day, and have begun as many. Try again after midnight, UTC."
    return QuotaExceeded("quota_jobs_per_day", detail, _until_midnight(now))


def _too_many_bytes(quotas: Quotas, now: float) -> QuotaExceeded:
    detail = (
        f"You may upload {quotas.upload_bytes_per_day / GIB:,.1f} GiB a day, and this upload goes beyond that. "
        "An upload that names no size counts as the largest that it may be. Try again after midnight, UTC."
    )
    return QuotaExceeded("quota_upload_bytes", detail, _until_midnight(now))


def _day(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _until_midnight(now: float) -> int:
    return max(1, math.ceil((_day(now) + timedelta(days=1)).timestamp() - now))


def _row_expiry(now: float) -> int:
    return int((_day(now) + timedelta(days=1 + KEPT_DAYS)).timestamp())
