"""A key made under one pepper is good under the next ones, and what an old pepper alone made is not."""

import base64
import hmac
import json
from typing import Any

import pytest

from lambda_authorizer import api_keys
from lambda_authorizer.api_keys import verify
from lambda_authorizer.peppers import NONE, OtherPeppers, digest, layers, name
from lambda_authorizer.reasons import Fault, Reason, Refused
from lambda_authorizer.secret_store import parse

FIRST, SECOND, THIRD = (bytes([number]) * 32 for number in (1, 2, 3))
KEY_ID = "GOODKEY1"
KEY = f"hm_local_{KEY_ID}_{'s' * 43}"


def record(*peppers: bytes, named: bool = True) -> dict[str, Any]:
    item = {"public_id": {"S": KEY_ID}, "digest": {"S": digest(KEY, peppers)}, "principal": {"S": "program:ci"}}
    return item | ({"peppers": {"S": ".".join(map(name, peppers))}} if named else {})


def good(item: dict[str, Any], pepper: bytes, others: OtherPeppers = NONE) -> bool:
    try:
        verify(KEY, KEY_ID, item, pepper=pepper, others=others)
    except Refused:
        return False
    return True


def test_a_digest_is_the_hmac_of_the_one_before() -> None:
    once = hmac.new(FIRST, KEY.encode(), "sha256").hexdigest()
    assert digest(KEY, (FIRST,)) == once == api_keys.digest(KEY, FIRST)
    assert digest(KEY, (FIRST, SECOND)) == hmac.new(SECOND, once.encode(), "sha256").hexdigest()


def test_a_name_tells_nothing_of_a_pepper() -> None:
    assert len({name(FIRST), name(SECOND), FIRST.hex()[:16]}) == 3


@pytest.mark.parametrize("item", [record(FIRST), record(FIRST, named=False)])
def test_through_a_rotation_a_key_is_good_at_every_step(item: dict[str, Any]) -> None:
    assert good(item, FIRST)
    assert good(item, FIRST, OtherPeppers(following=SECOND))
    assert good(item, SECOND, OtherPeppers(previous=FIRST))
    wrapped = record(FIRST, SECOND)
    assert good(wrapped, FIRST, OtherPeppers(following=SECOND))
    assert good(wrapped, SECOND, OtherPeppers(previous=FIRST))
    assert good(wrapped, SECOND, OtherPeppers(inner=(FIRST,)))


def test_a_key_that_is_made_while_another_function_is_late_is_good() -> None:
    assert good(record(SECOND), FIRST, OtherPeppers(following=SECOND))
    assert good(record(FIRST), SECOND, OtherPeppers(previous=FIRST))


def test_what_the_old_pepper_alone_made_is_no_key_any_more() -> None:
    with pytest.raises(Fault):
        good(record(FIRST), SECOND, OtherPeppers(inner=(FIRST,)))
    with pytest.raises(Fault):
        good(record(SECOND, FIRST), SECOND, OtherPeppers(inner=(FIRST,)))
    assert not good(record(FIRST, named=False), SECOND, OtherPeppers(inner=(FIRST,)))


def test_layers_are_what_was_rotated() -> None:
    others = OtherPeppers(inner=(FIRST, SECOND))
    assert layers(f"{name(FIRST)}.{name(SECOND)}.{name(THIRD)}", THIRD, others) == (FIRST, SECOND, THIRD)
    assert good(record(FIRST, SECOND, THIRD), THIRD, others)
    assert good(record(THIRD), THIRD, others)


@pytest.mark.parametrize("names", ["", "x", "0" * 16, f"{name(SECOND)}.", f".{name(SECOND)}", name(FIRST).upper()])
def test_a_pepper_that_nobody_knows_is_our_fault(names: str) -> None:
    with pytest.raises(Fault) as caught:
        verify(KEY, KEY_ID, record(SECOND) | {"peppers": {"S": names}}, pepper=SECOND)
    assert caught.value.reason is Reason.KEY_RECORD_MALFORMED


def test_another_key_is_refused_under_layers_as_well() -> None:
    with pytest.raises(Refused):
        verify(KEY[:-1] + "t", KEY_ID, record(FIRST, SECOND), pepper=SECOND, others=OtherPeppers(inner=(FIRST,)))


# ---- In the secret ----


def encoded(pepper: bytes) -> str:
    return base64.b64encode(pepper).decode()


def test_the_secret_may_have_them_and_need_not(names) -> None:
    assert parse(json.dumps(names.secret).encode()).other_peppers is NONE
    more = {
        "following_api_key_pepper": encoded(FIRST),
        "previous_api_key_pepper": encoded(SECOND),
        "inner_api_key_peppers": [encoded(THIRD)],
    }
    assert parse(json.dumps(names.secret | more).encode()).other_peppers == OtherPeppers(FIRST, SECOND, (THIRD,))


@pytest.mark.parametrize(
    "more",
    [
        {"following_api_key_pepper": None},
        {"following_api_key_pepper": "!"},
        {"previous_api_key_pepper": encoded(b"short")},
        {"inner_api_key_peppers": None},
        {"inner_api_key_peppers": "x"},
        {"inner_api_key_peppers": [7]},
        {"inner_api_key_peppers": [encoded(b"short")]},
    ],
)
def test_peppers_of_another_form_are_refused_without_a_word_of_them(names, more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="api_key_pepper"):
        parse(json.dumps(names.secret | more).encode())
