"""Gateways as they run, and what stands behind them."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateways.example import example
from gateways.model import Gateway, Tls
from local_cloud import tls
from local_cloud.tls import TlsFiles
from tests.gateways import backend as backends
from tests.gateways import runners
from tests.gateways.backend import Backend
from tests.gateways.runners import Running

Run = Callable[..., AbstractContextManager[Running]]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """One for `localhost`, for the gateway and what is behind it."""
    return tls.ensure(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def backend(certificates: TlsFiles) -> Iterator[Backend]:
    with backends.backend(certificates) as made:
        yield made


@pytest.fixture
def lab(certificates: TlsFiles, tmp_path: Path) -> Callable[..., Gateway]:
    """A gateway for this machine: ``lab(upstream_port, **changes)``."""
    return lambda port, **changes: lab_gateway(certificates, tmp_path, port, **changes)


def lab_gateway(certificates: TlsFiles, directory: Path, upstream_port: int, **changes: Any) -> Gateway:
    """The example, on a free port of the loopback, for `localhost`, without ranges and basic authentication; its logs and its
    password file are in the directory."""
    made = replace(
        example(),
        server_name=tls.DNS_NAME,
        upstream=f"https://127.0.0.1:{upstream_port}",
        upstream_ca=str(certificates.ca),
        upstream_host=tls.DNS_NAME,
        tls=Tls(certificate=str(certificates.certificate), key=str(certificates.key)),
        listen=(f"127.0.0.1:{runners.free_port()}",),
        allowed_ranges=(),
        basic_auth=False,
        password_file=str(directory / "passwords"),
        log_directory=str(directory),
    )
    return replace(made, **changes)


@pytest.fixture
def running(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """``with running(kind, gateway) as place``: the gateway runs until the block ends. Skips where it is not installed."""

    @contextlib.contextmanager
    def run(kind: str, gateway: Gateway) -> Iterator[Running]:
        with runners.run(kind, gateway, tmp_path_factory.mktemp(kind)) as place:
            yield place

    return run
