"""Codes of authenticator apps, against the vectors of the RFC."""

import base64
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from local_cloud import totp

# RFC 6238, appendix B, for SHA-1; the last six of its eight digits.
RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()
RFC_VECTORS = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]


@pytest.mark.parametrize(("seconds", "code"), RFC_VECTORS)
def test_codes_are_those_of_the_rfc(seconds: int, code: str) -> None:
    assert totp.code_of(RFC_SECRET, seconds // 30) == code[-6:]
    assert totp.matching_step(RFC_SECRET, code[-6:], seconds) == seconds // 30


@pytest.mark.parametrize(("apart", "taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_code_may_be_one_step_early_or_late(apart: int, taken: bool) -> None:
    step, now = 1_000_000, 1_000_000 * 30 + 7
    assert (totp.matching_step(RFC_SECRET, totp.code_of(RFC_SECRET, step + apart), now) is not None) == taken


@pytest.mark.parametrize("code", ["", "0", "00000", "0000000", "١٢٣٤٥٦", "abcdef", " 89005924"])
def test_what_is_no_code_matches_no_step(code: str) -> None:
    assert totp.matching_step(RFC_SECRET, code, 1234567890) is None


def test_every_secret_is_another_and_has_160_bits() -> None:
    one, two = totp.new_secret(), totp.new_secret()
    assert one != two
    assert len(base64.b32decode(one)) == 20


def test_the_address_names_the_account_and_escapes_it() -> None:
    address = urlsplit(totp.address(RFC_SECRET, issuer="HeartMAP (local)", account="a:b&c@example.org"))
    assert (address.scheme, address.netloc) == ("otpauth", "totp")
    assert unquote(address.path) == "/HeartMAP (local):a:b&c@example.org"
    assert parse_qs(address.query) == {"secret": [RFC_SECRET], "issuer": ["HeartMAP (local)"]}
