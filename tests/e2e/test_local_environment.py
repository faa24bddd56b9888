"""The main job, end to end, through every stage of the request path, as its users would do it."""

from __future__ import annotations

import base64
import json
import re
import socket
import stat
import struct
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from joserfc.jwk import RSAKey
from moto.utilities.utils import load_resource

from lambda_authorizer.access_policy import ACCESS_POLICY, ADMIN, ANALYST, VIEWER, Rule

pytestmark = pytest.mark.e2e

ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/config"): {"json": {}},
    ("POST", "/uploads"): {"json": {}},
    ("POST", "/uploads/{upload_id}/parts"): {"json": {"numbers": [1]}},
    ("POST", "/uploads/{upload_id}/complete"): {"json": {"parts": [{"number": 1, "etag": "x"}]}},
    ("POST", "/analyses"): {"json": {"upload_id": ULID, "analysis_type": "basic"}},
    ("PATCH", "/analyses/{analysis_id}"): {"json": {"visibility": "private"}},
    ("POST", "/analyze"): {"files": {"file": ("cells.h5ad", b"this is not HDF5")}},
}


def call(http: httpx.Client, rule: Rule) -> httpx.Response:
    """The row's request. Throttling is another test's matter: a 429 is asked again."""
    path = re.sub(r"\{\w+\}", ULID, rule.route)
    deadline = time.monotonic() + 20
    while True:
        answer = http.request(rule.method, path, **BODIES.get((rule.method, rule.route), {}))
        if answer.status_code != 429 or time.monotonic() > deadline:
            return answer
        time.sleep(0.25)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(claims: dict[str, Any], key: rsa.RSAPrivateKey, kid: str) -> str:
    text = f"{b64(json.dumps({'alg': 'RS256', 'kid': kid}).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{text}.{b64(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def moto_signing_key() -> tuple[rsa.RSAPrivateKey, str]:
    """moto signs every pool's tokens with a key that is public in its own source."""
    key = RSAKey.import_key(load_resource("cognitoidp/resources/jwks-private.json")).private_key
    assert isinstance(key, rsa.RSAPrivateKey)
    return key, "dummy"


def assert_problem(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["code"]
    assert problem["request_id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "max-age" in answer.headers["strict-transport-security"]


def test_environment_json_keeps_its_contract(local: Any) -> None:
    environment = local.environment
    assert stat.S_IMODE((local.state / "environment.json").stat().st_mode) == 0o600
    assert set(environment) >= {
        "api",
        "ca_bundle",
        "aws_endpoint",
        "region",
        "issuer",
        "client_id",
        "authorize_url",
        "token_url",
        "users",
    }
    assert set(environment["users"]) == {"viewer", "analyst", "admin"}
    assert set(environment["resources"]) == {
        *("uploads_bucket", "results_bucket", "jobs_table", "config_table", "api_keys_table", "queue_url"),
        *("dead_letter_queue_url", "audit_log_group", "user_pool_id", "rest_api_id"),
    }
    for name in ("edge", "api", "login", "moto"):
        assert environment["processes"][name] in local.process_ids()
    assert set(environment["processes"]["worker"]) <= set(local.process_ids())


@pytest.mark.parametrize("rule", ACCESS_POLICY, ids=lambda rule: f"{rule.method} {rule.route}")
def test_every_route_answers_each_credential_as_the_policy_says(local: Any, token_of: Callable[[str], str], rule: Rule) -> None:
    genuine = token_of(ANALYST)
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key, kid = moto_signing_key()
    now = int(time.time())
    wrong = {
        "no credential": None,
        "a token of another key": signed(claims_of(genuine), stranger, kid),
        "an expired token": signed(
            claims_of(genuine) | {"iat": now - 7200, "auth_time": now - 7200, "exp": now - 3600}, key, kid
        ),
        "nonsense": "nonsense",
    }
    for name, token in wrong.items():
        with local.client(token) as http:
            answer = call(http, rule)
        assert answer.status_code == 401, name
        assert_problem(answer, 401)
    for role in (VIEWER, ANALYST, ADMIN):
        with local.client(token_of(role)) as http:
            answer = call(http, rule)
        if role in rule.groups:
            assert answer.status_code not in (401, 403), f"{role}: {answer.text}"
            assert answer.status_code < 500, f"{role}: {answer.text}"
        else:
            assert_problem(answer, 403)


def test_the_expired_token_of_the_table_would_pass_if_it_were_not_expired(local: Any, token_of: Callable[[str], str]) -> None:
    key, kid = moto_signing_key()
    with local.client(signed(claims_of(token_of(VIEWER)), key, kid)) as http:
        assert http.get("/models").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/docs"), ("GET", "/openapi.json"), ("OPTIONS", "/models"), ("PUT", "/config"), ("GET", "/healthz")],
)
def test_what_the_policy_does_not_name_is_not_there(local: Any, token_of: Callable[[str], str], method: str, path: str) -> None:
    with local.client(token_of(ADMIN)) as http:
        assert_problem(http.request(method, path), 403)


def test_a_foreign_host_is_refused(local: Any, token_of: Callable[[str], str]) -> None:
    with local.client(token_of(ADMIN)) as http:
        assert http.get("/models", headers={"Host": "evil.example"}).status_code in (400, 403, 421)


def test_a_call_straight_to_the_service_is_refused_without_the_assertion(local: Any, token_of: Callable[[str], str]) -> None:
    port = json.loads((local.state / "ports.json").read_text())["api"]
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=False) as http:  # noqa: S501 - its certificate is its own
        assert http.get("/healthz").status_code == 200
        for rule in ACCESS_POLICY:
            for headers in ({}, {"Authorization": f"Bearer {token_of(ADMIN)}"}, {"X-HeartMAP-Assertion": "v1.a.b.c"}):
                answer = http.request(rule.method, re.sub(r"\{\w+\}", ULID, rule.route), headers=headers)
                assert answer.status_code in (400, 401, 403, 421), f"{rule.method} {rule.route}: {answer.status_code}"


def test_an_assertion_from_outside_does_not_pass_the_edge(local: Any, token_of: Callable[[str], str]) -> None:
    with local.client(token_of(VIEWER)) as http:
        answer = http.get("/models", headers={"X-HeartMAP-Assertion": "v1.a.b.c"})
    assert answer.status_code == 200


def test_a_body_of_11_mb_is_refused_with_advice(local: Any, token_of: Callable[[str], str]) -> None:
    with local.client(token_of(ANALYST)) as http:
        answer = http.post("/analyze", files={"file": ("cells.h5ad", bytes(11 * 1024 * 1024))})
    assert_problem(answer, 413)
    assert "heartmapctl upload" in answer.json()["detail"]


def test_more_than_the_rate_is_refused_and_ends(local: Any, token_of: Callable[[str], str]) -> None:
    with local.client(token_of(VIEWER)) as http:
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: http.get("/health"), range(400)))
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused, "no request of 400 was throttled"
        assert {answer.status_code for answer in answers} == {200, 429}
        assert_problem(refused[0], 429)
        deadline = time.monotonic() + 20
        while http.get("/health").status_code == 429:
            assert time.monotonic() < deadline


def test_every_decision_leaves_an_audit_line_without_the_credential(local: Any, token_of: Callable[[str], str]) -> None:
    environment = local.environment
    with local.client(token_of(ANALYST)) as http:
        request_id = http.post("/config", json={}).json()["request_id"]
    logs: Any = boto3.client(
        "logs",
        endpoint_url=environment["aws_endpoint"],
        region_name=environment["region"],
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    deadline = time.monotonic() + 20
    while True:
        events = logs.filter_log_events(logGroupName=environment["resources"]["audit_log_group"])["events"]
        mine = [event["message"] for event in events if request_id in event["message"]]
        if mine:
            break
        assert time.monotonic() < deadline, "the decision has no audit line"
        time.sleep(0.2)
    assert json.loads(mine[0])
    assert token_of(ANALYST) not in "".join(event["message"] for event in events)


def test_an_analyst_gets_figures_a_summary_and_the_annotated_data(local: Any, tmp_path: Path) -> None:
    assert local.ctl("login", "--as", ANALYST).returncode == 0
    data, out = str(local.state / "pbmc68k.h5ad"), str(tmp_path / "out")
    done = local.ctl("analyze", data, "--type", "comprehensive", "--wait", "--output", out, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    json.loads(done.stdout)
    files = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    figures = [file for file in files if file.suffix == ".png"]
    assert figures
    assert all(distinct_bytes(figure) > 1000 for figure in figures), "a figure is a blank page"
    import anndata

    annotated = anndata.read_h5ad(next(file for file in files if file.suffix == ".h5ad"))
    assert annotated.n_obs > 500
    assert annotated.obsm
    assert [file for file in files if file.suffix == ".json"]
    assert [file for file in files if file.suffix == ".csv"]
    jobs = json.loads(local.ctl("jobs", "list", "--json").stdout)
    assert "succeeded" in json.dumps(jobs)


def distinct_bytes(png: Path) -> int:
    """How many image bytes are left when the pixels are unpacked and packed again row by row: an empty page gives few."""
    data, at, packed = png.read_bytes(), 8, b""
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += 12 + length
    return len(zlib.compress(zlib.decompress(packed), 9))


def test_a_text_file_renamed_to_h5ad_is_rejected_with_a_code(local: Any, tmp_path: Path) -> None:
    assert local.ctl("login", "--as", ANALYST).returncode == 0
    fake = tmp_path / "cells.h5ad"
    fake.write_text("not a data set\n" * 100)
    refused = local.ctl("analyze", str(fake), "--type", "basic", "--wait", "--output", str(tmp_path / "out"))
    assert refused.returncode == 1
    assert "not_hdf5" in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr


def test_a_viewer_sees_what_is_shared_and_nothing_else(local: Any, token_of: Callable[[str], str]) -> None:
    with local.client(token_of(ANALYST)) as analyst, local.client(token_of(VIEWER)) as viewer:
        mine = analyst.get("/analyses").json()
        identity = mine["analyses"][0]["analysis_id"]
        assert analyst.patch(f"/analyses/{identity}", json={"visibility": "private"}).status_code == 200
        assert viewer.get(f"/analyses/{identity}").status_code == 404
        assert identity not in viewer.get("/analyses").text
        assert analyst.patch(f"/analyses/{identity}", json={"visibility": "shared"}).status_code == 200
        assert viewer.get(f"/analyses/{identity}").status_code == 200
        assert identity in viewer.get("/analyses").text
        assert viewer.get(f"/analyses/{identity}/results").status_code == 200


def test_nothing_listens_but_on_the_loopback(local: Any) -> None:
    import psutil

    for pid in local.process_ids():
        for connection in psutil.Process(pid).net_connections(kind="inet"):
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip in ("127.0.0.1", "::1")


def test_a_killed_process_comes_back_and_the_environment_file_says_so(local: Any, token_of: Callable[[str], str]) -> None:
    import psutil

    before = local.environment["processes"]["api"]
    psutil.Process(before).kill()
    deadline = time.monotonic() + 60
    with local.client(token_of(VIEWER)) as http:
        while local.environment["processes"]["api"] == before or http.get("/health").status_code != 200:
            assert time.monotonic() < deadline, "the API did not come back"
            time.sleep(0.2)


def test_making_it_again_while_it_runs_keeps_it_and_its_data(local: Any, token_of: Callable[[str], str]) -> None:
    before = local.environment
    again = local.up()
    assert again.returncode == 0, again.stderr
    assert local.environment["resources"] == before["resources"]
    assert local.environment["users"] == before["users"]


def test_a_busy_port_is_named_and_nothing_is_started(local: Any, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = local.command("up", "--state", str(tmp_path / "other"), "--edge-port", str(port))
    assert refused.returncode == 1
    assert f"Port {port}" in refused.stderr
    assert not (tmp_path / "other" / "environment.json").exists()


def test_two_at_once_is_refused(local: Any) -> None:
    from filelock import FileLock

    with FileLock(local.state / "lock"):
        refused = local.up()
    assert refused.returncode == 1
    assert "Another `make local`" in refused.stderr
    assert local.environment


def test_down_leaves_no_process_and_no_port(local: Any) -> None:
    """The last test of the file: it ends the environment."""
    ports = json.loads((local.state / "ports.json").read_text())
    down = local.down()
    assert down.returncode == 0, down.stderr
    assert local.process_ids() == []
    assert not (local.state / "environment.json").exists()
    for port in ports.values():
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
