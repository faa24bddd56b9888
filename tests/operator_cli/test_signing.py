"""Signed requests, as they are sent, against the authorizer's verification and against a library that knows nothing of ours."""

import shutil
import stat
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from http_message_signatures.algorithms import ED25519  # pyright: ignore[reportPrivateImportUsage]  (its public name)
from http_message_signatures.exceptions import InvalidSignature
from http_message_signatures.resolvers import MappingKeyResolver
from http_message_signatures.signatures import HTTPMessageSigner, HTTPMessageVerifier
from hypothesis import given
from hypothesis import strategies as st

from lambda_authorizer import signature
from lambda_authorizer.reasons import Reason, Refused
from operator_cli import signing
from operator_cli.credentials import ApiKey
from operator_cli.errors import WrongUse

KEY_ID = "01J8ZQ4Y7M3W5X9K2B6C1D0EFJ"
PRIVATE = ed25519.Ed25519PrivateKey.generate()
PUBLIC = PRIVATE.public_key().public_bytes_raw()
COMPONENTS = ("@method", "@authority", "@path", "@query", "content-digest")
RESOLVER = MappingKeyResolver(public_keys={KEY_ID: PRIVATE.public_key()}, private_keys={})

REQUESTS = {
    "no body": {"method": "GET", "url": "https://api.example.org/analyses"},
    "the root": {"method": "GET", "url": "https://api.example.org"},
    "the scheme's own port": {"method": "GET", "url": "https://API.example.org:443/models"},
    "a port": {"method": "GET", "url": "https://localhost:8443/models"},
    "a stage": {"method": "GET", "url": "https://abc.execute-api.eu-west-1.amazonaws.com/live/models"},
    "a query": {"method": "GET", "url": "https://api.example.org/analyses", "params": [("b", "2 3"), ("a", "é/+&="), ("b", "")]},
    "an empty query": {"method": "GET", "url": "https://api.example.org/analyses?"},
    "JSON": {"method": "POST", "url": "https://api.example.org/config", "json": {"min_genes": 5}},
    "a form": {"method": "POST", "url": "https://api.example.org/analyze", "files": {"file": ("é.h5ad", b"\x89HDF" * 1000)}},
    "pieces": {"method": "POST", "url": "https://api.example.org/analyze", "content": [b"a", b"b"]},
    "PATCH": {"method": "PATCH", "url": "https://api.example.org/analyses/x", "json": {"visibility": "private"}},
    "DELETE": {"method": "DELETE", "url": "https://api.example.org/keys/x"},
}
EVERY_REQUEST = pytest.mark.parametrize("name", REQUESTS)


def arguments(name: str) -> dict[str, Any]:
    """Those of a request. What is sent in pieces is so once."""
    found = REQUESTS[name]
    return {**found, "content": iter(found["content"])} if "content" in found else found


def sent(**arguments: Any) -> httpx.Request:
    """The request as it would leave this machine."""
    key = ApiKey(f"hm_local_{KEY_ID}_{'s' * 43}", KEY_ID, PRIVATE)
    requests: list[httpx.Request] = []

    def wire(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200)

    with httpx.Client(transport=httpx.MockTransport(wire)) as client:
        client.request(**arguments, auth=key)
    return requests[0]


def read(request: httpx.Request, **changes: Any) -> signature.Signed:
    """What the authorizer reads, from what API Gateway tells it: the query decoded, all values of each name."""
    path, _, query = request.url.raw_path.decode().partition("?")
    parameters: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        parameters.setdefault(name, []).append(value)
    headers = {name: request.headers.get_list(name) for name in request.headers}
    return signature.read(**{"headers": headers, "method": request.method, "path": path, "parameters": parameters, **changes})


def accepted(signed: signature.Signed, *, now: float | None = None) -> bool:
    return reason(signed, now=now) is None


def reason(signed: signature.Signed, *, now: float | None = None) -> Reason | None:
    """Why the authorizer refuses it, None when it does not."""
    try:
        signature.verify(signed, key_id=KEY_ID, public_key=PUBLIC, now=time.time() if now is None else now)
    except Refused as refused:
        return refused.reason
    return None


@EVERY_REQUEST
def test_the_authorizer_takes_what_is_sent(name: str) -> None:
    request = sent(**arguments(name))
    assert accepted(read(request))
    body = request.read()
    assert request.headers["content-digest"] == signature.content_digest(body)
    assert b"".join(request.stream) == body  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_a_form_is_the_body_that_is_sent() -> None:
    request = sent(**REQUESTS["a form"])
    assert int(request.headers["content-length"]) == len(request.content)
    assert b'name="file"' in request.content


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "DELETE"},
        {"path": "/analysis"},
        {"parameters": {}},
        {"parameters": {"a": ["1", "2"], "b": ["4"]}},
        {"parameters": {"a": ["1", "2"], "b": ["3"], "c": [""]}},
    ],
)
def test_what_was_changed_on_the_way_is_refused(changes: dict[str, Any]) -> None:
    request = sent(method="GET", url="https://api.example.org/analyses", params=[("a", "2"), ("a", "1"), ("b", "3")])
    assert accepted(read(request))
    assert reason(read(request, **changes)) is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize(
    ("header", "value"), [("host", "api.example.com"), ("content-digest", signature.content_digest(b"another"))]
)
def test_headers_that_are_signed_cannot_be_changed(header: str, value: str) -> None:
    request = sent(**REQUESTS["JSON"])
    request.headers[header] = value
    assert reason(read(request)) is Reason.SIGNATURE_INVALID


def test_a_signature_is_good_for_a_minute() -> None:
    signed = read(sent(**REQUESTS["JSON"]))
    assert accepted(signed, now=signed.created + signature.WINDOW)
    assert reason(signed, now=signed.created + signature.WINDOW + 1) is Reason.SIGNATURE_TIME


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=5))
def test_any_query_is_sent_in_the_spelling_that_is_signed(pairs: list[tuple[str, str]]) -> None:
    request = sent(method="GET", url="https://api.example.org/models", params=pairs)
    on_the_wire = request.url.raw_path.decode().partition("?")[2]
    assert sorted(parse_qsl(on_the_wire, keep_blank_values=True)) == sorted(pairs)
    values = {name: [value for other, value in pairs if other == name] for name, _ in pairs}
    assert f"?{on_the_wire}" == signature.query(values)
    assert accepted(read(request))


# The library as an oracle: what RFC 9421 says, by somebody else


def verifier() -> HTTPMessageVerifier:
    return HTTPMessageVerifier(signature_algorithm=ED25519, key_resolver=RESOLVER)


@EVERY_REQUEST
def test_a_library_verifies_what_is_sent(name: str) -> None:
    request = sent(**arguments(name))
    [result] = verifier().verify(request, require_components=COMPONENTS, body=request.content)
    assert list(result.covered_components) == [*(f'"{component}"' for component in COMPONENTS), '"@signature-params"']
    assert set(result.parameters) == {"created", "nonce", "keyid", "alg"}


@pytest.mark.parametrize("changed", ["method", "path", "query", "body"])
def test_the_library_refuses_what_was_changed(changed: str) -> None:
    request = sent(method="POST", url="https://api.example.org/config?a=1", json={"min_genes": 5})
    body = request.content
    if changed == "method":
        request.method = "PATCH"
    elif changed == "body":
        body = body.replace(b"5", b"6")
    else:
        request.url = httpx.URL(str(request.url).replace({"path": "/config", "query": "a=1"}[changed], "/x"))
    with pytest.raises(InvalidSignature):
        verifier().verify(request, require_components=COMPONENTS, body=body)


@EVERY_REQUEST
def test_what_a_library_signs_the_authorizer_takes(name: str) -> None:
    request = httpx.Client().build_request(**arguments(name))
    body = request.read()
    # The spelling of the query is the caller's part.
    query = sorted(parse_qsl(request.url.query.decode(), keep_blank_values=True))
    canonical = signature.query({each: [value for other, value in query if other == each] for each, _ in query})[1:]
    request.url = request.url.copy_with(query=canonical.encode() or None)
    request.headers["Content-Digest"] = signature.content_digest(body)
    signer = HTTPMessageSigner(
        signature_algorithm=ED25519, key_resolver=MappingKeyResolver(public_keys={}, private_keys={KEY_ID: PRIVATE})
    )
    signer.sign(
        request,
        key_id=KEY_ID,
        nonce="bm9uY2Utb2YtYS10ZXN0",
        label="sig1",
        covered_component_ids=COMPONENTS,
        body=body,
        use_existing_digest=True,
    )
    assert accepted(read(request))


# The files of keys


def written(tmp_path: Path, key: Any, *, form: Any = serialization.PrivateFormat.PKCS8, password: bytes | None = None) -> Path:
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    file = tmp_path / "key.pem"
    file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, lock))
    return file


def test_a_key_is_made_once_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    made, new = signing.load_or_make(file)
    assert new
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again, new = signing.load_or_make(file)
    assert not new
    assert signing.public_text(again) == signing.public_text(made) == signing.public_text(signing.load(file))
    assert len(signing.public_text(made)) == 43


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_a_key_that_openssl_made_is_read(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(file)], check=True)
    key = signing.load(file)
    out = subprocess.run(["openssl", "pkey", "-in", str(file), "-pubout", "-outform", "DER"], check=True, capture_output=True)
    assert out.stdout[-32:] == key.public_key().public_bytes_raw()


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (rsa.generate_private_key(public_exponent=65537, key_size=2048), "not an Ed25519 key"),
        (ec.generate_private_key(ec.SECP256R1()), "not an Ed25519 key"),
        (x25519.X25519PrivateKey.generate(), "not an Ed25519 key"),
    ],
)
def test_a_key_of_another_kind_is_told(tmp_path: Path, key: Any, told: str) -> None:
    with pytest.raises(WrongUse, match=told):
        signing.load(written(tmp_path, key))


def test_a_key_behind_a_password_is_told(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="encrypted"):
        signing.load(written(tmp_path, PRIVATE, password=b"secret"))


def test_other_files_are_no_keys(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    public = PRIVATE.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for content in (b"", b"\xff" * 100_000, b"secret text", public):
        file.write_bytes(content)
        with pytest.raises(WrongUse, match="not a private key in PEM") as refused:
            signing.load(file)
        assert "secret text" not in str(refused.value)


@pytest.mark.parametrize("place", [".", "nothing.pem", "no/directory/key.pem"])
def test_what_cannot_be_read_is_named(tmp_path: Path, place: str) -> None:
    with pytest.raises(WrongUse, match="cannot be read"):
        signing.load(tmp_path / place)


def test_a_disk_that_is_full_leaves_no_half_of_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(signing.os, "fsync", full)
    with pytest.raises(WrongUse, match="No space left"):
        signing.load_or_make(tmp_path / "key.pem")
    assert list(tmp_path.iterdir()) == []
