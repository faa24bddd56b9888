"""The certificate authority of the local environment."""

import datetime
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509

from local_cloud import tls


def _handshake(directory: Path, name: str, *, maximum: ssl.TLSVersion | None = None) -> str | None:
    """The protocol that a client agrees on which trusts the authority alone and expects ``name``."""
    files = tls.ensure(directory)
    client = ssl.create_default_context(cafile=str(files.ca))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    if maximum:
        client.maximum_version = maximum
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    with tls.server_context(files).wrap_socket(connection, server_side=True) as secured:
                        secured.recv(1)
                except OSError:
                    pass  # The client refused; it tells the test so itself.

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with (
                socket.create_connection(listener.getsockname()) as plain,
                client.wrap_socket(plain, server_hostname=name) as secured,
            ):
                return secured.version()
        finally:
            thread.join(5)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_a_client_that_trusts_only_the_authority_accepts_each_loopback_name(tmp_path: Path, name: str) -> None:
    assert _handshake(tmp_path, name) == "TLSv1.3"


def test_a_foreign_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(tmp_path, "example.com")


def test_tls_1_2_is_the_oldest_version_served(tmp_path: Path) -> None:
    assert _handshake(tmp_path, "localhost", maximum=ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert tls.server_context(tls.ensure(tmp_path)).minimum_version is ssl.TLSVersion.TLSv1_2


def test_the_key_is_private_and_the_authority_has_no_key_on_disk(tmp_path: Path) -> None:
    files = tls.ensure(tmp_path)
    assert files.key.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if b"PRIVATE KEY" in path.read_bytes()] == ["edge.key"]


def test_the_authority_may_vouch_for_loopback_names_only(tmp_path: Path) -> None:
    ca = x509.load_pem_x509_certificate(tls.ensure(tmp_path).ca.read_bytes())
    constraints = ca.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert [str(name.value) for name in constraints.value.permitted_subtrees or ()] == ["localhost", "127.0.0.1/32", "::1/128"]


def test_a_valid_certificate_is_reused(tmp_path: Path) -> None:
    first = tls.ensure(tmp_path).certificate.read_bytes()
    assert tls.ensure(tmp_path).certificate.read_bytes() == first


def test_a_certificate_about_to_end_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "LIFETIME", datetime.timedelta(days=13))
    first = tls.ensure(tmp_path).certificate.read_bytes()
    monkeypatch.undo()
    assert tls.ensure(tmp_path).certificate.read_bytes() != first


@pytest.mark.parametrize("damage", ["ca.pem", "edge.pem", "edge.key"])
def test_a_damaged_file_is_replaced(tmp_path: Path, damage: str) -> None:
    tls.ensure(tmp_path)
    (tmp_path / damage).write_text("not a PEM file")
    assert _handshake(tmp_path, "localhost") == "TLSv1.3"


def test_files_that_do_not_belong_together_are_replaced(tmp_path: Path) -> None:
    ours, theirs = tls.ensure(tmp_path / "ours"), tls.ensure(tmp_path / "theirs")
    ours.ca.write_bytes(theirs.ca.read_bytes())
    assert _handshake(tmp_path / "ours", "localhost") == "TLSv1.3"


def test_a_key_that_others_could_read_is_replaced(tmp_path: Path) -> None:
    files = tls.ensure(tmp_path)
    exposed = files.key.read_bytes()
    files.key.chmod(0o644)
    tls.ensure(tmp_path)
    assert files.key.read_bytes() != exposed
    assert files.key.stat().st_mode & 0o777 == 0o600
