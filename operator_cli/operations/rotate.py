"""Rotations that refuse no call while they run: whoever verifies knows what is new before anybody uses it.

Functions read the authorizer's secret again within five minutes. So each step that needs the one before to be known everywhere
waits for longer than that.
"""

import base64
import json
import secrets as random
import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from lambda_authorizer import peppers, secret_store
from operator_cli.errors import CliError
from operator_cli.operations.backup import Tell
from operator_cli.operations.stack import KEYS, Stack

SETTLE_SECONDS = secret_store.MAX_AGE + 60
"""Until every function has read a secret that was just written."""
PEPPER_BYTES = 32
FOLLOWING, PREVIOUS, CURRENT, INNER = (
    *("following_api_key_pepper", "previous_api_key_pepper"),
    *("api_key_pepper", "inner_api_key_peppers"),
)

Wait = Callable[[float], None]


class Secret:
    """The authorizer's secret, changed only from what it was when it was read."""

    def __init__(self, stack: Stack) -> None:
        self._client, self._id = stack.client("secretsmanager"), stack.secret

    def read(self) -> dict[str, Any]:
        """Its content. Raises CliError when it is malformed, or while its keys are being rotated."""
        stages = self._client.describe_secret(SecretId=self._id)["VersionIdsToStages"]
        if any("AWSPENDING" in each and "AWSCURRENT" not in each for each in stages.values()):
            raise CliError(
                "A rotation of the assertion keys is under way, or failed half way.",
                next_step="Wait until it is done, or start it again: heartmapctl operate rotate assertion-keys",
            )
        text = self._client.get_secret_value(SecretId=self._id)["SecretString"]
        try:
            secret_store.parse(text.encode())
        except ValueError as error:
            raise CliError(
                f"The secret is malformed: {error}.", next_step="Go back to the one before: heartmapctl operate rotate undo"
            ) from None
        return json.loads(text)

    def write(self, content: dict[str, Any]) -> None:
        """Make this the current content. What no function could read is never written."""
        text = json.dumps(content)
        secret_store.parse(text.encode())
        stages = self._client.describe_secret(SecretId=self._id)["VersionIdsToStages"]
        for version, each in stages.items():
            # A rotation that is done leaves it where it was: it would then look like one that is not.
            if {"AWSPENDING", "AWSCURRENT"} <= set(each):
                self._client.update_secret_version_stage(
                    SecretId=self._id, VersionStage="AWSPENDING", RemoveFromVersionId=version
                )
        self._client.put_secret_value(SecretId=self._id, SecretString=text, ClientRequestToken=str(uuid.uuid4()))

    def undo(self) -> str:
        """Make the version before the current one; its id. Raises CliError when there is none."""
        stages = self._client.describe_secret(SecretId=self._id)["VersionIdsToStages"]
        by_stage = {stage: version for version, each in stages.items() for stage in each}
        if "AWSPREVIOUS" not in by_stage:
            raise CliError("The secret has no version before this one.")
        self._client.update_secret_version_stage(
            SecretId=self._id,
            VersionStage="AWSCURRENT",
            MoveToVersionId=by_stage["AWSPREVIOUS"],
            RemoveFromVersionId=by_stage["AWSCURRENT"],
        )
        return by_stage["AWSPREVIOUS"]


class Wrapped(NamedTuple):
    """How many keys a rotation of the pepper changed, and how many it found changed already."""

    changed: int
    before: int


def pepper(stack: Stack, *, tell: Tell, settle: float = SETTLE_SECONDS, wait: Wait = time.sleep) -> Wrapped:
    """Rotate the pepper of the API keys. Run again, it goes on where it was interrupted.

    First all functions learn the pepper that follows. Then new keys are made by it, while what the old one made is good. Then
    each digest in the table is made anew from the one that is there, and what the old pepper alone made is good no more.
    """
    secret = Secret(stack)
    content = secret.read()
    if PREVIOUS not in content:
        if FOLLOWING not in content:
            tell("all functions learn the pepper that follows")
            fresh = base64.b64encode(random.token_bytes(PEPPER_BYTES)).decode("ascii")
            secret.write({**content, FOLLOWING: fresh})
        wait(settle)
        content = secret.read()
        tell("new keys are made by it")
        following = {name: value for name, value in content.items() if name != FOLLOWING}
        secret.write({**following, CURRENT: content[FOLLOWING], PREVIOUS: content[CURRENT]})
    wait(settle)
    content = secret.read()
    tell("the keys that there are")
    wrapped, used = _wrap(stack, content)
    tell("the pepper before is good no more")
    inner = [each for each in (*content.get(INNER, []), content[PREVIOUS]) if peppers.name(base64.b64decode(each)) in used]
    closed = {name: value for name, value in content.items() if name not in (PREVIOUS, INNER)}
    secret.write({**closed, **({INNER: inner} if inner else {})})
    return wrapped


def _wrap(stack: Stack, content: dict[str, Any]) -> tuple[Wrapped, set[str]]:
    """Make the digests under the previous pepper ones under the current one. Also the names of all peppers that keys need."""
    dynamodb, table = stack.client("dynamodb"), stack.output("api_keys_table")
    old, new = (base64.b64decode(content[name]) for name in (PREVIOUS, CURRENT))
    changed = before = 0
    used: set[str] = set()
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        for item in page["Items"]:
            if "digest" not in item:
                continue
            names = item["peppers"]["S"] if "peppers" in item else peppers.name(old)
            if names.rpartition(".")[2] == peppers.name(old):
                names = f"{names}.{peppers.name(new)}"
                changed += _write(dynamodb, table, item, names, peppers.digest(item["digest"]["S"], (new,)))
            else:
                before += 1
            used |= set(names.split("."))
    return Wrapped(changed, before), used


def _write(dynamodb: Any, table: str, item: dict[str, Any], names: str, digest: str) -> int:
    try:
        dynamodb.update_item(
            TableName=table,
            Key={"public_id": item["public_id"]},
            UpdateExpression="SET digest = :new, peppers = :names",
            # A key that is gone stays gone, and one that another rotation changed is changed.
            ConditionExpression="digest = :old",
            ExpressionAttributeValues={":new": {"S": digest}, ":old": item["digest"], ":names": {"S": names}},
        )
    except dynamodb.exceptions.ConditionalCheckFailedException:
        return 0
    return 1


def assertion_keys(stack: Stack, *, tell: Tell, wait: Wait = time.sleep, patience: float = 900) -> None:
    """Let the next key sign, and make the one after it; where the stack rotates by itself, by its own function.

    Raises CliError when that fails, or has not come to its end after ``patience`` seconds.
    """
    client = stack.client("secretsmanager")
    if not client.describe_secret(SecretId=stack.secret).get("RotationEnabled"):
        _rotate_here(stack, tell)
        return
    tell("the stack's function rotates")
    version = client.rotate_secret(SecretId=stack.secret)["VersionId"]
    for _ in range(int(patience / 5)):
        if "AWSCURRENT" in client.describe_secret(SecretId=stack.secret)["VersionIdsToStages"].get(version, []):
            return
        wait(5)
    raise CliError(
        "The rotation has not come to its end.", next_step="The log group of the rotation function says why. It is tried again."
    )


def _rotate_here(stack: Stack, tell: Tell) -> None:
    from lambda_rotation.handler import Configuration, Rotation, RotationFailed

    tell("the next key signs")
    kms = stack.client("kms").describe_key(KeyId=stack.key_alias("secrets"))["KeyMetadata"]["Arn"]
    clients = (stack.client("secretsmanager"), stack.client("ssm"), stack.client("ecs"))
    arn = clients[0].describe_secret(SecretId=stack.secret)["ARN"]
    configuration = Configuration(arn, stack.parameter, kms, stack.output("cluster"), stack.output("api_service"))
    try:
        Rotation(configuration, *clients).at_once()
    except RotationFailed as failure:
        raise CliError(f"The keys were not rotated: {failure}.") from None


def kms_keys(stack: Stack, *, tell: Tell) -> list[str]:
    """Give each key of KMS new material; its ids. What the old material encrypted, it decrypts still."""
    kms = stack.client("kms")
    rotated = []
    for purpose in KEYS:
        tell(f"key {purpose}")
        key = kms.describe_key(KeyId=stack.key_alias(purpose))["KeyMetadata"]["KeyId"]
        kms.rotate_key_on_demand(KeyId=key)
        rotated.append(key)
    return rotated


class Certificate(NamedTuple):
    """What became of one certificate."""

    name: str
    state: str
    ends: str | None


def certificates(stack: Stack, *, tell: Tell) -> list[Certificate]:
    """Rotate what nobody else does: API Gateway's own, by which the other side knows it, and one that we signed ourselves.

    What ACM issued, ACM renews. The new one is in use before the old one is gone.
    """
    tell("the client certificate of API Gateway")
    found = [_client_certificate(stack)]
    acm = stack.client("acm")
    listeners = stack.client("elbv2").describe_listeners(LoadBalancerArn=stack.output("load_balancer_arn"))["Listeners"]
    for arn in sorted({each["CertificateArn"] for listener in listeners for each in listener.get("Certificates", [])}):
        tell("the certificate of the load balancer")
        found.append(_balancer_certificate(acm, arn))
    return found


def _client_certificate(stack: Stack) -> Certificate:
    """The one that the engine made stays where it is, unused, or the next ``pulumi up --refresh`` would make another."""
    gateway = stack.client("apigateway")
    stage = {"restApiId": stack.output("rest_api_id"), "stageName": stack.output("stage_name")}
    before = gateway.get_client_certificate(clientCertificateId=gateway.get_stage(**stage)["clientCertificateId"])
    made = gateway.generate_client_certificate(description=rotated_name(stack.name), tags=before.get("tags") or {})
    change = {"op": "replace", "path": "/clientCertificateId", "value": made["clientCertificateId"]}
    gateway.update_stage(**stage, patchOperations=[change])
    if before.get("description") == rotated_name(stack.name):
        gateway.delete_client_certificate(clientCertificateId=before["clientCertificateId"])
    return Certificate("API Gateway's client certificate", "rotated", _day(made.get("expirationDate")))


def rotated_name(stack: str) -> str:
    """The description of a client certificate that a rotation made. The stack does not know it: a teardown looks for it."""
    return f"heartmap-{stack}, rotated"


def forget_certificates(gateway: Any, stack: str) -> None:
    """Remove what rotations made, once no stage has it any more. ``gateway`` is a client of API Gateway."""
    for page in gateway.get_paginator("get_client_certificates").paginate():
        for each in page["items"]:
            if each.get("description") == rotated_name(stack):
                gateway.delete_client_certificate(clientCertificateId=each["clientCertificateId"])


def _balancer_certificate(acm: Any, arn: str) -> Certificate:
    described = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    host = described["DomainName"]
    if described.get("Type") != "IMPORTED":
        return Certificate(host, "renewed by ACM itself", _day(described.get("NotAfter")))
    from infra.certificates import self_signed

    certificate, key = self_signed(host)
    acm.import_certificate(CertificateArn=arn, Certificate=certificate.encode(), PrivateKey=key.encode())
    return Certificate(host, "rotated", _day(acm.describe_certificate(CertificateArn=arn)["Certificate"].get("NotAfter")))


def _day(moment: Any) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%d}"
