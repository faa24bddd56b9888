"""The rules of the web ACL, in the order in which AWS WAF evaluates them. It protects the API and the sign-in pages alike.

Paths are compared by their ending: the web ACL sees the stage's name in front of a route at the execute-api address, and not
under a domain of our own. At the sign-in pages AWS WAF sees neither usernames nor passwords, nor the body of a form.
https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-waf.html
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import pulumi_aws as aws
from pulumi import Input

from infra.gateway_responses import SECURITY_HEADERS
from infra.naming import Names
from infra.settings import AnonymousNetworks, Settings, WafMode
from lambda_authorizer.access_policy import ACCESS_POLICY, JSON_BODY_LIMIT

Rule = aws.wafv2.WebAclRuleArgs
Statement = aws.wafv2.WebAclRuleStatementArgs

RATE_WINDOW_SECONDS = 60

# How much of a body AWS WAF is given: the most there is, and as much as any JSON body of ours may be.
# https://docs.aws.amazon.com/waf/latest/developerguide/waf-setting-body-inspection-limit.html
INSPECTED_BODY = "KB_64"

# Routes that give a credential, change what all see, or keep the service busy; and the pages and calls where passwords are tried.
SENSITIVE_PATHS = ("/token", "/keys", "/rotate", "/users", "/config", "/analyze", "/login", "/forgotPassword")
# The operation at the end of X-Amz-Target: InitiateAuth, RespondToAuthChallenge, ForgotPassword, ConfirmForgotPassword.
SENSITIVE_CALLS = ("Auth", "AuthChallenge", "Password")

LARGE_BODY_PATHS = tuple(sorted({f"/{rule.route.rpartition('/')[2]}" for rule in ACCESS_POLICY if rule.body > JSON_BODY_LIMIT}))

# Bodies that are no text of the caller's: a data set may hold any byte, and the token request names the loopback callback.
FREE_BODY_PATHS = ("/analyze", "/oauth2/token")

COMMON_LABELS = "awswaf:managed:aws:core-rule-set:"


class Refusal(NamedTuple):
    """A problem document (RFC 9457) as a custom response, which knows no request id and no content type but JSON.

    A header that says another type is refused. https://docs.aws.amazon.com/waf/latest/APIReference/API_CustomResponse.html
    """

    status: int
    title: str
    code: str
    detail: str
    headers: Mapping[str, str]

    @property
    def body(self) -> str:
        """The document."""
        problem = {"type": "about:blank", "title": self.title, "status": self.status, "code": self.code, "detail": self.detail}
        return json.dumps(problem)


THROTTLED = Refusal(
    429,
    "Too Many Requests",
    "throttled",
    "Too many requests from your address: wait a minute and try again.",
    {"Retry-After": str(RATE_WINDOW_SECONDS)},
)
TOO_LARGE = Refusal(413, "Content Too Large", "body_too_large", "The body is larger than this route takes.", {})
REFUSALS = (THROTTLED, TOO_LARGE)


class ManagedGroup(NamedTuple):
    """A rule group of AWS's. ``counted`` are those of its rules that never block."""

    purpose: str
    group: str
    counted: tuple[str, ...] = ()


REPUTATION = ManagedGroup("reputation", "AWSManagedRulesAmazonIpReputationList")
ANONYMOUS = ManagedGroup("anonymous", "AWSManagedRulesAnonymousIpList")
ANONYMOUS_RULES = ("AnonymousIPList", "HostingProviderIPList")
KNOWN_BAD = ManagedGroup("known-bad-inputs", "AWSManagedRulesKnownBadInputsRuleSet")

# Rules about bodies, which the rule after the group enforces by the labels that they leave, but on FREE_BODY_PATHS.
LABELLED = {
    "CrossSiteScripting_BODY": "CrossSiteScripting_Body",
    "EC2MetaDataSSRF_BODY": "EC2MetaDataSSRF_Body",
    "GenericLFI_BODY": "GenericLFI_Body",
    "GenericRFI_BODY": "GenericRFI_Body",
}
COMMON = ManagedGroup(
    "common",
    "AWSManagedRulesCommonRuleSet",
    (
        *LABELLED,
        # Blocks what is above 8 KB: the rule about bodies stands in for it.
        "SizeRestrictions_BODY",
        # Blocks every sign-in that returns to http://localhost (RFC 8252). Nothing here fetches an address that a caller names.
        "EC2MetaDataSSRF_QUERYARGUMENTS",
    ),
)


@dataclass(frozen=True, kw_only=True)
class RuleArgs:
    """``allowed`` are the statements of which one must hold for a request to be admitted; without any, all are."""

    names: Names
    settings: Settings
    allowed: Sequence[Statement]


def rules(args: RuleArgs) -> list[Rule]:
    """Every rule of the web ACL, cheap ones first. An emulated AWS has no managed rule groups, and gets none."""
    settings = args.settings
    made = [*_ranges(args), _rate(args), _sensitive(args), _bodies(args)]
    if not settings.is_local:
        made += [_managed(args, REPUTATION), _anonymous(args), _managed(args, KNOWN_BAD), _managed(args, COMMON), _labelled(args)]
    for priority, rule in enumerate(made):
        rule.priority = priority
    return made


def exactly(path: Input[str]) -> Statement:
    """Requests for exactly this path."""
    return _matches(_path(), "EXACTLY", path)


def _ranges(args: RuleArgs) -> list[Rule]:
    if not args.allowed:
        return []
    # A block, not an allow: an allow would end the evaluation and switch the rules after it off.
    block = aws.wafv2.WebAclRuleActionArgs(block=aws.wafv2.WebAclRuleActionBlockArgs())
    return [_rule(args, "ranges", "block-unless-allowed", _not(_any(args.allowed)), block)]


def _rate(args: RuleArgs) -> Rule:
    statement = aws.wafv2.WebAclRuleStatementRateBasedStatementArgs(
        aggregate_key_type="IP", limit=args.settings.requests_per_minute, evaluation_window_sec=RATE_WINDOW_SECONDS
    )
    return _rule(args, "rate", "rate", Statement(rate_based_statement=statement), _refuse(THROTTLED))


def _sensitive(args: RuleArgs) -> Rule:
    """Counts posts only: reading the configuration or showing the sign-in page tries nothing."""
    targets = [_ends_with(path, decoded=True) for path in SENSITIVE_PATHS]
    targets += [_matches(_header("x-amz-target"), "ENDS_WITH", call) for call in SENSITIVE_CALLS]
    posted = _matches(_method(), "EXACTLY", "POST")
    statement = aws.wafv2.WebAclRuleStatementRateBasedStatementArgs(
        aggregate_key_type="IP",
        limit=args.settings.sensitive_requests_per_minute,
        evaluation_window_sec=RATE_WINDOW_SECONDS,
        # The SDK has every kind of statement once more under this name.
        scope_down_statement=cast(
            aws.wafv2.WebAclRuleStatementRateBasedStatementScopeDownStatementArgs, _all([posted, _any(targets)])
        ),
    )
    return _rule(args, "sensitive-rate", "sensitive-rate", Statement(rate_based_statement=statement), _refuse(THROTTLED))


def _bodies(args: RuleArgs) -> Rule:
    """No body above what a JSON route takes, but on the routes that take larger ones, which have limits of their own."""
    size = aws.wafv2.WebAclRuleStatementSizeConstraintStatementArgs(
        comparison_operator="GT",
        size=JSON_BODY_LIMIT,
        # AWS WAF compares what it was given, and never sees more than the limit: what is longer matches by this alone.
        field_to_match=aws.wafv2.WebAclRuleStatementSizeConstraintStatementFieldToMatchArgs(
            body=aws.wafv2.WebAclRuleStatementSizeConstraintStatementFieldToMatchBodyArgs(oversize_handling="MATCH")
        ),
        text_transformations=[
            aws.wafv2.WebAclRuleStatementSizeConstraintStatementTextTransformationArgs(priority=0, type="NONE")
        ],
    )
    allowed = _any([_ends_with(path) for path in LARGE_BODY_PATHS])
    return _rule(args, "bodies", "bodies", _all([Statement(size_constraint_statement=size), _not(allowed)]), _refuse(TOO_LARGE))


def _managed(args: RuleArgs, group: ManagedGroup, *, counts: bool = False, challenged: Sequence[str] = ()) -> Rule:
    action = aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideActionToUseArgs
    counting = action(count=aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideActionToUseCountArgs())
    challenging = action(
        challenge=aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideActionToUseChallengeArgs()
    )
    overrides = [(rule, counting) for rule in group.counted] + [(rule, challenging) for rule in challenged]
    statement = aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementArgs(
        vendor_name="AWS",
        name=group.group,
        rule_action_overrides=[
            aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideArgs(name=rule, action_to_use=to_use)
            for rule, to_use in overrides
        ],
    )
    rule = _rule(args, group.purpose, group.purpose, Statement(managed_rule_group_statement=statement), None)
    rule.override_action = (
        aws.wafv2.WebAclRuleOverrideActionArgs(count=aws.wafv2.WebAclRuleOverrideActionCountArgs())
        if counts or args.settings.waf_mode is WafMode.COUNT
        else aws.wafv2.WebAclRuleOverrideActionArgs(none=aws.wafv2.WebAclRuleOverrideActionNoneArgs())
    )
    return rule


def _anonymous(args: RuleArgs) -> Rule:
    wanted = args.settings.anonymous_networks
    return _managed(
        args,
        ANONYMOUS,
        counts=wanted is AnonymousNetworks.ALLOW,
        challenged=ANONYMOUS_RULES if wanted is AnonymousNetworks.CHALLENGE else (),
    )


def _labelled(args: RuleArgs) -> Rule:
    labels = [
        Statement(
            label_match_statement=aws.wafv2.WebAclRuleStatementLabelMatchStatementArgs(scope="LABEL", key=COMMON_LABELS + label)
        )
        for label in LABELLED.values()
    ]
    free = _any([_ends_with(path) for path in FREE_BODY_PATHS])
    action = (
        aws.wafv2.WebAclRuleActionArgs(count=aws.wafv2.WebAclRuleActionCountArgs())
        if args.settings.waf_mode is WafMode.COUNT
        else aws.wafv2.WebAclRuleActionArgs(block=aws.wafv2.WebAclRuleActionBlockArgs())
    )
    return _rule(args, "common-bodies", "common-bodies", _all([_any(labels), _not(free)]), action)


def _rule(args: RuleArgs, metric: str, name: str, statement: Statement, action: aws.wafv2.WebAclRuleActionArgs | None) -> Rule:
    return Rule(
        name=name,
        priority=0,
        action=action,
        statement=statement,
        visibility_config=aws.wafv2.WebAclRuleVisibilityConfigArgs(
            cloudwatch_metrics_enabled=True, metric_name=args.names.of(metric), sampled_requests_enabled=True
        ),
    )


def _refuse(refusal: Refusal) -> aws.wafv2.WebAclRuleActionArgs:
    header = aws.wafv2.WebAclRuleActionBlockCustomResponseResponseHeaderArgs
    headers = {**refusal.headers, **SECURITY_HEADERS}
    return aws.wafv2.WebAclRuleActionArgs(
        block=aws.wafv2.WebAclRuleActionBlockArgs(
            custom_response=aws.wafv2.WebAclRuleActionBlockCustomResponseArgs(
                response_code=refusal.status,
                custom_response_body_key=refusal.code,
                response_headers=[header(name=name, value=value) for name, value in headers.items()],
            )
        )
    )


_Field = aws.wafv2.WebAclRuleStatementByteMatchStatementFieldToMatchArgs


def _method() -> _Field:
    return _Field(method=aws.wafv2.WebAclRuleStatementByteMatchStatementFieldToMatchMethodArgs())


def _path() -> _Field:
    return _Field(uri_path=aws.wafv2.WebAclRuleStatementByteMatchStatementFieldToMatchUriPathArgs())


def _header(name: str) -> _Field:
    return _Field(single_header=aws.wafv2.WebAclRuleStatementByteMatchStatementFieldToMatchSingleHeaderArgs(name=name))


def _ends_with(path: str, *, decoded: bool = False) -> Statement:
    """``decoded``: also a path that hides behind percent-encoding. An exception is made for what is written plainly alone."""
    return _matches(_path(), "ENDS_WITH", path, "URL_DECODE" if decoded else "NONE")


def _matches(field: _Field, constraint: str, text: Input[str], transformation: str = "NONE") -> Statement:
    return Statement(
        byte_match_statement=aws.wafv2.WebAclRuleStatementByteMatchStatementArgs(
            field_to_match=field,
            positional_constraint=constraint,
            search_string=text,
            text_transformations=[
                aws.wafv2.WebAclRuleStatementByteMatchStatementTextTransformationArgs(priority=0, type=transformation)
            ],
        )
    )


def _any(statements: Sequence[Statement]) -> Statement:
    return Statement(or_statement=aws.wafv2.WebAclRuleStatementOrStatementArgs(statements=list(statements)))


def _all(statements: Sequence[Statement]) -> Statement:
    return Statement(and_statement=aws.wafv2.WebAclRuleStatementAndStatementArgs(statements=list(statements)))


def _not(statement: Statement) -> Statement:
    return Statement(not_statement=aws.wafv2.WebAclRuleStatementNotStatementArgs(statement=statement))
