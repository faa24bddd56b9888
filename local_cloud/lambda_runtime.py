"""Runs a deployed Lambda function as Lambda does: from its zip, in its own process, with its deployed environment and limits.

One execution environment at a time: calls wait for one another, where Lambda would start more environments. As many as are
reserved may be under way or wait; one more is throttled. A crash or a time-out ends the environment, and the next call starts a
fresh one. What Lambda also bounds and this does not: memory.
"""

import asyncio
import base64
import contextlib
import hashlib
import importlib.util
import io
import json
import os
import re
import secrets
import shutil
import sys
import time
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from botocore.exceptions import ClientError

BOOTSTRAP = Path(__file__).with_name("lambda_bootstrap.py")

# The AWS SDK, which Lambda's own runtime has: https://docs.aws.amazon.com/lambda/latest/dg/python-package.html
SDK = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3")

# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html, Init phase
INIT_SECONDS = 10.0
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
REPLY_BYTES = 6 * 1024 * 1024
CODE_BYTES = 250 * 1024 * 1024
LOG_LINE_BYTES = 256 * 1024


THROTTLED = "Error: Rate Exceeded."
"""What the log of a throttled call says. Lambda has a metric for that alone."""


class FunctionUnusable(Exception):
    """The deployed function cannot be run here. The text says why."""


class FunctionError(Exception):
    """The handler raised. ``error_type`` is the exception's class name, the text is the exception's own."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


class FunctionCrashed(Exception):
    """The process ended, could not start, or answered nonsense."""


class FunctionTimedOut(Exception):
    """The handler took longer than the deployed time-out."""


class FunctionThrottled(Exception):
    """More calls at once than may be."""


@dataclass(frozen=True, kw_only=True)
class Function:
    """A deployed function. ``timeout`` is in seconds, ``memory`` in MB, ``code`` the directory that holds the unpacked zip.
    ``concurrency`` is how many calls there may be at once; None: no limit of its own."""

    name: str
    arn: str
    region: str
    handler: str
    timeout: float
    memory: int
    environment: dict[str, str]
    log_group: str
    log_stream: str
    code: Path
    concurrency: int | None = None


def read_function(name: str, directory: Path, client: Any) -> Function:
    """Reads the function and unpacks its code below ``directory``.

    Args:
        name: name or ARN of the function.
        directory: private directory of the caller; the code of earlier versions in it is removed.
        client: boto3 client of Lambda.

    Raises FunctionUnusable.
    """
    try:
        deployed = client.get_function(FunctionName=name)
    except ClientError:
        raise FunctionUnusable(f"The function {name} is not deployed.") from None
    settings = deployed["Configuration"]
    if settings.get("PackageType", "Zip") != "Zip" or not re.fullmatch(r"python3\.\d+", settings.get("Runtime", "")):
        raise FunctionUnusable(f"The function {name} is not a zip for Python: nothing else is run here.")
    if settings.get("Layers"):
        raise FunctionUnusable(f"The function {name} has layers, which are not run here.")
    code = _unpack(_deployed_zip(settings["CodeSha256"], deployed["Code"]["Location"]), directory)
    return Function(
        name=settings["FunctionName"],
        arn=settings["FunctionArn"],
        region=settings["FunctionArn"].split(":")[3],
        handler=settings["Handler"],
        timeout=float(settings["Timeout"]),
        memory=int(settings["MemorySize"]),
        environment=dict(settings.get("Environment", {}).get("Variables", {})),
        log_group=settings.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{settings['FunctionName']}",
        log_stream=f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{secrets.token_hex(16)}",
        code=code,
        concurrency=client.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions"),
    )


def _deployed_zip(sha256: str, location: str) -> bytes:
    """The zip, when it is the one that was deployed."""
    data = bytearray()
    try:
        with httpx.Client(trust_env=False, timeout=30) as client, client.stream("GET", location) as response:
            response.raise_for_status()
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > CODE_BYTES:
                    raise FunctionUnusable("The deployed zip is larger than Lambda takes.")
    except httpx.HTTPError:
        raise FunctionUnusable("The deployed code is not where it was put. Deploy again.") from None
    if base64.b64encode(hashlib.sha256(data).digest()).decode() != sha256:
        raise FunctionUnusable("The code is not the deployed one: its hash is another. Deploy again.")
    return bytes(data)


def _unpack(data: bytes, directory: Path) -> Path:
    target = directory / hashlib.sha256(data).hexdigest()[:16]
    shutil.rmtree(directory, ignore_errors=True)
    target.mkdir(parents=True, mode=0o700)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > CODE_BYTES:
                raise FunctionUnusable("The deployed code is larger than the 250 MB that Lambda takes.")
            archive.extractall(target)  # zipfile itself keeps every name inside the directory
    except zipfile.BadZipFile:
        raise FunctionUnusable("The deployed code is not a zip.") from None
    return target


def _with_sdk(code: Path) -> Path:
    """A directory beside the code from which the AWS SDK can be imported, and nothing else of this environment."""
    directory = code.parent / "sdk"
    directory.mkdir(mode=0o700, exist_ok=True)
    for name in SDK:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise FunctionUnusable(f"The AWS SDK lacks {name}: install the dependencies again.")
        origin = Path(spec.origin)
        found = origin.parent if origin.name == "__init__.py" else origin
        link = directory / found.name
        if not link.is_symlink():
            link.symlink_to(found)
    return directory


class LambdaRuntime:
    """Calls the function. ``log`` takes each line that the function prints, and what the platform itself has to say."""

    def __init__(self, function: Function, log: Callable[[str], None]) -> None:
        self._function = function
        self._log = log
        self._lock = asyncio.Lock()
        self._environment: _Environment | None = None
        self._calls = 0

    async def start(self) -> None:
        """Starts an execution environment ahead of the first call. Raises FunctionCrashed when the code refuses to start."""
        async with self._lock:
            await self._ready()

    async def invoke(self, event: dict[str, Any]) -> Any:
        """What the handler returns. Raises FunctionError, FunctionCrashed, FunctionTimedOut or FunctionThrottled."""
        request_id, most = str(uuid.uuid4()), self._function.concurrency
        if most is not None and self._calls >= most:
            self._log(f"RequestId: {request_id} {THROTTLED}")
            raise FunctionThrottled
        self._calls += 1
        try:
            return await self._call(request_id, event)
        finally:
            self._calls -= 1

    async def _call(self, request_id: str, event: dict[str, Any]) -> Any:
        async with self._lock:
            environment = await self._ready()
            try:
                async with asyncio.timeout(self._function.timeout):
                    reply = await environment.call(
                        request_id=request_id,
                        arn=self._function.arn,
                        deadline=time.time() + self._function.timeout,
                        event=event,
                    )
            except TimeoutError:
                self._log(f"{request_id} Task timed out after {self._function.timeout:.2f} seconds")
                await self._discard()
                raise FunctionTimedOut from None
            except FunctionCrashed:
                self._log(f"RequestId: {request_id} Error: Runtime exited")
                await self._discard()
                raise
            except BaseException:
                # The caller went away: the answer that is still to come would be taken for the next call's.
                await self._discard()
                raise
        return self._result(reply)

    async def stop(self) -> None:
        """Ends the process."""
        async with self._lock:
            await self._discard()

    async def _ready(self) -> "_Environment":
        if self._environment is None or not self._environment.alive:
            await self._discard()
            self._environment = await _Environment.create(self._function, self._log)
            try:
                async with asyncio.timeout(INIT_SECONDS):
                    self._result(await self._environment.reply())
            except (TimeoutError, FunctionError, FunctionCrashed) as error:
                self._log(f"INIT_REPORT Phase: init Status: {'timeout' if isinstance(error, TimeoutError) else 'error'}")
                await self._discard()
                raise FunctionCrashed from None
        return self._environment

    def _result(self, reply: dict[str, Any]) -> Any:
        if (error := reply.get("error")) is None:
            return reply.get("result")
        self._log(f"[ERROR] {error['type']}: {error['message']}".replace("\n", "\\n"))
        raise FunctionError(error["type"], error["message"])

    async def _discard(self) -> None:
        environment, self._environment = self._environment, None
        if environment is not None:
            await environment.end()


class _Environment:
    """One process with its two pipes."""

    def __init__(
        self, process: asyncio.subprocess.Process, events: asyncio.WriteTransport, replies: asyncio.StreamReader
    ) -> None:
        self._process, self._events, self._replies = process, events, replies
        self._pumps: list[asyncio.Task[None]] = []

    @classmethod
    async def create(cls, function: Function, log: Callable[[str], None]) -> "_Environment":
        loop = asyncio.get_running_loop()
        events_in, events_out = os.pipe()
        replies_in, replies_out = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-I",
                    "-S",
                    "-u",
                    str(BOOTSTRAP),
                    str(events_in),
                    str(replies_out),
                    str(_with_sdk(function.code)),
                ),
                env=variables(function),
                cwd=function.code,
                pass_fds=(events_in, replies_out),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=LOG_LINE_BYTES,
            )
        except BaseException:
            os.close(events_out)
            os.close(replies_in)
            raise
        finally:
            os.close(events_in)
            os.close(replies_out)
        events, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(events_out, "wb", buffering=0))
        replies = asyncio.StreamReader(limit=REPLY_BYTES)
        await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(replies), os.fdopen(replies_in, "rb", buffering=0)
        )  # fmt: skip
        environment = cls(process, events, replies)
        environment._pumps = [asyncio.create_task(_pump(stream, log)) for stream in (process.stdout, process.stderr) if stream]
        return environment

    @property
    def alive(self) -> bool:
        return self._process.returncode is None and not self._replies.at_eof()

    async def call(self, **message: Any) -> dict[str, Any]:
        self._events.write(json.dumps(message).encode() + b"\n")
        return await self.reply()

    async def reply(self) -> dict[str, Any]:
        try:
            line = await self._replies.readline()
            message = json.loads(line)
        except ValueError:  # Too long, cut short by the end of the process, or not JSON.
            raise FunctionCrashed from None
        if not isinstance(message, dict):
            raise FunctionCrashed
        return message

    async def end(self) -> None:
        self._events.close()
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
        # A process that the handler left behind may hold the pipes open: what it prints is not waited for.
        _, late = await asyncio.wait(self._pumps, timeout=1)
        for pump in late:
            pump.cancel()


async def _pump(stream: asyncio.StreamReader, log: Callable[[str], None]) -> None:
    while True:
        try:
            line = await stream.readuntil(b"\n")
        except asyncio.IncompleteReadError as end:
            line = end.partial
        except asyncio.LimitOverrunError as overrun:
            line = await stream.readexactly(overrun.consumed)
        if not line:
            return
        log(line.decode("utf-8", "replace").rstrip("\r\n"))


def variables(function: Function) -> dict[str, str]:
    """The whole environment of the process: what was deployed, and what Lambda adds.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime. AWS_ENDPOINT_URL
    comes on top, so that the function finds the emulated AWS.
    """
    provided = {
        "_HANDLER": function.handler,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": function.region,
        "AWS_REGION": function.region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": function.log_stream,
        "LAMBDA_TASK_ROOT": str(function.code),
        "LANG": "en_US.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "TZ": ":UTC",
    }
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    return function.environment | provided | ({"AWS_ENDPOINT_URL": endpoint} if endpoint else {})
