"""The backup of a stack's data: tables and buckets as of one moment, and the people of the user pool.

Not in it: secrets (a restored stack has its own), passwords, second factors, and audit records, which have a bucket of their own
that nobody can empty.
"""

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import IO, Any

from lambda_authorizer import peppers, secret_store
from operator_cli.errors import CliError
from operator_cli.operations import objects, people, tables
from operator_cli.operations.archive import FORMAT, Archive
from operator_cli.operations.stack import BUCKETS, TABLES, Stack

PEOPLE, OBJECTS = "people.jsonl", "objects.jsonl"
NOTED_EVERY = 20
"""Seconds between two notes of what is finished, each of which is as long as the backup has files."""

Tell = Callable[[str], None]


class Backup:
    """One backup, or what is left of it to do. ``tell`` hears what is being done."""

    def __init__(
        self, stack: Stack, archive: Archive, *, at: datetime | None, tell: Tell, poll: float = tables.POLL_SECONDS
    ) -> None:
        self._stack, self._archive, self._tell, self._poll = stack, archive, tell, poll
        self._done = archive.done()
        self._noted_at = time.monotonic()
        begun = archive.begun()
        if begun is None:
            begun = {"at": (at or datetime.now(UTC)).isoformat(), "environment": stack.name}
            archive.begin(begun)
        if begun["environment"] != stack.name:
            raise CliError(f"There is a backup of {begun['environment']} here.", next_step="Name another --output.")
        # An interrupted backup goes on with its own moment: or tables and objects would be of two.
        self.at = datetime.fromisoformat(begun["at"])

    def run(self) -> dict[str, Any]:
        """Make it; the manifest. Raises CliError, and what boto3 raises: run again, it goes on."""
        try:
            for name in TABLES:
                self._lines(f"tables/{name}.jsonl", lambda name=name: self._exported(name))
            self._buckets()
            self._lines(PEOPLE, self._people)
        finally:
            self._archive.note_done(self._done)
        manifest = {
            "format": FORMAT,
            "environment": self._stack.name,
            "at": self.at.isoformat(),
            "encrypted": self._archive.encrypted,
            "pepper": pepper_name(self._stack),
            "files": [self._done[path]._asdict() for path in sorted(self._done)],
        }
        self._archive.write_manifest(manifest)
        return manifest

    def _lines(self, path: str, read: Callable[[], Iterable[bytes]]) -> None:
        """Store lines, unless that is done. In a file first: what fails half way is stored as nothing."""
        if path in self._done:
            return
        self._tell(path)
        with tempfile.TemporaryFile() as content:
            count = 0
            for line in read():
                content.write(line)
                count += 1
            content.seek(0)
            self._add(path, content, lines=count)

    def _add(self, path: str, content: IO[bytes], *, lines: int | None = None) -> None:
        self._done[path] = self._archive.add(path, content)._replace(lines=lines)
        if time.monotonic() - self._noted_at > NOTED_EVERY:
            self._archive.note_done(self._done)
            self._noted_at = time.monotonic()

    def _exported(self, name: str) -> Iterable[bytes]:
        stack = self._stack
        return tables.export(
            stack.client("dynamodb"),
            stack.client("s3"),
            table=stack.output(TABLES[name]),
            at=self.at,
            workplace=stack.workplace,
            poll=self._poll,
        )

    def _buckets(self) -> None:
        s3 = self._stack.client("s3")
        index: list[dict[str, Any]] = []
        for name, output in BUCKETS.items():
            bucket = self._stack.output(output)
            for found in objects.at(s3, bucket, self.at):
                path = object_path(name, found.key)
                described = objects.described(s3, bucket, found)
                if described is None:
                    self._tell(f"{name}/{found.key} is withheld until the malware scan finds it clean: left out")
                    continue
                if path not in self._done:
                    self._tell(f"{name}/{found.key}")
                    with s3.get_object(Bucket=bucket, Key=found.key, VersionId=found.version)["Body"] as body:
                        self._add(path, body)
                index.append({"bucket": name, "key": found.key, "path": path, "described": described})
        self._lines(OBJECTS, lambda: [json.dumps(each).encode() + b"\n" for each in index])

    def _people(self) -> Iterable[bytes]:
        everybody = people.exported(self._stack.client("cognito-idp"), self._stack.output("user_pool_id"))
        return [json.dumps(person).encode() + b"\n" for person in everybody]


def object_path(bucket: str, key: str) -> str:
    """Where a backup has an object: what people called it is not for who may list the backup to read."""
    return f"objects/{bucket}/{hashlib.sha256(key.encode()).hexdigest()}"


def pepper_name(stack: Stack) -> str:
    """The name of the pepper that the stack makes keys with: without it a restored key could not be proved."""
    secret = stack.client("secretsmanager").get_secret_value(SecretId=stack.secret)["SecretString"]
    return peppers.name(secret_store.parse(secret.encode()).api_key_pepper)
