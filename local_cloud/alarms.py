"""CloudWatch's alarms: in which state each is at a moment, of what is known of its metric until then.

An alarm looks at its periods before a full minute, as CloudWatch does once a minute. Where there are no data in a period, it goes
by what it says of missing data; that CloudWatch may look back at older periods then, it does not say how far, is left out. The
band of what is usual stands for the one that CloudWatch learns: mean and standard deviation of the same time of day before.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html

Pure: times are seconds since the epoch, and given. ``local_cloud.metrics`` knows what happened in a local environment.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Any, Final, NamedTuple

OK, ALARM, NO_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"

MINUTE: Final = 60
DAY: Final = 24 * 3600
BAND_DAYS: Final = 14
"""How far back CloudWatch looks to learn a band."""
BAND_POINTS: Final = 3
"""Points of the same time of day without which there is no band."""

_BAND = re.compile(r"ANOMALY_DETECTION_BAND\((\w+), (\d+)\)")


class Unreadable(Exception):
    """An alarm that this module does not know how to read. The text names it."""


class Metric(NamedTuple):
    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]] = frozenset()


class History:
    """Values of metrics, each at a moment."""

    def __init__(self) -> None:
        self._points: dict[Metric, list[tuple[float, float]]] = defaultdict(list)

    def add(self, metric: Metric, points: Iterable[tuple[float, float]]) -> None:
        for point in points:
            insort(self._points[metric], point)

    def values(self, metric: Metric, begin: float, end: float) -> list[float]:
        """The values from ``begin`` on and before ``end``."""
        points = self._points.get(metric, [])
        return [value for _, value in points[bisect_left(points, (begin, -math.inf)) : bisect_left(points, (end, -math.inf))]]


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """An alarm. ``bound`` is its threshold, of one with a band the band's width in standard deviations. ``seconds`` is a period;
    in ``needed`` of ``periods`` the bound has to be broken."""

    name: str
    description: str
    metric: Metric
    statistic: str
    comparison: str
    bound: float
    seconds: int
    periods: int
    needed: int
    missing: str
    actions: tuple[str, ...] = ()

    @property
    def window(self) -> int:
        """The seconds that it looks at."""
        return self.seconds * self.periods


STATISTICS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "Sum": sum,
    "Maximum": max,
    "Minimum": min,
    "Average": fmean,
    "SampleCount": len,
}
COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "GreaterThanOrEqualToThreshold": lambda value, bound: value >= bound,
    "GreaterThanThreshold": lambda value, bound: value > bound,
    "LessThanThreshold": lambda value, bound: value < bound,
    "LessThanOrEqualToThreshold": lambda value, bound: value <= bound,
    "GreaterThanUpperThreshold": lambda value, bound: value > bound,
}
WITH_BAND: Final = "GreaterThanUpperThreshold"


def read(described: Mapping[str, Any]) -> Alarm:
    """An alarm as DescribeAlarms tells it, or PutMetricAlarm takes it. Raises Unreadable."""
    name, measured, bound = described["AlarmName"], described, described.get("Threshold")
    if described.get("Metrics"):
        measured, bound = _banded(described)
    periods, missing = described["EvaluationPeriods"], described.get("TreatMissingData", "missing")
    if described["ComparisonOperator"] not in COMPARISONS or missing not in ("breaching", "notBreaching") or bound is None:
        raise Unreadable(f"The alarm {name} has a comparison, a bound or a treatment of missing data that is not known here.")
    dimensions = frozenset((one["Name"], one["Value"]) for one in measured.get("Dimensions") or [])
    return Alarm(
        name=name,
        description=described.get("AlarmDescription", ""),
        metric=Metric(measured["Namespace"], measured["MetricName"], dimensions),
        statistic=measured["Statistic"],
        comparison=described["ComparisonOperator"],
        bound=float(bound),
        seconds=measured["Period"],
        periods=periods,
        needed=described.get("DatapointsToAlarm") or periods,
        missing=missing,
        actions=tuple(described.get("AlarmActions") or ()),
    )


def _banded(described: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
    """The metric of an alarm on a band, and the band's width."""
    queries = {query["Id"]: query for query in described["Metrics"]}
    band = _BAND.fullmatch(queries.get(described.get("ThresholdMetricId"), {}).get("Expression") or "")
    if band is None or band[1] not in queries or len(queries) != 2:
        raise Unreadable(f"The alarm {described['AlarmName']} is on an expression that is not known here.")
    measured = queries[band[1]]["MetricStat"]
    return {**measured["Metric"], "Period": measured["Period"], "Statistic": measured["Stat"]}, float(band[2])


def state(alarm: Alarm, history: History, at: float) -> str:
    """The state at a moment: OK, ALARM, or INSUFFICIENT_DATA where there is no band yet."""
    end = at - at % MINUTE
    bound = alarm.bound
    if alarm.comparison == WITH_BAND:
        upper = _upper(alarm, history, end)
        if upper is None:
            return NO_DATA
        bound = upper
    broken = 0
    for period in range(alarm.periods):
        value = _value(alarm, history, end - period * alarm.seconds)
        broken += alarm.missing == "breaching" if value is None else COMPARISONS[alarm.comparison](value, bound)
    return ALARM if broken >= alarm.needed else OK


def _value(alarm: Alarm, history: History, end: float) -> float | None:
    values = history.values(alarm.metric, end - alarm.seconds, end)
    return STATISTICS[alarm.statistic](values) if values else None


def _upper(alarm: Alarm, history: History, end: float) -> float | None:
    """The upper end of the band at this time of day."""
    moments = (end - day * DAY + shift * alarm.seconds for day in range(1, BAND_DAYS + 1) for shift in (-1, 0, 1))
    points = [value for moment in moments if (value := _value(alarm, history, moment)) is not None]
    if len(points) < BAND_POINTS:
        return None
    # Of counts as small as these, the square root of the mean is what chance alone makes of them.
    return fmean(points) + alarm.bound * max(pstdev(points), math.sqrt(fmean(points)), 1)


def changes(alarm: Alarm, history: History, begin: float, end: float) -> Iterator[tuple[float, str]]:
    """Each change of state from ``begin`` until ``end``, looked at every minute, with the state at the beginning as the first."""
    before = ""
    for moment in range(math.ceil(begin / MINUTE) * MINUTE, math.floor(end) + 1, MINUTE):
        now = state(alarm, history, moment)
        if now != before:
            yield moment, now
        before = now


def budget_notices(budget: Mapping[str, Any], notices: Iterable[Mapping[str, Any]]) -> list[str]:
    """Which notices of a budget of costs, as DescribeBudget and DescribeNotificationsForBudget tell them, are due: such as
    ``ACTUAL 80 %``."""
    limit, spent = float(budget["BudgetLimit"]["Amount"]), budget["CalculatedSpend"]
    amounts = {"ACTUAL": spent["ActualSpend"], "FORECASTED": spent.get("ForecastedSpend", {"Amount": 0})}
    return [
        f"{notice['NotificationType']} {notice['Threshold']:g} %"
        for notice in notices
        if float(amounts[notice["NotificationType"]]["Amount"]) > limit * notice["Threshold"] / 100
    ]
