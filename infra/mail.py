"""The right to send e-mail from the domain: what Cognito needs to tell people of risky sign-ins."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import Output, ResourceOptions

from infra.settings import Settings

TYPE_SENDER = "heartmap:mail:Sender"

PROOF_TTL_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class SenderArgs:
    """``settings`` has a domain."""

    settings: Settings


class Sender(pulumi.ComponentResource):
    """The domain as an identity of Amazon SES, proved by a DNS record. A new account may write to proved addresses only, until
    AWS is asked to lift that: https://docs.aws.amazon.com/ses/latest/dg/request-production-access.html
    """

    arn: Output[str]
    """Of the identity, once it is proved."""
    domain: str
    address: str
    """Whom the e-mail is from. Nobody reads what is sent there."""

    def __init__(self, name: str, args: SenderArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_SENDER, name, None, opts)
        child, self.domain = ResourceOptions(parent=self), args.settings.domain
        self.address = f"no-reply@{self.domain}"
        identity = aws.ses.DomainIdentity(name, domain=self.domain, opts=child)
        record = aws.route53.Record(
            name,
            zone_id=args.settings.hosted_zone_id,
            name=f"_amazonses.{self.domain}",
            type="TXT",
            ttl=PROOF_TTL_SECONDS,
            records=[identity.verification_token],
            opts=child,
        )
        proved = aws.ses.DomainIdentityVerification(
            name, domain=identity.domain, opts=ResourceOptions(parent=self, depends_on=[record])
        )
        self.arn = proved.arn
        self.register_outputs({"arn": self.arn})
