"""Analyses in the jobs table: whose they are, how far they are, who may see which, and which is to run next.

Keys (``pk``): ``analysis#<id>``, and for each list in which an analysis appears a row ``listing#<list>#<id>`` of its own. The
lists are the partitions of the index ``listing``: ``owner#<principal>``, ``all``, ``shared``, ``named#<principal>``, and
``queued``, in which an analysis is while it waits. The analysis itself is in none, so that its progress does not rewrite the
index.

**Nothing lost.** A message on the queue is a token, named for the analysis for which it was sent. At every moment each unfinished
analysis is owed by exactly one token (its ``token``; the token's row ``token#<token>`` says which it ``owes``), and the message
of a token is deleted only once the analysis that it owes has ended. So there are never fewer undeleted messages that owe an
unfinished analysis than unfinished analyses: none waits without a message to bring a worker to it. What a token owes changes only
while that waits, and then two tokens swap, in the transaction that starts one of the two analyses; the index, which lags behind,
only proposes which. Messages may come twice, late or in any order: all are deliveries of their token.

**Nothing twice.** Every change of an analysis's state is conditional. ``attempt`` is the fencing token: a worker that lost its
lease still knows the old number, and its writes fail. An attempt's results lie under its own number, and the one write that ends
the analysis publishes them.

**Fair order.** At its request an analysis gets a ``turn``: one more than its owner's last one (``turn#<principal>``), but not
less than the turn that was started last (``turn#``). The lowest turn is started first, whichever message came. So the
principals who wait take turns, whoever asked for how many, and nobody gains by having been away.

**Exact quotas.** The charge is part of the transaction that writes the analysis, and the release of the one that ends it.

What runs them is heartmap_service.job_attempts.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from heartmap_service import listing
from heartmap_service.idempotency import Idempotency
from heartmap_service.job_rows import CLOCK, QUEUED, JobTable, analysis_key, as_text, listing_row, turn_key
from heartmap_service.listing import visibility_lists
from heartmap_service.problems import Problem
from heartmap_service.quotas import Quotas, charge_job, check_job
from heartmap_service.records import Analysis, Visibility, from_item, timestamp
from heartmap_service.transactions import ConditionNotMet, commit

_TURN_ATTEMPTS = 25


class TokenVoid(Exception):  # what it is, not an error of ours
    """The analysis came too late: its token was already given up."""


class _TurnTaken(Exception):  # tried again with the next turn
    """Another request of the same owner was first."""


class JobStore(JobTable):
    """What the API does with analyses."""

    def check_quota(self, principal: str, quotas: Quotas) -> None:
        """Raises QuotaExceeded when one analysis more would be refused as things stand."""
        check_job(self._dynamodb, self._table, principal, quotas, time.time())

    def made(self, idempotency: Idempotency) -> str | None:
        """The analysis that an earlier call with this key made."""
        return idempotency.made(self._dynamodb, self._table)

    def add_analysis(self, analysis: Analysis, *, quotas: Quotas, idempotency: Idempotency | None = None) -> Analysis:
        """Writes a queued analysis, charges its owner, and returns it with its turn.

        Its token is sent before: a token without an analysis does no harm, but an analysis without a token would wait for ever
        if the process died between the two. Raises QuotaExceeded, idempotency.AlreadyMade, TokenVoid, and Problem 503 when the
        owner's requests crowd each other out.
        """
        again = Retrying(
            retry=retry_if_exception_type(_TurnTaken),
            stop=stop_after_attempt(_TURN_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.02, max=0.5),
            reraise=True,
        )
        try:
            return again(self._add, analysis, quotas, idempotency)
        except _TurnTaken:
            detail = "Too many of your analyses are being submitted at this very moment. Try again."
            raise Problem(503, "busy", detail, headers={"Retry-After": "2"}) from None

    def _add(self, analysis: Analysis, quotas: Quotas, idempotency: Idempotency | None) -> Analysis:
        last, now = self._turn(turn_key(analysis.owner)), time.time()
        turn = max(self._turn(CLOCK) or 0, 0 if last is None else last + 1)
        analysis = replace(analysis, turn=turn)
        listed = [f"owner#{analysis.owner}", "all", *visibility_lists(analysis.visibility), QUEUED]
        steps = [
            self._rows.new_analysis(analysis),
            self._rows.new_token(analysis.analysis_id, owes=analysis.analysis_id, now=now, refusal=TokenVoid),
            *([] if idempotency is None else [idempotency.item(self._table, analysis.analysis_id)]),
            *charge_job(self._table, analysis.owner, quotas, now),
            self._rows.take_turn(analysis.owner, last=last, turn=turn, refusal=_TurnTaken),
            *(self._rows.list_in(name, analysis) for name in listed),
        ]
        try:
            commit(self._dynamodb, steps)
        except ConditionNotMet:
            # Only the analysis itself: it is written. The answer of an earlier try was lost on its way.
            return self.analysis(analysis.analysis_id) or analysis
        return analysis

    def _turn(self, pk: str) -> int | None:
        item = self._get(pk)
        return None if item is None else int(item["turn"]["N"])

    def page(self, lists: Sequence[str], *, limit: int, before: str | None) -> tuple[list[Analysis], str | None]:
        """The newest analyses that appear in any of the lists, and after which sort key the next page begins."""
        page = listing.page(self._dynamodb, self._table, lists, limit=limit, before=before)
        records = self._get_many([analysis_key(analysis_id) for analysis_id in page.ids])
        known = (analysis_key(analysis_id) for analysis_id in page.ids)
        return [from_item(Analysis, records[key]) for key in known if key in records], page.next

    def queued_before(self, analysis: Analysis, most: int) -> int:
        """How many analyses are to be started before a queued one, counted up to ``most``."""
        answer = self._dynamodb.query(
            TableName=self._table,
            IndexName=listing.INDEX,
            KeyConditionExpression="listing_key = :list AND created_at < :own",
            ExpressionAttributeValues={":list": {"S": QUEUED}, ":own": listing_row(QUEUED, analysis)["created_at"]},
            Select="COUNT",
            Limit=most,
        )
        return answer["Count"]

    def set_visibility(self, analysis: Analysis, visibility: Visibility) -> bool:
        """False when it has changed since ``analysis`` was read."""
        old, new = set(visibility_lists(analysis.visibility)), set(visibility_lists(visibility))
        values = {":new": as_text(visibility), ":old": as_text(analysis.visibility)}
        pk = analysis_key(analysis.analysis_id)
        steps = [
            self._rows.update(pk, "SET #visibility = :new", "#visibility = :old", values),
            *(self._rows.list_in(name, analysis) for name in sorted(new - old)),
            *(self._rows.unlist(name, analysis.analysis_id) for name in sorted(old - new)),
        ]
        return self._done(steps)

    def cancel(self, analysis_id: str) -> bool:
        """Queued or running becomes cancelled; False when it had ended. A running attempt notices at its next heartbeat."""
        analysis = self.analysis(analysis_id)
        if analysis is None:
            return False
        values = {":cancelled": "cancelled", ":at": timestamp(), ":queued": "queued", ":running": "running"}
        expression = "SET #state = :cancelled, #finished_at = :at"
        update = self._rows.update(analysis_key(analysis_id), expression, "#state IN (:queued, :running)", values)
        return self._ended(analysis, [update, self._rows.unlist(QUEUED, analysis_id)])
