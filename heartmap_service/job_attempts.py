"""How workers take analyses and end them.

heartmap_service.job_store says by which rules nothing is lost, nothing runs twice, and in which order.
"""

import random
import time
import uuid
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from heartmap_service import audit
from heartmap_service.job_rows import CLOCK, QUEUED, JobTable, analysis_key, as_text, token_key
from heartmap_service.records import Analysis, from_item, timestamp
from heartmap_service.transactions import Step

MOST_LOST = 3
"""So many attempts may end without a verdict; then the analysis fails."""
LOST = "lost"

_LOST_DETAIL = (
    "The service failed three times while it ran this analysis. Submit it again; should that fail as well, "
    "tell an administrator the request_id."
)
_FAILED_AS_LOST = {"code": LOST, "detail": _LOST_DETAIL, "lost": MOST_LOST}
_CANDIDATES = 10
_CLAIM_ROUNDS = 16
_UNFINISHED = ("queued", "running")
_RUNNING = "#state = :running AND #attempt = :attempt"

_log = structlog.get_logger()


class Claimed(NamedTuple):
    """The analysis is the caller's, under its attempt."""

    analysis: Analysis


class Busy(NamedTuple):
    """Another attempt runs what the token owes, until ``until`` (seconds since the epoch) without a sign of life."""

    until: float


class Ended(NamedTuple):
    """What the token owes has ended: its message has nothing more to bring about."""


class Unknown(NamedTuple):
    """The token's analysis is not written, or not yet."""


Claim = Claimed | Busy | Ended | Unknown


class AttemptStore(JobTable):
    """What a worker does with analyses."""

    def claim(self, token: str, *, now: float, lease_seconds: float) -> Claim:
        """What a message is good for, and what comes of it.

        When what its token owes waits, the analysis of the lowest turn is started. One whose lease has run out is taken over,
        or, lost too often, ends. Times are in seconds since the epoch.
        """
        me = uuid.uuid4().hex
        for tried in range(_CLAIM_ROUNDS):
            # Each round looks at what is there, and so knows its own write again also when the answer to that was lost.
            owed = self._owed(token)
            if not isinstance(owed, dict):
                return owed
            if owed["token"] != {"S": token}:
                continue
            if owed["state"]["S"] not in _UNFINISHED:
                return Ended()
            analysis = from_item(Analysis, owed)
            if owed.get("claim") == {"S": me}:
                self._advance_clock(analysis.turn)
                return Claimed(analysis)
            if analysis.state == "running" and analysis.lease_until >= now:
                return Busy(analysis.lease_until)
            if tried == _CLAIM_ROUNDS - 1:
                # What is written now, nobody would look at.
                break
            if analysis.state == "queued":
                self._start(token, analysis, me, now + lease_seconds, tried=tried)
            else:
                self._take_over(analysis, me, now, now + lease_seconds)
        return Busy(now + 1)

    def has_ended(self, token: str) -> bool:
        """Whether the token's message has nothing more to bring about. It stays so: what a token owes changes only while that
        waits."""
        owed = self._owed(token)
        if isinstance(owed, dict):
            return owed["token"] == {"S": token} and owed["state"]["S"] not in _UNFINISHED
        return isinstance(owed, Ended)

    def void(self, token: str) -> bool:
        """Gives a token up for which no analysis was written; none can be written from then on. False when one was."""
        if self._done([self._rows.new_token(token, owes=None, now=time.time())]):
            return True
        row = self._get(token_key(token))
        return row is not None and "owes" not in row

    def heartbeat(self, analysis: Analysis, *, stage: str, progress: float, lease_until: float) -> bool:
        """Keeps the lease and shows progress. False when the analysis is no longer this attempt's: cancelled, or taken over."""
        return self._try_update(
            analysis_key(analysis.analysis_id),
            {"stage": stage, "progress": progress, "lease_until": lease_until},
            condition="#state = :running AND attempt = :attempt",
            values={":running": "running", ":attempt": analysis.attempt},
        )

    def succeed(self, analysis: Analysis, *, files: list[dict[str, Any]], summary: dict[str, Any]) -> bool:
        """Publishes the results. False when the analysis is no longer this attempt's."""
        documents = {"files": as_text(files), "summary": as_text(summary)}
        return self._end(analysis, "succeeded", {"stage": "done", "progress": 1.0, **documents}, files=files)

    def fail(self, analysis: Analysis, *, code: str, detail: str) -> bool:
        """Ends the analysis with its error. False when it is no longer this attempt's."""
        return self._end(analysis, "failed", {"code": code, "detail": detail})

    def release(self, analysis: Analysis) -> bool:
        """Gives the analysis back, to be started again at its old turn. False when it is no longer this attempt's."""
        return self._give_back(analysis, analysis.lost)

    def lose(self, analysis: Analysis) -> bool:
        """As release, for an attempt that broke off; one too many ends the analysis."""
        if analysis.lost + 1 >= MOST_LOST:
            return self._end(analysis, "failed", _FAILED_AS_LOST)
        return self._give_back(analysis, analysis.lost + 1)

    def _owed(self, token: str) -> dict[str, Any] | Unknown | Ended:
        """The row of the analysis that the token owes.

        Between the two reads the token may have swapped what it owes, and that of before may even have ended: the analysis
        itself says by which token it is owed, and nothing is to be concluded from another's.
        """
        row = self._get(token_key(token))
        if row is None:
            return Unknown()
        # Void, it owes none.
        owed = self._get(analysis_key(row["owes"]["S"])) if "owes" in row else None
        return Ended() if owed is None else owed

    def _start(self, token: str, owed: Analysis, me: str, lease_until: float, *, tried: int) -> None:
        """Starts the first of those that wait; nothing happens when another worker was quicker."""
        analysis_id, other = self._first_waiting(tried) or (owed.analysis_id, token)
        if analysis_id == owed.analysis_id:
            self._done(self._begin(analysis_id, token, token, me, lease_until))
        elif other != token:
            self._done(self._swap(analysis_id, other, token, owed.analysis_id, me, lease_until))
        # Else the same token came at once to another worker, which swapped what it owes.

    def _first_waiting(self, tried: int) -> tuple[str, str] | None:
        """The waiting analysis of the lowest turn, and the token that owes it; None when the index, which lags, shows none.

        Who has ``tried`` in vain takes any of so many: workers who all begin at once would get in each other's way for long.
        """
        first: list[tuple[str, str]] = []
        for analysis_id in self._first_queued() if tried < _CLAIM_ROUNDS - 2 else []:
            item = self._get(analysis_key(analysis_id)) or {}
            if item.get("state") == {"S": "queued"} and "token" in item:
                first.append((analysis_id, item["token"]["S"]))
            if len(first) > tried:
                break
        return random.choice(first) if first else None  # noqa: S311  # no secret

    def _swap(self, analysis_id: str, other: str, token: str, owed_id: str, me: str, lease_until: float) -> list[Step]:
        """Starts what another token owes; that one owes from now on what this one did."""
        values = {":other": other, ":token": token, ":queued": "queued"}
        waits = "#state = :queued AND #token = :token"
        return [
            *self._begin(analysis_id, other, token, me, lease_until),
            self._rows.update(analysis_key(owed_id), "SET #token = :other", waits, values),
            self._rows.owe(token, before=owed_id, now=analysis_id),
            self._rows.owe(other, before=analysis_id, now=owed_id),
        ]

    def _begin(self, analysis_id: str, owed_by: str, token: str, me: str, lease_until: float) -> list[Step]:
        condition = "#state = :queued AND #token = :owed_by"
        values = {":queued": "queued", ":owed_by": owed_by, ":token": token}
        return [
            self._attempt(analysis_id, me, lease_until, condition, values, ", #token = :token"),
            self._rows.unlist(QUEUED, analysis_id),
        ]

    def _take_over(self, analysis: Analysis, me: str, now: float, lease_until: float) -> None:
        if analysis.lost + 1 >= MOST_LOST:
            self._end(analysis, "failed", _FAILED_AS_LOST, expired_before=now)
            return
        condition = f"{_RUNNING} AND #lease_until < :now"
        values = {":running": "running", ":attempt": analysis.attempt, ":now": now, ":lost": analysis.lost + 1}
        self._done([self._attempt(analysis.analysis_id, me, lease_until, condition, values, ", #lost = :lost")])

    def _attempt(
        self, analysis_id: str, me: str, lease_until: float, condition: str, values: Mapping[str, Any], also: str
    ) -> Step:
        expression = (
            "SET #state = :running, #attempt = #attempt + :one, #lease_until = :lease, #stage = :stage, #progress = :zero, "
            "#started_at = if_not_exists(#started_at, :at), #claim = :me"
        )
        values = {
            **values,
            ":running": "running",
            ":one": 1,
            ":zero": 0,
            ":lease": lease_until,
            ":stage": "downloading",
            ":at": timestamp(),
            ":me": me,
        }
        return self._rows.update(analysis_key(analysis_id), expression + also, condition, values)

    def _first_queued(self) -> list[str]:
        answer: Any = self._dynamodb.query(
            TableName=self._table,
            IndexName="listing",
            KeyConditionExpression="listing_key = :list",
            ExpressionAttributeValues={":list": {"S": QUEUED}},
            Limit=_CANDIDATES,
        )
        return [item["analysis_id"]["S"] for item in answer["Items"]]

    def _advance_clock(self, turn: int) -> None:
        # By itself, since every claim would meet the others at this one row. It may lag: then who comes new is a little early.
        try:
            self._try_update(
                CLOCK, {"turn": turn}, condition="attribute_not_exists(turn) OR turn < :seen", values={":seen": turn}
            )
        except (BotoCoreError, ClientError) as error:
            _log.warning("clock of the turns not advanced", error=type(error).__name__)

    def _give_back(self, analysis: Analysis, lost: int) -> bool:
        changes = {"state": "queued", "stage": "queued", "progress": 0.0, "lease_until": 0.0, "lost": lost}
        steps = [self._change(analysis, changes), self._rows.list_in(QUEUED, analysis)]
        return self._done(steps) or self._is(analysis, "queued")

    def _end(
        self,
        analysis: Analysis,
        state: Literal["succeeded", "failed"],
        changes: Mapping[str, Any],
        expired_before: float | None = None,
        files: list[dict[str, Any]] | None = None,
    ) -> bool:
        step = self._change(analysis, {**changes, "state": state, "finished_at": timestamp()}, expired_before)
        ended = self._ended(analysis, [step]) or self._is(analysis, state)
        if ended:
            action = audit.ANALYSIS_SUCCEEDED if state == "succeeded" else audit.ANALYSIS_FAILED
            audit.of_analysis(analysis, action, changes.get("code", audit.DONE), files).write()
        return ended

    def _change(self, analysis: Analysis, changes: Mapping[str, Any], expired_before: float | None = None) -> Step:
        condition = _RUNNING
        values: dict[str, Any] = {":running": "running", ":attempt": analysis.attempt}
        if expired_before is not None:
            condition, values = f"{condition} AND #lease_until < :now", {**values, ":now": expired_before}
        values |= {f":{name}_": value for name, value in changes.items()}
        expression = "SET " + ", ".join(f"#{name} = :{name}_" for name in changes)
        return self._rows.update(analysis_key(analysis.analysis_id), expression, condition, values)

    def _is(self, analysis: Analysis, state: str) -> bool:
        """Whether that is what became of this attempt: its own write, then, of which only the answer was lost."""
        found = self.analysis(analysis.analysis_id)
        return found is not None and (found.state, found.attempt) == (state, analysis.attempt)
