"""The pipelines' configuration: the fields of HeartMAP's that act, typed and ranged, in versions that are never changed.

HeartMAP has 30 fields; only these act, and ``processed_data_dir``, which lets a caller write where it likes and which each job
sets for itself. A version is a row of the configuration table: name (S), version (N), and who wrote it, when, in which call.
"""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, Field

from heartmap_service.problems import Problem

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

_NAME = "pipelines"


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
    """The fields to change; the others stay as they are."""


class ConfigVersion(BaseModel):
    """Version 0 is HeartMAP's defaults, written by nobody."""

    version: int
    config: PipelineConfig
    changed_by: str | None = None
    changed_at: str | None = None


class ConfigStore:
    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def current(self) -> ConfigVersion:
        """The newest version."""
        answer = self._dynamodb.query(
            TableName=self._table,
            KeyConditionExpression="#name = :name",
            ExpressionAttributeNames={"#name": "name"},
            ExpressionAttributeValues={":name": {"S": _NAME}},
            ScanIndexForward=False,
            Limit=1,
            ConsistentRead=True,
        )
        if not answer["Items"]:
            return ConfigVersion(version=0, config=PipelineConfig())
        item: dict[str, Any] = answer["Items"][0]
        return ConfigVersion(
            version=int(item["version"]["N"]),
            config=PipelineConfig.model_validate_json(item["config"]["S"]),
            changed_by=item["changed_by"]["S"],
            changed_at=item["changed_at"]["S"],
        )

    def change(self, change: ConfigChange, *, principal: str, request_id: str) -> ConfigVersion:
        """Writes the next version. Raises Problem 409 when someone else wrote it at the same moment."""
        current = self.current()
        merged = {**current.config.model_dump(), **change.model_dump(exclude_unset=True)}
        version = ConfigVersion(
            version=current.version + 1,
            config=PipelineConfig.model_validate(merged),
            changed_by=principal,
            changed_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item={
                    "name": {"S": _NAME},
                    "version": {"N": str(version.version)},
                    "config": {"S": json.dumps(merged)},
                    "changed_by": {"S": principal},
                    "changed_at": {"S": version.changed_at or ""},
                    "request_id": {"S": request_id},
                },
                ConditionExpression="attribute_not_exists(#name)",
                ExpressionAttributeNames={"#name": "name"},
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException":
                raise Problem(
                    409, "config_conflict", "Someone else changed the configuration just now. Read it and try again."
                ) from None
            raise
        return version
