"""The shortest way from outside to something, for people."""

from collections import deque
from collections.abc import Collection

from posture.proof import specification as spec

API_DOOR = "API (web ACL, authorizer)"
SESSIONS = "Session Manager (IAM)"
VPN_DOOR = "Client VPN (certificate or identity provider)"
# The ways in that are meant. The rest of the way is what security groups admit.
DOORS = {
    *((spec.OUTSIDE, API_DOOR), (API_DOOR, spec.LINK)),
    *((spec.OUTSIDE, SESSIONS), (SESSIONS, spec.BASTION)),
    *((spec.OUTSIDE, VPN_DOOR), (VPN_DOOR, spec.VPN)),
}


def path_to(target: str, edges: Collection[tuple[str, str]], through: tuple[str, str]) -> tuple[str, ...]:
    """The shortest way from outside to ``target`` whose last step is ``through``."""
    start = through[0]
    known: dict[str, tuple[str, ...]] = {spec.OUTSIDE: (spec.OUTSIDE,)}
    waiting = deque([spec.OUTSIDE])
    steps = sorted({*edges, *DOORS} - {through})
    while waiting and start not in known:
        here = waiting.popleft()
        for one, other in steps:
            if one == here and other not in known:
                known[other] = (*known[here], other)
                waiting.append(other)
    return (*known.get(start, (start,)), target)
