import base64
import hashlib
import os
import pty
import re
import select
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import psutil
import pytest

from operator_cli import callback, sign_in
from operator_cli.callback import Answer
from operator_cli.environments import Environment
from operator_cli.errors import CliError
from operator_cli.sign_in import Attempt, Begun


def parameters(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def test_the_registered_ports_are_the_fixed_three() -> None:
    assert sign_in.CALLBACK_PORTS == (8400, 8401, 8402)


def test_every_attempt_has_secrets_of_its_own_and_asks_for_s256(environment: Environment) -> None:
    one, two = (parameters(Attempt.start(8400).address(environment)) for _ in range(2))
    assert one["code_challenge_method"] == "S256"
    assert one["redirect_uri"] == "http://localhost:8400/callback"
    assert "openid" in one["scope"]
    assert one["prompt"] == "login"
    for name in ("state", "nonce", "code_challenge"):
        assert one[name] != two[name]
        assert len(one[name]) >= 43


def test_the_verifier_is_not_in_the_address(environment: Environment) -> None:
    attempt = Attempt.start(8400)
    assert attempt.verifier not in attempt.address(environment)
    assert 43 <= len(attempt.verifier) <= 128  # RFC 7636 4.1


@pytest.mark.parametrize(
    "target",
    [
        "/callback",
        "/callback?code=c",
        "/callback?code=c&state=",
        "/callback?code=c&state=wrong",
        "/callback?code=c&state=s&state=s",
        "/callback?code=c&code=d&state=s",
        "/callback?state=s",
        "/callback?code=c&error=e&state=s",
        "/callback/?code=c&state=s",
        "/?code=c&state=s",
        "/callback?code=c&state=%ff",
        "/callback?code=c&state=s&" + "&".join(f"x{i}=1" for i in range(50)),
        "//callback?code=c&state=s",
        "//evil.example/callback?code=c&state=s",
        "http://evil.example/callback?code=c&state=s",
    ],
)
def test_what_is_not_the_answer_to_this_sign_in_is_no_answer(target: str) -> None:
    assert callback.read(target, "s") is None


def test_the_answer_is_a_code_or_an_error() -> None:
    assert callback.read("/callback?code=c&state=s", "s") == Answer("c", None, None)
    refused = callback.read("/callback?error=access_denied&error_description=No&state=s", "s")
    assert refused == Answer(None, "access_denied", "No")


# The address to which the browser comes back


class Browser:
    """Comes back to a sign-in with what it is told to."""

    def __init__(self, begun: Begun) -> None:
        self.base = f"http://127.0.0.1:{begun.port}"
        self.asked = parameters(begun.address)

    def back(self, path: str = "/callback", headers: dict[str, str] | None = None, **changes: str) -> httpx.Response:
        query = urlencode({"code": "c", "state": self.asked["state"]} | changes)
        return httpx.get(f"{self.base}{path}?{query}", headers=headers, trust_env=False)


@pytest.fixture
def begun(environment: Environment, pool: Any, callback_ports: tuple[int, ...]) -> Iterator[Begun]:
    """A sign-in under way, whose code is "c"."""
    with sign_in.begin(environment, goes_on="in the <test>") as under_way:
        pool._codes["c"] = parameters(under_way.address)
        yield under_way


def test_only_the_loopback_is_listened_on(begun: Begun) -> None:
    mine = [each.laddr for each in psutil.Process().net_connections("inet") if each.laddr.port == begun.port]
    assert {"127.0.0.1"} <= {address.ip for address in mine} <= {"127.0.0.1", "::1"}


def test_the_ports_are_tried_in_order(environment: Environment, callback_ports: tuple[int, ...]) -> None:
    with socket.create_server(("127.0.0.1", callback_ports[0])), sign_in.begin(environment, goes_on="here") as under_way:
        assert under_way.port == callback_ports[1]


def test_a_port_that_somebody_has_on_the_other_loopback_address_is_not_taken(
    environment: Environment, callback_ports: tuple[int, ...]
) -> None:
    """Browsers take localhost for either address: the answer would go to whoever sits on the one that they try first."""
    try:
        squatter = socket.create_server(("::1", callback_ports[0]), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with squatter, sign_in.begin(environment, goes_on="here") as under_way:
        assert under_way.port == callback_ports[1]


def test_busy_ports_are_named(environment: Environment, callback_ports: tuple[int, ...]) -> None:
    held = [socket.create_server(("127.0.0.1", port)) for port in callback_ports]
    with pytest.raises(CliError, match=", ".join(map(str, callback_ports))):
        sign_in.begin(environment, goes_on="here")
    for each in held:
        each.close()


def test_who_comes_back_is_signed_in(begun: Begun) -> None:
    page = Browser(begun).back()
    assert begun.wait(10).claims["username"] == "analyst-1"
    assert page.status_code == 200
    assert "You are signed in" in page.text
    assert "in the &lt;test&gt;" in page.text


def test_a_foreign_callback_neither_ends_nor_replaces_the_sign_in(begun: Begun) -> None:
    browser = Browser(begun)
    assert browser.back(code="evil", state="guess").status_code == 400
    assert browser.back("/other", code="evil").status_code == 400
    form = {"code": "evil", "state": browser.asked["state"]}
    assert httpx.post(f"{browser.base}/callback", params=form, data=form, trust_env=False).status_code == 501
    assert not begun.answered()
    assert browser.back().status_code == 200
    assert begun.wait(10).fresh


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "localhost"},
        {"Host": "localhost.evil.example:8400"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Mode": "cors"},
    ],
)
def test_what_another_page_asks_for_is_not_looked_at_even_with_the_state(begun: Begun, headers: dict[str, str]) -> None:
    browser = Browser(begun)
    assert browser.back(headers=headers).status_code in (403, 421)
    assert not begun.answered()
    assert browser.back(headers={"Host": f"localhost:{begun.port}", "Sec-Fetch-Mode": "navigate"}).status_code == 200


def test_an_answer_is_taken_once(begun: Begun) -> None:
    browser = Browser(begun)
    assert browser.back().status_code == 200
    assert browser.back(code="evil").status_code == 400
    assert not begun.paste(f"http://localhost:{begun.port}/callback?code=evil&state={browser.asked['state']}")
    assert begun.wait(10).fresh


def test_the_pages_run_nothing_and_tell_nothing(begun: Begun) -> None:
    browser = Browser(begun)
    foreign = browser.back(state="<script>alert(1)</script>")
    refusal = browser.back("/callback", error="access_denied", error_description="<script>alert(1)</script>", code="")
    done = browser.back()
    for page in (foreign, refusal, done):
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
        assert "<script" not in page.text
        assert browser.asked["state"] not in page.text
        style = page.text.partition("<style>")[2].partition("</style>")[0]
        assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy


def test_a_refusal_has_a_page_and_is_told(environment: Environment, callback_ports: tuple[int, ...]) -> None:
    with sign_in.begin(environment, goes_on="here") as under_way:
        state = parameters(under_way.address)["state"]
        query = urlencode({"error": "access_denied", "error_description": "You may not", "state": state})
        page = httpx.get(f"http://127.0.0.1:{under_way.port}/callback?{query}", trust_env=False)
        assert page.status_code == 200
        assert "was refused" in page.text
        with pytest.raises(CliError, match="You may not") as refused:
            under_way.wait(10)
    assert refused.value.code == "access_denied"


def test_a_silent_connection_does_not_hold_up_the_answer(begun: Begun) -> None:
    with socket.create_connection(("127.0.0.1", begun.port)):
        began = time.monotonic()
        Browser(begun).back()
        assert begun.wait(20).fresh
        assert time.monotonic() - began < 5


def test_nobody_comes_and_the_time_limit_ends_it(begun: Begun) -> None:
    began = time.monotonic()
    with pytest.raises(CliError, match="Nobody signed in") as late:
        begun.wait(0.2)
    assert late.value.code == "sign_in_timeout"
    assert time.monotonic() - began < 5
    with pytest.raises(httpx.ConnectError):
        Browser(begun).back()


def test_closing_ends_the_wait_of_another_thread_and_frees_the_port(begun: Begun, environment: Environment) -> None:
    closing = threading.Timer(0.2, begun.close)
    closing.start()
    with pytest.raises(CliError) as closed:
        begun.wait(20)
    assert closed.value.code == "sign_in_closed"
    begun.close()
    with sign_in.begin(environment, goes_on="here") as another:
        assert another.port == begun.port


# A browser on another machine


def test_the_address_at_which_a_browser_elsewhere_ended_can_be_pasted(begun: Begun) -> None:
    state = parameters(begun.address)["state"]
    home = f"http://localhost:{begun.port}"
    for text in (
        "",
        "c",
        f"{home}/callback?code=c&state=guess",
        f"{home}/callback",
        f"{home}.evil.example/callback?code=c&state={state}",
        f"https://localhost:{begun.port}/callback?code=c&state={state}",
        f"http://evil.example/callback?code=c&state={state}",
        f"{home}/callback?code=c&state={state}&code=d",
    ):
        assert not begun.paste(text)
    assert not begun.answered()
    assert begun.paste(f" {home}/callback?code=c&state={state}\n")
    assert begun.wait(10).fresh


@pytest.mark.parametrize(
    ("platform", "variables", "here"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"BROWSER": "my-browser"}, True),
        ("linux", {"SSH_CONNECTION": "a 1 b 22"}, False),
        ("darwin", {}, True),
        ("darwin", {"SSH_CONNECTION": "a 1 b 22"}, False),
    ],
)
def test_a_device_without_a_browser_is_known(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], here: bool
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr("webbrowser.get", lambda: None)
    assert sign_in.browser_is_here() == here


TERMINAL = """
import sys
from operator_cli import sign_in
from operator_cli.environments import load
from operator_cli.output import Output
from operator_cli.vocabulary import EnvironmentName

sign_in.CALLBACK_PORTS = tuple(map(int, sys.argv[1:]))
tokens = sign_in.with_browser(load(EnvironmentName.LOCAL), Output(json_only=False), open_browser=True, seconds=30)
print("signed in as", tokens.claims["username"])
"""


def read_until(terminal: int, mark: str, seen: str = "") -> str:
    ends = time.monotonic() + 20
    while mark not in seen:
        assert time.monotonic() < ends, seen
        if select.select([terminal], [], [], 0.2)[0]:
            seen += os.read(terminal, 4096).decode()
    return seen


def test_on_a_device_without_a_browser_the_terminal_says_what_to_do_and_takes_the_address_unseen(
    state: Path, pool: Any, callback_ports: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", TERMINAL, *map(str, callback_ports)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        seen = read_until(ours, "press Enter.")
        assert "No browser was found" in seen
        assert f"ssh -L {callback_ports[0]}:localhost:{callback_ports[0]}" in seen
        (address,) = re.findall(r"https://\S+/oauth2/authorize\S+", seen)
        pool._codes["secret-code"] = asked = parameters(address)
        os.write(ours, b"http://localhost/something-else\n")
        seen = read_until(ours, "That is not the address", seen)
        os.write(ours, f"{asked['redirect_uri']}?code=secret-code&state={asked['state']}\n".encode())
        seen = read_until(ours, "signed in as analyst-1", seen)
        assert process.wait(20) == 0
        assert termios.tcgetattr(ours)[3] & termios.ECHO
    assert "secret-code" not in seen
    assert "something-else" not in seen
    os.close(ours)


# Tokens


def test_a_refusal_at_the_page_is_told(environment: Environment) -> None:
    with pytest.raises(CliError, match="You may not") as refused:
        Attempt.start(8400).finish(environment, Answer(None, "access_denied", "You may not"))
    assert refused.value.code == "access_denied"


def code_for(environment: Environment, attempt: Attempt, pool: Any) -> Answer:
    pool._codes["c"] = parameters(attempt.address(environment))
    return Answer("c", None, None)


def test_a_code_is_exchanged_for_tokens(environment: Environment, pool: Any) -> None:
    attempt = Attempt.start(8400)
    tokens = attempt.finish(environment, code_for(environment, attempt, pool))
    assert tokens.fresh
    assert tokens.email is None


@pytest.mark.parametrize(("email", "kept"), [("someone@example.org", "someone@example.org"), (7, None), (None, None)])
def test_the_address_of_the_person_is_kept_from_the_identity_token(
    environment: Environment, pool: Any, email: Any, kept: str | None
) -> None:
    pool.id_claims = {"email": email}
    attempt = Attempt.start(8400)
    assert attempt.finish(environment, code_for(environment, attempt, pool)).email == kept


def test_a_code_of_another_attempt_is_refused(environment: Environment, pool: Any) -> None:
    answer = code_for(environment, Attempt.start(8400), pool)
    with pytest.raises(CliError, match="refused") as refused:
        Attempt.start(8400).finish(environment, answer)
    assert refused.value.code == "invalid_grant"


@pytest.mark.parametrize(
    "claims",
    [{"nonce": "other"}, {"nonce": None}, {"iss": "https://elsewhere"}, {"aud": "other"}, {"token_use": "access"}, {"exp": 1}],
)
def test_an_identity_token_that_is_not_for_this_sign_in_is_refused(
    environment: Environment, pool: Any, claims: dict[str, Any]
) -> None:
    pool.id_claims = claims
    attempt = Attempt.start(8400)
    with pytest.raises(CliError, match=r"not for this sign-in|already ended"):
        attempt.finish(environment, code_for(environment, attempt, pool))


@pytest.mark.parametrize("claims", [{"iss": "https://elsewhere"}, {"client_id": "other"}, {"token_use": "id"}, {"exp": "soon"}])
def test_an_access_token_that_is_not_of_this_pool_and_client_is_refused(
    environment: Environment, pool: Any, claims: dict[str, Any]
) -> None:
    pool.access_claims = claims
    attempt = Attempt.start(8400)
    with pytest.raises(CliError, match=r"not for this sign-in|without an end"):
        attempt.finish(environment, code_for(environment, attempt, pool))


def test_an_untrusted_certificate_ends_the_sign_in(environment: Environment, pool: Any) -> None:
    attempt = Attempt.start(8400)
    answer = code_for(environment, attempt, pool)
    with pytest.raises(CliError, match=r"certificate of localhost:[0-9]+ is not trusted"):
        attempt.finish(environment.model_copy(update={"ca_bundle": None}), answer)
    assert not pool.server.requests("POST", "/oauth2/token")
