import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any, cast

import joserfc.errors
import joserfc.jwk
import joserfc.jwt
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA512

from lambda_authorizer import tokens
from lambda_authorizer.encoding import b64url
from lambda_authorizer.keys import KeySource
from lambda_authorizer.policy import Caller
from lambda_authorizer.reasons import Reason, Refused

NOW = int(time.time())


@pytest.fixture(autouse=True)
def _time_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tokens of a test are of the moment at which it verifies them, however long the tests before it took."""
    monkeypatch.setattr(time, "time", lambda: NOW)


def verifier(pool, names) -> tokens.TokenVerifier:
    keys = KeySource({pool.key_id: pool.public_key}, None, now=0)
    return tokens.TokenVerifier(keys, issuers=frozenset({names.issuer}), client_ids=frozenset({names.client_id}))


@pytest.fixture
def verify(pool, names) -> Callable[..., Caller]:
    """Verify a token with our pool's key, issuer and client."""

    def run(token: str, *, now: float | None = None) -> Caller:
        now = time.time() if now is None else now
        return verifier(pool, names).verify(token, now=now, deadline=time.monotonic() + 1).caller

    return run


def test_a_valid_token_says_who_is_calling(verify, pool, names) -> None:
    token = pool.token(groups=["analyst", "somebody-elses"], scope="openid heartmap/models:read heartmap/nothing models:write")
    assert verify(token) == Caller(
        names.subject,
        frozenset({"analyst"}),
        frozenset({"models:read"}),
        "token",
        client_id=names.client_id,
        token_id="8f1f0f6c-7c0e-4a5e-9d6d-1f2e3d4c5b6a",
        signed_in_at=NOW,
    )


def test_a_scope_without_our_prefix_is_no_scope_of_ours(verify, pool) -> None:
    assert verify(pool.token(scope="models:read other/models:read xheartmap/models:read")).scopes == frozenset()


@pytest.mark.parametrize(
    "changes", [{}, {"jti": ...}, {"scope": ...}, {"groups": []}, {"nbf": 0}, {"username": ..., "version": ..., "auth_time": ...}]
)
def test_what_a_token_may_leave_out_it_may_leave_out(verify, pool, changes: dict[str, Any]) -> None:
    assert verify(pool.token(**changes)).groups == frozenset()


@pytest.mark.parametrize("typ", ["JWT", "at+jwt"])
def test_the_type_of_a_jwt_is_accepted(verify, pool, names, typ: str) -> None:
    token = pool.sign(json.dumps(pool.header(typ=typ)).encode(), json.dumps(pool.claims()).encode())
    assert verify(token).principal == names.subject


HEADERS: dict[str, dict[str, Any]] = {
    "an algorithm of another key length": {"alg": "RS512"},
    "another padding": {"alg": "PS256"},
    "lower case": {"alg": "rs256"},
    "no algorithm": {"alg": "none"},
    "a missing algorithm": {"alg": ...},
    "a list of algorithms": {"alg": ["RS256"]},
    "an HMAC": {"alg": "HS256"},
    "no key id": {"kid": ...},
    "a null key id": {"kid": None},
    "a list as key id": {"kid": ["key-1"]},
    "an unknown key": {"kid": "key-2"},
    "a path as key id": {"kid": "../../key-1"},
    "an empty key id": {"kid": ""},
    "another type": {"typ": "JWS"},
    "a type that is no string": {"typ": ["JWT"]},
    "a null type": {"typ": None},
    "critical extensions": {"crit": ["b64"], "b64": False},
    "a key of its own": {"jwk": {"kty": "RSA"}},
    "a key's address": {"jku": "https://attacker.example/jwks.json"},
    "a certificate": {"x5c": ["AAAA"]},
    "a certificate's address": {"x5u": "https://attacker.example"},
    "compression": {"zip": "DEF"},
    "a content type": {"cty": "JWT"},
    "an unknown parameter": {"anything": 1},
}
CLAIMS: dict[str, dict[str, Any]] = {
    "an ID token": {"token_use": "id", "aud": "3n4b5urk1ft4fl3mg5e62d9ado"},
    "no use": {"token_use": ...},
    "a list of uses": {"token_use": ["access"]},
    "an upper-case use": {"token_use": "Access"},
    "another client": {"client_id": "another"},
    "no client": {"client_id": ...},
    "the client as audience only": {"client_id": ..., "aud": "3n4b5urk1ft4fl3mg5e62d9ado"},
    "a list of clients": {"client_id": ["3n4b5urk1ft4fl3mg5e62d9ado"]},
    "a client with a space": {"client_id": "3n4b5urk1ft4fl3mg5e62d9ado "},
    "another pool": {"iss": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Example02"},
    "another region": {"iss": "https://cognito-idp.eu-west-1.amazonaws.com/us-east-1_Example01"},
    "an issuer with a slash": {"iss": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Example01/"},
    "an issuer in upper case": {"iss": "HTTPS://cognito-idp.us-east-1.amazonaws.com/us-east-1_Example01"},
    "an issuer without TLS": {"iss": "http://cognito-idp.us-east-1.amazonaws.com/us-east-1_Example01"},
    "a list of issuers": {"iss": ["https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Example01"]},
    "an object as issuer": {"iss": {}},
    "no issuer": {"iss": ...},
    "an expired one": {"exp": NOW - 61, "iat": NOW - 3600},
    "no end": {"exp": ...},
    "a null end": {"exp": None},
    "an end as text": {"exp": str(NOW + 3600)},
    "an end as float": {"exp": NOW + 3600.0},
    "a boolean end": {"exp": True},
    "a negative end": {"exp": -1},
    "a far end": {"exp": NOW + 10**9},
    "an absurd end": {"exp": 10**40},
    "a list as end": {"exp": [NOW + 3600]},
    "an issue in the future": {"iat": NOW + 120, "exp": NOW + 3600},
    "an issue in the future after its start": {"iat": NOW + 120, "nbf": NOW, "exp": NOW + 3600},
    "no issue": {"iat": ...},
    "an issue as text": {"iat": str(NOW)},
    "an issue as float": {"iat": NOW + 0.5},
    "a boolean issue": {"iat": False},
    "a start in the future": {"nbf": NOW + 120},
    "a start as text": {"nbf": str(NOW)},
    "a null start": {"nbf": None},
    "a boolean start": {"nbf": True},
    "a sign-in as text": {"auth_time": str(NOW)},
    "a sign-in as float": {"auth_time": NOW + 0.5},
    "a null sign-in": {"auth_time": None},
    "a boolean sign-in": {"auth_time": True},
    "a negative sign-in": {"auth_time": -1},
    "a lifetime of more than a day": {"exp": NOW + 24 * 3600 + 1, "iat": NOW},
    "a lifetime of nothing": {"exp": NOW + 30, "iat": NOW + 30},
    "an end before its issue": {"exp": NOW, "iat": NOW + 30},
    "a start after its end, both within the tolerance": {"exp": NOW - 30, "iat": NOW - 600, "nbf": NOW + 30},
    "another audience": {"aud": "https://api.example.org"},
    "other audiences": {"aud": ["https://api.example.org", "x"]},
    "an empty audience": {"aud": []},
    "a null audience": {"aud": None},
    "a number as audience": {"aud": 7},
    "an object as audience": {"aud": {}},
    "no subject": {"sub": ...},
    "an empty subject": {"sub": ""},
    "a number as subject": {"sub": 7},
    "a list as subject": {"sub": ["someone"]},
    "a subject with a newline": {"sub": 'a\n{"decision":"allow"}'},
    "a subject with a lone surrogate": {"sub": "\ud800"},
    "a long subject": {"sub": "a" * 257},
    "groups as text": {"cognito:groups": "admin"},
    "null groups": {"cognito:groups": None},
    "groups as object": {"cognito:groups": {"admin": True}},
    "a number among groups": {"cognito:groups": ["admin", 1]},
    "a list among groups": {"cognito:groups": [["admin"]]},
    "scopes as list": {"scope": ["heartmap/models:read"]},
    "null scopes": {"scope": None},
    "a number as token id": {"jti": 7},
    "a token id with a newline": {"jti": "a\nb"},
}


@pytest.mark.parametrize("changes", HEADERS.values(), ids=HEADERS.keys())
def test_a_header_that_says_anything_else_is_refused(verify, pool, changes: dict[str, Any]) -> None:
    token = pool.sign(json.dumps(pool.header(**changes)).encode(), json.dumps(pool.claims()).encode())
    with pytest.raises(Refused) as caught:
        verify(token)
    assert caught.value.reason in {Reason.TOKEN_HEADER, Reason.TOKEN_ALGORITHM, Reason.TOKEN_UNKNOWN_KEY}


@pytest.mark.parametrize("changes", CLAIMS.values(), ids=CLAIMS.keys())
def test_claims_that_are_wrong_are_refused_though_signed(verify, pool, changes: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        verify(pool.token(**changes), now=NOW)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b'"claims"',
        b"{",
        b'{"exp": NaN}',
        b'{"exp": Infinity}',
        b'{"exp": 1e400}',
        b'{"a": ' + b"[" * 1500 + b"]" * 1500 + b"}",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
    ],
)
def test_a_signed_payload_that_is_no_claims_is_refused(verify, pool, payload: bytes) -> None:
    with pytest.raises(Refused):
        verify(pool.sign(json.dumps(pool.header()).encode(), payload))


def test_a_claim_that_occurs_twice_is_refused(verify, pool) -> None:
    claims = json.dumps(pool.claims())
    for doubled in (
        f'{{"sub": "admin", {claims[1:]}',
        f'{claims[:-1]}, "token_use": "access"}}',
        f'{claims[:-1]}, "x": {{"a": 1, "a": 1}}}}',
    ):
        with pytest.raises(Refused) as caught:
            verify(pool.sign(json.dumps(pool.header()).encode(), doubled.encode()))
        assert caught.value.reason is Reason.TOKEN_MALFORMED


def test_a_token_for_us_may_say_so(verify, pool, names) -> None:
    for audience in (names.client_id, [names.client_id], ["https://api.example.org", names.client_id]):
        assert verify(pool.token(aud=audience)).principal == names.subject
    for audience in ([names.client_id, 7], [[names.client_id]]):
        with pytest.raises(Refused) as caught:
            verify(pool.token(aud=audience))
        assert caught.value.reason is Reason.TOKEN_CLAIMS


def test_a_header_parameter_that_occurs_twice_is_refused(verify, pool) -> None:
    head = b'{"alg": "none", "kid": "key-1", "alg": "RS256"}'
    with pytest.raises(Refused) as caught:
        verify(pool.sign(head, json.dumps(pool.claims()).encode()))
    assert caught.value.reason is Reason.TOKEN_MALFORMED


def _mangled(token: str) -> dict[str, str]:
    head, payload, signature = token.split(".")
    standard = signature.replace("-", "+").replace("_", "/")
    return {
        "empty": "",
        "dots": "..",
        "two parts": f"{head}.{payload}",
        "four parts": f"{token}.",
        "five parts": f"{head}.{payload}.{signature}.{signature}.{signature}",
        "no signature": f"{head}.{payload}.",
        "a short signature": f"{head}.{payload}.{signature[:-4]}",
        "a long signature": f"{head}.{payload}.{signature}AAAA",
        "padding": f"{token}==",
        "padding in the header": f"{head}=.{payload}.{signature}",
        "a space before": f" {token}",
        "a space behind": f"{token} ",
        "a newline behind": f"{token}\n",
        "a newline within": f"{head}.{payload[:8]}\n{payload[8:]}.{signature}",
        "a character outside the alphabet": f"{head}.{payload}.{signature[:8]}!{signature[8:]}",
        "the standard alphabet": f"{head}.{payload}.{standard}" if standard != signature else f"{head}.{payload}.+",
        "no ASCII": f"{token}\u00e9",
        "a null": f"{token}\0",
        "two tokens": f"{token},{token}",
        "a quoted one": f'"{token}"',
        "another payload": f"{head}.{b64url(b'{}')}.{signature}",
        "a JSON serialisation": json.dumps({"protected": head, "payload": payload, "signature": signature}),
        "too long": f"{head}.{'A' * 4096}.{signature}",
    }


MANGLED = tuple(_mangled("a.b.c-_"))


@pytest.mark.parametrize("name", MANGLED)
def test_a_mangled_token_is_refused(verify, pool, name: str) -> None:
    with pytest.raises(Refused):
        verify(_mangled(pool.token())[name])


def test_unused_bits_of_the_last_character_are_noticed(verify, pool) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = pool.token()
    # 256 bytes leave four unused bits in the last of 342 characters.
    twin = token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]
    assert base64.urlsafe_b64decode(token.split(".")[2] + "==") == base64.urlsafe_b64decode(twin.split(".")[2] + "==")
    with pytest.raises(Refused) as caught:
        verify(twin)
    assert caught.value.reason is Reason.TOKEN_MALFORMED


def test_a_token_of_4_kb_is_read_and_a_longer_one_is_not(verify, pool, names) -> None:
    room = 4096 - len(pool.token(filler=""))
    token = pool.token(filler="x" * (room * 3 // 4 - 2))
    assert 4090 <= len(token) <= 4096
    assert verify(token).principal == names.subject
    with pytest.raises(Refused) as caught:
        verify(pool.token(filler="x" * (room * 3 // 4 + 4)))
    assert caught.value.reason is Reason.TOKEN_TOO_LONG


def test_another_pools_signature_is_refused(verify, pool, other_pool) -> None:
    forged = other_pool.sign(json.dumps(pool.header()).encode(), json.dumps(pool.claims()).encode())
    with pytest.raises(Refused) as caught:
        verify(forged)
    assert caught.value.reason is Reason.TOKEN_SIGNATURE


def test_the_public_key_is_no_hmac_key(verify, pool) -> None:
    signed = f"{b64url(json.dumps(pool.header(alg='HS256')).encode())}.{b64url(json.dumps(pool.claims()).encode())}"
    for key in (pool.jwks, pool.jwk["n"].encode()):
        with pytest.raises(Refused):
            verify(f"{signed}.{b64url(hmac.digest(key, signed.encode(), 'sha256'))}")


@pytest.mark.parametrize("scheme", [(padding.PKCS1v15(), SHA512()), (padding.PSS(padding.MGF1(SHA256()), 32), SHA256())])
def test_a_signature_by_another_scheme_is_refused(verify, pool, scheme: tuple[Any, Any]) -> None:
    signed = f"{b64url(json.dumps(pool.header()).encode())}.{b64url(json.dumps(pool.claims()).encode())}"
    with pytest.raises(Refused) as caught:
        verify(f"{signed}.{b64url(pool.private_key.sign(signed.encode(), *scheme))}")
    assert caught.value.reason is Reason.TOKEN_SIGNATURE


def test_no_claim_is_read_before_the_signature_holds(verify, pool, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []
    original = tokens.json_object
    monkeypatch.setattr(tokens, "json_object", lambda data: read.append(data) or original(data))
    head, _, signature = pool.token().split(".")
    with pytest.raises(Refused) as caught:
        verify(f"{head}.{b64url(b'not even JSON')}.{signature}")
    assert caught.value.reason is Reason.TOKEN_SIGNATURE
    assert read == [json.dumps(pool.header()).encode()]


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        ({"exp": NOW - 59, "iat": NOW - 600}, True),
        ({"exp": NOW - 60, "iat": NOW - 600}, False),
        ({"iat": NOW + 60, "exp": NOW + 600}, True),
        ({"iat": NOW + 61, "exp": NOW + 600}, False),
        ({"nbf": NOW + 60}, True),
        ({"nbf": NOW + 61}, False),
        ({"iat": NOW - 60, "exp": NOW - 60 + 24 * 3600}, True),
        ({"iat": NOW - 60, "exp": NOW - 59 + 24 * 3600}, False),
        ({"iat": NOW, "exp": NOW + 1}, True),
        ({"iat": NOW, "exp": NOW}, False),
        ({"nbf": NOW + 30, "exp": NOW + 31}, True),
        ({"nbf": NOW + 30, "exp": NOW + 30}, False),
        ({"auth_time": 2**40}, True),
        ({"auth_time": 2**40 + 1}, False),
        ({"jti": "j" * 256}, True),
        ({"jti": "j" * 257}, False),
        ({"jti": "a b"}, False),
        ({"jti": ""}, False),
    ],
)
def test_what_is_taken_ends_where_it_ends(verify, pool, changes: dict[str, Any], accepted: bool) -> None:
    token = pool.token(**changes)
    if accepted:
        verify(token, now=NOW)
    else:
        with pytest.raises(Refused):
            verify(token, now=NOW)


REASONS = [
    ({"iss": "https://x.example"}, Reason.TOKEN_ISSUER),
    ({"token_use": "id"}, Reason.TOKEN_USE),
    ({"client_id": "x"}, Reason.TOKEN_CLIENT),
    ({"exp": NOW - 600, "iat": NOW - 1200}, Reason.TOKEN_EXPIRED),
    ({"nbf": NOW + 600}, Reason.TOKEN_NOT_YET_VALID),
    ({"exp": NOW + 90000}, Reason.TOKEN_LIFETIME),
    ({"sub": 1}, Reason.TOKEN_CLAIMS),
]


@pytest.mark.parametrize(("changes", "reason"), REASONS)
def test_the_reason_is_precise(verify, pool, changes: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(Refused) as caught:
        verify(pool.token(**({"iat": NOW, "exp": NOW + 600} | changes)), now=NOW)
    assert caught.value.reason is reason


def _pyjwt_refuses(token: str, pool) -> bool:
    try:
        jwt.decode(token, pool.private_key.public_key(), algorithms=["RS256"], leeway=60, options={"verify_aud": False})
    except jwt.PyJWTError:
        return True
    return False


def _joserfc_refuses(token: str, pool) -> bool:
    try:
        decoded = joserfc.jwt.decode(token, joserfc.jwk.RSAKey.import_key(pool.jwk), algorithms=["RS256"])
        joserfc.jwt.JWTClaimsRegistry(leeway=60).validate(decoded.claims)
    except (joserfc.errors.JoseError, ValueError):
        return True
    return False


@pytest.mark.parametrize("name", MANGLED)
def test_whatever_both_oracles_refuse_is_refused(verify, pool, name: str) -> None:
    token = _mangled(pool.token())[name]
    if _pyjwt_refuses(token, pool) and _joserfc_refuses(token, pool):
        with pytest.raises(Refused):
            verify(token)


def test_the_oracles_accept_what_we_accept(verify, pool) -> None:
    token = pool.token(groups=["viewer"])
    assert verify(token)
    assert not _pyjwt_refuses(token, pool)
    assert not _joserfc_refuses(token, pool)


class CountingKey:
    """The pool's key, and how often it verified a signature."""

    def __init__(self, key: Any) -> None:
        self.key, self.count = key, 0

    def recover_data_from_signature(self, *args: Any) -> bytes:
        self.count += 1
        return self.key.recover_data_from_signature(*args)


@pytest.fixture
def counting(pool, names) -> tuple[CountingKey, KeySource, tokens.TokenVerifier]:
    key = CountingKey(pool.public_key)
    keys = KeySource({pool.key_id: cast(Any, key)}, None, now=0)
    return key, keys, tokens.TokenVerifier(keys, issuers=frozenset({names.issuer}), client_ids=frozenset({names.client_id}))


def test_a_token_that_comes_again_is_not_verified_again(counting, pool) -> None:
    key, _, verifier = counting
    token = pool.token(groups=["viewer"])
    first = verifier.verify(token, now=NOW, deadline=1)
    assert verifier.verify(token, now=NOW, deadline=1) == first
    assert key.count == 1
    verifier.verify(pool.token(groups=["viewer"], jti="another"), now=NOW, deadline=1)
    assert key.count == 2


@pytest.mark.parametrize(("later", "reason"), [(660, Reason.TOKEN_EXPIRED), (-661, Reason.TOKEN_NOT_YET_VALID)])
def test_a_remembered_token_ends_when_it_ends(counting, pool, later: int, reason: Reason) -> None:
    key, _, verifier = counting
    token = pool.token(iat=NOW - 600, exp=NOW + 600)
    verifier.verify(token, now=NOW, deadline=1)
    verifier.verify(token, now=NOW + 659, deadline=1)
    with pytest.raises(Refused) as caught:
        verifier.verify(token, now=NOW + later, deadline=1)
    assert caught.value.reason is reason
    assert key.count == 1


def test_a_remembered_token_falls_with_its_key(counting, pool) -> None:
    key, keys, verifier = counting
    token = pool.token()
    verifier.verify(token, now=NOW, deadline=1)
    keys._keys = {}
    with pytest.raises(Refused) as caught:
        verifier.verify(token, now=NOW, deadline=1)
    assert caught.value.reason is Reason.TOKEN_UNKNOWN_KEY
    # The same id with another key behind it: the signature has to hold against that one.
    keys._keys = {pool.key_id: rsa.generate_private_key(65537, 2048).public_key()}
    with pytest.raises(Refused) as caught:
        verifier.verify(token, now=NOW, deadline=1)
    assert caught.value.reason is Reason.TOKEN_SIGNATURE
    assert key.count == 1


def test_a_refused_token_is_not_remembered(counting, pool, names) -> None:
    _, _, verifier = counting
    token = pool.token(client_id="another")
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            verifier.verify(token, now=NOW, deadline=1)
        assert caught.value.reason is Reason.TOKEN_CLIENT
    assert verifier._verified == {}


@pytest.mark.parametrize("position", [0, 100, 200, 300, 340])
def test_another_signature_is_another_token(counting, pool, position: int) -> None:
    _, _, verifier = counting
    token = pool.token()
    verifier.verify(token, now=NOW, deadline=1)
    signed, _, signature = token.rpartition(".")
    other = "A" if signature[position] != "A" else "B"
    with pytest.raises(Refused) as caught:
        verifier.verify(f"{signed}.{signature[:position]}{other}{signature[position + 1 :]}", now=NOW, deadline=1)
    assert caught.value.reason is Reason.TOKEN_SIGNATURE


@pytest.mark.parametrize("parts", [slice(0, 1), slice(0, 2), slice(0, 4)])
def test_a_token_has_three_parts(counting, pool, parts: slice) -> None:
    _, _, verifier = counting
    head, payload, signature = pool.token().split(".")
    with pytest.raises(Refused) as caught:
        verifier.verify(".".join([head, payload, payload, signature][parts]), now=NOW, deadline=1)
    assert caught.value.reason is Reason.TOKEN_MALFORMED


def test_what_is_remembered_is_bounded_and_holds_no_token(counting, pool, monkeypatch: pytest.MonkeyPatch) -> None:
    key, _, verifier = counting
    monkeypatch.setattr(tokens, "MAX_REMEMBERED", 3)
    issued = [pool.token(jti=str(number)) for number in range(5)]
    for token in issued:
        verifier.verify(token, now=NOW, deadline=1)
    assert len(verifier._verified) == 3
    verifier.verify(issued[4], now=NOW, deadline=1)
    assert key.count == 5
    verifier.verify(issued[0], now=NOW, deadline=1)
    assert key.count == 6
    held = repr(verifier._verified)
    assert not any(part in held for token in issued for part in token.split("."))


def test_a_header_is_remembered_only_once_a_signature_vouched_for_it(counting, pool, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, verifier = counting
    head = b64url(json.dumps(pool.header(typ="JWT")).encode())
    payload = b64url(json.dumps(pool.claims()).encode())
    with pytest.raises(Refused):
        verifier.verify(f"{head}.{payload}.{b64url(bytes(256))}", now=NOW, deadline=1)
    assert verifier._key_ids == {}
    verifier.verify(pool.token(), now=NOW, deadline=1)
    token = pool.token()
    assert verifier._key_ids == {token.split(".")[0].encode(): pool.key_id}
    # From then on it is not parsed again.
    monkeypatch.setattr(tokens, "_key_id", None)
    verifier.verify(pool.token(jti="another"), now=NOW, deadline=1)


def test_a_token_may_be_as_long_as_is_said(verify, pool) -> None:
    # Base64url has no text of every length: of two headers, one leaves a payload that fills the bound.
    for header in (pool.header(), pool.header(typ="JWT"), pool.header(typ="at+jwt")):
        for filler in range(2000, 2600):
            head, content = json.dumps(header).encode(), json.dumps(pool.claims(filler="f" * filler)).encode()
            if len(b64url(head)) + len(b64url(content)) + 2 + 342 == tokens.MAX_LENGTH:
                assert verify(pool.sign(head, content))
                return
    pytest.fail("no token has that length")


def test_the_keys_are_asked_for_at_the_time_and_until_the_deadline_of_the_call(
    counting, pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, keys, verifier = counting
    asked: list[tuple[float, ...]] = []
    get = keys.get
    monkeypatch.setattr(keys, "get", lambda key_id, *when: asked.append(when) or get(key_id, *when))
    token = pool.token()
    for _ in range(2):
        verifier.verify(token, now=NOW, deadline=7)
    assert asked == [(NOW, 7)] * 2
