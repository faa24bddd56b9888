"""Kong's rendering: by Kong's own schemas as far as they can be had, its functions in LuaJIT, and nginx on what it includes."""

import hashlib
import ipaddress
import json
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jwt
from joserfc.jwk import RSAKey

from gateways import kong
from gateways.example import example
from gateways.kong import keys
from gateways.model import STRIPPED_HEADERS, Gateway, GatewayError, Program, Route, SigningKey
from gateways.problems import SECURITY_HEADERS
from lambda_authorizer.access_policy import ACCESS_POLICY, SERVICE
from local_cloud.tls import TlsFiles
from tests.gateways import runners
from tests.gateways.backend import Backend
from tests.gateways.conftest import lab_gateway
from tests.gateways.kong_plugins import PLUGINS
from tests.gateways.runners import program

HERE = Path(__file__).parent
CHECK = HERE / "kong_check"
TOOLS = HERE.parents[1] / ".tools" / "gateways"

ULID = "01J9ZC3Q4R5S6T7V8W9XABCDEF"
KEY = keys.PREFIX + "a" * 43


@cache
def rendered() -> Mapping[str, str]:
    return kong.files(example())


@cache
def document() -> dict[str, Any]:
    return yaml.safe_load(rendered()["kong.yml"])


def routes() -> dict[str, dict[str, Any]]:
    return {route["name"]: route for route in document()["services"][0]["routes"]}


def plugin(owner: Mapping[str, Any], name: str) -> dict[str, Any]:
    (found,) = (each["config"] for each in owner["plugins"] if each["name"] == name)
    return found


def settings() -> dict[str, str]:
    lines = [line for line in rendered()["kong.conf"].splitlines() if line and not line.startswith("#")]
    pairs = [line.split(" = ", 1) for line in lines]
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


# ---- By Kong's own schemas and types


@pytest.fixture(scope="module")
def check() -> Path:
    """The program that decodes by go-kong's types. Built once: 40 s of a core with an empty cache."""
    go = program("go")
    made = TOOLS / "kong_check"
    newest = max(file.stat().st_mtime for file in CHECK.iterdir())
    if not made.exists() or made.stat().st_mtime < newest:
        TOOLS.mkdir(parents=True, exist_ok=True)
        subprocess.run([go, "build", "-mod=readonly", "-trimpath", "-o", made, "."], cwd=CHECK, check=True, timeout=600)
        made.touch()
    return made


def decoded(check: Path, text: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([check], input=json.dumps(text), capture_output=True, text=True, timeout=30)


def test_kongs_own_types_take_the_declarative_configuration(check: Path) -> None:
    answer = decoded(check, document())
    assert (answer.returncode, answer.stderr) == (0, "")
    rows = [rule for rule in ACCESS_POLICY if rule.answered_by == SERVICE]
    assert answer.stdout.split() == ["3.0", str(len(rows)), "3", str(len(document()["plugins"]))]


def test_kongs_own_types_know_no_field_that_there_is_not(check: Path) -> None:
    broken = json.loads(json.dumps(document()))
    broken["services"][0]["routes"][0]["method"] = ["GET"]
    answer = decoded(check, broken)
    assert answer.returncode == 1
    assert '"method"' in answer.stderr


@pytest.mark.parametrize("kind", ["route", "service"])
def test_kongs_own_schema_takes_each_entity(kind: str) -> None:
    go = program("go")
    answer = subprocess.run([go, "list", "-m", "-json", "github.com/kong/go-kong"], cwd=CHECK, capture_output=True, timeout=60)
    directory = json.loads(answer.stdout)["Dir"]
    schema = json.loads(Path(directory, "kong", "testdata", f"{kind}JSONSchema.json").read_text())
    if kind == "service":
        # That of the hosted Kong. Kong 3.9.3's own (kong/db/schema/entities/services.lua) has 0 to 32767.
        schema["properties"]["retries"]["minimum"] = 0
    nothing = {"id": "00000000-0000-4000-8000-000000000000"}
    (service,) = document()["services"]
    entities = [service] if kind == "service" else service["routes"]
    for entity in entities:
        jsonschema.validate(
            nothing | {name: value for name, value in entity.items() if name not in ("routes", "plugins")}, schema
        )


def all_plugins() -> list[dict[str, Any]]:
    return [*document()["plugins"], *(each for route in routes().values() for each in route["plugins"])]


def test_every_plugin_is_configured_as_its_schema_has_it() -> None:
    for each in all_plugins():
        jsonschema.validate(each["config"], PLUGINS[each["name"]])


def test_no_minute_has_less_than_its_second() -> None:
    """A rule of rate-limiting's between fields, for which JSON Schema has no words."""
    for route in routes().values():
        limits = plugin(route, "rate-limiting")
        assert limits["second"] <= limits["minute"]


def test_kong_loads_what_is_used_and_nothing_else() -> None:
    assert set(settings()["plugins"].split(",")) == {each["name"] for each in all_plugins()}
    open_to_all = kong.files(replace(example(), allowed_ranges=()))
    assert all("ip-restriction" not in open_to_all[name] for name in ("kong.conf", "kong.yml"))


def test_kong_runs_where_it_is(certificates: TlsFiles, backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = shutil.which("kong")
    if found is None:
        pytest.skip("Kong is in no package registry that tests may count on")

    def command(files: dict[str, str], directory: Path) -> list[str]:
        for name, text in files.items():
            (directory / name).write_text(text.replace(kong.DIRECTORY, str(directory)))
        settings = [f"KONG_PREFIX={directory / 'prefix'}", "KONG_NGINX_DAEMON=off"]
        subprocess.run(
            ["env", *settings, found, "config", "parse", str(directory / "kong.yml"), "-c", str(directory / "kong.conf")],
            check=True,
            timeout=120,
        )
        return ["env", *settings, found, "start", "-c", str(directory / "kong.conf")]

    signing = rsa.generate_private_key(65537, 2048)
    public = signing.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    key = keys.add(tmp_path / "keys.json", "pipeline", ["models:read"])
    gateway = lab_gateway(
        certificates,
        tmp_path,
        backend.port,
        signing_keys=(SigningKey(kid="one", pem=public),),
        programs=keys.programs((tmp_path / "keys.json").read_text()),
    )
    monkeypatch.setitem(runners.RUNNERS, "kong", command)
    private = signing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    token = jwt.encode({"alg": "RS256", "kid": "one"}, {"exp": int(time.time()) + 600}, RSAKey.import_key(private))
    with runners.run("kong", gateway, tmp_path) as place:
        trust = ssl.create_default_context(cafile=certificates.ca)
        client = httpx.Client(base_url=f"https://localhost:{place.port}", verify=trust)
        tries = {
            (200, "/models"): {"Authorization": f"Bearer {token}"},
            (200, "/models?a=1"): {kong.KEY_HEADER: key, "Authorization": "ApiKey x"},
            (401, "/models"): {"Authorization": f"Bearer {token[:-8]}AAAAAAAA"},
            (401, "/config"): {kong.DIGEST_HEADER: gateway.programs[0].digest},
            (403, "/config"): {kong.KEY_HEADER: key},
            (404, "/keys"): {"Authorization": f"Bearer {token}"},
            (404, "/%6dodels"): {"Authorization": f"Bearer {token}"},
        }
        for (status, path), headers in tries.items():
            answer = client.get(path, headers=headers)
            assert answer.status_code == status, (path, answer.text)
            assert answer.headers["x-request-id"]
        (first, *_) = backend.calls
        assert first.all("x-forwarded-for") == ["127.0.0.1"]
        assert first.all(kong.DIGEST_HEADER) == []


# ---- The access policy


def expected_groups(route: Route) -> set[str]:
    return {"token", *route.scopes} | ({"program"} if route.any_principal else set())


def test_each_row_is_a_route_with_its_own_limits() -> None:
    for row in example().routes:
        route = routes()[row.name]
        assert route["methods"] == [row.method]
        assert plugin(route, "request-size-limiting") == {"allowed_payload_size": row.body, "size_unit": "bytes"}
        limits = plugin(route, "rate-limiting")
        assert (limits["second"], limits["minute"]) == (max(row.burst, row.rate), max(row.burst, row.rate * 60))
        assert limits["limit_by"] == "service"
        assert set(plugin(route, "acl")["allow"]) == expected_groups(row)
    assert len(routes()) == len(example().routes)


def test_only_https_and_the_path_and_the_host_as_they_came() -> None:
    for route in routes().values():
        assert route["protocols"] == ["https"]
        assert (route["strip_path"], route["preserve_host"]) == (False, True)


def found_by(method: str, path: str) -> list[str]:
    """As Kong's router finds routes: it puts ^ in front of what stands behind the ~."""
    return [
        name
        for name, route in routes().items()
        if method in route["methods"] and any(re.search("^" + text[1:], path) for text in route["paths"])
    ]


def test_each_path_finds_its_own_row_and_no_other() -> None:
    for row in example().routes:
        path = re.sub(r"\{\w+\}", ULID, row.template)
        assert found_by(row.method, path) == [row.name]
        assert all(text.startswith("~/") for text in routes()[row.name]["paths"])
        for other in (path + "/", path + "/x", "/x" + path, path + "x", path.upper() + "/X"):
            assert found_by(row.method, other) == []


def test_rows_of_the_stacks_functions_are_no_routes_and_are_named() -> None:
    for row in example().elsewhere:
        assert found_by(row.method, re.sub(r"\{\w+\}", ULID, row.template)) == []
        assert f"#   {row.method} {row.template}\n" in rendered()["kong.yml"]


# ---- Who calls


def test_tokens_are_verified_by_the_pools_keys_and_nothing_weaker() -> None:
    checks = plugin(document(), "jwt")
    assert checks["key_claim_name"] == "kid"
    assert "exp" in checks["claims_to_verify"]
    assert (checks["uri_param_names"], checks["cookie_names"]) == ([], [])
    (pool,) = (each for each in document()["consumers"] if each["username"] == "user-pool")
    assert [(each["key"], each["algorithm"]) for each in pool["jwt_secrets"]] == [
        (key.kid, "RS256") for key in example().signing_keys
    ]
    assert [each["rsa_public_key"].strip() for each in pool["jwt_secrets"]] == [key.pem.strip() for key in example().signing_keys]


def test_whoever_is_nobody_is_in_no_group_and_every_route_asks_for_one() -> None:
    (nobody,) = (each for each in document()["consumers"] if each["username"] == "nobody")
    assert set(nobody) == {"username"}
    assert {plugin(document(), name)["anonymous"] for name in ("jwt", "key-auth")} == {"nobody"}
    for route in routes().values():
        access = plugin(route, "acl")
        assert access["allow"]
        assert not access.get("always_use_authenticated_groups")


def test_keys_are_taken_from_the_digests_header_alone() -> None:
    checks = plugin(document(), "key-auth")
    assert checks["key_names"] == [kong.DIGEST_HEADER]
    assert (checks["key_in_query"], checks["key_in_body"], checks["hide_credentials"]) == (False, False, True)


def test_a_program_has_the_groups_of_its_scopes() -> None:
    (pipeline,) = (each for each in document()["consumers"] if each["username"] == "program-pipeline")
    (given,) = example().programs
    assert {each["group"] for each in pipeline["acls"]} == {"program", *given.scopes}
    assert pipeline["keyauth_credentials"] == [{"key": given.digest}]


def test_the_name_that_kong_verifies_is_the_one_that_callers_use() -> None:
    with pytest.raises(GatewayError, match="--upstream-host heartmap"):
        kong.files(replace(example(), upstream_host="service.internal"))


def test_without_the_pools_keys_there_is_no_rendering() -> None:
    with pytest.raises(GatewayError, match="--jwks"):
        kong.files(replace(example(), signing_keys=()))


# ---- Keys


def test_a_key_is_shown_once_and_kept_as_its_digest(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    key = keys.add(file, "pipeline", ["analyses:read", "uploads:write"])
    assert re.fullmatch(r"hmg_[A-Za-z0-9_-]{43}", key)
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    assert key not in text
    assert key.removeprefix(keys.PREFIX) not in text
    assert keys.programs(text) == (
        Program(name="pipeline", scopes=("analyses:read", "uploads:write"), digest=hashlib.sha256(key.encode()).hexdigest()),
    )
    assert list(tmp_path.iterdir()) == [file]


def test_a_new_key_ends_the_old_one_and_leaves_the_others(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    keys.add(file, "one", ["models:read"])
    (before,) = keys.programs(file.read_text())
    keys.add(file, "two", ["models:read"])
    keys.add(file, "one", ["config:read"])
    one, two = keys.programs(file.read_text())
    assert (one.name, one.scopes, two.name) == ("one", ("config:read",), "two")
    assert one.digest != before.digest


@pytest.mark.parametrize(("name", "scopes"), [("Pipeline", ["models:read"]), ("a b", ["models:read"]), ("a", []), ("a", ["all"])])
def test_what_is_no_name_or_no_scope_makes_no_key(tmp_path: Path, name: str, scopes: list[str]) -> None:
    with pytest.raises(GatewayError):
        keys.add(tmp_path / "keys.json", name, scopes)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"a": {"sha256": "00", "scopes": ["models:read"]}}',
        '{"a": {"sha256": 7, "scopes": ["models:read"]}}',
        json.dumps({"a": {"sha256": "0" * 64, "scopes": ["everything"]}}),
        json.dumps({"a": {"sha256": "0" * 64, "scopes": []}}),
        json.dumps({name: {"sha256": "0" * 64, "scopes": ["models:read"]} for name in "ab"}),
    ],
    ids=["empty", "list", "short", "number", "scope", "scopeless", "twice"],
)
def test_what_the_tool_did_not_write_is_not_read(text: str) -> None:
    with pytest.raises(GatewayError):
        keys.programs(text)


@pytest.mark.parametrize("text", [b"", b"{}", b'{"keys": []}', b'{"keys": [{"kty": "oct", "kid": "a", "k": "AAAA"}]}'])
def test_what_is_no_key_set_gives_no_keys(text: bytes) -> None:
    with pytest.raises(GatewayError, match="jwks_url"):
        keys.signing_keys(text)


# ---- The functions, in LuaJIT


def lua(value: object) -> str:
    """A value in Lua."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + "".join(f"\\{byte:03d}" for byte in value.encode("latin-1")) + '"'
    if isinstance(value, Mapping):
        return "{" + ",".join(f"[{lua(name)}]={lua(each)}" for name, each in value.items()) + "}"
    assert isinstance(value, list | tuple)
    return "{" + ",".join(lua(each) for each in value) + "}"


class Outcome:
    """What a function did: the headers of the request and of the answer, by small names, the body, and a refusal's status."""

    def __init__(self, text: str) -> None:
        self.headers: dict[str, str] = {}
        self.answer: dict[str, str] = {}
        self.refused: int | None = None
        self.body: str | None = None
        for line in text.splitlines():
            kind, rest = line.split("\t", 1)
            if kind == "refused":
                self.refused = int(rest)
            elif kind == "body":
                self.body = rest
            else:
                name, value = rest.split("\t", 1)
                (self.headers if kind == "header" else self.answer)[name] = value


@pytest.fixture
def run(tmp_path: Path) -> Any:
    luajit = program("luajit")

    def made(phase: str, **case: Any) -> Outcome:
        (code,) = plugin(document(), "pre-function")[phase]
        allowed = dict.fromkeys(settings()["untrusted_lua_sandbox_requires"].split(","), True)
        variables = {"request_uri": "/models", "host": example().server_name, "kong_request_id": "f" * 32} | case.pop("var", {})
        file = tmp_path / "case.lua"
        file.write_text("return " + lua({"code": code, "modules": allowed, "var": variables} | case))
        answer = subprocess.run([luajit, HERE / "kong_sandbox.lua", file], capture_output=True, text=True, timeout=20)
        assert answer.returncode == 0, answer.stderr
        return Outcome(answer.stdout)

    return made


def test_what_says_who_calls_is_removed_and_the_rest_passes(run: Any) -> None:
    spoken_for = {
        "X-HeartMAP-Assertion",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Real-IP",
        "Forwarded",
        "Connection",
        "X-Request-Id",
    }
    assert spoken_for.union(STRIPPED_HEADERS, {kong.DIGEST_HEADER}) <= set(kong.UNTRUSTED)
    from_outside = {name.lower(): "forged" for name in kong.UNTRUSTED}
    kept = {"authorization": "ApiKey x", "content-type": "application/json", "x-amz-date": "20260101T000000Z"}
    done = run("rewrite", headers=from_outside | kept, digests={"forged": "0" * 64})
    assert done.headers == kept | {"x-request-id": "f" * 32, kong.DIGEST_HEADER.lower(): "0" * 64}


def test_kong_is_given_the_digest_of_a_key(run: Any) -> None:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    done = run("rewrite", headers={kong.KEY_HEADER.lower(): KEY, "authorization": "ApiKey x"}, digests={KEY: digest})
    assert done.headers[kong.DIGEST_HEADER.lower()] == digest
    assert kong.KEY_HEADER.lower() not in done.headers


@pytest.mark.parametrize(
    "headers",
    [
        {kong.DIGEST_HEADER.lower(): "0" * 64},
        {kong.KEY_HEADER.lower(): [KEY, KEY]},
        {kong.KEY_HEADER.lower(): KEY, "authorization": "Bearer forged"},
        {kong.KEY_HEADER.lower(): KEY, "authorization": "ApiKey x bEARER forged"},
    ],
    ids=["digest", "twice", "token", "hidden-token"],
)
def test_no_other_way_makes_a_digest(run: Any, headers: dict[str, Any]) -> None:
    assert kong.DIGEST_HEADER.lower() not in run("rewrite", headers=headers, digests={KEY: "0" * 64}).headers


@pytest.mark.parametrize(
    "path",
    [
        "//models",
        "/models/",
        "/./models",
        "/x/../models",
        "/%6dodels",
        "/models%2f",
        "/models;x",
        "/mod\\els",
        "/models%00",
        "/mödels",
    ],
)
def test_a_path_that_kong_would_change_is_no_route(run: Any, path: str) -> None:
    # A slash at the end is left to the router, whose patterns hold over the whole path.
    assert run("access", var={"request_uri": path}).refused == (None if path == "/models/" else 404)


def test_the_query_is_no_part_of_the_path(run: Any) -> None:
    assert run("access", var={"request_uri": "/models?a=//..%2f"}).refused is None


def test_every_rows_own_path_passes(run: Any) -> None:
    for template in sorted({row.template for row in example().routes}):
        assert run("access", var={"request_uri": re.sub(r"\{\w+\}", ULID, template)}).refused is None


def test_a_foreign_host_is_told_so(run: Any) -> None:
    assert run("access", var={"host": "evil.example"}).refused == 421


def test_two_credentials_are_none_and_no_header_hides_behind_others(run: Any) -> None:
    assert run("access", headers={"authorization": ["Bearer a", "ApiKey b"]}).refused == 401
    assert run("access", truncated=True).refused == 400


STATUSES = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "no_such_route",
    405: "bad_request",
    408: "body_too_slow",
    411: "bad_request",
    413: "body_too_large",
    417: "body_too_large",
    421: "misdirected_request",
    429: "throttled",
    500: "internal",
    502: "bad_gateway",
    503: "unavailable",
    504: "timeout",
    507: "internal",
}


@pytest.mark.parametrize(("status", "code"), STATUSES.items())
@pytest.mark.parametrize("source", ["error", "exit"])
def test_kongs_own_errors_are_problem_documents(run: Any, status: int, code: str, source: str) -> None:
    said = '{"message":"You cannot consume this service"}'
    sent = run("header_filter", source=source, status=status, answer={"content-length": "44", "content-type": "text/html"}).answer
    assert sent.pop("content-type") == "application/problem+json"
    assert "content-length" not in sent
    assert ("www-authenticate" in sent) == (status == 401)
    assert ("retry-after" in sent) == (status in (429, 503))
    problem = json.loads(run("body_filter", source=source, status=status, body=said, answer={"x-request-id": "abc-1"}).body)
    assert (problem["status"], problem["code"], problem["request_id"]) == (status, code, "abc-1")
    assert "consume" not in json.dumps(problem)


def test_a_range_that_is_not_allowed_is_told_from_a_role(run: Any) -> None:
    said = json.dumps({"message": plugin(document(), "ip-restriction")["message"]})
    problem = json.loads(run("body_filter", source="exit", status=403, body=said).body)
    assert (problem["status"], problem["code"]) == (403, "blocked")


def test_a_strange_id_cannot_break_the_document(run: Any) -> None:
    done = run("body_filter", source="error", status=404, body="x", answer={"x-request-id": '"},%1\\'})
    assert json.loads(done.body)["request_id"] == "1"


def test_the_services_own_answers_are_left_alone(run: Any) -> None:
    assert run("header_filter", source="service", status=404, answer={"content-length": "2"}).answer == {"content-length": "2"}
    assert run("body_filter", source="service", status=404, body="{}").body == "{}"


# ---- The rest of the rendering


def test_kong_has_no_door_but_the_proxys() -> None:
    given = settings()
    assert {given[name] for name in ("admin_listen", "admin_gui_listen", "status_listen", "anonymous_reports", "database")} == {
        "off"
    }
    assert given["proxy_listen"] == "0.0.0.0:443 ssl, [::]:443 ssl"
    assert given["ssl_protocols"] == "TLSv1.2 TLSv1.3"
    assert given["untrusted_lua"] == "sandbox"
    assert "trusted_ips" not in given


def test_a_proxy_in_front_is_believed_only_where_it_is_named() -> None:
    gateway = replace(example(), trusted_proxies=(ipaddress.ip_network("192.0.2.7/32"),))
    assert "\ntrusted_ips = 192.0.2.7/32\n" in kong.files(gateway)["kong.conf"]


def test_the_service_is_verified_and_asked_once() -> None:
    (service,) = document()["services"]
    assert (service["protocol"], service["tls_verify"], service["retries"]) == ("https", True, 0)


def test_the_log_has_the_id_and_no_headers() -> None:
    fields = plugin(document(), "file-log")["custom_fields_by_lua"]
    assert fields["correlation_id"] == 'return kong.response.get_header("X-Request-Id")'
    assert fields["request.headers"] == fields["response.headers"] == "return nil"
    assert plugin(document(), "correlation-id")["header_name"] == "X-Request-Id"


def test_security_headers_are_on_every_answer() -> None:
    assert plugin(document(), "response-transformer")["add"]["headers"] == [
        f"{name}:{value}" for name, value in SECURITY_HEADERS.items()
    ]


def test_nginx_takes_what_it_is_to_include(certificates: TlsFiles, tmp_path: Path) -> None:
    gateway: Gateway = replace(example(), upstream_ca=str(certificates.ca))
    for name, text in kong.files(gateway).items():
        (tmp_path / name).write_text(text)
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}}\n"
        f"http {{ access_log off; include {tmp_path}/http.conf; server {{ listen 127.0.0.1:1 ssl;"
        f" ssl_certificate {certificates.certificate}; ssl_certificate_key {certificates.key}; include {tmp_path}/server.conf;"
        f" error_page 400 404 /kong_error_handler; location / {{ proxy_pass https://127.0.0.1:1; }} }} }}\n"
    )
    answer = subprocess.run([program("nginx"), "-t", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True, timeout=20)
    assert answer.returncode == 0, answer.stderr
    assert "warn" not in answer.stderr


def test_posts_that_have_a_second_rate_are_the_sensitive_ones() -> None:
    lines = re.findall(r'^    "~(\S+ [^"]+)" \$binary_remote_addr;$', rendered()["http.conf"], re.MULTILINE)
    for row in example().routes:
        call = row.method + " " + re.sub(r"\{\w+\}", ULID, row.template)
        assert any(re.search(line, call) and re.search(line, call + "?a=b") for line in lines) == row.sensitive
        assert not any(re.search(line, call + "x") for line in lines)
