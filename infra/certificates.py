"""Certificates: issued by ACM for a domain of ours, or made here where there is no domain to prove."""

import datetime
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pulumi import Output, ResourceOptions

TYPE_ISSUED = "heartmap:certificates:IssuedCertificate"
TYPE_SELF_SIGNED = "heartmap:certificates:SelfSignedCertificate"

VALIDATION_TTL_SECONDS = 300
# API Gateway looks at the expiry even where it does not ask who issued a certificate, and nothing renews this one.
SELF_SIGNED_DAYS = 3650


@dataclass(frozen=True, kw_only=True)
class IssuedCertificateArgs:
    """``host`` must lie in the public hosted zone ``zone_id``."""

    host: str
    zone_id: str


class IssuedCertificate(pulumi.ComponentResource):
    """A certificate for exactly one host name, proved by a DNS record, which also lets ACM renew it."""

    arn: Output[str]

    def __init__(self, name: str, args: IssuedCertificateArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_ISSUED, name, None, opts)
        child = ResourceOptions(parent=self)
        certificate = aws.acm.Certificate(name, domain_name=args.host, validation_method="DNS", opts=child)
        proof = certificate.domain_validation_options[0]
        record = aws.route53.Record(
            name,
            zone_id=args.zone_id,
            name=proof.resource_record_name,
            type=proof.resource_record_type,
            records=[proof.resource_record_value],
            ttl=VALIDATION_TTL_SECONDS,
            # ACM asks for one and the same record in every stack and region that has the name.
            allow_overwrite=True,
            opts=child,
        )
        validation = aws.acm.CertificateValidation(
            name, certificate_arn=certificate.arn, validation_record_fqdns=[record.fqdn], opts=child
        )
        self.arn = validation.certificate_arn
        self.register_outputs({"arn": self.arn})


@dataclass(frozen=True, kw_only=True)
class SelfSignedCertificateArgs:
    """``host`` is the name that the gateway calls the load balancer by."""

    host: str


class SelfSignedCertificate(pulumi.ComponentResource):
    """A certificate that nobody vouches for: it encrypts the way to the load balancer of a stack without a domain."""

    arn: Output[str]

    def __init__(self, name: str, args: SelfSignedCertificateArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_SELF_SIGNED, name, None, opts)
        certificate, key = self_signed(args.host)
        imported = aws.acm.Certificate(
            name,
            certificate_body=certificate,
            private_key=Output.secret(key),
            # Made anew in every run and kept from the first.
            opts=ResourceOptions(parent=self, ignore_changes=["certificateBody", "privateKey"]),
        )
        self.arn = imported.arn
        self.register_outputs({"arn": self.arn})


def self_signed(host: str, days: float = SELF_SIGNED_DAYS) -> tuple[str, str]:
    """A new certificate for ``host`` that is good for so many days, and its P-256 key, both PEM.

    It is its own authority: API Gateway asks for a root that may sign certificates, even where not for a known one.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-extensions-integration-tls-config.html
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"), pem.decode("ascii")
