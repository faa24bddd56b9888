import base64
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from heartmap_service.settings import ApiSettings, WorkerSettings, load
from lambda_authorizer.assertion import HEADER

KEY = base64.b64encode(b"\x01" * 32).decode()
ENVIRONMENT = {
    "HEARTMAP_ENVIRONMENT": "local",
    "HEARTMAP_UPLOADS_BUCKET": "uploads",
    "HEARTMAP_RESULTS_BUCKET": "results",
    "HEARTMAP_JOBS_TABLE": "jobs",
    "HEARTMAP_CONFIG_TABLE": "config",
    "HEARTMAP_QUEUE_URL": "http://queue",
    "HEARTMAP_INTERNAL_HOST": "internal.heartmap.test",
    "HEARTMAP_ASSERTION_KEYS": json.dumps({"assertion_keys": {"k1": KEY}}),
    "AWS_REGION": "us-east-1",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_the_environment_of_the_task_definition_is_enough(environment: pytest.MonkeyPatch) -> None:
    settings = load(ApiSettings)
    assert settings.assertion_keys == {"k1": b"\x01" * 32}
    assert (settings.port, settings.bind_address, settings.stage) == (8443, "127.0.0.1", "live")
    assert settings.log_level == "INFO"
    worker = load(WorkerSettings)
    assert (worker.aws_endpoint_url, worker.ecs_agent_uri) == (None, None)
    assert KEY not in repr(settings)


@pytest.mark.parametrize("name", ENVIRONMENT)
@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_a_missing_setting_refuses_the_start_and_is_named(environment: pytest.MonkeyPatch, name: str, value: str | None) -> None:
    if value is None:
        environment.delenv(name)
    else:
        environment.setenv(name, value)
    with pytest.raises(SystemExit, match=f"{name}: "):
        load(ApiSettings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEARTMAP_ENVIRONMENT", "production"),
        ("HEARTMAP_PORT", "70000"),
        ("HEARTMAP_JOB_MEMORY_BYTES", "1000"),
        ("HEARTMAP_MAX_UPLOAD_BYTES", "lots"),
        ("HEARTMAP_LOG_LEVEL", "TRACE"),
        ("HEARTMAP_ASSERTION_KEYS", "s3cret"),
        ("HEARTMAP_ASSERTION_KEYS", '{"assertion_keys": {}}'),
        ("HEARTMAP_ASSERTION_KEYS", '{"assertion_keys": {"k": "s3cret=="}}'),
        ("HEARTMAP_ASSERTION_KEYS", '{"k1": "s3cret"}'),
    ],
)
def test_a_malformed_setting_is_named_and_its_value_is_not(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv(name, value)
    with pytest.raises(SystemExit) as refused:
        load(ApiSettings)
    assert name in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_direct_identity_needs_no_keys_of_assertions_and_no_other_does_without(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("HEARTMAP_ASSERTION_KEYS")
    for value in ("", "assertion"):
        environment.setenv("HEARTMAP_IDENTITY", value)
        with pytest.raises(SystemExit, match="HEARTMAP_ASSERTION_KEYS: "):
            load(ApiSettings)
    environment.setenv("HEARTMAP_IDENTITY", "nobody")
    with pytest.raises(SystemExit, match="HEARTMAP_IDENTITY: "):
        load(ApiSettings)
    environment.setenv("HEARTMAP_IDENTITY", "direct")
    assert load(ApiSettings).assertion_keys is None


def test_trusted_proxies_are_networks(environment: pytest.MonkeyPatch) -> None:
    assert load(ApiSettings).trusted_proxies == ()
    environment.setenv("HEARTMAP_TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8,192.0.2.1")
    assert [str(network) for network in load(ApiSettings).trusted_proxies] == ["10.0.0.0/8", "fd00::/8", "192.0.2.1/32"]
    # The last is a mistake for 10.0.0.1/32 or 10.0.0.0/8: too many would be trusted.
    for wrong in ("anywhere", "10.0.0.0/8,,", "10.0.0.1/8"):
        environment.setenv("HEARTMAP_TRUSTED_PROXIES", wrong)
        with pytest.raises(SystemExit, match="HEARTMAP_TRUSTED_PROXIES: "):
            load(ApiSettings)


def test_a_certificate_comes_with_its_key(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert load(ApiSettings).tls_certificate is None
    file = tmp_path / "file.pem"
    file.touch()
    for name in ("HEARTMAP_TLS_CERTIFICATE", "HEARTMAP_TLS_KEY"):
        with environment.context() as alone:
            alone.setenv(name, str(file))
            with pytest.raises(SystemExit, match="HEARTMAP_TLS_CERTIFICATE and HEARTMAP_TLS_KEY, or neither"):
                load(ApiSettings)
    environment.setenv("HEARTMAP_TLS_CERTIFICATE", str(file))
    environment.setenv("HEARTMAP_TLS_KEY", str(tmp_path / "missing.pem"))
    with pytest.raises(SystemExit, match="HEARTMAP_TLS_KEY: "):
        load(ApiSettings)
    environment.setenv("HEARTMAP_TLS_KEY", str(file))
    assert load(ApiSettings).tls_key == file


def test_ecs_says_where_its_agent_is(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ECS_AGENT_URI", "http://169.254.170.2/api/1")
    environment.setenv("HEARTMAP_LOG_LEVEL", "DEBUG")
    worker = load(WorkerSettings)
    assert (worker.ecs_agent_uri, worker.log_level) == ("http://169.254.170.2/api/1", "DEBUG")


def test_a_cache_seed_that_is_not_there_refuses_the_start(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HEARTMAP_NUMBA_CACHE_SEED", "/nowhere")
    with pytest.raises(SystemExit, match="HEARTMAP_NUMBA_CACHE_SEED"):
        load(WorkerSettings)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def emulated(aws: Any) -> Iterator[str]:
    """The same emulated AWS behind HTTP, for processes."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def start(emulated: str, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []

    def run(module: str, *, stderr: int | None = None, **changes: str) -> subprocess.Popen[bytes]:
        queue = boto3.client("sqs", region_name="us-east-1", endpoint_url=emulated).create_queue(QueueName="process")
        environment = {
            **ENVIRONMENT,
            "HEARTMAP_QUEUE_URL": queue["QueueUrl"],
            "HEARTMAP_SCRATCH_DIR": str(tmp_path),
            "AWS_ENDPOINT_URL": emulated,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "PATH": os.environ["PATH"],
            **changes,
        }
        root = Path(__file__).resolve().parents[2]
        process = subprocess.Popen(
            [sys.executable, "-m", module], cwd=root, env=environment, stdout=subprocess.PIPE, stderr=stderr
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def test_the_api_serves_tls_and_ends_at_sigterm(start: Any, admin: Any, tmp_path: Path) -> None:
    port = free_port()
    process = start("heartmap_service.api", HEARTMAP_PORT=str(port))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=context) as client:
        end = time.monotonic() + 60
        while True:
            try:
                assert client.get("/healthz").json() == {"status": "ok"}
                break
            except httpx.ConnectError:
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.1)
        refused = client.get("/health", headers={"Host": "internal.heartmap.test"})
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        headers = {"Host": "internal.heartmap.test", HEADER: admin.assertion("GET", "/health")}
        answer = client.get("/health", headers=headers)
        assert answer.json() == {"status": "healthy"}
        assert "server" not in answer.headers
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=25)
    assert process.returncode in (0, -signal.SIGTERM)
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["status"] for line in lines if line["event"] == "call"] == [401, 200]
    # The private key does not stay on disk.
    assert list(tmp_path.iterdir()) == []


def test_an_api_without_the_gateway_needs_the_authorizers_environment_at_its_start(start: Any) -> None:
    process = start("heartmap_service.api", HEARTMAP_IDENTITY="direct", HEARTMAP_PORT=str(free_port()))
    assert process.wait(timeout=60) == 1


def test_a_certificate_that_is_none_is_told_without_a_stack(start: Any, tmp_path: Path) -> None:
    file = tmp_path / "file.pem"
    file.write_text("nothing")
    files = {"HEARTMAP_TLS_CERTIFICATE": str(file), "HEARTMAP_TLS_KEY": str(file)}
    process = start("heartmap_service.api", HEARTMAP_PORT=str(free_port()), stderr=subprocess.PIPE, **files)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"HEARTMAP_TLS_CERTIFICATE and HEARTMAP_TLS_KEY" in errors
    assert b"Traceback" not in errors


def test_the_worker_sweeps_at_its_start_and_ends_at_sigterm(start: Any, tmp_path: Path) -> None:
    (tmp_path / "heartmap-job-dead").mkdir()
    process = start("heartmap_service.worker")
    assert json.loads(process.stdout.readline())["swept_directories"] == 1
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=25)
    assert process.returncode == 0
    assert json.loads(output.splitlines()[-1])["event"] == "worker stopped"
