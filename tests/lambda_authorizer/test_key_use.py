"""Signed calls, keys bound to addresses and the last use of a key, through the whole authorizer and an emulated AWS."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer

from lambda_authorizer import config, key_use, signature
from lambda_authorizer.api_keys import digest
from lambda_authorizer.aws import Aws
from lambda_authorizer.encoding import b64url
from lambda_authorizer.handler import Authorizer, Unauthorized
from lambda_authorizer.key_use import NONCE_KEPT, NOTED_EVERY, RETRY_AFTER, USE_KEPT, KeyUse
from lambda_authorizer.reasons import Fault, Reason
from lambda_authorizer.signature import Message

# moto keeps its state per process, which other modules with a table of keys may share.
KEYS_TABLE, USE_TABLE = "heartmap-signed-api-keys", "heartmap-signed-key-use"
SIGNED, PLAIN, BOUND, GONE = "01JDDY0Z4Q8R6N5V3T7W2X9YAB", "PLAINKEY", "BOUNDKEY", "GONE0001"
PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def key_of(key_id: str) -> str:
    return f"hm_local_{key_id}_{'s' * 43}"


@pytest.fixture(scope="module")
def url(names) -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name="us-east-1")
    tables = session.client("dynamodb", endpoint_url=address)
    for name, attribute in ((KEYS_TABLE, "public_id"), (USE_TABLE, "id")):
        tables.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": attribute, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": attribute, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    public = PRIVATE_KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    for key_id, more in {
        SIGNED: {"signing_key": {"S": b64url(public)}},
        PLAIN: {"expires_at": {"N": "4000000000"}},
        BOUND: {"source_ranges": {"SS": ["198.51.100.0/24"]}},
    }.items():
        record = {
            "public_id": {"S": key_id},
            "digest": {"S": digest(key_of(key_id), names.pepper)},
            "principal": {"S": "program:ci"},
            "scopes": {"SS": ["models:read", "analyses:write"]},
        }
        tables.put_item(TableName=KEYS_TABLE, Item=record | more)
    yield address
    server.stop()
    moto_api_backend.reset()


@pytest.fixture
def used(url: str) -> Callable[[], dict[str, dict[str, Any]]]:
    """The items in the table of use, by their ids."""
    tables = boto3.client("dynamodb", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    for found in tables.scan(TableName=USE_TABLE)["Items"]:
        tables.delete_item(TableName=USE_TABLE, Key={"id": found["id"]})  # pyright: ignore[reportTypedDictNotRequiredAccess]
    return lambda: {item["id"]["S"]: item for item in tables.scan(TableName=USE_TABLE)["Items"]}  # pyright: ignore[reportTypedDictNotRequiredAccess]


@pytest.fixture
def make(environ: dict[str, str], url: str, aws_credentials: None) -> Callable[..., Authorizer]:
    def make(**changes: str) -> Authorizer:
        variables = {"HEARTMAP_API_KEYS_TABLE": KEYS_TABLE, "HEARTMAP_KEY_USE_TABLE": USE_TABLE, "AWS_ENDPOINT_URL": url}
        return Authorizer(config.load(environ | variables | changes))

    return make


@pytest.fixture
def signed_event(make_event) -> Callable[..., dict[str, Any]]:
    def sign(
        method: str = "GET", route: str = "/models", *, key_id: str = SIGNED, nonce: str = "", **more: Any
    ) -> dict[str, Any]:
        event = make_event(method, route, f"ApiKey {key_of(key_id)}")
        parameters = signature.parameters(
            created=more.pop("created", int(time.time())), nonce=nonce or f"{time.monotonic_ns():016}", key_id=key_id
        )
        content_digest = signature.content_digest(b"")
        query = more.pop("query", {})
        message = Message(method, "api.example.org", event["requestContext"]["path"], query, content_digest)
        headers = event["headers"] | {"Content-Digest": content_digest}
        headers |= signature.headers(parameters, PRIVATE_KEY.sign(signature.base(message, parameters)))
        event |= {"headers": headers, "multiValueHeaders": {name: [value] for name, value in headers.items()}}
        if query:
            event["queryStringParameters"] = {name: values[-1] for name, values in query.items()}
            event["multiValueQueryStringParameters"] = query
        return event | more

    return sign


def effect(answer: dict[str, Any]) -> str:
    return answer["policyDocument"]["Statement"][0]["Effect"]


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line)


def test_a_signed_call_is_allowed_once(make, signed_event, used, capsys: pytest.CaptureFixture[str]) -> None:
    event = signed_event(nonce="n" * 20)
    assert effect(make().decide(event)) == "Allow"
    capsys.readouterr()
    # Another instance of the function knows it as well.
    for authorizer in (make(), make()):
        with pytest.raises(Unauthorized):
            authorizer.decide(event)
        line = last_line(capsys)
        # An operator learns whose call it is that somebody plays again.
        assert (line["reason"], line["key_id"], line["principal"]) == (Reason.SIGNATURE_REPLAYED, SIGNED, "program:ci")
    assert effect(make().decide(signed_event(nonce="m" * 20))) == "Allow"
    item = used()[f"nonce#{SIGNED}#{'n' * 20}"]
    assert int(item["expires_at"]["N"]) == pytest.approx(time.time() + NONCE_KEPT, abs=60)
    assert NONCE_KEPT > 2 * signature.WINDOW


def test_the_query_is_signed(make, signed_event) -> None:
    authorizer = make()
    event = signed_event("GET", "/models", query={"b": ["2", "1"], "a": ["x y"]})
    assert effect(authorizer.decide(event)) == "Allow"
    event = signed_event("GET", "/models", query={"b": ["2"]})
    with pytest.raises(Unauthorized):
        authorizer.decide(event | {"queryStringParameters": {"b": "3"}, "multiValueQueryStringParameters": {"b": ["3"]}})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda event: event["headers"].pop("Signature"), Reason.SIGNATURE_MALFORMED),
        (lambda event: event["headers"].pop("Signature-Input"), Reason.SIGNATURE_MALFORMED),
        (lambda event: event["headers"].update(Host="evil.example.org"), Reason.SIGNATURE_INVALID),
        (lambda event: event["headers"].update({"Content-Digest": signature.content_digest(b"y")}), Reason.SIGNATURE_INVALID),
        (lambda event: event["requestContext"].update(path="/models"), Reason.SIGNATURE_INVALID),
    ],
)
def test_a_signed_call_that_was_changed_is_refused_and_its_nonce_stays(
    make, signed_event, used, capsys: pytest.CaptureFixture[str], change: Callable[[dict[str, Any]], Any], reason: Reason
) -> None:
    event = signed_event()
    change(event)
    event["multiValueHeaders"] = {name: [value] for name, value in event["headers"].items()}
    with pytest.raises(Unauthorized):
        make().decide(event)
    line = last_line(capsys)
    assert (line["reason"], line["key_id"]) == (reason, SIGNED)
    assert used() == {}


@pytest.mark.parametrize("late", [-61, 61])
def test_a_signature_out_of_its_time_is_refused(make, signed_event, capsys: pytest.CaptureFixture[str], late: int) -> None:
    with pytest.raises(Unauthorized):
        make().decide(signed_event(created=int(time.time()) + late + (1 if late > 0 else 0)))
    assert last_line(capsys)["reason"] == Reason.SIGNATURE_TIME


def test_a_key_that_signs_opens_nothing_unsigned(make, make_event, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Unauthorized):
        make().decide(make_event("GET", "/models", f"ApiKey {key_of(SIGNED)}"))
    line = last_line(capsys)
    assert (line["reason"], line["key_id"]) == (Reason.SIGNATURE_MISSING, SIGNED)


def test_a_signature_that_nobody_can_verify_is_refused(make, signed_event, pool, capsys: pytest.CaptureFixture[str]) -> None:
    event = signed_event(key_id=PLAIN)
    with pytest.raises(Unauthorized):
        make().decide(event)
    line = last_line(capsys)
    assert (line["reason"], line["key_id"]) == (Reason.SIGNATURE_UNEXPECTED, PLAIN)
    headers = event["headers"] | {"Authorization": f"Bearer {pool.token(groups=['admin'])}"}
    with pytest.raises(Unauthorized):
        make().decide(event | {"headers": headers, "multiValueHeaders": {name: [value] for name, value in headers.items()}})
    assert last_line(capsys)["reason"] == Reason.SIGNATURE_UNEXPECTED


def test_who_may_not_uses_no_nonce_up(make, signed_event, used) -> None:
    assert effect(make().decide(signed_event("GET", "/config"))) == "Deny"
    assert used() == {}


def test_without_a_table_no_signed_call_is_allowed(make, signed_event, make_event, capsys: pytest.CaptureFixture[str]) -> None:
    authorizer = make(HEARTMAP_KEY_USE_TABLE="")
    with pytest.raises(Fault) as caught:
        authorizer.decide(signed_event())
    assert caught.value.reason is Reason.KEY_USE_UNAVAILABLE
    assert effect(authorizer.decide(make_event("GET", "/models", f"ApiKey {key_of(PLAIN)}"))) == "Allow"
    assert "could not be written down" not in capsys.readouterr().err


def test_a_table_that_is_not_there_is_our_fault_for_signed_calls_alone(
    make, signed_event, make_event, capsys: pytest.CaptureFixture[str]
) -> None:
    authorizer = make(HEARTMAP_KEY_USE_TABLE="no-such-table")
    with pytest.raises(Fault) as caught:
        authorizer.decide(signed_event())
    assert caught.value.reason is Reason.KEY_USE_UNAVAILABLE
    capsys.readouterr()
    assert effect(authorizer.decide(make_event("GET", "/models", f"ApiKey {key_of(PLAIN)}"))) == "Allow"
    assert "could not be written down" in capsys.readouterr().err


def test_a_key_bound_to_other_addresses_is_denied_by_name(make, make_event, capsys: pytest.CaptureFixture[str]) -> None:
    event = make_event("GET", "/models", f"ApiKey {key_of(BOUND)}")
    assert effect(make().decide(event)) == "Deny"
    line = last_line(capsys)
    assert (line["decision"], line["reason"], line["key_id"]) == ("deny", Reason.KEY_SOURCE, BOUND)
    event["requestContext"]["identity"]["sourceIp"] = "198.51.100.9"
    assert effect(make().decide(event)) == "Allow"
    del event["requestContext"]["identity"]
    assert effect(make().decide(event)) == "Deny"


def test_the_last_use_is_written_once_an_hour(make, make_event, used, monkeypatch: pytest.MonkeyPatch) -> None:
    authorizer, event = make(), make_event("GET", "/models", f"ApiKey {key_of(PLAIN)}")
    began = time.time()
    calls: list[str] = []
    call = Aws.call
    monkeypatch.setattr(
        Aws, "call", lambda self, service, operation, *a, **k: calls.append(operation) or call(self, service, operation, *a, **k)
    )
    for later in (0, 10, NOTED_EVERY - 1, NOTED_EVERY):
        monkeypatch.setattr(time, "time", lambda later=later: began + later)
        authorizer.decide(event)
    assert sum("PutItem" in operation for operation in calls) == 2
    item = used()[f"use#{PLAIN}"]
    assert int(item["last_used_at"]["N"]) == int(began + NOTED_EVERY)
    assert int(item["expires_at"]["N"]) == 4_000_000_000 + USE_KEPT


def test_a_call_that_is_refused_is_no_use(make, make_event, used) -> None:
    assert effect(make().decide(make_event("GET", "/config", f"ApiKey {key_of(PLAIN)}"))) == "Deny"
    assert used() == {}


class Silent:
    """An AWS that never answers: every attempt at a note fails."""

    def __init__(self) -> None:
        self.deadlines: list[float] = []

    def call(self, *_: Any, deadline: float, **__: Any) -> dict[str, Any]:
        self.deadlines.append(deadline)
        raise key_use.AwsError("silent")


def test_a_note_that_fails_is_tried_again_after_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    silent = Silent()
    use = KeyUse(USE_TABLE, silent)  # pyright: ignore[reportArgumentType]
    for later in (0, RETRY_AFTER - 1, RETRY_AFTER, RETRY_AFTER + 1):
        use.note(GONE, ends=None, now=1000 + later, region="us-east-1", deadline=5)
    assert silent.deadlines == [5, 5]
    assert GONE not in capsys.readouterr().err


def test_what_is_remembered_of_notes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_use, "_MAX_NOTED", 3)
    use = KeyUse(USE_TABLE, Silent())  # pyright: ignore[reportArgumentType]
    for number in range(9):
        use.note(f"KEY{number}", ends=None, now=1000, region="us-east-1", deadline=5)
    assert len(use._due) == 3


def test_an_answer_that_is_an_error_of_another_kind_is_our_fault() -> None:
    use = KeyUse(USE_TABLE, Silent())  # pyright: ignore[reportArgumentType]
    with pytest.raises(Fault):
        use.take(GONE, "n" * 20, created=1000, region="us-east-1", deadline=5)
