"""The API's certificate. The load balancer speaks TLS to its targets but does not validate them, so one made at each start will
do; where callers come to the service itself, it has one of their trust, in files."""

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from heartmap_service.settings import ListenerSettings


class CertificateFiles(NamedTuple):
    certificate: Path
    key: Path


def certificate_of(settings: ListenerSettings) -> AbstractContextManager[CertificateFiles]:
    """The certificate of the settings, or a new one that is gone when the block ends."""
    if settings.tls_certificate and settings.tls_key:
        return nullcontext(CertificateFiles(settings.tls_certificate, settings.tls_key))
    return self_signed(settings.internal_host)


@contextmanager
def self_signed(host: str) -> Iterator[CertificateFiles]:
    """A new P-256 key and its certificate, in files that only this user reads and that are gone when the block ends."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=825))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    with tempfile.TemporaryDirectory(prefix="heartmap-tls-") as directory:
        files = CertificateFiles(Path(directory) / "certificate.pem", Path(directory) / "key.pem")
        files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files.key.touch(mode=0o600)
        files.key.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        yield files
