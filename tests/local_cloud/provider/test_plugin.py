"""The two executables, started as the engine starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from local_cloud.provider import wire

BIN = Path(__file__).resolve().parents[3] / "local_cloud" / "provider" / "bin"


@contextmanager
def started(name: str, cwd: Path, **environment: str) -> Iterator[tuple[Any, subprocess.Popen[str]]]:
    """The plugin's stub and process."""
    variables = {**os.environ, "HEARTMAP_PYTHON": sys.executable, **environment}
    process = subprocess.Popen([BIN / name, "127.0.0.1:1"], env=variables, cwd=cwd, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield provider_pb2_grpc.ResourceProviderStub(channel), process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", ["aws", "awsx"])
def test_a_plugin_says_that_it_is_the_release_that_the_program_was_written_for(name: str, tmp_path: Path) -> None:
    with started(f"pulumi-resource-{name}", tmp_path) as (stub, _):
        assert stub.GetPluginInfo(empty_pb2.Empty()).version == version(f"pulumi_{name}")
        assert stub.Handshake(provider_pb2.ProviderHandshakeRequest()).accept_secrets


def test_a_plugin_listens_on_the_loopback_alone(tmp_path: Path) -> None:
    with started("pulumi-resource-aws", tmp_path) as (_, process):
        listening = [one for one in psutil.Process(process.pid).net_connections("inet") if one.status == psutil.CONN_LISTEN]
        assert [one.laddr.ip.removeprefix("::ffff:") for one in listening] == ["127.0.0.1"]


def test_the_plugin_refuses_an_aws_that_is_not_on_this_machine(tmp_path: Path) -> None:
    remote = "https://sts.us-east-1.amazonaws.com"
    with started("pulumi-resource-aws", tmp_path, AWS_ENDPOINT_URL=remote) as (stub, _):
        with pytest.raises(grpc.RpcError) as refused:
            stub.Configure(provider_pb2.ConfigureRequest(args=wire.encode({"region": "us-east-1"})))
        text = refused.value.details() or ""
        assert "never talks to any other" in text
        assert remote not in text


def test_a_plugin_ends_when_the_engine_was_killed(tmp_path: Path) -> None:
    """Its parent is a shell here, which is killed and can tell nobody."""
    command = f'"{BIN}/pulumi-resource-aws" & echo $!; wait'
    variables = {**os.environ, "HEARTMAP_PYTHON": sys.executable}
    with subprocess.Popen(["sh", "-c", command], env=variables, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as engine:
        assert engine.stdout is not None
        plugin = psutil.Process(int(engine.stdout.readline()))
        int(engine.stdout.readline())  # its port: it serves
        engine.kill()
        try:
            plugin.wait(timeout=20)
        except psutil.TimeoutExpired:
            plugin.kill()
            raise
