"""The authorizer against a model of it: what the documentation says, in a few lines that share nothing with the code."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from lambda_authorizer import aws
from lambda_authorizer.access_policy import RULES
from tests.lambda_authorizer.attacks import (
    ALLOW,
    KEY_ID,
    NONCE,
    Signature,
    World,
    digest_of,
    header_of,
    jsonable,
    sign,
)
from tests.lambda_authorizer.test_tokens import NOW

# ---- The model: who may do what ----

READ = {"models:read", "config:read", "analyses:read"}
WORK = READ | {"uploads:read", "uploads:write", "analyses:write"}
ROLES = {"viewer": READ, "analyst": WORK, "admin": WORK | {"config:write", "admin:read", "admin:write"}}
NEEDS = {
    "GET /": None,
    "GET /health": None,
    "GET /models": "models:read",
    "GET /config": "config:read",
    "GET /config/versions": "config:read",
    "POST /config": "config:write",
}
NEEDS |= {"POST /uploads": "uploads:write", "GET /uploads/{upload_id}": "uploads:read", "POST /analyze": "analyses:write"}
NEEDS |= {"GET /uploads": "uploads:read", "PATCH /uploads/{upload_id}": "uploads:write"}
NEEDS |= {"POST /uploads/{upload_id}/parts": "uploads:write", "POST /uploads/{upload_id}/complete": "uploads:write"}
NEEDS |= {"GET /analyses": "analyses:read", "POST /analyses": "analyses:write", "GET /analyses/{analysis_id}": "analyses:read"}
NEEDS |= {"GET /analyses/{analysis_id}/results": "analyses:read", "PATCH /analyses/{analysis_id}": "analyses:write"}
NEEDS |= {"DELETE /analyses/{analysis_id}": "analyses:write", "GET /keys": "admin:read", "POST /keys": "admin:write"}
NEEDS |= {"POST /keys/{key_id}/rotate": "admin:write", "DELETE /keys/{key_id}": "admin:write"}
NEEDS |= {"GET /users": "admin:read", "POST /users": "admin:write", "PATCH /users": "admin:write", "GET /audit": "admin:read"}
NEEDS |= {"GET /audit/seals": "admin:read"}


def may(call: "Call", who: "Token | Key") -> bool:
    """Whether the call goes through. Times are in seconds before now."""
    if (
        call.fault
        or f"{call.method} {call.route}" not in NEEDS
        or not (valid_token(who) if isinstance(who, Token) else valid_key(who))
    ):
        return False
    right = NEEDS[f"{call.method} {call.route}"]
    # Keys, people and the audit trail are for administrators: no scope opens them.
    has = {right for role in who.roles for right in ROLES.get(role, ())} | {
        scope for scope in who.scopes if scope[:6] != "admin:"
    }
    if isinstance(who, Token) and right in ("config:write", "admin:write"):
        return right in has and who.signed_in is not None and -60 <= who.signed_in <= 900
    return right is None or right in has


def valid_token(token: "Token") -> bool:
    lives = token.issued >= -60 and token.ended < 60 and 0 < token.issued - token.ended <= 86400
    return token.fault is None and lives


def valid_key(key: "Key") -> bool:
    alive = not key.revoked and (key.ended is None or key.ended < 0) and not (key.ended is None and key.roles & ROLES.keys())
    proved = key.proof in ("fresh", "edge") if key.must_sign else key.proof == "none"
    return key.fault is None and alive and proved and key.place in ("anywhere", "inside")


# ---- What is generated ----


class Call(NamedTuple):
    method: str
    route: str
    fault: str | None


class Token(NamedTuple):
    roles: frozenset[str]
    scopes: frozenset[str]
    issued: int
    ended: int
    signed_in: int | None
    fault: str | None


class Key(NamedTuple):
    roles: frozenset[str]
    scopes: frozenset[str]
    ended: int | None
    revoked: bool
    must_sign: bool
    proof: str
    place: str
    fault: str | None


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SOME_SCOPES = ("models:read", "config:read", "config:write", "uploads:read", "uploads:write", "analyses:read", "analyses:write")
TOKEN_FAULTS = (
    "issuer",
    "client",
    "use",
    "audience",
    "algorithm",
    "header",
    "key id",
    "signer",
    "subject",
    "groups",
    "twice",
    "edit",
)
KEY_FAULTS = ("unknown", "secret", "environment", "digest", "edit")

# What may be wrong with something that is good otherwise, or is at an edge.
TOKEN_CHANGES = (
    *({"issued": value} for value in (-61, -60, 600, 86400)),
    *({"ended": value} for value in (-1, 0, 59, 60, 600, -86400, -86401)),
    *({"issued": 3600, "ended": value} for value in (59, 60)),
    *({"signed_in": value} for value in (None, -61, -60, 900, 901)),
    *({"fault": value} for value in TOKEN_FAULTS),
)
KEY_CHANGES = (
    *({"ended": value} for value in (None, -1, 0, 1)),
    *({"proof": value} for value in ("none", "fresh", "edge", "late", "early", "another's", "another call's", "second")),
    *({"place": value} for value in ("inside", "outside")),
    *({"fault": value} for value in KEY_FAULTS),
    {"revoked": True},
)
_calls = st.sampled_from([(method, route) for method, route in RULES])
_other_calls = st.tuples(
    st.sampled_from(METHODS), st.sampled_from([*sorted({route for _, route in RULES}), "/token", "/keys/x/y"])
)
_roles = st.frozensets(st.sampled_from(["viewer", "analyst", "admin", "Admin", "root"]), max_size=2)
_scopes = st.frozensets(st.sampled_from([*SOME_SCOPES, "admin:write", "admin", "*"]), max_size=2)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Call, "Token | Key"]:
    """A call and who makes it: often one who may, and with at most one thing wrong."""
    rarely = st.sampled_from([False, False, False, True])
    method, route = draw(_other_calls if draw(rarely) else _calls)
    call = Call(method, route, None)
    roles, scopes = draw(_roles), draw(_scopes)
    right = NEEDS.get(f"{call.method} {call.route}")
    if right and not draw(rarely):
        opening = [role for role, rights in ROLES.items() if right in rights]
        if right[:6] == "admin:" or draw(st.booleans()):
            roles |= {draw(st.sampled_from(opening))}
        else:
            scopes |= {right}
    must_sign = draw(st.booleans())
    token = Token(roles, scopes, 0, -600, 0, None)
    key = Key(roles, scopes, -60, False, must_sign, "fresh" if must_sign else "none", "anywhere", None)
    who, changes = draw(st.sampled_from([(token, TOKEN_CHANGES), (key, KEY_CHANGES)]))
    match draw(st.sampled_from(["nothing", "the caller", "the call"])):
        case "the caller":
            who = who._replace(**draw(st.sampled_from(changes)))
        case "the call":
            call = call._replace(fault=draw(st.sampled_from(CALL_FAULTS)))
        case _:
            pass
    return call, who


def token_of(world: World, who: Token) -> str:
    claims = world.pool.claims(
        **{
            "cognito:groups": sorted(who.roles),
            "scope": " ".join(f"heartmap/{scope}" for scope in sorted(who.scopes)),
            "iat": world.now - who.issued,
            "exp": world.now - who.ended,
            "auth_time": ... if who.signed_in is None else world.now - who.signed_in,
        }
    )
    claims |= _WRONG_CLAIMS.get(who.fault or "", {})
    header = world.pool.header(**_WRONG_HEADERS.get(who.fault or "", {}))
    signer = world.other_pool if who.fault == "signer" else world.pool
    text = json.dumps(claims)
    token = signer.sign(jsonable(header), (text[:-1] + ', "sub": "x"}' if who.fault == "twice" else text).encode())
    return token[:-10] + ("A" if token[-10] != "A" else "B") + token[-9:] if who.fault == "edit" else token


_WRONG_CLAIMS: dict[str, dict[str, Any]] = {
    "issuer": {"iss": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Example02"},
    "client": {"client_id": "another"},
    "use": {"token_use": "id"},
    "audience": {"aud": "https://another.example"},
    "subject": {"sub": "a b"},
    "groups": {"cognito:groups": "admin"},
}
_WRONG_HEADERS: dict[str, dict[str, Any]] = {
    "algorithm": {"alg": "RS512"},
    "header": {"jku": "https://attacker.example"},
    "key id": {"kid": "another"},
}


def key_of(world: World, who: Key) -> str:
    ranges = {"inside": {"SS": ["192.0.2.0/24"]}, "outside": {"SS": ["198.51.100.0/24"]}}.get(who.place, ...)
    make = world.signing_key if who.must_sign else world.key
    key = make(
        groups={"SS": sorted(who.roles & ROLES.keys())} if who.roles & ROLES.keys() else ...,
        scopes={"SS": sorted(who.scopes)} if who.scopes else ...,
        expires_at=... if who.ended is None else {"N": str(world.now - who.ended)},
        revoked_at={"N": str(world.now - 1)} if who.revoked else ...,
        source_ranges=ranges,
    )
    match who.fault:
        case "unknown":
            world.records.clear()
        case "secret":
            return key[:-1] + "x"
        case "environment":
            return key.replace("_local_", "_prod_")
        case "digest":
            world.records[KEY_ID]["digest"] = {"S": "0" * 64}
        case "edit":
            return key.replace(KEY_ID, KEY_ID[::-1])
        case _:
            pass
    return key


def proved(world: World, event: dict[str, Any], who: Key) -> dict[str, Any]:
    if who.proof == "none":
        return event
    event = header_of(event, "Content-Digest", digest_of(b""))
    created = {"edge": -60, "late": -61, "early": 61}.get(who.proof, 0)
    signature = Signature(str(world.now + created))
    if who.proof == "second":
        world.used[f"nonce#{KEY_ID}#{NONCE}"] = {}
    signed = sign(world, event, signature, signer=world.other_signer if who.proof == "another's" else None)
    if who.proof == "another call's":
        proof = world.signer.sign(signature.base(event).replace(b"/live", b"/test"))
        return header_of(signed, "Signature", f"sig1=:{base64.b64encode(proof).decode()}:")
    return signed


def made(world: World, call: Call, who: "Token | Key") -> dict[str, Any]:
    """The event of the call, with whatever is wrong with it."""
    credential = f"Bearer {token_of(world, who)}" if isinstance(who, Token) else f"ApiKey {key_of(world, who)}"
    said = world.event(credential, method=call.method, route=_path(call.route))
    said = said | {"resource": call.route, "requestContext": said["requestContext"] | {"resourcePath": call.route}}
    said["pathParameters"] = None
    if isinstance(who, Key):
        said = proved(world, said, who)
    return _EVENT_FAULTS[call.fault](said) if call.fault else said


def _arn(said: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    return said | {"methodArn": said["methodArn"].replace(old, new)}


_EVENT_FAULTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "path": lambda said: said | {"path": said["path"] + "x"},
    "method": lambda said: said | {"httpMethod": "PUT" if said["httpMethod"] != "PUT" else "GET"},
    "stage": lambda said: _arn(said, "/live/", "/prod/"),
    "region": lambda said: _arn(said, "us-east-1", "us-west-2"),
    "id": lambda said: said | {"path": said["path"] + "/..", "methodArn": said["methodArn"] + "/.."},
    "two credentials": lambda said: header_of(said, "Authorization", *[said["headers"]["Authorization"]] * 2),
    "another header": lambda said: header_of(said, "X-Api-Key", "x"),
    "type": lambda said: said | {"type": "TOKEN"},
    "stage in context": lambda said: said | {"requestContext": said["requestContext"] | {"stage": "prod"}},
}
CALL_FAULTS = tuple(_EVENT_FAULTS)


def _path(route: str) -> str:
    return "/".join("01JDDY0Z4Q8R6N5V3T7W2X9YAB" if part.startswith("{") else part for part in route.split("/"))


@pytest.fixture
def fresh(
    pool, other_pool, make_event: Callable[..., Any], environ: dict[str, str], names, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], World]:
    """A new world at each call, at the same moment."""
    monkeypatch.setattr(time, "time", lambda: NOW)

    def make() -> World:
        world = World(pool=pool, other_pool=other_pool, event=make_event, environ=environ, pepper=names.pepper, now=NOW)
        monkeypatch.setattr(aws.Aws, "call", lambda _, *args, **kwargs: world.call(*args, **kwargs))
        return world

    return make


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(situation=situations())
def test_a_call_is_allowed_exactly_when_the_model_allows_it(
    fresh: Callable[[], World], situation: tuple[Call, Token | Key]
) -> None:
    call, who = situation
    expected = may(call, who)
    event(f"{type(who).__name__} {'allowed' if expected else 'refused'}")
    world = fresh()
    kind, _ = world.decide(made(world, call, who))
    assert (kind == ALLOW) is expected, kind


ADMIN = Token(frozenset({"admin"}), frozenset(), 0, -600, 0, None)
PROGRAM = Key(frozenset(), frozenset({"config:write"}), -60, False, False, "none", "anywhere", None)
SIGNING = PROGRAM._replace(must_sign=True, proof="fresh")


@pytest.mark.parametrize(
    ("who", "change"),
    [*((ADMIN, change) for change in TOKEN_CHANGES), *((who, change) for who in (PROGRAM, SIGNING) for change in KEY_CHANGES)],
    ids=str,
)
def test_each_change_of_a_caller_alone(fresh: Callable[[], World], who: "Token | Key", change: dict[str, Any]) -> None:
    """What chance may leave out."""
    call, changed = Call("POST", "/config", None), who._replace(**change)
    for caller in (who, changed):
        world = fresh()
        assert (world.decide(made(world, call, caller))[0] == ALLOW) is may(call, caller)
    assert may(call, who)


@pytest.mark.parametrize("fault", CALL_FAULTS)
def test_each_fault_of_a_call_alone(fresh: Callable[[], World], fault: str) -> None:
    for who in (ADMIN, PROGRAM, SIGNING):
        world = fresh()
        assert world.decide(made(world, Call("POST", "/config", fault), who))[0] != ALLOW


@pytest.mark.parametrize("route", sorted(NEEDS))
def test_each_role_and_each_scope_on_each_route(fresh: Callable[[], World], route: str) -> None:
    method, path = route.split()
    call = Call(method, path, None)
    roles = [frozenset[str](), *(frozenset({role}) for role in (*ROLES, "root"))]
    scopes = [frozenset[str](), *(frozenset({scope}) for scope in (*SOME_SCOPES, "admin:write"))]
    rights = [(role, scopes[0]) for role in roles] + [(roles[0], scope) for scope in scopes]
    for held_roles, held_scopes in rights:
        for who in (ADMIN, PROGRAM, SIGNING):
            holder = who._replace(roles=held_roles, scopes=held_scopes)
            world = fresh()
            assert (world.decide(made(world, call, holder))[0] == ALLOW) is may(call, holder), holder
    assert may(call, ADMIN)
