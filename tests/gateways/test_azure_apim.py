"""The rendering for Azure API Management: its policies against Microsoft's documentation, and run by a C# compiler.

What is not proved here is what the gateway itself does: docs/gateways.md says so.
"""

import base64
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from gateways import azure_apim
from gateways.example import example
from gateways.model import STRIPPED_HEADERS, GatewayError, Route
from lambda_authorizer import assertion, events, tokens
from lambda_authorizer.access_policy import ACCESS_POLICY, GROUPS, RULES, SCOPES, SERVICE, permits
from lambda_authorizer.policy import TOLERANCE
from tests.gateways.apim import documented
from tests.gateways.apim.documented import POLICIES, SECTIONS, WITHIN
from tests.gateways.apim.pipeline import Answer, Call, Pipeline, parsed

FILES = azure_apim.files(example())
DOCUMENTS = {name: text for name, text in FILES.items() if name.endswith(".xml")}
FRAGMENTS = {Path(name).stem: text for name, text in DOCUMENTS.items() if "/fragments/" in name}
ROUTES = {route.name: route for route in example().routes}
KEY_ID, KEY = "k0123456789abcdef", secrets.token_bytes(assertion.KEY_BYTES)
SUBJECT = "0f8fad5b-d9cb-469f-a165-70867728950e"
ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
LOCKED_OUT = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
BEARER = ("Authorization", "Bearer aaaa.bbbb.cccc")

Run = Callable[..., list[Answer]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    if shutil.which("mcs") is None or shutil.which("mono") is None:
        assert os.environ.get("CI") != "true", "mono-mcs and mono-runtime have to be installed"
        pytest.skip("there is no C# compiler: apt-get install mono-mcs mono-runtime")
    values = {"heartmap-assertion-key": f"{KEY_ID}.{base64.b64encode(KEY).decode()}", "heartmap-locked-out": f"x,{LOCKED_OUT}"}
    return Pipeline(FILES, tmp_path_factory.mktemp("policies"), values).run


def claims(**changes: Any) -> list[tuple[str, str]]:
    """Of an admin's access token; a list is a claim of several values, None leaves a claim out."""
    now = int(time.time())
    made: dict[str, Any] = {
        "alg": "RS256",
        "iss": example().issuer,
        "sub": SUBJECT,
        "client_id": example().client_ids[0],
        "token_use": "access",
        "iat": now,
        "exp": now + 3600,
        "auth_time": now,
        "cognito:groups": ["admin"],
        "scope": "openid email",
    }
    made |= {name.replace("cognito_groups", "cognito:groups"): value for name, value in changes.items()}
    several = {name: value if isinstance(value, list) else [value] for name, value in made.items() if value is not None}
    return [(name, str(value)) for name, values in several.items() for value in values]


def call(route: str = "get-models", **changes: Any) -> Call:
    row = ROUTES.get(route)
    path = re.sub(r"\{\w+\}", ULID, row.template) if row else "/"
    made = Call(operation=route, method=row.method if row else "GET", path=path, headers=[BEARER], claims=claims())
    return replace(made, **changes)


# ---- against the documentation


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_a_policy_has_the_documented_sections_elements_order_and_attributes(name: str) -> None:
    for section, element in _placed(name):
        known = POLICIES.get(element.tag)
        assert known is not None, element.tag
        assert section in known.sections, (section, element.tag)
        _check(element, known)


def _placed(name: str) -> Iterator[tuple[str, Element]]:
    """Each policy with each section that it comes to stand in."""
    root = parsed(DOCUMENTS[name])
    if root.tag == "fragment":
        assert len(DOCUMENTS[name].encode()) <= documented.LARGEST_FRAGMENT
        assert {each.tag for each in root.iter()}.isdisjoint({"base", "include-fragment", *SECTIONS})
        included = [section for section, each in _everywhere() if each.get("fragment-id") == Path(name).stem]
        assert included
        yield from ((section, element) for section in set(included) for element in root)
        return
    assert root.tag == "policies"
    assert [each.tag for each in root] == list(SECTIONS)
    yield from ((section.tag, element) for section in root for element in section)


def _everywhere() -> Iterator[tuple[str, Element]]:
    for text in DOCUMENTS.values():
        root = parsed(text)
        yield from ((section.tag, element) for section in root if root.tag == "policies" for element in section)


def _check(element: Element, known: documented.Policy) -> None:
    given = set(element.keys())
    assert known.required <= given <= known.required | known.optional, element.attrib
    tags = [child.tag for child in element]
    if element.tag == "when":
        for child in element:
            _check(child, POLICIES[child.tag])
        return
    assert tags == sorted(tags, key=known.children.index), f"{element.tag}: {tags}"
    assert {tag for tag in tags if tags.count(tag) > 1} <= known.repeated
    for child in element:
        _check(child, documented.Policy(known.sections, frozenset({"condition"})) if child.tag == "when" else _within(child.tag))


def _within(tag: str) -> documented.Policy:
    return WITHIN[tag] if tag in WITHIN else POLICIES[tag]


def test_periods_are_within_the_documented_bounds() -> None:
    for _, element in _everywhere():
        if element.tag == "rate-limit-by-key":
            assert 0 < int(element.attrib["renewal-period"]) <= documented.LONGEST_RATE_PERIOD
        if element.tag == "quota-by-key":
            assert int(element.attrib["renewal-period"]) >= documented.SHORTEST_QUOTA_PERIOD


def _expressions() -> list[str]:
    texts = []
    for text in DOCUMENTS.values():
        for element in parsed(text).iter():
            texts += [value.strip() for value in (*element.attrib.values(), element.text or "")]
    return sorted({text for text in texts if text.startswith("@")})


@pytest.mark.parametrize("expression", _expressions(), ids=lambda text: re.sub(r"\s+", " ", text)[:60])
def test_an_expression_names_only_types_and_members_that_are_allowed_in_one(expression: str) -> None:
    assert "//" not in expression, "a comment would take the rest: an attribute is one line"
    bare = re.sub(r'@"[^"]*"|"(\\.|[^"\\])*"|\'(\\.|[^\'])\'', '""', expression)
    for name, member in re.findall(r"(?<![\w.])([A-Z]\w*|string|long)\.(\w+)", bare):
        allowed = documented.TYPES.get(name, frozenset())
        assert allowed is documented.ALL or member in allowed, f"{name}.{member}"
    named = re.findall(r"new (\w+)|\((\w+)\)(?=[\w(])|\bout (\w+)", bare)
    assert {name for names in named for name in names if name} <= documented.TYPES.keys()
    for path in re.findall(r"context(?:\.\w+)+", bare):
        # What follows is a member of a string or a collection, of which all are allowed.
        assert any(f"{path}.".startswith(f"{known}.") for known in documented.CONTEXT), path
    for member in re.findall(r"(?:ExpirationTime|IssuedAt)\.Value\.(\w+)", bare):
        assert member in documented.DATE_TIME
    assert re.fullmatch(r"@\(.*\)|@\{.*\breturn\b.*\}", bare, re.DOTALL)


def test_named_values_are_those_that_the_project_makes() -> None:
    used = set(re.findall(r"\{\{([^}]*)\}\}", "".join(DOCUMENTS.values())))
    assert used == {"heartmap-assertion-key", "heartmap-locked-out"}
    assert all(f'display_name="{name}"' in FILES["apim.py"] for name in used)


def test_second_credentials_are_those_of_the_authorizer() -> None:
    assert set(azure_apim.OTHER_HEADERS) >= events._OTHERS_THAT_MATTER
    assert set(azure_apim.OTHER_PARAMETERS) >= events._OTHER_CREDENTIAL_PARAMETERS


# ---- the assertion


@pytest.mark.parametrize(
    ("groups", "scope"),
    [
        ([], "openid"),
        (["viewer"], "openid"),
        (["viewer", "strangers", "admin"], "heartmap/models:read"),
        (["analyst"], " ".join(f"heartmap/{scope}" for scope in sorted(SCOPES, reverse=True))),
        (["x,admin"], "models:read heartmap/models:readers"),
    ],
)
def test_the_assertion_is_the_authorizers_byte_for_byte(run: Run, groups: list[str], scope: str) -> None:
    (answer,) = run([call("get-root", claims=claims(cognito_groups=groups or None, scope=scope))])

    text = answer.headers[assertion.HEADER]
    told = assertion.verify(text, {KEY_ID: KEY}, now=time.time())
    assert told.principal == SUBJECT
    assert told.groups == GROUPS.intersection(groups)
    assert told.scopes == {each.removeprefix("heartmap/") for each in scope.split() if each.startswith("heartmap/")} & SCOPES
    assert (told.method, told.route) == ("GET", "/")
    assert told.request_id == answer.headers["X-Request-Id"] == answer.request_id
    assert text == assertion.mint(
        assertion.Keys(KEY_ID, {KEY_ID: KEY}),
        principal=told.principal,
        groups=told.groups,
        scopes=told.scopes,
        route=told.route,
        method=told.method,
        request_id=told.request_id,
        now=told.issued_at,
    )


@pytest.mark.usefixtures("run")
def test_a_key_that_is_none_answers_500_and_nothing_is_passed_on(tmp_path: Path) -> None:
    broken = Pipeline(FILES, tmp_path, {"heartmap-assertion-key": f"{KEY_ID}.no key", "heartmap-locked-out": "none"})
    (answer,) = broken.run([call()])
    assert (answer.status, answer.problem["code"]) == (500, "internal")


# ---- who may do what


def test_every_row_opens_to_whom_the_access_policy_opens_it_and_to_nobody_else(run: Run) -> None:
    held = (
        [([group], "openid") for group in sorted(GROUPS)] + [([], f"heartmap/{scope}") for scope in sorted(SCOPES)] + [([], "")]
    )
    calls, expected = [], []
    for name, route in ROUTES.items():
        for groups, scope in held:
            calls.append(call(name, claims=claims(cognito_groups=groups or None, scope=scope or None)))
            scopes = frozenset({scope.removeprefix("heartmap/")} & SCOPES)
            expected.append(None if permits(RULES[route.method, route.template], frozenset(groups), scopes) else 403)
    answers = run(calls, apart=True)
    assert [answer.status for answer in answers] == expected
    for asked, answer in zip(calls, answers, strict=True):
        if answer.status is None:
            told = assertion.verify(answer.headers[assertion.HEADER], {KEY_ID: KEY}, now=time.time())
            assert (told.method, told.route) == (ROUTES[asked.operation].method, ROUTES[asked.operation].template)


def test_the_operations_are_the_rows_that_the_service_answers() -> None:
    described = json.loads(FILES["gateway.json"])["operations"]
    rows = [(rule.method, rule.route) for rule in ACCESS_POLICY if rule.answered_by == SERVICE]
    assert [(each["method"], each["template"]) for each in described] == rows
    assert all(f"policies/operations/{each['name']}.xml" in FILES for each in described)
    assert all(f"{route.method} {route.template}\n" in FILES["policies/api.xml"] for route in example().elsewhere)


WRONG_TOKENS = {
    "signature": None,
    "issuer": claims(iss="https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Other0000"),
    "client": claims(client_id="other"),
    "no client": claims(client_id=None),
    "id token": claims(token_use="id", aud=example().client_ids[0]),
    "another audience": claims(aud="https://another.example.org"),
    "algorithm": claims(alg="HS256"),
    "expired": claims(exp=int(time.time()) - TOLERANCE - 5, iat=int(time.time()) - 3600),
    "no end": claims(exp=None),
    "no beginning": claims(iat=None),
    "two days": claims(iat=int(time.time()), exp=int(time.time()) + tokens.MAX_LIFETIME + 1),
    "a subject that would need escaping": claims(sub='a","groups":["admin"],"x":"'),
    "a subject with a line feed": claims(sub=f"{SUBJECT}\n"),
    "no subject": claims(sub=None),
    "locked out": claims(sub=LOCKED_OUT),
}


def test_what_is_no_token_for_this_api_is_401(run: Run) -> None:
    answers = run([call(claims=each) for each in WRONG_TOKENS.values()])
    assert {name: answer.status for name, answer in zip(WRONG_TOKENS, answers, strict=True)} == dict.fromkeys(WRONG_TOKENS, 401)
    (good,) = run([call(claims=claims(aud=["x", example().client_ids[1]]))])
    assert good.status is None


WRONG_CREDENTIALS: dict[str, dict[str, Any]] = {
    "none": {"headers": []},
    "an API key": {"headers": [("Authorization", "ApiKey hm_prod_abcdefgh_" + "x" * 43)]},
    "basic": {"headers": [("Authorization", "Basic YTpi")]},
    "two": {"headers": [BEARER, BEARER]},
    "two spaces": {"headers": [("Authorization", "Bearer  aaaa.bbbb.cccc")]},
    "a line feed": {"headers": [("Authorization", "Bearer aaaa.bbbb.cccc\n")]},
    "four parts": {"headers": [("Authorization", "Bearer aaaa.bbbb.cccc.dddd")]},
    "too long": {"headers": [("Authorization", "Bearer aaaa.bbbb." + "c" * tokens.MAX_LENGTH)]},
    **{f"beside {name}": {"headers": [BEARER, (name.title(), "x")]} for name in azure_apim.OTHER_HEADERS},
    **{f"beside ?{name}": {"query": [(name.upper(), "x")]} for name in azure_apim.OTHER_PARAMETERS},
}


def test_what_is_not_one_credential_is_401(run: Run) -> None:
    answers = run([call(**each) for each in WRONG_CREDENTIALS.values()])
    assert {name: a.status for name, a in zip(WRONG_CREDENTIALS, answers, strict=True)} == dict.fromkeys(WRONG_CREDENTIALS, 401)
    assert all(answer.headers["WWW-Authenticate"] == "Bearer" for answer in answers)
    (good,) = run([call(headers=[("authorization", "bEARER aaaa.bbbb.cccc")])])
    assert good.status is None


def test_a_change_of_the_configuration_takes_a_sign_in_of_late(run: Run) -> None:
    now, age = int(time.time()), ROUTES["post-config"].sign_in_age or 0
    asked = [now, now - age + 30, now + TOLERANCE - 5, now - age - 5, now + TOLERANCE + 30, "x", None]
    answers = run([call("post-config", claims=claims(auth_time=each)) for each in asked])
    assert [answer.status for answer in answers] == [None, None, None, 403, 403, 403, 403]
    assert "sign-in of the last 15 minutes" in answers[-1].problem["detail"]


# ---- what is asked for


@pytest.mark.parametrize("api_path", ["", "heartmap", "lab/heartmap"])
def test_a_path_is_that_of_its_row(run: Run, api_path: str) -> None:
    before = f"/{api_path}" if api_path else ""
    row = "get-analyses-analysis-id"
    good = [f"{before}/analyses/{ULID}"]
    tails = ["", "/", "x", "%0a", "\n", "/results", "/..", "?x=1", ";x"]
    bad = [f"{before}/analyses/{ULID}{tail}" for tail in tails if tail]
    bad += [f"{before}/analyses/{ULID.lower()}", f"{before}//analyses/{ULID}", f"{before}/Analyses/{ULID}"]
    bad += [
        f"{before}/analyses/..%2f{ULID}",
        f"{before}/analyses/{{analysis_id}}",
        f"/x/analyses/{ULID}",
        f"{before}/uploads/{ULID}",
    ]
    answers = run([call(row, path=path, api_path=api_path) for path in good + bad], apart=True)
    assert [answer.status for answer in answers] == [None] + [404] * len(bad)
    root = run([call("get-root", path=path, api_path=api_path) for path in (f"{before}/", before or "/", f"{before}//")])
    assert [answer.status for answer in root] == [None, None, 404]


def test_no_body_is_larger_than_its_row_takes_or_of_a_length_that_is_not_said(run: Run) -> None:
    calls, expected = [], []
    for name, route in ROUTES.items():
        for length, status in ((str(route.body), None), (str(route.body + 1), 413), ("-1", 413), ("1e3", 413), ("9" * 20, 413)):
            calls.append(call(name, headers=[BEARER, ("Content-Length", length)], body="x"))
            expected.append(status)
        calls.append(call(name, body="chunks"))
        expected.append(411)
    answers = run(calls, apart=True)
    assert [answer.status for answer in answers] == expected


def test_headers_that_say_who_calls_are_made_anew(run: Run) -> None:
    spoofed = [(name, "spoofed") for name in (*STRIPPED_HEADERS, "X-Forwarded-For", "X-Request-Id", "Host", "Cookie")]
    (answer,) = run([call(headers=[BEARER, *spoofed, ("Accept", "application/json"), ("Ocp-Apim-Subscription-Key", "k")])])
    assert answer.status is None
    assert sorted(answer.headers) == ["Accept", "Host", "X-Forwarded-For", assertion.HEADER, "X-Request-Id"]
    assert "spoofed" not in answer.headers.values()
    assert answer.headers["X-Forwarded-For"] == "192.0.2.7"
    assert answer.headers["Host"] == example().upstream_host


def test_an_address_outside_of_the_ranges_is_403_and_counts_nothing(run: Run) -> None:
    answers = run([call(address=address) for address in ("192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0", "10.0.0.1")])
    assert [answer.status for answer in answers] == [None, None, 403, 403, 403]
    assert answers[-1].problem["code"] == "blocked"


def test_rates_are_counted_for_addresses_rows_and_principals(run: Run) -> None:
    row = ROUTES["post-config"]
    answers = run([call("post-config")] * (row.burst + 1) + [call("get-models"), call("get-models", claims=None)])
    assert [answer.status for answer in answers] == [None] * row.burst + [429, None, 401]
    assert (answers[row.burst].problem["code"], answers[row.burst].headers["Retry-After"]) == ("throttled", "1")
    refused = run([call(claims=None)] * (example().client_rate + 1))
    assert [answer.status for answer in refused] == [401] * example().client_rate + [429]


def test_who_may_not_use_a_row_does_not_use_up_its_rate(run: Run) -> None:
    stranger = call("post-config", claims=claims(cognito_groups="viewer"))
    assert run([stranger] * 50 + [call("post-config")])[-1].status is None


def test_sensitive_rows_have_the_lower_rate_of_an_address() -> None:
    for route in ROUTES.values():
        policy = FILES[f"policies/operations/{route.name}.xml"]
        keys = re.findall(r"counter-key=.*?(heartmap-sensitive-|heartmap-row-)", policy)
        assert (f'calls="{example().sensitive_rate}"' in policy) is route.sensitive
        # Who is above their own does not use up what all share.
        assert keys == ["heartmap-sensitive-"] * route.sensitive + ["heartmap-row-"]
    assert 'calls="86400" renewal-period="86400"' in FILES["policies/api.xml"]


@pytest.mark.parametrize("route", list(ROUTES.values()), ids=list(ROUTES))
def test_a_window_has_no_more_than_the_burst_and_the_rate(route: Route) -> None:
    calls, seconds = azure_apim.window(route)
    assert calls <= route.burst
    assert calls / seconds <= route.rate


def test_refusals_are_problem_documents_with_the_id_of_the_call_and_no_word_of_azures(run: Run) -> None:
    answers = run([call("none"), call(claims=None), call(address="10.0.0.1"), call(headers=[BEARER, ("Content-Length", "1")])])
    for answer, (status, code) in zip(
        answers, [(404, "no_such_route"), (401, "unauthenticated"), (403, "blocked"), (413, "body_too_large")], strict=True
    ):
        assert answer.status == status
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["X-Request-Id"] == answer.problem["request_id"] == answer.request_id
        assert (answer.problem["status"], answer.problem["code"]) == (status, code)
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Access denied" not in answer.body


# ---- what API Management cannot do


def test_what_cannot_be_expressed_is_refused() -> None:
    with pytest.raises(GatewayError, match="--trusted-proxy"):
        azure_apim.files(replace(example(), trusted_proxies=(ip_network("10.0.0.0/8"),)))
    with pytest.raises(GatewayError, match="--allow"):
        azure_apim.files(replace(example(), allowed_ranges=(ip_network("2001:db8::/32"),)))
    everybody = azure_apim.files(replace(example(), allowed_ranges=()))
    assert "ip-filter" not in everybody["policies/api.xml"].replace('source == "ip-filter"', "")
