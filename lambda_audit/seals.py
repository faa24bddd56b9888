"""The seals, for whoever verifies them: addresses that fetch the files as they are in the bucket, for a quarter of an hour.

boto3 is imported when the first such call comes: a search does without.
"""

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from lambda_api import members
from lambda_api.members import Broken
from lambda_audit.config import Configuration
from lambda_sealing.seals import DIGITS, RECORDS_PREFIX, SEALS_PREFIX, name_of
from lambda_sealing.store import Store

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

EXPIRES = 900
"""Seconds."""
MOST, DEFAULT = 100, 20
"""Seals on a page."""


class Query(NamedTuple):
    """The first seals after a sequence; None asks what the last one is as well."""

    after: int | None
    limit: int


def query(given: dict[str, str]) -> Query:
    """What the query of a call asks for. Raises Refused."""
    rules: members.Rules = {"after": _sequence, "limit": lambda value: members.count(value, MOST)}
    read = members.read(given, rules, whole="query")
    return Query(read.get("after"), read.get("limit", DEFAULT))


def _sequence(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= DIGITS):
        raise Broken("must be the sequence of a seal, or 0")
    return int(value)


class Seals:
    """The seals of one configuration."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    def page(self, asked: Query, *, now: float) -> dict[str, Any]:
        """The addresses of seals and of their records, by the sequence: there may be more than one file of records, of which the
        seal names its own. ``kept_since`` is before what the retention of the logs lets go by now. Raises what boto3 raises."""
        after = asked.after or 0
        numbers = self._store.after(SEALS_PREFIX, after, asked.limit)
        records = self._records(numbers) if numbers else {}
        content: dict[str, Any] = {
            "seals": [
                {
                    "sequence": number,
                    "url": self._address(name_of(SEALS_PREFIX, number)),
                    "records": {name: self._address(RECORDS_PREFIX + name) for name in records.get(number, ())},
                }
                for number in numbers
            ],
            "public_key": self._configuration.public_key,
            "kept_since": int((now - self._configuration.kept_days * 24 * 3600) * 1000),
        }
        if asked.after is None:
            content["latest"] = self._store.latest(SEALS_PREFIX)
        return content

    def _records(self, numbers: list[int]) -> dict[int, list[str]]:
        found: dict[int, list[str]] = defaultdict(list)
        start = f"{RECORDS_PREFIX}{numbers[0]:0{DIGITS}}"
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._configuration.bucket, Prefix=RECORDS_PREFIX, StartAfter=start
        )
        for page in pages:
            for each in page.get("Contents", []):
                name = each.get("Key", "").removeprefix(RECORDS_PREFIX)
                if not name[:DIGITS].isdigit() or int(name[:DIGITS]) > numbers[-1]:
                    return found
                found[int(name[:DIGITS])].append(name)
        return found

    def _address(self, key: str) -> str:
        asked = {"Bucket": self._configuration.bucket, "Key": key}
        return self._s3.generate_presigned_url("get_object", Params=asked, ExpiresIn=EXPIRES)

    @cached_property
    def _s3(self) -> "S3Client":
        import boto3
        from botocore.config import Config

        settings = Config(
            signature_version="s3v4", connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2}
        )
        configuration = self._configuration
        return boto3.client("s3", region_name=configuration.region, endpoint_url=configuration.endpoint, config=settings)

    @cached_property
    def _store(self) -> Store:
        return Store(self._s3, self._configuration.bucket)
