import json
import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import boto3
import pytest
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer

from lambda_authorizer import api_keys, config
from lambda_authorizer.api_keys import MAX_AGE, Key, KeyVerifier, digest, public_id, verify
from lambda_authorizer.assertion import Keys
from lambda_authorizer.handler import Authorizer, Unauthorized
from lambda_authorizer.policy import Caller, written
from lambda_authorizer.reasons import Fault, Reason, Refused
from lambda_authorizer.secret_store import FixedSecrets, Secrets

TABLE = "heartmap-local-api-keys"
SECRET = "s" * 20 + "_-" + "S" * 21
NOW = 1_800_000_000.0


def key_of(key_id: str, *, environment: str = "local", secret: str = SECRET) -> str:
    return f"hm_{environment}_{key_id}_{secret}"


def item(key_id: str, pepper: bytes, **changes: Any) -> dict[str, Any]:
    attributes = {
        "public_id": {"S": key_id},
        "digest": {"S": digest(key_of(key_id), pepper)},
        "principal": {"S": "pipeline-7"},
        "scopes": {"SS": ["models:read", "analyses:read", "no-scope-of-ours"]},
    } | changes
    return {name: value for name, value in attributes.items() if value is not None}


KEYS = {
    "GOODKEY1": {},
    "NOSCOPE1": {"scopes": None},
    "WRITER01": {"scopes": {"SS": ["analyses:write", "uploads:write"]}},
    "REVOKED1": {"revoked_at": {"N": "1700000000"}},
    "EXPIRED1": {"expires_at": {"N": "1700000000"}},
    "LASTING1": {"expires_at": {"N": "9999999999"}},
    "BROKEN01": {"digest": {"S": "no digest"}},
    "ROLEKEY1": {
        "principal": {"S": "arn:aws:iam::123456789012:role/ci/publisher"},
        "scopes": None,
        "groups": {"SS": ["analyst", "no-group-of-ours"]},
        "expires_at": {"N": "9999999999"},
    },
}


@pytest.fixture(scope="module")
def moto_url(names) -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    session = boto3.Session(region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local")
    table = session.client("dynamodb", endpoint_url=url)
    table.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "public_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "public_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for key_id, changes in KEYS.items():
        table.put_item(TableName=TABLE, Item=item(key_id, names.pepper, **changes))
    secrets = session.client("secretsmanager", endpoint_url=url)
    arn = secrets.create_secret(Name="authorizer", SecretString=json.dumps(names.secret))["ARN"]
    yield f"{url} {arn}"
    server.stop()
    moto_api_backend.reset()


@pytest.fixture
def authorizer(environ: dict[str, str], moto_url: str, aws_credentials: None) -> Authorizer:
    """An authorizer whose table and secret are in an emulated AWS."""
    url, arn = moto_url.split()
    changes = {
        "HEARTMAP_API_KEYS_TABLE": TABLE,
        "HEARTMAP_SECRETS": arn,
        "HEARTMAP_SECRETS_FILE": "",
        "AWS_ENDPOINT_URL": url,
    }
    return Authorizer(config.load(environ | changes))


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line)


@pytest.mark.parametrize(
    ("key_id", "method", "route", "effect"),
    [
        ("GOODKEY1", "GET", "/models", "Allow"),
        ("LASTING1", "GET", "/analyses", "Allow"),
        ("GOODKEY1", "GET", "/config", "Deny"),
        ("GOODKEY1", "POST", "/analyses", "Deny"),
        ("WRITER01", "POST", "/analyses", "Allow"),
        ("WRITER01", "GET", "/models", "Deny"),
        ("WRITER01", "POST", "/token", "Deny"),
        ("NOSCOPE1", "GET", "/health", "Allow"),
        ("NOSCOPE1", "GET", "/models", "Deny"),
    ],
)
def test_a_key_opens_what_its_scopes_open(
    authorizer: Authorizer, make_event, capsys: pytest.CaptureFixture[str], key_id: str, method: str, route: str, effect: str
) -> None:
    answer = authorizer.decide(make_event(method, route, f"ApiKey {key_of(key_id)}"))
    assert answer["policyDocument"]["Statement"][0]["Effect"] == effect
    assert answer["principalId"] == "pipeline-7"
    assert answer["context"]["key_id"] == key_id
    line = last_line(capsys)
    assert (line["principal"], line["auth_method"], line["key_id"]) == ("pipeline-7", "api_key", key_id)


@pytest.mark.parametrize(
    ("method", "route", "effect"), [("POST", "/analyses", "Allow"), ("POST", "/config", "Deny"), ("POST", "/token", "Deny")]
)
def test_what_a_role_was_given_opens_what_its_groups_open_to_the_role(
    authorizer: Authorizer, make_event, capsys: pytest.CaptureFixture[str], method: str, route: str, effect: str
) -> None:
    answer = authorizer.decide(make_event(method, route, f"ApiKey {key_of('ROLEKEY1')}"))
    assert answer["policyDocument"]["Statement"][0]["Effect"] == effect
    assert answer["principalId"] == "arn:aws:iam::123456789012:role/ci/publisher"
    assert answer["context"]["groups"] == "analyst"
    assert last_line(capsys)["groups"] == ["analyst"]


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (key_of("UNKNOWN1"), Reason.KEY_UNKNOWN),
        (key_of("REVOKED1"), Reason.KEY_REVOKED),
        (key_of("EXPIRED1"), Reason.KEY_EXPIRED),
        (key_of("GOODKEY1", secret="x" * 43), Reason.KEY_SECRET),
        (key_of("REVOKED1", secret="x" * 43), Reason.KEY_SECRET),
        (key_of("GOODKEY1") + "x", Reason.KEY_SECRET),
        (key_of("GOODKEY1", environment="prod"), Reason.KEY_ENVIRONMENT),
        (key_of("GOODKEY1", environment="dev"), Reason.KEY_ENVIRONMENT),
        (key_of("GOODKEY1", secret="short"), Reason.KEY_MALFORMED),
        (key_of("goodkey1"), Reason.KEY_UNKNOWN),
    ],
)
def test_a_key_that_is_not_good_is_refused_and_named_nowhere(
    authorizer: Authorizer, make_event, capsys: pytest.CaptureFixture[str], key: str, reason: Reason
) -> None:
    with pytest.raises(Unauthorized):
        authorizer.decide(make_event("GET", "/health", f"ApiKey {key}"))
    output = capsys.readouterr()
    line = json.loads(output.out)
    assert (line["decision"], line["reason"]) == ("unauthenticated", reason)
    assert line["principal"] is line["key_id"] is None
    assert not any(part in output.out + output.err for part in key.split("_")[2:])


def test_a_record_that_nothing_of_ours_writes_is_our_fault(authorizer: Authorizer, make_event) -> None:
    with pytest.raises(Fault) as caught:
        authorizer.decide(make_event("GET", "/health", f"ApiKey {key_of('BROKEN01')}"))
    assert caught.value.reason is Reason.KEY_RECORD_MALFORMED


def test_a_revocation_counts_within_a_second(
    authorizer: Authorizer, make_event, moto_url: str, names, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = make_event("GET", "/health", f"ApiKey {key_of('SHORTLIV')}")
    table = boto3.client("dynamodb", endpoint_url=moto_url.split()[0], region_name="us-east-1")
    table.put_item(TableName=TABLE, Item=item("SHORTLIV", names.pepper))
    assert authorizer.decide(event)
    table.put_item(TableName=TABLE, Item=item("SHORTLIV", names.pepper, revoked_at={"N": "1"}))
    later = time.time() + MAX_AGE
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(Unauthorized):
        authorizer.decide(event)


def test_without_a_table_no_key_is_valid(environ: dict[str, str], make_event, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Unauthorized):
        Authorizer(config.load(environ)).decide(make_event("GET", "/health", f"ApiKey {key_of('GOODKEY1')}"))
    assert last_line(capsys)["reason"] == Reason.KEYS_DISABLED


def test_a_table_that_is_not_there_is_our_fault(
    environ: dict[str, str], moto_url: str, make_event, aws_credentials: None
) -> None:
    changes = {"HEARTMAP_API_KEYS_TABLE": "another", "AWS_ENDPOINT_URL": moto_url.split()[0]}
    with pytest.raises(Fault) as caught:
        Authorizer(config.load(environ | changes)).decide(make_event("GET", "/health", f"ApiKey {key_of('GOODKEY1')}"))
    assert caught.value.reason is Reason.KEY_STORE_UNAVAILABLE


@pytest.mark.parametrize("body", [b"", b"[]", b'{"Item": []}', b'{"Item": "x"}', b"<html></html>"])
def test_a_table_that_answers_nonsense_is_our_fault(
    environ: dict[str, str], server, make_event, aws_credentials: None, body: bytes
) -> None:
    server.answer = lambda request: server.reply(request, body)
    changes = {"HEARTMAP_API_KEYS_TABLE": TABLE, "AWS_ENDPOINT_URL": server.url}
    with pytest.raises(Fault) as caught:
        Authorizer(config.load(environ | changes)).decide(make_event("GET", "/health", f"ApiKey {key_of('GOODKEY1')}"))
    assert caught.value.reason is Reason.KEY_STORE_UNAVAILABLE


def test_the_lookup_is_consistent(environ: dict[str, str], server, make_event, aws_credentials: None) -> None:
    changes = {"HEARTMAP_API_KEYS_TABLE": TABLE, "AWS_ENDPOINT_URL": server.url}
    with pytest.raises(Unauthorized):
        Authorizer(config.load(environ | changes)).decide(make_event("GET", "/health", f"ApiKey {key_of('GOODKEY1')}"))
    assert json.loads(server.requests[0].body) == {
        "TableName": TABLE,
        "Key": {"public_id": {"S": "GOODKEY1"}},
        "ConsistentRead": True,
    }


def test_a_table_that_hangs_is_our_fault_within_two_seconds(
    environ: dict[str, str], server, make_event, aws_credentials: None
) -> None:
    done = threading.Event()
    server.answer = lambda request: done.wait(10)
    changes = {"HEARTMAP_API_KEYS_TABLE": TABLE, "AWS_ENDPOINT_URL": server.url}
    started = time.monotonic()
    with pytest.raises(Fault):
        Authorizer(config.load(environ | changes)).decide(make_event("GET", "/health", f"ApiKey {key_of('GOODKEY1')}"))
    assert time.monotonic() - started < 2
    done.set()


MALFORMED = [
    "",
    "hm",
    "hm_local",
    "hm_local_GOODKEY1",
    "hm_local_GOODKEY1_",
    f"hm__GOODKEY1_{SECRET}",
    f"hm_local__{SECRET}",
    f"hm_local_SHORT_{SECRET}",
    f"hm_local_GOOD-KEY1_{SECRET}",
    f"HM_local_GOODKEY1_{SECRET}",
    f"xx_local_GOODKEY1_{SECRET}",
    f" hm_local_GOODKEY1_{SECRET}",
    f"hm_local_GOODKEY1_{SECRET}\n",
    f"hm_local_GOODKEY1_{SECRET} ",
    f"hm_local_GOODKEY1_{SECRET}=",
    f"hm_local_GOODKEY1_{SECRET[:42]}",
    f"hm_local_GOODKEY1_{'x' * 129}",
    f"hm_local_GOODKEY1_{SECRET}\u00e9",
    f"hm_local_{'A' * 33}_{SECRET}",
    f"hm_local_GOODKEY1_{SECRET},hm_local_GOODKEY1_{SECRET}",
]


@pytest.mark.parametrize("key", MALFORMED)
def test_a_malformed_key_is_refused_before_any_lookup(key: str) -> None:
    with pytest.raises(Refused) as caught:
        public_id(key, environment="local")
    assert caught.value.reason is Reason.KEY_MALFORMED


def test_the_public_id_is_read_from_the_key() -> None:
    assert public_id(key_of("GOODKEY1"), environment="local") == "GOODKEY1"


def test_a_good_key_says_whose_it_is(names) -> None:
    record = item("GOODKEY1", names.pepper, expires_at={"N": "1900000000"})
    caller = Caller("pipeline-7", frozenset(), frozenset({"models:read", "analyses:read"}), "api_key", key_id="GOODKEY1")
    assert verify(key_of("GOODKEY1"), "GOODKEY1", record, pepper=names.pepper) == Key(
        caller,
        written(caller),
        {},
        1_900_000_000,
        None,
        None,
    )


class Records:
    """A table in memory that counts how often it is read."""

    def __init__(self, item: dict[str, Any] | None) -> None:
        self.item, self.reads = item, 0

    def get(self, key_id: str, *, region: str, deadline: float) -> dict[str, Any] | None:  # KeyTable's own call
        self.reads += 1
        return self.item


@pytest.fixture
def records(names) -> Records:
    return Records(item("GOODKEY1", names.pepper, expires_at={"N": str(int(NOW) + 10)}))


@pytest.fixture
def verifier(records: Records, names) -> KeyVerifier:
    secrets = FixedSecrets(Secrets(names.pepper, Keys("a1", names.assertion_keys)))
    return KeyVerifier(cast(Any, records), secrets, environment="local")


def ask(verifier: KeyVerifier, now: float, key: str = key_of("GOODKEY1")) -> Key:
    return verifier.verify(key, region="us-east-1", now=now, deadline=1)


def test_a_key_that_comes_again_within_a_second_is_not_read_again(verifier: KeyVerifier, records: Records) -> None:
    assert ask(verifier, NOW) is ask(verifier, NOW) is ask(verifier, NOW + 0.99)
    assert records.reads == 1
    # From the moment of the reading, not of the last use.
    ask(verifier, NOW + 1.0)
    assert records.reads == 2


def test_a_clock_that_was_set_back_makes_no_record_last(verifier: KeyVerifier, records: Records) -> None:
    ask(verifier, NOW)
    ask(verifier, NOW - 3600)
    assert records.reads == 2


def test_a_key_that_is_revoked_is_refused_within_a_second(verifier: KeyVerifier, records: Records) -> None:
    ask(verifier, NOW)
    records.item = cast(dict[str, Any], records.item) | {"revoked_at": {"N": "1"}}
    with pytest.raises(Refused) as caught:
        ask(verifier, NOW + 1)
    assert caught.value.reason is Reason.KEY_REVOKED


def test_a_key_ends_at_its_end_though_it_is_remembered(verifier: KeyVerifier, records: Records) -> None:
    ask(verifier, NOW + 9.5)
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            ask(verifier, NOW + 10)
        assert caught.value.reason is Reason.KEY_EXPIRED
    assert records.reads == 1


def test_another_secret_is_another_key(verifier: KeyVerifier, records: Records) -> None:
    ask(verifier, NOW)
    with pytest.raises(Refused) as caught:
        ask(verifier, NOW, key_of("GOODKEY1", secret="t" + SECRET[1:]))
    assert caught.value.reason is Reason.KEY_SECRET
    assert records.reads == 2


def test_a_refused_key_is_not_remembered_and_no_key_is_kept(
    verifier: KeyVerifier, records: Records, monkeypatch: pytest.MonkeyPatch, names
) -> None:
    records.item = None
    for _ in range(2):
        with pytest.raises(Refused):
            ask(verifier, NOW)
    assert (records.reads, len(verifier._known)) == (2, 0)
    monkeypatch.setattr(api_keys, "MAX_REMEMBERED", 2)
    for number in range(5):
        key = key_of("GOODKEY1", secret=str(number) + SECRET[1:])
        records.item = item("GOODKEY1", names.pepper, digest={"S": digest(key, names.pepper)})
        ask(verifier, NOW, key)
        assert key not in repr(verifier._known)
    assert len(verifier._known) == 2


@pytest.mark.parametrize(
    ("ranges", "address", "opens"),
    [
        (None, None, True),
        (["192.0.2.0/24"], "192.0.2.7", True),
        (["192.0.2.0/24"], "192.0.3.7", False),
        (["192.0.2.0/24", "2001:db8::/32"], "2001:db8::1", True),
        (["192.0.2.7/32"], "192.0.2.7", True),
        (["192.0.2.7/32"], "192.0.2.8", False),
        (["2001:db8::/32"], "192.0.2.7", False),
        (["0.0.0.0/0"], "2001:db8::1", False),
        (["0.0.0.0/0"], None, False),
        (["0.0.0.0/0"], "....", False),
        ([], "192.0.2.7", False),
    ],
)
def test_a_key_opens_from_its_ranges_alone(names, ranges: list[str] | None, address: str | None, opens: bool) -> None:
    record = item("GOODKEY1", names.pepper, source_ranges=None if ranges is None else {"SS": ranges})
    key = verify(key_of("GOODKEY1"), "GOODKEY1", record, pepper=names.pepper)
    assert key.opens_from(address) is opens


def test_another_pepper_opens_nothing(names) -> None:
    with pytest.raises(Refused) as caught:
        verify(key_of("GOODKEY1"), "GOODKEY1", item("GOODKEY1", names.pepper), pepper=b"x" * 32)
    assert caught.value.reason is Reason.KEY_SECRET


def test_an_unknown_id_costs_a_comparison_too(names, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "lambda_authorizer.api_keys.hmac.compare_digest", lambda one, other: compared.append((one, other)) or False
    )
    for record in (None, item("GOODKEY1", names.pepper)):
        with pytest.raises(Refused):
            verify(key_of("GOODKEY1"), "GOODKEY1", record, pepper=names.pepper)
    assert len(compared) == 2
    assert len(compared[0][1]) == len(compared[1][1])


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": None},
        {"digest": {"B": "AAAA"}},
        {"digest": {"S": "A" * 64}},
        {"digest": "text"},
        {"principal": None},
        {"principal": {"S": ""}},
        {"principal": {"S": "a\nb"}},
        {"principal": {"SS": ["a"]}},
        {"scopes": {"S": "models:read"}},
        {"scopes": {"SS": "models:read"}},
        {"scopes": {"SS": [["models:read"]]}},
        {"scopes": {"L": [{"S": "models:read"}]}},
        {"groups": {"SS": ["admin"]}},  # for ever
        {"groups": {"SS": "admin"}, "expires_at": {"N": "9999999999"}},
        {"groups": {"S": "admin"}, "expires_at": {"N": "9999999999"}},
        {"expires_at": {"S": "9999999999"}},
        {"expires_at": {"N": "never"}},
        {"expires_at": {"N": "-1"}},
        {"expires_at": {"N": "1e99"}},
        {"revoked_at": {"NULL": True}},
        {"source_ranges": {"S": "192.0.2.0/24"}},
        {"source_ranges": {"SS": ["192.0.2.7/24"]}},
        {"source_ranges": {"SS": ["anywhere"]}},
        {"signing_key": {"B": "A" * 43}},
        {"signing_key": {"S": ""}},
        {"signing_key": {"S": "A" * 42}},
        {"signing_key": {"S": "A" * 42 + "B"}},
        {"signing_key": {"S": "A" * 42 + "="}},
        {"signing_key": {"NULL": True}},
    ],
)
def test_a_malformed_record_is_a_fault(names, changes: dict[str, Any]) -> None:
    with pytest.raises(Fault) as caught:
        verify(key_of("GOODKEY1"), "GOODKEY1", item("GOODKEY1", names.pepper, **changes), pepper=names.pepper)
    assert caught.value.reason is Reason.KEY_RECORD_MALFORMED
