"""The storage behind presigned addresses, which the page never learns: streamed both ways, never whole in memory."""

import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx

from operator_cli.answers import ResultFile
from operator_cli.console.problems import Problem, of_failure
from operator_cli.environments import Environment
from operator_cli.errors import CliError
from operator_cli.storage import safe_address
from operator_cli.transport import unreachable

BLOCK = 256 * 1024
LARGEST_REFUSAL = 16 * 1024


class Bucket:
    """Sends to and fetches from presigned addresses of one environment. No credential of the person's goes there."""

    def __init__(self, environment: Environment, http: httpx.AsyncClient) -> None:
        self._environment = environment
        self._http = http

    async def put(self, url: str, content: AsyncIterator[bytes], length: int) -> str:
        """Send one part as it comes; its ETag.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html
        """
        async with self._exchange("PUT", url, content, {"Content-Length": str(length)}) as response:
            etag = response.headers.get("etag")
        if not etag:
            raise Problem(502, "storage_refused", "The storage took a part without naming it.")
        return etag

    async def post(self, url: str, fields: Mapping[str, str], content: AsyncIterator[bytes], length: int) -> None:
        """Send a whole file with a presigned form, as it comes.

        https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
        """
        boundary = secrets.token_hex(16)
        before, after = _form(fields, boundary)

        async def body() -> AsyncIterator[bytes]:
            yield before
            async for block in content:
                yield block
            yield after

        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(before) + length + len(after)),
        }
        async with self._exchange("POST", url, body(), headers):
            return

    async def blocks(self, file: ResultFile) -> AsyncIterator[bytes]:
        """A result as it comes; the last block only when length and SHA-256 are those announced. Raises Problem otherwise."""
        digest, received, held = hashlib.sha256(), 0, b""
        # As it is stored: the digest is of that.
        async with self._exchange("GET", file.url, None, {"Accept-Encoding": "identity"}) as response:
            async for block in response.aiter_raw(BLOCK):
                received += len(block)
                if received > file.bytes:
                    break
                digest.update(block)
                if held:
                    yield held
                held = block
        if received != file.bytes or digest.hexdigest() != file.sha256:
            raise Problem(502, "checksum_mismatch", "A result is not what the service announced (length or SHA-256).")
        if held:
            yield held

    @asynccontextmanager
    async def _exchange(
        self, method: str, url: str, content: AsyncIterator[bytes] | None, headers: Mapping[str, str]
    ) -> AsyncIterator[httpx.Response]:
        try:
            target = safe_address(self._environment, url)
        except CliError as error:
            raise of_failure(error) from None
        try:
            async with self._http.stream(method, target, content=content, headers=headers) as response:
                if not response.is_success:
                    raise await _refusal(response)
                yield response
        except httpx.HTTPError as error:
            raise of_failure(unreachable(self._environment, target, error)) from None


def _form(fields: Mapping[str, str], boundary: str) -> tuple[bytes, bytes]:
    """What stands before and after the file in a form."""
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    file = {"file": ("data", b"", "application/octet-stream")}
    whole = httpx.Request("POST", "http://form", data=dict(fields), files=file, headers=headers).read()
    after = f"\r\n--{boundary}--\r\n".encode()
    return whole.removesuffix(after), after


async def _refusal(response: httpx.Response) -> Problem:
    """What the storage said, as a code. https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""
    text = bytearray()
    async for block in response.aiter_bytes(LARGEST_REFUSAL):
        text += block
        if len(text) >= LARGEST_REFUSAL:
            break
    found = re.search(rb"<Code>([A-Za-z]{1,64})</Code>", text)
    code = found[1].decode() if found else f"http_{response.status_code}"
    return Problem(502, "storage_refused", f"The storage refused the transfer ({code}). Try again.")
