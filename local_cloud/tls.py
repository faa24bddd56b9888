"""A certificate authority for this machine, and the one certificate that the edge and the login page serve.

The authority's private key is never written: it signs one certificate and is forgotten, and its name constraints (RFC 5280,
4.2.1.10) allow nothing but this machine's loopback names. So whoever trusts ``ca.pem`` trusts these names and nothing else, for
as long as the certificate lasts.
"""

import datetime
import ipaddress
import os
import ssl
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from filelock import FileLock

DNS_NAME = "localhost"
ADDRESSES = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))

# Browsers refuse server certificates that live longer than 398 days (CA/Browser Forum Baseline Requirements, 6.3.2).
LIFETIME = datetime.timedelta(days=397)
RENEW_BEFORE = datetime.timedelta(days=14)
CLOCK_SKEW = datetime.timedelta(minutes=5)


class TlsFiles(NamedTuple):
    """Paths of PEM files: the authority to trust, the certificate to serve and its private key (mode 0600)."""

    ca: Path
    certificate: Path
    key: Path


def ensure(directory: Path) -> TlsFiles:
    """The certificate in ``directory``, made anew when there is none, when it does not hold together, or 14 days before it ends.

    Safe to call from several processes at once. Raises OSError when the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = TlsFiles(directory / "ca.pem", directory / "edge.pem", directory / "edge.key")
    with FileLock(directory / ".lock"):
        if not _usable(files, datetime.datetime.now(datetime.UTC)):
            _create(files)
    return files


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """A TLS 1.2 and 1.3 server context for the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(files.certificate, files.key)
    return context


def _usable(files: TlsFiles, now: datetime.datetime) -> bool:
    """Whether the key is private and belongs to the certificate, which the authority signed and which has time left."""
    try:
        ca = x509.load_pem_x509_certificate(files.ca.read_bytes())
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
        certificate.verify_directly_issued_by(ca)
        private = files.key.stat().st_mode & 0o077 == 0
    except (OSError, ValueError, TypeError, InvalidSignature):
        return False
    ends = min(ca.not_valid_after_utc, certificate.not_valid_after_utc)
    return private and key.public_key() == certificate.public_key() and now + RENEW_BEFORE < ends


def _create(files: TlsFiles) -> None:
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = _authority(ca_key, now)
    certificate = _leaf(key.public_key(), ca, ca_key, now)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )  # fmt: skip
    _replace(files.key, private, 0o600)
    _replace(files.certificate, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    _replace(files.ca, ca.public_bytes(serialization.Encoding.PEM), 0o644)


def _authority(key: ec.EllipticCurvePrivateKey, now: datetime.datetime) -> x509.Certificate:
    # Each authority has its own name: two with one name confuse a trust store that still holds the last one.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"HeartMAP local CA {x509.random_serial_number():x}"[:64])])
    names = [x509.DNSName(DNS_NAME), *(x509.IPAddress(ipaddress.ip_network(address)) for address in ADDRESSES)]
    return (
        _builder(name, name, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted_subtrees=names, excluded_subtrees=None), critical=True)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    public_key: ec.EllipticCurvePublicKey, ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey, now: datetime.datetime
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, DNS_NAME)])
    names = [x509.DNSName(DNS_NAME), *(x509.IPAddress(address) for address in ADDRESSES)]
    return (
        _builder(name, ca.subject, public_key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _replace(path: Path, content: bytes, mode: int) -> None:
    """Writes the file with its mode from its first byte on, and never leaves half of it behind."""
    temporary = path.with_suffix(path.suffix + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    temporary.replace(path)
