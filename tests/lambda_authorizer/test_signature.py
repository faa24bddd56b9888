"""The one form of signed requests, apart from whose keys they are and what else decides."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lambda_authorizer import signature
from lambda_authorizer.reasons import Reason, Refused
from lambda_authorizer.signature import WINDOW, Message

NOW = 1_800_000_000
KEY_ID, NONCE = "01JDDY0Z4Q8R6N5V3T7W2X9YAB", "aGVsbG8gd29ybGQhISEh"
PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = PRIVATE_KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
CALL: dict[str, Any] = {"method": "GET", "path": "/analyses", "parameters": {"limit": ["10"], "after": ["a b/c"]}}


def signed(body: bytes = b"", *, host: str = "api.example.org", created: int = NOW, key_id: str = KEY_ID) -> dict[str, list[str]]:
    """The headers of CALL, signed, by their lower-case names."""
    digest = signature.content_digest(body)
    parameters = signature.parameters(created=created, nonce=NONCE, key_id=key_id)
    message = Message(CALL["method"], host, CALL["path"], CALL["parameters"], digest)
    made = signature.headers(parameters, PRIVATE_KEY.sign(signature.base(message, parameters)))
    return {name.lower(): [value] for name, value in {**made, "Host": host, "Content-Digest": digest}.items()}


def check(headers: dict[str, list[str]], *, now: float = NOW, **changes: Any) -> None:
    found = signature.read(headers, **CALL | changes)
    signature.verify(found, key_id=KEY_ID, public_key=PUBLIC_KEY, now=now)


def reason(headers: dict[str, list[str]], **changes: Any) -> Reason:
    with pytest.raises(Refused) as caught:
        check(headers, **changes)
    return caught.value.reason


def test_what_was_signed_is_what_is_verified() -> None:
    check(signed())
    found = signature.read(signed(), **CALL)
    assert (found.key_id, found.created, found.nonce) == (KEY_ID, NOW, NONCE)


def test_the_base_is_that_of_rfc_9421() -> None:
    digest = signature.content_digest(b"")
    parameters = signature.parameters(created=NOW, nonce=NONCE, key_id=KEY_ID)
    message = Message("GET", "API.example.org:443", "/analyses", CALL["parameters"], digest)
    components = '("@method" "@authority" "@path" "@query" "content-digest")'
    assert signature.base(message, parameters).decode() == (
        '"@method": GET\n'
        '"@authority": api.example.org\n'
        '"@path": /analyses\n'
        '"@query": ?after=a%20b%2Fc&limit=10\n'
        '"content-digest": sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:\n'
        f'"@signature-params": {components};created={NOW};keyid="{KEY_ID}";alg="ed25519";nonce="{NONCE}"'
    )


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({}, "?"),
        ({"b": ["2"], "a": ["1"]}, "?a=1&b=2"),
        ({"a": ["2", "1"]}, "?a=1&a=2"),
        ({"a": ["", " +/?&=~-._%\u00e9"]}, "?a=&a=%20%2B%2F%3F%26%3D~-._%25%C3%A9"),
        ({"a&b=c/e": ["d"]}, "?a%26b%3Dc%2Fe=d"),
    ],
)
def test_a_query_has_one_spelling(query: dict[str, list[str]], text: str) -> None:
    assert signature.query(query) == text


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "POST"},
        {"path": "/analyses/"},
        {"path": "/live/analyses"},
        {"parameters": {}},
        {"parameters": {"limit": ["10"]}},
        {"parameters": {"limit": ["11"], "after": ["a b/c"]}},
        {"parameters": {"limit": ["10"], "after": ["a b/c"], "x": [""]}},
        {"parameters": {"limit": ["10", "10"], "after": ["a b/c"]}},
    ],
)
def test_another_call_is_not_the_one_that_was_signed(changes: dict[str, Any]) -> None:
    assert reason(signed(), **changes) is Reason.SIGNATURE_INVALID


def test_another_host_or_body_is_not_the_one_that_was_signed() -> None:
    assert reason(signed() | {"host": ["other.example.org"]}) is Reason.SIGNATURE_INVALID
    assert reason(signed() | {"host": ["api.example.org:8443"]}) is Reason.SIGNATURE_INVALID
    assert reason(signed() | {"content-digest": [signature.content_digest(b"x")]}) is Reason.SIGNATURE_INVALID
    check(signed(host="localhost:8443"))


@pytest.mark.parametrize("host", ["", "a b", "a\nb", "a/b", "a@b", "\u00e9", "a" * 256])
def test_what_cannot_be_a_host_is_none(host: str) -> None:
    assert reason(signed() | {"host": [host]}) is Reason.SIGNATURE_MALFORMED


def test_half_a_character_in_the_query_is_nobodys_text() -> None:
    assert reason(signed(), parameters={"limit": ["\ud800"]}) is Reason.SIGNATURE_MALFORMED


@pytest.mark.parametrize(
    ("old", "new"),
    [(str(NOW), str(NOW + 1)), (NONCE, NONCE[:-1] + "i")],
)
def test_no_parameter_can_be_another(old: str, new: str) -> None:
    headers = signed()
    headers["signature-input"] = [headers["signature-input"][0].replace(old, new)]
    assert reason(headers) is Reason.SIGNATURE_INVALID


def test_the_signature_of_another_key_is_none() -> None:
    assert reason(signed(key_id="01JDDY0Z4Q8R6N5V3T7W2X9YAC")) is Reason.SIGNATURE_KEY
    other = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    with pytest.raises(Refused) as caught:
        signature.verify(signature.read(signed(), **CALL), key_id=KEY_ID, public_key=other, now=NOW)
    assert caught.value.reason is Reason.SIGNATURE_INVALID


def test_a_point_of_small_order_signs_nothing() -> None:
    # The identity: with it, a signature of the identity and zero would hold over any message, if the verifier allowed it.
    identity = b"\x01" + bytes(31)
    headers = signed()
    for proof in (identity + bytes(32), bytes(64)):
        headers["signature"] = [signature.headers("", proof)["Signature"]]
        with pytest.raises(Refused):
            signature.verify(signature.read(headers, **CALL), key_id=KEY_ID, public_key=PUBLIC_KEY, now=NOW)


@pytest.mark.parametrize(
    ("later", "in_time"), [(WINDOW, True), (-WINDOW, True), (WINDOW + 0.5, False), (-WINDOW - 0.5, False), (86400, False)]
)
def test_a_signature_holds_for_a_minute(later: float, in_time: bool) -> None:
    if in_time:
        check(signed(), now=NOW + later)
    else:
        assert reason(signed(), now=NOW + later) is Reason.SIGNATURE_TIME


@pytest.mark.parametrize("name", ["signature", "signature-input", "content-digest", "host"])
def test_each_header_has_to_be_there_once(name: str) -> None:
    headers = signed()
    assert reason({key: value for key, value in headers.items() if key != name}) is Reason.SIGNATURE_MALFORMED
    assert reason(headers | {name: []}) is Reason.SIGNATURE_MALFORMED
    assert reason(headers | {name: headers[name] * 2}) is Reason.SIGNATURE_MALFORMED


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sig1=", "sig2="),
        ("sig1=", "sig1= "),
        ("sig1=(", "sig1 =("),
        ('"@query" ', ""),
        ('"@query" ', '"@query"  '),
        ('"content-digest"', '"content-digest" "@status"'),
        ('"content-digest"', '"content-digest";req'),
        ('"@method" "@authority"', '"@authority" "@method"'),
        (';alg="ed25519"', ""),
        (";alg=", ";ALG="),
        ('"ed25519"', '"hmac-sha256"'),
        ('"ed25519"', '"ed25519";tag="x"'),
        (f'"{NONCE}"', f'"{NONCE}";tag="x"'),
        (f'"{NONCE}"', f'"{NONCE}", sig2=()'),
        (f';alg="ed25519";nonce="{NONCE}"', f';nonce="{NONCE}";alg="ed25519"'),
        (f"created={NOW};", ""),
        (f"created={NOW}", f"created=0{NOW}"),
        (f"created={NOW}", f"created=-{NOW}"),
        (f"created={NOW}", f"created={NOW}.0"),
        (f"created={NOW}", "created=" + "9" * 13),
        (f";created={NOW}", f";created={NOW};expires={NOW + 9}"),
        (f';nonce="{NONCE}"', ""),
        (NONCE, "short"),
        (NONCE, "a" * 65),
        (NONCE, NONCE[:-1] + "+"),
        (f'keyid="{KEY_ID}";', ""),
        (KEY_ID, "short"),
    ],
)
def test_another_form_of_the_parameters_is_refused(old: str, new: str) -> None:
    headers = signed()
    (text,) = headers["signature-input"]
    assert old in text
    assert reason(headers | {"signature-input": [text.replace(old, new, 1)]}) is Reason.SIGNATURE_MALFORMED


@pytest.mark.parametrize("form", ["", ":AAAA:", "sig1=AAAA", "sig1=:AAAA:", "sig2={}", "sig1={};x", "sig1={}, sig2={}"])
def test_another_form_of_the_signature_is_refused(form: str) -> None:
    headers = signed()
    proof = headers["signature"][0].removeprefix("sig1=")
    assert reason(headers | {"signature": [form.replace("{}", proof)]}) is Reason.SIGNATURE_MALFORMED


@pytest.mark.parametrize(
    "digest",
    ["", "sha-512=:{}:", "sha-256={}", "sha-256=:{}", "SHA-256=:{}:", "sha-256=:{}:, sha-512=:{}:", "md5=:{}:", "sha-256=:AA==:"],
)
def test_another_form_of_the_digest_is_refused(digest: str) -> None:
    whole = signature.content_digest(b"").removeprefix("sha-256=:").removesuffix(":")
    assert reason(signed() | {"content-digest": [digest.replace("{}", whole)]}) is Reason.SIGNATURE_MALFORMED


@pytest.mark.parametrize(
    ("headers", "claims"),
    [({}, False), ({"content-digest": ["x"]}, False), ({"signature": ["x"]}, True), ({"signature-input": []}, True)],
)
def test_who_sends_one_of_the_headers_claims_to_sign(headers: dict[str, list[str]], claims: bool) -> None:
    assert signature.is_signed(headers) is claims
