import json
import threading
import time
from typing import Any

import pytest

from lambda_authorizer.encoding import b64url
from lambda_authorizer.keys import COOLDOWN, HARD_AGE, SOFT_AGE, KeySource, parse_key_set
from lambda_authorizer.reasons import Fault, Reason

NOW = 1_800_000_000.0


def soon(seconds: float = 1.8) -> float:
    return time.monotonic() + seconds


@pytest.fixture
def source(pool, server) -> KeySource:
    """Our pool's key, refreshed from a server."""
    return KeySource(parse_key_set(pool.jwks), f"{server.url}/jwks.json", now=NOW)


def test_the_key_set_is_read_by_key_id(pool) -> None:
    keys = parse_key_set(pool.jwks)
    assert {key_id: key.public_numbers() for key_id, key in keys.items()} == {"key-1": pool.public_key.public_numbers()}


def test_a_key_may_say_that_it_verifies(pool) -> None:
    assert list(parse_key_set(json.dumps({"keys": [pool.jwk | {"key_ops": ["sign", "verify"]}]}).encode())) == ["key-1"]


def test_keys_of_other_kinds_are_passed_over(pool) -> None:
    others = [{"kty": "EC", "kid": "ec"}, {"kty": "RSA", "use": "enc", "kid": "enc"}, {"kty": "RSA", "alg": "PS256", "kid": "ps"}]
    assert list(parse_key_set(json.dumps({"keys": [*others, pool.jwk]}).encode())) == ["key-1"]


@pytest.mark.parametrize(
    "changes",
    [
        {"kid": None},
        {"kid": ""},
        {"kid": 7},
        {"n": None},
        {"n": "AQAB"},
        {"n": "A" * 3000},
        {"e": "AQ"},
        {"e": "Aw"},
        {"e": "AQAA"},
        {"e": "AQAB=="},
        {"e": "________"},
        {"e": b64url((65_535).to_bytes(2, "big"))},
        {"e": b64url((65_540).to_bytes(3, "big"))},
        {"e": b64url((2**32 + 1).to_bytes(5, "big"))},
        {"n": b64url((2**2048 - 2).to_bytes(256, "big"))},
        {"n": b64url((2**4096 + 1).to_bytes(513, "big"))},
        {"e": 65537},
        {"d": "AQAB"},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "EC"},
        {"use": "enc"},
        {"alg": "RS512"},
        {"key_ops": ["encrypt"]},
        {"key_ops": []},
        {"key_ops": "verify"},
    ],
)
def test_an_unusable_key_set_is_refused(pool, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"key|base64url"):
        parse_key_set(json.dumps({"keys": [pool.jwk | changes]}).encode())


def test_a_key_may_have_from_2048_to_4096_bits(pool) -> None:
    for bits in (2048, 4096):
        number = b64url((2**bits - 1).to_bytes(bits // 8, "big"))
        assert parse_key_set(json.dumps({"keys": [pool.jwk | {"n": number}]}).encode())


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b'{"keys": []}', b'{"keys": {}}', b'{"keys": [1]}', b'{"keys": [], "keys": []}']
)
def test_a_document_that_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # any ValueError is the contract
        parse_key_set(document)


def test_one_id_twice_is_refused(pool) -> None:
    with pytest.raises(ValueError, match="id of its own"):
        parse_key_set(json.dumps({"keys": [pool.jwk, pool.jwk]}).encode())


def test_a_weak_key_is_refused() -> None:
    with pytest.raises(ValueError, match="2048"):
        parse_key_set(json.dumps({"keys": [{"kty": "RSA", "kid": "w", "e": "AQAB", "n": "_" * 172}]}).encode())


def test_a_known_key_needs_no_network(source: KeySource, server, pool) -> None:
    assert source.get("key-1", now=NOW + SOFT_AGE, deadline=soon())
    assert server.requests == []


def test_a_rotated_key_arrives(source: KeySource, server, other_pool) -> None:
    server.answer = lambda request: server.reply(request, other_pool.jwks)
    key = source.get("key-2", now=NOW, deadline=soon())
    assert key
    assert key.public_numbers() == other_pool.public_key.public_numbers()
    assert source.get("key-1", now=NOW, deadline=soon()) is None


@pytest.mark.parametrize("status", [200, 302, 500])
def test_a_thousand_unknown_ids_cause_one_fetch(source: KeySource, server, pool, status: int) -> None:
    server.answer = lambda request: server.reply(request, pool.jwks, status=status)
    for number in range(1000):
        assert source.get(f"unknown-{number}", now=NOW + number * COOLDOWN / 1001, deadline=soon()) is None
    assert len(server.requests) == 1
    source.get("unknown", now=NOW + COOLDOWN, deadline=soon())
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 200), (b"{}", 200), (b'{"keys": []}', 200), (b"x" * 1_000_000, 200), (None, 302), (None, 404), (None, 500)],
)
def test_a_wrong_answer_changes_nothing(source: KeySource, server, other_pool, body: bytes | None, status: int) -> None:
    where = {"Location": f"{server.url}/elsewhere"}
    server.answer = lambda request: server.reply(request, other_pool.jwks if body is None else body, status=status, headers=where)
    assert source.get("key-2", now=NOW, deadline=soon()) is None
    assert source.get("key-1", now=NOW, deadline=soon())
    assert [request.path for request in server.requests] == ["/jwks.json"]


def test_a_slow_server_does_not_hold_the_decision(source: KeySource, server) -> None:
    done = threading.Event()
    server.answer = lambda request: done.wait(10)
    started = time.monotonic()
    assert source.get("unknown", now=NOW, deadline=soon(0.3)) is None
    assert time.monotonic() - started < 1
    started = time.monotonic()
    assert source.get("unknown", now=NOW + COOLDOWN, deadline=soon(60)) is None
    assert 1 < time.monotonic() - started < 2
    done.set()


def test_a_withdrawn_key_goes_after_the_soft_age(source: KeySource, server, other_pool) -> None:
    server.answer = lambda request: server.reply(request, other_pool.jwks)
    assert source.get("key-1", now=NOW + SOFT_AGE + 1, deadline=soon()) is None


def test_keys_that_cannot_be_refreshed_are_believed_for_a_day(source: KeySource, server) -> None:
    server.answer = lambda request: server.reply(request, b"", status=500)
    assert source.get("key-1", now=NOW + HARD_AGE, deadline=soon())
    with pytest.raises(Fault) as caught:
        source.get("key-1", now=NOW + HARD_AGE + 1, deadline=soon())
    assert caught.value.reason is Reason.KEY_SET_STALE


def test_without_a_url_the_keys_stay(pool) -> None:
    source = KeySource(parse_key_set(pool.jwks), None, now=NOW)
    assert source.get("key-1", now=NOW + 10 * HARD_AGE, deadline=soon())
    assert source.get("key-2", now=NOW + 10 * HARD_AGE, deadline=soon()) is None
