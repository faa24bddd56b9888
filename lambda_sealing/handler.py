"""The sealing, as a schedule calls it: everything that can be sealed by now, and a record of each seal.

What cannot be sealed now is sealed by the next call, and the failure is recorded: nothing is lost but time.
"""

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
from botocore.config import Config

from lambda_authorizer.audit_chain import PROCESS
from lambda_authorizer.audit_fields import ALLOW, DENY, ERROR, open_line
from lambda_sealing import config
from lambda_sealing.examination import examine
from lambda_sealing.reading import OutOfTime, Reader
from lambda_sealing.sealer import Overtaken, Sealed, Sealer
from lambda_sealing.seals import SEALS_PREFIX
from lambda_sealing.signing import Signer
from lambda_sealing.store import Store

MARGIN = 30.0
"""Seconds before the function's time-out after which nothing more is begun."""


class NotSealed(Exception):
    """Lambda counts it as an error of the function. What happened is in the log."""


class Sealing:
    """One call. ``client`` gives boto3's client of a service; ``in_time`` tells whether something more may be begun."""

    def __init__(
        self,
        configuration: config.Configuration,
        client: Callable[[str], Any],
        in_time: Callable[[], bool],
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._store = Store(client("s3"), configuration.bucket)
        reader = Reader(client("logs"), configuration.log_groups, in_time)
        self._sealer = Sealer(reader, self._store, Signer(client("kms"), configuration.key), now)
        self._in_time = in_time

    def run(self) -> int:
        """Seal all there is, then look at it; how many seals that made. Raises NotSealed."""
        with _told("not_sealed"):
            made, last = self._seal()
        with _told("not_examined"):
            number = last.seal.sequence if last else self._store.latest(SEALS_PREFIX)
            examine(
                self._store,
                number,
                lambda one: last if last and one == number else self._sealer.read(one),
                _suspect,
                self._in_time,
            )
        return made

    def _seal(self) -> tuple[int, Sealed | None]:
        """How many, and the last of them: of those before it nothing is kept."""
        made, last = 0, None
        try:
            while self._in_time() and (sealed := self._sealer.next()) is not None:
                made, last = made + 1, sealed
                _record_seal(sealed)
        except Overtaken:
            _record(DENY, "overtaken", gaps=0)
        except OutOfTime:
            # The next call goes on from here, unless not even one period can be read.
            if not made:
                raise
        return made, last


@contextlib.contextmanager
def _told(reason: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001  # whatever it is has to be recorded
        # The place, not the text: that may hold what a record says.
        sys.stderr.write(f"{type(error).__name__}\n" + "".join(traceback.format_tb(error.__traceback__)))
        _record(ERROR, reason, gaps=0)
        raise NotSealed from None


def _record_seal(sealed: Sealed) -> None:
    seal = sealed.seal
    _record(
        ALLOW,
        "sealed",
        resource=str(seal.sequence),
        since=seal.since // 1000,
        until=seal.until // 1000,
        records=seal.records.lines,
        gaps=len(seal.found),
        seal_sha256=sealed.sha256,
    )


def _record(decision: str, reason: str, **fields: Any) -> None:
    PROCESS.write(open_line("seal", decision, reason, action="seal", **fields))


def _suspect(suspicion: Mapping[str, Any]) -> None:
    told = dict(suspicion)
    PROCESS.write(open_line("suspicion", ALLOW, told.pop("kind"), action="suspect", **told))


def handler(event: Any, context: Any) -> dict[str, int]:  # noqa: ARG001  # the signature is Lambda's
    """Seal what can be sealed. Raises NotSealed and ConfigurationError."""
    settings = Config(connect_timeout=3, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 5})
    until = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - MARGIN
    sealing = Sealing(
        config.load(os.environ),
        lambda service: boto3.client(service, config=settings),  # pyright: ignore[reportCallIssue, reportArgumentType]  # a name known at run time
        lambda: time.monotonic() < until,
    )
    return {"seals": sealing.run()}
