"""heartmapctl vpn: the authority, profiles and revocations; and OpenVPN's own opinion of them, in handshakes on the loopback."""

import contextlib
import io
import itertools
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from moto.acm.models import acm_backends

from operator_cli.errors import CliError, WrongUse
from operator_cli.main import app
from operator_cli.operations import vpn
from operator_cli.operations.stack import Stack
from operator_cli.operations.vpn_authority import ISSUED, KEY, Authority

REGION, ACCOUNT = "us-east-1", "123456789012"
PASSPHRASE = "gable orchid tundra violin"


class OpenAge:
    """In the place of age, whose passphrases take a second on purpose."""

    class DecryptError(Exception):
        pass

    class passphrase:  # noqa: N801  (its name in pyrage)
        @staticmethod
        def encrypt(text: bytes, passphrase: str) -> bytes:
            return passphrase.encode() + b"\0" + text

        @staticmethod
        def decrypt(text: bytes, passphrase: str) -> bytes:
            locked, _, content = text.partition(b"\0")
            if locked != passphrase.encode():
                raise OpenAge.DecryptError
            return content


@pytest.fixture(scope="module")
def keys() -> Iterator[Any]:
    """Keys in turn, since each takes a while to make; more than any test needs at a time."""
    return itertools.cycle([generate_private_key(65537, 2048) for _ in range(8)])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, keys: Iterator[Any]) -> None:
    monkeypatch.setattr("operator_cli.operations.vpn_authority.age", lambda: OpenAge)
    monkeypatch.setattr("operator_cli.operations.vpn_authority._new_key", lambda: next(keys))


class Known(Stack):
    """With one client of each service: to make one takes longer than most tests."""

    def client(self, service: str) -> Any:
        if (self.endpoint, service) not in CLIENTS:
            CLIENTS[self.endpoint, service] = super().client(service)
        return CLIENTS[self.endpoint, service]


CLIENTS: dict[tuple[str | None, str], Any] = {}


@pytest.fixture(scope="module")
def deployed(moto_url: str) -> Stack:
    """A stack with the AWS of the tests."""
    return Known("dev", {"region": REGION, "internal_host": "internal.heartmap.internal"}, moto_url)


def endpoint_of(stack: Stack, arn: str, way: dict[str, Any] | None = None) -> Stack:
    """The stack as it is once an endpoint with this certificate is deployed."""
    ec2 = stack.client("ec2")
    chain = {"Type": "certificate-authentication", "MutualAuthentication": {"ClientRootCertificateChainArn": arn}}
    made = ec2.create_client_vpn_endpoint(
        ClientCidrBlock="10.200.0.0/22",
        ServerCertificateArn=arn,
        AuthenticationOptions=[way or chain],
        ConnectionLogOptions={"Enabled": False},
        TransportProtocol="udp",
        VpnPort=443,
    )
    return Known(stack.name, {**stack.outputs, "vpn_endpoint_id": made["ClientVpnEndpointId"]}, stack.endpoint)


class Lab(NamedTuple):
    """An authority whose endpoint is deployed."""

    authority: Authority
    stack: Stack
    endpoint: vpn.Endpoint
    directory: Path

    def profile(self, name: str, file: Path) -> Path:
        vpn.write_profile(self.stack, self.endpoint, self.authority, name, 30, file)
        return file


@pytest.fixture
def lab(quick: None, deployed: Stack, tmp_path: Path) -> Lab:
    directory = tmp_path / "authority"
    authority = Authority.create(directory, "HeartMAP VPN, dev", PASSPHRASE)
    stack = endpoint_of(deployed, vpn.import_server(deployed, authority).arn)
    return Lab(authority, stack, vpn.Endpoint(stack), directory)


def blocks(profile: Path) -> dict[str, str]:
    return dict(re.findall(r"<(ca|cert|key)>\n(.*?)</\1>", profile.read_text(), re.DOTALL))


def imported(stack: Stack, arn: str) -> Any:
    """What ACM was given, the key included, which it never gives out."""
    return acm_backends[ACCOUNT][REGION]._certificates[arn]


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_the_key_of_the_authority_is_on_the_disk_under_its_passphrase_alone(tmp_path: Path) -> None:
    """With age itself."""
    directory = tmp_path / "authority"
    made = Authority.create(directory, "a", PASSPHRASE)
    assert (mode(directory), {mode(file) for file in directory.iterdir()}) == (0o700, {0o600})
    assert (directory / KEY).read_bytes().startswith(b"age-encryption.org/v1\n-> scrypt ")
    for file in directory.iterdir():
        assert b"PRIVATE KEY" not in file.read_bytes()
    assert Authority.unlock(directory, PASSPHRASE).pem == made.pem
    with pytest.raises(CliError, match="passphrase"):
        Authority.unlock(directory, PASSPHRASE[:-1])


@pytest.mark.parametrize("passphrase", ["", "short", "elevenchars"])
def test_a_short_passphrase_makes_no_authority(tmp_path: Path, passphrase: str) -> None:
    with pytest.raises(WrongUse, match="12 characters"):
        Authority.create(tmp_path / "authority", "a", passphrase)
    assert not (tmp_path / "authority").exists()


@pytest.mark.parametrize("rights", [0o750, 0o701])
def test_a_directory_that_others_may_look_into_is_refused(lab: Lab, rights: int) -> None:
    lab.directory.chmod(rights)
    with pytest.raises(CliError, match="Others may read"):
        Authority.unlock(lab.directory, PASSPHRASE)


def test_each_certificate_is_good_for_its_purpose_alone(lab: Lab, tmp_path: Path) -> None:
    profile = blocks(lab.profile("ada@example.org", tmp_path / "ada.ovpn"))
    server = imported(lab.stack, lab.endpoint.certificate)
    # moto puts Amazon's own chain behind it.
    assert server.chain.decode().startswith(lab.authority.pem)
    for pem, usage in ((profile["cert"], "clientAuth"), (server.cert.decode(), "serverAuth")):
        certificate = x509.load_pem_x509_certificate(pem.encode())
        key = certificate.public_key()
        assert isinstance(key, RSAPublicKey)
        assert key.key_size == 2048  # Client VPN takes no other
        assert [each._name for each in certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value] == [usage]
        assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    limits = lab.authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (limits.critical, limits.value.ca, limits.value.path_length) == (True, True, 0)


@pytest.mark.parametrize("name", ["", "-x", "a b", "a\nkey", "a" * 65, "ä", "a/../b", "<key>"])
def test_what_is_no_name_is_signed_for_nobody(lab: Lab, tmp_path: Path, name: str) -> None:
    before = (lab.directory / ISSUED).read_text()
    with pytest.raises(WrongUse, match="name"):
        lab.authority.client(name, 30)
    assert (lab.directory / ISSUED).read_text() == before


def test_a_profile_is_a_new_file_of_the_operators_alone(lab: Lab, tmp_path: Path) -> None:
    file = lab.profile("ada@example.org", tmp_path / "ada.ovpn")
    assert mode(file) == 0o600
    before, content = (lab.directory / ISSUED).read_text(), file.read_text()
    with pytest.raises(WrongUse, match="there already"):
        lab.profile("ada@example.org", file)
    assert ((lab.directory / ISSUED).read_text(), file.read_text()) == (before, content)
    # The key is nowhere else.
    key = blocks(file)["key"].splitlines()[5]
    assert not [each for each in lab.directory.iterdir() if key.encode() in each.read_bytes()]


def test_a_profile_that_cannot_be_written_is_not_in_the_way(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "ada.ovpn"
    with pytest.raises(WrongUse, match="name"):
        lab.profile("ada lovelace", file)
    assert not file.exists()
    assert lab.profile("ada@example.org", file).stat().st_size > 0


def test_a_damaged_record_is_named_and_nothing_is_told_from_it(lab: Lab) -> None:
    with (lab.directory / ISSUED).open("ab") as stream:
        stream.write(b"\xff{\n")
    with pytest.raises(CliError, match=f"{ISSUED} is damaged"):
        vpn.revoke(lab.endpoint, lab.authority, "ada")


def test_a_profile_leads_to_the_endpoint_as_aws_names_it(lab: Lab, tmp_path: Path) -> None:
    lines = lab.profile("ada@example.org", tmp_path / "ada.ovpn").read_text().splitlines()
    endpoint_id = lab.stack.outputs["vpn_endpoint_id"]
    assert f"remote {endpoint_id}.prod.clientvpn.us-east-1.amazonaws.com 443" in lines
    assert {"client", "dev tun", "proto udp", "remote-random-hostname", "remote-cert-tls server"} <= set(lines)


def test_an_authority_gives_no_profiles_for_an_endpoint_of_another(lab: Lab, tmp_path: Path) -> None:
    other = Authority.create(tmp_path / "other", "b", PASSPHRASE)
    with pytest.raises(CliError, match="did not put there"):
        vpn.write_profile(lab.stack, lab.endpoint, other, "ada", 30, tmp_path / "ada.ovpn")
    assert not (tmp_path / "ada.ovpn").exists()


def test_set_up_again_renews_the_certificate_where_it_is(lab: Lab, deployed: Stack, tmp_path: Path) -> None:
    arn = lab.endpoint.certificate
    before = imported(lab.stack, arn).cert
    again = vpn.import_server(deployed, Authority.unlock(lab.directory, PASSPHRASE))
    assert (again.arn, again.renewed) == (arn, True)
    assert imported(lab.stack, arn).cert != before
    lab.profile("ada", tmp_path / "ada.ovpn")
    deployed.client("acm").delete_certificate(CertificateArn=arn)
    assert vpn.import_server(deployed, lab.authority).renewed is False


def listed(lab: Lab) -> list[str]:
    text = lab.endpoint.revocation_list()
    return [f"{each.serial_number:x}" for each in x509.load_pem_x509_crl(text.encode())] if text else []


def test_a_name_is_revoked_with_every_certificate_of_it_and_again_with_the_next(lab: Lab, tmp_path: Path) -> None:
    for number in range(2):
        lab.profile("ada", tmp_path / f"{number}.ovpn")
    lab.profile("bob", tmp_path / "bob.ovpn")
    told = vpn.revoke(lab.endpoint, lab.authority, "ada")
    assert (sorted(told.serials), told.listed) == (sorted(listed(lab)), 2)
    lab.profile("ada", tmp_path / "new.ovpn")
    assert vpn.revoke(lab.endpoint, lab.authority, "ada").listed == 3
    assert vpn.revoke(lab.endpoint, lab.authority, "ada").listed == 3
    assert [(each.name, each.revoked) for each in lab.authority.clients()] == [
        ("ada", True),
        ("ada", True),
        ("bob", False),
        ("ada", True),
    ]
    with pytest.raises(CliError, match="no certificate for eve"):
        vpn.revoke(lab.endpoint, lab.authority, "eve")


def test_the_list_holds_as_long_as_the_authority(lab: Lab) -> None:
    """An endpoint whose list has ended lets nobody in."""
    found = x509.load_pem_x509_crl(lab.authority.revocation_list(known=None).encode())
    assert found.next_update_utc == lab.authority.certificate.not_valid_after_utc


def test_what_the_endpoint_refuses_it_goes_on_refusing_when_the_record_here_is_older(lab: Lab, tmp_path: Path) -> None:
    lab.profile("ada", tmp_path / "ada.ovpn")
    older = (lab.directory / ISSUED).read_text()
    lab.profile("bob", tmp_path / "bob.ovpn")
    (bob,) = vpn.revoke(lab.endpoint, lab.authority, "bob").serials
    (lab.directory / ISSUED).write_text(older)
    (ada,) = vpn.revoke(lab.endpoint, lab.authority, "ada").serials
    assert sorted(listed(lab)) == sorted([ada, bob])


def test_another_authority_takes_no_list_away(lab: Lab, tmp_path: Path) -> None:
    lab.profile("ada", tmp_path / "ada.ovpn")
    vpn.revoke(lab.endpoint, lab.authority, "ada")
    before = listed(lab)
    # Of the same name, too.
    other = Authority.create(tmp_path / "other", "HeartMAP VPN, dev", PASSPHRASE)
    other.client("ada", 30)
    with pytest.raises(CliError, match="another authority"):
        vpn.revoke(lab.endpoint, other, "ada")
    assert listed(lab) == before
    assert [each.revoked for each in other.clients()] == [False]


def test_what_was_noted_is_told_again_when_aws_did_not_hear_it(lab: Lab, tmp_path: Path, monkeypatch: Any) -> None:
    lab.profile("ada", tmp_path / "ada.ovpn")
    with monkeypatch.context() as patch:
        patch.setattr(lab.endpoint, "refuse_by", lambda _: (_ for _ in ()).throw(CliError("AWS cannot be reached.")))
        with pytest.raises(CliError, match="reached"):
            vpn.revoke(lab.endpoint, lab.authority, "ada")
    assert [each.revoked for each in lab.authority.clients()] == [True]
    assert vpn.revoke(lab.endpoint, lab.authority, "ada").listed == 1


def test_a_vpn_with_a_sign_in_takes_no_profiles(deployed: Stack) -> None:
    way = {"Type": "federated-authentication", "FederatedAuthentication": {"SAMLProviderArn": "arn:aws:iam::1:saml-provider/s"}}
    with pytest.raises(CliError, match="identity provider"):
        vpn.Endpoint(endpoint_of(deployed, "arn:aws:acm:us-east-1:1:certificate/x", way))


def test_without_a_vpn_it_is_told_how_to_have_one(deployed: Stack) -> None:
    with pytest.raises(CliError, match="has no VPN") as caught:
        vpn.Endpoint(deployed)
    assert "heartmapctl vpn setup" in (caught.value.next_step or "")


# The verbs, as they are typed.


@pytest.fixture
def typed(
    quick: None, deployed: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, Any]]:
    file = tmp_path / "config" / "heartmapctl" / "environments" / "dev.json"
    file.parent.mkdir(parents=True)
    pages = {"api_url": "https://a.example", "authorize_url": "https://l.example/a", "token_url": "https://l.example/t"}
    monkeypatch.setenv("AWS_ENDPOINT_URL", str(deployed.endpoint))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def run(line: str, *, said: str = PASSPHRASE, outputs: Any = deployed.outputs) -> tuple[int, Any]:
        file.write_text(json.dumps({**pages, "issuer": "https://i.example", "client_id": "c", **outputs}))
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{said}\n"))
        with pytest.raises(SystemExit) as ended:
            app(["vpn", *line.split(), "--json"])
        assert isinstance(ended.value.code, int)
        return ended.value.code, json.loads(capsys.readouterr().out)

    return run


def test_from_the_first_word_to_a_revocation(typed: Any, deployed: Stack, tmp_path: Path) -> None:
    code, told = typed("setup --environment dev")
    assert code == 0, told
    directory = tmp_path / "data" / "heartmapctl" / "vpn" / "dev"
    assert (told["authority"], told["renewed"]) == (str(directory), False)
    assert told["settings"] == {
        "heartmap:vpn": "certificate",
        "heartmap:vpn_server_certificate_arn": told["certificate"],
        "heartmap:vpn_client_certificate_arn": told["certificate"],
    }
    assert typed("profile ada --environment dev")[1]["error"]["code"] == "no_vpn"
    outputs = endpoint_of(deployed, told["certificate"]).outputs
    _, made = typed("profile ada@example.org --environment dev --days 30", outputs=outputs)
    assert (made["profile"], made["name"]) == ("ada@example.org.ovpn", "ada@example.org")
    assert Path(made["profile"]).exists()
    code, refused = typed("profile eve --environment dev", said="a guess of it", outputs=outputs)
    assert (code, refused["error"]["code"]) == (1, "wrong_passphrase")
    assert not Path("eve.ovpn").exists()
    assert typed("revoke ada@example.org --environment dev", outputs=outputs)[0] == 2  # nobody to ask
    _, gone = typed("revoke ada@example.org --yes --environment dev", outputs=outputs)
    assert gone == {"name": "ada@example.org", "serials": [made["serial"]], "listed": 1}
    assert typed("setup --environment dev")[1]["renewed"] is True


def test_nothing_is_done_without_a_passphrase_or_an_authority(typed: Any, deployed: Stack) -> None:
    assert typed("setup --environment dev", said="")[0] == 2
    outputs = endpoint_of(deployed, "arn:aws:acm:us-east-1:1:certificate/x").outputs
    assert typed("profile ada --environment dev --authority nowhere", outputs=outputs)[1]["error"]["code"] == "no_vpn_authority"


@pytest.mark.parametrize("line", ["setup", "profile ada", "revoke ada --yes"])
def test_local_has_no_vpn(typed: Any, line: str) -> None:
    code, told = typed(line)
    assert (code, told["error"]["code"]) == (1, "no_vpn")


def test_an_identity_that_may_not_is_told_who_may(typed: Any, bucket: Any, reply: Any, monkeypatch: Any) -> None:
    bucket.routes["POST", "/"] = reply(400, {"__type": "AccessDeniedException"}, {"x-amzn-RequestId": "aws-1"})
    monkeypatch.setenv("AWS_ENDPOINT_URL_ACM", bucket.url)
    code, told = typed("setup --environment dev")
    assert (code, told["error"]["code"], told["error"]["request_id"]) == (1, "aws_access_denied", "aws-1")
    assert "whoever deploys" in told["error"]["next_step"]


# OpenVPN's own opinion.

needs_openvpn = pytest.mark.skipif(
    shutil.which("openvpn", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None and os.environ.get("CI") != "true",
    reason="OpenVPN is not installed",
)
OPENVPN = shutil.which("openvpn", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "openvpn"


class Handshakes:
    """An OpenVPN server on the loopback with the certificate that ACM was given, in the place of the endpoint."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self._lab, self._directory = lab, directory

    @contextlib.contextmanager
    def _serving(self, certificate: str, key: str) -> Iterator[int]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        files = {"ca": self._lab.authority.pem, "cert": certificate, "key": key}
        revoked = self._lab.endpoint.revocation_list()
        if revoked:
            files["crl-verify"] = revoked
        words = [OPENVPN, "--dev", "null", "--tls-server", "--dh", "none", "--local", "127.0.0.1", "--port", str(port)]
        words += ["--proto", "udp", "--verb", "3", "--cipher", "AES-256-GCM", "--remote-cert-tls", "client"]
        for name, text in files.items():
            file = self._directory / f"server.{name}"
            file.write_text(text)
            file.chmod(0o600)
            words += [f"--{name}", str(file)]
        with (self._directory / "server.log").open("wb") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            yield port
        finally:
            process.kill()
            process.wait()

    def of(self, profile: Path, shows: tuple[str, str] | None = None) -> tuple[bool, str]:
        """Whether the two came together, and what both said. ``shows``: a certificate and key of the server's, in PEM."""
        stored = imported(self._lab.stack, self._lab.endpoint.certificate)
        with self._serving(*(shows or (stored.cert.decode(), stored.key.decode()))) as port:
            text = re.sub(r"^remote .*$", f"remote 127.0.0.1 {port}", profile.read_text(), flags=re.MULTILINE)
            text = text.replace("dev tun", "dev null").replace("remote-random-hostname\n", "")
            here = self._directory / "client.ovpn"
            here.write_text(text)
            here.chmod(0o600)
            words = [OPENVPN, "--config", str(here), "--connect-retry-max", "1", "--tls-exit", "--hand-window", "6"]
            with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as client:
                said = self._until_decided(client)
                client.kill()
        return "Peer Connection Initiated" in said, said + (self._directory / "server.log").read_text()

    def _until_decided(self, client: Any) -> str:
        said, deadline = "", time.monotonic() + 20
        for line in client.stdout:
            said += line
            refused = "TLS Error" in line or "VERIFY ERROR" in line or "Exiting" in line
            if "Peer Connection Initiated" in line or refused or time.monotonic() > deadline:
                break
            if "VERIFY ERROR" in (self._directory / "server.log").read_text():
                break
        return said


@pytest.fixture
def handshakes(lab: Lab, tmp_path: Path) -> Handshakes:
    return Handshakes(lab, tmp_path)


@needs_openvpn
def test_openvpn_connects_with_a_profile_until_it_is_revoked(lab: Lab, handshakes: Handshakes, tmp_path: Path) -> None:
    ada, bob = (lab.profile(name, tmp_path / f"{name}.ovpn") for name in ("ada", "bob"))
    connected, said = handshakes.of(ada)
    assert connected, said
    vpn.revoke(lab.endpoint, lab.authority, "ada")
    connected, said = handshakes.of(ada)
    assert not connected
    assert "certificate revoked" in said
    assert handshakes.of(bob)[0]


@needs_openvpn
def test_openvpn_takes_no_client_for_the_endpoint_and_no_other_authority(
    lab: Lab, handshakes: Handshakes, tmp_path: Path
) -> None:
    ada = lab.profile("ada", tmp_path / "ada.ovpn")
    eve = blocks(lab.profile("eve", tmp_path / "eve.ovpn"))
    connected, said = handshakes.of(ada, (eve["cert"], eve["key"]))
    assert (connected, "VERIFY EKU" in said or "VERIFY KU" in said or "VERIFY ERROR" in said) == (False, True), said
    elsewhere = lab.authority.server("vpn.elsewhere.internal")
    connected, said = handshakes.of(ada, (elsewhere.certificate, elsewhere.key))
    assert (connected, "VERIFY X509NAME ERROR" in said) == (False, True), said
    stranger = Authority.create(tmp_path / "other", "HeartMAP VPN, dev", PASSPHRASE).client("ada", 30)
    forged = tmp_path / "forged.ovpn"
    text = ada.read_text().replace(blocks(ada)["cert"], stranger.certificate).replace(blocks(ada)["key"], stranger.key)
    forged.write_text(text)
    connected, said = handshakes.of(forged)
    assert (connected, "VERIFY ERROR" in said) == (False, True), said
