"""What every test needs: no AWS but the emulated one, whatever the developer's shell says."""

import functools
import gc
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import httpx._transports.default as httpx_transports
import pytest
import typer.testing as typer_testing
from botocore.loaders import JSONFileLoader
from httpx import create_ssl_context
from typer.main import get_command
from xdist.scheduler import LoadFileScheduling

from local_cloud.moto_server import running_moto

END_TO_END = "tests/e2e/"

# What is imported stays: looking through it again and again was a fifth of the time of collecting, and as much of many tests.
gc.disable()

# Made once in a process: what each session of the AWS SDK would read of its services, what each client of httpx reads of the
# certificate authorities, and the commands that each run of heartmapctl puts together from its functions.
_read_file = functools.cache(JSONFileLoader().load_file)


def _load_file(self: JSONFileLoader, file_path: str) -> Any:
    """What is in a file, with paths of operations of its own: each client of S3 changes those of its model."""
    model = _read_file(file_path)
    if "operations" not in (model or {}):
        return model
    return {**model, "operations": {name: {**one, "http": dict(one["http"])} for name, one in model["operations"].items()}}


JSONFileLoader.load_file = _load_file
httpx_transports.create_ssl_context = functools.cache(create_ssl_context)  # pyright: ignore[reportPrivateImportUsage]
typer_testing._get_command = functools.cache(get_command)  # pyright: ignore[reportPrivateImportUsage]

# A shell has what it starts in the background ignore Ctrl-C, and so everything that it starts: tests send it to programs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """From here on garbage is collected, and only that of the tests is looked for."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _no_real_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials, profiles and settings of the developer never reach a test."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "HEARTMAP_", "PULUMI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    """An emulated AWS for the tests of a file."""
    with running_moto() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def aws(moto_url: str) -> Callable[[str], Any]:
    """A client of it for a service."""
    session: Any = boto3.Session("local", "local", region_name="us-east-1")
    return functools.cache(lambda service: session.client(service, endpoint_url=moto_url))


class _ByFileOrEnvironment(LoadFileScheduling):
    """A file's tests stay together, and all that use the running local environment: it takes a minute and 2 GB to bring up."""

    def _split_scope(self, nodeid: str) -> str:
        return END_TO_END if nodeid.startswith(END_TO_END) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByFileOrEnvironment | None:
    return _ByFileOrEnvironment(config, log) if config.getvalue("dist") == "loadfile" else None
