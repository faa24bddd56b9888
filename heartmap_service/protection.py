"""Scale-in protection of the task that a worker runs in: neither scaling nor a deployment stops it while a job runs.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
import urllib3

EXPIRES_MINUTES = 15
"""After so many minutes without a renewal ECS may stop the task all the same: a worker that hangs is not kept for ever."""
RENEWAL = 300.0
"""Seconds between renewals; one of them may fail."""
TIMEOUT = urllib3.Timeout(connect=2, read=5)

_log = structlog.get_logger()


class TaskProtection:
    """The protection of this task, asked for at the ECS agent. What the agent refuses is logged, and stops no job.

    Args:
        agent_uri: ``ECS_AGENT_URI``, which ECS gives to every task. None where there is no agent, and nothing to ask for.
    """

    def __init__(self, agent_uri: str | None) -> None:
        self._url = f"{agent_uri}/task-protection/v1/state" if agent_uri else None
        self._agent = urllib3.PoolManager(timeout=TIMEOUT, retries=False)
        self._asked = 0.0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Protects the task while the block runs, and no longer, however the block ends."""
        self._protect()
        try:
            yield
        finally:
            self._put({"ProtectionEnabled": False})

    def renew(self) -> None:
        """Protects the task for EXPIRES_MINUTES from now on, when RENEWAL seconds have passed since it was last asked for."""
        if time.monotonic() - self._asked >= RENEWAL:
            self._protect()

    def _protect(self) -> None:
        self._asked = time.monotonic()
        self._put({"ProtectionEnabled": True, "ExpiresInMinutes": EXPIRES_MINUTES})

    def _put(self, state: dict[str, Any]) -> None:
        if self._url is None:
            return
        wanted = state["ProtectionEnabled"]
        try:
            answer = self._agent.request("PUT", self._url, json=state).json()
            protected, reason = answer.get("protection", {}).get("ProtectionEnabled"), _reason(answer)
        except (urllib3.exceptions.HTTPError, ValueError, AttributeError) as error:
            protected, reason = None, type(error).__name__
        if protected is wanted:
            _log.debug("task protection changed", protected=wanted)
        else:
            _log.warning("task protection not changed", wanted=wanted, reason=reason)


def _reason(answer: dict[str, Any]) -> str:
    """Why ECS refused, such as DEPLOYMENT_BLOCKED or AccessDeniedException."""
    return str(answer.get("failure", {}).get("Reason") or answer.get("error", {}).get("Code") or "unknown")
