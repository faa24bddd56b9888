"""What is unusual in the use of keys and results, out of the audit records, and what is known of the usual.

key_new_network     an API key is used from a network, a /24 of IPv4 or a /48 of IPv6, from which it never was. A key of less than
                    a day and of few calls has no habit yet; one that came from many networks has none either, as a program on
                    somebody's laptop or of a cloud's build machines: its record should name the addresses that it may come from.
unusual_downloads   a principal fetches results of many times as many analyses, or as many bytes, as on its usual day: the median
                    of its last days with any. One that has too few of those is measured by everybody's days, and where there are
                    too few of these as well, by what is little. Little is never too much.

Each is told once: of a network once for the key, of downloads once a day for the principal. Days are those of UTC. Pure, and
nothing but the standard library.

What is known is JSON: ``{"keys": {key_id: {"since": day, "calls": n, "networks": {network: day of its last use}}}, "principals":
{principal: {"days": {day: [analyses, bytes]}, "today": {"day": day, "read": {analysis: bytes}, "told": whether it was told}}}}``.
A day is counted from the epoch.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from statistics import median
from typing import Any

NEW_NETWORK, DOWNLOADS = "key_new_network", "unusual_downloads"

DAY = 24 * 3600 * 1000
"""Milliseconds."""
KEPT_DAYS = 90
"""How long a network, and a day's downloads, are remembered."""

OF_ROLES = "role"
"""What the public ids begin with of the credentials that IAM roles get (lambda_token.credential): they last for minutes."""
FEW_CALLS = 20
"""Calls from which on a key has a habit, once it is a day old."""
MANY_NETWORKS = 20
"""Networks from which on to come from another one is the habit."""
MOST_CALLS = 1000
"""From where on calls are not counted any more."""

FACTOR = 5
"""How many times the usual is unusual, and twice that for who has no days of its own to speak of."""
FEW_DAYS = 5
"""Days from which on there is a usual one."""
LITTLE_ANALYSES, LITTLE_BYTES = 20, 1024**3
"""What nobody is asked about: the results of so many analyses, and so many bytes, a day."""


def unusual(
    records: Iterable[Mapping[str, Any]], known: Mapping[str, Any], now: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The suspicions that these records raise, and what is known with them.

    Args:
        records: audit records, in any order; of other events, or malformed, they say nothing.
        known: what this function gave last; ``{}`` at first. It is not changed.
        now: milliseconds since the epoch; what is older than KEPT_DAYS before it is forgotten.

    Returns suspicions as ``{"kind", "principal", "resource", …}``: of a key its public id as the resource, ``source_ip`` and
    ``network``; of downloads ``analyses``, ``bytes``, ``usual_analyses`` and ``usual_bytes`` of a day.
    """
    state = {
        "keys": {key: {**one, "networks": dict(one["networks"])} for key, one in known.get("keys", {}).items()},
        "principals": {
            name: {"days": dict(one["days"]), "today": {**one["today"], "read": dict(one["today"]["read"])}}
            for name, one in known.get("principals", {}).items()
        },
    }
    suspicions: list[dict[str, Any]] = []
    timed = [(moment, record) for record in records if isinstance(moment := record.get("time"), int) and moment >= 0]
    for moment, record in sorted(timed, key=lambda pair: pair[0]):
        if record.get("decision") == "allow":
            suspicions += _key_use(record, state["keys"], moment // DAY)
            suspicions += _download(record, state["principals"], moment // DAY)
    _forget(state, now // DAY - KEPT_DAYS)
    return suspicions, state


def _key_use(record: Mapping[str, Any], keys: dict[str, Any], day: int) -> Iterator[dict[str, Any]]:
    key_id, network = record.get("key_id"), _network(record.get("source_ip"))
    if record.get("event") != "authorization" or not key_id or network is None or str(key_id).startswith(OF_ROLES):
        return
    key = keys.setdefault(key_id, {"since": day, "calls": 0, "networks": {}})
    has_habit = key["since"] < day and key["calls"] >= FEW_CALLS and len(key["networks"]) < MANY_NETWORKS
    if has_habit and network not in key["networks"]:
        yield {
            "kind": NEW_NETWORK,
            "principal": record.get("principal"),
            "resource": key_id,
            "source_ip": record["source_ip"],
            "network": network,
        }
    key["networks"][network] = max(day, key["networks"].get(network, 0))
    key["calls"] = min(key["calls"] + 1, MOST_CALLS)


@lru_cache(maxsize=4096)
def _network(address: object) -> str | None:
    try:
        found = ipaddress.ip_address(str(address))
    except ValueError:
        return None
    return str(ipaddress.ip_network((found, 24 if found.version == 4 else 48), strict=False))


def _download(record: Mapping[str, Any], principals: dict[str, Any], day: int) -> Iterator[dict[str, Any]]:
    name, analysis, size = record.get("principal"), record.get("resource"), record.get("bytes")
    if record.get("action") != "results_read" or not name or not analysis or not isinstance(size, int):
        return
    own = principals.setdefault(name, {"days": {}, "today": {"day": day, "read": {}, "told": False}})
    today = own["today"]
    if day > today["day"]:
        own["days"][str(today["day"])] = _amount(today["read"])
        own["today"] = today = {"day": day, "read": {}, "told": False}
    elif day < today["day"]:
        # A record that comes late belongs to a day that was told of, or was not.
        return
    # Whoever looks at one analysis again and again fetches it once.
    today["read"][analysis] = max(size, today["read"].get(analysis, 0))
    if today["told"]:
        return
    analyses, fetched = _amount(today["read"])
    usual_analyses, usual_bytes, factor = _usual(own["days"], principals)
    if analyses > max(LITTLE_ANALYSES, factor * usual_analyses) or fetched > max(LITTLE_BYTES, factor * usual_bytes):
        today["told"] = True
        yield {
            "kind": DOWNLOADS,
            "principal": name,
            "resource": None,
            "analyses": analyses,
            "bytes": fetched,
            "usual_analyses": int(usual_analyses),
            "usual_bytes": int(usual_bytes),
        }


def _amount(read: Mapping[str, int]) -> list[int]:
    return [len(read), sum(read.values())]


def _usual(days: Mapping[str, list[int]], principals: Mapping[str, Any]) -> tuple[float, float, int]:
    """A usual day's analyses and bytes, and how many times as much is unusual."""
    amounts, factor = list(days.values()), FACTOR
    if len(amounts) < FEW_DAYS:
        amounts, factor = [amount for one in principals.values() for amount in one["days"].values()], 2 * FACTOR
    if len(amounts) < FEW_DAYS:
        return LITTLE_ANALYSES, LITTLE_BYTES, FACTOR
    return median(one[0] for one in amounts), median(one[1] for one in amounts), factor


def _forget(state: dict[str, Any], before: int) -> None:
    for key in state["keys"].values():
        key["networks"] = {network: day for network, day in key["networks"].items() if day >= before}
    state["keys"] = {key_id: key for key_id, key in state["keys"].items() if key["networks"]}
    for own in state["principals"].values():
        own["days"] = {day: amount for day, amount in own["days"].items() if int(day) >= before}
    state["principals"] = {name: own for name, own in state["principals"].items() if own["days"] or own["today"]["day"] >= before}
