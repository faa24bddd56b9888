"""The stand-in for the hosted login as a process, on top of an emulated user pool."""

import base64
import json
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.local_cloud.login_browser import CALLBACKS, PASSWORD, Browser, Form, command, make_pool, refused, running

ROTATING = {
    "RefreshTokenRotation": {"Feature": "ENABLED", "RetryGracePeriodSeconds": 0},
    "ExplicitAuthFlows": ["ALLOW_CUSTOM_AUTH"],
}
PROGRAM_SCOPES = ["heartmap/models:read", "heartmap/analyses:write"]
GUARDED_POSTS = 10


@pytest.fixture(scope="module")
def login(aws: Callable, aws_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    with running(tmp_path_factory.mktemp("login"), aws_endpoint, make_pool(aws("cognito-idp"))) as serving:
        yield serving


@pytest.fixture(scope="module")
def rotating(aws: Callable, aws_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A login whose client rotates refresh tokens."""
    with running(tmp_path_factory.mktemp("rotating"), aws_endpoint, make_pool(aws("cognito-idp"), **ROTATING)) as serving:
        yield serving


@pytest.fixture(scope="module")
def guarded(aws: Callable, aws_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A login whose pool has a web ACL, and a client for programs beside that for people."""
    cognito, wafv2 = aws("cognito-idp"), aws("wafv2")
    outputs = make_pool(cognito)
    pool = outputs["user_pool_id"]
    program = cognito.create_user_pool_client(
        UserPoolId=pool,
        ClientName="programs",
        GenerateSecret=True,
        AllowedOAuthFlowsUserPoolClient=True,
        AllowedOAuthFlows=["client_credentials"],
        AllowedOAuthScopes=PROGRAM_SCOPES,
        AccessTokenValidity=30,
        TokenValidityUnits={"AccessToken": "minutes"},
    )["UserPoolClient"]
    none = [{"Priority": 0, "Type": "NONE"}]
    path = {"FieldToMatch": {"UriPath": {}}, "PositionalConstraint": "ENDS_WITH", "TextTransformations": none}
    refusal = {"ResponseCode": 429, "CustomResponseBodyKey": "slow", "ResponseHeaders": [{"Name": "Retry-After", "Value": "60"}]}
    visible = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": "m"}
    limit = {
        "Limit": GUARDED_POSTS,
        "AggregateKeyType": "IP",
        "EvaluationWindowSec": 60,
        "ScopeDownStatement": {"ByteMatchStatement": {"SearchString": b"/login/new-password", **path}},
    }
    statements = [
        ({"RateBasedStatement": limit}, {"Block": {"CustomResponse": refusal}}),
        ({"ByteMatchStatement": {"SearchString": b"/logout", **path}}, {"Block": {}}),
    ]
    acl = wafv2.create_web_acl(
        Name=f"sign-in-{pool}",
        Scope="REGIONAL",
        DefaultAction={"Allow": {}},
        VisibilityConfig=visible,
        CustomResponseBodies={"slow": {"ContentType": "APPLICATION_JSON", "Content": '{"code": "throttled"}'}},
        Rules=[
            {"Name": f"r{n}", "Priority": n, "Statement": statement, "Action": action, "VisibilityConfig": visible}
            for n, (statement, action) in enumerate(statements)
        ],
    )["Summary"]
    arn = cognito.describe_user_pool(UserPoolId=pool)["UserPool"]["Arn"]
    wafv2.associate_web_acl(WebACLArn=acl["ARN"], ResourceArn=arn)
    outputs["program_client_id"] = program["ClientId"]
    with running(tmp_path_factory.mktemp("guarded"), aws_endpoint, outputs) as serving:
        serving.program_secret = program["ClientSecret"]
        yield serving


@pytest.fixture
def browser(login: SimpleNamespace) -> Iterator[Browser]:
    made = Browser(login)
    with made.http:
        yield made


# The way that works


def test_a_person_signs_in_and_the_application_gets_tokens_of_the_pool(browser: Browser) -> None:
    answer = browser.redeem(browser.code())
    tokens = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 3600)
    keys = KeySet.import_key_set(browser.http.get("/.well-known/jwks.json").json())
    access, identity = (jwt.decode(tokens[name], keys, algorithms=["RS256"]).claims for name in ("access_token", "id_token"))
    assert access["iss"] == identity["iss"] == browser.login.issuer
    assert access["client_id"] == identity["aud"] == browser.login.client_id
    assert access["token_use"] == "access"
    assert access["cognito:groups"] == ["analyst"]
    assert identity["nonce"] == browser.nonce


def test_a_refresh_token_gives_new_tokens_and_stays_valid_without_rotation(browser: Browser) -> None:
    first = browser.redeem(browser.code()).json()
    for _ in range(2):
        again = browser.refresh(first["refresh_token"])
        assert again.status_code == 200
        assert "refresh_token" not in again.json()
        assert again.json()["access_token"] != first["access_token"]


def test_the_openid_configuration_leads_to_what_is_served(browser: Browser) -> None:
    configuration = browser.http.get("/.well-known/openid-configuration").json()
    assert configuration["issuer"] == browser.login.issuer
    assert configuration["authorization_endpoint"] == f"{browser.login.origin}/oauth2/authorize"
    assert configuration["code_challenge_methods_supported"] == ["S256"]
    assert browser.http.get(configuration["jwks_uri"]).json()["keys"]


def test_the_first_sign_in_asks_for_a_new_password(browser: Browser, aws: Callable) -> None:
    name = f"newcomer-{secrets.token_hex(4)}"
    aws("cognito-idp").admin_create_user(UserPoolId=browser.login.user_pool_id, Username=name, TemporaryPassword=PASSWORD)
    form = browser.step(browser.page(), username=name, password=PASSWORD)
    assert form.action == "/login/new-password"
    new = "Another-horse-8-battery"
    assert browser.submit(form, password=new, password_again="different").status_code == 400
    assert browser.submit(form, password="short", password_again="short").status_code == 400
    done = browser.submit(form, password=new, password_again=new)
    assert done.status_code == 303
    code = parse_qs(urlsplit(done.headers["location"]).query)["code"][0]
    assert browser.redeem(code).status_code == 200


# Authorization requests that are refused


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "another"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": "http://localhost:8403/callback"},
        {"redirect_uri": "http://localhost:8400/callback/"},
        {"redirect_uri": "http://localhost:8400/callback?x=1"},
        {"redirect_uri": "http://LOCALHOST:8400/callback"},
        {"redirect_uri": "http://127.0.0.1:8400/callback"},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": "http://localhost:8400@evil.example/callback"},
        {"redirect_uri": "http://localhost:8400/callback\\@evil.example"},
        {"redirect_uri": "//evil.example"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "http://localhost:8400/callback#x"},
        {"redirect_uri": " http://localhost:8400/callback"},
    ],
)
def test_nothing_is_sent_to_an_address_or_client_that_is_not_registered(browser: Browser, changes: dict[str, str | None]) -> None:
    answer = browser.authorize(**changes)
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "evil" not in answer.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": "x" * 42 + "="}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "openid aws.cognito.signin.user.admin"}, "invalid_scope"),
        ({"nonce": "x" * 3000}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
    ],
)
def test_a_request_that_the_client_may_not_make_goes_back_with_an_error(
    browser: Browser, changes: dict[str, str | None], error: str
) -> None:
    answer = browser.authorize(**changes)
    target = urlsplit(answer.headers["location"])
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(f"{CALLBACKS[0]}?")
    assert (parse_qs(target.query)["error"], parse_qs(target.query)["state"]) == ([error], [browser.state])


def test_a_parameter_that_is_there_twice_is_refused(browser: Browser) -> None:
    query = urlencode(browser.parameters()) + "&redirect_uri=https%3A%2F%2Fevil.example"
    answer = browser.http.get(f"/oauth2/authorize?{query}")
    assert answer.status_code == 400
    assert "location" not in answer.headers


# Codes that are refused


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": None},
        {"code_verifier": "x" * 43},
        {"code_verifier": ""},
        {"redirect_uri": CALLBACKS[1]},
        {"redirect_uri": None},
    ],
)
def test_a_code_without_its_verifier_and_address_is_worth_nothing_and_is_spent(
    browser: Browser, changes: dict[str, str | None]
) -> None:
    code = browser.code()
    refused(browser.redeem(code, **changes))
    refused(browser.redeem(code))


def test_a_code_that_was_never_given_is_refused(browser: Browser) -> None:
    refused(browser.redeem("made-up"))
    refused(browser.token(grant_type="authorization_code"))


def test_the_challenge_itself_does_not_redeem_the_code(browser: Browser) -> None:
    refused(browser.redeem(browser.code(), code_verifier=browser.parameters()["code_challenge"]))


def test_a_code_that_is_used_twice_ends_the_session_it_opened(browser: Browser) -> None:
    code = browser.code()
    tokens = browser.redeem(code).json()
    refused(browser.redeem(code))
    refused(browser.refresh(tokens["refresh_token"]))


@pytest.mark.parametrize("changes", [{"client_id": "another"}, {"client_id": None}, {"client_secret": "x"}])
def test_the_token_endpoint_knows_its_one_client_only(browser: Browser, changes: dict[str, str | None]) -> None:
    refused(browser.redeem(browser.code(), **changes), "invalid_client")


@pytest.mark.parametrize("grant", ["password", "client_credentials", "implicit", None])
def test_other_grants_are_refused(browser: Browser, grant: str | None) -> None:
    refused(browser.token(grant_type=grant, username="analyst", password=PASSWORD), "unsupported_grant_type")


def test_a_form_field_that_is_there_twice_is_refused(browser: Browser) -> None:
    form = f"grant_type=refresh_token&client_id={browser.login.client_id}&refresh_token=a&refresh_token=b"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert browser.http.post("/oauth2/token", content=form, headers=kind).status_code == 400
    assert browser.http.post("/oauth2/token", json={}).status_code == 415
    assert browser.http.post("/oauth2/token", content=b"a=" + b"x" * 20_000, headers=kind).status_code == 413


# Passwords and people


def test_a_wrong_password_and_an_unknown_person_look_the_same(browser: Browser) -> None:
    form = browser.page()
    unknown = browser.submit(form, username="nobody", password=PASSWORD)
    wrong = browser.submit(form, username="analyst", password="wrong")
    assert unknown.status_code == wrong.status_code == 401
    assert unknown.text.replace("nobody", "analyst") == wrong.text
    assert browser.submit(form, username="analyst", password=PASSWORD).status_code == 303


def test_after_five_failures_even_the_right_password_has_to_wait(browser: Browser) -> None:
    form = browser.page()
    statuses = [browser.submit(form, username="locked", password="wrong").status_code for _ in range(9)]
    assert statuses[:5] == [401] * 5
    assert 429 in statuses[5:]


def test_a_disabled_person_gets_neither_in_nor_new_tokens(browser: Browser, aws: Callable) -> None:
    tokens = browser.redeem(browser.code("leaver")).json()
    cognito, person = aws("cognito-idp"), {"UserPoolId": browser.login.user_pool_id, "Username": "leaver"}
    cognito.admin_disable_user(**person)
    refused(browser.refresh(tokens["refresh_token"]))
    assert browser.submit(browser.page(), username="leaver", password=PASSWORD).status_code == 401
    cognito.admin_enable_user(**person)
    refused(browser.refresh(tokens["refresh_token"]))


def test_a_name_with_markup_in_it_is_shown_as_text(browser: Browser) -> None:
    answer = browser.submit(browser.page(), username='"><script>alert(1)</script>', password="wrong")
    assert "<script" not in answer.text
    assert "&lt;script&gt;" in answer.text


# Forms that come from elsewhere


@pytest.mark.parametrize("changes", [{"csrf": "wrong"}, {"csrf": ""}, {"sign_in": "made-up"}])
def test_a_form_without_the_pages_own_token_is_refused(browser: Browser, changes: dict[str, str]) -> None:
    answer = browser.submit(browser.page(), username="analyst", password=PASSWORD, **changes)
    assert answer.status_code in (400, 403)
    assert "location" not in answer.headers


def test_a_sign_in_that_began_in_another_browser_is_refused(browser: Browser, login: SimpleNamespace) -> None:
    form = browser.page()
    other = Browser(login)
    with other.http:
        other.page()
        assert other.submit(form, username="analyst", password=PASSWORD).status_code == 400
        assert other.http.get(f"/login?sign_in={form.fields['sign_in']}").status_code == 400


def test_a_form_of_a_foreign_origin_is_refused(browser: Browser) -> None:
    form = browser.page()
    values = form.fields | {"username": "analyst", "password": PASSWORD}
    assert browser.http.post(form.action, data=values, headers={"Origin": "https://evil.example"}).status_code == 403
    assert browser.http.post(form.action, data=values, headers={"Origin": "null"}).status_code == 403
    assert browser.http.post(form.action, data=values, headers={"Origin": browser.login.origin}).status_code == 303


def test_a_finished_sign_in_cannot_be_repeated(browser: Browser) -> None:
    form = browser.page()
    assert browser.submit(form, username="analyst", password=PASSWORD).status_code == 303
    assert browser.submit(form, username="analyst", password=PASSWORD).status_code == 400


def test_the_cookie_belongs_to_this_host_and_no_script_reads_it(browser: Browser) -> None:
    cookie = browser.authorize().headers["set-cookie"]
    assert cookie.startswith("__Host-")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))


# Rotation, revocation, logout


def test_a_rotated_refresh_token_works_once_and_its_reuse_ends_the_session(rotating: SimpleNamespace) -> None:
    browser = Browser(rotating)
    with browser.http:
        first = browser.redeem(browser.code()).json()["refresh_token"]
        second = browser.refresh(first).json()["refresh_token"]
        third = browser.refresh(second).json()["refresh_token"]
        assert len({first, second, third}) == 3
        refused(browser.refresh(second))
        refused(browser.refresh(third))


def test_a_revoked_session_gives_no_more_tokens(browser: Browser) -> None:
    token = browser.redeem(browser.code()).json()["refresh_token"]
    form = {"token": token, "client_id": browser.login.client_id}
    refused(browser.http.post("/oauth2/revoke", data=form | {"client_id": "another"}), "invalid_client")
    assert browser.refresh(token).status_code == 200
    assert browser.http.post("/oauth2/revoke", data=form).status_code == 200
    refused(browser.refresh(token))
    assert browser.http.post("/oauth2/revoke", data=form | {"token": "unknown"}).status_code == 200


def test_logout_leads_to_registered_addresses_only(browser: Browser) -> None:
    values = {"client_id": browser.login.client_id, "logout_uri": CALLBACKS[1]}
    assert browser.http.get("/logout", params=values).headers["location"] == CALLBACKS[1]
    for changes in ({"logout_uri": "https://evil.example"}, {"client_id": "another"}):
        answer = browser.http.get("/logout", params=values | changes)
        assert answer.status_code == 400
        assert "location" not in answer.headers


def test_what_the_client_may_do_is_read_anew(browser: Browser, aws: Callable) -> None:
    cognito = aws("cognito-idp")
    at = {"UserPoolId": browser.login.user_pool_id, "ClientId": browser.login.client_id}
    added = "http://localhost:8402/callback"
    assert browser.authorize(redirect_uri=added).status_code == 400
    # As with Cognito, an update sets back what it does not name.
    client = cognito.describe_user_pool_client(**at)["UserPoolClient"]
    kept = {
        "AllowedOAuthFlowsUserPoolClient": True,
        **{
            name: client[name] for name in ("AllowedOAuthFlows", "AllowedOAuthScopes", "SupportedIdentityProviders", "LogoutURLs")
        },
        **{name: client[name] for name in ("EnableTokenRevocation", "RefreshTokenValidity", "TokenValidityUnits")},
    }
    try:
        cognito.update_user_pool_client(**at, **kept, CallbackURLs=[*CALLBACKS, added])
        assert browser.authorize(redirect_uri=added).status_code == 302
    finally:
        cognito.update_user_pool_client(**at, **kept, CallbackURLs=CALLBACKS)


# Programs


@pytest.fixture
def program(guarded: SimpleNamespace) -> Iterator[Browser]:
    made = Browser(guarded)
    with made.http:
        yield made


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


def test_a_program_gets_a_token_for_itself_with_the_scopes_of_its_client(program: Browser) -> None:
    client, secret = program.login.program_client_id, program.login.program_secret
    header = program.http.post("/oauth2/token", data={"grant_type": "client_credentials"}, headers=basic(client, secret))
    form = program.token(grant_type="client_credentials", client_id=client, client_secret=secret, scope=PROGRAM_SCOPES[0])
    assert (header.status_code, form.status_code) == (200, 200)
    assert (header.json()["token_type"], header.json()["expires_in"]) == ("Bearer", 1800)
    assert not {"refresh_token", "id_token"} & header.json().keys()
    keys = KeySet.import_key_set(program.http.get("/.well-known/jwks.json").json())
    all_scopes, one_scope = (jwt.decode(a.json()["access_token"], keys, algorithms=["RS256"]).claims for a in (header, form))
    assert all_scopes["scope"].split() == PROGRAM_SCOPES
    assert one_scope["scope"] == PROGRAM_SCOPES[0]
    assert all_scopes["iss"] == program.login.issuer
    assert all_scopes["client_id"] == all_scopes["sub"] == client
    assert all_scopes["token_use"] == "access"
    assert "cognito:groups" not in all_scopes
    assert all_scopes["exp"] - all_scopes["iat"] == 1800


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_secret": None}, "invalid_client"),
        ({"scope": "heartmap/config:write"}, "invalid_scope"),
        ({"scope": f"{PROGRAM_SCOPES[0]} heartmap/config:write"}, "invalid_scope"),
        ({"grant_type": "refresh_token"}, "unauthorized_client"),
        ({"grant_type": "authorization_code"}, "unauthorized_client"),
        ({"client_id": "another"}, "invalid_client"),
    ],
)
def test_a_program_without_its_secret_or_beyond_its_scopes_gets_nothing(
    program: Browser, changes: dict[str, str | None], error: str
) -> None:
    form = {"client_id": program.login.program_client_id, "client_secret": program.login.program_secret}
    refused(program.token(**{"grant_type": "client_credentials", **form, **changes}), error)


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Bearer x", "basic bm8tY29sb24="])
def test_a_header_that_proves_no_client_is_refused(program: Browser, header: str) -> None:
    answer = program.http.post("/oauth2/token", data={"grant_type": "client_credentials"}, headers={"Authorization": header})
    refused(answer, "invalid_client")


def test_a_secret_in_the_header_and_in_the_form_is_refused(program: Browser) -> None:
    client, secret = program.login.program_client_id, program.login.program_secret
    form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
    refused(program.http.post("/oauth2/token", data=form, headers=basic(client, secret)), "invalid_client")


def test_people_sign_in_beside_programs(program: Browser) -> None:
    assert program.redeem(program.code()).status_code == 200
    refused(program.token(grant_type="client_credentials"), "unsupported_grant_type")
    configuration = program.http.get("/.well-known/openid-configuration").json()
    assert "client_credentials" in configuration["grant_types_supported"]
    assert "client_secret_basic" in configuration["token_endpoint_auth_methods_supported"]


# The web ACL of the pool


def test_the_web_acl_of_the_pool_meets_requests_before_the_login_does(program: Browser) -> None:
    answers = [program.http.post("/login/new-password", data={"sign_in": "x"}) for _ in range(GUARDED_POSTS + 1)]
    assert [answer.status_code for answer in answers] == [400] * GUARDED_POSTS + [429]
    late = answers[-1]
    assert (late.json(), late.headers["retry-after"]) == ({"code": "throttled"}, "60")
    assert late.headers["content-type"] == "application/json"
    assert late.headers["x-content-type-options"] == "nosniff"
    values = {"client_id": program.login.client_id, "logout_uri": CALLBACKS[1]}
    assert program.http.get("/logout", params=values).status_code == 403
    assert program.authorize().status_code == 302


# Pages


def test_every_page_is_accessible_and_runs_no_script(browser: Browser) -> None:
    answer = browser.http.get(browser.authorize().headers["location"])
    form = Form(answer.text)
    shown = [field for field in form.inputs if field.get("type") != "hidden"]
    assert '<html lang="en">' in answer.text
    assert re.search(r"<title>[^<]+</title>", answer.text)
    assert form.labels == {field["id"] for field in shown}
    assert {field.get("autocomplete") for field in shown} == {"username", "current-password"}
    wrong = browser.submit(form, username="analyst", password="wrong").text
    assert 'role="alert"' in wrong
    for page in (answer.text, wrong):
        assert "<script" not in page
        assert " style=" not in page
        assert not re.search(r"\son[a-z]+=", page)


@pytest.mark.parametrize("path", ["/oauth2/authorize", "/nothing", "/style.css", "/.well-known/jwks.json", "/login", "/logout"])
def test_every_answer_has_the_security_headers(browser: Browser, path: str) -> None:
    headers = browser.http.get(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    # With no-referrer a browser sends `Origin: null` with its own page's form, and nobody could sign in.
    assert headers["referrer-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


def test_the_form_may_lead_to_itself_and_the_callback_only(browser: Browser) -> None:
    policy = browser.http.get(browser.authorize().headers["location"]).headers["content-security-policy"]
    assert "form-action 'self' http://localhost:8400;" in policy


def test_a_foreign_host_is_refused(browser: Browser) -> None:
    for host in ("evil.example", "localhost", f"evil.example:{browser.login.port}"):
        assert browser.http.get("/.well-known/jwks.json", headers={"Host": host}).status_code == 403
    assert browser.http.get("/.well-known/jwks.json", headers={"Host": f"127.0.0.1:{browser.login.port}"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/oauth2/authorize"), ("GET", "/oauth2/token"), ("GET", "/oauth2/userInfo")]
)
def test_what_is_not_served_is_refused(browser: Browser, method: str, path: str) -> None:
    assert browser.http.request(method, path).status_code in (404, 405)


# What cannot be served stops the login


def test_a_web_acl_that_cannot_be_enforced_stops_the_login(aws: Callable, aws_endpoint: str, tmp_path: Path) -> None:
    outputs, wafv2 = make_pool(aws("cognito-idp")), aws("wafv2")
    visible = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": "m"}
    statement = {"GeoMatchStatement": {"CountryCodes": ["US"]}}
    acl = wafv2.create_web_acl(
        Name=f"unknown-{outputs['user_pool_id']}",
        Scope="REGIONAL",
        DefaultAction={"Allow": {}},
        VisibilityConfig=visible,
        Rules=[{"Name": "r", "Priority": 0, "Statement": statement, "Action": {"Block": {}}, "VisibilityConfig": visible}],
    )["Summary"]["ARN"]
    pool = aws("cognito-idp").describe_user_pool(UserPoolId=outputs["user_pool_id"])["UserPool"]["Arn"]
    wafv2.associate_web_acl(WebACLArn=acl, ResourceArn=pool)
    (tmp_path / "outputs.json").write_text(json.dumps(outputs))
    done = subprocess.run(**command(tmp_path, aws_endpoint, 0), capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "GeoMatchStatement" in done.stderr


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"GenerateSecret": True}, "has a secret"),
        ({"AllowedOAuthFlows": ["code", "implicit"]}, "authorization code flow"),
        ({"AllowedOAuthFlowsUserPoolClient": False}, "authorization code flow"),
        ({"SupportedIdentityProviders": ["COGNITO", "Google"]}, "identity providers"),
    ],
)
def test_a_pool_or_client_that_asks_for_more_stops_the_login(
    aws: Callable, aws_endpoint: str, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    (tmp_path / "outputs.json").write_text(json.dumps(make_pool(aws("cognito-idp"), **changes)))
    done = subprocess.run(**command(tmp_path, aws_endpoint, 0), capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_pool_that_asks_for_second_factors_by_text_message_stops_the_login(
    aws: Callable, aws_endpoint: str, tmp_path: Path
) -> None:
    outputs, cognito = make_pool(aws("cognito-idp")), aws("cognito-idp")
    text_messages = {"SmsConfiguration": {"SnsCallerArn": "arn:aws:iam::123456789012:role/sms", "ExternalId": "x"}}
    cognito.set_user_pool_mfa_config(
        UserPoolId=outputs["user_pool_id"], MfaConfiguration="ON", SmsMfaConfiguration=text_messages
    )  # fmt: skip
    (tmp_path / "outputs.json").write_text(json.dumps(outputs))
    done = subprocess.run(**command(tmp_path, aws_endpoint, 0), capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "other than an authenticator app" in done.stderr


def test_a_busy_port_is_named(login: SimpleNamespace, aws_endpoint: str) -> None:
    done = subprocess.run(**command(login.ca.parents[1], aws_endpoint, login.port), capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"Port {login.port} is in use" in done.stderr
