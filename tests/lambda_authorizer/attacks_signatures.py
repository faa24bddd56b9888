"""Attacks with signed calls (RFC 9421). Where the form is attacked, the right key signs that form."""

import base64
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from lambda_authorizer.encoding import b64url
from tests.lambda_authorizer.attacks import (
    COMPONENTS,
    DENY,
    FAULT,
    KEY_ID,
    NONCE,
    ORDER,
    OTHER_KEY_ID,
    UNAUTHORIZED,
    Attack,
    Build,
    Signature,
    World,
    digest_of,
    header_of,
    key_base,
    query_of,
    shown,
    sign,
    signature_base,
    token_base,
    unsigned,
)

_FORM = "signature_malformed"


def attacks() -> Iterator[Attack]:
    for family in (
        _components,
        _parameters,
        _values,
        _labels,
        _proofs,
        _changed,
        _texts,
        _digests,
        _missing,
        _beside,
        _elsewhere,
        _replays,
    ):
        yield from family()


def _of(name: str, build: Build, reason: str, outcome: str = UNAUTHORIZED) -> Attack:
    return Attack("signature", name, build, outcome, reason)


def _signed(name: str, change: Callable[[World, Signature], Signature], reason: str = _FORM) -> Attack:
    def build(world: World) -> Any:
        return sign(world, unsigned(world), change(world, Signature(str(world.now))))

    return _of(name, build, reason)


def _with(name: str, reason: str = _FORM, **changes: Any) -> Attack:
    return _signed(name, lambda _, signature: signature._replace(**changes), reason)


def _components() -> Iterator[Attack]:
    for component in COMPONENTS:
        others = tuple(name for name in COMPONENTS if name != component)
        yield _with(f"a signature without {component}", components=others)
        yield _with(f"a signature of {component} alone", components=(component,))
        yield _with(f"a signature with {component} twice", components=(*COMPONENTS, component))
        yield _with(f"a signature with {component} in upper case", components=(*others, component.upper()))
    for one, other in itertools.combinations(range(5), 2):
        order = list(COMPONENTS)
        order[one], order[other] = order[other], order[one]
        yield _with(f"a signature with {order[one]} and {order[other]} in each other's place", components=tuple(order))
    for more in (
        "@scheme",
        "@target-uri",
        "@request-target",
        "@status",
        "authorization",
        "date",
        "content-type",
        "content-length",
        "host",
        "x",
        "",
    ):
        yield _with(f"a signature with {shown(more)} too", components=(*COMPONENTS, more))
        yield _with(f"a signature with {shown(more)} first", components=(more, *COMPONENTS))
    yield _with("a signature of nothing", components=())
    for field in ("sf", "bs", "tr", "req", 'key="x"', 'name="a"'):
        yield _with(f"a signature with a component's {field}", components=(*COMPONENTS[:4], f'"content-digest";{field}'))


def _parameters() -> Iterator[Attack]:
    for order in itertools.permutations(ORDER):
        if order != ORDER:
            yield _with(f"parameters in the order {' '.join(order)}", order=order)
    for name in ORDER:
        yield _with(f"parameters without {name}", order=tuple(other for other in ORDER if other != name))
        yield _with(f"parameters with {name} twice", order=(*ORDER, name))
    yield _with("no parameters", order=())
    for more in (
        ";expires=9999999999",
        ';tag="x"',
        ";x",
        ";",
        " ",
        ';context="x"',
        ";created",
        ', sig2=("@method")',
        "\n",
        "\0",
        "#",
    ):
        yield _with(f"parameters with {shown(more)} behind", more=more)


def _values() -> Iterator[Attack]:
    for value in (
        "",
        "0",
        "-1",
        "1.5",
        "+1800000000",
        "01800000000",
        "1e9",
        '"1800000000"',
        "1800000000000",
        "now",
        "?1",
        "@1800000000",
        " 1",
        "\u0661",
    ):
        yield _with(f"created {shown(value)}", created=value)
    for offset in (-61, 61, -90, -3600, 3600, -86400, 86400, -(10**9)):
        yield _signed(
            f"created {offset} s from now",
            lambda world, signature, offset=offset: signature._replace(created=str(world.now + offset)),
            "signature_time",
        )
    yield _with("created at the last second of twelve digits", "signature_time", created="9" * 12)
    yield _with("created in the first second", "signature_time", created="1")
    for value in (
        "",
        '""',
        '"x"',
        f'"{"n" * 15}"',
        f'"{"n" * 65}"',
        f'"{"n" * 4096}"',
        f'"{NONCE} "',
        f'"{NONCE}="',
        f'"{NONCE}+"',
        f'"{NONCE}#"',
    ):
        yield _with(f"nonce {shown(value)}", nonce=value)
    for value in (
        NONCE,
        f"'{NONCE}'",
        f":{NONCE}:",
        "17",
        f'"{NONCE}\n"',
        f'"{NONCE}\\""',
        f'"{NONCE}\u00e9"',
        f'"{NONCE}\0"',
        '"../../x/../../x"',
    ):
        yield _with(f"nonce {shown(value)}", nonce=value)
    for value in (
        "",
        '""',
        '"x"',
        KEY_ID,
        f"'{KEY_ID}'",
        f'"{KEY_ID} "',
        f'"hm_local_{KEY_ID}"',
        f'"{KEY_ID[:-1]}-"',
        f'"{"A" * 33}"',
        '"*"',
    ):
        yield _with(f"key id {shown(value)}", keyid=value)
    for value in (OTHER_KEY_ID, KEY_ID.lower(), KEY_ID[:-1], KEY_ID + "0", "0" * 26, "constructor"):
        yield _with(f"the key id {value}, which is not the key's", "signature_key", keyid=f'"{value}"')
    algorithms = (
        "Ed25519",
        "ED25519",
        "EdDSA",
        "ed448",
        "rsa-v1_5-sha256",
        "rsa-pss-sha512",
        "ecdsa-p256-sha256",
        "ecdsa-p384-sha384",
        "hmac-sha256",
    )
    for value in (*algorithms, "none", "", "hs2019", "ed25519 ", " ed25519", "ed25519\0", "\u0435d25519"):
        yield _with(f"algorithm {shown(value)}", alg=f'"{value}"')
    yield _with("an algorithm that is no text", alg="ed25519")


def _labels() -> Iterator[Attack]:
    for label in (
        "sig2",
        "SIG1",
        "sig",
        "sig-1",
        "sig1a",
        "",
        " sig1",
        "sig1 ",
        "*",
        "a",
        "sig1;x",
        '"sig1"',
        "sig1,sig1",
        "s\u0456g1",
    ):
        yield _with(f"label {shown(label)}", label=label)

    def rewritten(change_input: Callable[[str], str], change_proof: Callable[[str], str]) -> Build:
        def build(world: World) -> Any:
            event = signature_base(world)
            said, proof = event["headers"]["Signature-Input"], event["headers"]["Signature"]
            return header_of(header_of(event, "Signature-Input", change_input(said)), "Signature", change_proof(proof))

        return build

    def same(text: str) -> str:
        return text

    second = 'sig2=("@method");created=1800000000;keyid="x";alg="ed25519"'
    for name, change_input, change_proof in (
        ("another label over the signature than over its input", same, lambda text: text.replace("sig1", "sig2")),
        ("another label over the input than over its signature", lambda text: text.replace("sig1", "sig2"), same),
        ("two inputs in one line", lambda text: f"{text}, {second}", same),
        ("two inputs in one line, ours last", lambda text: f"{second}, {text}", same),
        ("two signatures in one line", same, lambda text: f"{text}, {text.replace('sig1', 'sig2')}"),
        ("two of both in one line", lambda text: f"{text}, {second}", lambda text: f"{text}, sig2=:AAAA:"),
        ("the same input twice", lambda text: f"{text}, {text}", same),
        ("a space after the label", lambda text: text.replace("=", " =", 1), same),
        ("a space within the list", lambda text: text.replace('("', '( "'), same),
        ("two spaces within the list", lambda text: text.replace('" "', '"  "', 1), same),
        ("a tab within the list", lambda text: text.replace('" "', '"\t"', 1), same),
        ("a space after a semicolon", lambda text: text.replace(";", "; ", 1), same),
        ("a space behind the input", lambda text: f"{text} ", same),
        ("a newline behind the input", lambda text: f"{text}\n", same),
        ("a space before the input", lambda text: f" {text}", same),
        ("a null behind the input", lambda text: f"{text}\0", same),
        ("quotes left out", lambda text: text.replace('"', ""), same),
        ("an empty input", lambda _: "", same),
        ("an input without its list", lambda text: text.partition(")")[2], same),
        ("an input that is a JSON text", lambda text: '{"sig1": ""}', same),
    ):
        yield _of(name, rewritten(change_input, change_proof), _FORM)
    for name, change in _PROOF_TEXTS.items():
        yield _of(f"a signature header with {name}", rewritten(same, change), _FORM)


_PROOF_TEXTS: dict[str, Callable[[str], str]] = {
    "no label": lambda text: text.removeprefix("sig1="),
    "no colons": lambda text: text.replace(":", ""),
    "one colon": lambda text: text.rstrip(":"),
    "quotes for colons": lambda text: text.replace(":", '"'),
    "nothing": lambda _: "",
    "no bytes": lambda _: "sig1=::",
    "one byte": lambda _: "sig1=:AA==:",
    "63 bytes": lambda _: f"sig1=:{base64.b64encode(bytes(63)).decode()}:",
    "65 bytes": lambda _: f"sig1=:{base64.b64encode(bytes(65)).decode()}:",
    "a megabyte": lambda _: f"sig1=:{'A' * 1_000_000}:",
    "no padding": lambda text: text.replace("==", ""),
    "more padding": lambda text: text.replace("==", "==="),
    "the alphabet of URLs": lambda text: f"sig1=:{'-_' * 43}==:",
    "hexadecimal": lambda _: f"sig1=:{'0' * 128}:",
    "a space within": lambda text: f"{text[:20]} {text[20:]}",
    "a newline within": lambda text: f"{text[:20]}\n{text[20:]}",
    "a newline behind": lambda text: f"{text}\n",
    "a space behind": lambda text: f"{text} ",
    "a parameter": lambda text: f"{text};x",
    "a null": lambda text: f"{text}\0",
    "a letter of another script": lambda text: f"{text[:20]}\u0430{text[21:]}",
}


def _proofs() -> Iterator[Attack]:
    """64 bytes that are not the key's signature of this call."""

    def by(change: Callable[[World, bytes], bytes]) -> Build:
        def build(world: World) -> Any:
            event = signature_base(world)
            proof = base64.b64decode(event["headers"]["Signature"].split(":")[1])
            return header_of(event, "Signature", f"sig1=:{base64.b64encode(change(world, proof)).decode()}:")

        return build

    # RFC 8032, section 5.1: the group's order, little-endian.
    order = 2**252 + 27742317777372353535851937790883648493
    changes: dict[str, Callable[[World, bytes], bytes]] = {
        "zeros": lambda *_: bytes(64),
        "ones": lambda *_: b"\xff" * 64,
        "the public key twice": lambda world, _: world.signer.public_key().public_bytes_raw() * 2,
        "its halves exchanged": lambda _, proof: proof[32:] + proof[:32],
        "its bytes in reverse": lambda _, proof: proof[::-1],
        "the order added to its second half": lambda _, proof: (
            proof[:32] + ((int.from_bytes(proof[32:], "little") + order) % 2**256).to_bytes(32, "little")
        ),
        "a point of small order": lambda *_: b"\1" + bytes(63),
        "the neutral point and its own half": lambda _, proof: b"\1" + bytes(31) + proof[32:],
        "made over nothing": lambda world, _: world.signer.sign(b""),
        "made over the parameters alone": lambda world, _: world.signer.sign(Signature(str(world.now)).parameters().encode()),
        "made by another key": lambda world, _: world.other_signer.sign(Signature(str(world.now)).base(unsigned(world))),
        "made over the same text with a newline behind": lambda world, _: world.signer.sign(
            Signature(str(world.now)).base(unsigned(world)) + b"\n"
        ),
        "made over lines that end as HTTP's do": lambda world, _: world.signer.sign(
            Signature(str(world.now)).base(unsigned(world)).replace(b"\n", b"\r\n")
        ),
    }
    for name, change in changes.items():
        yield _of(f"a signature that is {name}", by(change), "signature_invalid")
    for position in range(0, 64, 4):
        yield _of(
            f"a signature with byte {position} changed",
            by(lambda _, proof, position=position: proof[:position] + bytes([proof[position] ^ 1]) + proof[position + 1 :]),
            "signature_invalid",
        )

    def anew(world: World) -> Any:
        return sign(world, unsigned(world), signer=world.other_signer)

    yield _of("a call that another key signed", anew, "signature_invalid")

    def with_another_key(world: World) -> Any:
        event = signature_base(world)
        key = world.signing_key(
            OTHER_KEY_ID, secret="t" * 43, signing_key={"S": b64url(world.other_signer.public_key().public_bytes_raw())}
        )
        return header_of(event, "Authorization", f"ApiKey {key}")

    yield _of("one key's signature with another key", with_another_key, "signature_key")

    def of_a_group_of_one(world: World) -> Any:
        # RFC 8032's verification accepts some signatures under a public key of small order for any message.
        return sign(world, unsigned(world, signing_key={"S": b64url(b"\1" + bytes(31))}), signer=world.other_signer)

    yield _of("a signature under the neutral point", of_a_group_of_one, "signature_invalid")


def _changed() -> Iterator[Attack]:
    """The call is another one than was signed."""

    def moved(event: dict[str, Any], method: str, route: str, path: str) -> dict[str, Any]:
        context = event["requestContext"] | {"httpMethod": method, "resourcePath": route, "path": f"/live{path}"}
        arn = f"arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5/live/{method}{path}"
        return event | {"httpMethod": method, "resource": route, "path": path, "methodArn": arn, "requestContext": context}

    def without_stage(event: dict[str, Any]) -> dict[str, Any]:
        return event | {"requestContext": event["requestContext"] | {"path": event["path"]}}

    changes: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "the method": lambda event: moved(event, "GET", "/config", "/config"),
        "the path": lambda event: moved(event, "POST", "/uploads", "/uploads"),
        "the path to the root": lambda event: moved(event, "POST", "/", "/"),
        "the path by a slash": lambda event: moved(event, "POST", "/config", "/config/"),
        "the path by its stage": without_stage,
        "the host": lambda event: header_of(event, "Host", "api.attacker.example"),
        "the host's port": lambda event: header_of(event, "Host", "api.example.org:8443"),
        "the host by a dot": lambda event: header_of(event, "Host", "api.example.org."),
        "the host's end": lambda event: header_of(event, "Host", "api.example.or"),
        "the host by a newline": lambda event: header_of(event, "Host", 'api.example.org\n"@path": /live/config'),
        "the digest": lambda event: header_of(event, "Content-Digest", digest_of(b"{}")),
        "the digest to that of nothing": lambda event: header_of(event, "Content-Digest", digest_of(b"")),
        "the query, which there was none": lambda event: query_of(event, a=("1",)),
        "the query, to an empty value": lambda event: query_of(event, a=("",)),
        "the query, to an empty name": lambda event: query_of(event, **{"": ("",)}),
    }
    for name, change in changes.items():
        yield _of(
            f"a signed call after a change of {name}",
            lambda world, change=change: change(signature_base(world)),
            "signature_(invalid|malformed)",
        )
    queries: dict[str, dict[str, tuple[str, ...]]] = {
        "a value": {"a": ("1", "3"), "b": ("",)},
        "a name": {"a": ("1", "2"), "c": ("",)},
        "a name's case": {"A": ("1", "2"), "b": ("",)},
        "a parameter more": {"a": ("1", "2"), "b": ("",), "c": ("",)},
        "a parameter less": {"a": ("1", "2")},
        "a value more": {"a": ("1", "2", "2"), "b": ("",)},
        "a value less": {"a": ("2",), "b": ("",)},
        "a sign between in a value": {"a": ("1&a=2",), "b": ("",)},
        "an equals sign in a name": {"a": ("1",), "a=2&b": ("",)},
        "a plus for nothing": {"a": ("1", "2"), "b": ("+",)},
        "a space": {"a": ("1", "2 "), "b": ("",)},
        "all of it": {},
    }
    for name, query in queries.items():

        def build(world: World, query: dict[str, tuple[str, ...]] = query) -> Any:
            return query_of(sign(world, query_of(unsigned(world), a=("1", "2"), b=("",))), **query)

        yield _of(f"a signed call after a change of its query: {name}", build, "signature_invalid")
    parameters = {
        "created": ("created=1", "created=2"),
        "nonce": (NONCE, NONCE[::-1]),
        "created to now": (";created=", ";created=1"),
    }
    for name, (old, new) in parameters.items():

        def rewritten(world: World, old: str = old, new: str = new) -> Any:
            event = signature_base(world)
            return header_of(event, "Signature-Input", event["headers"]["Signature-Input"].replace(old, new, 1))

        yield _of(f"a signed call after a change of {name}", rewritten, "signature_(invalid|malformed)")


def _texts() -> Iterator[Attack]:
    """What no host is, and what no text is, though the call's own key signed it, or what is left of it."""
    hosts = (
        'api.example.org\n"@path": /live/config',
        "api.example.org\r\nX: y",
        "api.example.org\0",
        "api.example.org ",
        " ",
        "",
        "a/b",
        "a?b",
    )
    for host in (*hosts, "user@api.example.org", "api.ex\u00e4mple.org", "x" * 300, "*"):
        yield _of(
            f"a call signed for the host {shown(host)}",
            lambda world, host=host: sign(world, header_of(unsigned(world), "Host", host)),
            _FORM,
        )
    half = "\ud800"
    yield _of(
        "a signed call with half a character in its host", lambda world: header_of(signature_base(world), "Host", half), _FORM
    )
    yield _of("a signed call with half a character in its query", lambda world: query_of(signature_base(world), a=(half,)), _FORM)
    yield _of(
        "a signed call with half a character in its query's name",
        lambda world: query_of(signature_base(world), **{half: ("",)}),
        _FORM,
    )


def _digests() -> Iterator[Attack]:
    good = digest_of(b"{}")
    texts = {
        "SHA-512": digest_of(b"{}", "sha512", "sha-512"),
        "SHA-512 called SHA-256": digest_of(b"{}", "sha512", "sha-256"),
        "SHA-1": digest_of(b"{}", "sha1", "sha"),
        "SHA-1 called SHA-256": digest_of(b"{}", "sha1", "sha-256"),
        "MD5": digest_of(b"{}", "md5", "md5"),
        "MD5 called SHA-256": digest_of(b"{}", "md5", "sha-256"),
        "SHA-256 in upper case": good.replace("sha", "SHA"),
        "SHA-256 without its hyphen": good.replace("-", ""),
        "two digests": f"{good}, {good}",
        "another algorithm too": f"{good}, {digest_of(b'{}', 'sha512', 'sha-512')}",
        "no colons": good.replace(":", ""),
        "quotes": good.replace(":", '"'),
        "no padding": good.replace("=:", ":", 2).replace(":", "=:", 1),
        "the alphabet of URLs": f"sha-256=:{'-_' * 21}A=:",
        "hexadecimal": f"sha-256=:{'0' * 64}:",
        "no bytes": "sha-256=::",
        "nothing": "",
        "no algorithm": good.partition("=")[2],
        "a parameter": f"{good};x",
        "a space behind": f"{good} ",
        "a newline behind": f"{good}\n",
        "Digest's form": good.replace(":", "").replace("sha", "SHA"),
    }
    for name, text in texts.items():
        yield _of(
            f"a digest of {name}", lambda world, text=text: sign(world, header_of(unsigned(world), "Content-Digest", text)), _FORM
        )
    yield _of("no digest", lambda world: sign(world, header_of(unsigned(world), "Content-Digest")), _FORM)
    yield _of("a digest twice", lambda world: header_of(signature_base(world), "Content-Digest", good, good), _FORM)


def _missing() -> Iterator[Attack]:
    yield _of("no signature where the key demands one", unsigned, "signature_missing")
    for name in ("Signature", "Signature-Input", "Host"):
        yield _of(
            f"a signed call without {name}",
            lambda world, name=name: header_of(signature_base(world), name),
            f"{_FORM}|signature_missing",
        )

    def twice(name: str) -> Build:
        def build(world: World) -> Any:
            event = signature_base(world)
            return header_of(event, name, event["headers"][name], event["headers"][name])

        return build

    for name in ("Signature", "Signature-Input", "Host"):
        yield _of(f"a signed call with {name} twice", twice(name), _FORM)

    def in_two_cases(name: str) -> Build:
        def build(world: World) -> Any:
            event = signature_base(world)
            event["headers"][name.upper()] = event["headers"][name]
            event["multiValueHeaders"][name.upper()] = event["multiValueHeaders"][name]
            return event

        return build

    for name in ("Signature", "Signature-Input", "Content-Digest"):
        yield _of(f"a signed call with {name} in two cases", in_two_cases(name), _FORM)


def _beside() -> Iterator[Attack]:
    """A signature, or what looks like one, with a credential of which none is known."""

    def with_headers_of_a_signature(base: Build, *names: str) -> Build:
        def build(world: World) -> Any:
            event = header_of(base(world), "Content-Digest", digest_of(b""))
            signed = sign(world, event)
            for name in names:
                event = header_of(event, name, signed["headers"][name])
            return event

        return build

    for names in (("Signature", "Signature-Input"), ("Signature",), ("Signature-Input",)):
        what = " and ".join(names)
        yield Attack(
            "token", f"a token with {what}", with_headers_of_a_signature(token_base, *names), UNAUTHORIZED, "signature_unexpected"
        )
        yield Attack(
            "key",
            f"a key of no signatures with {what}",
            with_headers_of_a_signature(key_base, *names),
            UNAUTHORIZED,
            "signature_unexpected",
        )


def _elsewhere() -> Iterator[Attack]:
    """A good signature where none is read, or by a key that is not good enough."""

    def spelt(name: str, as_name: str) -> Build:
        def build(world: World) -> Any:
            event = signature_base(world)
            return header_of(header_of(event, name), as_name, event["headers"][name])

        return build

    for name, as_name in (
        ("Signature-Input", "Signature_Input"),
        ("Signature", "X-Signature"),
        ("Content-Digest", "Digest"),
        ("Signature", "Signature "),
    ):
        yield _of(f"a signed call with {as_name!r} for {name}", spelt(name, as_name), f"{_FORM}|signature_missing")

    def in_query(world: World) -> Any:
        event = signature_base(world)
        said = event["headers"]
        query = {name: (said[name],) for name in ("Signature", "Signature-Input")}
        return query_of(header_of(header_of(event, "Signature"), "Signature-Input"), **query)

    yield _of("a signature in the query", in_query, "signature_missing")

    def from_elsewhere(world: World) -> Any:
        return sign(world, unsigned(world, source_ranges={"SS": ["198.51.100.0/24"]}))

    yield _of("a signed call from another address", from_elsewhere, "key_source", DENY)
    yield _of(
        "a signed call of a key that was revoked",
        lambda world: sign(world, unsigned(world, revoked_at={"N": "1"})),
        "key_revoked",
    )
    yield _of(
        "a signed call of a key that ended", lambda world: sign(world, unsigned(world, expires_at={"N": "1"})), "key_expired"
    )
    yield _of(
        "a signed call of a key of less",
        lambda world: sign(world, unsigned(world, scopes={"SS": ["config:read"]})),
        "not_permitted",
        DENY,
    )

    def wrong_secret(world: World) -> Any:
        event = signature_base(world)
        return header_of(event, "Authorization", event["headers"]["Authorization"][:-1] + "x")

    yield _of("a signed call with a wrong secret", wrong_secret, "key_secret")


def _replays() -> Iterator[Attack]:
    def replayed(world: World) -> Any:
        event = signature_base(world)
        world.used[f"nonce#{KEY_ID}#{NONCE}"] = {}
        return event

    yield _of("a signed call for the second time", replayed, "signature_replayed")

    def older(world: World) -> Any:
        event = replayed(world)
        return sign(world, event, Signature(str(world.now - 30)))

    yield _of("a nonce for the second time, at another second", older, "signature_replayed")

    def allowed_before(world: World) -> Any:
        event = signature_base(world)
        assert world.decide(event)[0] == "allow"
        return event

    yield _of("a signed call after it was allowed, at another authorizer", allowed_before, "signature_replayed")

    def no_table(world: World) -> Any:
        world.environ |= {"HEARTMAP_KEY_USE_TABLE": ""}
        return signature_base(world)

    yield _of("a signed call where nonces are not kept", no_table, "key_use_unavailable", FAULT)

    def down(world: World) -> Any:
        world.failing.add("PutItem")
        return signature_base(world)

    yield _of("a signed call while nonces cannot be kept", down, "key_use_unavailable", FAULT)
