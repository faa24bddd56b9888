"""The files of the sealing: the records of a period, and the seal that a signature is on. What ``docs/audit.md`` says of them.

``records/<sequence>-<16 hex of its SHA-256>.jsonl.gz`` holds the records, each line as it was written, by writer and sequence.
``seals/<sequence>.json`` holds ``{"seal": "<text>", "signature": "<base64>"}``, where the text is the JSON object of a Seal and
the signature is on its bytes as they are. A seal names the SHA-256 of the seal file before it, so that none can be left out.
Nothing but the standard library.
"""

import base64
import binascii
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

from lambda_sealing.chains import Finding, Gap, Head, Ledger, Writer

PREFIX = "application-audit/"
RECORDS_PREFIX, SEALS_PREFIX = f"{PREFIX}records/", f"{PREFIX}seals/"
VERSION = 1
FIRST = "0" * 64
"""What the first seal says of the seal before it."""
DIGITS = 12
"""Those of a sequence in a name: names in their order are seals in theirs."""
MOST_BYTES = 64 * 1024 * 1024
"""Of the records of one seal, unpacked. Whoever reads them holds no more at once."""
MOST_SEAL_BYTES = 8 * 1024 * 1024
MOST_WRITERS = 1000
"""Writers whose heads a seal names; those that were heard of longest ago are left out."""

_NUMBER = re.compile(rf"([0-9]{{{DIGITS}}})\.json")
_BLOCK = 1024 * 1024


class Malformed(ValueError):
    """A file is not what its name says. The text says why."""


class RecordsFile(NamedTuple):
    """``name`` is without the prefix; ``sha256`` is of the file as it is stored, ``bytes`` counts what it unpacks to."""

    name: str
    sha256: str
    bytes: int
    lines: int


@dataclass(frozen=True, kw_only=True)
class Seal:
    """What a seal says. Times are in milliseconds since the epoch; the period is from ``since`` to before ``until``, by the time
    at which CloudWatch Logs has the records, and those that came too late for a seal are in a later one.

    ``writers`` are the chains as they stand at the end, ``retired`` is how many older ones were left out of them ever since.
    ``found`` is what was wrong with the records that were sealed, and with what is missing for too long by now. ``opened`` is for
    each gap that is still waited for when it was first seen.
    """

    sequence: int
    previous: str
    since: int
    until: int
    sealed_at: int
    records: RecordsFile
    writers: Mapping[str, Writer]
    retired: int
    opened: Mapping[tuple[str, int], int]
    found: Sequence[Finding]
    key: str

    def ledger(self) -> Ledger:
        """The chains to go on from after this seal; what is added there changes nothing here."""
        copied = {name: Writer(writer.head, list(writer.gaps)) for name, writer in self.writers.items()}
        return Ledger(copied, complete=self.retired == 0)

    def text(self) -> str:
        """What is signed."""
        writers = {
            name: [*writer.head, [[*gap, self.opened.get((name, gap.first), self.sealed_at)] for gap in writer.gaps]]
            for name, writer in self.writers.items()
        }
        told = {
            "version": VERSION,
            **vars(self),
            "records": self.records._asdict(),
            "writers": writers,
            "found": list(self.found),
        }
        del told["opened"]
        return json.dumps(told, separators=(",", ":"))


class SealFile(NamedTuple):
    """A seal file that could be read: its own SHA-256, what is signed, and the signature. Nothing is verified yet."""

    sha256: str
    text: str
    signature: bytes
    seal: Seal


def name_of(prefix: str, sequence: int) -> str:
    """The key of what has this sequence, a seal under SEALS_PREFIX."""
    return f"{prefix}{sequence:0{DIGITS}}.json"


def sequence_of(prefix: str, name: str) -> int | None:
    """The sequence of what has this key, None for a key of another kind."""
    found = _NUMBER.fullmatch(name.removeprefix(prefix))
    return int(found[1]) if found else None


def seal_file(text: str, signature: bytes) -> bytes:
    """The bytes of a seal file."""
    return json.dumps({"seal": text, "signature": base64.b64encode(signature).decode("ascii")}).encode("ascii")


def read_seal(data: bytes) -> SealFile:
    """A seal file. Raises Malformed."""
    try:
        envelope = json.loads(data)
        text, signature = envelope["seal"], base64.b64decode(envelope["signature"], validate=True)
        return SealFile(sha256(data).hexdigest(), text, signature, _seal(json.loads(text)))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, binascii.Error):
        raise Malformed("it is no seal") from None


def _seal(told: Mapping[str, Any]) -> Seal:
    if told["version"] != VERSION:
        raise Malformed(f"it is a seal of version {told['version']}")
    writers: dict[str, Writer] = {}
    opened: dict[tuple[str, int], int] = {}
    for name, (sequence, digest, time, gaps) in told["writers"].items():
        writers[str(name)] = Writer(Head(int(sequence), str(digest), int(time)), [Gap(*gap[:5]) for gap in gaps])
        opened |= {(str(name), int(gap[0])): int(gap[5]) for gap in gaps}
    return Seal(
        sequence=int(told["sequence"]),
        previous=str(told["previous"]),
        since=int(told["since"]),
        until=int(told["until"]),
        sealed_at=int(told["sealed_at"]),
        records=RecordsFile(**told["records"]),
        writers=writers,
        retired=int(told["retired"]),
        opened=opened,
        found=[Finding(*one) for one in told["found"]],
        key=str(told["key"]),
    )


def pack(sequence: int, lines: Sequence[str]) -> tuple[RecordsFile, bytes]:
    """The records of a seal as a file: the same lines are the same bytes, so that it can be put again after a crash."""
    plain = "".join(f"{line}\n" for line in lines).encode("utf-8")
    data = gzip.compress(plain, compresslevel=6, mtime=0)
    digest = sha256(data).hexdigest()
    return RecordsFile(f"{sequence:0{DIGITS}}-{digest[:16]}.jsonl.gz", digest, len(plain), len(lines)), data


def unpack(data: bytes, most: int) -> list[str]:
    """The lines of a records file, of at most so many bytes together. Raises Malformed."""
    plain = b"".join(_unpacked(data, min(most, MOST_BYTES)))
    if plain and not plain.endswith(b"\n"):
        raise Malformed("its last record is cut off")
    return plain.decode("utf-8", "replace").split("\n")[:-1]


def _unpacked(data: bytes, most: int) -> Iterator[bytes]:
    unpacker, left = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16), most + 1
    try:
        while not unpacker.eof:
            block = unpacker.decompress(data, min(_BLOCK, left))
            data = unpacker.unconsumed_tail
            left -= len(block)
            if left <= 0:
                raise Malformed("it holds more than its seal says")
            if not block and not data and not unpacker.eof:
                raise Malformed("it is cut off")
            yield block
    except zlib.error:
        raise Malformed("it is no gzip file") from None
    if unpacker.unused_data:
        raise Malformed("something follows its records")
