"""What the parts of a worker share: its tools, and how a data set comes out of S3."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from heartmap_service.protection import TaskProtection
from heartmap_service.pulse import Renewal
from heartmap_service.queue import Message, Queue
from heartmap_service.sandbox import JobDirectory, JobFailed, JobStopped, Sandbox
from heartmap_service.settings import GIB, WorkerSettings
from heartmap_service.storage import Downloaded, DownloadStopped, ObjectTooLarge, ObjectWithheld, Uploads
from heartmap_service.timing import Timing

INPUT = "input.h5ad"


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """``stop`` is set when the worker is to end."""

    settings: WorkerSettings
    queue: Queue
    objects: Uploads
    sandbox: Sandbox
    protection: TaskProtection
    stop: threading.Event
    timing: Timing

    def renewal(self, message: Message) -> Renewal:
        """The renewal of the message in hand, whose visibility has just begun."""
        return Renewal(self.queue, message, self.protection, self.timing)

    def fetch(self, upload_id: str, directory: JobDirectory, wanted: Callable[[], bool]) -> Downloaded | None:
        """Puts the data set into the directory as INPUT; None when there is none.

        Waits for the malware scan where the bucket withholds the object until then. Raises JobFailed, and JobStopped when it is
        no longer wanted.
        """
        patience = time.monotonic() + self.timing.scan_patience
        while True:
            try:
                return self._fetch_now(upload_id, directory, wanted)
            except ObjectWithheld as withheld:
                if withheld.result is not None or time.monotonic() > patience:
                    raise not_clean(withheld.result or "not scanned") from None
            if not wanted():
                raise JobStopped
            self.stop.wait(self.timing.scan_poll)

    def _fetch_now(self, upload_id: str, directory: JobDirectory, wanted: Callable[[], bool]) -> Downloaded | None:
        most = self.settings.max_upload_bytes
        try:
            return self.objects.download(upload_id, directory.work / INPUT, most=most, wanted=wanted)
        except ObjectTooLarge:
            raise too_large(most) from None
        except DownloadStopped:
            raise JobStopped from None


def too_large(most: int) -> JobFailed:
    """A data set has more than ``most`` bytes."""
    detail = f"A data set may have at most {most / GIB:.1f} GiB here. Upload fewer cells or genes."
    return JobFailed("upload_too_large", detail)


def not_clean(result: str) -> JobFailed:
    """Why a data set is not read, by GuardDuty's word for what it found."""
    if result == "THREATS_FOUND":
        return JobFailed("malware", "The data set holds malware and was not opened. Check the machine that it came from.")
    return JobFailed("unscanned", "The data set could not be scanned for malware and was not opened. Upload it again.")
