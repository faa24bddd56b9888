"""Who gets into a console: its own page in its own browser, and nobody else."""

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from operator_cli.console.peers import Peers
from operator_cli.console.secrets import START_SECONDS, Secrets
from operator_cli.tokens import Tokens

SESSION = "/console/session"


# The start


def test_the_start_address_opens_the_console_once(console: Any, page_key_of: Any, static: Path) -> None:
    with console.stranger() as browser:
        first = browser.get(console.console.start_address)
        assert first.status_code == 200
        cookie = first.headers["set-cookie"]
        assert cookie.startswith(f"heartmap-console-{console.port}=")
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie
        key = page_key_of(first.text)
        assert browser.get(SESSION, headers={"X-HeartMAP-Console": key}).status_code == 200
        assert browser.get("/").status_code == 200
        again = browser.get(console.console.start_address)
    assert again.status_code == 403
    assert "used already" in again.text
    assert "set-cookie" not in again.headers
    assert key not in again.text


def test_the_script_of_the_start_page_is_the_only_one_that_may_run_there(console: Any) -> None:
    with console.stranger() as browser:
        answer = browser.get(console.console.start_address)
    nonce = answer.text.partition('nonce="')[2].partition('"')[0]
    assert f"script-src 'nonce-{nonce}'" in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", "?token=%00", "?other=1"])
def test_an_unknown_start_token_opens_nothing_and_uses_nothing_up(console: Any, query: str) -> None:
    with console.stranger() as browser:
        answer = browser.get(f"/start{query}")
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
        assert browser.get(console.console.start_address).status_code == 200


def test_a_start_token_ends_after_ten_minutes() -> None:
    now = [0.0]
    early, late = Secrets(clock=lambda: now[0]), Secrets(clock=lambda: now[0])
    now[0] = START_SECONDS - 1
    assert early.start(early.start_token)
    now[0] = START_SECONDS + 1
    assert not late.start(late.start_token)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_a_stolen_start_token_is_of_no_use_inside_another_page(console: Any, headers: dict[str, str]) -> None:
    with console.stranger(**headers) as page:
        assert page.get(console.console.start_address).status_code == 403
    with console.stranger(**{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}) as page:
        assert page.get(console.console.start_address).status_code == 200


def test_secrets_are_of_one_console(start_console: Any) -> None:
    one, other = start_console(), start_console()
    assert one.port != other.port
    assert one.console.secrets.cookie != other.console.secrets.cookie
    with other.stranger(**one.key) as browser:
        for name, value in (*one.cookie.items(), (next(iter(other.cookie)), next(iter(one.cookie.values())))):
            assert browser.get(SESSION, headers={"Cookie": f"{name}={value}"}).status_code == 401
        both = {**one.cookie, **other.cookie}
        answer = browser.get(SESSION, headers={"Cookie": "; ".join(f"{k}={v}" for k, v in both.items())} | other.key)
    assert answer.status_code == 200


# Cookie and key


@pytest.mark.parametrize(
    "path", ["/", "/analyses", "/assets/index-1a2b3c4d.js", "/api/models", SESSION, "/console/nothing", "/x"]
)
def test_nothing_is_there_without_the_cookie(console: Any, static: Path, path: str) -> None:
    with console.stranger(**console.key) as browser:
        answer = browser.get(path)
    assert answer.status_code == 401
    assert "heartmapctl console" in answer.text


def test_a_stolen_cookie_alone_opens_no_call(console: Any, server: Any, signed_in: Tokens) -> None:
    """Cookies go to every port of a host, so another user's server may have been sent it."""
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in console.cookie.items())}
    calls = [("GET", "/api/models"), ("GET", "/%61pi/models"), ("GET", SESSION), ("POST", "/console/sign-out")]
    with console.stranger() as thief:
        for (method, path), key in itertools.product(calls, [{}, {"X-HeartMAP-Console": ""}, {"X-HeartMAP-Console": "wrong"}]):
            answer = thief.request(method, path, headers=cookie | key)
            assert answer.status_code == 403, (method, path, key)
            assert answer.json()["code"] == "no_page_key"
    assert not server.seen


def test_the_key_alone_opens_nothing(console: Any, signed_in: Tokens, server: Any) -> None:
    with console.stranger(**console.key) as thief:
        assert thief.get("/api/models").status_code == 401
    assert not server.seen


def test_two_cookies_or_two_keys_are_none(console: Any) -> None:
    name, value = next(iter(console.cookie.items()))
    key = console.key["X-HeartMAP-Console"]
    two = f"GET {SESSION} HTTP/1.1\r\nHost: 127.0.0.1:{console.port}\r\nConnection: close\r\n"
    keys = f"Cookie: {name}={value}\r\nX-HeartMAP-Console: {key}\r\nX-HeartMAP-Console: x\r\n\r\n"
    cookies = f"Cookie: {name}={value}\r\nCookie: {name}=x\r\nX-HeartMAP-Console: {key}\r\n\r\n"
    assert console.raw((two + keys).encode()).startswith(b"HTTP/1.1 403")
    assert console.raw((two + cookies).encode()).startswith(b"HTTP/1.1 401")


# Other sites


def test_another_name_that_leads_here_is_refused(console: Any) -> None:
    """DNS rebinding: the browser believes that it speaks to the attacker's own host."""
    port = console.port
    hosts = [
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        f"localhost.:{port}",
        f"127.1:{port}",
        f"[::1]:{port}",
    ]
    cookie = "; ".join(f"{name}={value}" for name, value in console.cookie.items())
    with console.stranger(**console.key, Cookie=cookie) as browser:
        for host, path in itertools.product(hosts, ["/start", "/", "/api/models", SESSION]):
            assert browser.get(path, headers={"Host": host}).status_code == 421, (host, path)


def test_localhost_is_the_console_too(console: Any) -> None:
    assert console.page.get(SESSION, headers={"Host": f"localhost:{console.port}"}).status_code == 200
    both = {"Host": f"localhost:{console.port}", "Origin": console.origin}
    assert console.page.get(SESSION, headers=both).status_code == 403


def test_a_request_of_another_site_is_refused_even_with_cookie_and_key(console: Any, server: Any, signed_in: Tokens) -> None:
    origins = [
        "https://evil.example",
        "null",
        "",
        "http://127.0.0.1:1",
        f"https://127.0.0.1:{console.port}",
        f"{console.origin}.evil.example",
    ]
    sent = [{"Origin": origin} for origin in origins] + [
        {"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "nonsense")
    ]
    for method, headers in itertools.product(["GET", "POST", "PUT", "PATCH", "DELETE"], sent):
        answer = console.page.request(method, "/api/analyses", headers=headers)
        assert answer.status_code == 403, (method, headers)
        assert answer.json()["code"] == "cross_origin"
        assert "access-control-allow-origin" not in answer.headers
    assert not server.seen


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", ""])
def test_what_a_form_can_send_is_no_call(console: Any, server: Any, signed_in: Tokens, kind: str) -> None:
    """A simple request of an old browser, which says nothing of where it comes from."""
    body = b'{"upload_id": "01J8ZQ4Y7M3W5X9K2B6C1D0EFG"}'
    cookie = "; ".join(f"{name}={value}" for name, value in console.cookie.items())
    with console.stranger(Cookie=cookie) as browser:
        assert browser.post("/api/analyses", content=body, headers={"Content-Type": kind}).status_code == 403
    assert console.page.post("/api/analyses", content=body, headers={"Content-Type": kind}).status_code == 415
    assert not server.seen


def test_a_preflight_allows_nothing(console: Any) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = console.page.options("/api/analyses", headers=headers)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert console.page.options("/api/analyses").status_code == 405


def test_a_websocket_is_refused(console: Any) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "MDEyMzQ1Njc4OUFCQ0RFRg==",
    }
    for path in ("/", SESSION, "/start"):
        assert console.page.get(path, headers=upgrade).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/deep/page", 200),
        ("GET", "/none.js", 404),
        ("GET", "/assets/index-1a2b3c4d.js", 200),
        ("GET", SESSION, 200),
        ("GET", "/api/nothing", 403),
        ("GET", "/console/nothing", 404),
        ("POST", "/", 405),
        ("POST", "/console/uploads", 422),
        ("GET", "/api/models", 401),
    ],
)
def test_every_answer_has_the_headers(console: Any, static: Path, method: str, path: str, status: int) -> None:
    answer = console.page.request(method, path)
    assert answer.status_code == status
    for directive in (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "font-src 'self'",
        "worker-src 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
    ):
        assert directive in answer.headers["content-security-policy"].split("; ")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in answer.headers
    if path.startswith("/assets/"):
        assert "immutable" in answer.headers["cache-control"]
        assert "private" in answer.headers["cache-control"]
    elif path.startswith(("/api", "/console")):
        assert answer.headers["cache-control"] == "no-store"
    else:
        assert answer.headers["cache-control"] in ("no-cache", "no-store")


@pytest.mark.parametrize(
    "path",
    [
        "/../outside.txt",
        "/..%2foutside.txt",
        "/%2e%2e/outside.txt",
        "/assets/..%2f..%2foutside.txt",
        "//etc/passwd",
        "/..%5coutside.txt",
    ],
)
def test_the_pages_files_are_those_that_were_built(console: Any, static: Path, path: str) -> None:
    answer = console.raw(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{console.port}\r\nConnection: close\r\n"
        f"Cookie: {'; '.join(f'{name}={value}' for name, value in console.cookie.items())}\r\n\r\n".encode()
    )
    assert b"not the page's" not in answer
    assert b"root:" not in answer


def test_a_page_that_was_not_built_is_told_of(console: Any, static: Path) -> None:
    (static / "index.html").unlink()
    answer = console.page.get("/")
    assert answer.status_code == 503
    assert "has not been built" in answer.text


# Connections


def test_other_users_connections_are_told_apart_here(console: Any) -> None:
    if sys.platform == "linux":
        assert not console.warnings


STRANGER = """
import encodings.idna, os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
connection.sendall(sys.stdin.buffer.read())
answer = b""
while block := connection.recv(65536):
    answer += block
sys.stdout.buffer.write(answer)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="becoming another user takes root")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_another_user_of_this_machine_is_refused_whatever_they_stole(
    console: Any, signed_in: Tokens, server: Any, address: str
) -> None:
    name, value = next(iter(console.cookie.items()))
    common = f"Host: 127.0.0.1:{console.port}\r\nConnection: close\r\n"
    stolen = f"Cookie: {name}={value}\r\nX-HeartMAP-Console: {console.key['X-HeartMAP-Console']}\r\n"
    start = console.console.start_address.removeprefix(console.origin)
    for request in (f"GET {start} HTTP/1.1\r\n{common}\r\n", f"GET /api/models HTTP/1.1\r\n{common}{stolen}\r\n"):
        ran = subprocess.run(
            [sys.executable, "-c", STRANGER, address, str(console.port)], input=request.encode(), capture_output=True, check=False
        )
        assert ran.stdout.startswith(b"HTTP/1.1 403"), ran
        assert b"another user" in ran.stdout
        assert b"set-cookie" not in ran.stdout.lower()
    assert not server.seen
    # The token was not used up.
    with console.stranger() as browser:
        assert browser.get(console.console.start_address).status_code == 200


def test_a_connection_whose_holder_is_gone_is_nobodys(tmp_path: Path) -> None:
    """The kernel shows it as root's, and a console may be root's own."""
    uid = os.geteuid()
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    row = "   0: 0100007F:9C40 0100007F:20D1 {state} 00000000:00000000 00:00000000 00000000 {uid:5d} 0 {inode} 1 0 100 0 0 10 0\n"
    client, server = ("127.0.0.1", 40000), ("127.0.0.1", 8401)
    peers = Peers(tmp_path)

    def shows(**values: Any) -> bool:
        (tmp_path / "tcp").write_text(head + row.format(**{"state": "01", "uid": uid, "inode": 7} | values))
        return peers.admits(client, server)

    assert shows()
    assert not shows(state="05")
    assert not shows(inode=0)
    assert not shows(uid=uid + 1)
    assert shows()
    assert not peers.admits(("127.0.0.1", 40001), server)
    assert not peers.admits(client, ("127.0.0.1", 8402))
    (tmp_path / "tcp").unlink()
    assert not peers.admits(client, server)


def test_where_the_system_tells_no_owner_the_person_is_told(
    environment: Any, start_console: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Peers, "tells", lambda *_: False)
    console = start_console()
    assert "secrets alone" in console.warnings[0]
    assert console.page.get(SESSION).status_code == 200


def test_the_port_is_taken_on_both_loopbacks(console: Any) -> None:
    """Else another user could be `localhost` at this port for a browser that prefers IPv6."""
    import socket

    with pytest.raises(OSError, match="in use"):
        socket.create_server(("::1", console.port), family=socket.AF_INET6).close()


def test_nobody_may_say_whom_they_speak_for(console: Any) -> None:
    answer = console.page.get(
        SESSION, headers={"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "https", "Forwarded": "for=1.1.1.1"}
    )
    assert answer.status_code == 200


def test_a_connection_that_says_nothing_is_closed(start_console: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operator_cli.console.connections.HEAD_SECONDS", 0.3)
    console = start_console()
    began = time.monotonic()
    assert console.raw(b"GET / HTTP/1.1\r\nHost: ") == b""
    assert time.monotonic() - began < 2


def test_a_head_without_an_end_is_refused(console: Any) -> None:
    answer = console.raw(b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000)
    assert answer.startswith(b"HTTP/1.1 400") or answer == b""


def test_there_are_only_so_many_connections(console: Any) -> None:
    import socket

    held = [socket.create_connection(("127.0.0.1", console.port)) for _ in range(140)]
    try:
        time.sleep(0.2)
        with httpx.Client(base_url=console.origin) as another:
            assert another.get("/").status_code == 503
    finally:
        for each in held:
            each.close()
    time.sleep(0.2)
    assert console.page.get(SESSION).status_code == 200


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_users_connections_are_admitted_in_every_form(console: Any, address: str) -> None:
    import socket

    with socket.create_connection((address, console.port), timeout=5) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{console.port}\r\nConnection: close\r\n\r\n".encode())
        assert connection.recv(1024).startswith(b"HTTP/1.1 401")
