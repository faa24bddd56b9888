"""Attacks with API keys, and records of keys that nothing of ours writes."""

import hmac
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from lambda_authorizer.encoding import b64url
from tests.lambda_authorizer.attacks import (
    DENY,
    FAULT,
    KEY_ID,
    OTHER_KEY_ID,
    SECRET,
    UNAUTHORIZED,
    Attack,
    World,
    jsonable,
    key_base,
    shown,
)


def attacks() -> Iterator[Attack]:
    for family in (_forms, _secrets, _ends, _records, _stores, _secret_stores, _sources, _denials):
        yield from family()


def _presented(name: str, change: Callable[[World, str], str], reason: str) -> Attack:
    """The good key's record is in the table; what is presented is another text."""
    return Attack("key", name, lambda world: world.event(f"ApiKey {change(world, world.key())}"), UNAUTHORIZED, reason)


def _with_record(name: str, outcome: str, reason: str, **changes: Any) -> Attack:
    return Attack("key", name, lambda world: world.event(f"ApiKey {world.key(**changes)}"), outcome, reason)


_FORMS = (
    *(
        "",
        " ",
        "_",
        "hm",
        "hm_",
        "hm_local",
        "hm_local_",
        "hm_local_{id}",
        "hm_local_{id}_",
        "_local_{id}_{secret}",
        "hm__{id}_{secret}",
    ),
    *(
        "hm_local__{secret}",
        "hm_{id}_{secret}",
        "local_{id}_{secret}",
        "{id}_{secret}",
        "{secret}",
        "{id}:{secret}",
        "hm-local-{id}-{secret}",
    ),
    *(
        "HM_local_{id}_{secret}",
        "Hm_local_{id}_{secret}",
        "hm_LOCAL_{id}_{secret}",
        "hm_Local_{id}_{secret}",
        "xx_local_{id}_{secret}",
    ),
    *(
        "hm.local.{id}.{secret}",
        "hm local {id} {secret}",
        " hm_local_{id}_{secret}",
        "hm_local_{id}_{secret} ",
        "hm_local_{id}_{secret}\n",
    ),
    *(
        "hm_local_{id}_{secret}\r\nX: y",
        "hm_local_{id}_{secret}\0",
        "\0hm_local_{id}_{secret}",
        "hm_local_{id}\0_{secret}",
        "hm_local_{id}_{secret}=",
    ),
    *(
        "hm_local_{id}_{secret}.",
        "hm_local_{id}_{secret}+",
        "hm_local_{id}_{secret}/",
        "hm_local_{id}_{secret}~",
        "hm_local_{id}_{secret}\u00e9",
    ),
    *(
        "hm_local_{id}_{secret}, hm_local_{id}_{secret}",
        "hm_local_{id}_{secret};x",
        '"hm_local_{id}_{secret}"',
        "key=hm_local_{id}_{secret}",
    ),
    *(
        "hm_local_{id}_{secret}#x",
        "hm_local_{id}_{secret}?x",
        "hm_local_{id}%5F{secret}",
        "hm%5Flocal_{id}_{secret}",
        "hm_local_{id}/_{secret}",
    ),
    *(
        "hm_local_../{id}_{secret}",
        "hm_local_{id}*_{secret}",
        "hm_local_*_{secret}",
        "hm_local_short_{secret}",
        "hm_local_{id}-{secret}",
    ),
    *(
        "ApiKey hm_local_{id}_{secret}",
        "hm_locallocallocallocal_{id}_{secret}",
        "hm_local1_{id}_{secret}",
        "\uff48m_local_{id}_{secret}",
    ),
    *(
        "hm_local_{id}_{secret}\u200b",
        "hm_l\u043ecal_{id}_{secret}",
        "hm_local_\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668_{secret}",
        "{{id}}",
    ),
    *(
        "hm_local_" + "A" * 33 + "_{secret}",
        "hm_local_{id}_" + "s" * 129,
        "hm_local_{id}_" + "s" * 42,
        "hm_local_{id}_" + "s" * 1_000_000,
    ),
    *(
        "hm_local_{id}_{secret}_{secret}_{secret}_{secret}",
        "eyJhbGciOiJub25lIn0.e30.",
        "AKIAIOSFODNN7EXAMPLE",
        "sk_live_{secret}",
    ),
)


def _forms() -> Iterator[Attack]:
    for form in _FORMS:

        def change(_world: World, _key: str, form: str = form) -> str:
            return form.replace("{id}", KEY_ID).replace("{secret}", SECRET)

        yield _presented(f"a key of the form {shown(form)}", change, "key_malformed|unknown_scheme")
    for environment in ("prod", "dev", "test", "loca", "locall", "xlocal", "a", "localhost", "null", "development", "staging"):
        yield _presented(
            f"a key of the environment {environment}",
            lambda _, key, environment=environment: key.replace("_local_", f"_{environment}_"),
            "key_environment",
        )
    for key_id in (
        KEY_ID.lower(),
        KEY_ID[:-1],
        KEY_ID + "0",
        KEY_ID[::-1],
        OTHER_KEY_ID,
        "0" * 26,
        "constructor",
        "ABCDEFGH",
        "role0123456789",
    ):
        yield _presented(
            f"the secret under the id {key_id}", lambda _, key, key_id=key_id: key.replace(KEY_ID, key_id), "key_unknown"
        )


def _secrets() -> Iterator[Attack]:
    changes: dict[str, Callable[[World, str], str]] = {
        "in the other case": lambda _, __: SECRET.swapcase(),
        "in upper case": lambda _, __: SECRET.upper(),
        "in reverse": lambda _, __: SECRET[::-1],
        "twice": lambda _, __: SECRET * 2,
        "with a character more": lambda _, __: SECRET + "x",
        "with a character before": lambda _, __: "x" + SECRET,
        "with an underscore before": lambda _, __: "_" + SECRET,
        "of the same letter": lambda _, __: "s" * 43,
        "of zeros": lambda _, __: "0" * 43,
        "of underscores": lambda _, __: "_" * 43,
        "that is the record's digest": lambda world, _: world.records[KEY_ID]["digest"]["S"],
        "that is the pepper": lambda world, _: b64url(world.pepper),
        "that is the key's SHA-256": lambda _, key: b64url(hmac.digest(b"", key.encode(), "sha256")),
        "that is the key's digest in base64": lambda world, key: b64url(hmac.digest(world.pepper, key.encode(), "sha256")),
        "that is the public id": lambda _, __: (KEY_ID * 2)[:43],
    }
    for name, change in changes.items():
        yield _presented(
            f"a secret {name}", lambda world, key, change=change: f"hm_local_{KEY_ID}_{change(world, key)}", "key_secret"
        )
    for position in range(0, 43, 3):
        yield _presented(
            f"a secret with character {position} changed",
            lambda _, __, position=position: f"hm_local_{KEY_ID}_{SECRET[:position]}x{SECRET[position + 1 :]}",
            "key_secret",
        )

    def of_another(world: World, _key: str) -> str:
        return world.key(OTHER_KEY_ID, secret="t" * 43).replace(OTHER_KEY_ID, KEY_ID)

    yield _presented("the secret of another key", of_another, "key_secret")
    yield _presented("a token as key", lambda world, _: world.token(), "key_malformed")


def _ends() -> Iterator[Attack]:
    for name, value in {
        "a moment ago": {"N": "1700000000"},
        "in the future": {"N": "9999999999"},
        "at the epoch": {"N": "0"},
        "that is no attribute": None,
    }.items():
        yield _with_record(f"a key with a revocation {name}", UNAUTHORIZED, "key_revoked", revoked_at=value)
    for ago in (0, 1, 60, 86400, 10**9):
        yield Attack(
            "key",
            f"a key that ended {ago} s ago",
            lambda world, ago=ago: world.event(f"ApiKey {world.key(expires_at={'N': str(world.now - ago)})}"),
            UNAUTHORIZED,
            "key_expired",
        )
    yield _with_record("a key that ended at the epoch", UNAUTHORIZED, "key_expired", expires_at={"N": "0"})

    def removed(world: World) -> Any:
        event = key_base(world)
        world.records.clear()
        return event

    yield Attack("key", "a key whose record is gone", removed, UNAUTHORIZED, "key_unknown")


_TYPES: dict[str, Any] = {
    "a text": {"S": "x"},
    "no text": {"S": ""},
    "a text that is a number": {"S": 7},
    "a text of null": {"S": None},
    "a number": {"N": "7"},
    "a number that is no text": {"N": 7},
    "a number with a fraction": {"N": "1.5"},
    "a negative number": {"N": "-1"},
    "a number of 13 digits": {"N": "1" * 13},
    "bytes": {"B": "AAAA"},
    "true": {"BOOL": True},
    "null": {"NULL": True},
    "a list": {"L": [{"S": "config:write"}]},
    "a map": {"M": {"x": {"S": "x"}}},
    "a set of numbers": {"NS": ["1"]},
    "a set": {"SS": ["x"]},
    "a set that is a text": {"SS": "config:write"},
    "a set of lists": {"SS": [["config:write"]]},
    "a set of null": {"SS": [None]},
    "two types": {"S": "x", "N": "1"},
    "no type": {},
    "no attribute value": "x",
    "a plain list": ["x"],
    "a plain number": 7,
}
# What such an attribute may be; its meaning is another matter.
_POSSIBLE = {
    "principal": {"a text"},
    "scopes": {"a set"},
    "groups": {"a set"},
    "expires_at": {"a number"},
    "revoked_at": {"a number"},
}


def _records() -> Iterator[Attack]:
    names = ("digest", "principal", "scopes", "groups", "expires_at", "revoked_at", "source_ranges", "signing_key")
    for attribute, (kind, value) in itertools.product(names, _TYPES.items()):
        if kind not in _POSSIBLE.get(attribute, ()):
            yield _with_record(f"a record with {attribute} of {kind}", FAULT, "key_record_malformed", **{attribute: value})
    for attribute in ("digest", "principal"):
        yield _with_record(f"a record without {attribute}", FAULT, "key_record_malformed", **{attribute: ...})
    for name, changes in {
        "a digest in upper case": {"digest": {"S": "A" * 64}},
        "a short digest": {"digest": {"S": "a" * 63}},
        "a long digest": {"digest": {"S": "a" * 65}},
        "a digest with a newline": {"digest": {"S": "a" * 64 + "\n"}},
        "a principal with a newline": {"principal": {"S": "a\nb"}},
        "a principal with a space": {"principal": {"S": "a b"}},
        "a principal beyond ASCII": {"principal": {"S": "\u00e9"}},
        "a principal of 257 characters": {"principal": {"S": "x" * 257}},
        "an end in hexadecimal": {"expires_at": {"N": "0x7fffffff"}},
        "an end as power": {"expires_at": {"N": "1e12"}},
        "an end with a space": {"expires_at": {"N": " 9999999999"}},
        "an end with a newline": {"expires_at": {"N": "9999999999\n"}},
        "an end in other digits": {"expires_at": {"N": "\u0669" * 10}},
        "a role's groups and no end": {"groups": {"SS": ["admin"]}, "expires_at": ...},
        "a short signing key": {"signing_key": {"S": b64url(bytes(31))}},
        "a long signing key": {"signing_key": {"S": b64url(bytes(33))}},
        "a signing key with unused bits": {"signing_key": {"S": "A" * 42 + "B"}},
        "a signing key with padding": {"signing_key": {"S": "A" * 43 + "="}},
        "a signing key of the standard alphabet": {"signing_key": {"S": "+" + "A" * 42}},
        "a signing key with a newline": {"signing_key": {"S": "A" * 42 + "\n"}},
        "a range that is an address of no kind": {"source_ranges": {"SS": ["192.0.2"]}},
        "a range with set host bits": {"source_ranges": {"SS": ["192.0.2.7/24"]}},
        "a range of 33 bits": {"source_ranges": {"SS": ["192.0.2.0/33"]}},
        "a range with a negative length": {"source_ranges": {"SS": ["192.0.2.0/-1"]}},
        "a range that is a name": {"source_ranges": {"SS": ["example.org"]}},
        "a range that is empty": {"source_ranges": {"SS": [""]}},
        "a range that is a star": {"source_ranges": {"SS": ["*"]}},
        "a wrong range beside a good one": {"source_ranges": {"SS": ["192.0.2.0/24", "any"]}},
    }.items():
        yield _with_record(f"a record with {name}", FAULT, "key_record_malformed", **changes)


def _stores() -> Iterator[Attack]:
    """Where the world is wrong and not the caller."""
    for answer in ({"Item": []}, {"Item": "x"}, {"Item": 7}, {"Item": [{}]}, {"Item": True}):

        def odd(world: World, answer: dict[str, Any] = answer) -> Any:
            world.answers["GetItem"] = answer
            return key_base(world)

        yield Attack("key", f"a table that answers {shown(answer)}", odd, FAULT, "key_store_unavailable")

    def down(world: World) -> Any:
        world.failing.add("GetItem")
        return key_base(world)

    yield Attack("key", "a table that is down", down, FAULT, "key_store_unavailable")

    def empty(world: World) -> Any:
        world.answers["GetItem"] = {"Item": {}}
        return key_base(world)

    yield Attack("key", "a record of nothing", empty, FAULT, "key_record_malformed")

    def none(world: World) -> Any:
        world.environ |= {"HEARTMAP_API_KEYS_TABLE": ""}
        return key_base(world)

    yield Attack("key", "a key where there is no table", none, UNAUTHORIZED, "keys_disabled")

    def another_pepper(world: World) -> Any:
        event = key_base(world)
        key = event["headers"]["Authorization"].removeprefix("ApiKey ")
        world.records[KEY_ID]["digest"] = {"S": hmac.new(b"another pepper", key.encode(), "sha256").hexdigest()}
        return event

    yield Attack("key", "a digest under another pepper", another_pepper, UNAUTHORIZED, "key_secret")


def _secret_stores() -> Iterator[Attack]:
    def managed(world: World) -> Any:
        secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:heartmap-AbCdEf"
        world.environ |= {"HEARTMAP_SECRETS": secret, "HEARTMAP_SECRETS_FILE": ""}
        return key_base(world)

    def silent(world: World) -> Any:
        world.failing.add("GetSecretValue")
        return managed(world)

    yield Attack("key", "a secret that cannot be read", silent, FAULT, "secrets_unavailable")
    for content in ("", "{}", "null", '{"api_key_pepper": ""}', "x"):

        def wrong(world: World, content: str = content) -> Any:
            world.answers["GetSecretValue"] = {"SecretString": content}
            return managed(world)

        yield Attack("key", f"a secret of {shown(content)}", wrong, FAULT, "secrets_malformed")


_PLACES = (
    *(
        "192.0.3.1",
        "192.0.1.255",
        "10.0.0.1",
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104  # where a call comes from
        "255.255.255.255",
        "::1",
        "::",
        "::ffff:192.0.2.7",
        "::192.0.2.7",
    ),
    *(
        "2001:db9::1",
        "fe80::1",
        "64:ff9b::192.0.2.7",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.7.1",
        "3221225991",
        "0xc0.0.2.7",
        "192.0.2.007",
    ),
    *(
        "",
        " ",
        "192.0.2.7 ",
        "192.0.2.7\n",
        "192.0.2.7, 10.0.0.1",
        "192.0.2.7/32",
        "192.0.2.0/24",
        "unknown",
        "localhost",
        "[2001:db8::1]",
    ),
    *(None, 7, True, [], ["192.0.2.7"], {"ip": "192.0.2.7"}),
)


def _sources() -> Iterator[Attack]:
    """A key that may be used from 192.0.2.0/24 and 2001:db8::/32 alone."""
    for place in _PLACES:

        def build(world: World, place: Any = place) -> Any:
            event = world.event(f"ApiKey {world.key(source_ranges={'SS': ['192.0.2.0/24', '2001:db8::/32']})}")
            event["requestContext"]["identity"]["sourceIp"] = place
            return event

        yield Attack("key of an address", f"a key from {shown(place)}", build, DENY, "key_source")
    for name, identity in {
        "no identity": None,
        "an empty identity": {},
        "a list as identity": [],
        "a text as identity": "192.0.2.7",
    }.items():

        def unidentified(world: World, identity: Any = identity) -> Any:
            event = world.event(f"ApiKey {world.key(source_ranges={'SS': ['192.0.2.0/24']})}")
            event["requestContext"]["identity"] = identity
            return event

        yield Attack("key of an address", f"a key with {name}", unidentified, DENY, "key_source")

    def told(world: World) -> Any:
        event = world.event(f"ApiKey {world.key(source_ranges={'SS': ['198.51.100.0/24']})}")
        for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP", "CF-Connecting-IP"):
            event["headers"][header] = "198.51.100.7"
            event["multiValueHeaders"][header] = ["198.51.100.7"]
        return event

    yield Attack("key of an address", "a key whose caller names its address itself", told, DENY, "key_source")
    yield _with_record("a key that may be used from nowhere", DENY, "key_source", source_ranges={"SS": []})


def _denials() -> Iterator[Attack]:
    for name, changes in {
        "no scopes": {"scopes": ...},
        "an empty set": {"scopes": {"SS": []}},
        "another scope": {"scopes": {"SS": ["config:read", "uploads:write"]}},
        "a scope's prefix": {"scopes": {"SS": ["config", "config:", "config:writ", "config:*", "*", "*:*", ":write"]}},
        "a scope in another case": {"scopes": {"SS": ["Config:Write", "CONFIG:WRITE", "config:write ", "config:write\0"]}},
        "a token's spelling": {"scopes": {"SS": ["heartmap/config:write"]}},
        "two scopes in one": {"scopes": {"SS": ["models:read config:write", "models:read,config:write"]}},
        "a group as scope": {"scopes": {"SS": ["admin"]}},
        "a viewer's role": {"scopes": ..., "groups": {"SS": ["viewer"]}},
        "an analyst's role": {"scopes": ..., "groups": {"SS": ["analyst", "administrator", "Admin"]}},
    }.items():
        yield _with_record(f"a key with {name}", DENY, "not_permitted", **changes)
    for route in ("/token", "/docs", "/admin", "/config/theme"):
        yield Attack(
            "key",
            f"a key for {route}",
            lambda world, route=route: world.event(f"ApiKey {world.key()}", route=route),
            DENY,
            "no_such_route",
        )
    for method, route in (
        ("GET", "/keys"),
        ("POST", "/keys"),
        ("GET", "/config"),
        ("POST", "/uploads"),
        ("DELETE", "/analyses/{analysis_id}"),
    ):

        def build(world: World, method: str = method, route: str = route) -> Any:
            return world.event(f"ApiKey {world.key()}", method=method, route=route)

        yield Attack("key", f"a key of the configuration for {method} {route}", build, DENY, "not_permitted")

    def in_body(world: World) -> Any:
        return world.event(None) | {"body": jsonable({"api_key": world.key()}).decode()}

    yield Attack("key", "a key in the body", in_body, UNAUTHORIZED, "no_credential")
