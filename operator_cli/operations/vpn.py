"""The certificates of a stack's Client VPN: made here, imported into AWS, and taken back.

https://docs.aws.amazon.com/vpn/latest/clientvpn-admin/mutual.html
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from botocore.exceptions import ClientError
from cryptography import x509

from operator_cli.aws_errors import code_of, in_words
from operator_cli.errors import CliError, WrongUse
from operator_cli.operations.stack import Stack
from operator_cli.operations.vpn_authority import Authority, Issued

WHO_MAY = "Sign in to AWS as whoever deploys does: this is for no other policy."


class Server(NamedTuple):
    """The endpoint's certificate. ``arn`` is its name in ACM, ``ends`` a day."""

    arn: str
    ends: str
    renewed: bool


class Revoked(NamedTuple):
    """``serials`` are those of the name, ``listed`` how many the endpoint's list holds by now."""

    serials: list[str]
    listed: int


def server_name(stack: Stack) -> str:
    """What the endpoint is called in its certificate. No resolver knows it: clients compare it, and nothing else."""
    return f"vpn.{stack.prefix}.internal"


def import_server(stack: Stack, authority: Authority) -> Server:
    """Make the endpoint's certificate and put it into ACM; in the place of the one before, if there is one there.

    An endpoint takes a new one over by itself, within a day.
    """
    acm = stack.client("acm")
    before = authority.remembered("imported")
    with in_words(WHO_MAY):
        arn = _there(acm, before["arn"]) if before else None
        made = authority.server(server_name(stack))
        answer = acm.import_certificate(
            Certificate=made.certificate.encode("ascii"),
            PrivateKey=made.key.encode("ascii"),
            CertificateChain=authority.pem.encode("ascii"),
            **({"CertificateArn": arn} if arn else {"Tags": [{"Key": "Name", "Value": f"{stack.prefix}-vpn"}]}),
        )
    authority.remember(kind="imported", arn=answer["CertificateArn"])
    return Server(answer["CertificateArn"], made.ends, renewed=arn is not None)


def _there(acm: Any, arn: str) -> str | None:
    try:
        return acm.describe_certificate(CertificateArn=arn)["Certificate"]["CertificateArn"]
    except ClientError as error:
        if code_of(error) == "ResourceNotFoundException":
            return None
        raise


class Endpoint:
    """The stack's endpoint. Raises CliError where it has none that asks for certificates."""

    def __init__(self, stack: Stack) -> None:
        endpoint_id = stack.outputs.get("vpn_endpoint_id")
        if not endpoint_id:
            raise CliError(
                f"The {stack.name} environment has no VPN, or its description is older than the VPN.",
                code="no_vpn",
                next_step="Set heartmap:vpn as heartmapctl vpn setup says, deploy, and save the stack's outputs anew.",
            )
        self._ec2, self._id = stack.client("ec2"), str(endpoint_id)
        with in_words(WHO_MAY):
            (self._described,) = self._ec2.describe_client_vpn_endpoints(ClientVpnEndpointIds=[self._id])["ClientVpnEndpoints"]
        if not any(each["Type"] == "certificate-authentication" for each in self._described["AuthenticationOptions"]):
            raise CliError(
                "This VPN asks for a sign-in at the identity provider and takes no certificates of clients.",
                code="vpn_takes_no_certificates",
                next_step="Open or close it to people there: at the identity provider.",
            )

    @property
    def certificate(self) -> str:
        """The ARN of the certificate that it shows."""
        return self._described["ServerCertificateArn"]

    @property
    def host(self) -> str:
        """Its name. AWS writes a star in front, for whatever clients put there: no resolver's cache then answers them."""
        return self._described["DnsName"].removeprefix("*.")

    @property
    def port(self) -> int:
        return self._described["VpnPort"]

    @property
    def protocol(self) -> str:
        return self._described["TransportProtocol"]

    def revocation_list(self) -> str | None:
        """The list by which it refuses certificates, in PEM; None as long as it has none."""
        with in_words(WHO_MAY):
            answer = self._ec2.export_client_vpn_client_certificate_revocation_list(ClientVpnEndpointId=self._id)
        return answer.get("CertificateRevocationList") or None

    def refuse_by(self, revocation_list: str) -> None:
        """Take this list in the place of the one before. AWS closes every connection with that, and each client connects anew.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImportClientVpnClientCertificateRevocationList.html
        """
        with in_words(WHO_MAY):
            self._ec2.import_client_vpn_client_certificate_revocation_list(
                ClientVpnEndpointId=self._id, CertificateRevocationList=revocation_list
            )


# The directives are those of the profile that AWS itself gives out, since AWS's own client takes few others.
PROFILE = """\
# HeartMAP, {environment}: the VPN, for {name}, until {ends}. This file is a key: keep it where nobody else reads it.
# Once connected: https://{internal_host} on port 443, and nothing else. Everything else goes past the tunnel.
client
dev tun
proto {protocol}
remote {host} {port}
# The endpoint has a name for each who asks, and addresses that change.
remote-random-hostname
resolv-retry infinite
nobind
# The endpoint, and none of those who hold a client's certificate of the same authority.
remote-cert-tls server
verify-x509-name {server} name
cipher AES-256-GCM
reneg-sec 0
verb 3
<ca>
{authority}</ca>
<cert>
{certificate}</cert>
<key>
{key}</key>
"""


def write_profile(stack: Stack, endpoint: Endpoint, authority: Authority, name: str, days: int, file: Path) -> Issued:
    """Sign a certificate for a client and write what it connects with, into a new file of the operator's alone.

    Raises WrongUse when the file is there, CliError when the endpoint shows a certificate of another authority.
    """
    imported = authority.remembered("imported")
    if imported is None or imported["arn"] != endpoint.certificate:
        raise CliError(
            "The endpoint shows a certificate that this authority did not put there.",
            code="vpn_other_authority",
            next_step="Use the authority that the endpoint was set up with: --authority DIR",
        )
    try:
        # First: what is signed is signed for good, and would have to be revoked.
        stream = os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii")
    except FileExistsError:
        raise WrongUse(f"{file} is there already.", next_step="Name another file with --output.") from None
    with stream, _removed_on_failure(file):
        issued = authority.client(name, days)
        stream.write(
            PROFILE.format(
                environment=stack.name,
                name=name,
                ends=issued.ends,
                internal_host=stack.output("internal_host"),
                protocol=endpoint.protocol,
                host=endpoint.host,
                port=endpoint.port,
                server=server_name(stack),
                authority=authority.pem,
                certificate=issued.certificate,
                key=issued.key,
            )
        )
    return issued


@contextmanager
def _removed_on_failure(file: Path) -> Iterator[None]:
    """Half a profile connects nobody, and is in the way of the next attempt."""
    try:
        yield
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def revoke(endpoint: Endpoint, authority: Authority, name: str) -> Revoked:
    """Revoke every certificate of a name, and have the endpoint know. Run again, it tells the endpoint again.

    Raises CliError when the authority signed none for the name.
    """
    serials = [each.serial for each in authority.clients() if each.name == name]
    if not serials:
        raise CliError(
            f"This authority has signed no certificate for {name}.",
            code="no_vpn_client",
            next_step="The names are in its file issued.jsonl, and as common names in the VPN's log of connections.",
        )
    # Another authority's list would be refused here, before anything is noted.
    revocation_list = authority.revocation_list(known=endpoint.revocation_list(), also=serials)
    authority.revoke(serials)
    endpoint.refuse_by(revocation_list)
    return Revoked(serials, len(x509.load_pem_x509_crl(revocation_list.encode("ascii"))))
