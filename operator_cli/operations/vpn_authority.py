"""The authority that signs the certificates of a Client VPN: a directory of the operator's own.

``authority.pem`` is its certificate, ``authority.key.age`` its key under a passphrase (age: scrypt and ChaCha20-Poly1305), and
``issued.jsonl`` says what it signed and what it revoked, a line each, in their order. Keys of clients are not kept.

Every key is RSA with 2,048 bits, since Client VPN takes no other:
https://docs.aws.amazon.com/vpn/latest/clientvpn-admin/mutual.html
"""

import json
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from operator_cli.errors import CliError, WrongUse
from operator_cli.operations.archive import age

CERTIFICATE, KEY, ISSUED = "authority.pem", "authority.key.age", "issued.jsonl"
KEY_BITS = 2048
AUTHORITY_DAYS = 3650
SERVER_DAYS = 825
"""The longest that clients of other makers accept of a server."""
SHORTEST_PASSPHRASE = 12
"""Characters. Whoever has the directory can try as often as they like."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._+-]{0,63}", re.ASCII)
_CLOCKS = timedelta(minutes=5)
"""By which the clocks of two machines may differ."""


class Issued(NamedTuple):
    """A certificate that was just signed, with its key, both in PEM. ``serial`` is hexadecimal, ``ends`` a day."""

    name: str
    serial: str
    ends: str
    certificate: str
    key: str


class Signed(NamedTuple):
    """What is known of a client's certificate of before."""

    name: str
    serial: str
    ends: str
    revoked: bool


class Authority:
    """An authority whose key is unlocked. Made by ``create`` and ``unlock``."""

    def __init__(self, directory: Path, certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> None:
        self._directory, self._key = directory, key
        self.certificate = certificate

    @staticmethod
    def exists(directory: Path) -> bool:
        return (directory / KEY).exists()

    @classmethod
    def create(cls, directory: Path, name: str, passphrase: str) -> "Authority":
        """A new one. Raises WrongUse for a weak passphrase, CliError where there is one or others may look into the directory."""
        if len(passphrase) < SHORTEST_PASSPHRASE:
            raise WrongUse(
                f"The passphrase is too short: it has to have {SHORTEST_PASSPHRASE} characters.",
                next_step="Take five or six words that do not belong together.",
            )
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        _private(directory)
        key, now = _new_key(), datetime.now(UTC)
        subject = _subject(name)
        certificate = (
            _signed_by(subject, subject, key, now, now + timedelta(days=AUTHORITY_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        # The key last: without it there is no authority, and an interrupted beginning begins anew.
        _write(directory / ISSUED, b"")
        _write(directory / CERTIFICATE, certificate.public_bytes(serialization.Encoding.PEM))
        _write(directory / KEY, age().passphrase.encrypt(_pem(key).encode("ascii"), passphrase))
        return cls(directory, certificate, key)

    @classmethod
    def unlock(cls, directory: Path, passphrase: str) -> "Authority":
        """The one of a directory. Raises CliError when it is not there, or the passphrase is not its."""
        if not cls.exists(directory):
            raise CliError(
                f"There is no authority in {directory}.",
                code="no_vpn_authority",
                next_step="Make it with heartmapctl vpn setup, or say with --authority where it is.",
            )
        _private(directory)
        try:
            text = age().passphrase.decrypt((directory / KEY).read_bytes(), passphrase)
        except age().DecryptError:
            raise CliError(
                "This is not the authority's passphrase.", code="wrong_passphrase", next_step="Type it again."
            ) from None
        key: Any = serialization.load_pem_private_key(text, password=None)
        return cls(directory, x509.load_pem_x509_certificate((directory / CERTIFICATE).read_bytes()), key)

    @property
    def pem(self) -> str:
        """Its certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")

    def server(self, host: str) -> Issued:
        """A certificate by which clients know the endpoint."""
        return self._issue("server", host, SERVER_DAYS, ExtendedKeyUsageOID.SERVER_AUTH)

    def client(self, name: str, days: int) -> Issued:
        """A certificate for one client, on record before it is given out. Raises WrongUse for what is no name."""
        return self._issue("client", checked_name(name), days, ExtendedKeyUsageOID.CLIENT_AUTH)

    def clients(self) -> list[Signed]:
        """What clients were given, in its order."""
        revoked = self._revoked()
        clients = (entry for entry in self._entries() if entry["kind"] == "client")
        return [Signed(each["name"], each["serial"], each["ends"], each["serial"] in revoked) for each in clients]

    def remember(self, **entry: str) -> None:
        """Note something that is asked for again, such as where a certificate was put."""
        self._note(**entry)

    def remembered(self, kind: str) -> dict[str, str] | None:
        """The last note of a kind."""
        return next((entry for entry in reversed(list(self._entries())) if entry["kind"] == kind), None)

    def revoke(self, serials: Iterable[str]) -> None:
        """Note that they are revoked, once each."""
        for serial in sorted(set(serials) - self._revoked()):
            self._note(kind="revoked", serial=serial)

    def _revoked(self) -> set[str]:
        return {entry["serial"] for entry in self._entries() if entry["kind"] == "revoked"}

    def revocation_list(self, *, known: str | None, also: Iterable[str] = ()) -> str:
        """The list of what is revoked, and of these serials also, in PEM. It ends with the authority, since one that has ended
        locks out everybody.

        ``known`` is the list that it takes the place of, None for none: what that revokes stays revoked, also where the record
        here is older. Raises CliError when another authority signed it.
        """
        serials = {int(serial, 16) for serial in (*self._revoked(), *also)} | self._serials(known)
        now = datetime.now(UTC)
        ends = self.certificate.not_valid_after_utc
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - _CLOCKS)
            .next_update(ends)
            .add_extension(x509.CRLNumber(int(time.time())), critical=False)
            .add_extension(self._authority_key(), critical=False)
        )
        for serial in sorted(serials):
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - _CLOCKS).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode("ascii")

    def _serials(self, known: str | None) -> set[int]:
        if known is None:
            return set()
        try:
            found = x509.load_pem_x509_crl(known.encode("ascii"))
            of_ours = found.issuer == self.certificate.subject and found.is_signature_valid(self._key.public_key())
        except ValueError:
            of_ours, found = False, ()
        if not of_ours:
            raise CliError(
                "The endpoint's list of revoked certificates was signed by another authority.",
                code="vpn_other_authority",
                next_step="Revoke with the authority that the endpoint was set up with: --authority DIR",
            )
        return {each.serial_number for each in found}

    def _issue(self, kind: str, name: str, days: int, usage: x509.ObjectIdentifier) -> Issued:
        key, now = _new_key(), datetime.now(UTC)
        ends = min(now + timedelta(days=days), self.certificate.not_valid_after_utc)
        builder = (
            _signed_by(self.certificate.subject, _subject(name), key, now, ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True, key_encipherment=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(self._authority_key(), critical=False)
        )
        if kind == "server":
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        serial, day = f"{certificate.serial_number:x}", f"{ends:%Y-%m-%d}"
        self._note(kind=kind, name=name, serial=serial, ends=day)
        pem = certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
        return Issued(name, serial, day, pem, _pem(key))

    def _authority_key(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())

    def _entries(self) -> Iterator[dict[str, str]]:
        file = self._directory / ISSUED
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            try:
                yield json.loads(line)
            except ValueError:
                raise CliError(
                    f"Line {number} of {file} is damaged: who holds which certificate cannot be told.",
                    next_step="Put the file back from the copy of the authority's directory.",
                ) from None

    def _note(self, **entry: str) -> None:
        with (self._directory / ISSUED).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({**entry, "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}) + "\n")
            stream.flush()
            os.fsync(stream.fileno())


def checked_name(name: str) -> str:
    """Raises WrongUse for what is no client's name."""
    if not _NAME.fullmatch(name):
        raise WrongUse("A client's name has up to 64 letters, digits and the signs @ . _ + -, such as ada@example.org.")
    return name


def _private(directory: Path) -> None:
    found = directory.stat()
    if stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid != os.getuid():
        raise CliError(f"Others may read or write {directory}.", next_step=f"Take their rights away: chmod 700 {directory}")


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "HeartMAP"), x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _signed_by(
    issuer: x509.Name, subject: x509.Name, key: rsa.RSAPrivateKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins - _CLOCKS)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(**chosen: bool) -> x509.KeyUsage:
    all_of_them = dict.fromkeys(
        (
            *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
            *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    return x509.KeyUsage(**{**all_of_them, **chosen})


def _pem(key: rsa.RSAPrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode("ascii")


def _write(file: Path, content: bytes) -> None:
    """A new file that nobody else can read, or an old one anew, on the disk before this returns."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
