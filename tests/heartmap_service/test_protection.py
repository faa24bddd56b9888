import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import structlog

from heartmap_service.clients import Clients
from heartmap_service.protection import TaskProtection
from heartmap_service.worker import Worker
from tests.heartmap_service.jobs import FACTS

PROTECT = {"ProtectionEnabled": True, "ExpiresInMinutes": 15}
RELEASE = {"ProtectionEnabled": False}


class Agent:
    """The ECS agent's endpoint, as far as a worker asks it. ``answers`` are given before it obliges again."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answers: list[tuple[int, bytes]] = []
        agent = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                state = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/api/1/task-protection/v1/state"
                agent.asked.append(state)
                protection = {"ProtectionEnabled": state["ProtectionEnabled"], "ExpirationDate": None, "TaskArn": "arn"}
                status, body = agent.answers.pop(0) if agent.answers else (200, json.dumps({"protection": protection}).encode())
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - the base's own name

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self.server.server_port}/api/1"


@pytest.fixture
def agent() -> Iterator[Agent]:
    agent = Agent()
    thread = threading.Thread(target=agent.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield agent
    agent.server.shutdown()
    agent.server.server_close()
    thread.join()


def test_a_task_is_protected_while_the_block_runs_and_no_longer(agent: Agent) -> None:
    protection = TaskProtection(agent.uri)
    with protection.held():
        assert agent.asked == [PROTECT]
    assert agent.asked == [PROTECT, RELEASE]


def test_the_protection_ends_when_the_job_fails(agent: Agent) -> None:
    with pytest.raises(LookupError), TaskProtection(agent.uri).held():
        raise LookupError
    assert agent.asked == [PROTECT, RELEASE]


def test_the_protection_is_renewed_when_it_is_due_and_not_before(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("heartmap_service.protection.time.monotonic", lambda: now[0])
    protection = TaskProtection(agent.uri)
    with protection.held():
        now[0] += 299
        protection.renew()
        assert agent.asked == [PROTECT]
        now[0] += 1
        protection.renew()
        protection.renew()
        assert agent.asked == [PROTECT, PROTECT]


def test_the_protection_outlasts_a_failed_renewal() -> None:
    from heartmap_service import protection

    assert 2 * protection.RENEWAL < protection.EXPIRES_MINUTES * 60


def test_without_an_agent_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib3.PoolManager.request", lambda *_, **__: pytest.fail("something was asked"))
    with TaskProtection(None).held():
        pass


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, b'{"failure": {"Arn": "arn", "Detail": null, "Reason": "DEPLOYMENT_BLOCKED"}}', "DEPLOYMENT_BLOCKED"),
        (400, b'{"error": {"Arn": "arn", "Code": "AccessDeniedException", "Message": "m"}}', "AccessDeniedException"),
        (200, b'{"protection": {"ProtectionEnabled": false}}', "unknown"),
        (200, b'{"protection": null}', "AttributeError"),
        (500, b"not JSON", "JSONDecodeError"),
        (200, b"[]", "AttributeError"),
    ],
)
def test_a_refusal_is_logged_and_stops_nothing(agent: Agent, status: int, body: bytes, reason: str) -> None:
    agent.answers.append((status, body))
    ran = False
    with structlog.testing.capture_logs() as lines, TaskProtection(agent.uri).held():
        ran = True
    assert ran
    assert lines[0] == {"event": "task protection not changed", "log_level": "warning", "wanted": True, "reason": reason}
    assert lines[1] == {"event": "task protection changed", "log_level": "debug", "protected": False}


def test_an_agent_that_does_not_answer_stops_nothing(agent: Agent) -> None:
    closed = agent.uri.replace(str(agent.server.server_port), "1")
    with structlog.testing.capture_logs() as lines, TaskProtection(closed).held():
        pass
    assert [line["event"] for line in lines] == ["task protection not changed"] * 2


@pytest.fixture
def protected(agent: Agent, worker_settings: Any, clients: Clients, monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.setattr("heartmap_service.queue.LONG_POLL", 0)
    return Worker(worker_settings.model_copy(update={"ecs_agent_uri": agent.uri}), clients, threading.Event())


def test_a_worker_is_protected_before_it_claims_an_analysis_until_that_has_ended(
    agent: Agent, protected: Worker, analyst: Any, upload: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_at_claim: list[list[dict[str, Any]]] = []
    analysis = analyst.call("POST", "/analyses", json={"upload_id": upload(b"no HDF5")}).json()["analysis_id"]
    claim = protected._analyses._store.claim

    def watched(*arguments: Any, **named: Any) -> Any:
        asked_at_claim.append(list(agent.asked))
        return claim(*arguments, **named)

    monkeypatch.setattr(protected._analyses._store, "claim", watched)
    while protected.step():
        pass
    assert analyst.call("GET", f"/analyses/{analysis}").json()["state"] == "failed"
    # The upload's check first, then the analysis.
    assert asked_at_claim == [[PROTECT, RELEASE, PROTECT]]
    assert agent.asked == [PROTECT, RELEASE] * 2


def test_an_idle_worker_and_one_with_a_message_that_runs_nothing_can_be_scaled_in(
    agent: Agent, protected: Worker, clients: Clients, aws: dict[str, Any]
) -> None:
    # S3's test event, a message of nobody's, and none.
    clients.sqs.send_message(QueueUrl=aws["queue_url"], MessageBody='{"surprise": true}')
    assert [protected.step() for _ in range(3)] == [True, True, False]
    assert agent.asked == []


def test_a_long_job_renews_the_protection(
    agent: Agent, protected: Worker, analyst: Any, upload: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(b"no HDF5")
    monkeypatch.setattr("heartmap_service.protection.RENEWAL", 0.0)

    def working(
        _sandbox: Any, _task: Any, _directory: Any, _limits: Any, keep_going: Callable[[str, float], bool]
    ) -> dict[str, Any]:
        end = time.monotonic() + 20
        while len(agent.asked) < 2:
            assert keep_going("scanning", 0.5)
            assert time.monotonic() < end, "the protection was not renewed"
            time.sleep(0.05)
        return FACTS

    monkeypatch.setattr("heartmap_service.sandbox.Sandbox.run", working)
    while protected.step():
        pass
    assert agent.asked[0] == agent.asked[1] == PROTECT
    assert agent.asked[-1] == RELEASE


def test_a_worker_that_cannot_be_protected_works_all_the_same(
    agent: Agent, protected: Worker, analyst: Any, upload: Callable[..., str]
) -> None:
    agent.answers += [(400, b'{"error": {"Code": "AccessDeniedException"}}')] * 2
    upload_id = upload(b"no HDF5")
    while protected.step():
        pass
    assert analyst.call("GET", f"/uploads/{upload_id}").json()["state"] == "rejected"
