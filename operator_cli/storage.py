"""Presigned addresses: data sets to the bucket, results from it. No credential of the user's goes there."""

import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

import httpx
import tenacity

from operator_cli.answers import ResultFile
from operator_cli.environments import Environment
from operator_cli.errors import CliError
from operator_cli.transport import is_distrust, unreachable

ATTEMPTS = 4
LONGEST_PAUSE = 20
BLOCK = 256 * 1024
LOOPBACK = frozenset({"127.0.0.1", "localhost"})
# One path segment that no system reads as a directory, an option, a hidden or a device-relative name.
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

Done = Callable[[int], None]
T = TypeVar("T")


class Storage:
    """Sends to and fetches from presigned addresses of one environment."""

    def __init__(self, environment: Environment, http: httpx.Client, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._environment = environment
        self._http = http
        self._sleep = sleep

    def post(self, url: str, fields: Mapping[str, str], source: BinaryIO, length: int, done: Done) -> None:
        """Send a file of that length with a presigned POST, streamed.

        https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html. Repeating it is harmless: the key is in the fields.
        Raises CliError when the bucket refuses it.
        """
        target = safe_address(self._environment, url)

        def once() -> None:
            # httpx reads it from its beginning, each time.
            file = ("data", cast(BinaryIO, _Watched(source, length, done)), "application/octet-stream")
            self._require(self._http.post(target, data=dict(fields), files={"file": file}))

        self._retry(once, target)

    def put(self, url: str, source: BinaryIO, offset: int, length: int, done: Done) -> str:
        """Send one part of a file; its ETag.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html
        """
        target = safe_address(self._environment, url)

        def once() -> str:
            source.seek(offset)
            # With its length the part is sent as it is; the bucket does not take chunks of unknown number.
            headers = {"Content-Length": str(length)}
            response = self._require(self._http.put(target, content=_blocks(source, length, done), headers=headers))
            etag = response.headers.get("etag")
            if not etag:
                raise CliError("The storage took a part without naming it.", next_step="Start the upload again.")
            return etag

        return self._retry(once, target)

    def fetch(self, file: ResultFile, directory: Path, done: Done) -> Path:
        """Fetch one result into the directory and check it; what stands there under that name is replaced.

        The content comes under a name of its own and gets the right one only when its length and SHA-256 are those announced;
        what is not complete is removed. Raises CliError otherwise.
        """
        target = safe_address(self._environment, file.url)
        destination = directory / safe_name(file.name)
        if destination.is_dir():
            raise CliError(f"{file.name} is a directory in the output directory.", next_step="Choose another --output.")
        partial = directory / f".{destination.name}.{secrets.token_hex(4)}.part"

        def once() -> None:
            with self._http.stream("GET", target) as response:
                self._require(response)
                _write(response.iter_bytes(BLOCK), partial, file, done)

        try:
            self._retry(once, target)
            partial.replace(destination)
        except OSError as error:
            raise CliError(f"{file.name} cannot be written: {error.strerror}.") from None
        finally:
            partial.unlink(missing_ok=True)
        return destination

    def content(self, url: str, most: int) -> bytes:
        """The bytes of an object that has at most so many. Raises CliError otherwise."""
        target = safe_address(self._environment, url)

        def once() -> bytes:
            data = bytearray()
            with self._http.stream("GET", target) as response:
                self._require(response)
                for block in response.iter_bytes(BLOCK):
                    data += block
                    if len(data) > most:
                        raise CliError("A file of the storage is larger than any that is written there.")
            return bytes(data)

        return self._retry(once, target)

    def _retry(self, once: Callable[[], T], target: httpx.URL) -> T:
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=LONGEST_PAUSE),
            retry=tenacity.retry_if_exception(_worth_another),
            reraise=True,
            sleep=self._sleep,
        )
        try:
            return retrying(once)
        except httpx.HTTPError as error:
            raise unreachable(self._environment, target, error) from None

    @staticmethod
    def _require(response: httpx.Response) -> httpx.Response:
        if response.is_success:
            return response
        response.read()
        # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
        found = re.search(rb"<Code>([A-Za-z]{1,64})</Code>", response.content)
        code = found[1].decode() if found else f"http_{response.status_code}"
        kind = _Unavailable if response.is_server_error else CliError
        raise kind(
            REFUSALS.get(code, "The storage refused the transfer."),
            code=code,
            request_id=response.headers.get("x-amz-request-id"),
            next_step="Run the command again; presigned addresses hold for a limited time.",
        )


REFUSALS = {
    "EntityTooLarge": "The file is larger than the environment allows.",
    "EntityTooSmall": "The file is smaller than was announced: it changed while it was sent.",
    "AccessDenied": "The storage refused the transfer: its address has expired, or was never valid.",
}
"""By S3's own codes."""


class _Unavailable(CliError):
    """A 5xx of the storage: worth another try."""


def _worth_another(error: BaseException) -> bool:
    return isinstance(error, httpx.TransportError | _Unavailable) and not is_distrust(error)


class _Watched:
    """The announced bytes of a file, telling how many of them have been read. httpx measures it by seeking."""

    def __init__(self, source: BinaryIO, length: int, done: Done) -> None:
        self._source = source
        self._length = length
        self._done = done

    def read(self, size: int) -> bytes:
        left = self._length - self._source.tell()
        block = self._source.read(min(size, left))
        if left and not block:
            raise CliError("The file became shorter while it was sent.", next_step="Start the upload again.")
        self._done(self._source.tell())
        return block

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._source.seek(self._length + offset if whence == os.SEEK_END else offset)

    def tell(self) -> int:
        return self._source.tell()


def _blocks(source: BinaryIO, length: int, done: Done) -> Iterator[bytes]:
    sent = 0
    while sent < length:
        block = source.read(min(BLOCK, length - sent))
        if not block:
            raise CliError("The file became shorter while it was sent.", next_step="Start the upload again.")
        sent += len(block)
        yield block
        done(sent)


def safe_address(environment: Environment, url: str) -> httpx.URL:
    """Over TLS, or, in `local`, to this machine: nothing else is a bucket's address. Raises CliError."""
    try:
        target = httpx.URL(url)
    except httpx.InvalidURL:
        target = httpx.URL("")
    local = environment.is_local and target.scheme == "http" and target.host in LOOPBACK
    if not target.host or not (target.scheme == "https" or local):
        raise CliError("The service named a storage address that is not safe to use: nothing was sent.")
    return target


def safe_name(name: str) -> str:
    """The name, when it can be nothing but a file in the directory that it is put in. Raises CliError otherwise."""
    if not SAFE_NAME.fullmatch(name):
        raise CliError("The service named a result in a way that is not a plain file name: nothing was written.")
    return name


def _write(blocks: Iterator[bytes], partial: Path, file: ResultFile, done: Done) -> None:
    digest, received = hashlib.sha256(), 0
    partial.unlink(missing_ok=True)
    with partial.open("xb") as stream:
        for block in blocks:
            received += len(block)
            if received > file.bytes:
                break
            digest.update(block)
            stream.write(block)
            done(received)
    if received != file.bytes or digest.hexdigest() != file.sha256:
        raise CliError(
            f"{file.name} is not what the service announced (length or SHA-256): it was removed.",
            code="checksum_mismatch",
            next_step="Run the command again; if it stays, tell an administrator.",
        )
