"""What Microsoft documents about the policies and the C# types that this project uses, as data.

From MicrosoftDocs/azure-docs, articles/api-management/<name>-policy.md and api-management-policy-expressions.md (CC BY 4.0), as
published from 2022 to 2026; where versions differ, what they have in common. "Set the policy's elements and child elements in the
order provided in the policy statement", each page says: ``children`` are in that order.
"""

from typing import NamedTuple

INBOUND, BACKEND, OUTBOUND, ON_ERROR = SECTIONS = ("inbound", "backend", "outbound", "on-error")
"""In the order of a policy document."""
_ALL = frozenset(SECTIONS)
_IN = frozenset({INBOUND})


class Policy(NamedTuple):
    """``required`` and ``optional`` are attributes. ``children`` are elements, each at most once but those of ``repeated``."""

    sections: frozenset[str]
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    children: tuple[str, ...] = ()
    repeated: frozenset[str] = frozenset()


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


POLICIES = {
    "base": Policy(_ALL),
    "ip-filter": Policy(_IN, _names("action"), children=("address", "address-range"), repeated=_names("address address-range")),
    "rate-limit-by-key": Policy(
        _IN,
        _names("calls counter-key renewal-period"),
        _names(
            "increment-condition increment-count retry-after-header-name retry-after-variable-name remaining-calls-header-name"
            " remaining-calls-variable-name total-calls-header-name"
        ),
    ),
    "quota-by-key": Policy(
        _IN, _names("calls counter-key renewal-period"), _names("bandwidth increment-condition first-period-start")
    ),
    "set-variable": Policy(_ALL, _names("name value")),
    "include-fragment": Policy(_ALL, _names("fragment-id")),
    "validate-jwt": Policy(
        _IN,
        frozenset(),
        _names(
            "header-name query-parameter-name token-value failed-validation-httpcode failed-validation-error-message"
            " require-expiration-time require-scheme require-signed-tokens clock-skew output-token-variable-name"
        ),
        ("openid-config", "issuer-signing-keys", "decryption-keys", "audiences", "issuers", "required-claims"),
        _names("openid-config"),
    ),
    "set-header": Policy(_ALL, _names("name"), _names("exists-action"), ("value",), _names("value")),
    "set-backend-service": Policy(_names("inbound backend"), frozenset(), _names("base-url backend-id")),
    "forward-request": Policy(
        _names("backend"),
        frozenset(),
        _names("timeout follow-redirects buffer-request-body buffer-response fail-on-error-status-code"),
    ),
    "choose": Policy(_ALL, children=("when", "otherwise"), repeated=_names("when")),
    "return-response": Policy(
        _ALL,
        frozenset(),
        _names("response-variable-name"),
        ("set-status", "set-header", "set-body"),
        _names("set-header"),
    ),
}
"""Those that stand in a section by themselves."""

WITHIN = {
    "address-range": Policy(_ALL, _names("from to")),
    "openid-config": Policy(_ALL, _names("url")),
    "issuers": Policy(_ALL, children=("issuer",), repeated=_names("issuer")),
    "issuer": Policy(_ALL),
    "required-claims": Policy(_ALL, children=("claim",), repeated=_names("claim")),
    "claim": Policy(_ALL, _names("name"), _names("match separator"), ("value",), _names("value")),
    "value": Policy(_ALL),
    "set-status": Policy(_ALL, _names("code reason")),
    "set-body": Policy(_ALL, frozenset(), _names("template xsi-nil")),
}
"""Those that stand in another."""

LARGEST_FRAGMENT = 512 * 1024
"""Bytes: policy-fragments.md, which also says that a fragment has neither a section, nor ``base``, nor another fragment."""
LONGEST_RATE_PERIOD, SHORTEST_QUOTA_PERIOD = 300, 300
"""Seconds."""

ALL = frozenset({"*"})
TYPES = {
    "BitConverter": ALL,
    "Convert": ALL,
    "DateTimeOffset": ALL,
    "Encoding": ALL,
    "HMACSHA256": ALL,
    "Regex": _names("IsMatch Match Matches Replace Unescape Split"),
    "StringComparison": ALL,
    "long": ALL,
    "string": ALL,
    # The context's own.
    "Jwt": _names("Algorithm Audiences Claims ExpirationTime Id Issuer IssuedAt NotBefore Subject Type"),
}
"""What an expression may name. Of DateTime, which two claims are, only this is used and allowed:"""
DATE_TIME = _names("Add Subtract Ticks ToString Year")

CONTEXT = _names(
    "context.Api.Path context.LastError.Source context.LastError.Reason context.Request.Body context.Request.Headers.Keys"
    " context.Request.Headers.GetValueOrDefault context.Request.IpAddress context.Request.OriginalUrl.Path"
    " context.Request.OriginalUrl.Query.Keys context.RequestId.ToString context.Variables"
)
"""Members of ``context`` that are used here, each of them on the page. Headers and queries are IReadOnlyDictionary, of which it
allows all members."""
