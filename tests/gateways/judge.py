"""What every answer of a gateway has to be like, whatever it answers."""

import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass

from infra.gateway_responses import SECURITY_HEADERS
from tests.gateways import wire
from tests.gateways.acceptance import APACHE, AWS, Case, request
from tests.gateways.callers import Callers
from tests.gateways.wire import Answer

PATIENCE = 30.0
"""Seconds for which a call that is throttled is made again, where that is not what the case is about."""
PROGRAMS = ("nginx", "apache", "openssl", "uvicorn", "traceback", "/usr/", "/tmp/")
"""What no answer says, in small letters: what stands there, and where."""
OF_THE_PARSER = (400, 414, 417, 421, 501)
"""What Apache answers before a request is one, and so before it has an id."""
OF_THE_WEB_ACL = ("body_too_large", "throttled")
"""Codes of AWS WAF's own answers, which know neither the request's id nor a content type but JSON (infra/waf_rules.py)."""


@dataclass(frozen=True)
class Place:
    """A gateway that runs. ``host`` is what callers call it."""

    name: str
    port: int
    trusted: ssl.SSLContext

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"


def faults(case: Case, place: Place, callers: Callers) -> list[str]:
    """What is wrong with a gateway's answers to a case; nothing, where nothing is."""
    expected = case.expects(place.name)
    sent = callers.fill_in(case.request, place.host, signed=case.signed)
    answers = ask(place, sent, source=case.source, is_throttled=429 in expected.statuses)
    found = [f"an answer says {text!r}" for text in case.never if any(text in _text(answer) for answer in answers)]
    statuses = tuple(answer.status for answer in answers)
    code = answers[0].problem.get("code") if answers else None
    if statuses != expected.statuses:
        found.append(f"it answers {statuses}, not {expected.statuses}: {answers[0].body[:200] if answers else b''!r}")
    elif expected.code is not None and code != expected.code:
        found.append(f"its code is {code}, not {expected.code}")
    is_head = case.request.startswith(b"HEAD ")
    for answer in answers:
        is_early = expected.early or (place.name == APACHE and answer.status in OF_THE_PARSER)
        found += form(answer, place.name, has_body=not is_head, is_early=is_early)
    return [f"{case.group}: {case.name}: {fault}" for fault in found]


def ask(place: Place, sent: bytes, *, source: str = "127.0.0.1", is_throttled: bool = False) -> list[Answer]:
    """The answers; asked again while they are that the row has no tokens left, unless that is what is wanted."""
    until = time.monotonic() + PATIENCE
    while True:
        answers = wire.ask(place.port, sent, trusted=place.trusted, source=source, head=sent.startswith(b"HEAD "))
        if is_throttled or time.monotonic() > until or not any(answer.status == 429 for answer in answers):
            return answers
        time.sleep(0.3)


def others_are_answered(place: Place, callers: Callers) -> Iterator[str]:
    """What is wrong with the answers to others after a case: each of them over a connection of their own."""
    sent = callers.fill_in(request("GET /health", credential="viewer"), place.host, signed=False)
    for _ in range(3):
        answers = ask(place, sent)
        if [answer.status for answer in answers] != [200] or answers[0].body != b'{"status":"healthy"}':
            yield f"then others are answered {answers}"


def form(answer: Answer, gateway: str, *, has_body: bool = True, is_early: bool = False) -> Iterator[str]:
    """What is wrong with the form of an answer."""
    if answer.status < 200 or (is_early and answer.status < 400):
        # 100 Continue, an answer without a head, and what a gateway says without a look at its configuration.
        return
    for name, value in SECURITY_HEADERS.items():
        if answer.headers.get(name.lower()) != [value]:
            yield f"{name} is {answer.headers.get(name.lower())}"
    for server in answer.headers.get("server", ()):
        if any(letter.isdigit() for letter in server):
            yield f"it tells its version: {server}"
    if "set-cookie" in answer.headers:
        yield "it sets a cookie"
    yield from (f"its body says {word}" for word in PROGRAMS if word.encode() in answer.body.lower() and answer.status >= 400)
    if answer.status >= 400:
        yield from _refusal(answer, gateway, has_body=has_body, is_early=is_early)


def _refusal(answer: Answer, gateway: str, *, has_body: bool, is_early: bool) -> Iterator[str]:
    if answer.status == 401 and "www-authenticate" not in answer.headers and gateway != AWS:
        yield "a 401 without WWW-Authenticate"
    if answer.status in (429, 503) and "retry-after" not in answer.headers:
        yield f"a {answer.status} without Retry-After"
    if not has_body:
        return
    problem, kind = answer.problem, answer.headers.get("content-type", [""])[0]
    if not problem or problem.get("status", answer.status) != answer.status:
        yield f"a {answer.status} that is no problem document: {answer.body[:100]!r}"
    elif gateway == AWS and problem["code"] in OF_THE_WEB_ACL and "request_id" not in problem:
        if kind != "application/json":
            yield f"an answer of the web ACL of type {kind}"
    elif is_early and not problem["request_id"] and "x-request-id" not in answer.headers:
        # There is none.
        return
    elif not kind.startswith("application/problem+json") or [problem["request_id"]] != answer.headers.get("x-request-id"):
        yield f"its type is {kind}, its id {problem.get('request_id')}, and X-Request-Id {answer.headers.get('x-request-id')}"


def _text(answer: Answer) -> bytes:
    head = "".join(f"{name}: {value}\n" for name, values in answer.headers.items() for value in values)
    return head.encode("latin-1", "replace") + answer.body
