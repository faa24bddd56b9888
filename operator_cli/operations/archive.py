"""The place of a backup: a private directory or a prefix in a bucket, files that are encrypted by age, and the manifest.

``manifest.json`` names every file with its size and its SHA-256, before encryption and as it lies there. ``begun.json`` and
``done.jsonl`` are what an interrupted backup goes on from. Whoever makes a backup needs age's recipient alone, and only who has
the identity reads it: https://age-encryption.org.
"""

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol, cast

from operator_cli.errors import CliError, WrongUse

MANIFEST, DONE, BEGUN = "manifest.json", "done.jsonl", "begun.json"
FORMAT = 1
CHUNK = 1024 * 1024


def age() -> Any:
    """The library, which brings no types. Imported late: most runs of the program need none of it."""
    import pyrage

    return pyrage


class File(NamedTuple):
    """A file of a backup. ``sha256`` and ``bytes`` are of its content, ``stored_sha256`` of what lies there; ``lines`` are how
    many it has, where that means something."""

    path: str
    bytes: int
    sha256: str
    stored_sha256: str
    lines: int | None = None


class Place(Protocol):
    """Where files lie."""

    def put(self, path: str, source: Path) -> None:
        """Take the file over, under this path."""

    def get(self, path: str) -> IO[bytes]:
        """Open a file. Raises FileNotFoundError."""
        ...

    def names(self) -> Iterator[str]:
        """The paths of all files."""
        ...


class Directory:
    """A directory that nobody else can look into."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @classmethod
    def made(cls, root: Path) -> "Directory":
        """The directory, made where it is not there. Raises CliError when others can read what is in it."""
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = root.stat()
        if stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid != os.getuid():
            raise CliError(f"Others may read or write {root}.", next_step=f"Take their rights away: chmod 700 {root}")
        return cls(root)

    def put(self, path: str, source: Path) -> None:
        target = self._root / path
        # One by one: to those in between mkdir gives what the process gives everything.
        for folder in reversed(target.relative_to(self._root).parents):
            (self._root / folder).mkdir(exist_ok=True, mode=0o700)
        with source.open("rb") as stream:
            os.fsync(stream.fileno())
        source.replace(target)

    def get(self, path: str) -> IO[bytes]:
        return (self._root / path).open("rb")

    def names(self) -> Iterator[str]:
        for file in self._root.rglob("*"):
            if file.is_file():
                yield file.relative_to(self._root).as_posix()

    @property
    def temporary(self) -> Path:
        """Where a file is written before it is moved to its name: in the same file system."""
        return self._root


class Bucket:
    """A prefix in a bucket that is not public."""

    def __init__(self, s3: Any, bucket: str, prefix: str) -> None:
        self._s3, self._bucket = s3, bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    @classmethod
    def checked(cls, s3: Any, uri: str) -> "Bucket":
        """The place of ``s3://bucket/prefix``. Raises CliError unless the bucket blocks all public access."""
        from botocore.exceptions import ClientError

        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        try:
            blocks = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        except ClientError:
            blocks = {}
        wanted = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        if not all(blocks.get(each) for each in wanted):
            raise CliError(
                f"The bucket {bucket} is not there, or does not block public access.", next_step="Block it: see S3's console."
            )
        return cls(s3, bucket, prefix)

    def put(self, path: str, source: Path) -> None:
        self._s3.upload_file(str(source), self._bucket, self._prefix + path)
        source.unlink()

    def get(self, path: str) -> IO[bytes]:
        from botocore.exceptions import ClientError

        try:
            return self._s3.get_object(Bucket=self._bucket, Key=self._prefix + path)["Body"]
        except ClientError:
            raise FileNotFoundError(path) from None

    def names(self) -> Iterator[str]:
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix):
            for found in page.get("Contents", []):
                yield found["Key"].removeprefix(self._prefix)

    @property
    def temporary(self) -> Path:
        return Path(tempfile.gettempdir())


class _Hashed:
    """A stream that counts and hashes what passes. age asks for no more than read, write and flush."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.bytes = 0
        self._sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        return self._passed(self._stream.read(size))

    def write(self, data: bytes) -> int:
        self._stream.write(data)
        self._passed(bytes(data))
        return len(data)

    def flush(self) -> None:
        self._stream.flush()

    def _passed(self, data: bytes) -> bytes:
        self.bytes += len(data)
        self._sha256.update(data)
        return data

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


class Archive:
    """The files of one backup. ``recipients`` encrypt, ``identities`` decrypt; without recipients nothing is encrypted."""

    def __init__(self, place: Any, *, recipients: tuple[str, ...] = (), identities: tuple[str, ...] = ()) -> None:
        self._place = place
        self._recipients = [_recipient(each) for each in recipients]
        self._identities = [_identity(each) for each in identities]

    @property
    def encrypted(self) -> bool:
        return bool(self._recipients)

    def add(self, path: str, content: IO[bytes]) -> File:
        """Store what the stream gives under this path."""
        handle, name = tempfile.mkstemp(dir=self._place.temporary, prefix=".heartmap-")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as raw:
                plain, stored = _Hashed(content), _Hashed(raw)
                if self._recipients:
                    pyrage = age()
                    pyrage.encrypt_io(cast("Any", plain), cast("Any", stored), self._recipients)
                else:
                    while data := plain.read(CHUNK):
                        stored.write(data)
            self._place.put(path, temporary)
        finally:
            temporary.unlink(missing_ok=True)
        return File(path, plain.bytes, plain.sha256, stored.sha256)

    @contextmanager
    def open(self, file: File, *, encrypted: bool) -> Iterator[IO[bytes]]:
        """The content of a file, in a temporary file that is gone afterwards. Raises CliError for what is not as it was."""
        with tempfile.TemporaryFile(dir=tempfile.gettempdir()) as content:
            fault = self._fetch(file, content, encrypted=encrypted)
            if fault:
                raise CliError(f"The backup is not whole: {file.path} {fault}.", next_step="Take another backup.")
            content.seek(0)
            yield content

    def fault(self, file: File, *, encrypted: bool) -> str | None:
        """What is wrong with a file; None when it is as it was. Without an identity what lies there is looked at, not into."""
        with tempfile.TemporaryFile() as content:
            return self._fetch(file, content, encrypted=encrypted)

    def _fetch(self, file: File, content: IO[bytes], *, encrypted: bool) -> str | None:
        try:
            source = self._place.get(file.path)
        except FileNotFoundError:
            return "is missing"
        with source:
            stored, plain = _Hashed(source), _Hashed(content)
            if encrypted and self._identities:
                pyrage = age()
                with suppress(pyrage.DecryptError, OSError, ValueError):
                    pyrage.decrypt_io(cast("Any", stored), cast("Any", plain), self._identities)
            while data := stored.read(CHUNK):
                if not encrypted:
                    plain.write(data)
        if stored.sha256 != file.stored_sha256:
            return "was changed"
        readable = not encrypted or self._identities
        return "cannot be read with this identity" if readable and plain.sha256 != file.sha256 else None

    def names(self) -> set[str]:
        """The paths of all files that lie there, but for temporary ones."""
        return {name for name in self._place.names() if not name.rpartition("/")[2].startswith(".heartmap-")}

    # ---- What is not encrypted: the list of files, so that a backup can be verified without the identity ----

    def done(self) -> dict[str, File]:
        """What an interrupted backup has finished, by its paths."""
        try:
            with self._place.get(DONE) as stream:
                lines = stream.read().decode("utf-8").splitlines()
        except FileNotFoundError:
            return {}
        return {file.path: file for file in (File(*json.loads(line)) for line in lines)}

    def begun(self) -> dict[str, Any] | None:
        """What a backup that was not finished began with."""
        try:
            with self._place.get(BEGUN) as stream:
                return json.loads(stream.read())
        except FileNotFoundError:
            return None

    def begin(self, what: dict[str, Any]) -> None:
        self._write(BEGUN, json.dumps(what) + "\n")

    def note_done(self, files: Mapping[str, File]) -> None:
        self._write(DONE, "".join(json.dumps(file) + "\n" for file in files.values()))

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        self._write(MANIFEST, json.dumps(manifest, indent=1, sort_keys=True) + "\n")

    def manifest(self) -> dict[str, Any]:
        """The manifest of a whole backup. Raises CliError."""
        try:
            with self._place.get(MANIFEST) as stream:
                manifest = json.loads(stream.read())
        except (FileNotFoundError, ValueError):
            raise CliError(
                "There is no whole backup here: manifest.json is missing or no JSON.",
                next_step="Run the backup again: it goes on.",
            ) from None
        if manifest.get("format") != FORMAT:
            raise CliError(f"The backup has the format {manifest.get('format')}, and this program reads {FORMAT}.")
        return manifest

    def _write(self, path: str, text: str) -> None:
        handle, name = tempfile.mkstemp(dir=self._place.temporary, prefix=".heartmap-")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        self._place.put(path, Path(name))


def _recipient(text: str) -> Any:
    pyrage = age()
    try:
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise WrongUse(
            "--recipient wants an age recipient, which begins with age1.", next_step="Make one: heartmapctl operate backup-key"
        ) from None


def _identity(text: str) -> Any:
    pyrage = age()
    try:
        return pyrage.x25519.Identity.from_str(text)
    except pyrage.IdentityError:
        raise WrongUse("The identity file holds no age identity, which begins with AGE-SECRET-KEY-1.") from None


def identities(file: Path) -> tuple[str, ...]:
    """The identities in a file as age-keygen writes it. Raises CliError when there is no such file, others may read
    it, or there is none in it."""
    if not file.is_file():
        raise CliError(f"There is no file {file}.", next_step="Name the file that heartmapctl operate backup-key wrote.")
    if file.stat().st_mode & 0o077:
        raise CliError(f"Others may read {file}, which opens the backup.", next_step=f"Take their rights away: chmod 600 {file}")
    found = tuple(line for line in file.read_text(errors="replace").splitlines() if line.startswith("AGE-SECRET-KEY-1"))
    if not found:
        raise CliError(
            f"{file} holds no age identity, which begins with AGE-SECRET-KEY-1.",
            next_step="Name the file that heartmapctl operate backup-key wrote.",
        )
    return found
