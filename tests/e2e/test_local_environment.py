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
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import RSAKey
from moto.utilities.utils import load_resource

from lambda_authorizer.access_policy import ACCESS_POLICY, ADMIN, ANALYST, VIEWER, Rule
from operator_cli import signing

pytestmark = pytest.mark.e2e

ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/config"): {"json": {}},
    ("POST", "/uploads"): {"json": {}},
    ("PATCH", "/uploads/{upload_id}"): {"json": {"visibility": "private"}},
    ("POST", "/uploads/{upload_id}/parts"): {"json": {"numbers": [1]}},
    ("POST", "/uploads/{upload_id}/complete"): {"json": {"parts": [{"number": 1, "etag": "x"}]}},
    ("POST", "/analyses"): {"json": {"upload_id": ULID, "analysis_type": "basic"}},
    ("PATCH", "/analyses/{analysis_id}"): {"json": {"visibility": "private"}},
    ("POST", "/analyze"): {"files": {"file": ("cells.h5ad", b"this is not HDF5")}},
    # Without a scope, which no key may be: the administrator's call of the table makes none.
    ("POST", "/keys"): {"json": {"name": "nobody", "scopes": []}},
    ("POST", "/keys/{key_id}/rotate"): {"json": {}},
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


@pytest.mark.parametrize(
    "rule", [rule for rule in ACCESS_POLICY if rule.sign_in_age], ids=lambda rule: f"{rule.method} {rule.route}"
)
def test_a_sign_in_of_long_ago_does_not_open_what_asks_for_a_recent_one(
    local: Any, token_of: Callable[[str], str], rule: Rule
) -> None:
    key, kid = moto_signing_key()
    assert rule.sign_in_age is not None
    claims = claims_of(token_of(ADMIN))
    long_ago = claims | {"auth_time": int(time.time()) - rule.sign_in_age - 120}
    with local.client(signed(long_ago, key, kid)) as http:
        answer = call(http, rule)
        assert_problem(answer, 403)
        assert answer.json()["reason"] == "sign_in_too_old"
        assert http.get("/models").status_code == 200
    with local.client(signed(claims, key, kid)) as http:
        assert call(http, rule).status_code not in (401, 403)


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
            for headers in ({}, {"Authorization": f"Bearer {token_of(ADMIN)}"}, {"X-HeartMAP-Assertion": "v2.a.b.1.r.c"}):
                answer = http.request(rule.method, re.sub(r"\{\w+\}", ULID, rule.route), headers=headers)
                assert answer.status_code in (400, 401, 403, 421), f"{rule.method} {rule.route}: {answer.status_code}"


def test_an_assertion_from_outside_does_not_pass_the_edge(local: Any, token_of: Callable[[str], str]) -> None:
    with local.client(token_of(VIEWER)) as http:
        answer = http.get("/models", headers={"X-HeartMAP-Assertion": "v2.a.b.1.r.c"})
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


def new_key(local: Any, name: str, *options: str) -> dict[str, Any]:
    """An API key, made as an administrator makes it."""
    assert local.ctl("login", "--as", ADMIN).returncode == 0
    made = local.ctl("keys", "create", name, *options, "--json")
    assert made.returncode == 0, made.stdout + made.stderr
    return json.loads(made.stdout)


def keys_of(local: Any) -> dict[str, dict[str, Any]]:
    listed = local.ctl("keys", "list", "--json")
    assert listed.returncode == 0, listed.stdout + listed.stderr
    return {key["key_id"]: key for key in json.loads(listed.stdout)["keys"]}


def refused_within(seconds: float, http: httpx.Client, headers: dict[str, str]) -> httpx.Response:
    """The refusal of a key that was good until just now. What was already on its way may still be answered."""
    deadline = time.monotonic() + seconds
    while True:
        begun = time.monotonic()
        answer = http.get("/models", headers=headers)
        if answer.status_code == 401:
            return answer
        assert answer.status_code in (200, 429), answer.text
        assert begun < deadline, f"the key still opened a call {seconds} s after it was revoked"
        time.sleep(0.1)


def test_a_key_opens_what_its_scopes_say_until_it_is_revoked(local: Any) -> None:
    made = new_key(local, "robot", "--scope", "models:read", "--scope", "analyses:read")
    assert made["key"].startswith(f"hm_local_{made['key_id']}_")
    headers = {"Authorization": f"ApiKey {made['key']}"}
    with local.client() as http:
        assert http.get("/models", headers=headers).status_code == 200
        # Other people's, which they share with everyone.
        seen = http.get("/analyses", headers=headers).json()["analyses"]
        assert {one["visibility"] for one in seen} <= {"shared"}
        for method, path in (("GET", "/config"), ("GET", "/keys"), ("POST", "/uploads")):
            assert_problem(http.request(method, path, headers=headers), 403)
        assert_problem(http.get("/models", headers={"Authorization": f"ApiKey {made['key'][:-1]}_"}), 401)
        # A program needs no session, and signing out does not end it.
        assert local.ctl("logout").returncode == 0
        assert local.ctl("api", "GET", "/models", HEARTMAP_API_KEY=made["key"]).returncode == 0
        assert local.ctl("keys", "list", HEARTMAP_API_KEY=made["key"]).returncode == 1
        assert local.ctl("login", "--as", ADMIN).returncode == 0
        listed = keys_of(local)[made["key_id"]]
        assert (listed["name"], listed["state"], listed["signed"]) == ("robot", "active", False)
        assert listed["last_used_at"] is not None
        assert "key" not in listed
        revoked = local.ctl("keys", "revoke", made["key_id"], "--yes")
        assert revoked.returncode == 0, revoked.stderr
        assert_problem(refused_within(2, http, headers), 401)
    assert keys_of(local)[made["key_id"]]["state"] == "revoked"
    assert local.ctl("keys", "rotate", made["key_id"]).returncode == 1


def test_a_key_is_replaced_by_another_of_the_same_program(local: Any) -> None:
    old = new_key(local, "rotated", "--scope", "models:read", "--expires-in-days", "7")
    rotated = local.ctl("keys", "rotate", old["key_id"], "--overlap-hours", "1", "--json")
    assert rotated.returncode == 0, rotated.stdout + rotated.stderr
    new = json.loads(rotated.stdout)
    assert new["key_id"] != old["key_id"]
    assert (new["principal"], new["scopes"]) == (old["principal"], old["scopes"])
    with local.client() as http:
        for each in (old, new):
            assert http.get("/models", headers={"Authorization": f"ApiKey {each['key']}"}).status_code == 200
    listed = keys_of(local)
    assert (listed[old["key_id"]]["state"], listed[new["key_id"]]["state"]) == ("ending", "active")
    assert listed[old["key_id"]]["replaced_by"] == new["key_id"]
    assert listed[old["key_id"]]["expires_at"] <= time.time() + 3600
    assert local.ctl("keys", "rotate", old["key_id"]).returncode == 1


def test_a_key_is_bound_to_its_addresses(local: Any) -> None:
    elsewhere = new_key(local, "elsewhere", "--scope", "models:read", "--from", "192.0.2.0/24")
    here = new_key(local, "here", "--scope", "models:read", "--from", "192.0.2.0/24", "--from", "127.0.0.0/8", "--from", "::1")
    with local.client() as http:
        refused = http.get("/models", headers={"Authorization": f"ApiKey {elsewhere['key']}"})
        assert_problem(refused, 403)
        assert refused.json()["reason"] == "key_source"
        assert http.get("/models", headers={"Authorization": f"ApiKey {here['key']}"}).status_code == 200


def test_a_key_that_changes_the_configuration_has_to_be_signed(local: Any) -> None:
    assert local.ctl("login", "--as", ADMIN).returncode == 0
    refused = local.ctl("keys", "create", "unsigned", "--scope", "config:write", "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["error"]["code"] == "signing_key_required"
    assert "unsigned" not in {key["name"] for key in keys_of(local).values()}


def test_a_signed_call_is_taken_once_and_as_it_was_signed(local: Any, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    made = new_key(local, "settings", "--scope", "config:read", "--scope", "config:write", "--sign-with", str(file))
    assert made["signed"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    authorization = {"Authorization": f"ApiKey {made['key']}"}
    key = signing.load(file)
    with local.client() as http:
        # The key alone is not enough.
        assert_problem(http.get("/config", headers=authorization), 401)

        def request(method: str, path: str, **more: Any) -> httpx.Request:
            made_request = http.build_request(method, path, headers=authorization, **more)
            made_request.read()
            signing.sign(made_request, key, made["key_id"])
            return made_request

        assert http.send(request("GET", "/config")).status_code == 200
        assert http.send(request("GET", "/config", params=[("b", "2 3"), ("a", "é/+&="), ("b", "")])).status_code == 200
        change = request("POST", "/config", json={"min_genes": 201})
        assert http.send(change).status_code == 200
        # Replayed: the very same headers and body.
        again = http.build_request("POST", change.url, headers=change.headers, content=change.content)
        assert_problem(http.send(again), 401)
        # Another body under the same headers, each of which was signed.
        honest = request("POST", "/config", json={"min_genes": 202})
        tampered = http.build_request("POST", honest.url, headers=honest.headers, content=honest.content.replace(b"202", b"203"))
        answer = http.send(tampered)
        assert_problem(answer, 400)
        assert answer.json()["code"] == "content_digest_mismatch"
        # Another method, path, query or key.
        for method, url, signer in (
            ("DELETE", "/config", key),
            ("GET", "/models", key),
            ("GET", "/config?a=1", key),
            ("GET", "/config", Ed25519PrivateKey.generate()),
        ):
            signed_for = http.build_request("GET", "/config", headers=authorization)
            signed_for.read()
            signing.sign(signed_for, signer, made["key_id"])
            assert http.request(method, url, headers=signed_for.headers).status_code in (401, 403), (method, url)
    programs = {"HEARTMAP_API_KEY": made["key"], "HEARTMAP_SIGNING_KEY_FILE": str(file)}
    shown = local.ctl("api", "GET", "/config", **programs)
    assert shown.returncode == 0, shown.stderr
    assert '"min_genes": 201' in shown.stdout
    assert local.ctl("api", "GET", "/config", HEARTMAP_API_KEY=made["key"]).returncode == 3
    assert local.ctl("keys", "revoke", made["key_id"], "--yes").returncode == 0
    revoked_at = begun = time.monotonic()
    while local.ctl("api", "GET", "/config", **programs).returncode != 3:
        assert begun < revoked_at + 2
        begun = time.monotonic()


def test_a_signed_form_of_10_mb_goes_through_unchanged(local: Any, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    made = new_key(local, "instrument", "--scope", "analyses:write", "--sign-with", str(file))
    with local.client() as http:
        request = http.build_request(
            "POST",
            "/analyze",
            headers={"Authorization": f"ApiKey {made['key']}"},
            files={"file": ("cells.h5ad", b"this is not HDF5" + bytes(range(256)) * 40_000)},
        )
        request.read()
        signing.sign(request, signing.load(file), made["key_id"])
        answer = http.send(request)
    assert_problem(answer, 422)
    assert answer.json()["code"] == "not_hdf5"


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
