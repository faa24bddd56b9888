import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from lambda_authorizer import bounded_http
from lambda_authorizer.bounded_http import MAX_BYTES, HttpError, exchange


def get(url: str, seconds: float = 2.0):
    return exchange("GET", url, headers={"Accept": "*/*"}, body=b"", deadline=time.monotonic() + seconds)


@pytest.fixture
def raw() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """Start a server that does with each connection whatever a function says."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def start(serve: Callable[[socket.socket], None]) -> str:
        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    connection.recv(65536)
                    serve(connection)
                except OSError:
                    return

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    yield start
    listener.close()
    for thread in threads:
        thread.join(5)


def test_an_exchange_carries_headers_body_path_and_query(server) -> None:
    server.answer = lambda request: server.reply(request, b"yes", status=207)
    response = exchange("POST", f"{server.url}/a/b?c=d", headers={"X-One": "1"}, body=b"body", deadline=time.monotonic() + 2)
    (sent,) = server.requests
    assert response == (207, b"yes")
    assert (sent.method, sent.path, sent.body, sent.headers["X-One"]) == ("POST", "/a/b?c=d", b"body", "1")


def test_a_redirect_is_not_followed(server) -> None:
    server.answer = lambda request: server.reply(request, b"", status=302, headers={"Location": f"{server.url}/other"})
    assert get(server.url).status == 302
    assert len(server.requests) == 1


def test_a_proxy_in_the_environment_is_not_used(server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert get(server.url).status == 200


def test_a_chunked_answer_is_read(raw) -> None:
    url = raw(lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
    assert get(url).body == b"abc"


def test_a_server_that_drips_is_given_up_at_the_deadline(raw) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            connection.sendall(b"y")
            threading.Event().wait(0.02)

    started = time.monotonic()
    with pytest.raises(HttpError):
        get(raw(drip), 0.3)
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("scheme", ["http:", "https:"])
def test_a_server_that_says_nothing_is_given_up_at_the_deadline(raw, scheme: str) -> None:
    done = threading.Event()
    started = time.monotonic()
    with pytest.raises(HttpError):
        get(raw(lambda _: done.wait(5) and None).replace("http:", scheme), 0.2)
    done.set()
    assert time.monotonic() - started < 1


def test_an_answer_without_end_is_cut_off(raw) -> None:
    sent = 0

    def flood(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while sent < 100 * MAX_BYTES:
            connection.sendall(b"x" * 65536)
            sent += 65536

    with pytest.raises(HttpError, match="too large"):
        get(raw(flood))
    assert sent < 100 * MAX_BYTES


@pytest.mark.parametrize(
    "answer",
    [b"", b"\x00\x01\x02", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", b"HTTP/1.1 abc OK\r\n\r\n"],
)
def test_what_is_not_a_whole_answer_is_an_error(raw, answer: bytes) -> None:
    with pytest.raises(HttpError):
        get(raw(lambda connection: connection.sendall(answer)))


def test_nobody_listening_is_an_error_without_the_libraries_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(HttpError) as caught:
        get(f"http://127.0.0.1:{port}/")
    assert str(caught.value) == "no complete answer in time"
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/", "http://no-such-host.invalid/", "http:///"])
def test_an_impossible_address_is_an_error(url: str) -> None:
    with pytest.raises(HttpError):
        get(url)


@pytest.fixture
def tls_server(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """The server behind TLS with a certificate of its own for localhost, and the certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    path = tmp_path / "certificate.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(certificate.public_bytes(Encoding.PEM) + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    server.secure(context)
    monkeypatch.setattr(bounded_http, "_tls", bounded_http._tls.__wrapped__)
    return server.url.replace("http://127.0.0.1", "https://localhost"), path


def test_https_works_with_a_certificate_that_is_trusted(tls_server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    url, certificate = tls_server
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert get(url).status == 200


def test_https_refuses_a_certificate_that_is_not_trusted(tls_server: tuple[str, Path], server) -> None:
    with pytest.raises(HttpError):
        get(tls_server[0])
    assert server.requests == []


def test_https_refuses_a_certificate_of_another_name(
    tls_server: tuple[str, Path], server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, certificate = tls_server
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(HttpError):
        get(url.replace("localhost", "127.0.0.1"))
    assert server.requests == []


def test_after_its_time_nothing_is_sent(server) -> None:
    with pytest.raises(HttpError):
        exchange("POST", server.url, headers={}, body=b"x", deadline=time.monotonic() - 1)
    assert server.requests == []
