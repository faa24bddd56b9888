"""The items of a table: all as of one moment, by DynamoDB's own export, and back.

A line of JSON an item, as the export has it: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/
S3DataExport.Output.html. The export reads the point-in-time recovery, not the table: it costs the callers nothing.
"""

import base64
import gzip
import json
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from operator_cli.errors import CliError

BATCH = 25
"""Items, BatchWriteItem's own limit."""
POLL_SECONDS = 5.0
PREFIX = "operations/exports"
"""Where exports are put down in the workplace."""


def export(dynamodb: Any, s3: Any, *, table: str, at: datetime, workplace: str, poll: float = POLL_SECONDS) -> Iterator[bytes]:
    """The items as they were at that moment, a line each. What DynamoDB put down is removed. Raises CliError."""
    arn = dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    prefix = f"{PREFIX}/{table}/{at:%Y%m%dT%H%M%S}"
    asked = {"S3Bucket": workplace, "S3Prefix": prefix, "ExportFormat": "DYNAMODB_JSON"}
    made = dynamodb.export_table_to_point_in_time(TableArn=arn, ExportTime=at, **asked)["ExportDescription"]
    while made["ExportStatus"] == "IN_PROGRESS":
        time.sleep(poll)
        made = dynamodb.describe_export(ExportArn=made["ExportArn"])["ExportDescription"]
    if made["ExportStatus"] != "COMPLETED":
        reason = made.get("FailureMessage") or made.get("FailureCode") or "DynamoDB does not say why"
        raise CliError(f"The table {table} was not exported: {reason}.", next_step="Is its point-in-time recovery on?")
    keys = _keys(s3, workplace, prefix)
    for key in keys:
        if key.endswith(".gz"):
            with gzip.open(s3.get_object(Bucket=workplace, Key=key)["Body"]) as lines:
                for line in lines:
                    yield line if line.endswith(b"\n") else line + b"\n"
    for key in keys:
        s3.delete_object(Bucket=workplace, Key=key)


def _keys(s3: Any, bucket: str, prefix: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def is_empty(dynamodb: Any, table: str) -> bool:
    """Whether there is no item."""
    return not dynamodb.scan(TableName=table, Limit=1, ConsistentRead=True)["Items"]


def items(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The items of an export, as boto3 takes them."""
    for line in lines:
        yield {name: _value(value) for name, value in json.loads(line)["Item"].items()}


def _value(value: dict[str, Any]) -> dict[str, Any]:
    """Of bytes an export has base64."""
    ((kind, content),) = value.items()
    match kind:
        case "B":
            return {kind: base64.b64decode(content)}
        case "BS":
            return {kind: [base64.b64decode(each) for each in content]}
        case "M":
            return {kind: {name: _value(each) for name, each in content.items()}}
        case "L":
            return {kind: [_value(each) for each in content]}
        case _:
            return value


def write(dynamodb: Any, table: str, found: Iterable[dict[str, Any]]) -> int:
    """Put all items, in the place of those with the same keys; how many."""
    count = 0
    batch: list[dict[str, Any]] = []
    for item in found:
        batch.append({"PutRequest": {"Item": item}})
        count += 1
        if len(batch) == BATCH:
            _put(dynamodb, table, batch)
            batch = []
    if batch:
        _put(dynamodb, table, batch)
    return count


def _put(dynamodb: Any, table: str, batch: list[dict[str, Any]]) -> None:
    pause = 0.1
    while batch:
        batch = dynamodb.batch_write_item(RequestItems={table: batch}).get("UnprocessedItems", {}).get(table, [])
        if batch:
            time.sleep(pause)
            pause = min(pause * 2, 10.0)


def scanned(dynamodb: Any, table: str) -> Iterator[dict[str, Any]]:
    """The items as they are now."""
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        yield from page["Items"]
