"""An emulated AWS in this process, the application behind its gate, callers with real assertions, and data sets."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
import requests
import scipy.sparse
import structlog
from moto import mock_aws
from moto.core.models import botocore_stubber
from moto.moto_api._internal.models import moto_api_backend
from starlette.testclient import TestClient

from heartmap_service.api import create_app
from heartmap_service.clients import Clients, connect
from heartmap_service.settings import GIB, ApiSettings, ServiceSettings, WorkerSettings
from heartmap_service.timing import Timing
from heartmap_service.worker import Worker
from lambda_authorizer.access_policy import RULES
from lambda_authorizer.assertion import HEADER, Keys, mint
from local_cloud import moto_fixes_dynamodb, service_resources
from local_cloud.prepared import CACHES, prepared
from local_cloud.service_resources import REGION

KEYS = Keys("k1", {"k1": b"\x01" * 32})
HOST = "internal.heartmap.test"


@pytest.fixture(autouse=True)
def _no_real_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "HEARTMAP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


@pytest.fixture(autouse=True)
def _log_as_at_the_start() -> None:
    """What another test, or a program that it ran in this process, configured must not swallow lines."""
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def clients() -> Iterator[Clients]:
    """One emulated AWS for all tests: making clients takes longer than most of them."""
    for fix in moto_fixes_dynamodb.FIXES:
        fix()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        with mock_aws():
            names = dict.fromkeys(("uploads_bucket", "results_bucket", "jobs_table", "config_table", "queue_url"), "")
            yield connect(ServiceSettings(environment="local", region=REGION, **names))


@pytest.fixture
def aws(clients: Clients) -> dict[str, Any]:
    """Buckets, tables, queue and notification, as the stack deploys them, and empty; their names as settings."""
    moto_api_backend.reset()
    return service_resources.create(clients)


@pytest.fixture
def one_call_at_a_time(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads may meet between any two calls of AWS, and not within one: moto's are not atomic, as DynamoDB's are."""
    stubber, lock = type(botocore_stubber), threading.Lock()
    answer = stubber.__call__

    def alone(self: Any, *arguments: Any, **named: Any) -> Any:
        with lock:
            return answer(self, *arguments, **named)

    monkeypatch.setattr(stubber, "__call__", alone)


@pytest.fixture
def api_settings(aws: dict[str, Any]) -> ApiSettings:
    secret = {"assertion_keys": {"k1": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}}
    return ApiSettings(**aws, assertion_keys=secret, internal_host=HOST)


@pytest.fixture
def http(api_settings: ApiSettings, clients: Clients) -> TestClient:
    """Without an assertion."""
    return TestClient(create_app(api_settings, clients), base_url=f"https://{HOST}", raise_server_exceptions=False)


class Person:
    """Someone behind the authorizer: each call carries an assertion for its own method and route."""

    def __init__(self, http: TestClient, principal: str, groups: tuple[str, ...] = (), scopes: tuple[str, ...] = ()) -> None:
        self.principal = principal
        self._http = http
        self._groups = groups
        self._scopes = scopes

    def assertion(self, method: str, route: str, **changes: Any) -> str:
        claims = {
            "principal": self.principal,
            "groups": self._groups,
            "scopes": self._scopes,
            "route": route,
            "method": method,
            "request_id": "request-1",
            "now": time.time(),
        }
        return mint(changes.pop("keys", KEYS), **{**claims, **changes})

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        headers = {HEADER: self.assertion(method, route_of(method, path)), **arguments.pop("headers", {})}
        return self._http.request(method, path, headers=headers, **arguments)


def route_of(method: str, path: str) -> str:
    """The route of the access policy that a path belongs to."""
    parts = path.partition("?")[0].split("/")
    for known_method, route in RULES:
        pattern = route.split("/")
        if known_method != method or len(parts) != len(pattern):
            continue
        if all(want.startswith("{") or want == have for want, have in zip(pattern, parts, strict=True)):
            return route
    raise LookupError(f"no route {method} {path}")


@pytest.fixture
def viewer(http: TestClient) -> Person:
    return Person(http, "vera", ("viewer",))


@pytest.fixture
def analyst(http: TestClient) -> Person:
    return Person(http, "anna", ("analyst",))


@pytest.fixture
def other_analyst(http: TestClient) -> Person:
    return Person(http, "omar", ("analyst",))


@pytest.fixture
def admin(http: TestClient) -> Person:
    return Person(http, "ada", ("admin",))


@pytest.fixture
def program(http: TestClient) -> Callable[..., Person]:
    """A holder of an API key with the scopes given."""
    return lambda *scopes: Person(http, "robot", (), scopes)


@pytest.fixture
def upload(analyst: Person) -> Callable[..., str]:
    """Uploads bytes as the analyst does, by presigned POST; the id."""

    def send(body: bytes, *, person: Person = analyst) -> str:
        new = person.call("POST", "/uploads", json={"name": "cells.h5ad", "bytes": len(body)}).json()
        answer = requests.post(new["url"], data=new["fields"], files={"file": ("cells.h5ad", body)}, timeout=10)
        assert answer.status_code in (200, 204), answer.text
        return new["upload_id"]

    return send


@pytest.fixture(scope="session")
def caches() -> Path:
    """Warm caches, the ones that make local and the image have."""
    return prepared() / CACHES


@pytest.fixture
def worker_settings(aws: dict[str, Any], tmp_path: Path, caches: Path) -> WorkerSettings:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return WorkerSettings(**aws, scratch_dir=scratch, job_memory_bytes=4 * GIB, numba_cache_seed=caches, preload_large=False)


@pytest.fixture
def make_worker(
    worker_settings: WorkerSettings, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Worker]]:
    """Workers that do not wait: for messages, since tests ask them step by step, or until they try again. What is given is of
    their timing."""
    monkeypatch.setattr("heartmap_service.queue.LONG_POLL", 0)
    workers: list[Worker] = []

    def make(**timing: Any) -> Worker:
        without_delays = Timing(**{"retry_delay": 0, "scan_poll": 0.0, "pause": 0.0, **timing})
        workers.append(Worker(worker_settings, clients, threading.Event(), without_delays))
        return workers[-1]

    yield make
    for worker in workers:
        worker.close()


@pytest.fixture
def worker(make_worker: Callable[..., Worker]) -> Worker:
    return make_worker()


def drain(worker: Worker) -> None:
    while worker.step():
        pass


@pytest.fixture
def work(worker: Worker) -> Callable[[], None]:
    """Lets the worker handle everything that is on the queue."""
    return lambda: drain(worker)


def synthetic(cells: int = 200, genes: int = 500, *, seed: int = 1) -> anndata.AnnData:
    """Counts of three kinds of cell, each with genes of its own."""
    random = np.random.default_rng(seed)
    rates = np.full((cells, genes), 0.8)
    for kind in range(3):
        rates[kind::3, kind * 20 : kind * 20 + 20] = 8.0
    data = anndata.AnnData(scipy.sparse.csr_matrix(random.poisson(rates).astype(np.float32)))
    data.obs_names = [f"cell-{number}" for number in range(cells)]
    data.var_names = [f"GENE{number}" for number in range(genes)]
    data.obs["kind"] = [f"kind-{number % 3}" for number in range(cells)]
    data.obs["kind"] = data.obs["kind"].astype("category")
    return data


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 cells by 500 genes of counts, as write_h5ad writes them."""
    path = tmp_path_factory.mktemp("data") / "small.h5ad"
    synthetic().write_h5ad(path)
    return path


@pytest.fixture
def make_data() -> Callable[..., anndata.AnnData]:
    return synthetic
