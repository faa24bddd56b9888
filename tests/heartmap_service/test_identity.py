import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from lambda_authorizer.access_policy import ACCESS_POLICY, SERVICE, Rule
from lambda_authorizer.assertion import HEADER, Keys

ULID = "01JD0000000000000000000000"
OURS = [rule for rule in ACCESS_POLICY if rule.answered_by == SERVICE]
EVERY_ROUTE = pytest.mark.parametrize("rule", OURS, ids=lambda rule: f"{rule.method} {rule.route}")
EVERY_OTHER_ROUTE = pytest.mark.parametrize(
    "rule", [rule for rule in ACCESS_POLICY if rule not in OURS], ids=lambda rule: f"{rule.method} {rule.route}"
)


def path_of(rule: Rule) -> str:
    return re.sub(r"\{\w+\}", ULID, rule.route)


def code_of(answer: Any) -> str:
    assert answer.headers.get("content-type") == "application/problem+json"
    return answer.json().get("code")


@EVERY_ROUTE
def test_no_route_answers_without_an_assertion(http: TestClient, rule: Rule) -> None:
    answer = http.request(rule.method, path_of(rule))
    assert (answer.status_code, code_of(answer)) == (401, "unauthenticated")


@EVERY_ROUTE
@pytest.mark.parametrize(
    "changes",
    [
        {"keys": Keys("k1", {"k1": b"\x02" * 32})},
        {"keys": Keys("k2", {"k2": b"\x01" * 32})},
        {"now": time.time() - 120},
        {"now": time.time() + 3600},
    ],
    ids=["forged", "unknown key", "expired", "from the future"],
)
def test_no_route_answers_to_a_bad_assertion(http: TestClient, admin: Any, rule: Rule, changes: dict[str, Any]) -> None:
    answer = http.request(rule.method, path_of(rule), headers={HEADER: admin.assertion(rule.method, rule.route, **changes)})
    assert (answer.status_code, code_of(answer)) == (401, "unauthenticated")


@EVERY_ROUTE
def test_an_assertion_opens_its_own_route_and_method_only(http: TestClient, admin: Any, rule: Rule) -> None:
    others = [other for other in ACCESS_POLICY if (other.method, other.route) != (rule.method, rule.route)]
    for other in others:
        answer = http.request(rule.method, path_of(rule), headers={HEADER: admin.assertion(other.method, other.route)})
        assert (answer.status_code, code_of(answer)) == (403, "wrong_route"), other


@EVERY_OTHER_ROUTE
def test_an_assertion_for_what_something_else_answers_opens_nothing(http: TestClient, admin: Any, rule: Rule) -> None:
    headers = {HEADER: admin.assertion(rule.method, rule.route)}
    for path in {path_of(rule), *map(path_of, OURS)}:
        answer = http.request(rule.method, path, headers=headers)
        assert (answer.status_code, code_of(answer)) == (403, "wrong_route"), path


@EVERY_ROUTE
@pytest.mark.parametrize("group", ["viewer", "analyst", "admin", None])
def test_the_access_policy_decides_for_every_role(http: TestClient, viewer: Any, rule: Rule, group: str | None) -> None:
    groups = [group] if group else ["somebody-elses-group"]
    answer = http.request(rule.method, path_of(rule), headers={HEADER: viewer.assertion(rule.method, rule.route, groups=groups)})
    if rule.any_principal or group in rule.groups:
        assert answer.status_code not in (401, 403)
    else:
        assert (answer.status_code, code_of(answer)) == (403, "forbidden")


def test_a_scope_opens_its_routes_and_no_others(program: Callable[..., Any]) -> None:
    robot = program("uploads:write")
    assert robot.call("POST", "/uploads", json={}).status_code == 201
    assert code_of(robot.call("POST", "/config", json={"min_genes": 1})) == "forbidden"
    assert code_of(robot.call("GET", "/analyses")) == "forbidden"


def test_the_assertion_belongs_to_one_request(http: TestClient, viewer: Any) -> None:
    headers = {HEADER: viewer.assertion("GET", "/health"), "X-Request-Id": "another-request"}
    assert code_of(http.get("/health", headers=headers)) == "unauthenticated"


def test_two_assertions_are_refused(http: TestClient, viewer: Any) -> None:
    text = viewer.assertion("GET", "/health")
    assert http.get("/health", headers=[(HEADER, text), (HEADER, text)]).status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "internal.heartmap.test.evil.example", "localhost", "127.0.0.1"])
def test_a_foreign_host_is_refused(viewer: Any, host: str) -> None:
    answer = viewer.call("GET", "/health", headers={"Host": host})
    assert (answer.status_code, code_of(answer)) == (421, "misdirected_request")


def test_a_body_of_two_lengths_is_refused_and_ends_the_connection(admin: Any) -> None:
    """RFC 9112, 6.3: what stands in front may have read the one, and this server the other."""
    headers = {"Content-Length": "4", "Transfer-Encoding": "chunked"}
    answer = admin.call("POST", "/config", headers=headers, content=b"{}")
    assert (answer.status_code, code_of(answer)) == (400, "bad_request")
    assert answer.headers["connection"] == "close"


def test_the_host_may_carry_a_port(viewer: Any) -> None:
    assert viewer.call("GET", "/health", headers={"Host": "INTERNAL.heartmap.test:8443"}).status_code == 200


def test_the_probe_needs_neither_host_nor_assertion_and_nothing_else_is_like_it(http: TestClient) -> None:
    assert http.get("/healthz", headers={"Host": "10.0.0.7"}).json() == {"status": "ok"}
    for method, path in [("POST", "/healthz"), ("GET", "/healthz/"), ("GET", "/live/healthz"), ("HEAD", "/healthz")]:
        assert http.request(method, path).status_code == 401


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/nothing", "/analyses/", "/ANALYSES"])
def test_what_the_policy_does_not_know_does_not_exist(http: TestClient, admin: Any, path: str) -> None:
    for route in ("/analyses", "/", path):
        answer = http.get(path, headers={HEADER: admin.assertion("GET", route)})
        assert answer.status_code == 403


@pytest.mark.parametrize(
    "identifier", ["1", "01jd0000000000000000000000", "81JD0000000000000000000000", "..", "01JD000000000000000000000U"]
)
def test_a_path_id_that_is_no_ulid_matches_no_route(http: TestClient, admin: Any, identifier: str) -> None:
    headers = {HEADER: admin.assertion("GET", "/analyses/{analysis_id}")}
    assert http.get(f"/analyses/{identifier}", headers=headers).status_code == 403


def test_an_encoded_slash_does_not_reach_a_longer_route(http: TestClient, admin: Any) -> None:
    headers = {HEADER: admin.assertion("GET", "/analyses/{analysis_id}")}
    assert http.get(f"/analyses/{ULID}%2Fresults", headers=headers).status_code == 403


def test_one_stage_prefix_is_taken_off_the_path(http: TestClient, viewer: Any) -> None:
    headers = {HEADER: viewer.assertion("GET", "/health")}
    assert http.get("/live/health", headers=headers).json() == {"status": "healthy"}
    assert http.get("/live/live/health", headers=headers).status_code == 403
    assert http.get("/liveness/health", headers=headers).status_code == 403


@pytest.mark.parametrize("path", ["/config", "/uploads", "/analyses"])
def test_a_body_above_the_rules_limit_is_refused(admin: Any, path: str) -> None:
    answer = admin.call("POST", path, content=b" " * (64 * 1024 + 1))
    assert (answer.status_code, code_of(answer)) == (413, "body_too_large")


def test_a_body_without_a_length_is_counted(admin: Any) -> None:
    answer = admin.call("POST", "/config", content=(b" " * 1024 for _ in range(65)), headers={"Content-Type": "application/json"})
    assert (answer.status_code, code_of(answer)) == (413, "body_too_large")


def test_a_route_that_takes_no_body_takes_none(viewer: Any) -> None:
    answer = viewer.call("GET", "/models", content=b"x")
    assert (answer.status_code, code_of(answer)) == (413, "body_too_large")


@pytest.mark.parametrize("path", ["/health", "/nothing"])
def test_every_answer_carries_the_security_headers_and_the_request_id(http: TestClient, viewer: Any, path: str) -> None:
    answer = http.get(path, headers={HEADER: viewer.assertion("GET", "/health")})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert answer.headers["x-request-id"]


def test_a_refusal_names_the_gateways_request(http: TestClient) -> None:
    answer = http.get("/health", headers={"X-Request-Id": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"})
    assert answer.json()["request_id"] == "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"


def test_a_request_id_of_another_shape_is_not_repeated(http: TestClient) -> None:
    answer = http.get("/health", headers={"X-Request-Id": '"><script>'})
    assert "script" not in answer.text
    assert len(answer.json()["request_id"]) == 26
