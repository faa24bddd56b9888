"""The jobs table and the queue against a plain model, for any order of what requests, workers, failures and SQS may do.

The model knows no tokens: it knows which analyses there are, who has been given which and until when, and what was said of each.
"""

import functools
from collections import defaultdict
from typing import Any

import boto3
import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule, run_state_machine_as_test
from moto import mock_aws
from moto.moto_api._internal.models import moto_api_backend

from heartmap_service.job_attempts import MOST_LOST, AttemptStore, Busy, Claimed, Ended, Unknown
from heartmap_service.job_store import JobStore
from heartmap_service.quotas import QuotaExceeded, Quotas
from heartmap_service.records import Analysis
from local_cloud import moto_fixes_dynamodb
from local_cloud.service_resources import create_jobs_table
from tests.heartmap_service.jobs import new_analysis

OWNERS = ("anna", "omar", "vera")
MOST = 4
LEASE = 10.0
QUOTAS = Quotas(queued_jobs=MOST, jobs_per_day=10_000, upload_bytes_per_day=1)


@functools.cache
def emulated() -> Any:
    """DynamoDB in this process. Making a client takes longer than most examples."""
    for fix in moto_fixes_dynamodb.FIXES:
        fix()
    return boto3.client("dynamodb", region_name="eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing")


class Jobs(RuleBasedStateMachine):
    analyses = Bundle("analyses")
    attempts = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        self.dynamodb = emulated()
        moto_api_backend.reset()
        create_jobs_table(self.dynamodb)
        self.store, self.workers = JobStore(self.dynamodb, "jobs"), AttemptStore(self.dynamodb, "jobs")
        self.now = 1000.0
        self.messages: set[str] = set()
        self.state: dict[str, str] = {}
        self.owner: dict[str, str] = {}
        self.lost: dict[str, int] = defaultdict(int)
        self.held: dict[str, tuple[int, float]] = {}
        """Which attempt has an analysis, and until when nobody else may."""
        self.turn: dict[str, int] = {}
        self.published: dict[str, int] = {}

    # Requests

    @initialize(target=analyses)
    def nothing(self) -> Any:
        return multiple()

    @rule(target=analyses, owner=st.sampled_from(OWNERS), sent=st.integers(1, 2))
    def submit(self, owner: str, sent: int) -> Any:
        """The token is sent first, once or twice, and the analysis then is charged for or refused."""
        analysis = new_analysis(owner)
        self.messages.add(analysis.analysis_id)
        mine = [name for name, of in self.owner.items() if of == owner and self.state[name] in ("queued", "running")]
        try:
            analysis = self.store.add_analysis(analysis, quotas=QUOTAS)
        except QuotaExceeded:
            assert len(mine) == MOST
            return multiple()
        assert len(mine) < MOST
        self.state[analysis.analysis_id], self.owner[analysis.analysis_id] = "queued", owner
        before = [turn for name, turn in self.turn.items() if self.owner[name] == owner]
        assert analysis.turn > max(before, default=-1)
        self.turn[analysis.analysis_id] = analysis.turn
        return analysis.analysis_id

    @rule(analysis_id=analyses)
    def cancel(self, analysis_id: str) -> None:
        assert self.store.cancel(analysis_id) is (self.state[analysis_id] in ("queued", "running"))
        if self.state[analysis_id] in ("queued", "running"):
            self.state[analysis_id] = "cancelled"

    # Workers

    @rule(seconds=st.floats(0, 1.5 * LEASE))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=attempts, which=st.integers(0), lagging=st.booleans())
    def receive(self, which: int, lagging: bool) -> Any:
        """Any message that is there, however often it came before; the index may be behind."""
        if not self.messages:
            return multiple()
        token = sorted(self.messages)[which % len(self.messages)]
        if lagging:
            self.workers._first_queued = lambda: sorted(self.state)[:3]
        claim = self.workers.claim(token, now=self.now, lease_seconds=LEASE)
        self.workers.__dict__.pop("_first_queued", None)
        self._expire(claim)
        match claim:
            case Claimed(analysis):
                return self._started(analysis, lagging)
            case Busy(until):
                assert any(lease == until >= self.now for _, lease in self.held.values())
            case Ended():
                self.messages.remove(token)
            case Unknown():
                assert token not in self.state
                assert self.workers.void(token)
        return multiple()

    def _expire(self, claim: Any) -> None:
        """What was lost once too often has failed now, when a message of its token came."""
        for name, (_, until) in self.held.items():
            if (
                self.state[name] == "running"
                and until < self.now
                and self.lost[name] + 1 == MOST_LOST
                and isinstance(claim, Ended)
            ):
                analysis = self.store.analysis(name)
                assert analysis is not None
                if analysis.state == "failed":
                    self.state[name] = "failed"

    def _started(self, analysis: Analysis, lagging: bool) -> Analysis:
        name = analysis.analysis_id
        if self.state[name] == "running":
            # Never while the lease of another runs.
            attempt, until = self.held[name]
            assert until < self.now
            assert analysis.attempt == attempt + 1
            self.lost[name] += 1
        else:
            assert self.state[name] == "queued"
            waiting = [self.turn[other] for other, state in self.state.items() if state == "queued"]
            assert lagging or self.turn[name] == min(waiting)
        assert analysis.lost == self.lost[name] < MOST_LOST
        self.state[name] = "running"
        self.held[name] = (analysis.attempt, self.now + LEASE)
        return analysis

    def _holds(self, attempt: Analysis) -> bool:
        name = attempt.analysis_id
        return self.state[name] == "running" and self.held[name][0] == attempt.attempt

    @rule(attempt=attempts)
    def heartbeat(self, attempt: Analysis) -> None:
        until = self.now + LEASE
        held = self.workers.heartbeat(attempt, stage="x", progress=0.5, lease_until=until)
        assert held is self._holds(attempt)
        if held:
            self.held[attempt.analysis_id] = (attempt.attempt, until)

    @rule(attempt=attempts)
    def succeed(self, attempt: Analysis) -> None:
        """Told twice, it says the same twice, and publishes once."""
        before = self.state[attempt.analysis_id] == "succeeded" and self.published[attempt.analysis_id] == attempt.attempt
        wrote = self.workers.succeed(attempt, files=[{"attempt": attempt.attempt, "bytes": 1}], summary={})
        assert wrote is (self._holds(attempt) or before)
        if wrote:
            self.state[attempt.analysis_id] = "succeeded"
            assert self.published.setdefault(attempt.analysis_id, attempt.attempt) == attempt.attempt

    @rule(attempt=attempts)
    def release(self, attempt: Analysis) -> None:
        if self._holds(attempt):
            assert self.workers.release(attempt) is True
            self.state[attempt.analysis_id] = "queued"
        else:
            self.workers.release(attempt)

    @rule(attempt=attempts)
    def lose(self, attempt: Analysis) -> None:
        if not self._holds(attempt):
            self.workers.lose(attempt)
            return
        assert self.workers.lose(attempt) is True
        self.lost[attempt.analysis_id] += 1
        over = self.lost[attempt.analysis_id] == MOST_LOST
        self.state[attempt.analysis_id] = "failed" if over else "queued"

    # What is always so

    @invariant()
    def all_is_as_it_must_be(self) -> None:
        answer = self.dynamodb.scan(TableName="jobs", ConsistentRead=True)
        rows = {item["pk"]["S"]: item for item in answer["Items"]}
        self._nothing_is_lost(rows)
        self._the_table_says_what_the_model_says(rows)

    def _nothing_is_lost(self, rows: dict[str, Any]) -> None:
        """Each unfinished analysis is owed by a token of its own whose message is there."""
        unfinished = {name for name, state in self.state.items() if state in ("queued", "running")}
        owed = {
            row["owes"]["S"] for pk, row in rows.items() if pk.startswith("token#") and pk[6:] in self.messages and "owes" in row
        }
        assert unfinished <= owed
        for name in unfinished:
            assert rows[f"token#{rows[f'analysis#{name}']['token']['S']}"]["owes"]["S"] == name

    def _the_table_says_what_the_model_says(self, rows: dict[str, Any]) -> None:
        known = {pk[9:]: row["state"]["S"] for pk, row in rows.items() if pk.startswith("analysis#")}
        assert known == self.state
        waiting = {pk[15:] for pk in rows if pk.startswith("listing#queued#")}
        assert waiting == {name for name, state in self.state.items() if state == "queued"}
        for owner in OWNERS:
            unfinished = [n for n, of in self.owner.items() if of == owner and self.state[n] in ("queued", "running")]
            assert int(rows.get(f"quota#{owner}", {}).get("unfinished", {}).get("N", "0")) == len(unfinished)
        for name, attempt in self.published.items():
            assert rows[f"analysis#{name}"]["files"]["S"] == f'[{{"attempt": {attempt}, "bytes": 1}}]'


@mock_aws
def test_the_store_does_what_a_plain_model_of_it_does() -> None:
    run_state_machine_as_test(
        Jobs,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
