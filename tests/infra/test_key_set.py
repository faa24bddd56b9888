import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import tenacity

from infra import key_set
from infra.key_set import NO_KEYS, KeySetError, fetch

POOL = "us-east-1_AbCdEf123"
KEYS = json.dumps({"keys": [{"kid": "one", "kty": "RSA"}]}).encode()


class Pool:
    """A server that answers what the test says, in order; the last answer is repeated."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes, dict[str, str]]] = [(200, KEYS, {})]
        self.paths: list[str] = []
        pool = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                pool.paths.append(self.path)
                status, body, headers = pool.answers.pop(0) if len(pool.answers) > 1 else pool.answers[0]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the handler's own name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    monkeypatch.setattr(key_set._get.retry, "wait", tenacity.wait_none())  # pyright: ignore[reportFunctionMemberAccess]  # tenacity adds it
    server = Pool()
    yield server
    server.stop()


def test_the_key_set_of_the_pool_is_fetched_as_it_is(pool: Pool) -> None:
    assert fetch(POOL, region="us-east-1", endpoint=pool.url) == KEYS
    assert pool.paths == [f"/{POOL}/.well-known/jwks.json"]


@pytest.mark.parametrize(
    "pool_id", ["", "UserPool/identity", "${aws_cognito_user_pool.identity.id}", "us-east-1_../x", "us-east-1_A\n"]
)
def test_what_is_no_pool_id_is_never_asked_for_and_has_no_keys(pool: Pool, pool_id: str) -> None:
    assert fetch(pool_id, region="us-east-1", endpoint=pool.url) == NO_KEYS
    assert pool.paths == []


def test_a_server_that_fails_for_a_moment_is_asked_again(pool: Pool) -> None:
    pool.answers = [(503, b"", {}), (200, KEYS, {})]
    assert fetch(POOL, region="us-east-1", endpoint=pool.url) == KEYS


def test_a_server_that_keeps_failing_is_given_up_with_advice(pool: Pool) -> None:
    pool.answers = [(500, b"", {})]
    with pytest.raises(KeySetError, match=r"cannot be fetched .* check the network and run the deployment again"):
        fetch(POOL, region="us-east-1", endpoint=pool.url)
    assert len(pool.paths) == key_set.ATTEMPTS


def test_a_redirect_is_not_followed(pool: Pool) -> None:
    pool.answers = [(302, b"", {"Location": f"{pool.url}/elsewhere"})]
    with pytest.raises(KeySetError):
        fetch(POOL, region="us-east-1", endpoint=pool.url)
    assert "/elsewhere" not in pool.paths


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"keys": []}', b'{"keys": "none"}', b"null"])
def test_what_is_no_key_set_is_refused(pool: Pool, body: bytes) -> None:
    pool.answers = [(200, body, {})]
    with pytest.raises(KeySetError, match="is no key set"):
        fetch(POOL, region="us-east-1", endpoint=pool.url)


def test_an_endless_answer_is_cut_off(pool: Pool) -> None:
    pool.answers = [(200, b" " * (key_set.SIZE_LIMIT + 1), {})]
    with pytest.raises(KeySetError, match="larger than 65536 bytes"):
        fetch(POOL, region="us-east-1", endpoint=pool.url)
