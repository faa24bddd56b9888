"""What another page can do to a console in a real browser: nothing, though the browser holds the console's cookie."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from operator_cli.tokens import Tokens

pytest.importorskip("playwright")

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]

ATTACK = """<!doctype html><meta charset="utf-8"><title>evil</title>
<form id="form" method="post" action="CONSOLE/api/analyses" target="frame" enctype="text/plain">
<input name='{"a":"' value='"}'></form>
<iframe name="frame"></iframe><iframe src="CONSOLE/"></iframe><img src="CONSOLE/api/models">
<script src="CONSOLE/api/models"></script>
<link rel="stylesheet" href="CONSOLE/assets/index-1a2b3c4d.js">
<script>
const tries = [
  () => fetch("CONSOLE/console/sign-out", {method: "POST", mode: "no-cors", credentials: "include"}),
  () => fetch("CONSOLE/api/analyses", {credentials: "include"}),
  () => fetch("CONSOLE/api/analyses", {method: "POST", mode: "no-cors", credentials: "include", body: "{}"}),
  () => fetch("CONSOLE/api/analyses", {method: "DELETE", credentials: "include", headers: {"X-HeartMAP-Console": "KEY"}}),
  () => fetch("CONSOLE/console/sign-out", {method: "POST", credentials: "include", headers: {"X-HeartMAP-Console": "KEY"}}),
  () => fetch("CONSOLE/assets/index-1a2b3c4d.js", {credentials: "include"}),
  () => new Promise((yes, no) => {
    const socket = new WebSocket("CONSOLE/console/session".replace("http", "ws"));
    socket.onopen = () => yes({type: "opened"}); socket.onerror = () => no("refused");
  }),
  () => navigator.sendBeacon("CONSOLE/console/sign-out", "{}"),
];
document.getElementById("form").submit();
Promise.allSettled(tries.map((each) => each())).then((all) => {
  window.found = all.map((each) => each.status === "fulfilled" ? String(each.value && each.value.type) : "refused");
});
</script>"""


@pytest.fixture
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield started
        started.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_another_page_gets_nothing_and_changes_nothing(
    console: Any, browser: Any, server: Any, bucket: Any, reply: Any, signed_in: Tokens, host: str, wait_for: Callable[..., Any]
) -> None:
    """On another port of the same host the browser even sends the cookie: it is the same site. The page is given the key, too."""
    attack = ATTACK.replace("CONSOLE", console.origin).replace("KEY", console.key["X-HeartMAP-Console"])
    bucket.routes["GET", "/"] = reply(200, attack.encode(), {"Content-Type": "text/html"})
    context = browser.new_context()
    page = context.new_page()
    page.goto(console.console.start_address)
    page.wait_for_url(f"{console.origin}/")
    assert context.cookies(console.origin)
    answers: list[tuple[str, int]] = []
    evil = context.new_page()
    evil.on("response", lambda answer: answers.append((answer.url, answer.status)))
    evil.goto(bucket.url.replace("127.0.0.1", host) + "/")
    evil.wait_for_function("window.found")
    found = evil.evaluate("window.found")
    assert set(found) <= {"refused", "opaque", "undefined"}, found
    assert [status for url, status in answers if url.startswith(console.origin)]
    assert all(status in (401, 403) for url, status in answers if url.startswith(console.origin)), answers
    assert not server.seen
    assert console.page.get("/console/session").json()["signed_in"] is True
    context.close()


def test_the_page_key_is_the_origins(console: Any, browser: Any, bucket: Any, reply: Any) -> None:
    """Another user's server on another port is sent the cookie, and cannot read the key."""
    bucket.routes["GET", "/"] = reply(200, b"<!doctype html>", {"Content-Type": "text/html"})
    context = browser.new_context()
    page = context.new_page()
    page.goto(console.console.start_address)
    page.wait_for_url(f"{console.origin}/")
    assert page.evaluate("localStorage.getItem('heartmap-console-key')") == console.key["X-HeartMAP-Console"]
    page.goto(bucket.url + "/")
    assert console.console.secrets.cookie in bucket.seen[-1].headers["cookie"]
    assert page.evaluate("JSON.stringify(localStorage)") == json.dumps({})
    assert "heartmap" not in page.evaluate("document.cookie")
    context.close()
