"""What was sent of a large data set before it broke off, so that the same command goes on there.

The key of the first command is kept and sent again: the service answers with the same upload, as long as it knows the key. What
is kept is no secret: without a credential it is of no use.
"""

import contextlib
import hashlib
import json
import os
import uuid
from pathlib import Path

from pydantic import BaseModel, ValidationError

from operator_cli.environments import Environment

DIRECTORY = "uploads"


class Sent(BaseModel):
    """``key`` is the idempotency key under which the upload began, ``etags`` those of the parts that arrived, by number."""

    key: str
    upload_id: str = ""
    etags: dict[int, str] = {}


class Resumption:
    """The record of one file on its way to one environment.

    The file is known by ``what``: its place, size and time of change, or all that a browser tells of one that it sends.
    """

    def __init__(self, environment: Environment, *what: object) -> None:
        known = hashlib.sha256(json.dumps([environment.api, *what]).encode()).hexdigest()
        self._path = environment.state_directory / DIRECTORY / f"{known}.json"
        self.sent = self._read() or Sent(key=new_key())

    @classmethod
    def of_file(cls, environment: Environment, file: Path, status: os.stat_result) -> "Resumption":
        """The record of a file of this machine's."""
        return cls(environment, str(file.resolve()), status.st_size, status.st_mtime_ns)

    def of_upload(self, upload_id: str) -> dict[int, str]:
        """The parts that arrived, when this is the upload that they were sent to."""
        if self.sent.upload_id != upload_id:
            self.sent = Sent(key=self.sent.key, upload_id=upload_id)
            # Before anything was sent: what is killed with its first parts under way goes on in the same upload as well.
            self._write()
        return self.sent.etags

    def keep(self, number: int, etag: str) -> None:
        """Note a part that arrived."""
        self.sent.etags[number] = etag
        self._write()

    def _write(self) -> None:
        """Where nothing can be written, nothing can be resumed, and that is all."""
        partial = self._path.with_suffix(".part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial.write_text(self.sent.model_dump_json(), encoding="utf-8")
            partial.replace(self._path)
        except OSError:
            return

    def restart(self) -> None:
        """Begin anew, with the whole file."""
        self.forget()
        self.sent = Sent(key=new_key())

    def forget(self) -> None:
        """The upload has come to its end, or there is none to go on with."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _read(self) -> Sent | None:
        try:
            return Sent.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return None


def new_key() -> str:
    """A key under which a call is carried out once, however often it is sent."""
    return str(uuid.uuid4())
