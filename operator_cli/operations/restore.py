"""From a backup to a stack's data, and whether the two are the same."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any, TypeVar

from operator_cli.errors import CliError, WrongUse
from operator_cli.operations import objects, people, tables
from operator_cli.operations.archive import BEGUN, DONE, MANIFEST, Archive, File
from operator_cli.operations.backup import OBJECTS, PEOPLE, Tell, object_path, pepper_name
from operator_cli.operations.stack import BUCKETS, TABLES, Stack

EVERYTHING = (*TABLES, *BUCKETS, "people")
"""What can be restored by itself."""

_SUBJECT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

T = TypeVar("T")


@dataclass(frozen=True)
class Content:
    """A backup whose manifest was read."""

    archive: Archive
    manifest: dict[str, Any]

    @classmethod
    def of(cls, archive: Archive) -> "Content":
        """Raises CliError for what is no whole backup."""
        return cls(archive, archive.manifest())

    @property
    def encrypted(self) -> bool:
        return self.manifest["encrypted"]

    @property
    def files(self) -> dict[str, File]:
        return {each["path"]: File(**each) for each in self.manifest["files"]}

    def read(self, path: str, use: Callable[[IO[bytes]], T]) -> T:
        """What ``use`` makes of a file's content. Raises CliError."""
        with self.archive.open(self.files[path], encrypted=self.encrypted) as content:
            return use(content)

    def lines(self, path: str) -> list[dict[str, Any]]:
        """A file's lines of JSON."""
        return self.read(path, lambda content: [json.loads(line) for line in content])


def verified(content: Content) -> list[str]:
    """What is wrong with the backup, a sentence each: files that were changed, are missing, or are no part of it."""
    files = content.files
    faults = [
        f"{file.path} {fault}"
        for file in files.values()
        if (fault := content.archive.fault(file, encrypted=content.encrypted)) is not None
    ]
    strange = content.archive.names() - files.keys() - {MANIFEST, DONE, BEGUN}
    return faults + [f"{name} is no part of the backup" for name in sorted(strange)]


def check_parts(only: Iterable[str]) -> tuple[str, ...]:
    """What to restore. Raises WrongUse for what there is not."""
    parts = tuple(only) or EVERYTHING
    unknown = sorted(set(parts) - set(EVERYTHING))
    if unknown:
        raise WrongUse(f"There is no {', '.join(unknown)} to restore.", next_step=f"There are: {', '.join(EVERYTHING)}")
    return parts


class Restore:
    """Into one stack. ``tell`` hears what is being done."""

    def __init__(self, stack: Stack, content: Content, *, parts: tuple[str, ...], tell: Tell) -> None:
        self._stack, self._content, self._parts, self._tell = stack, content, parts, tell
        self._dynamodb, self._s3 = stack.client("dynamodb"), stack.client("s3")

    def occupied(self) -> list[str]:
        """What of the stack is not empty: what is there of the same keys would be replaced."""
        found = [
            name
            for name in self._parts
            if (name in TABLES and not tables.is_empty(self._dynamodb, self._stack.output(TABLES[name])))
            or (name in BUCKETS and not objects.is_empty(self._s3, self._stack.output(BUCKETS[name])))
        ]
        return sorted(found)

    def run(self) -> dict[str, Any]:
        """Write it; how many of what. Raises CliError, and what boto3 raises: run again, it does all of it again."""
        subjects, left = self._people()
        counts = {name: self._table(name, subjects) for name in TABLES if name in self._parts}
        counts |= self._objects()
        return {"restored": counts, "people": len(subjects), "not_restored": left + self._keys_left()}

    def _people(self) -> tuple[dict[str, str], list[str]]:
        """The subjects that people had, and have. Whose are restored without them keep the ones that they had."""
        if "people" not in self._parts:
            return {}, []
        self._tell("people")
        pool = self._stack.output("user_pool_id")
        return people.invited(self._stack.client("cognito-idp"), pool, self._content.lines(PEOPLE))

    def _same_pepper(self) -> bool:
        return self._content.manifest["pepper"] == pepper_name(self._stack)

    def _keys_left(self) -> list[str]:
        return [] if "api-keys" not in self._parts or self._same_pepper() else ["api-keys: made under another stack's pepper"]

    def _table(self, name: str, subjects: dict[str, str]) -> int:
        if name == "api-keys" and not self._same_pepper():
            return 0
        self._tell(f"table {name}")
        table = self._stack.output(TABLES[name])
        return self._content.read(
            f"tables/{name}.jsonl", lambda lines: tables.write(self._dynamodb, table, tables.items(_renamed(lines, subjects)))
        )

    def _objects(self) -> dict[str, int]:
        counts = {name: 0 for name in BUCKETS if name in self._parts}
        for each in self._content.lines(OBJECTS):
            if each["bucket"] not in counts:
                continue
            self._tell(f"{each['bucket']}/{each['key']}")
            bucket = self._stack.output(BUCKETS[each["bucket"]])
            self._content.read(
                each["path"],
                lambda content, each=each, bucket=bucket: objects.write(
                    self._s3, bucket, each["key"], content, each["described"]
                ),
            )
            counts[each["bucket"]] += 1
        return counts


def _renamed(lines: Iterable[bytes], subjects: dict[str, str]) -> Iterator[bytes]:
    """Lines in which everybody has the subject that they have now: what was theirs stays theirs."""
    for line in lines:
        yield _SUBJECT.sub(lambda match: subjects.get(match[0], match[0]), line.decode()).encode() if subjects else line


def differences(stack: Stack, content: Content) -> list[str]:
    """How the stack's data differ from the backup's, a sentence for each table and each object."""
    found: list[str] = []
    dynamodb, s3 = stack.client("dynamodb"), stack.client("s3")
    for name, output in TABLES.items():
        kept = content.read(f"tables/{name}.jsonl", lambda lines: _spelled(tables.items(lines)))
        there = _spelled(tables.scanned(dynamodb, stack.output(output)))
        if kept != there:
            found.append(f"table {name}: {len(kept - there)} items are not as in the backup, {len(there - kept)} are not in it")
    for name, output in BUCKETS.items():
        bucket, kept = stack.output(output), {e["key"] for e in content.lines(OBJECTS) if e["bucket"] == name}
        there = {
            each["Key"]
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            for each in page.get("Contents", [])
        }
        found += [f"{name}/{key} is missing" for key in sorted(kept - there)]
        found += [f"{name}/{key} is not in the backup" for key in sorted(there - kept)]
        found += [
            f"{name}/{key} has another content"
            for key in sorted(kept & there)
            if _sha256(s3.get_object(Bucket=bucket, Key=key)["Body"]) != content.files[object_path(name, key)].sha256
        ]
    return found


def _spelled(items: Iterable[dict[str, Any]]) -> frozenset[str]:
    return frozenset(json.dumps(item, sort_keys=True, default=_sorted) for item in map(_sets_sorted, items))


def _sets_sorted(item: dict[str, Any]) -> dict[str, Any]:
    """Of a set no order is kept."""
    return {
        name: {kind: sorted(content) if kind in ("SS", "NS") else content for kind, content in value.items()}
        for name, value in item.items()
    }


def _sorted(value: bytes) -> str:
    return value.hex()


def _sha256(body: Any) -> str:
    import hashlib

    digest = hashlib.sha256()
    while chunk := body.read(1024 * 1024):
        digest.update(chunk)
    return digest.hexdigest()


def check_empty(restore: Restore, *, yes: bool) -> None:
    """Raises CliError when something would be replaced and nobody said that it may be."""
    occupied = restore.occupied()
    if occupied and not yes:
        raise CliError(
            f"There are data in {', '.join(occupied)} of the stack: what is of the same keys would be replaced.",
            next_step="Restore into a stack without data, or say --yes.",
        )
