import itertools

import pytest

from lambda_authorizer.access_policy import ACCESS_POLICY, GROUPS, RULES, SCOPES, STEP_UP_AGE
from lambda_authorizer.policy import API_KEY, TOKEN, TOLERANCE, Caller, context, decide, document
from lambda_authorizer.reasons import Reason

# Written out, not derived: the table is what this checks. v, a, A: viewer, analyst, admin; then the scope that opens the route.
MATRIX = """
GET     /                                 v a A  *
GET     /health                           v a A  *
GET     /models                           v a A  models:read
GET     /config                           v a A  config:read
GET     /config/versions                  v a A  config:read
POST    /config                           - - A  config:write
GET     /uploads                          - a A  uploads:read
POST    /uploads                          - a A  uploads:write
GET     /uploads/{upload_id}              - a A  uploads:read
PATCH   /uploads/{upload_id}              - a A  uploads:write
POST    /uploads/{upload_id}/parts        - a A  uploads:write
POST    /uploads/{upload_id}/complete     - a A  uploads:write
POST    /analyses                         - a A  analyses:write
GET     /analyses                         v a A  analyses:read
GET     /analyses/{analysis_id}           v a A  analyses:read
GET     /analyses/{analysis_id}/results   v a A  analyses:read
PATCH   /analyses/{analysis_id}           - a A  analyses:write
DELETE  /analyses/{analysis_id}           - a A  analyses:write
POST    /analyze                          - a A  analyses:write
GET     /keys                             - - A  -
POST    /keys                             - - A  -
POST    /keys/{key_id}/rotate             - - A  -
DELETE  /keys/{key_id}                    - - A  -
GET     /users                            - - A  -
POST    /users                            - - A  -
PATCH   /users                            - - A  -
GET     /audit                            - - A  -
GET     /audit/seals                      - - A  -
"""
ROWS = [line.split() for line in MATRIX.strip().splitlines()]
NOW = 1_800_000_000
ID = {"id": "01JDDY0Z4Q8R6N5V3T7W2X9YAB"}


def caller(groups: set[str] | frozenset[str] = frozenset(), scopes: set[str] | frozenset[str] = frozenset()) -> Caller:
    return Caller("someone", frozenset(groups), frozenset(scopes), "token", signed_in_at=NOW)


def opened(method: str, route: str, who: Caller) -> bool:
    return decide(who, (method, route), ID, now=NOW) is Reason.ALLOWED


def test_the_matrix_has_every_route() -> None:
    assert {(method, route) for method, route, *_ in ROWS} == {(rule.method, rule.route) for rule in ACCESS_POLICY}


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[0]} {row[1]}" for row in ROWS])
def test_a_route_opens_to_exactly_these(row: list[str]) -> None:
    method, route, viewer, analyst, admin, scope = row
    anyone = scope == "*"
    assert opened(method, route, caller()) is anyone
    for group, mark in (("viewer", viewer), ("analyst", analyst), ("admin", admin)):
        assert opened(method, route, caller({group})) is (mark != "-"), group
    for each in SCOPES:
        assert opened(method, route, caller(scopes={each})) is (anyone or each == scope), each


def test_more_groups_and_scopes_open_what_each_opens_and_no_more() -> None:
    for method, route, *_ in ROWS:
        for one, other in itertools.combinations(sorted(GROUPS), 2):
            expected = opened(method, route, caller({one})) or opened(method, route, caller({other}))
            assert opened(method, route, caller({one, other})) is expected
        for group, scope in itertools.product(GROUPS, SCOPES):
            expected = opened(method, route, caller({group})) or opened(method, route, caller(scopes={scope}))
            assert opened(method, route, caller({group}, {scope})) is expected


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("POST", "/token"),
        ("GET", "/token"),
        ("DELETE", "/config"),
        ("PUT", "/analyses/{analysis_id}"),
        ("OPTIONS", "/"),
        ("HEAD", "/models"),
        ("GET", "/docs"),
        ("GET", "/analyses/{upload_id}"),
        ("get", "/models"),
    ],
)
def test_a_route_that_is_not_in_the_table_opens_to_nobody(method: str, route: str) -> None:
    assert decide(caller(GROUPS, SCOPES), (method, route), {}, now=NOW) is Reason.NO_SUCH_ROUTE


@pytest.mark.parametrize(
    "value",
    [
        "1",
        "01jddy0z4q8r6n5v3t7w2x9yab",
        "81JDDY0Z4Q8R6N5V3T7W2X9YAB",
        "01JDDY0Z4Q8R6N5V3T7W2X9YAI",
        "01JDDY0Z4Q8R6N5V3T7W2X9YABC",
        "..",
    ],
)
def test_an_id_that_is_no_ulid_is_denied(value: str) -> None:
    assert decide(caller({"admin"}), ("GET", "/analyses/{analysis_id}"), {"analysis_id": value}, now=NOW) is Reason.ID_MALFORMED


STEPS = [call for call, rule in RULES.items() if rule.sign_in_age is not None]


def test_what_changes_the_configuration_keys_or_people_asks_for_a_recent_sign_in() -> None:
    keys = {("POST", "/keys"), ("POST", "/keys/{key_id}/rotate"), ("DELETE", "/keys/{key_id}")}
    assert set(STEPS) == {("POST", "/config"), *keys, ("POST", "/users"), ("PATCH", "/users")}
    assert {RULES[call].sign_in_age for call in STEPS} == {STEP_UP_AGE} == {900}


@pytest.mark.parametrize("call", STEPS)
@pytest.mark.parametrize(
    ("signed_in_at", "reason"),
    [
        (NOW, Reason.ALLOWED),
        (NOW - STEP_UP_AGE, Reason.ALLOWED),
        (NOW - STEP_UP_AGE - 1, Reason.SIGN_IN_TOO_OLD),
        (0, Reason.SIGN_IN_TOO_OLD),
        (NOW + TOLERANCE, Reason.ALLOWED),
        (NOW + TOLERANCE + 1, Reason.SIGN_IN_TOO_OLD),
        (None, Reason.SIGN_IN_TOO_OLD),
    ],
)
def test_a_sign_in_opens_for_a_while(call: tuple[str, str], signed_in_at: int | None, reason: Reason) -> None:
    who = Caller("someone", frozenset({"admin"}), frozenset(), TOKEN, signed_in_at=signed_in_at)
    method, route = call
    assert decide(who, (method, route), ID, now=NOW) is reason
    # Who may not do it at all is told so, however lately they signed in.
    other = who._replace(groups=frozenset({"analyst"}))
    assert decide(other, (method, route), ID, now=NOW) is Reason.NOT_PERMITTED


def test_reading_asks_for_no_recent_sign_in() -> None:
    who = Caller("someone", frozenset({"admin"}), frozenset(), TOKEN, signed_in_at=0)
    assert decide(who, ("GET", "/config"), {}, now=NOW) is Reason.ALLOWED


def test_a_program_does_not_sign_in() -> None:
    who = Caller("program:ci", frozenset(), frozenset({"config:write"}), API_KEY, key_id="ABCDEFGH")
    assert decide(who, ("POST", "/config"), {}, now=NOW) is Reason.ALLOWED


def test_the_policy_names_the_one_call() -> None:
    scopes = frozenset({"models:read", "analyses:read"})
    who = Caller("someone", frozenset({"viewer", "admin"}), scopes, "api_key", key_id="ABCDEFGH")
    common = context(Reason.ALLOWED, who)
    assert document(Reason.ALLOWED, "arn:x", who, common, "r-1", "proof") == {
        "principalId": "someone",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "arn:x"}],
        },
        "context": {
            "principal": "someone",
            "groups": "admin,viewer",
            "scopes": "analyses:read,models:read",
            "auth_method": "api_key",
            "key_id": "ABCDEFGH",
            "decision": "allow",
            "reason": "allowed",
            "request_id": "r-1",
            "assertion": "proof",
        },
    }
    # What is the same for others with these groups and scopes names nobody, before and after.
    assert common == context(Reason.ALLOWED, who)
    assert {common[name] for name in ("principal", "key_id", "request_id", "assertion")} == {""}


def test_who_has_no_key_has_no_key_id() -> None:
    who = caller()
    assert document(Reason.ALLOWED, "arn:x", who, context(Reason.ALLOWED, who), "r-1")["context"]["key_id"] == ""


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.ALLOWED])
def test_every_other_reason_denies(reason: Reason) -> None:
    answer = document(reason, "arn:x", caller(), context(reason, caller()), "r-1", "proof")
    assert answer["policyDocument"]["Statement"][0]["Effect"] == "Deny"
    assert (answer["context"]["decision"], answer["context"]["reason"]) == ("deny", reason.value)
    assert "proof" not in str(answer)
    assert all(isinstance(value, str) for value in answer["context"].values())
