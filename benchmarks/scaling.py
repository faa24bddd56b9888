"""How long jobs wait and what they cost, by a discrete-event simulation of the workers: benchmarks/scaling_page.py runs it.

A queue, workers that take one job at a time, and what decides how many there are: CloudWatch samples the queue and the service
once a minute, its alarms see a sample when it is METRIC_DELAY old, and Application Auto Scaling acts on them once a minute. A
worker that is started works after a while, and costs from the start. Scaling in ends those that idle at once; a worker with a job
is protected, and ends with the job. Everything random comes from the seed.
"""

import math
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import simpy
from simpy.events import ProcessGenerator

from heartmap_service.estimate import Estimator, refusal

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

# Of AWS. docs/scaling.md has the sources.
METRIC_DELAY = 60.0
"""Assumed: from a sample to an alarm that has seen it."""
HIGH_PERIODS, LOW_PERIODS, LOW_SHARE = 3, 15, 0.9
"""Target tracking: so many minutes in a row above the target; so many below that share of it."""
LAUNCHES_A_MINUTE = 500
"""Published: what a service may start on Fargate."""
TASKS_A_SERVICE = 5_000
START_SECONDS = (60.0, 80.0, 120.0)
"""Assumed: least, most likely and largest time from the decision to a worker that takes jobs."""

# Of the jobs; assumed.
CELLS_MEDIAN, CELLS_SIGMA, MOST_CELLS = 6_000, 1.2, 1_000_000
GENES, VALUES_A_CELL = 20_000, 1_500
TYPES = {"comprehensive": 0.6, "basic": 0.2, "advanced_communication": 0.15, "multi_chamber": 0.05}
OVERHEAD_SECONDS, TRANSFER_BYTES_A_SECOND = 3.0, 50e6
"""Claim, scan and clean-up; download and upload."""
NOISE_SIGMA = 0.15
BATCHED, BATCH_MEAN, BATCH_MOST, BATCH_SECONDS = 0.3, 8.0, 20, 60.0
"""This share of the jobs comes in batches, of at most as many as one principal may have queued."""
CHECKED, CHECK_SECONDS, CHECK_LEAD = 0.5, 4.0, 120.0
"""This share has a new upload, which is checked by a worker some time before."""
NIGHT = 0.15
"""Rate at 2 o'clock by that at 14 o'clock."""


# Jobs


@dataclass(frozen=True, slots=True)
class Job:
    """``seconds`` of a worker from ``at``; a check of an upload is not an ``analysis``, and nobody waits for it."""

    at: float
    seconds: float
    analysis: bool = True


def arrivals(random: np.random.Generator, jobs_a_day: float, days: float) -> np.ndarray:
    """Times of arrival in seconds, sorted: Poisson with a rate that follows the day, and batches."""
    single = random.poisson(jobs_a_day * days * (1 - BATCHED))
    times = [_moments(random, single, days)]
    batches = random.poisson(jobs_a_day * days * BATCHED / _mean_batch())
    sizes = np.minimum(random.geometric(1 / BATCH_MEAN, size=batches), BATCH_MOST)
    starts = np.repeat(_moments(random, batches, days), sizes)
    times.append(starts + random.uniform(0, BATCH_SECONDS, size=len(starts)))
    return np.sort(np.concatenate(times))


def _mean_batch() -> float:
    stay = 1 - 1 / BATCH_MEAN
    return (1 - stay**BATCH_MOST) / (1 - stay)


def _moments(random: np.random.Generator, count: int, days: float) -> np.ndarray:
    """By the inverse of the day's distribution, from a table of minutes."""
    minutes = np.arange(int(days * 1440)) / 1440
    share = (1 + NIGHT) / 2 - (1 - NIGHT) / 2 * np.cos(2 * np.pi * (minutes - 2 / 24))
    cumulated = np.concatenate([[0.0], np.cumsum(share)])
    return np.interp(random.uniform(size=count), cumulated / cumulated[-1], np.arange(len(cumulated)) * MINUTE)


@dataclass(frozen=True)
class Worker:
    """A worker's task, and the address space that it gives to a job."""

    cpu: int
    memory: int
    job_memory_bytes: int

    @property
    def usd_an_hour(self) -> float:
        return Estimator(self.cpu, self.memory).usd_an_hour


PROD = Worker(4096, 30720, 30064771072)


def jobs(random: np.random.Generator, jobs_a_day: float, days: float, worker: Worker = PROD) -> tuple[list[Job], int]:
    """The jobs in their order, and how many analyses were refused because they would not fit."""
    made: list[Job] = []
    refused = 0
    times = arrivals(random, jobs_a_day, days)
    cells = np.minimum(CELLS_MEDIAN * random.lognormal(sigma=CELLS_SIGMA, size=len(times)), MOST_CELLS).astype(int)
    types = random.choice(list(TYPES), p=list(TYPES.values()), size=len(times))
    noise = random.lognormal(sigma=NOISE_SIGMA, size=len(times))
    checked = random.uniform(size=len(times)) < CHECKED
    lead = random.exponential(CHECK_LEAD, size=len(times))
    estimator = Estimator(worker.cpu, worker.memory)
    for number, at in enumerate(times):
        dataset = {"cells": int(cells[number]), "genes": GENES, "values": int(cells[number]) * VALUES_A_CELL, "sparse": True}
        transfer = dataset["values"] * 8 / TRANSFER_BYTES_A_SECOND
        if checked[number]:
            made.append(Job(max(0.0, at - lead[number]), CHECK_SECONDS + transfer, analysis=False))
        estimate = estimator.of(str(types[number]), {}, dataset)  # pyright: ignore[reportArgumentType]
        if refusal(estimate, worker.job_memory_bytes):
            refused += 1
            continue
        made.append(Job(float(at), OVERHEAD_SECONDS + 2 * transfer + estimate.seconds * float(noise[number])))
    made.sort(key=lambda job: job.at)
    return made, refused


# Policies


@dataclass(frozen=True)
class Sample:
    """Of one minute, at ``at``. What each thing counts is what CloudWatch calls so."""

    at: float
    waiting: int
    in_flight: int
    running: int
    desired: int

    @property
    def uncovered(self) -> int:
        """Jobs for which no worker has been asked."""
        return self.waiting + self.in_flight - self.desired


@dataclass(frozen=True)
class Tracking:
    """Target tracking of the jobs by the tasks that run, or that were asked for."""

    by: Literal["running", "desired"] = "running"
    target: float = 1.0
    out_seconds: float = 60.0
    in_seconds: float = 300.0


@dataclass(frozen=True)
class Steps:
    """Step scaling: ``steps`` are the least value and the change of the capacity, in rising order.

    The last that is reached counts. The metric is negated for steps that scale in.
    """

    metric: Literal["waiting", "uncovered"]
    steps: tuple[tuple[int, int], ...]
    seconds: float
    periods: int = 1
    scales_in: bool = False


@dataclass(frozen=True)
class Policy:
    name: str
    tracking: Tracking | None = None
    steps: tuple[Steps, ...] = ()
    least: int = 0
    most: int = TASKS_A_SERVICE


@dataclass
class _CoolDown:
    """Until when, and from which capacity on what was added counts as added already."""

    until: float = 0.0
    base: int = 0


class Scaling:
    """Application Auto Scaling: what of its policies' answers is asked for, minute by minute.

    In a scale-out's cool-down only what goes beyond that scale-out is added; in a scale-in's nothing is taken away.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._out: dict[Any, _CoolDown] = {}
        self._in_until: dict[Any, float] = {}

    def decide(self, now: float, seen: Sequence[Sample], desired: int) -> int:
        """The capacity from ``now`` on. Of several policies' answers the largest counts."""
        wanted = [self._step(steps, now, seen, desired) for steps in self._policy.steps]
        if self._policy.tracking:
            wanted.append(self._track(self._policy.tracking, now, seen, desired))
        answers = [answer for answer in wanted if answer is not None]
        return min(max(max(answers, default=desired), self._policy.least), self._policy.most)

    def _step(self, steps: Steps, now: float, seen: Sequence[Sample], desired: int) -> int | None:
        sign = -1 if steps.scales_in else 1
        values = [sign * getattr(sample, steps.metric) for sample in seen[-steps.periods :]]
        if len(values) < steps.periods or min(values) < steps.steps[0][0]:
            return None
        change = [change for least, change in steps.steps if values[-1] >= least][-1]
        if steps.scales_in:
            return self._scale_in(steps, now, steps.seconds, desired + change)
        return self._scale_out(steps, now, steps.seconds, desired, lambda base: base + change)

    def _track(self, tracking: Tracking, now: float, seen: Sequence[Sample], desired: int) -> int | None:
        values = [_backlog(sample, tracking.by) for sample in seen[-LOW_PERIODS:]]
        last, high = (values[-1] if values else None), values[-HIGH_PERIODS:]
        if last is None:
            return None
        ratio = last / tracking.target
        if len(high) == HIGH_PERIODS and all(value is not None and value > tracking.target for value in high):
            return self._scale_out(tracking, now, tracking.out_seconds, desired, lambda base: math.ceil(base * ratio))
        low = tracking.target * LOW_SHARE
        if len(values) == LOW_PERIODS and all(value is not None and value < low for value in values):
            return self._scale_in(tracking, now, tracking.in_seconds, math.ceil(desired * ratio))
        return None

    def _scale_out(self, of: Any, now: float, seconds: float, desired: int, answer: Callable[[int], int]) -> int | None:
        cool_down = self._out.setdefault(of, _CoolDown())
        if now >= cool_down.until:
            cool_down.until, cool_down.base = now + seconds, desired
        wanted = answer(cool_down.base)
        return wanted if wanted > desired else None

    def _scale_in(self, of: Any, now: float, seconds: float, wanted: int) -> int | None:
        if now < self._in_until.get(of, 0.0):
            return None
        self._in_until[of] = now + seconds
        return wanted


def _backlog(sample: Sample, by: str) -> float | None:
    tasks = getattr(sample, by)
    return (sample.waiting + sample.in_flight) / tasks if tasks else None


# The simulation


@dataclass
class Outcome:
    """What came of one simulation. Times in seconds; those with a job of an analysis alone are ``waits`` and ``stays``."""

    waits: list[float] = field(default_factory=list)
    stays: list[float] = field(default_factory=list)
    busy: float = 0.0
    paid: float = 0.0
    present: float = 0.0
    """Integral over time of the jobs that are here, of both kinds: Little's law has it equal the sum of their stays."""
    all_stays: float = 0.0
    idle_while_waiting: int = 0
    launched: int = 0
    largest: int = 0
    refused: int = 0

    @property
    def idle_share(self) -> float:
        return 1 - self.busy / self.paid if self.paid else 0.0

    def wait(self, percent: float) -> float:
        return float(np.percentile(self.waits, percent)) if self.waits else 0.0

    def usd_a_job(self, worker: Worker) -> float:
        return self.paid / HOUR * worker.usd_an_hour / max(1, len(self.waits))


class Simulation:
    """One queue and its workers, under one policy."""

    def __init__(self, work: Sequence[Job], policy: Policy, seed: int) -> None:
        self._env = simpy.Environment()
        self._work, self._policy = work, policy
        self._random = np.random.default_rng(seed)
        self._queue: deque[Job] = deque()
        self._idle: deque[simpy.Event] = deque()
        self._tasks = self._running = self._in_flight = 0
        self._desired = policy.least
        self._launchable = 0.0
        self._present_since = 0.0
        self._present_now = 0
        self._left = len(work)
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Until every job is done and, where nothing has to stay, every worker has ended."""
        self._env.process(self._arrive())
        self._env.process(self._scale())
        self._env.run()
        return self.outcome

    def _arrive(self) -> ProcessGenerator:
        for job in self._work:
            if job.at > self._env.now:
                yield self._env.timeout(job.at - self._env.now)
            self._count_present(1)
            if self._idle:
                self._in_flight += 1
                self._idle.popleft().succeed(job)
            else:
                self._queue.append(job)

    def _count_present(self, change: int) -> None:
        self.outcome.present += self._present_now * (self._env.now - self._present_since)
        self._present_since = self._env.now
        self._present_now += change

    def _scale(self) -> ProcessGenerator:
        delay = math.ceil(METRIC_DELAY / MINUTE)
        scaling, samples = Scaling(self._policy), deque[Sample](maxlen=LOW_PERIODS + delay)
        # A minute does not begin with the day: alarms are evaluated whenever.
        yield self._env.timeout(self._random.uniform(0, MINUTE))
        self._resize(self._desired)
        while self._left or self._tasks > self._policy.least:
            samples.append(Sample(self._env.now, len(self._queue), self._in_flight, self._running, self._desired))
            self._resize(scaling.decide(self._env.now, list(samples)[: len(samples) - delay], self._desired))
            yield self._env.timeout(MINUTE)
        self._resize(0)

    def _resize(self, desired: int) -> None:
        self._desired = desired
        while self._tasks < desired:
            self._launch()
        while self._tasks > desired and self._idle:
            self._tasks -= 1
            self._idle.pop().succeed(None)

    def _launch(self) -> None:
        self._tasks += 1
        self.outcome.launched += 1
        self.outcome.largest = max(self.outcome.largest, self._tasks)
        self._launchable = max(self._env.now, self._launchable + MINUTE / LAUNCHES_A_MINUTE)
        self._env.process(self._worker(self._launchable))

    def _worker(self, launched: float) -> ProcessGenerator:
        least, likely, most = START_SECONDS
        yield self._env.timeout(launched - self._env.now + self._random.triangular(least, likely, most))
        self._running += 1
        # Not asked for any more by the time it is here, or after a job: it ends.
        while self._tasks <= self._desired:
            job = yield from self._next()
            if job is None:
                break
            yield from self._do(job)
        else:
            self._tasks -= 1
        self._running -= 1
        self.outcome.paid += self._env.now - launched

    def _next(self) -> Generator[simpy.Event, Any, Job | None]:
        if self._queue:
            self._in_flight += 1
            return self._queue.popleft()
        event = self._env.event()
        self._idle.append(event)
        return (yield event)

    def _do(self, job: Job) -> ProcessGenerator:
        outcome, wait = self.outcome, self._env.now - job.at
        outcome.idle_while_waiting += bool(self._queue and self._idle)
        yield self._env.timeout(job.seconds)
        self._in_flight -= 1
        self._left -= 1
        self._count_present(-1)
        outcome.busy += job.seconds
        outcome.all_stays += self._env.now - job.at
        if job.analysis:
            outcome.waits.append(wait)
            outcome.stays.append(self._env.now - job.at)


def simulate(policy: Policy, jobs_a_day: float, days: float, seed: int, worker: Worker = PROD) -> Outcome:
    """One policy under one load. The same seed makes the same jobs for every policy."""
    work, refused = jobs(np.random.default_rng(seed), jobs_a_day, days, worker)
    outcome = Simulation(work, policy, seed).run()
    outcome.refused = refused
    return outcome


# The candidates


def _doubling(sign: int) -> tuple[tuple[int, int], ...]:
    return tuple((2**power, sign * 2**power) for power in range(13))


FORMER = Policy("tracking of jobs by running tasks", Tracking(), (Steps("waiting", ((1, 1),), 300.0),))
"""The first policy of the project, which this simulation did away with: target tracking, and a step from none to one."""


def _halving() -> tuple[tuple[int, int], ...]:
    return tuple((2**power, -max(1, 2**power // 2)) for power in range(13))


def _uncovered(name: str, in_periods: int) -> Policy:
    """Up by what is missing as soon as a sample says so; down by half of what is too much once it was for so many minutes."""
    up = Steps("uncovered", _doubling(1), 180.0)
    return Policy(name, None, (up, Steps("uncovered", _halving(), 180.0, in_periods, scales_in=True)))


CHOSEN = _uncovered("chosen: steps on uncovered jobs", 4)
"""That of infra/scaling.py; tests/benchmarks compares the numbers."""

CANDIDATES = (
    FORMER,
    Policy("the same, scale-out cool-down 300 s", Tracking(out_seconds=300.0), FORMER.steps),
    Policy("tracking of jobs by tasks asked for", Tracking(by="desired", out_seconds=120.0), FORMER.steps),
    Policy(
        "steps on waiting messages",
        Tracking(by="desired", out_seconds=300.0),
        (Steps("waiting", ((1, 1), (4, 4), (16, 16), (64, 64), (256, 256)), 180.0),),
    ),
    CHOSEN,
    _uncovered("chosen, in after 15 min", LOW_PERIODS),
    replace(CHOSEN, name="chosen, one worker always", least=1),
)
