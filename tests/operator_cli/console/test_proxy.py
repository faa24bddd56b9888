"""The API for the page: only what the access policy has, only to the environment, and nothing secret back."""

import json
import time
from typing import Any

import pytest

from lambda_authorizer.access_policy import ACCESS_POLICY
from operator_cli.console import proxy
from operator_cli.tokens import Tokens

ID = "01J8ZQ4Y7M3W5X9K2B6C1D0EFG"


def test_a_call_goes_on_with_the_sessions_credential(console: Any, server: Any, reply: Any, signed_in: Tokens) -> None:
    server.routes["GET", "/analyses"] = reply(
        200, {"analyses": []}, {"ETag": '"1"', "X-Request-Id": "req-9", "Set-Cookie": "a=b"}
    )
    answer = console.page.get(
        "/api/analyses?limit=5&cursor=a%2Fb%26c",
        headers={"If-None-Match": '"0"', "X-Other": "no", "Authorization": "Bearer mine"},
    )
    assert (answer.status_code, answer.json()) == (200, {"analyses": []})
    assert (answer.headers["etag"], answer.headers["x-request-id"]) == ('"1"', "req-9")
    assert "set-cookie" not in answer.headers
    sent = server.seen[-1]
    assert sent.path == "/analyses?limit=5&cursor=a%2Fb%26c"
    assert sent.headers["authorization"] == f"Bearer {signed_in.access_token}"
    assert sent.headers["if-none-match"] == '"0"'
    assert not {"x-other", "cookie", "origin", "x-heartmap-console", "x-forwarded-for"} & set(sent.headers)


def test_bodies_are_json_and_written_anew(console: Any, server: Any, reply: Any, signed_in: Tokens) -> None:
    server.routes["POST", "/analyses"] = reply(202, {"analysis_id": ID}, {"Retry-After": "3"})
    answer = console.page.post("/api/analyses", json={"upload_id": ID}, headers={"Idempotency-Key": "k-1"})
    assert (answer.status_code, answer.headers["retry-after"]) == (202, "3")
    assert server.seen[-1].json == {"upload_id": ID}
    assert server.seen[-1].headers["idempotency-key"] == "k-1"


def test_refusals_pass_as_they_are(console: Any, server: Any, reply: Any, signed_in: Tokens) -> None:
    document = {"status": 403, "code": "forbidden", "reason": "sign_in_too_old", "detail": "Sign in again.", "request_id": "r"}
    server.routes["POST", "/config"] = reply(403, document)
    answer = console.page.post("/api/config", json={"changes": {}})
    assert (answer.status_code, answer.json()) == (403, document)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "rule", [rule for rule in ACCESS_POLICY if rule.route != "/analyze"], ids=lambda rule: f"{rule.method} {rule.route}"
)
def test_every_row_of_the_access_policy_is_a_route(rule: Any) -> None:
    path = "/".join(ID if part.startswith("{") else part for part in rule.route.split("/"))
    assert proxy.rule_for(rule.method, path) is rule


def test_nothing_else_is_a_route(console: Any, server: Any, signed_in: Tokens) -> None:
    """Neither a method, nor a path that something on the way could read as another one."""
    port = console.port
    targets = [
        "/api/nothing",
        "/api//analyses",
        "/api/analyses/",
        "/api/analyses//results",
        f"/api/analyses/{ID}/../../keys",
        f"/api/analyses/..%2f{ID}",
        f"/api/analyses/%2e%2e/{ID}",
        f"/api/analyses/{ID}%2fresults",
        f"/api/analyses/{ID}%252fresults",
        f"/api/analyses/{ID};a=b",
        f"/api/analyses/{ID}\\results",
        f"/api/analyses/{ID}%00",
        "/api/analyses/.",
        "/api/analyses/..",
        "/api/@evil.example/analyses",
        "/api/:443/analyses",
        "/api/%40evil.example",
        "/api/https://evil.example/",
        "/api/%68ealth/x",
        "/api/analyze",
        "/api",
        "/../api/analyses",
        "/x/../api/analyses",
        "/api/../api/analyses",
        "/%2e%2e/api/analyses",
        "//api/analyses",
        "/API/analyses",
        f"http://127.0.0.1:{port}/api/analyses",
        "http://evil.example/api/analyses",
        "https://localhost:8443/analyses",
        "*",
    ]
    for target in targets:
        status = console.status_of(f"GET {target} HTTP/1.1\r\n".encode())
        assert status in (400, 403, 404) or (status == 200 and not target.startswith("/api/")), (target, status)
    for method in ("HEAD", "OPTIONS", "TRACE", "CONNECT", "PUT", "DELETE", "PATCH", "PROPFIND", "get"):
        assert console.status_of(f"{method} /api/analyses HTTP/1.1\r\n".encode()) in (403, 405), method
    assert not server.seen


def test_no_header_makes_it_another_call(console: Any, server: Any, reply: Any, signed_in: Tokens) -> None:
    server.routes["GET", "/analyses"] = reply(200, {})
    headers = (
        "X-HTTP-Method-Override: DELETE",
        "X-Original-URL: /keys",
        "X-Rewrite-URL: /keys",
        "X-Forwarded-Host: evil.example",
    )
    assert console.status_of(("GET /api/analyses HTTP/1.1\r\n" + "".join(f"{each}\r\n" for each in headers)).encode()) == 200
    (sent,) = server.seen
    assert (sent.method, sent.path) == ("GET", "/analyses")
    assert not [name for name in sent.headers if name.startswith(("x-http", "x-orig", "x-rewrite", "x-forwarded"))]
    assert sent.headers["host"] == server.url.removeprefix("https://")


@pytest.mark.parametrize(
    "header",
    [
        "If-Match: a\tb",
        "If-Match: \xe9",
        f"If-Match: {'a' * 600}",
        "If-Match: a\r\nIf-Match: b",
        "If-Match: a\x00b",
        "Idempotency-Key: a\rX: b",
    ],
)
def test_headers_that_could_be_read_otherwise_are_not_passed_on(
    console: Any, server: Any, signed_in: Tokens, header: str
) -> None:
    assert console.status_of(b"GET /api/analyses HTTP/1.1\r\n" + header.encode("latin-1") + b"\r\n") == 400
    assert not server.seen


@pytest.mark.parametrize(
    "framing",
    [
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n",
        "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n",
        "Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
        "Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
        "Content-Length: -1\r\n\r\n{}",
        "Content-Length: 2, 2 3\r\n\r\n{}",
        "Content-Length : 2\r\n\r\n{}",
    ],
)
def test_a_body_has_one_length(console: Any, server: Any, signed_in: Tokens, framing: str) -> None:
    line = b"POST /api/analyses HTTP/1.1\r\nContent-Type: application/json\r\n"
    assert console.status_of(line + framing.encode()) in (400, 411, 501)
    assert not server.seen


def test_bodies_have_bounds(console: Any, server: Any, reply: Any, signed_in: Tokens) -> None:
    server.routes["POST", "/analyses"] = reply(202, {})
    line = b"POST /api/analyses HTTP/1.1\r\nContent-Type: application/json\r\n"
    # Refused by its announcement: nothing of it is read.
    assert console.status_of(line + b"Content-Length: 99999999999\r\n") == 413
    assert console.page.post("/api/analyses", json={"a": "x" * 70_000}).status_code == 413
    assert console.page.request("GET", "/api/analyses", json={"a": 1}).status_code == 413
    assert console.page.post("/console/uploads", json={"name": "x" * 70_000}).status_code == 413
    assert console.page.get(f"/api/analyses?cursor={'x' * 5000}").status_code == 414
    assert console.page.get(f"/api/analyses?{'&'.join(f'a{n}=1' for n in range(60))}").status_code == 400
    assert (
        console.page.post("/api/analyses", content=b"[" * 60_000, headers={"Content-Type": "application/json"}).status_code == 400
    )
    assert not server.seen


def test_a_body_that_does_not_come_is_not_waited_for(
    console: Any, server: Any, signed_in: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operator_cli.console.bodies.JSON_SECONDS", 0.2)
    line = b"POST /api/analyses HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 40\r\n"
    began = time.monotonic()
    assert console.status_of(line + b"\r\n{") == 408
    assert time.monotonic() - began < 2.5


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(console: Any, server: Any, bucket: Any, reply: Any, signed_in: Tokens, status: int) -> None:
    bucket.routes["GET", "/elsewhere"] = reply(200, {"secret": 1})
    server.routes["GET", "/analyses"] = reply(status, None, {"Location": f"{bucket.url}/elsewhere"})
    answer = console.page.get("/api/analyses")
    assert answer.status_code == 502
    assert "location" not in answer.headers
    assert not bucket.seen


def test_presigned_addresses_do_not_pass(console: Any, server: Any, reply: Any, signed_in: Tokens) -> None:
    url = "https://bucket.s3.amazonaws.com/key?X-Amz-Credential=AKIA&X-Amz-Signature=0123abcd"
    document = {
        "upload_id": ID,
        "url": url,
        "fields": {"policy": "p", "x-amz-signature": "s"},
        "parts": [{"number": 1, "url": url}],
        "files": [{"name": "a", "bytes": 1, "url": url}],
        "detail": f"see {url}",
        "deep": {"er": [[{"url": url}]]},
        "kept": ["url", 1.5, None, True],
    }
    server.routes["POST", "/uploads"] = reply(201, document)
    answer = console.page.post("/api/uploads", json={})
    assert answer.json() == {
        "upload_id": ID,
        "parts": [{"number": 1}],
        "files": [{"name": "a", "bytes": 1}],
        "detail": None,
        "deep": {"er": [[{}]]},
        "kept": ["url", 1.5, None, True],
    }
    for part in ("0123abcd", "AKIA", "amazonaws"):
        assert part not in answer.text


def test_what_is_not_json_does_not_pass(console: Any, server: Any, reply: Any, signed_in: Tokens) -> None:
    server.routes["GET", "/analyses"] = reply(200, b"<script>alert(1)</script>", {"Content-Type": "text/html"})
    answer = console.page.get("/api/analyses")
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "application/problem+json"
    assert "script" not in answer.text


def test_script_in_a_name_stays_text(console: Any, server: Any, reply: Any, signed_in: Tokens) -> None:
    name = "</script><img src=x onerror=alert(1)>"
    server.routes["GET", "/uploads"] = reply(200, {"uploads": [{"upload_id": ID, "name": name}]})
    answer = console.page.get("/api/uploads")
    assert answer.json()["uploads"][0]["name"] == name
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_answer_has_a_bound(console: Any, server: Any, reply: Any, signed_in: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operator_cli.console.upstream.LARGEST_ANSWER", 1000)
    server.routes["GET", "/analyses"] = reply(200, {"analyses": ["x" * 2000]})
    assert console.page.get("/api/analyses").status_code == 502


def test_nobody_signed_in(console: Any, server: Any) -> None:
    answer = console.page.get("/api/analyses")
    assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")
    assert not server.seen


def test_an_environment_that_does_not_answer(console: Any, server: Any, signed_in: Tokens) -> None:
    server.close()
    answer = console.page.get("/api/analyses")
    assert answer.status_code == 502
    assert "cannot be reached" in answer.json()["detail"]
    assert "Traceback" not in answer.text


def test_a_fault_of_the_console_tells_nothing(
    console: Any, signed_in: Tokens, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"/secret/path {signed_in.access_token}")

    monkeypatch.setattr("operator_cli.console.upstream.Upstream.send", fail)
    answer = console.page.get("/api/analyses")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    told = capsys.readouterr()
    for text in (answer.text, told.out, told.err):
        assert "/secret/path" not in text
        assert signed_in.access_token not in text
    assert answer.json()["request_id"] in told.err
    assert answer.headers["x-content-type-options"] == "nosniff"


# The session


def test_the_session_is_told_without_its_tokens(console: Any, signed_in: Tokens, environment: Any) -> None:
    answer = console.page.get("/console/session")
    document = answer.json()
    assert document["signed_in"] is True
    assert document["environment"] == "local"
    assert document["api"] == environment.api
    assert (document["username"], document["groups"], document["subject"]) == ("analyst-1", ["analyst"], "subject")
    assert document["sign_in"] == "none"
    assert signed_in.access_token not in answer.text
    assert "refresh" not in answer.text


def test_step_up_ends_a_quarter_of_an_hour_after_the_sign_in(console: Any, pool: Any, environment: Any) -> None:
    from operator_cli.session import Session

    now = int(time.time())
    pool.access_claims = {"auth_time": now - 60}
    answer = pool.issue(refresh_token="refresh-1")
    Session(environment).start(Tokens(access_token=answer["access_token"], refresh_token="refresh-1", expires_at=now + 3600))
    document = console.page.get("/console/session").json()
    assert (document["signed_in_at"], document["step_up_until"]) == (now - 60, now - 60 + 900)


def _ended(environment: Any, pool: Any) -> None:
    """A session whose access token has ended, and which could be renewed."""
    from operator_cli.session import Session

    answer = pool.issue(refresh_token="refresh-1")
    Session(environment).start(
        Tokens(access_token=answer["access_token"], refresh_token="refresh-1", expires_at=time.time() - 10)
    )


def test_a_console_that_nobody_uses_keeps_no_session_alive(
    console: Any, environment: Any, pool: Any, server: Any, reply: Any
) -> None:
    _ended(environment, pool)
    server.routes["GET", "/analyses"] = reply(200, {"analyses": []})
    for _ in range(3):
        assert console.page.get("/console/session").status_code == 200
        for path in ("/api/analyses", "/console/status"):
            answer = console.page.get(path, headers={"X-HeartMAP-Idle": "1"})
            assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")
    assert not server.requests("POST", "/oauth2/token")
    # Somebody came back.
    assert console.page.get("/api/analyses").status_code == 200
    assert len(server.requests("POST", "/oauth2/token")) == 1
    assert console.page.get("/api/analyses", headers={"X-HeartMAP-Idle": "1"}).status_code == 200


def test_a_token_that_the_service_rejects_is_renewed_once(
    console: Any, server: Any, pool: Any, reply: Any, signed_in: Tokens
) -> None:
    pool.refresh_tokens.add("refresh-1")
    server.routes["GET", "/analyses"] = lambda request: (
        reply(401, {"code": "unauthenticated"}) if signed_in.access_token in request.headers["authorization"] else reply(200, {})
    )
    assert console.page.get("/api/analyses").status_code == 200
    server.routes["GET", "/analyses"] = reply(401, {"code": "unauthenticated"})
    assert console.page.get("/api/analyses").json()["code"] == "not_signed_in"
    assert len(server.requests("GET", "/analyses")) == 4


def test_signing_out_ends_the_session_and_drops_its_results(
    console: Any, server: Any, results: Any, signed_in: Tokens, state: Any, analysis_id: str
) -> None:
    results({"a.csv": b"x\n1\n"})
    assert console.page.get(f"/console/analyses/{analysis_id}/tables/a.csv").status_code == 200
    ticket = console.page.post("/console/downloads", json={"analysis_id": analysis_id, "name": "a.csv"}).json()["path"]
    (cache,) = (each for each in (state / "heartmapctl").glob("console-cache-*") if each.is_dir())
    assert list(cache.iterdir())
    assert console.page.post("/console/sign-out").status_code == 200
    assert not list(cache.iterdir())
    assert console.page.get("/console/session").json()["signed_in"] is False
    assert console.page.get(f"/console/analyses/{analysis_id}/tables/a.csv").status_code == 401
    assert console.page.get(ticket).status_code == 404
    assert len(server.requests("POST", "/oauth2/revoke")) == 1


def test_another_persons_session_gets_none_of_the_results(
    console: Any, results: Any, signed_in: Tokens, environment: Any, pool: Any, server: Any, reply: Any, analysis_id: str
) -> None:
    """Signed in as somebody else from a terminal, while the console runs."""
    from operator_cli.session import Session

    results({"a.csv": b"x\n1\n"})
    assert console.page.get(f"/console/analyses/{analysis_id}/tables/a.csv").status_code == 200
    ticket = console.page.post("/console/downloads", json={"analysis_id": analysis_id, "name": "a.csv"}).json()["path"]
    pool.access_claims = {"sub": "another"}
    Session(environment).start(Tokens(access_token=pool.issue()["access_token"], expires_at=time.time() + 3600))
    server.routes["GET", f"/analyses/{analysis_id}/results"] = reply(404, {"code": "no_such_analysis", "detail": "None."})
    answer = console.page.get(f"/console/analyses/{analysis_id}/tables/a.csv")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_analysis")
    assert console.page.get(ticket).status_code == 404


def test_json_fields_of_the_status(console: Any, signed_in: Tokens) -> None:
    checks = json.loads(console.page.get("/console/status").content)["checks"]
    assert {"name", "state", "detail", "next_step"} == set(checks[0])
