"""Analyses in the jobs table: whose they are, how far they are, and who may see which.

Keys (``pk``): ``analysis#<id>``, and for each list in which an analysis appears a row ``listing#<list>#<id>``
of its own. The lists are the partitions of the index ``listing``: ``owner#<principal>``, ``all``, ``shared`` and
``named#<principal>``. The analysis itself is in none, so that its progress does not rewrite the index.

Every change of an analysis's state is one conditional write. ``attempt`` is the fencing token: a worker that lost its lease
still knows the old number, and its writes fail.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from heartmap_service.records import Analysis, Visibility, from_item, timestamp, to_item, to_value
from heartmap_service.table import BATCH, Table, is_conflict


class JobStore(Table):
    def add_analysis(self, analysis: Analysis) -> None:
        puts = [to_item(f"analysis#{analysis.analysis_id}", analysis)]
        lists = [f"owner#{analysis.owner}", "all", *_visibility_lists(analysis.visibility)]
        puts += [_listing_row(name, analysis) for name in lists]
        self._dynamodb.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": self._table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}
                for item in puts
            ]
        )

    def analysis(self, analysis_id: str) -> Analysis | None:
        item = self._get(f"analysis#{analysis_id}")
        return None if item is None else from_item(Analysis, item)

    def analyses(self, lists: Sequence[str], limit: int) -> list[Analysis]:
        """The newest analyses that appear in any of the lists, newest first, at most ``limit`` (up to 100)."""
        found: dict[str, str] = {}
        for name in lists:
            answer: Any = self._dynamodb.query(
                TableName=self._table,
                IndexName="listing",
                KeyConditionExpression="listing_key = :list",
                ExpressionAttributeValues={":list": {"S": name}},
                ScanIndexForward=False,
                Limit=limit,
            )
            found |= {item["analysis_id"]["S"]: item["created_at"]["S"] for item in answer["Items"]}
        newest = sorted(found, key=lambda analysis_id: (found[analysis_id], analysis_id), reverse=True)[: min(limit, BATCH)]
        records = self._get_many([f"analysis#{analysis_id}" for analysis_id in newest])
        return [
            from_item(Analysis, records[key]) for key in (f"analysis#{analysis_id}" for analysis_id in newest) if key in records
        ]

    def set_visibility(self, analysis: Analysis, visibility: Visibility) -> bool:
        """False when it has changed since ``analysis`` was read."""
        old, new = set(_visibility_lists(analysis.visibility)), set(_visibility_lists(visibility))
        steps: list[Any] = [
            {
                "Update": {
                    "TableName": self._table,
                    "Key": {"pk": {"S": f"analysis#{analysis.analysis_id}"}},
                    "UpdateExpression": "SET visibility = :new",
                    "ConditionExpression": "visibility = :old",
                    "ExpressionAttributeValues": {
                        ":new": to_value(json.dumps(visibility)),
                        ":old": to_value(json.dumps(analysis.visibility)),
                    },
                }
            }
        ]
        steps += [{"Put": {"TableName": self._table, "Item": _listing_row(name, analysis)}} for name in sorted(new - old)]
        steps += [
            {"Delete": {"TableName": self._table, "Key": {"pk": _listing_row(name, analysis)["pk"]}}}
            for name in sorted(old - new)
        ]
        try:
            self._dynamodb.transact_write_items(TransactItems=steps)
        except self._dynamodb.exceptions.TransactionCanceledException:
            return False
        return True

    def claim(self, analysis_id: str, *, now: float, lease_seconds: float) -> Analysis | None:
        """Takes a queued analysis, or a running one whose lease has run out, for one more attempt; None when it is neither."""
        try:
            answer = self._dynamodb.update_item(
                TableName=self._table,
                Key={"pk": {"S": f"analysis#{analysis_id}"}},
                UpdateExpression="SET #state = :running, attempt = attempt + :one, lease_until = :lease, "
                "stage = :stage, progress = :zero, started_at = if_not_exists(started_at, :at)",
                ConditionExpression="#state = :queued OR (#state = :running AND lease_until < :now)",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={
                    ":running": {"S": "running"},
                    ":queued": {"S": "queued"},
                    ":one": {"N": "1"},
                    ":zero": {"N": "0"},
                    ":lease": to_value(now + lease_seconds),
                    ":now": to_value(now),
                    ":stage": {"S": "downloading"},
                    ":at": {"S": timestamp()},
                },
                ReturnValues="ALL_NEW",
            )
        except ClientError as error:
            if is_conflict(error):
                return None
            raise
        return from_item(Analysis, answer["Attributes"])

    def heartbeat(self, analysis: Analysis, *, stage: str, progress: float, lease_until: float) -> bool:
        """Keeps the lease and shows progress. False when the analysis is no longer this attempt's: cancelled, or taken over."""
        return self._update_running(analysis, {"stage": stage, "progress": progress, "lease_until": lease_until})

    def succeed(self, analysis: Analysis, *, files: list[dict[str, Any]], summary: dict[str, Any]) -> bool:
        """Publishes the results. False when the analysis is no longer this attempt's."""
        return self._update_running(
            analysis,
            {
                "state": "succeeded",
                "stage": "done",
                "progress": 1.0,
                "files": json.dumps(files),
                "summary": json.dumps(summary),
                "finished_at": timestamp(),
            },
        )

    def fail(self, analysis: Analysis, *, code: str, detail: str) -> bool:
        return self._update_running(analysis, {"state": "failed", "code": code, "detail": detail, "finished_at": timestamp()})

    def release(self, analysis: Analysis) -> bool:
        """Gives the analysis back to the queue, unfinished."""
        return self._update_running(analysis, {"state": "queued", "stage": "queued", "progress": 0.0, "lease_until": 0.0})

    def abandon(self, analysis_id: str, *, code: str, detail: str) -> bool:
        """Ends a queued analysis that no worker will ever hear of."""
        return self._try_update(
            f"analysis#{analysis_id}",
            {"state": "failed", "code": code, "detail": detail, "finished_at": timestamp()},
            condition="#state = :queued",
            values={":queued": "queued"},
        )

    def cancel(self, analysis_id: str) -> bool:
        """Queued or running becomes cancelled; False when it had ended. A running attempt notices at its next heartbeat."""
        return self._try_update(
            f"analysis#{analysis_id}",
            {"state": "cancelled", "finished_at": timestamp()},
            condition="#state IN (:queued, :running)",
            values={":queued": "queued", ":running": "running"},
        )

    def _update_running(self, analysis: Analysis, changes: Mapping[str, Any]) -> bool:
        return self._try_update(
            f"analysis#{analysis.analysis_id}",
            changes,
            condition="#state = :running AND attempt = :attempt",
            values={":running": "running", ":attempt": analysis.attempt},
        )


def _visibility_lists(visibility: Visibility) -> list[str]:
    if isinstance(visibility, list):
        return [f"named#{principal}" for principal in visibility]
    return ["shared"] if visibility == "shared" else []


def _listing_row(name: str, analysis: Analysis) -> dict[str, Any]:
    return {
        "pk": {"S": f"listing#{name}#{analysis.analysis_id}"},
        "listing_key": {"S": name},
        "created_at": {"S": analysis.created_at},
        "analysis_id": {"S": analysis.analysis_id},
    }
