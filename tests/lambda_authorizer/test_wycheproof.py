"""Project Wycheproof's vectors: every one through the code that verifies a token's signature, or a call's."""

import json
import time
from pathlib import Path
from typing import Any, cast

import pytest

from lambda_authorizer.encoding import b64url, from_b64url
from lambda_authorizer.keys import KeySource, parse_key_set
from lambda_authorizer.reasons import Reason, Refused
from lambda_authorizer.signature import Signed, verify
from lambda_authorizer.tokens import TokenVerifier

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


class OverAnotherMessage:
    """The pool's key for a vector's message: a token's own bytes cannot be made to be that, all else is as for tokens."""

    def __init__(self, key: Any, token: bytes, message: bytes) -> None:
        self._key, self._token, self._message = key, token, message

    def verify(self, proof: bytes, data: bytes, *scheme: Any) -> None:
        assert data == self._token
        self._key.verify(proof, self._message, *scheme)


@pytest.mark.parametrize(("key", "test"), RSA)
def test_an_rsa_signature_of_a_token(pool, names, key: dict[str, str], test: dict[str, Any]) -> None:
    if test["tcId"] in SMALL_EXPONENT:
        assert "SmallPublicKey" in test["flags"]
        with pytest.raises(ValueError, match="exponent"):
            parse_key_set(_key_set(key))
        return
    known = parse_key_set(_key_set(key))
    signed = f"{b64url(json.dumps({'alg': 'RS256', 'kid': 'w'}).encode())}.{b64url(json.dumps(pool.claims()).encode())}"
    shell = OverAnotherMessage(known["w"], signed.encode(), bytes.fromhex(test["msg"]))
    source = KeySource({"w": cast(Any, shell)}, None, now=0)
    verifier = TokenVerifier(source, issuers=frozenset({names.issuer}), client_ids=frozenset({names.client_id}))
    token = f"{signed}.{b64url(bytes.fromhex(test['sig']))}"
    if test["result"] == "valid":
        assert verifier.verify(token, now=time.time(), deadline=1).caller.principal == names.subject
        return
    assert test["result"] == "invalid" or test["tcId"] in MISSING_NULL
    with pytest.raises(Refused) as caught:
        verifier.verify(token, now=time.time(), deadline=1)
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
