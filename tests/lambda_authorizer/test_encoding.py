import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_authorizer.encoding import b64url, from_b64url, json_object


@given(st.binary(max_size=64))
def test_base64url_reads_back_what_it_wrote(data: bytes) -> None:
    assert from_b64url(b64url(data)) == data


@given(st.text(alphabet="AZaz09-_+/= \n\té", max_size=12))
def test_no_two_texts_are_the_same_bytes(text: str) -> None:
    try:
        data = from_b64url(text)
    except ValueError:
        return
    assert base64.urlsafe_b64encode(data).decode().rstrip("=") == text


@pytest.mark.parametrize("text", ["QQ==", "QR", "QQ=", "A", "Q Q", "QQ\n", "+_8", "/-8", "\u0130\u0130", "QQ.."])
def test_a_second_spelling_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        from_b64url(text)


def test_json_is_read() -> None:
    assert json_object('{"a": [1, {"b": "ä"}]}'.encode()) == {"a": [1, {"b": "ä"}]}


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{} {}",
        b'{"a": 1,}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "b": 2}}',
        b'{"a": 1, "\\u0061": 2}',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a":' * 100_000,
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' + b"1" * 10_000 + b"}",
    ],
)
def test_what_is_not_one_clear_object_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # any ValueError is the contract
        json_object(document)
