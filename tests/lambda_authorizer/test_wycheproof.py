"""Project Wycheproof's vectors: every one through the code that verifies a token's signature, or a call's."""

import json
from pathlib import Path
from typing import Any

import pytest

from lambda_authorizer.encoding import from_b64url
from lambda_authorizer.keys import parse_key_set
from lambda_authorizer.reasons import Reason, Refused
from lambda_authorizer.signature import Signed, verify
from lambda_authorizer.tokens import check_signature

FOLDER = Path(__file__).with_name("wycheproof")


def cases(name: str) -> list[Any]:
    """``pytest.param(key, test)`` for each vector."""
    groups = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["groups"]
    return [
        pytest.param(group["key"], test, id=f"{test['tcId']} {test['comment']}".strip())
        for group in groups
        for test in group["tests"]
    ]


RSA, ED25519 = cases("rsa_signature_2048_sha256"), cases("ed25519")

# By tcId: why a vector that Wycheproof does not call invalid is refused here.
SMALL_EXPONENT = {258, 259}
"""The public exponent is 3, and no key set of ours may hold such a key: FIPS 186-5, A.1.1 asks for one above 65,536."""
MISSING_NULL = {8}
"""Wycheproof's one "acceptable" vector: the digest's algorithm without its NULL, which RFC 8017, section 9.2 demands."""


def test_all_vectors_are_here() -> None:
    """The counts of the files that they come from."""
    assert (len(RSA), len(ED25519)) == (259, 151)


@pytest.mark.parametrize(("key", "test"), RSA)
def test_an_rsa_signature_of_a_token(key: dict[str, str], test: dict[str, Any]) -> None:
    if test["tcId"] in SMALL_EXPONENT:
        assert "SmallPublicKey" in test["flags"]
        with pytest.raises(ValueError, match="exponent"):
            parse_key_set(_key_set(key))
        return
    known = parse_key_set(_key_set(key))["w"]
    proof, message = bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"])
    if test["result"] == "valid":
        check_signature(known, proof, message)
        return
    assert test["result"] == "invalid" or test["tcId"] in MISSING_NULL
    with pytest.raises(Refused) as caught:
        check_signature(known, proof, message)
    assert caught.value.reason is Reason.TOKEN_SIGNATURE


def _key_set(key: dict[str, str]) -> bytes:
    return json.dumps({"keys": [key | {"kid": "w", "alg": "RS256", "use": "sig"}]}).encode()


@pytest.mark.parametrize(("key", "test"), ED25519)
def test_an_ed25519_signature_of_a_call(key: dict[str, str], test: dict[str, Any]) -> None:
    signed = Signed(bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"]), "ABCDEFGH", 1_800_000_000, "n" * 16)

    def check() -> None:
        verify(signed, key_id="ABCDEFGH", public_key=from_b64url(key["x"]), now=1_800_000_000)

    if test["result"] == "valid":
        check()
        return
    assert test["result"] == "invalid"
    with pytest.raises(Refused) as caught:
        check()
    assert caught.value.reason is Reason.SIGNATURE_INVALID
