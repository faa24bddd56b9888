import base64
import json
import time
from typing import Any

import pytest

from lambda_authorizer.aws import Aws
from lambda_authorizer.reasons import Fault, Reason
from lambda_authorizer.secret_store import MAX_AGE, RETRY_AFTER, STALE_AGE, ManagedSecrets, parse

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:heartmap-x-AbCdEf"
NOW = 1_800_000_000.0

pytestmark = pytest.mark.usefixtures("aws_credentials")


def test_the_secret_is_read(names) -> None:
    secrets = parse(json.dumps(names.secret).encode())
    assert secrets.api_key_pepper == names.pepper
    assert secrets.assertion_keys.keys == names.assertion_keys
    assert secrets.assertion_keys.current == "b2"


@pytest.mark.parametrize(
    "changes",
    [
        {"api_key_pepper": None},
        {"api_key_pepper": ""},
        {"api_key_pepper": "not base64!"},
        {"api_key_pepper": base64.b64encode(b"short").decode()},
        {"api_key_pepper": base64.b64encode(b"p" * 15).decode()},
        {"api_key_pepper": "!" + base64.b64encode(b"p" * 32).decode()},
        {"assertion_keys": None},
        {"assertion_keys": {}},
        {"assertion_keys": {"b2": "AAAA"}},
        {"current_assertion_key": None},
        {"current_assertion_key": ["b2"]},
        {"current_assertion_key": "c3"},
    ],
)
def test_a_malformed_secret_is_refused_without_a_word_of_it(names, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # any ValueError is the contract
        parse(json.dumps(names.secret | changes).encode())
    assert names.secret["api_key_pepper"] not in str(caught.value)


def test_a_pepper_of_128_bits_is_long_enough(names) -> None:
    short = names.secret | {"api_key_pepper": base64.b64encode(b"p" * 16).decode()}
    assert parse(json.dumps(short).encode()).api_key_pepper == b"p" * 16


@pytest.fixture
def store(server, names) -> ManagedSecrets:
    answer(server, names.secret)
    return ManagedSecrets(ARN, Aws(endpoint=server.url, own_addresses=False))


def answer(server, secret: Any, status: int = 200) -> None:
    body = json.dumps({"SecretString": json.dumps(secret)}).encode()
    server.answer = lambda request: server.reply(request, body, status=status)


def get(store: ManagedSecrets, later: float = 0):
    return store.get(now=NOW + later, deadline=time.monotonic() + 1)


def test_the_secret_is_read_once_for_a_while(store: ManagedSecrets, server, names) -> None:
    assert get(store).api_key_pepper == names.pepper
    assert get(store, MAX_AGE).api_key_pepper == names.pepper
    (request,) = server.requests
    assert json.loads(request.body) == {"SecretId": ARN}
    assert request.headers["X-Amz-Target"] == "secretsmanager.GetSecretValue"
    assert "/eu-central-1/secretsmanager/" in request.headers["Authorization"]


def test_a_rotation_arrives(store: ManagedSecrets, server, names) -> None:
    get(store)
    answer(server, names.secret | {"current_assertion_key": "a1"})
    assert get(store, MAX_AGE + 1).assertion_keys.current == "a1"


def test_a_store_that_fails_later_is_outlived_for_an_hour(store: ManagedSecrets, server, names) -> None:
    get(store)
    answer(server, names.secret, status=500)
    assert get(store, MAX_AGE + 1).api_key_pepper == names.pepper
    assert get(store, MAX_AGE + RETRY_AFTER).api_key_pepper == names.pepper
    assert len(server.requests) == 2
    assert get(store, MAX_AGE + 1 + RETRY_AFTER).api_key_pepper == names.pepper
    assert len(server.requests) == 3
    assert get(store, STALE_AGE).api_key_pepper == names.pepper
    with pytest.raises(Fault):
        get(store, STALE_AGE + 1)


@pytest.mark.parametrize("status", [400, 403, 500])
def test_a_store_that_never_answered_is_a_fault(store: ManagedSecrets, server, status: int) -> None:
    answer(server, {}, status=status)
    with pytest.raises(Fault) as caught:
        get(store)
    assert caught.value.reason is Reason.SECRETS_UNAVAILABLE


@pytest.mark.parametrize("body", [{}, {"SecretString": None}, {"SecretString": "{}"}, {"SecretBinary": "e30="}])
def test_a_malformed_secret_in_the_store_is_a_fault(store: ManagedSecrets, server, body: dict[str, Any]) -> None:
    server.answer = lambda request: server.reply(request, json.dumps(body).encode())
    with pytest.raises(Fault) as caught:
        get(store)
    assert caught.value.reason is Reason.SECRETS_MALFORMED
