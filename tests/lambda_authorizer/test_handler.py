import gc
import itertools
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambda_authorizer import assertion, config, handler, policy
from lambda_authorizer.access_policy import ACCESS_POLICY, GROUPS, SCOPES, STEP_UP_AGE, permits
from lambda_authorizer.handler import Authorizer, Unauthorized
from lambda_authorizer.reasons import ConfigurationError, Fault, Reason
from lambda_authorizer.secret_store import FixedSecrets

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:heartmap-local-AbCdEf"
ROUTES = [(rule.method, rule.route) for rule in ACCESS_POLICY]


def effect(answer: dict[str, Any]) -> str:
    (statement,) = answer["policyDocument"]["Statement"]
    return statement["Effect"]


def test_an_allow_carries_an_assertion_that_the_service_accepts(authorizer: Authorizer, pool, make_event, names) -> None:
    event = make_event("GET", "/analyses/{analysis_id}", f"Bearer {pool.token(groups=['analyst'])}")
    answer = authorizer.decide(event)
    assert effect(answer) == "Allow"
    assert answer["policyDocument"]["Statement"][0]["Resource"] == event["methodArn"]
    assert answer["principalId"] == names.subject
    said = assertion.verify(answer["context"]["assertion"], names.assertion_keys, now=time.time())
    assert said[:6] == (
        names.subject,
        frozenset({"analyst"}),
        frozenset(),
        "/analyses/{analysis_id}",
        "GET",
        "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
    )
    assert answer["context"]["assertion"].startswith("v2.b2.")


def test_what_is_kept_ready_for_callers_of_one_kind_says_of_each_who_it_is(
    environ: dict[str, str], pool, make_event, names, capsys: pytest.CaptureFixture[str]
) -> None:
    authorizer = Authorizer(config.load(environ | {"HEARTMAP_CLIENT_IDS": f"{names.client_id},other-client"}))
    admin = {"sub": "one", "jti": "token-1", "groups": ["admin"], "client_id": names.client_id, "scope": "openid"}
    # Each differs from the first in one thing.
    people = [
        admin,
        *({**admin, **change} for change in ({"sub": "two"}, {"jti": "token-2"}, {"groups": ["viewer"]})),
        *({**admin, **change} for change in ({"client_id": "other-client"}, {"scope": "openid heartmap/models:read"})),
    ]
    tokens = [pool.token(**claims) for claims in people]
    calls = [("GET", "/config"), ("POST", "/config"), ("GET", "/models")]
    # Everything twice: the second time all that can be kept is.
    for _ in range(2):
        for (method, route), (claims, token) in itertools.product(calls, zip(people, tokens, strict=True)):
            event = make_event(method, route, f"Bearer {token}")
            answer = authorizer.decide(event)
            subject, groups = claims["sub"], claims["groups"]
            scopes = ["models:read"] if "models" in claims["scope"] else []
            allowed = groups == ["admin"] or method == "GET"
            assert effect(answer) == ("Allow" if allowed else "Deny")
            told = answer["context"]
            assert (answer["principalId"], told["principal"], told["key_id"]) == (subject, subject, "")
            assert (told["groups"], told["scopes"]) == (groups[0], ",".join(scopes))
            assert answer["policyDocument"]["Statement"][0]["Resource"] == event["methodArn"]
            line = json.loads(capsys.readouterr().out)
            assert (line["principal"], line["token_id"], line["key_id"]) == (subject, claims["jti"], None)
            assert (line["groups"], line["client_id"]) == (groups, claims["client_id"])
            assert (line["method"], line["route"]) == (method, route)
            if allowed:
                said = assertion.verify(told["assertion"], names.assertion_keys, now=time.time())
                assert said[:5] == (subject, frozenset(groups), frozenset(scopes), route, method)


def test_only_a_function_is_ready_at_its_import_and_collections_leave_what_it_is_made_of_alone(environ: dict[str, str]) -> None:
    before = gc.get_freeze_count()
    assert handler._at_start({"PATH": "/bin"}) is None
    assert gc.get_freeze_count() == before
    try:
        assert handler._at_start(environ) is not None
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()


def test_what_differs_from_call_to_call_is_never_kept(authorizer: Authorizer, pool, make_event, names) -> None:
    token = pool.token(groups=["viewer"])
    for request_id in ("first", "second"):
        event = make_event("GET", "/models", f"Bearer {token}")
        event["requestContext"]["requestId"] = request_id
        context = authorizer.decide(event)["context"]
        assert context["request_id"] == request_id
        assert assertion.verify(context["assertion"], names.assertion_keys, now=time.time()).request_id == request_id


def test_the_next_call_is_signed_by_the_key_that_signs_now(environ: dict[str, str], pool, make_event) -> None:
    authorizer = Authorizer(config.load(environ))
    event = make_event("GET", "/models", f"Bearer {pool.token(groups=['viewer'])}")
    authorizer.decide(event)
    new = assertion.Keys("new", {"new": b"n" * 32})
    held = authorizer._secrets.get(now=0, deadline=0)
    authorizer._secrets = FixedSecrets(held._replace(assertion_keys=new))
    assertion.verify(authorizer.decide(event)["context"]["assertion"], new.keys, now=time.time())


def test_no_more_is_kept_ready_than_there_are_routes(environ: dict[str, str], pool, make_event) -> None:
    authorizer = Authorizer(config.load(environ))
    for person in ("anna", "vera"):
        bearer = f"Bearer {pool.token(sub=person, groups=['viewer'])}"
        for route in ("/", "/health", "/models", "/models/of-nobody", "/no-such-route"):
            authorizer.decide(make_event("GET", route, bearer))
    kept = [held.answers for held in authorizer._tokens._verified.values()]
    assert kept[0] is kept[1]
    assert kept[0].keys() == {("GET", "/"), ("GET", "/health"), ("GET", "/models")}


def test_who_may_not_gets_a_deny_for_that_call_alone(authorizer: Authorizer, pool, make_event) -> None:
    event = make_event("POST", "/config", f"Bearer {pool.token(groups=['viewer'])}")
    answer = authorizer.decide(event)
    assert effect(answer) == "Deny"
    assert answer["policyDocument"]["Statement"][0]["Resource"] == event["methodArn"]
    assert "assertion" not in answer["context"]


def test_an_old_sign_in_changes_nothing_and_is_told_why(
    authorizer: Authorizer, pool, make_event, capsys: pytest.CaptureFixture[str]
) -> None:
    token = pool.token(groups=["admin"], auth_time=int(time.time()) - STEP_UP_AGE - 1)
    answer = authorizer.decide(make_event("POST", "/config", f"Bearer {token}"))
    assert (effect(answer), answer["context"]["reason"]) == ("Deny", Reason.SIGN_IN_TOO_OLD)
    assert json.loads(capsys.readouterr().out)["reason"] == Reason.SIGN_IN_TOO_OLD
    assert effect(authorizer.decide(make_event("GET", "/config", f"Bearer {token}"))) == "Allow"


def test_what_was_opened_is_asked_for_its_sign_in_again(
    authorizer: Authorizer, pool, make_event, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = make_event("POST", "/config", f"Bearer {pool.token(groups=['admin'])}")
    assert effect(authorizer.decide(event)) == "Allow"
    later = time.time() + STEP_UP_AGE + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert effect(authorizer.decide(event)) == "Deny"


def test_a_deny_names_its_call_too(authorizer: Authorizer, pool, make_event) -> None:
    event = make_event("POST", "/config", f"Bearer {pool.token(groups=['viewer'])}")
    assert authorizer.decide(event)["context"]["request_id"] == event["requestContext"]["requestId"]


def test_a_call_of_another_region_is_not_of_this_function(authorizer: Authorizer, pool, make_event) -> None:
    event = make_event("GET", "/models", f"Bearer {pool.token(groups=['viewer'])}")
    assert effect(authorizer.decide(event)) == "Allow"
    event["methodArn"] = event["methodArn"].replace("us-east-1", "eu-west-1")
    with pytest.raises(Unauthorized):
        authorizer.decide(event)


def test_what_follows_the_scheme_is_one_credential(
    authorizer: Authorizer, pool, make_event, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Unauthorized):
        authorizer.decide(make_event("GET", "/models", f"Bearer {pool.token()} x"))
    assert json.loads(capsys.readouterr().out)["reason"] == Reason.TOKEN_MALFORMED


def test_a_key_that_the_pool_made_since_is_fetched(environ: dict[str, str], server, pool, other_pool, make_event) -> None:
    server.answer = lambda request: server.reply(request, other_pool.jwks)
    authorizer = Authorizer(config.load(environ | {"HEARTMAP_JWKS_URL": f"{server.url}/jwks.json"}))
    assert effect(authorizer.decide(make_event("GET", "/models", f"Bearer {pool.token(groups=['viewer'])}"))) == "Allow"
    assert server.requests == []
    assert effect(authorizer.decide(make_event("GET", "/models", f"Bearer {other_pool.token(groups=['viewer'])}"))) == "Allow"
    assert [request.path for request in server.requests] == ["/jwks.json"]


def test_what_is_kept_ready_is_made_once(authorizer: Authorizer, pool, make_event, monkeypatch: pytest.MonkeyPatch) -> None:
    event = make_event("GET", "/models", f"Bearer {pool.token(groups=['viewer'])}")
    authorizer.decide(event)
    monkeypatch.setattr(handler, "_open", None)
    assert effect(authorizer.decide(event)) == "Allow"


@pytest.mark.parametrize(("environment", "calls"), [("local", False), ("dev", True), ("prod", True)])
def test_only_a_deployed_function_calls_aws_itself(environ: dict[str, str], environment: str, calls: bool) -> None:
    deployed = {"HEARTMAP_SECRETS": ARN, "HEARTMAP_SECRETS_FILE": "", "HEARTMAP_API_KEYS_TABLE": "heartmap-dev-api-keys"}
    https = {"HEARTMAP_ISSUERS": environ["HEARTMAP_ISSUERS"], "HEARTMAP_ENVIRONMENT": environment}
    table = cast(Any, Authorizer(config.load(environ | deployed | https))._keys._table)
    assert table._aws._own_addresses is calls


def test_an_unknown_route_is_denied(authorizer: Authorizer, pool, make_event) -> None:
    for method, route in (("POST", "/token"), ("GET", "/docs"), ("GET", "/openapi.json"), ("DELETE", "/config")):
        assert effect(authorizer.decide(make_event(method, route, f"Bearer {pool.token(groups=['admin'])}"))) == "Deny"


def test_a_catch_all_route_is_denied(authorizer: Authorizer, pool, make_event) -> None:
    event = make_event("GET", "/{proxy+}", f"Bearer {pool.token(groups=['admin'])}")
    event["requestContext"]["path"] = "/live/models/all"
    event |= {"path": "/models/all", "methodArn": event["methodArn"].replace("{proxy+}", "models/all")}
    assert effect(authorizer.decide(event | {"pathParameters": {"proxy": "models/all"}})) == "Deny"


def test_a_known_route_in_another_spelling_is_denied_to_who_is_known(authorizer: Authorizer, pool, make_event) -> None:
    event = make_event("GET", "/models", f"Bearer {pool.token(groups=['admin'])}")
    assert effect(authorizer.decide(event)) == "Allow"
    event["requestContext"]["path"] = "/live/models/"
    event |= {"path": "/models/", "methodArn": event["methodArn"] + "/"}
    answer = authorizer.decide(event)
    assert effect(answer) == "Deny"
    assert answer["policyDocument"]["Statement"][0]["Resource"] == event["methodArn"]


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_every_route_answers_every_role(authorizer: Authorizer, pool, make_event, route: tuple[str, str]) -> None:
    """No credential, a wrong one and an expired one: 401. A role: what the table says."""
    now = int(time.time())
    expired = pool.token(groups=["admin"], iat=now - 7200, exp=now - 3600)
    for authorization in (None, "Bearer", "Bearer wrong", f"Bearer {expired}", f"ApiKey hm_local_ABCDEFGH_{'x' * 43}"):
        with pytest.raises(Unauthorized):
            authorizer.decide(make_event(*route, authorization))
    rule = next(rule for rule in ACCESS_POLICY if (rule.method, rule.route) == route)
    for groups in ([], ["viewer"], ["analyst"], ["admin"]):
        answer = authorizer.decide(make_event(*route, f"Bearer {pool.token(groups=groups)}"))
        assert effect(answer) == ("Allow" if permits(rule, frozenset(groups), frozenset()) else "Deny"), groups


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        " ",
        "Bearer",
        "Bearer ",
        "{token}",
        "bearer:{token}",
        "Bearer  {token}",
        " Bearer {token}",
        "Bearer\t{token}",
        "Bearer {token} ",
        "Bearer {token}, Bearer {token}",
        "Bearer {token},ApiKey hm_local_ABCDEFGH_x",
        "Bearer {token}\nApiKey x",
        "Basic dXNlcjpwYXNz",
        "Digest username=x",
        "AWS4-HMAC-SHA256 Credential=x",
        "Token {token}",
        "JWT {token}",
        "ApiKey {token}",
        "ApiKey",
        "ApiKey ",
        "Bearer hm_local_ABCDEFGH_" + "x" * 43,
        "Bearer " + "x" * 1_000_000,
        "Bearer \u00e9",
        "Be\u0430rer {token}",
    ],
)
def test_another_credential_is_unauthorized(
    authorizer: Authorizer, pool, make_event, capsys: pytest.CaptureFixture[str], authorization: str
) -> None:
    token = pool.token(groups=["admin"])
    with pytest.raises(Unauthorized) as caught:
        authorizer.decide(make_event("GET", "/", authorization.format(token=token)))
    assert caught.value.args == ("Unauthorized",)
    assert caught.value.__suppress_context__
    output = capsys.readouterr()
    assert json.loads(output.out)["decision"] == "unauthenticated"
    assert token not in output.out + output.err


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_schemes_case_does_not_matter(authorizer: Authorizer, pool, make_event, scheme: str) -> None:
    assert effect(authorizer.decide(make_event("GET", "/", f"{scheme} {pool.token()}"))) == "Allow"


def test_a_scheme_that_only_folds_to_one_of_ours_is_none(
    authorizer: Authorizer, make_event, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "Api\u212aey".lower() == "apikey"
    with pytest.raises(Unauthorized):
        authorizer.decide(make_event("GET", "/", f"Api\u212aey hm_local_ABCDEFGH_{'x' * 43}"))
    assert json.loads(capsys.readouterr().out)["reason"] == Reason.UNKNOWN_SCHEME


@pytest.mark.parametrize("event", [None, {}, [], "x", {"type": "REQUEST"}, {"requestContext": {"requestId": "r"}}])
def test_what_is_no_event_is_unauthorized(authorizer: Authorizer, event: Any) -> None:
    with pytest.raises(Unauthorized):
        authorizer.decide(event)


def test_an_audit_line_for_every_decision_and_nothing_else(
    authorizer: Authorizer, pool, make_event, capsys: pytest.CaptureFixture[str]
) -> None:
    authorizer.decide(make_event("GET", "/models", f"Bearer {pool.token(groups=['viewer'])}"))
    authorizer.decide(make_event("POST", "/config", f"Bearer {pool.token(groups=['viewer'])}"))
    for event in (make_event("GET", "/models", None), {}):
        with pytest.raises(Unauthorized):
            authorizer.decide(event)
    output = capsys.readouterr()
    lines = [json.loads(line) for line in output.out.splitlines()]
    assert [(line["decision"], line["reason"], line["route"]) for line in lines] == [
        ("allow", "allowed", "/models"),
        ("deny", "not_permitted", "/config"),
        ("unauthenticated", "no_credential", "/models"),
        ("unauthenticated", "event_malformed", None),
    ]
    assert {line["source_ip"] for line in lines} == {"192.0.2.7", None}
    assert output.err == ""


def test_whatever_comes_of_a_call_its_record_names_the_id_in_its_path(
    authorizer: Authorizer, pool, make_event, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(error: Exception) -> Any:
        def get(*_: Any, **__: Any) -> Any:
            raise error

        return get

    viewer = f"Bearer {pool.token(groups=['viewer'])}"
    shown = make_event("GET", "/analyses/{analysis_id}", viewer)
    authorizer.decide(shown)
    authorizer.decide(make_event("DELETE", "/analyses/{analysis_id}", viewer))
    with pytest.raises(Unauthorized):
        authorizer.decide(make_event("GET", "/analyses/{analysis_id}", None))
    for error in (Fault(Reason.SECRETS_UNAVAILABLE), KeyError()):
        monkeypatch.setattr(authorizer._secrets, "get", broken(error))
        with pytest.raises(Fault):
            authorizer.decide(shown)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["reason"], line["resource"]) for line in lines] == [
        (reason, shown["pathParameters"]["analysis_id"])
        for reason in ("allowed", "not_permitted", "no_credential", "secrets_unavailable", "internal")
    ]


def test_what_cannot_be_recorded_is_not_allowed(
    authorizer: Authorizer, pool, make_event, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

        def flush(self) -> None:
            """Nothing."""

    event = make_event("GET", "/", f"Bearer {pool.token()}")
    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(OSError, match="No space"):
        authorizer.decide(event)


def test_a_defect_of_ours_is_our_fault_and_says_nothing_of_the_caller(
    authorizer: Authorizer, pool, make_event, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = "what-the-caller-sent"

    def broken(*_: Any, **__: Any) -> Reason:
        raise KeyError(sent)

    monkeypatch.setattr(policy, "decide", broken)
    with pytest.raises(Fault) as caught:
        authorizer.decide(make_event("GET", "/", f"Bearer {pool.token()}"))
    assert caught.value.reason is Reason.INTERNAL
    output = capsys.readouterr()
    line = json.loads(output.out)
    assert (line["decision"], line["reason"], line["route"]) == ("error", "internal", "/")
    assert output.err.startswith("KeyError\n")
    assert "handler.py" in output.err
    assert sent not in output.out + output.err


@pytest.fixture
def managed(environ: dict[str, str], server, aws_credentials: None) -> Authorizer:
    """An authorizer whose secret is in an AWS that answers as the test says."""
    changes = {"HEARTMAP_SECRETS": ARN, "HEARTMAP_SECRETS_FILE": "", "AWS_ENDPOINT_URL": server.url}
    return Authorizer(config.load(environ | changes))


def test_a_secret_store_that_fails_is_our_fault(
    managed: Authorizer, server, pool, make_event, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = lambda request: server.reply(request, b"{}", status=500)
    with pytest.raises(Fault) as caught:
        managed.decide(make_event("GET", "/models", f"Bearer {pool.token(groups=['viewer'])}"))
    assert str(caught.value) != "Unauthorized"
    line = json.loads(capsys.readouterr().out)
    assert (line["decision"], line["reason"], line["route"]) == ("error", "secrets_unavailable", "/models")


def test_a_secret_store_that_hangs_is_our_fault_within_two_seconds(managed: Authorizer, server, pool, make_event) -> None:
    done = threading.Event()
    server.answer = lambda request: done.wait(10)
    started = time.monotonic()
    with pytest.raises(Fault):
        managed.decide(make_event("GET", "/models", f"Bearer {pool.token(groups=['viewer'])}"))
    assert time.monotonic() - started < 2
    done.set()


def test_a_secret_store_that_fails_does_not_hide_a_refusal(managed: Authorizer, server, pool, make_event) -> None:
    server.answer = lambda request: server.reply(request, b"{}", status=500)
    with pytest.raises(Unauthorized):
        managed.decide(make_event("GET", "/models", "Bearer wrong"))
    assert effect(managed.decide(make_event("POST", "/config", f"Bearer {pool.token(groups=['viewer'])}"))) == "Deny"
    assert server.requests == []


TOKENS = st.fixed_dictionaries(
    {"groups": st.lists(st.sampled_from([*sorted(GROUPS), "other"]), max_size=3)},
    optional={
        "scope": st.lists(st.sampled_from([f"heartmap/{scope}" for scope in sorted(SCOPES)] + ["openid"]), max_size=3).map(
            " ".join
        ),
        "token_use": st.sampled_from(["access", "id"]),
        "client_id": st.sampled_from(["3n4b5urk1ft4fl3mg5e62d9ado", "other"]),
        "iss": st.sampled_from(["https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Example01", "https://other.example"]),
        "age": st.sampled_from([0, 600, 10_000]),
    },
)
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "path": st.sampled_from(["/models", "/config", "/analyses/*"]),
        "resource": st.sampled_from(["/models", "/config", "/nowhere"]),
        "httpMethod": st.sampled_from(["GET", "POST", "DELETE"]),
    },
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    route=st.sampled_from([*ROUTES, ("POST", "/token")]),
    claims=TOKENS,
    changes=EVENTS,
    forged=st.booleans(),
    cut=st.integers(0, 2),
)
def test_it_allows_exactly_when_the_credential_is_valid_and_the_policy_says_so(
    authorizer: Authorizer, pool, other_pool, make_event, names, route, claims, changes, forged: bool, cut: int
) -> None:
    now = int(time.time())
    age = claims.get("age", 0)
    said = {name: value for name, value in claims.items() if name != "age"} | {"iat": now - age, "exp": now - age + 3600}
    token = (other_pool if forged else pool).token(**said)
    token = token[: len(token) - cut]
    original = make_event(*route, f"Bearer {token}")
    event = original | changes

    valid = (
        not forged
        and cut == 0
        and age < 3600
        and claims.get("token_use", "access") == "access"
        and claims.get("client_id", names.client_id) == names.client_id
        and claims.get("iss", names.issuer) == names.issuer
    )
    consistent = all(original[name] == value for name, value in changes.items())
    scopes = frozenset(scope.removeprefix("heartmap/") for scope in claims.get("scope", "").split(" "))
    may = any((rule.method, rule.route) == route and permits(rule, frozenset(claims["groups"]), scopes) for rule in ACCESS_POLICY)
    try:
        decision = effect(authorizer.decide(event))
    except Unauthorized:
        decision = "Unauthorized"
    expected = ("Allow" if may else "Deny") if valid and consistent else "Unauthorized"
    assert decision == expected


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The handler as in a process without any of its environment."""
    for name in config.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(handler, "_authorizer", None)
    return handler


def test_the_handler_decides_with_the_environment_it_finds(
    fresh: ModuleType, environ: dict[str, str], pool, make_event, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert effect(fresh.handler(make_event("GET", "/", f"Bearer {pool.token()}"), None)) == "Allow"
    for name in environ:
        monkeypatch.delenv(name)
    assert effect(fresh.handler(make_event("GET", "/", f"Bearer {pool.token()}"), None)) == "Allow"


def test_a_handler_without_configuration_refuses_every_call(
    fresh: ModuleType, pool, make_event, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="HEARTMAP_ENVIRONMENT is not set"):
            fresh.handler(make_event("GET", "/", f"Bearer {pool.token()}"), None)
        line = json.loads(capsys.readouterr().out)
        assert (line["decision"], line["reason"], line["principal"]) == ("error", "misconfigured", None)
        assert line["request_id"] is not None


def python(arguments: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a fresh interpreter in an environment of exactly these variables."""
    environment = variables | {"PYTHONPATH": str(Path(config.__file__).parents[1])}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)


def imported(variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return python(["-c", "import lambda_authorizer.handler"], variables)


def test_a_wrong_configuration_stops_the_import(environ: dict[str, str]) -> None:
    assert imported(environ).returncode == 0
    wrong = imported(environ | {"HEARTMAP_ISSUERS": ""})
    assert wrong.returncode == 1
    assert "HEARTMAP_ISSUERS is not set" in wrong.stderr
    assert wrong.stdout == ""


def test_lambda_never_starts_without_a_configuration() -> None:
    assert imported({}).returncode == 0
    assert imported({"AWS_LAMBDA_FUNCTION_NAME": "heartmap-prod-authorizer"}).returncode == 1


def test_a_reloaded_handler_reads_the_environment_anew(environ: dict[str, str]) -> None:
    script = (
        "import importlib, json, os, sys\n"
        "from lambda_authorizer import handler\n"
        "before = handler._authorizer\n"
        "os.environ.update(json.loads(sys.argv[1]))\n"
        "print(before, importlib.reload(handler)._authorizer is not None)\n"
    )
    assert python(["-c", script, json.dumps(environ)], {}).stdout == "None True\n"
