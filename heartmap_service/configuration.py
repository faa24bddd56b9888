"""The pipelines' configuration: the fields of HeartMAP's that act, typed and ranged, in versions that are never changed.

HeartMAP has 30 fields; only these act, and ``processed_data_dir``, which lets a caller write where it likes and which each job
sets for itself. A version is a row of the configuration table: name (S), version (N), config (S, JSON), who wrote it, when and
in which call (changed_by, changed_at, request_id, S), what it changed (changes, S: JSON of FieldChange), and the version whose
values it brought back (restored_from, N). The change and its record are this one row, so that neither is ever without the other;
rows are added, each under the number after the newest, and none is written over. Rows from before changes were recorded lack
``changes``, and say it by comparison with the row before them.
"""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from heartmap_service.etags import require_match
from heartmap_service.pagination import decode, encode
from heartmap_service.problems import Problem
from heartmap_service.table import is_conflict

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

_NAME = "pipelines"
_LIST = "config-versions"
_VERSION = re.compile(r"[1-9][0-9]{0,14}", re.ASCII)


class PipelineConfig(BaseModel):
    """The defaults are HeartMAP's own."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    min_genes: Annotated[int, Field(ge=0, le=100_000, description="Cells with fewer detected genes are dropped.")] = 200
    min_cells: Annotated[int, Field(ge=0, le=10_000_000, description="Genes detected in fewer cells are dropped.")] = 3
    max_cells_subset: Annotated[
        Annotated[int, Field(ge=41, le=10_000_000)] | None,
        Field(description="A random sample of at most so many cells; null: all."),
    ] = None
    max_genes_subset: Annotated[
        Annotated[int, Field(ge=41, le=1_000_000)] | None,
        Field(description="The most variable genes, at most so many; null: all."),
    ] = None
    target_sum: Annotated[float, Field(ge=1, le=1e9, description="Counts a cell after normalisation.")] = 1e4
    random_seed: Annotated[int, Field(ge=0, le=2**32 - 1, description="Seed of the sample of cells.")] = 42
    resolution: Annotated[float, Field(ge=0.01, le=10, description="Leiden's resolution: higher gives more clusters.")] = 0.5


class ConfigChange(PipelineConfig):
    """The fields to change; the others stay as they are. Or, alone, the version whose values are to be those of the next."""

    # There are no defaults here: what is not given does not change.
    model_config = ConfigDict(json_schema_extra=lambda schema: _without_defaults(schema))

    restore_version: Annotated[
        int, Field(ge=0, lt=10**15, description="An earlier version; 0: HeartMAP's own values. No other field with it.")
    ] = 0

    @property
    def given(self) -> dict[str, Any]:
        """The fields of the configuration that are to change."""
        return self.model_dump(exclude_unset=True, exclude={"restore_version"})

    @property
    def restores(self) -> bool:
        return "restore_version" in self.model_fields_set


class FieldChange(BaseModel):
    """A field that a version gave another value."""

    model_config = ConfigDict(populate_by_name=True)

    field: str
    before: float | None = Field(alias="from")
    after: float | None = Field(alias="to")


class ConfigVersion(BaseModel):
    """Version 0 is HeartMAP's defaults, written by nobody."""

    version: int
    config: PipelineConfig
    changed_by: str | None = None
    changed_at: str | None = None

    @property
    def etag(self) -> str:
        return f'"{self.version}"'


class Changed(NamedTuple):
    """A new version, and the names of the options that it gives another value."""

    version: ConfigVersion
    names: list[str]


def _without_defaults(schema: dict[str, Any]) -> None:
    for member in schema["properties"].values():
        member.pop("default", None)


class ConfigStore:
    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def current(self) -> ConfigVersion:
        """The newest version."""
        newest = self._newest(1)
        return _version(newest[0]) if newest else ConfigVersion(version=0, config=PipelineConfig())

    def versions(self, *, limit: int, cursor: str | None) -> dict[str, Any]:
        """The changes, the newest first, ``limit`` of them and a cursor for the rest. Raises Problem 422 for a bad cursor."""
        before = decode(_LIST, cursor, _VERSION)
        # One more than is shown: a row from before changes were recorded is compared with the one under it.
        rows = self._newest(limit + 1, before=None if before is None else int(before))
        shown = [_record(row, under) for row, under in zip_longest(rows, rows[1:])][:limit]
        more = {"next_cursor": encode(_LIST, str(shown[-1]["version"]))} if len(rows) > limit else {}
        return {"versions": shown, **more}

    def change(self, change: ConfigChange, *, principal: str, request_id: str, if_match: str | None = None) -> Changed:
        """Writes the next version, with the fields given or with the values of the version to restore.

        Raises Problem 412 when ``if_match`` (the header) does not name the current version, 409 when someone else wrote the next
        one at the same moment, 422 for nothing to change, for a restored version with fields beside it, and for one that there
        is not.
        """
        if not change.model_fields_set:
            raise Problem(422, "nothing_to_change", f"Give at least one of {', '.join(PipelineConfig.model_fields)}.")
        if change.restores and change.given:
            raise Problem(422, "restore_alone", "Send restore_version without any other field.")
        current = self.current()
        detail = f"The configuration is at version {current.version}. Read it, and send the ETag of that answer as If-Match."
        require_match(if_match, current.etag, code="config_changed", detail=detail)
        wanted = self._at(change.restore_version) if change.restores else {**current.config.model_dump(), **change.given}
        version = ConfigVersion(
            version=current.version + 1,
            config=_usable(wanted),
            changed_by=principal,
            changed_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        changes = _changes(current.config.model_dump(), version.config.model_dump())
        item = {
            "name": {"S": _NAME},
            "version": {"N": str(version.version)},
            "config": {"S": version.config.model_dump_json()},
            "changed_by": {"S": principal},
            "changed_at": {"S": version.changed_at or ""},
            "request_id": {"S": request_id},
            "changes": {"S": json.dumps(changes)},
        }
        if change.restores:
            item["restored_from"] = {"N": str(change.restore_version)}
        self._add(item)
        return Changed(version, [each["field"] for each in changes])

    def _add(self, item: dict[str, Any]) -> None:
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item=item,
                # Of this name and this version: a row is there or is not.
                ConditionExpression="attribute_not_exists(#name)",
                ExpressionAttributeNames={"#name": "name"},
            )
        except ClientError as error:
            if is_conflict(error):
                _conflict()
            raise

    def _newest(self, most: int, *, before: int | None = None) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "#name = :name" + (" AND #version < :before" if before is not None else ""),
            "ExpressionAttributeNames": {"#name": "name"} | ({"#version": "version"} if before is not None else {}),
            "ExpressionAttributeValues": {":name": {"S": _NAME}}
            | ({":before": {"N": str(before)}} if before is not None else {}),
            "ScanIndexForward": False,
            "ConsistentRead": True,
        }
        while len(rows) < most:
            answer = self._dynamodb.query(**query, Limit=most - len(rows))
            rows += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                break
            query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return rows

    def _at(self, version: int) -> dict[str, Any]:
        """The values of a version, as they were written."""
        if version == 0:
            return PipelineConfig().model_dump()
        key = {"name": {"S": _NAME}, "version": {"N": str(version)}}
        item = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        if item is None:
            raise Problem(422, "no_such_version", "There is no such version. GET /config/versions lists them.")
        return _values(item)


def _conflict() -> NoReturn:
    raise Problem(409, "config_conflict", "Someone else changed the configuration just now. Read it and try again.") from None


def _version(item: dict[str, Any]) -> ConfigVersion:
    return ConfigVersion(
        version=int(item["version"]["N"]),
        config=PipelineConfig.model_validate_json(item["config"]["S"]),
        changed_by=item["changed_by"]["S"],
        changed_at=item["changed_at"]["S"],
    )


def _usable(values: dict[str, Any]) -> PipelineConfig:
    try:
        return PipelineConfig.model_validate(values)
    except ValidationError:
        # Fields and ranges change with the service; what was good once may not be any more.
        detail = "That version has values that are not taken any more. Set the fields one by one instead."
        raise Problem(422, "version_not_usable", detail) from None


def _record(item: dict[str, Any], under: dict[str, Any] | None) -> dict[str, Any]:
    """A version in the list. ``under`` is the row before it, None for the first."""
    if "changes" in item:
        changes = json.loads(item["changes"]["S"])
    else:
        changes = _changes(PipelineConfig().model_dump() if under is None else _values(under), _values(item))
    return {
        "version": int(item["version"]["N"]),
        "changed_by": item["changed_by"]["S"],
        "changed_at": item["changed_at"]["S"],
        "request_id": item["request_id"]["S"] if "request_id" in item else None,
        "changes": changes,
        "restored_from": int(item["restored_from"]["N"]) if "restored_from" in item else None,
    }


def _values(item: dict[str, Any]) -> dict[str, Any]:
    return json.loads(item["config"]["S"])


def _changes(before: dict[str, Any], after: dict[str, Any]) -> Sequence[dict[str, Any]]:
    return [
        {"field": name, "from": before.get(name), "to": after.get(name)}
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
