import threading
from typing import Any

from botocore.exceptions import EndpointConnectionError

from heartmap_service.awake import INTERVAL, keep_awake


class Clock(threading.Event):
    """Time passes at once, for so many waits."""

    def __init__(self, waits: int) -> None:
        super().__init__()
        self.waited: list[float | None] = []
        self._waits = waits

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout)
        if len(self.waited) == self._waits:
            self.set()
        return self.is_set()


class Sqs:
    """Fails once, then answers."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def get_queue_attributes(self, **asked: Any) -> None:
        self.calls.append(asked["QueueUrl"])
        if len(self.calls) == 1:
            raise EndpointConnectionError(endpoint_url="http://queue")


def test_a_queue_is_called_well_before_sqs_takes_it_for_asleep_also_after_a_call_that_failed() -> None:
    clock, sqs = Clock(3), Sqs()
    client: Any = sqs
    keep_awake(client, "http://queue", clock)
    assert sqs.calls == ["http://queue"] * 3
    assert clock.waited == [INTERVAL] * 3
    assert INTERVAL <= 6 * 3600 / 2


def test_a_queue_is_left_alone_once_the_service_stops() -> None:
    clock, sqs = Clock(1), Sqs()
    clock.set()
    client: Any = sqs
    keep_awake(client, "http://queue", clock)
    assert sqs.calls == []
