"""The attacks on the authorizer: malformed and misused credentials and requests, each with a name and the answer it must get.

An attack is one change to a call that is allowed, the base of its family, so that nothing is refused for another reason than the
attack itself. Every base is the most that a caller can ask for: a change of the configuration, which needs an administrator who
signed in just now, or a key whose calls are signed.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lambda_authorizer import config
from lambda_authorizer.aws import AwsError
from lambda_authorizer.encoding import b64url
from lambda_authorizer.handler import Authorizer, Unauthorized
from lambda_authorizer.reasons import Fault

if TYPE_CHECKING:
    from tests.lambda_authorizer.conftest import Pool

ALLOW, DENY, UNAUTHORIZED, FAULT = "allow", "deny", "unauthorized", "fault"

KEY_ID, OTHER_KEY_ID = "01JDDY0Z4Q8R6N5V3T7W2X9YAB", "01JDDY0Z4Q8R6N5V3T7W2X9YAC"
SECRET = "s" * 20 + "_-" + "S" * 21
NONCE = "AAECAwQFBgcICQoLDA0ODw"
COMPONENTS = ("@method", "@authority", "@path", "@query", "content-digest")
ORDER = ("created", "keyid", "alg", "nonce")


class World:
    """All that an authorizer meets: a user pool, a table of keys, a table of their use, and what the clock says."""

    def __init__(
        self, *, pool: "Pool", other_pool: "Pool", event: Callable[..., Any], environ: dict[str, str], pepper: bytes, now: int
    ) -> None:
        self.pool, self.other_pool = pool, other_pool
        self.pepper = pepper
        self.now = now
        self.records: dict[str, Any] = {}
        self.used: dict[str, Any] = {}
        self.failing: set[str] = set()
        """Operations of AWS that fail."""
        self.answers: dict[str, Any] = {}
        """What an operation of AWS answers instead."""
        self.environ = environ | {"HEARTMAP_API_KEYS_TABLE": "heartmap-keys", "HEARTMAP_KEY_USE_TABLE": "heartmap-key-use"}
        self.signer = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        self.other_signer = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
        self._event = event

    def call(self, service: str, operation: str, parameters: dict[str, Any], **_: Any) -> dict[str, Any]:
        """What AWS does, in the place of ``Aws.call``."""
        name = operation.rpartition(".")[2]
        if name in self.failing:
            raise AwsError(f"{service} answered 500")
        if name in self.answers:
            return self.answers[name]
        match name:
            case "GetItem":
                item = self.records.get(parameters["Key"]["public_id"]["S"])
                return {} if item is None else {"Item": item}
            case "PutItem":
                item_id = parameters["Item"]["id"]["S"]
                if item_id in self.used and "ConditionExpression" in parameters:
                    raise AwsError("dynamodb answered 400", "ConditionalCheckFailedException")
                self.used[item_id] = parameters["Item"]
                return {}
            case _:
                raise AssertionError(f"the authorizer must not call {operation}")

    def event(self, authorization: str | None, *, method: str = "POST", route: str = "/config", **changes: Any) -> dict[str, Any]:
        """A call with this credential."""
        return self._event(method, route, authorization, **changes)

    def bearer(self, token: str) -> dict[str, Any]:
        return self.event(f"Bearer {token}")

    def token(self, **changes: Any) -> str:
        """An administrator's."""
        return self.pool.token(**({"groups": ["admin"]} | changes))

    def claims(self, **changes: Any) -> dict[str, Any]:
        return self.pool.claims(**({"cognito:groups": ["admin"]} | changes))

    def key(self, key_id: str = KEY_ID, *, secret: str = SECRET, **changes: Any) -> str:
        """A key whose record, with these changes, is in the table; a change to ... removes the attribute."""
        key = f"hm_local_{key_id}_{secret}"
        record = {
            "public_id": {"S": key_id},
            "digest": {"S": hmac.new(self.pepper, key.encode(), "sha256").hexdigest()},
            "principal": {"S": "program:pipeline"},
            "scopes": {"SS": ["config:write", "models:read"]},
            "expires_at": {"N": str(self.now + 86400)},
        } | changes
        self.records[key_id] = {name: value for name, value in record.items() if value is not ...}
        return key

    def signing_key(self, key_id: str = KEY_ID, **changes: Any) -> str:
        """A key whose calls ``signer`` has to sign."""
        public = self.signer.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        changes = {"signing_key": {"S": b64url(public)}} | changes
        return self.key(key_id, **changes)

    def decide(self, event: Any) -> tuple[str, dict[str, Any] | None]:
        """The kind of a new authorizer's answer, and the answer where it is a policy."""
        try:
            answer = Authorizer(config.load(self.environ)).decide(event)
        except Unauthorized as error:
            return (UNAUTHORIZED, None) if error.args == ("Unauthorized",) else ("another text", None)
        except Fault:
            return FAULT, None
        effects = {statement["Effect"] for statement in answer["policyDocument"]["Statement"]}
        return {("Allow",): ALLOW, ("Deny",): DENY}.get(tuple(effects), "another effect"), answer


Build = Callable[[World], Any]


class Attack(NamedTuple):
    """``build`` puts the world into its state and returns the event. ``reason`` is an expression for the audit line's."""

    family: str
    name: str
    build: Build
    outcome: str
    reason: str


def shown(value: object) -> str:
    """A value in an attack's name: short, printable, and without what only this run knows."""
    text = ascii(value)
    return text if len(text) <= 100 else f"{text[:80]}... of {len(text)}"


def header_of(event: dict[str, Any], name: str, *values: str) -> dict[str, Any]:
    """The event with a header of these values, or without it if there is none."""
    event = deepcopy(event)
    for field in ("headers", "multiValueHeaders"):
        for known in [known for known in event[field] if known.lower() == name.lower()]:
            del event[field][known]
    if values:
        event["headers"][name] = values[-1]
        event["multiValueHeaders"][name] = list(values)
    return event


def query_of(event: dict[str, Any], **values: Sequence[str]) -> dict[str, Any]:
    """The event with this query."""
    event = deepcopy(event)
    event["queryStringParameters"] = {name: several[-1] for name, several in values.items()} or None
    event["multiValueQueryStringParameters"] = {name: list(several) for name, several in values.items()} or None
    return event


def digest_of(body: bytes, algorithm: str = "sha256", name: str = "sha-256") -> str:
    return f"{name}=:{base64.b64encode(hashlib.new(algorithm, body).digest()).decode()}:"


class Signature(NamedTuple):
    """A signature as RFC 9421 describes it, of any form: what is signed is what the parts say."""

    created: str
    components: tuple[str, ...] = COMPONENTS
    nonce: str = f'"{NONCE}"'
    keyid: str = f'"{KEY_ID}"'
    alg: str = '"ed25519"'
    order: tuple[str, ...] = ORDER
    label: str = "sig1"
    more: str = ""

    def parameters(self) -> str:
        listed = " ".join(name if name.startswith('"') else f'"{name}"' for name in self.components)
        fields = self._asdict()
        return f"({listed})" + "".join(f";{name}={fields[name]}" for name in self.order) + self.more

    def base(self, event: dict[str, Any]) -> bytes:
        """RFC 9421, section 2.5, written for any component and independently of the authorizer's."""
        lines = [f'"{name}": {_component(event, name)}' for name in self.components]
        return "\n".join([*lines, f'"@signature-params": {self.parameters()}']).encode()


def _component(event: dict[str, Any], name: str) -> str:
    headers = {known.lower(): value for known, value in event["headers"].items()}
    path = event["requestContext"]["path"]
    pairs = sorted((name, value) for name, values in (event["multiValueQueryStringParameters"] or {}).items() for value in values)
    query = "?" + "&".join(f"{name}={value}" for name, value in pairs)
    derived = {
        "@method": event["httpMethod"],
        "@authority": headers["host"],
        "@path": path,
        "@query": query,
        "@scheme": "https",
        "@target-uri": f"https://{headers['host']}{path}{query}",
        "@request-target": f"{path}{query}",
        "@status": "200",
    }
    return derived.get(name.lower(), headers.get(name.lower(), ""))


def sign(
    world: World, event: dict[str, Any], signature: Signature | None = None, *, signer: Ed25519PrivateKey | None = None
) -> Any:
    """The event with the signature's two headers."""
    signature = signature or Signature(str(world.now))
    proof = (signer or world.signer).sign(signature.base(event))
    event = header_of(event, "Signature-Input", f"{signature.label}={signature.parameters()}")
    return header_of(event, "Signature", f"{signature.label}=:{base64.b64encode(proof).decode()}:")


def token_base(world: World) -> Any:
    return world.bearer(world.token())


def key_base(world: World) -> Any:
    return world.event(f"ApiKey {world.key()}")


def unsigned(world: World, **changes: Any) -> dict[str, Any]:
    """A call with a key that demands a signature, and without it."""
    event = world.event(f"ApiKey {world.signing_key(**changes)}")
    return header_of(event, "Content-Digest", digest_of(b'{"theme": "dark"}'))


def signature_base(world: World) -> Any:
    return sign(world, unsigned(world))


def event_base(world: World) -> Any:
    return world.event(f"Bearer {world.token()}", method="DELETE", route="/analyses/{analysis_id}")


BASES: dict[str, Build] = {
    "token": token_base,
    "key": key_base,
    "signature": signature_base,
    "event": event_base,
    "token with a query": lambda world: query_of(token_base(world), limit=("1",)),
    "token of a sign-in 15 minutes ago": lambda world: world.bearer(world.token(auth_time=world.now - 900)),
    "token of a clock a minute ahead": lambda world: world.bearer(
        world.token(auth_time=world.now + 60, iat=world.now + 60, exp=world.now + 600)
    ),
    "token of a program": lambda world: world.bearer(world.token(groups=[], scope="heartmap/config:write")),
    "key of a role": lambda world: world.event(f"ApiKey {world.key(scopes=..., groups={'SS': ['admin']})}"),
    "key of an address": lambda world: world.event(
        f"ApiKey {world.key(source_ranges={'SS': ['192.0.2.0/24', '2001:db8::/32']})}"
    ),
    "signature with a query": lambda world: sign(world, query_of(unsigned(world), a=("1", "2"), b=("",))),
    "signature a minute old": lambda world: sign(world, unsigned(world), Signature(str(world.now - 60))),
    "signature a minute hence": lambda world: sign(world, unsigned(world), Signature(str(world.now + 60))),
    "signature of the longest nonce": lambda world: sign(
        world, unsigned(world), Signature(str(world.now), nonce=f'"{"n" * 64}"')
    ),
    "event without what may be left out": lambda world: (
        event_base(world) | {"requestContext": {"requestId": "r-1"}, "pathParameters": None, "multiValueHeaders": None}
    ),
}
"""What is allowed: of each family, the call that its attacks change."""


def attacks() -> Iterator[Attack]:
    """All of them."""
    from tests.lambda_authorizer import attacks_events, attacks_keys, attacks_signatures, attacks_tokens

    for family in (attacks_tokens, attacks_keys, attacks_signatures, attacks_events):
        yield from family.attacks()


def jsonable(value: Any) -> bytes:
    return json.dumps(value).encode()
