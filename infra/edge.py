"""What meets a request first: the web ACL, and the names of the API and of its sign-in, with their certificates."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra import waf_rules
from infra.api import TLS_POLICY, Api
from infra.certificates import IssuedCertificate, IssuedCertificateArgs
from infra.identity import CLASSIC_PAGES, Identity, sign_in_host
from infra.naming import Names
from infra.settings import Settings

TYPE_WEB_ACL = "heartmap:edge:WebAcl"
TYPE_DOMAIN = "heartmap:edge:Domain"
TYPE_SIGN_IN_DOMAIN = "heartmap:edge:SignInDomain"


@dataclass(frozen=True, kw_only=True)
class WebAclArgs:
    """``stage_arn`` and the identity's user pool are what it protects: one web ACL costs half of two."""

    names: Names
    settings: Settings
    stage_arn: Input[str]
    identity: Identity


class WebAcl(pulumi.ComponentResource):
    """Blocks who is outside the allowed ranges and what looks like an attack, and slows down who asks too often."""

    arn: Output[str]

    def __init__(self, name: str, args: WebAclArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_WEB_ACL, name, None, opts)
        self._name, self._args, self._child = name, args, ResourceOptions(parent=self)
        acl = aws.wafv2.WebAcl(
            name,
            name=args.names.prefix,
            description="What may reach the HeartMAP API and its sign-in, and how often",
            scope="REGIONAL",
            default_action=aws.wafv2.WebAclDefaultActionArgs(allow=aws.wafv2.WebAclDefaultActionAllowArgs()),
            custom_response_bodies=[
                aws.wafv2.WebAclCustomResponseBodyArgs(key=refusal.code, content_type="APPLICATION_JSON", content=refusal.body)
                for refusal in waf_rules.REFUSALS
            ],
            association_config=aws.wafv2.WebAclAssociationConfigArgs(
                request_bodies=[
                    aws.wafv2.WebAclAssociationConfigRequestBodyArgs(
                        api_gateway=aws.wafv2.WebAclAssociationConfigRequestBodyApiGatewayArgs(
                            default_size_inspection_limit=waf_rules.INSPECTED_BODY
                        ),
                        cognito_user_pool=aws.wafv2.WebAclAssociationConfigRequestBodyCognitoUserPoolArgs(
                            default_size_inspection_limit=waf_rules.INSPECTED_BODY
                        ),
                    )
                ]
            ),
            rules=waf_rules.rules(waf_rules.RuleArgs(names=args.names, settings=args.settings, allowed=self._allowed())),
            visibility_config=aws.wafv2.WebAclVisibilityConfigArgs(
                cloudwatch_metrics_enabled=True, metric_name=args.names.prefix, sampled_requests_enabled=True
            ),
            opts=self._child,
        )
        for protected, arn in ((name, args.stage_arn), (f"{name}-sign-in", args.identity.user_pool_arn)):
            aws.wafv2.WebAclAssociation(protected, resource_arn=arn, web_acl_arn=acl.arn, opts=self._child)
        self.arn = acl.arn
        self.register_outputs({"arn": self.arn})

    def _allowed(self) -> list[waf_rules.Statement]:
        """Whom the ranges admit; nothing where there are none. A range of one family alone shuts the other one out."""
        settings = self._args.settings
        if not settings.allowed_ipv4 and not settings.allowed_ipv6:
            return []
        return [
            self._ip_set("IPV4", settings.allowed_ipv4),
            self._ip_set("IPV6", settings.allowed_ipv6),
            # The pool's public keys, which the authorizer fetches from an address of AWS's.
            waf_rules.exactly(Output.concat("/", self._args.identity.user_pool_id, "/.well-known/jwks.json")),
        ]

    def _ip_set(self, version: str, networks: Sequence[IPv4Network | IPv6Network]) -> waf_rules.Statement:
        ip_set = aws.wafv2.IpSet(
            f"{self._name}-{version.lower()}",
            name=self._args.names.of(f"allowed-{version.lower()}"),
            scope="REGIONAL",
            ip_address_version=version,
            addresses=[str(network) for network in networks],
            opts=self._child,
        )
        return waf_rules.Statement(
            ip_set_reference_statement=aws.wafv2.WebAclRuleStatementIpSetReferenceStatementArgs(arn=ip_set.arn)
        )


@dataclass(frozen=True, kw_only=True)
class DomainArgs:
    """``settings`` has a domain."""

    settings: Settings
    api: Api


class Domain(pulumi.ComponentResource):
    """The API under a name of our own, the only one that it answers to."""

    url: pulumi.Output[str]
    certificate_arn: pulumi.Output[str]

    def __init__(self, name: str, args: DomainArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_DOMAIN, name, None, opts)
        child, host, zone = ResourceOptions(parent=self), args.settings.domain, args.settings.hosted_zone_id
        certificate = IssuedCertificate(name, IssuedCertificateArgs(host=host, zone_id=zone), child)
        domain = aws.apigateway.DomainName(
            name,
            domain_name=host,
            regional_certificate_arn=certificate.arn,
            endpoint_configuration=aws.apigateway.DomainNameEndpointConfigurationArgs(
                types="REGIONAL", ip_address_type="dualstack"
            ),
            security_policy=TLS_POLICY,
            endpoint_access_mode="STRICT",
            opts=child,
        )
        aws.apigateway.BasePathMapping(
            name, domain_name=domain.domain_name, rest_api=args.api.rest_api_id, stage_name=args.api.stage_name, opts=child
        )
        self.address = _alias(f"{name}-a", zone, host, "A", domain.regional_domain_name, domain.regional_zone_id, child)
        _alias(f"{name}-aaaa", zone, host, "AAAA", domain.regional_domain_name, domain.regional_zone_id, child)
        self.url, self.certificate_arn = Output.concat("https://", domain.domain_name), certificate.arn
        self.register_outputs({"url": self.url})


@dataclass(frozen=True, kw_only=True)
class SignInDomainArgs:
    """``settings`` has a domain; ``certificate_arn`` is that of its sign-in host, issued in us-east-1."""

    settings: Settings
    identity: Identity
    certificate_arn: Input[str]
    domain: Domain


class SignInDomain(pulumi.ComponentResource):
    """The sign-in pages under a name of ours."""

    def __init__(self, name: str, args: SignInDomainArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_SIGN_IN_DOMAIN, name, None, opts)
        child, host, zone = ResourceOptions(parent=self), sign_in_host(args.settings), args.settings.hosted_zone_id
        domain = aws.cognito.UserPoolDomain(
            name,
            domain=host,
            user_pool_id=args.identity.user_pool_id,
            certificate_arn=args.certificate_arn,
            managed_login_version=CLASSIC_PAGES,
            # Cognito wants the name above to have an address.
            # https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-add-custom-domain.html
            opts=ResourceOptions(parent=self, depends_on=[args.domain.address]),
        )
        target, target_zone = domain.cloudfront_distribution, domain.cloudfront_distribution_zone_id
        _alias(f"{name}-a", zone, host, "A", target, target_zone, child)
        _alias(f"{name}-aaaa", zone, host, "AAAA", target, target_zone, child)
        self.register_outputs({"host": host})


def _alias(
    name: str, zone: str, host: str, kind: str, target: Input[str], target_zone: Input[str], child: ResourceOptions
) -> aws.route53.Record:
    return aws.route53.Record(
        name,
        zone_id=zone,
        name=host,
        type=kind,
        aliases=[aws.route53.RecordAliasArgs(name=target, zone_id=target_zone, evaluate_target_health=False)],
        opts=child,
    )
