"""Rotations: somebody calls all the time while they run, and nobody is refused."""

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lambda_authorizer import api_keys, assertion, peppers, secret_store
from lambda_authorizer.api_keys import KeyTable, KeyVerifier
from lambda_authorizer.aws import Aws
from lambda_authorizer.reasons import Fault, Refused
from lambda_authorizer.secret_store import ManagedSecrets, parse
from operator_cli.errors import CliError
from operator_cli.operations import rotate
from operator_cli.operations.rotate import Secret
from tests.operator_cli.operations.conftest import Deployed, behind_a_gateway

STEP = 60
"""Seconds between two rounds of calls, by the callers' own clock: it runs while the rotation waits, and needs no waiting."""


def quiet(_: str) -> None: ...


class Callers:
    """Two authorizers, which read the secret at different times, programs that call them all the time, and the functions that
    make keys, by what they know of the secret."""

    def __init__(self, stack: Deployed, keys: list[str]) -> None:
        self._stack, self.keys = stack, keys
        self.now = time.time()
        self.refusals: list[str] = []
        self.calls = self._made = 0
        aws = Aws(endpoint=stack.endpoint, own_addresses=False)
        arn = stack.client("secretsmanager").describe_secret(SecretId=stack.secret)["ARN"]
        table = KeyTable(stack.output("api_keys_table"), aws)
        self._secrets = [ManagedSecrets(arn, aws) for _ in range(2)]
        self._verifiers = [KeyVerifier(table, secrets, environment="local") for secrets in self._secrets]
        self._secrets[0].get(now=self.now, deadline=_soon())
        self.now += secret_store.MAX_AGE / 2

    def wait(self, seconds: float) -> None:
        """What the rotation waits by."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + STEP)
            self.call()

    def call(self, *_: Any, **__: Any) -> None:
        for verifier, secrets in zip(self._verifiers, self._secrets, strict=True):
            for key in self.keys:
                self.calls += 1
                try:
                    verifier.verify(key, region="us-east-1", now=self.now, deadline=_soon())
                except (Refused, Fault) as refusal:
                    self.refusals.append(str(refusal))
            self._make(secrets)

    def _make(self, secrets: ManagedSecrets) -> None:
        self._made += 1
        if self._made % 8:
            return
        key_id = f"MADE{self._made:04}"
        pepper = secrets.get(now=self.now, deadline=_soon()).api_key_pepper
        key = f"hm_local_{key_id}_{'s' * 43}"
        digest = {"digest": {"S": api_keys.digest(key, pepper)}, "peppers": {"S": peppers.name(pepper)}}
        self._stack.put("api-keys", public_id={"S": key_id}, principal={"S": "program:made"}, **digest)
        self.keys.append(key)


def _soon() -> float:
    return time.monotonic() + 30


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")


def unnamed(stack: Deployed, key_id: str) -> str:
    """A key as it was made before peppers had names."""
    key = stack.key(key_id)
    stack.client("dynamodb").update_item(
        TableName=stack.output("api_keys_table"), Key={"public_id": {"S": key_id}}, UpdateExpression="REMOVE peppers"
    )
    return key


def test_no_key_is_refused_while_the_pepper_is_rotated_twice(stack: Deployed) -> None:
    callers = Callers(stack, [stack.key("GOODKEY1"), unnamed(stack, "OLDKEY01")])
    stack.put("api-keys", public_id={"S": "locked"})
    first = stack.pepper()
    # Also between two of the keys' changes.
    events, changed = stack.client("dynamodb").meta.events, "after-call.dynamodb.UpdateItem"
    events.register(changed, callers.call)
    for _ in range(2):
        rotate.pepper(stack, tell=quiet, wait=callers.wait)
    events.unregister(changed, callers.call)
    callers.wait(rotate.SETTLE_SECONDS)
    assert callers.refusals == []
    assert callers.calls > 100
    assert len(callers.keys) > 4
    # And each key of each time is good with what is left of the secret, which is no more than they need.
    content = parse(json.dumps(stack.secret_content()).encode())
    assert first in content.other_peppers.inner
    assert (content.other_peppers.following, content.other_peppers.previous) == (None, None)
    records = {item["public_id"]["S"]: item for item in stack.items("api-keys")}
    for key in callers.keys:
        key_id = key.split("_")[2]
        api_keys.verify(key, key_id, records[key_id], pepper=content.api_key_pepper, others=content.other_peppers)


def test_with_less_patience_calls_would_be_refused(stack: Deployed) -> None:
    callers = Callers(stack, [stack.key("GOODKEY1")])
    callers.call()
    rotate.pepper(stack, tell=quiet, settle=STEP, wait=callers.wait)
    # A key is believed for a second.
    callers.wait(2)
    assert callers.refusals
    assert rotate.SETTLE_SECONDS > secret_store.MAX_AGE


def test_what_the_old_pepper_made_is_worth_nothing_afterwards(stack: Deployed) -> None:
    old = stack.pepper()
    rotate.pepper(stack, tell=quiet, settle=0)
    forged = f"hm_local_FORGED01_{'s' * 43}"
    content = parse(json.dumps(stack.secret_content()).encode())
    for more in ({}, {"peppers": {"S": peppers.name(old)}}):
        item = {"public_id": {"S": "FORGED01"}, "digest": {"S": api_keys.digest(forged, old)}, "principal": {"S": "x"}, **more}
        with pytest.raises((Refused, Fault)):
            api_keys.verify(forged, "FORGED01", item, pepper=content.api_key_pepper, others=content.other_peppers)


def test_a_pepper_that_no_key_needs_is_forgotten(stack: Deployed) -> None:
    rotate.pepper(stack, tell=quiet, settle=0)
    assert stack.secret_content().keys() == {"api_key_pepper", "assertion_keys", "current_assertion_key"}


@pytest.mark.parametrize("steps", [1, 2])
def test_an_interrupted_rotation_goes_on(stack: Deployed, steps: int) -> None:
    key, left = stack.key("GOODKEY1"), steps

    def interrupt(_: float) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate.pepper(stack, tell=quiet, wait=interrupt)
    callers = Callers(stack, [key])
    callers.call()
    waited: list[float] = []
    rotate.pepper(stack, tell=quiet, wait=waited.append)
    assert len(waited) == 3 - steps
    assert min(waited) > 300  # as long as a function may go on with a secret that it has read
    Callers(stack, [key]).call()
    assert callers.refusals == []
    assert (
        len(next(item for item in stack.items("api-keys") if item["public_id"]["S"] == "GOODKEY1")["peppers"]["S"].split("."))
        == 2
    )


def test_the_pepper_is_not_rotated_in_the_middle_of_another_rotation(stack: Deployed) -> None:
    stack.client("secretsmanager").put_secret_value(
        SecretId=stack.secret, SecretString=json.dumps(stack.secret_content()), VersionStages=["AWSPENDING"]
    )
    with pytest.raises(CliError, match="under way"):
        rotate.pepper(stack, tell=quiet, settle=0)


def test_a_rotation_of_both_in_turn_is_none_in_the_middle_of_another(stack: Deployed) -> None:
    for _ in range(2):
        rotate.assertion_keys(stack, tell=quiet)
        rotate.pepper(stack, tell=quiet, settle=0)


def test_the_service_takes_what_is_signed_before_and_after_a_rotation_of_the_keys(stack: Deployed) -> None:
    """By the keys that it was started with: it is replaced before the next rotation."""

    def minted() -> str:
        keys = parse(json.dumps(stack.secret_content()).encode()).assertion_keys
        said: dict[str, Any] = {"principal": "ada", "groups": (), "scopes": (), "route": "/", "method": "GET", "request_id": "r"}
        return assertion.mint(keys, **said, now=time.time())

    def known() -> Any:
        value = stack.client("ssm").get_parameter(Name=stack.parameter, WithDecryption=True)["Parameter"]["Value"]
        return assertion.decode_keys(json.loads(value)["assertion_keys"])

    running, before = known(), minted()
    for _ in range(3):
        pepper = stack.pepper()
        rotate.assertion_keys(stack, tell=quiet)
        for text in (before, minted()):
            assertion.verify(text, running, now=time.time())
            assertion.verify(text, known(), now=time.time())
        running, before = known(), minted()
        assert stack.pepper() == pepper


def test_a_bad_secret_is_undone(stack: Deployed) -> None:
    good = stack.secret_content()
    stack.client("secretsmanager").put_secret_value(SecretId=stack.secret, SecretString="no JSON")
    with pytest.raises(CliError, match="malformed") as caught:
        Secret(stack).read()
    assert "rotate undo" in (caught.value.next_step or "")
    Secret(stack).undo()
    assert Secret(stack).read() == good


def test_there_may_be_nothing_to_go_back_to(stack: Deployed) -> None:
    with pytest.raises(CliError, match="no version before"):
        Secret(stack).undo()


def test_no_secret_is_written_that_no_function_could_read(stack: Deployed) -> None:
    with pytest.raises(ValueError, match="api_key_pepper"):
        Secret(stack).write({**stack.secret_content(), "api_key_pepper": base64.b64encode(b"short").decode()})


def test_each_key_of_kms_has_new_material(stack: Deployed) -> None:
    kms = stack.client("kms")
    encrypted = kms.encrypt(KeyId=stack.key_alias("data"), Plaintext=b"cells")["CiphertextBlob"]
    assert len(set(rotate.kms_keys(stack, tell=quiet))) == 3
    assert kms.decrypt(CiphertextBlob=encrypted)["Plaintext"] == b"cells"


def client_certificates(stack: Deployed) -> set[str]:
    found = stack.client("apigateway").get_client_certificates()["items"]
    return {each["clientCertificateId"] for each in found if (each.get("description") or "").startswith(stack.prefix)}


def test_after_a_teardown_no_client_certificate_of_a_rotation_is_left(stack: Deployed) -> None:
    behind_a_gateway(stack)
    before = client_certificates(stack)
    rotate.certificates(stack, tell=quiet)
    rotate.forget_certificates(stack.client("apigateway"), f"{stack.name}other")
    assert client_certificates(stack) > before
    rotate.forget_certificates(stack.client("apigateway"), stack.name)
    assert client_certificates(stack) == before


def test_certificates_are_new_and_the_old_ones_gone_once_they_are_in_use(stack: Deployed) -> None:
    behind_a_gateway(stack)
    gateway, acm = stack.client("apigateway"), stack.client("acm")
    stage: dict[str, Any] = {"restApiId": stack.output("rest_api_id"), "stageName": "live"}
    before = gateway.get_stage(**stage)["clientCertificateId"]
    (listener,) = stack.client("elbv2").describe_listeners(LoadBalancerArn=stack.output("load_balancer_arn"))["Listeners"]
    arn = listener["Certificates"][0]["CertificateArn"]
    serial = acm.describe_certificate(CertificateArn=arn)["Certificate"]["Serial"]
    told = rotate.certificates(stack, tell=quiet)
    assert [each.state for each in told] == ["rotated", "rotated"]
    second = gateway.get_stage(**stage)["clientCertificateId"]
    assert second != before
    assert gateway.get_client_certificate(clientCertificateId=second)["tags"] == {"project": "heartmap"}
    rotate.certificates(stack, tell=quiet)
    # What the engine made is the engine's; what a rotation made is gone with the next one.
    assert client_certificates(stack) == {before, gateway.get_stage(**stage)["clientCertificateId"]}
    assert second not in client_certificates(stack)
    described = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    assert described["Serial"] != serial
    assert described["NotAfter"] > datetime.now(UTC) + timedelta(days=3000)
