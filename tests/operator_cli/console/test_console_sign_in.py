"""Signing in from the page."""

import time
from typing import Any

import httpx
import pytest


@pytest.fixture(autouse=True)
def _ports(callback_ports: tuple[int, ...]) -> None:
    """Not the registered ones."""


def _sign_in(environment: Any, username: str, address: str) -> None:
    """What the person does in the other tab."""
    from operator_cli.transport import client

    with client(environment) as browser:
        page = browser.get(_base(environment) + browser.get(address).headers["location"])
        action = page.text.partition('action="/login')[2].partition('"')[0]
        mark = page.text.partition('name="_csrf" value="')[2].partition('"')[0]
        form = {"_csrf": mark, "username": username, "password": "correct horse"}
        answer = browser.post(_base(environment) + "/login" + action, data=form)
    httpx.get(answer.headers["location"])


def _base(environment: Any) -> str:
    return environment.authorize_url.partition("/oauth2")[0]


def _session(console: Any) -> Any:
    return console.page.get("/console/session").json()


def test_a_person_signs_in_from_the_page(console: Any, environment: Any, pool: Any, wait_for: Any) -> None:
    answer = console.page.post("/console/sign-in")
    address = answer.json()["address"]
    assert address.startswith(environment.authorize_url)
    assert _session(console)["sign_in"] == "waiting"
    _sign_in(environment, pool.username, address)
    session = wait_for(lambda: (found := _session(console))["signed_in"] and found)
    assert session["username"] == pool.username
    assert session["sign_in_error"] is None
    wait_for(lambda: _session(console)["sign_in"] == "none")


def test_a_sign_in_that_is_refused_says_why(console: Any, environment: Any, pool: Any, wait_for: Any) -> None:
    address = console.page.post("/console/sign-in").json()["address"]
    query = dict(httpx.URL(address).params)
    httpx.get(query["redirect_uri"], params={"error": "access_denied", "error_description": "<b>no</b>", "state": query["state"]})
    session = wait_for(lambda: (found := _session(console))["sign_in"] == "failed" and found)
    assert "refused" in session["sign_in_error"]
    assert session["signed_in"] is False


def test_a_second_attempt_takes_the_place_of_the_first(console: Any, environment: Any, pool: Any, wait_for: Any) -> None:
    first = console.page.post("/console/sign-in").json()["address"]
    second = console.page.post("/console/sign-in").json()["address"]
    assert first != second
    # The first one gave its port back.
    assert httpx.URL(first).params["redirect_uri"] == httpx.URL(second).params["redirect_uri"]
    assert _session(console)["sign_in"] == "waiting"
    _sign_in(environment, pool.username, second)
    wait_for(lambda: _session(console)["signed_in"])


def test_a_console_ends_while_it_waits_for_a_sign_in(start_console: Any) -> None:
    console = start_console()
    console.page.post("/console/sign-in")
    began = time.monotonic()
    console.close()
    assert time.monotonic() - began < 5


def test_no_free_callback_port_is_told(console: Any, callback_ports: tuple[int, ...], pool: Any) -> None:
    import socket

    held = [socket.create_server(("127.0.0.1", port)) for port in callback_ports]
    try:
        answer = console.page.post("/console/sign-in")
        assert answer.status_code == 502
        assert "port" in answer.json()["detail"]
        assert _session(console)["sign_in"] == "none"
    finally:
        for each in held:
            each.close()
