"""How the API answers beside an analysis and under many clients, and what it takes of memory, in one run.

    make bench

The API and a worker are the processes that ECS runs, over TLS on the loopback, with an emulated AWS in a process of its own. IDLE
is the 95th percentile of GET /health by one client while nothing else goes on; beside a figure stands what it is to be at most.

Clients are paced: each calls once a second, at a moment of its own. Of 200 clients that call again as soon as they are answered,
each waits for 199 others, however fast the service: how many calls a second that makes is told as well, without a goal.
The clients are in this one process, whose own time is in every figure.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import random
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import httpx
import numpy as np
import psutil
import requests
import scipy.sparse

from lambda_authorizer.assertion import HEADER, Keys, mint

CLIENTS, SECONDS, PACE = 200, 15.0, 1.0
PROBES_A_SECOND = 20
CALLS, UNPACED = 20_000, 4000
CELLS, GENES = 10_000, 3_000
HOST = "internal.heartmap.benchmark"
REGION = "eu-west-1"
KEYS = Keys("k1", {"k1": os.urandom(32)})
ROOT = Path(__file__).resolve().parents[1]


class Row(NamedTuple):
    """A figure, its unit, and what it is to be at most."""

    name: str
    value: float
    unit: str
    target: float | None


def assertion(method: str, route: str) -> str:
    """That of an administrator."""
    who = {"principal": "benchmark", "groups": ["admin"], "scopes": [], "request_id": "benchmark"}
    return mint(KEYS, route=route, method=method, now=time.time(), **who)


class Client:
    """One connection to the API. As little as can be said of HTTP: its own time is measured too."""

    def __init__(self, port: int, host: str = HOST, headers: Sequence[str] | None = None) -> None:
        """``headers`` are lines of each call's head; without them it carries an administrator's assertion."""
        self._port, self._host, self._headers = port, host, headers

    async def __aenter__(self) -> Client:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=context, server_hostname=self._host
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await self._writer.wait_closed()

    async def get(self, path: str) -> tuple[float, int, bytes]:
        """Milliseconds until the answer was there, its status and its body."""
        headers = self._headers or [f"{HEADER}: {assertion('GET', path)}"]
        request = "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {self._host}:{self._port}", *headers, "", ""]).encode()
        started = time.perf_counter()
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        return (time.perf_counter() - started) * 1000, int(head[9:12]), body


def p95(milliseconds: Sequence[float]) -> float:
    return statistics.quantiles(milliseconds, n=20)[-1]


async def paced(port: int, clients: int, seconds: float, pace: float) -> list[float]:
    """Milliseconds of all calls of so many clients, each of which calls once in ``pace`` seconds."""
    taken: list[float] = []

    async def one() -> None:
        async with Client(port) as client:
            await client.get("/health")
            await asyncio.sleep(random.random() * pace)  # noqa: S311
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                due = time.monotonic() + pace
                milliseconds, status, _ = await client.get("/health")
                if status != 200:
                    raise SystemExit(f"GET /health answered {status}.")
                taken.append(milliseconds)
                await asyncio.sleep(due - time.monotonic())

    await asyncio.gather(*(one() for _ in range(clients)))
    return taken


async def unpaced(port: int, clients: int, calls: int, paths: Sequence[str]) -> float:
    """Calls a second of clients that call again as soon as they are answered."""
    left = iter(range(calls))

    async def one() -> None:
        async with Client(port) as client:
            for number in left:
                _, status, _ = await client.get(paths[number % len(paths)])
                if status != 200:
                    raise SystemExit(f"GET {paths[number % len(paths)]} answered {status}.")

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(clients)))
    return calls / (time.perf_counter() - started)


async def beside_an_analysis(port: int, analysis_id: str) -> tuple[list[float], str]:
    """Milliseconds of calls while the analysis ran, and how it ended."""
    taken: list[float] = []
    table = boto3.client("dynamodb", **_AWS)

    def state() -> str:
        row: Any = table.get_item(TableName="jobs", Key={"pk": {"S": f"analysis#{analysis_id}"}})["Item"]
        return row["state"]["S"]

    async with Client(port) as client:
        found, asked_at = "queued", 0.0
        while found in ("queued", "running"):
            if time.monotonic() - asked_at > 1:
                found, asked_at = await asyncio.to_thread(state), time.monotonic()
            milliseconds, _, _ = await client.get("/health")
            if found == "running":
                taken.append(milliseconds)
            await asyncio.sleep(1 / PROBES_A_SECOND)
    return taken, found


_AWS: dict[str, Any] = {"region_name": REGION, "aws_access_key_id": "local", "aws_secret_access_key": "local"}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def running(module: str, *arguments: str, environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HEARTMAP_", "AWS_"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=clean | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit(f"A process did not start: {log.read_text()[-2000:]}")


def make_aws(endpoint: str) -> dict[str, str]:
    """Buckets, tables and the queue, as far as they are needed here; their names as the processes' environment."""
    _AWS["endpoint_url"] = endpoint
    s3, dynamodb, sqs = (boto3.client(name, **_AWS) for name in ("s3", "dynamodb", "sqs"))
    for bucket in ("uploads", "results"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    listing = [{"AttributeName": "listing_key", "KeyType": "HASH"}, {"AttributeName": "created_at", "KeyType": "RANGE"}]
    dynamodb.create_table(
        TableName="jobs",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "listing_key", "created_at")],
        GlobalSecondaryIndexes=[{"IndexName": "listing", "KeySchema": listing, "Projection": {"ProjectionType": "ALL"}}],
    )
    dynamodb.create_table(
        TableName="config",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}, {"AttributeName": "version", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "name", "AttributeType": "S"},
            {"AttributeName": "version", "AttributeType": "N"},
        ],
    )
    keys = {"assertion_keys": {name: base64.b64encode(key).decode() for name, key in KEYS.keys.items()}}
    return {
        "HEARTMAP_ENVIRONMENT": "local",
        "HEARTMAP_UPLOADS_BUCKET": "uploads",
        "HEARTMAP_RESULTS_BUCKET": "results",
        "HEARTMAP_JOBS_TABLE": "jobs",
        "HEARTMAP_CONFIG_TABLE": "config",
        "HEARTMAP_QUEUE_URL": sqs.create_queue(QueueName="jobs", Attributes={"VisibilityTimeout": "120"})["QueueUrl"],
        "HEARTMAP_INTERNAL_HOST": HOST,
        "HEARTMAP_ASSERTION_KEYS": json.dumps(keys),
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }


def data_set(path: Path) -> Path:
    """CELLS of three kinds by GENES, most of the values zero."""
    import anndata

    generator = np.random.default_rng(1)
    rates = np.full(GENES, 0.1, np.float32)
    kinds = np.stack([np.where(np.arange(GENES) // 20 == kind, 8.0, rates) for kind in range(3)])
    counts = generator.poisson(kinds[np.arange(CELLS) % 3]).astype(np.float32)
    data = anndata.AnnData(scipy.sparse.csr_matrix(counts))
    data.obs_names = [f"cell-{number}" for number in range(CELLS)]
    data.var_names = [f"GENE{number}" for number in range(GENES)]
    data.write_h5ad(path)
    return path


def submit(port: int, path: Path) -> str:
    """Uploads the data set and submits its analysis; the analysis's id."""

    def post(route: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {HEADER: assertion("POST", route), "Host": HOST}
        # The certificate is made at each start, as for the load balancer.
        answer = httpx.post(f"https://127.0.0.1:{port}{route}", json=body, headers=headers, timeout=30, verify=False)  # noqa: S501
        if answer.status_code not in (201, 202):
            raise SystemExit(f"POST {route} answered {answer.status_code}: {answer.text}")
        return answer.json()

    ticket = post("/uploads", {"name": path.name, "bytes": path.stat().st_size})
    with path.open("rb") as file:
        requests.post(ticket["url"], data=ticket["fields"], files={"file": file}, timeout=120).raise_for_status()
    return post("/analyses", {"upload_id": ticket["upload_id"], "analysis_type": "basic"})["analysis_id"]


def measure(port: int, api: subprocess.Popen[bytes], environment: dict[str, str], directory: Path) -> Iterator[Row]:
    paths = ("/health", "/models", "/config/versions", "/config")
    asyncio.run(unpaced(port, 8, 2000, paths))
    idle = p95(asyncio.run(paced(port, 1, SECONDS, 1 / PROBES_A_SECOND)))
    yield Row("GET /health, one client, nothing else (IDLE)", idle, "ms", None)
    many = p95(asyncio.run(paced(port, CLIENTS, SECONDS, PACE)))
    yield Row(f"GET /health of {CLIENTS} clients that call every second", many / idle, "x IDLE", 3.0)
    process = psutil.Process(api.pid)
    spent = sum(process.cpu_times()[:2])
    rate = asyncio.run(unpaced(port, CLIENTS, UNPACED, ("/health",)))
    yield Row(f"{CLIENTS} clients that call without a pause", rate, "calls/s", None)
    spent = sum(process.cpu_times()[:2]) - spent
    yield Row("CPU time of each of these, their handshakes included", spent / UNPACED * 1000, "ms", None)
    before = process.memory_info().rss
    asyncio.run(unpaced(port, 16, CALLS, paths))
    yield Row(f"memory after {CALLS:,} more calls", process.memory_info().rss / before, "x before", 1.05)
    path, log, scratch = data_set(directory / "cells.h5ad"), directory / "worker.log", directory / "worker"
    scratch.mkdir()
    with running("heartmap_service.worker", environment=environment | {"HEARTMAP_SCRATCH_DIR": str(scratch)}, log=log):
        taken, state = asyncio.run(beside_an_analysis(port, submit(port, path)))
        if state != "succeeded":
            raise SystemExit(f"The analysis ended {state}: {log.read_text()[-2000:]}")
    yield Row(f"GET /health beside an analysis of {CELLS:,} cells", p95(taken), "ms", 10.0)


def main() -> None:
    # Ended from outside it ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="heartmap-bench-") as name:
        directory = Path(name)
        aws_port, port = free_port(), free_port()
        (directory / "api").mkdir()
        aws_log, api_log = directory / "aws.log", directory / "api.log"
        arguments = ("-H", "127.0.0.1", "-p", str(aws_port))
        with running("moto.server", *arguments, environment={}, log=aws_log) as aws:
            wait_for(aws_port, aws, aws_log)
            environment = make_aws(f"http://127.0.0.1:{aws_port}")
            of_api = {"HEARTMAP_PORT": str(port), "HEARTMAP_SCRATCH_DIR": str(directory / "api")}
            with running("heartmap_service.api", environment=environment | of_api, log=api_log) as api:
                wait_for(port, api, api_log)
                print(f"{'':58}{'':>9} {'':9}{'at most':>8}")
                for row in measure(port, api, environment, directory):
                    tell(row)


def tell(row: Row) -> None:
    target = f"{row.target:8.2f}" if row.target is not None else ""
    verdict = "" if row.target is None else "  yes" if row.value <= row.target else "  NO"
    print(f"{row.name:58}{row.value:9.2f} {row.unit:9}{target}{verdict}", flush=True)


if __name__ == "__main__":
    main()
