"""What meets a request first: the web ACL, and the API's own domain with its certificate."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

import pulumi
import pulumi_aws as aws
from pulumi import ResourceOptions

from infra.api import TLS_POLICY, Api
from infra.certificates import IssuedCertificate, IssuedCertificateArgs
from infra.gateway_responses import SECURITY_HEADERS
from infra.naming import Names
from infra.settings import Settings

TYPE_WEB_ACL = "heartmap:edge:WebAcl"
TYPE_DOMAIN = "heartmap:edge:Domain"

RATE_WINDOW_SECONDS = 60
TOO_MANY_REQUESTS = 429

# A custom response's body knows no request id, and its content types no problem+json; a header that says so is refused.
# https://docs.aws.amazon.com/waf/latest/APIReference/API_CustomResponse.html
TOO_MANY_REQUESTS_BODY = json.dumps(
    {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": TOO_MANY_REQUESTS,
        "code": "throttled",
        "detail": "Too many requests from your address: wait a minute and try again.",
    }
)
_BODY_KEY = "throttled"

_Statement = aws.wafv2.WebAclRuleStatementArgs


@dataclass(frozen=True, kw_only=True)
class WebAclArgs:
    """``requests_per_minute`` is a limit for each address. Without ranges, requests are admitted from anywhere."""

    names: Names
    stage_arn: pulumi.Input[str]
    requests_per_minute: int
    allowed_ipv4: Sequence[IPv4Network]
    allowed_ipv6: Sequence[IPv6Network]


class WebAcl(pulumi.ComponentResource):
    """Blocks whoever is outside the allowed ranges, and slows down whoever asks too often."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: WebAclArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_WEB_ACL, name, None, opts)
        self._name, self._args, self._child = name, args, ResourceOptions(parent=self)
        rules = [self._rate_rule(1)]
        if args.allowed_ipv4 or args.allowed_ipv6:
            # A block, not an allow: an allow would end the evaluation and switch the rules after it off.
            rules.insert(0, self._range_rule(0))
        acl = aws.wafv2.WebAcl(
            name,
            name=args.names.prefix,
            description="Allowed address ranges and request rates of the HeartMAP API",
            scope="REGIONAL",
            default_action=aws.wafv2.WebAclDefaultActionArgs(allow=aws.wafv2.WebAclDefaultActionAllowArgs()),
            custom_response_bodies=[
                aws.wafv2.WebAclCustomResponseBodyArgs(
                    key=_BODY_KEY, content_type="APPLICATION_JSON", content=TOO_MANY_REQUESTS_BODY
                )
            ],
            rules=rules,
            visibility_config=aws.wafv2.WebAclVisibilityConfigArgs(
                cloudwatch_metrics_enabled=True, metric_name=args.names.prefix, sampled_requests_enabled=True
            ),
            opts=self._child,
        )
        aws.wafv2.WebAclAssociation(name, resource_arn=args.stage_arn, web_acl_arn=acl.arn, opts=self._child)
        self.arn = acl.arn
        self.register_outputs({"arn": self.arn})

    def _visible(self, rule: str) -> aws.wafv2.WebAclRuleVisibilityConfigArgs:
        return aws.wafv2.WebAclRuleVisibilityConfigArgs(
            cloudwatch_metrics_enabled=True, metric_name=self._args.names.of(rule), sampled_requests_enabled=True
        )

    def _ip_set(self, version: str, networks: Sequence[IPv4Network | IPv6Network]) -> _Statement:
        ip_set = aws.wafv2.IpSet(
            f"{self._name}-{version.lower()}",
            name=self._args.names.of(f"allowed-{version.lower()}"),
            scope="REGIONAL",
            ip_address_version=version,
            addresses=[str(network) for network in networks],
            opts=self._child,
        )
        return _Statement(ip_set_reference_statement=aws.wafv2.WebAclRuleStatementIpSetReferenceStatementArgs(arn=ip_set.arn))

    def _range_rule(self, priority: int) -> aws.wafv2.WebAclRuleArgs:
        allowed = _Statement(
            or_statement=aws.wafv2.WebAclRuleStatementOrStatementArgs(
                statements=[self._ip_set("IPV4", self._args.allowed_ipv4), self._ip_set("IPV6", self._args.allowed_ipv6)]
            )
        )
        return aws.wafv2.WebAclRuleArgs(
            name="block-unless-allowed",
            priority=priority,
            action=aws.wafv2.WebAclRuleActionArgs(block=aws.wafv2.WebAclRuleActionBlockArgs()),
            statement=_Statement(not_statement=aws.wafv2.WebAclRuleStatementNotStatementArgs(statement=allowed)),
            visibility_config=self._visible("ranges"),
        )

    def _rate_rule(self, priority: int) -> aws.wafv2.WebAclRuleArgs:
        header = aws.wafv2.WebAclRuleActionBlockCustomResponseResponseHeaderArgs
        headers = {"Retry-After": str(RATE_WINDOW_SECONDS), **SECURITY_HEADERS}
        return aws.wafv2.WebAclRuleArgs(
            name="rate",
            priority=priority,
            action=aws.wafv2.WebAclRuleActionArgs(
                block=aws.wafv2.WebAclRuleActionBlockArgs(
                    custom_response=aws.wafv2.WebAclRuleActionBlockCustomResponseArgs(
                        response_code=TOO_MANY_REQUESTS,
                        custom_response_body_key=_BODY_KEY,
                        response_headers=[header(name=name, value=value) for name, value in headers.items()],
                    )
                )
            ),
            statement=_Statement(
                rate_based_statement=aws.wafv2.WebAclRuleStatementRateBasedStatementArgs(
                    aggregate_key_type="IP",
                    limit=self._args.requests_per_minute,
                    evaluation_window_sec=RATE_WINDOW_SECONDS,
                )
            ),
            visibility_config=self._visible("rate"),
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
            endpoint_configuration=aws.apigateway.DomainNameEndpointConfigurationArgs(types="REGIONAL"),
            security_policy=TLS_POLICY,
            endpoint_access_mode="STRICT",
            opts=child,
        )
        aws.apigateway.BasePathMapping(
            name, domain_name=domain.domain_name, rest_api=args.api.rest_api_id, stage_name=args.api.stage_name, opts=child
        )
        for kind in ("A", "AAAA"):
            aws.route53.Record(
                f"{name}-{kind.lower()}",
                zone_id=zone,
                name=host,
                type=kind,
                aliases=[
                    aws.route53.RecordAliasArgs(
                        name=domain.regional_domain_name, zone_id=domain.regional_zone_id, evaluate_target_health=False
                    )
                ],
                opts=child,
            )
        self.url, self.certificate_arn = pulumi.Output.concat("https://", domain.domain_name), certificate.arn
        self.register_outputs({"url": self.url})
