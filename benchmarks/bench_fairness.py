"""1,000 analyses of 50 principals, submitted at once, and started by workers that do nothing: the order, and what is counted.

The order is fair when, at every moment, of two principals who both still wait none was served more than a turn or two more than
the other.
"""

import collections
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import boto3
from botocore.config import Config

from heartmap_service.job_attempts import AttemptStore, Busy, Claimed
from heartmap_service.job_store import JobStore
from heartmap_service.quotas import QuotaExceeded, Quotas
from heartmap_service.records import Analysis, timestamp
from local_cloud.moto_server import running_moto
from local_cloud.service_resources import create_jobs_table

JOBS = 1000
PRINCIPALS = 50
WORKERS = 8


class Outcome(NamedTuple):
    """``spread`` is the most by which principals who both waited were apart, in analyses started; the rest are counts."""

    spread: int
    accepted: int
    refused: int
    started: int
    wrong_counts: int
    submit_seconds: float
    start_seconds: float


def measure(jobs: int = JOBS, principals: int = PRINCIPALS, workers: int = WORKERS, seed: int = 1) -> Outcome:
    """Every principal asks for two analyses more than the quota allows, in an order of chance."""
    with running_moto() as endpoint:
        dynamodb = _table(endpoint)
        allowed = jobs // principals
        quotas = Quotas(queued_jobs=allowed, jobs_per_day=jobs, upload_bytes_per_day=1)
        names = [f"principal-{number}" for number in range(principals)] * (allowed + 2)
        random.Random(seed).shuffle(names)  # noqa: S311  # to be repeated, not to be secret
        store, attempts = JobStore(dynamodb, "jobs"), AttemptStore(dynamodb, "jobs")

        def submit(numbered: tuple[int, str]) -> str | None:
            try:
                return store.add_analysis(_analysis(*numbered), quotas=quotas).analysis_id
            except QuotaExceeded:
                return None

        began = time.monotonic()
        with ThreadPoolExecutor(workers) as pool:
            tokens = [made for made in pool.map(submit, enumerate(names)) if made]
        submitted = time.monotonic()
        random.Random(seed).shuffle(tokens)  # noqa: S311  # SQS keeps no order
        order: list[str] = []

        def start(token: str) -> None:
            while isinstance(claim := attempts.claim(token, now=time.time(), lease_seconds=3600), Busy):
                # The others were quicker each time; the message comes again.
                time.sleep(0.05)
            if isinstance(claim, Claimed):
                order.append(claim.analysis.owner)
                attempts.succeed(claim.analysis, files=[], summary={})

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(start, tokens))
        ended = time.monotonic()
        return Outcome(
            spread=spread(order),
            accepted=len(tokens),
            refused=len(names) - len(tokens),
            started=len(order),
            wrong_counts=_wrong_counts(dynamodb, allowed),
            submit_seconds=submitted - began,
            start_seconds=ended - submitted,
        )


def spread(order: list[str]) -> int:
    """The most by which two principals were apart while both waited, of the owners of analyses in the order of their start."""
    left, served, worst = collections.Counter(order), dict.fromkeys(order, 0), 0
    for owner in order:
        served[owner] += 1
        left[owner] -= 1
        waiting = [served[name] for name in served if left[name]]
        if waiting:
            worst = max(worst, served[owner] - min(waiting), max(waiting) - min(waiting))
    return worst


def _table(endpoint: str) -> Any:
    dynamodb = boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="eu-west-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106  # moto takes any words
        config=Config(max_pool_connections=32, read_timeout=300),
    )
    create_jobs_table(dynamodb)
    return dynamodb


def _analysis(number: int, owner: str) -> Analysis:
    return Analysis(
        analysis_id=f"analysis-{number:06d}",
        upload_id="u",
        owner=owner,
        visibility="private",
        analysis_type="basic",
        options={},
        config_version=1,
        config={},
        state="queued",
        created_at=timestamp(),
        request_id="r",
    )


def _wrong_counts(dynamodb: Any, allowed: int) -> int:
    """How many quota rows do not hold what was accepted and has ended."""
    wrong = 0
    for page in dynamodb.get_paginator("scan").paginate(TableName="jobs", ConsistentRead=True):
        for item in page["Items"]:
            if not item["pk"]["S"].startswith("quota#"):
                continue
            wrong += item["unfinished"]["N"] != "0" if "unfinished" in item else item["jobs"]["N"] != str(allowed)
    return wrong


def main() -> None:
    outcome = measure()
    print(
        f"fair order: {outcome.started:,} analyses of {PRINCIPALS} principals, {WORKERS} workers at once: "
        f"principals who waited were at most {outcome.spread} apart (bound 2)"
    )
    print(
        f"quotas: {outcome.accepted:,} accepted, {outcome.refused} refused, {outcome.wrong_counts} counts wrong; "
        f"{outcome.submit_seconds:.0f} s to submit, {outcome.start_seconds:.0f} s to start and end, on the emulated AWS"
    )
    if outcome.spread > 2 or (outcome.started, outcome.accepted) != (JOBS, JOBS) or outcome.wrong_counts:
        sys.exit("The order was not fair, or a count is wrong.")


if __name__ == "__main__":
    main()
