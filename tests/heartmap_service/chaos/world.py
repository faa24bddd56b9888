"""The API and workers as processes, which are killed and stopped at random, on an emulated AWS that fails at random; clients that
send what they want until they are answered; and what must be true in the end."""

import base64
import collections
import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from heartmap_service.clients import Clients, connect
from heartmap_service.records import Analysis, from_item
from heartmap_service.sandbox import sweep
from heartmap_service.settings import ServiceSettings
from lambda_authorizer.assertion import HEADER, Keys, mint
from local_cloud.service_resources import REGION, create
from tests.heartmap_service.chaos.faulty_proxy import FaultyProxy
from tests.heartmap_service.chaos.worker import TIMES

HOST = "internal.heartmap.test"
KEY = b"\x01" * 32
ENDED = ("succeeded", "failed", "cancelled")
ROOT = Path(__file__).resolve().parents[3]
PROPER_FAILURES = frozenset({"lost", "upload_missing", "check_failed"})


@dataclass
class Member:
    """A process that is started anew whenever it ends."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    starts: int = 0

    def ensure(self) -> None:
        if self.process is None or self.process.poll() is not None:
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(self.command, env=self.environment, cwd=ROOT, stdout=log, stderr=log)
            self.starts += 1

    def signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def end(self) -> None:
        """By SIGTERM, and SIGKILL if that takes too long."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if self.process is not None:
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@dataclass
class Report:
    seconds: float = 0.0
    states: dict[str, int] = field(default_factory=dict)
    signals: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    attempts: int = 0
    wrong: list[str] = field(default_factory=list)


class World:
    def __init__(self, directory: Path, *, kind: str, workers: int, seed: int, rate: float, caches: Path | None = None) -> None:
        self.directory = directory
        self.kind = kind
        self.random = random.Random(seed)  # noqa: S311  # to be repeated, not to be secret
        self.scratch = directory / "scratch"
        self.scratch.mkdir()
        self.signals: dict[str, int] = collections.Counter()
        self._moto = subprocess.Popen(
            [sys.executable, "-m", "local_cloud.moto_server", "--port", "0"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._moto.stdout is not None
        port = int(self._moto.stdout.readline().decode().strip().rstrip(".").rpartition(":")[2])
        self.proxy = FaultyProxy(port, seed=seed, rate=0.0)
        self.rate = rate
        names = dict.fromkeys(("uploads_bucket", "results_bucket", "jobs_table", "config_table", "queue_url"), "")
        self.clients: Clients = connect(
            ServiceSettings(environment="local", region=REGION, aws_endpoint_url=f"http://127.0.0.1:{port}", **names)
        )
        try:
            self.settings = create(self.clients, visibility=TIMES[kind]["visibility"])
        except Exception:
            self._moto.kill()
            raise
        self.api_port = _free_port()
        environment = self._environment()
        self.api = Member("api", [sys.executable, "-m", "heartmap_service.api"], environment, directory / "api.log")
        seed_variable = {"HEARTMAP_NUMBA_CACHE_SEED": str(caches)} if caches else {}
        command = [sys.executable, "-m", "tests.heartmap_service.chaos.worker", kind]
        self.workers = [
            Member(f"worker-{number}", command, environment | seed_variable, directory / f"worker-{number}.log")
            for number in range(workers)
        ]
        self._over = threading.Event()
        self._http = httpx.Client(verify=False, timeout=15, base_url=f"https://127.0.0.1:{self.api_port}")  # noqa: S501  # self-signed

    def _environment(self) -> dict[str, str]:
        settings = {f"HEARTMAP_{name.upper()}": value for name, value in self.settings.items() if name != "region"}
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "PYTHONPATH": str(ROOT),
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.proxy.server_port}",
            "HEARTMAP_SCRATCH_DIR": str(self.scratch),
            "HEARTMAP_ASSERTION_KEYS": json.dumps({"assertion_keys": {"k1": base64.b64encode(KEY).decode()}}),
            "HEARTMAP_INTERNAL_HOST": HOST,
            "HEARTMAP_PORT": str(self.api_port),
            "HEARTMAP_QUOTA_QUEUED_JOBS": "500",
            "HEARTMAP_QUOTA_JOBS_PER_DAY": "5000",
            **settings,
        }

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """All processes run, and are started anew when they ended."""
        keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            self._over.set()
            keeper.join()

    def _keep(self) -> None:
        while not self._over.is_set():
            for member in (self.api, *self.workers):
                member.ensure()
            self._over.wait(0.2)

    def close(self) -> None:
        self._over.set()
        for member in (*self.workers, self.api):
            member.end()
        self.proxy.shutdown()
        self.proxy.server_close()
        self._moto.terminate()
        self._moto.wait()
        self._http.close()

    # Chaos

    def torment(self, wanted: Callable[[], bool], *, pause: tuple[float, float]) -> None:
        """Sends signals to one process after the other while it is wanted."""
        self.proxy.rate = self.rate
        while wanted():
            time.sleep(self.random.uniform(*pause))
            member = self.random.choice([self.api, *self.workers, *self.workers])
            action = self.random.choice(("SIGKILL", "SIGTERM", "SIGSTOP"))
            self.signals[action] += 1
            member.signal(getattr(signal, action))
            if action == "SIGSTOP":
                # Longer than the lease, or shorter.
                time.sleep(TIMES[self.kind]["lease"] * self.random.choice((0.3, 1.5)))
                member.signal(signal.SIGCONT)
        self.proxy.rate = 0.0

    # Clients

    def call(self, principal: str, method: str, path: str, route: str, **arguments: Any) -> httpx.Response:
        """Until it is answered with something that is no fault of the service."""
        end = time.monotonic() + 240
        while time.monotonic() < end:
            assertion = mint(
                Keys("k1", {"k1": KEY}),
                principal=principal,
                groups=("analyst",),
                scopes=(),
                route=route,
                method=method,
                request_id="chaos",
                now=time.time(),
            )
            headers = {"Host": HOST, HEADER: assertion, **arguments.get("headers", {})}
            with contextlib.suppress(httpx.HTTPError):
                answer = self._http.request(method, path, json=arguments.get("json"), headers=headers)
                if answer.status_code < 500:
                    return answer
            time.sleep(0.3)
        raise AssertionError(f"{method} {path} was never answered")

    def upload(self, principal: str, body: bytes) -> str:
        """By presigned POST, which the client repeats as well."""
        document = {"name": "cells.h5ad", "bytes": len(body)}
        key = {"Idempotency-Key": uuid.uuid4().hex}
        answer = self.call(principal, "POST", "/uploads", "/uploads", json=document, headers=key)
        assert answer.status_code == 201, answer.text
        new = answer.json()
        end = time.monotonic() + 120
        while time.monotonic() < end:
            with contextlib.suppress(httpx.HTTPError):
                sent = httpx.post(new["url"], data=new["fields"], files={"file": ("cells.h5ad", body)}, timeout=15)
                if sent.status_code < 300:
                    return new["upload_id"]
            time.sleep(0.2)
        raise AssertionError("the upload was never taken")

    def submit(self, principal: str, upload_id: str, analysis_type: str) -> str | None:
        """The id; None when the service says for good that it will not."""
        document = {"upload_id": upload_id, "analysis_type": analysis_type}
        key = {"Idempotency-Key": uuid.uuid4().hex}
        answer = self.call(principal, "POST", "/analyses", "/analyses", json=document, headers=key)
        return answer.json()["analysis_id"] if answer.status_code == 202 else None

    # What there is

    def rows(self, prefix: str) -> dict[str, dict[str, Any]]:
        found: dict[str, Any] = {}
        pages: Any = self.clients.dynamodb.get_paginator("scan").paginate(TableName="jobs", ConsistentRead=True)
        for page in pages:
            found |= {item["pk"]["S"]: item for item in page["Items"] if item["pk"]["S"].startswith(prefix)}
        return found

    def analyses(self) -> dict[str, Analysis]:
        return {item["analysis_id"]["S"]: from_item(Analysis, item) for item in self.rows("analysis#").values()}

    def messages(self, queue: str = "jobs") -> int:
        url = self.clients.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        names: Any = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        answer = self.clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return sum(int(number) for number in answer["Attributes"].values())

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.3)
        return True

    # What must be true

    def wrong(self, accepted: dict[str, str]) -> list[str]:
        """What is not as it must be, once all is over. ``accepted`` maps the analyses that clients know to their principals."""
        analyses = self.analyses()
        wrong = [f"{name}: lost or unknown to its client" for name in analyses.keys() ^ accepted.keys()]
        for name, analysis in analyses.items():
            wrong += [f"{name}: {what}" for what in self._wrong_with(analysis)]
        wrong += self._wrong_counts(accepted)
        if self.messages() or self.messages("dead"):
            wrong.append(f"{self.messages()} messages are left, {self.messages('dead')} were given up")
        if left := self.rows("listing#queued#"):
            wrong.append(f"{len(left)} rows are left in the list of what waits")
        sweep(self.scratch)
        wrong += [f"{path.name} is left" for path in self.scratch.glob("heartmap-job-*")]
        return wrong

    def _wrong_with(self, analysis: Analysis) -> Iterator[str]:
        published = len(self.proxy.published[f"analysis#{analysis.analysis_id}"])
        if published != (analysis.state == "succeeded"):
            yield f"is {analysis.state} and was published {published} times"
        if analysis.state == "failed" and analysis.code not in PROPER_FAILURES:
            yield f"failed with {analysis.code}: {analysis.detail}"
        if analysis.state not in ENDED:
            yield f"is {analysis.state}"
        for file in analysis.files or []:
            key = f"results/{analysis.analysis_id}/{analysis.attempt}/{file['name']}"
            body = self.clients.s3.get_object(Bucket="results", Key=key)["Body"].read()
            if (len(body), hashlib.sha256(body).hexdigest()) != (file["bytes"], file["sha256"]):
                yield f"{file['name']} is not what was published"
        if analysis.state == "succeeded" and [file["name"] for file in analysis.files or []][-1:] != ["manifest.json"]:
            yield "its manifest is not its last file"

    def _wrong_counts(self, accepted: dict[str, str]) -> Iterator[str]:
        counts = self.rows("quota#")
        for principal, jobs in collections.Counter(accepted.values()).items():
            unfinished = counts.get(f"quota#{principal}", {}).get("unfinished", {}).get("N")
            if unfinished != "0":
                yield f"{principal} has {unfinished} unfinished analyses on its count"
            # Over midnight there are two rows.
            charged = sum(
                int(row.get("jobs", {}).get("N", "0")) for pk, row in counts.items() if pk.startswith(f"quota#{principal}#")
            )
            if charged != jobs:
                yield f"{principal} was charged {charged} analyses for {jobs}"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def run(
    directory: Path,
    *,
    kind: str,
    jobs: int,
    principals: int,
    workers: int,
    seed: int,
    rate: float,
    pause: tuple[float, float],
    body: bytes,
    patience: float,
    caches: Path | None = None,
) -> Report:
    """``jobs`` analyses by so many principals, in chaos until all have ended; then quiet, for what is left over."""
    world = World(directory, kind=kind, workers=workers, seed=seed, rate=rate, caches=caches)
    report, began = Report(), time.monotonic()
    accepted: dict[str, str] = {}
    submitted = threading.Event()

    def client(number: int) -> None:
        principal = f"principal-{number}"
        upload_id = world.upload(principal, body)
        for _ in range(number, jobs, principals):
            if analysis_id := world.submit(principal, upload_id, "basic"):
                accepted[analysis_id] = principal

    def all_ended() -> bool:
        return submitted.is_set() and all(analysis.state in ENDED for analysis in world.analyses().values())

    try:
        with world.at_work():
            tormentor = threading.Thread(
                target=world.torment,
                args=(lambda: not all_ended() and time.monotonic() - began < patience,),
                kwargs={"pause": pause},
                daemon=True,
            )
            people = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(principals)]
            for thread in (tormentor, *people):
                thread.start()
            for person in people:
                person.join(patience)
            submitted.set()
            tormentor.join()
            world.wait(lambda: all_ended() and world.messages() == 0, patience)
        for member in (*world.workers, world.api):
            member.end()
        report.wrong = world.wrong(accepted)
        if len(accepted) != jobs:
            report.wrong.append(f"{jobs - len(accepted)} requests were refused")
        analyses = world.analyses().values()
        report.states = dict(collections.Counter(f"{a.state} {a.code or ''}".strip() for a in analyses))
        report.attempts = sum(a.attempt for a in analyses)
        report.signals, report.faults = dict(world.signals), dict(world.proxy.faults)
        report.seconds = time.monotonic() - began
    finally:
        world.close()
    return report
