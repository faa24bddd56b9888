"""Traefik's rendering: decoded by Traefik's own types, read as it reads it, and run where there is a Traefik."""

import hashlib
import json
import re
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import yaml

from gateways import problems, traefik
from gateways.example import example
from gateways.model import ASSERTION_HEADER, STRIPPED_HEADERS, Gateway, GatewayError
from heartmap_service import forward_auth, server
from heartmap_service.settings import DecisionSettings
from heartmap_service.tls import CertificateFiles
from lambda_authorizer import assertion
from lambda_authorizer.access_policy import ACCESS_POLICY
from local_cloud.tls import TlsFiles
from tests.gateways.backend import Backend
from tests.gateways.runners import free_port, program
from tests.heartmap_service import test_direct_identity as direct

# Tokens that the process which decides takes, and a table that it does not need for them.
pool, environment, tables, token = direct.pool, direct.environment, direct.tables, direct.token

HERE = Path(__file__).parent
CHECK = HERE / "traefik_check"
TOOLS = HERE.parents[1] / ".tools" / "gateways"
MODULE = "github.com/traefik/traefik/v3"
# The checksum of the module's sources, as go.sum would have it: extract reads them before there is a module that requires them.
SUM = "h1:T8wy9KuaFzCkmXCqAzDy7t73pBDR1DHrJe3pqXpNXTw="

ULID = "01J9ZC3Q4R5S6T7V8W9XABCDEF"
PROXY = ip_network("10.1.0.0/16")
VARIANTS: dict[str, Gateway] = {
    "example": example(),
    "bare": replace(example(), allowed_ranges=(), upstream_ca=None, basic_auth=False, listen=("127.0.0.1:8443", "[::1]:8443")),
    "behind": replace(example(), trusted_proxies=(PROXY,), log_directory="/var/log/traefik"),
}


def dynamic(gateway: Gateway) -> dict[str, Any]:
    return yaml.safe_load(traefik.files(gateway)[traefik.DYNAMIC])


def static(gateway: Gateway) -> dict[str, Any]:
    return yaml.safe_load(traefik.files(gateway)[traefik.STATIC])


# ---- By Traefik's own types


@pytest.fixture(scope="module")
def check() -> Path:
    """The program that decodes as Traefik does. Built once: 15 s of a core with an empty cache."""
    go = program("go")
    sources = sorted(file for file in CHECK.rglob("*") if file.is_file())
    made = TOOLS / f"traefik_check-{hashlib.sha256(b''.join(file.read_bytes() for file in sources)).hexdigest()[:16]}"
    if not made.exists():
        TOOLS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=TOOLS) as directory:
            _build(go, Path(directory)).replace(made)
    return made


def _build(go: str, directory: Path) -> Path:
    [version] = re.findall(rf"^require {MODULE} (v\S+)$", (CHECK / "go.mod").read_text(), re.MULTILINE)

    def run(*words: str | Path, cwd: Path) -> str:
        return subprocess.run([go, *words], cwd=cwd, check=True, capture_output=True, text=True, timeout=600).stdout

    # Not in the module: the sources that it wants in the place of Traefik's own are yet to be made.
    module = json.loads(run("mod", "download", "-json", f"{MODULE}@{version}", cwd=directory))
    assert module["Sum"] == SUM
    for name in ("main.go", "go.mod", "go.sum"):
        shutil.copy(CHECK / name, directory)
    run("run", ".", module["Dir"], directory / "traefik", cwd=CHECK / "extract")
    (directory / "traefik" / "go.mod").write_text(f"module {MODULE}\n\ngo 1.26.0\n")
    run("build", "-mod=readonly", "-trimpath", "-o", "check", ".", cwd=directory)
    return directory / "check"


def decode(check: Path, directory: Path, files: dict[str, str]) -> subprocess.CompletedProcess[str]:
    for name, text in files.items():
        (directory / name).write_text(text)
    names = [directory / traefik.STATIC, directory / traefik.DYNAMIC]
    return subprocess.run([check, *names], capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("variant", VARIANTS)
def test_traefiks_own_types_take_both_files(check: Path, tmp_path: Path, variant: str) -> None:
    answer = decode(check, tmp_path, traefik.files(VARIANTS[variant]))
    assert (answer.returncode, answer.stderr) == (0, "")
    read = json.loads(answer.stdout)
    for entry in read["static"]["entryPoints"].values():
        # Omitted is false: where nothing is said, all of these are true.
        assert entry["http"]["encodedCharacters"] == {}
        assert (entry["http"]["sanitizePath"], entry["http"]["aliasHeadersStrategy"]) == (False, "delete")
        assert entry["transport"]["respondingTimeouts"] == {"readTimeout": "1m0s", "writeTimeout": "1m30s", "idleTimeout": "1m0s"}
        assert "insecure" not in entry["forwardedHeaders"]
    assert read["static"]["accessLog"]["format"] == "json"
    assert read["dynamic"]["tls"]["options"]["default"]["sniStrict"] is True
    transport = read["dynamic"]["http"]["serversTransports"]["heartmap"]
    assert "insecureSkipVerify" not in transport
    assert transport["forwardingTimeouts"]["responseHeaderTimeout"] == "30s"
    address = read["dynamic"]["http"]["middlewares"]["address"]["rateLimit"]
    assert (address["average"], address["period"], address["burst"]) == (600, "1m0s", 20)


@pytest.mark.parametrize(
    ("file", "was", "becomes"),
    [
        (traefik.STATIC, "sanitizePath:", "sanitisePath:"),
        (traefik.STATIC, "maxHeaderBytes: 16384", "maxHeaderBytes: many"),
        (traefik.STATIC, "  file:", "  docker:"),
        (traefik.DYNAMIC, "forwardAuth:", "forwardAuthentication:"),
        (traefik.DYNAMIC, "sniStrict:", "strictSni:"),
        (traefik.DYNAMIC, "period: 60s", "period: sixty"),
        (traefik.DYNAMIC, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256"),
    ],
)
def test_traefiks_own_types_know_no_field_and_no_value_that_there_is_not(
    check: Path, tmp_path: Path, file: str, was: str, becomes: str
) -> None:
    files = traefik.files(example())
    assert was in files[file]
    assert decode(check, tmp_path, {**files, file: files[file].replace(was, becomes)}).returncode == 1


# ---- As it is written


@pytest.mark.parametrize("variant", VARIANTS)
def test_whatever_is_named_is_there_and_used(variant: str) -> None:
    http = dynamic(VARIANTS[variant])["http"]
    used = {name for router in http["routers"].values() for name in router["middlewares"]}
    assert used == set(http["middlewares"])
    for name, router in http["routers"].items():
        if name == "heartmap":
            assert "service" not in router
        else:
            assert (router["parentRefs"], router["service"]) == (["heartmap"], "heartmap")
            # Only the outermost may have these, and they would let it stand beside who decides.
            assert not {"entryPoints", "tls"} & set(router)


def test_nothing_reaches_the_service_but_through_who_decides() -> None:
    http = dynamic(example())["http"]
    [outermost] = [router for router in http["routers"].values() if "parentRefs" not in router]
    assert outermost["rule"] == "PathPrefix(`/`)"
    assert outermost["middlewares"] == ["answers", "ranges", "address", "strip", "decide"]
    assert http["middlewares"]["decide"] == {
        "forwardAuth": {
            "address": "https://127.0.0.1:8444/authorize",
            "trustForwardHeader": False,
            "maxResponseBodySize": 65536,
            "authResponseHeaders": [ASSERTION_HEADER, "X-Request-Id"],
            "tls": {"ca": "/etc/heartmap/service-ca.pem"},
        }
    }


def test_headers_from_outside_go_before_anybody_is_asked_and_credentials_before_the_service() -> None:
    http = dynamic(example())["http"]
    strip = http["middlewares"]["strip"]["headers"]["customRequestHeaders"]
    assert set(strip.values()) == {""}
    assert {*STRIPPED_HEADERS, "X-Request-Id", "X-HeartMAP-Authorization"} == set(strip)
    onward = http["middlewares"]["to-service"]["headers"]["customRequestHeaders"]
    assert onward.pop("Host") == "heartmap.example.org"
    assert {name for name, value in onward.items() if value == ""} == set(onward) >= {"Authorization", "Cookie"}
    for name, router in http["routers"].items():
        if name != "heartmap":
            assert router["middlewares"].index("to-service") < router["middlewares"].index(f"rate-{name}")


def test_each_row_has_one_router_and_no_other_path_or_method_has_one() -> None:
    routers = [router for name, router in dynamic(example())["http"]["routers"].items() if name != "heartmap"]

    def taken(method: str, path: str) -> int:
        found = 0
        for router in routers:
            wanted, exact, pattern = re.fullmatch(
                r"Method\(`(\w+)`\) && Path(?:\(`([^`]+)`\)|Regexp\(`([^`]+)`\))", router["rule"]
            ).groups()  # pyright: ignore[reportOptionalMemberAccess]
            found += method == wanted and (path == exact if exact else bool(re.search(pattern, path)))
        return found

    for rule in ACCESS_POLICY:
        path = re.sub(r"\{\w+\}", ULID, rule.route)
        assert taken(rule.method, path) == (rule.answered_by == "service"), rule
        for other in (f"{path}/", f"/{path}", f"{path}x", f"/live{path}", path.lower() + "!"):
            assert taken(rule.method, other) == 0, other
    for method, path in (("HEAD", "/health"), ("GET", "/analyze"), ("GET", "/uploads/x"), ("GET", f"/uploads/{ULID}/parts")):
        assert taken(method, path) == 0


def test_limits_are_those_of_the_rows() -> None:
    gateway = example()
    http = dynamic(gateway)["http"]
    for route in gateway.routes:
        rate = http["middlewares"][f"rate-{route.name}"]["rateLimit"]
        assert (rate["average"], rate["period"], rate["burst"]) == (route.rate, "1s", route.burst)
        assert rate["sourceCriterion"] == {"requestHost": True}
        assert f"body-{route.body}" in http["routers"][route.name]["middlewares"]
        assert http["middlewares"][f"body-{route.body}"]["buffering"]["maxRequestBodyBytes"] == max(route.body, 1)
        assert ("sensitive" in http["routers"][route.name]["middlewares"]) == route.sensitive
    slow = replace(gateway, routes=(replace(gateway.routes[0], rate=0.25, burst=1),))
    assert dynamic(slow)["http"]["middlewares"]["rate-get-root"]["rateLimit"]["period"] == "4s"


def test_who_counts_is_who_connects_unless_a_proxy_stands_in_front() -> None:
    for gateway, strategy, trusted in (
        (example(), {"depth": 0}, False),
        (VARIANTS["behind"], {"excludedIPs": [str(PROXY)]}, True),
    ):
        middlewares = dynamic(gateway)["http"]["middlewares"]
        assert middlewares["ranges"]["ipAllowList"]["ipStrategy"] == strategy
        assert middlewares["ranges"]["ipAllowList"]["sourceRange"] == ["192.0.2.0/24", "2001:db8::/32"]
        for name in ("address", "sensitive"):
            assert middlewares[name]["rateLimit"]["sourceCriterion"]["ipStrategy"] == strategy
        assert middlewares["decide"]["forwardAuth"]["trustForwardHeader"] is trusted
        entry = static(gateway)["entryPoints"]["https"]
        assert entry.get("forwardedHeaders") == ({"trustedIPs": [str(PROXY)]} if trusted else None)


def test_there_is_no_other_way_in_and_answers_carry_the_security_headers() -> None:
    read = static(example())
    assert set(read) == {"global", "entryPoints", "providers", "log", "accessLog"}
    # Go would listen on all addresses twice.
    assert {name: entry["address"] for name, entry in read["entryPoints"].items()} == {"https": ":443"}
    two = static(VARIANTS["bare"])["entryPoints"]
    assert [entry["address"] for entry in two.values()] == ["127.0.0.1:8443", "[::1]:8443"]
    assert set(read["providers"]) == {"file"}
    assert read["accessLog"]["fields"]["headers"] == {"defaultMode": "drop", "names": {"X-Request-Id": "keep"}}
    assert read["accessLog"]["fields"]["queryParameters"] == {"defaultMode": "drop"}
    answers = dynamic(example())["http"]["middlewares"]["answers"]["headers"]["customResponseHeaders"]
    assert answers == problems.SECURITY_HEADERS
    assert "ranges" not in dynamic(VARIANTS["bare"])["http"]["middlewares"]
    assert static(VARIANTS["behind"])["accessLog"]["filePath"] == "/var/log/traefik/access.log"


def test_what_cannot_be_written_or_has_nobody_to_decide_is_refused() -> None:
    row = example().routes[0]
    for changes in (
        {"decision": None},
        {"server_name": "ä.example.org", "upstream_host": "ä.example.org"},
        {"upstream": "https://{{ env }}:1"},
        {"routes": (replace(row, template="/a`b", pattern="^/a`b$"),)},
        {"routes": (replace(row, method='GET"\n'),)},
    ):
        with pytest.raises(GatewayError):
            traefik.files(replace(example(), **changes))


# ---- As it runs


@pytest.fixture
def decision(certificates: TlsFiles, environment: dict[str, str], tables: Any) -> Iterator[int]:
    """The process that decides about calls to localhost, in a thread; its port."""
    port = free_port()
    settings = DecisionSettings(region="eu-west-1", internal_host="localhost", trusted_proxies=(ip_network("127.0.0.0/8"),))
    files = CertificateFiles(Path(certificates.certificate), Path(certificates.key))
    config = server.configured(forward_auth.create_app(settings), host="127.0.0.1", port=port, certificate=files)
    uvicorn_server = uvicorn.Server(config)
    thread = threading.Thread(target=uvicorn_server.run, daemon=True)
    thread.start()
    yield port
    uvicorn_server.should_exit = True
    thread.join(30)


@pytest.mark.skipif(shutil.which("traefik") is None, reason="Debian has no Traefik")
def test_traefik_passes_on_what_was_decided_and_nothing_else(
    lab: Any, running: Any, backend: Backend, certificates: TlsFiles, decision: int, token: Any
) -> None:
    gateway = lab(backend.port, decision=f"https://localhost:{decision}")
    context = ssl.create_default_context(cafile=str(certificates.ca))
    with running("traefik", gateway) as place, httpx.Client(base_url=f"https://localhost:{place.port}", verify=context) as http:
        _until_configured(http)
        outside = {
            ASSERTION_HEADER: "x",
            "X_HeartMAP_Assertion": "y",
            "X-Forwarded-Uri": "/",
            "X-Request-Id": "mine",
            "Cookie": "z",
        }
        answer = http.get("/models?limit=1", headers={**token("viewer"), **outside})
        assert answer.status_code == 200
        asked = backend.calls[-1]
        [text] = asked.all(ASSERTION_HEADER)
        granted = assertion.verify(text, direct.IN_THE_SECRET, now=time.time())
        assert (granted.method, granted.route, asked.path) == ("GET", "/models", "/models?limit=1")
        assert asked.all("x-request-id") == [granted.request_id]
        assert asked.all("host") == ["localhost"]
        for name in ("authorization", "cookie", "x-forwarded-uri", "x_heartmap_assertion"):
            assert asked.all(name) == [], name
        assert answer.headers["cache-control"] == "no-store"
        before = len(backend.calls)
        for path, status in (
            ("/nothing", 403),
            ("//models", 403),
            ("/model%73", 403),
            ("/config%2fversions", 400),
            ("/keys", 403),
        ):
            assert http.get(path, headers=token("admin")).status_code == status, path
        assert http.get("/models").json()["code"] == "unauthenticated"
        foreign = http.get("/models", headers={**token("admin"), "Host": "evil.example"})
        assert (foreign.status_code, foreign.json()["code"]) == (421, "misdirected_request")
        hidden = http.get("/models", headers={**token("admin"), "Connection": f"close, Authorization, {ASSERTION_HEADER}"})
        assert hidden.status_code == 401
        # One address: ten a second, twenty at once.
        named = [{**token("admin"), "Host": f"localhost:{number}"} for number in range(1, 60)]
        assert 429 in {http.get("/models", headers=headers).status_code for headers in named}
        assert all(call.path == "/models" for call in backend.calls[before:])


def _until_configured(http: httpx.Client) -> None:
    """Traefik listens before it has read its dynamic configuration."""
    for _ in range(200):
        if http.get("/models").status_code == 401:
            return
        time.sleep(0.05)
    raise AssertionError("Traefik does not route")
