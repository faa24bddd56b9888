"""The service as the engine calls it, in this process, against an emulated AWS."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, NoReturn

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import struct_pb2
from pulumi.runtime.proto import provider_pb2

from local_cloud.provider import wire
from local_cloud.provider.framework import REGISTRY, UNKNOWN, FileContent, load_handlers
from local_cloud.provider.server import AwsProvider

REGION = "us-east-1"
DEFAULT_TAGS = {"Project": "heartmap", "Environment": "local"}
KEY, QUEUE, TABLE = "aws:kms/key:Key", "aws:sqs/queue:Queue", "aws:dynamodb/table:Table"
SECRET_VERSION = "aws:secretsmanager/secretVersion:SecretVersion"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"


class Aborted(Exception):
    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class Context:
    """What gRPC hands to a servicer."""

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        raise Aborted(code, details)


CONTEXT: Any = Context()


class Engine:
    """Calls the service in the order in which the engine does."""

    def __init__(self, endpoint: str, default_tags: dict[str, str] | None = None, **config: Any) -> None:
        load_handlers()
        self.service = AwsProvider({"AWS_ENDPOINT_URL": endpoint})
        tags = json.dumps({"tags": DEFAULT_TAGS if default_tags is None else default_tags})
        arguments = wire.encode({"region": REGION, "defaultTags": tags, **config})
        self.service.Configure(provider_pb2.ConfigureRequest(args=arguments), CONTEXT)

    @staticmethod
    def urn(token: str, name: str) -> str:
        return f"urn:pulumi:local::heartmap::heartmap:data:Queue${token}::{name}"

    def check(self, token: str, inputs: dict[str, Any], old: dict[str, Any] | None = None, name: str = "trial") -> Any:
        request = provider_pb2.CheckRequest(
            urn=self.urn(token, name), news=wire.encode(inputs), olds=wire.encode(old or {}), randomSeed=b"seed"
        )
        return self.service.Check(request, CONTEXT)

    def checked(self, token: str, inputs: dict[str, Any], old: dict[str, Any] | None = None, name: str = "trial") -> Any:
        answer = self.check(token, inputs, old, name)
        assert list(answer.failures) == []
        return answer.inputs

    def reasons(self, token: str, inputs: dict[str, Any]) -> list[str]:
        return [failure.reason for failure in self.check(token, inputs).failures]

    def create(self, token: str, inputs: Any, *, preview: bool = False, name: str = "trial") -> Any:
        request = provider_pb2.CreateRequest(urn=self.urn(token, name), properties=inputs, preview=preview)
        return self.service.Create(request, CONTEXT)

    def diff(self, token: str, made: Any, old: Any, new: Any, ignore: tuple[str, ...] = ()) -> Any:
        request = provider_pb2.DiffRequest(
            urn=self.urn(token, "trial"), id=made.id, olds=made.properties, old_inputs=old, news=new, ignoreChanges=ignore
        )
        return self.service.Diff(request, CONTEXT)

    def read(self, token: str, resource_id: str, properties: Any, inputs: Any) -> Any:
        request = provider_pb2.ReadRequest(urn=self.urn(token, "trial"), id=resource_id, properties=properties, inputs=inputs)
        return self.service.Read(request, CONTEXT)

    def update(self, token: str, made: Any, old: Any, new: Any, *, preview: bool = False) -> Any:
        request = provider_pb2.UpdateRequest(
            urn=self.urn(token, "trial"), id=made.id, olds=made.properties, old_inputs=old, news=new, preview=preview
        )
        return self.service.Update(request, CONTEXT)

    def delete(self, token: str, resource_id: str, properties: Any) -> None:
        self.service.Delete(
            provider_pb2.DeleteRequest(urn=self.urn(token, "trial"), id=resource_id, properties=properties), CONTEXT
        )

    def invoke(self, token: str, **args: Any) -> Any:
        answer = self.service.Invoke(provider_pb2.InvokeRequest(tok=token, args=wire.encode(args)), CONTEXT)
        assert list(answer.failures) == []
        return wire.decode(getattr(answer, "return"))[0]


def table(hash_key: str, **arguments: str) -> dict[str, Any]:
    """The arguments of a table that is replaced when its key is another."""
    return {
        "billingMode": "PAY_PER_REQUEST",
        "hashKey": hash_key,
        "attributes": [{"name": hash_key, "type": "S"}],
        **arguments,
    }


@pytest.fixture(scope="module")
def engine(aws_endpoint: str) -> Engine:
    return Engine(aws_endpoint)


# ---- what is refused


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "https://kms.us-east-1.amazonaws.com",
        "http://127.0.0.1.example.org:5000",
        "http://localhost.example.org",
        "http://10.0.0.1:5000",
        "http://0.0.0.0:5000",
        "http://127.0.0.1@example.org",
        "http://user@127.0.0.1:5000",
        "ftp://127.0.0.1",
        "http://127.0.0.1:port",
        "http://[::2]:5000",
        "127.0.0.1:5000",
    ],
)
def test_an_endpoint_that_is_not_this_machine_is_refused(endpoint: str) -> None:
    with pytest.raises(Aborted, match="AWS_ENDPOINT_URL") as refused:
        Engine(endpoint)
    assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:5000", "http://localhost:5000", "https://[::1]:5000", "http://127.9.9.9"])
def test_an_endpoint_of_this_machine_is_taken(endpoint: str) -> None:
    Engine(endpoint)


def test_the_clients_hold_no_credentials_of_the_machine(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "https://kms.us-east-1.amazonaws.com")
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:3128")
    client = Engine(aws_endpoint).service._aws.client("kms")
    assert client._request_signer._credentials.access_key == "local"
    assert client.meta.endpoint_url == aws_endpoint
    assert client.list_keys()["Keys"] is not None


def test_without_a_region_nothing_is_configured(aws_endpoint: str) -> None:
    with pytest.raises(Aborted, match="aws:region"):
        Engine(aws_endpoint, region=None)


def test_another_account_than_the_allowed_ones_is_refused(aws_endpoint: str) -> None:
    Engine(aws_endpoint, allowedAccountIds=json.dumps(["123456789012"]))
    with pytest.raises(Aborted, match="allowedAccountIds"):
        Engine(aws_endpoint, allowedAccountIds=json.dumps(["210987654321"]))


def test_an_unknown_argument_of_the_provider_is_refused(engine: Engine) -> None:
    request = provider_pb2.CheckRequest(
        urn=engine.urn("pulumi:providers:aws", "aws"), news=wire.encode({"region": REGION, "profile": "x"})
    )
    answer = engine.service.CheckConfig(request, CONTEXT)
    assert [failure.property for failure in answer.failures] == ["profile"]


def test_an_unknown_type_is_refused_by_its_name(engine: Engine) -> None:
    with pytest.raises(Aborted, match=r'^aws:rds/instance:Instance "trial": the local cloud does not know this resource type'):
        engine.check("aws:rds/instance:Instance", {})


def test_an_unknown_argument_is_refused_by_its_name(engine: Engine) -> None:
    (reason,) = engine.reasons(KEY, {"multiRegion": True})
    assert reason.startswith('aws:kms/key:Key: the local cloud does not know the argument "multiRegion": leave it out')


def test_an_unknown_nested_argument_is_refused_by_its_path(engine: Engine) -> None:
    inputs = {"billingMode": "PAY_PER_REQUEST", "hashKey": "a", "attributes": [{"name": "a", "type": "S", "kind": "x"}]}
    (reason,) = engine.reasons(TABLE, inputs)
    assert '"attributes[0].kind" is an argument that the local cloud does not know' in reason


def test_an_object_where_a_plain_value_belongs_is_refused(engine: Engine) -> None:
    (reason,) = engine.reasons(KEY, {"description": {"text": "x"}})
    assert '"description" is an object' in reason


def test_a_plain_value_where_an_object_belongs_is_refused(engine: Engine) -> None:
    (reason,) = engine.reasons(TABLE, {"billingMode": "PAY_PER_REQUEST", "hashKey": "a", "attributes": ["a"]})
    assert '"attributes[0]" has to be an object' in reason


def test_a_missing_argument_is_named(engine: Engine) -> None:
    assert engine.reasons("aws:kms/alias:Alias", {"name": "alias/x"}) == [
        'aws:kms/alias:Alias: the argument "targetKeyId" is missing: give it a value'
    ]


def test_an_unknown_invoke_and_an_unknown_argument_of_one_are_refused(engine: Engine) -> None:
    with pytest.raises(Aborted, match="does not know this invoke"):
        engine.invoke("aws:ec2/getAmi:getAmi")
    request = provider_pb2.InvokeRequest(tok="aws:index/getRegion:getRegion", args=wire.encode({"endpoint": "x"}))
    assert [failure.property for failure in engine.service.Invoke(request, CONTEXT).failures] == ["endpoint"]


def test_what_aws_refuses_is_told_with_the_resource_and_the_call(engine: Engine) -> None:
    inputs = engine.checked("aws:kms/alias:Alias", {"name": "alias/x", "targetKeyId": "missing"})
    with pytest.raises(Aborted, match=r'^aws:kms/alias:Alias "trial": the emulated AWS refused CreateAlias: NotFoundException'):
        engine.create("aws:kms/alias:Alias", inputs)


def test_an_emulated_aws_that_is_not_running_is_said_to_be_so() -> None:
    stopped = Engine("http://127.0.0.1:9")  # the discard port, where nothing listens
    with pytest.raises(Aborted, match="does not answer: is the moto server running") as refused:
        stopped.create(KEY, stopped.checked(KEY, {}))
    assert refused.value.code is grpc.StatusCode.UNAVAILABLE


def test_a_mistake_in_a_handler_shows_no_value(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("a secret value")

    monkeypatch.setattr(REGISTRY[KEY], "create", broken)
    with pytest.raises(Aborted) as refused:
        engine.create(KEY, engine.checked(KEY, {}))
    assert refused.value.text == 'aws:kms/key:Key "trial": the local cloud\'s handler failed (KeyError): please report it'


def test_a_value_that_is_not_known_is_never_created(engine: Engine) -> None:
    with pytest.raises(Aborted, match="these arguments have no value yet: description"):
        engine.create(KEY, wire.encode({"description": UNKNOWN, "enableKeyRotation": True, "isEnabled": True}))


# ---- previews


def test_a_preview_creates_nothing_and_says_which_outputs_are_not_known(engine: Engine) -> None:
    inputs = engine.checked(QUEUE, {"name": "previewed", "kmsMasterKeyId": UNKNOWN})
    planned, _ = wire.decode(engine.create(QUEUE, inputs, preview=True).properties)
    assert planned["url"] is planned["arn"] is planned["kmsMasterKeyId"] is UNKNOWN
    assert (planned["name"], planned["tagsAll"]) == ("previewed", DEFAULT_TAGS)
    assert "QueueUrls" not in engine.service._aws.client("sqs").list_queues(QueueNamePrefix="previewed")


def test_a_previewed_update_keeps_what_cannot_change(engine: Engine) -> None:
    old = engine.checked(QUEUE, {"name": "kept", "delaySeconds": 5})
    made = engine.create(QUEUE, old)
    new = engine.checked(QUEUE, {"name": "kept", "kmsMasterKeyId": UNKNOWN})
    planned, _ = wire.decode(engine.update(QUEUE, made, old, new, preview=True).properties)
    assert planned["url"] == made.id
    assert planned["kmsMasterKeyId"] is UNKNOWN
    assert planned["delaySeconds"] == 0
    live = engine.service._aws.client("sqs").get_queue_attributes(QueueUrl=made.id, AttributeNames=["All"])["Attributes"]
    assert live["DelaySeconds"] == "5"


def test_an_unknown_value_is_a_change(engine: Engine) -> None:
    old = engine.checked(QUEUE, {"name": "change"})
    made = engine.create(QUEUE, old)
    answer = engine.diff(QUEUE, made, old, engine.checked(QUEUE, {"name": UNKNOWN}))
    assert list(answer.replaces) == ["name"]


# ---- secrets


def test_a_secret_argument_is_a_secret_output_and_reaches_aws_in_the_clear(engine: Engine) -> None:
    secret = wire.encode({"name": "secretive", "recoveryWindowInDays": 0})
    arn = engine.create("aws:secretsmanager/secret:Secret", secret).id
    news = wire.encode({"secretId": arn, "secretString": "pepper"}, {"secretString"})
    request = provider_pb2.CheckRequest(urn=engine.urn(SECRET_VERSION, "trial"), news=news)
    inputs = engine.service.Check(request, CONTEXT).inputs
    assert wire.decode(inputs)[1] == {"secretString"}
    made = engine.create(SECRET_VERSION, inputs)
    assert wire.decode(made.properties)[1] == {"secretString"}
    assert "pepper" not in made.id
    read = engine.read(SECRET_VERSION, made.id, made.properties, inputs)
    assert wire.decode(read.properties)[1] == wire.decode(read.inputs)[1] == {"secretString"}
    manager = engine.service._aws.client("secretsmanager")
    assert manager.get_secret_value(SecretId=arn)["SecretString"] == "pepper"


def test_a_secret_within_an_argument_makes_the_argument_secret(engine: Engine) -> None:
    news = struct_pb2.Struct()
    news.update({"description": {wire.SIGNATURE_KEY: wire.SECRET, "value": "hidden"}, "tags": {"a": "b"}})
    request = provider_pb2.CheckRequest(urn=engine.urn(KEY, "trial"), news=news)
    made = engine.create(KEY, engine.service.Check(request, CONTEXT).inputs)
    properties, secrets = wire.decode(made.properties)
    assert secrets == {"description"}
    assert properties["description"] == "hidden"


# ---- differences


def test_the_default_tags_are_applied_and_a_changed_one_is_a_change(engine: Engine, aws_endpoint: str) -> None:
    old = engine.checked(QUEUE, {"name": "tagged", "tags": {"Environment": "mine"}})
    made = engine.create(QUEUE, old)
    expected = {"Project": "heartmap", "Environment": "mine"}
    assert wire.decode(made.properties)[0]["tagsAll"] == expected
    sqs = engine.service._aws.client("sqs")
    assert sqs.list_queue_tags(QueueUrl=made.id)["Tags"] == expected
    assert engine.diff(QUEUE, made, old, old).changes == provider_pb2.DiffResponse.DIFF_NONE

    other = Engine(aws_endpoint, default_tags={"Owner": "someone"})
    answer = other.diff(QUEUE, made, old, old)
    assert list(answer.diffs) == ["tags"]
    assert list(answer.replaces) == []
    other.update(QUEUE, made, old, old)
    assert sqs.list_queue_tags(QueueUrl=made.id)["Tags"] == {"Owner": "someone", "Environment": "mine"}


def test_a_difference_says_what_kind_it_is(engine: Engine) -> None:
    old = engine.checked(QUEUE, {"name": "kinds", "kmsMasterKeyId": "a", "delaySeconds": 1})
    made = engine.create(QUEUE, old)
    new = engine.checked(QUEUE, {"name": "other", "delaySeconds": 2, "maxMessageSize": 1024})
    answer = engine.diff(QUEUE, made, old, new)
    kinds = provider_pb2.PropertyDiff
    assert {path: difference.kind for path, difference in answer.detailedDiff.items()} == {
        "name": kinds.UPDATE_REPLACE,
        "kmsMasterKeyId": kinds.DELETE,
        "delaySeconds": kinds.UPDATE,
        "maxMessageSize": kinds.ADD,
    }
    assert answer.hasDetailedDiff
    assert sorted(answer.diffs) == sorted(answer.detailedDiff)
    assert list(answer.replaces) == ["name"]


def test_ignored_changes_are_no_difference(engine: Engine) -> None:
    old = engine.checked(QUEUE, {"name": "ignored", "delaySeconds": 1})
    made = engine.create(QUEUE, old)
    new = engine.checked(QUEUE, {"name": "ignored", "delaySeconds": 2, "tags": {"a": "b"}})
    answer = engine.diff(QUEUE, made, old, new, ignore=("delaySeconds", "tags.a"))
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_a_replacement_of_the_same_name_is_made_after_the_old_one_is_gone(engine: Engine) -> None:
    old = engine.checked(TABLE, table("pk", name="same"))
    made = engine.create(TABLE, old)
    same = engine.diff(TABLE, made, old, engine.checked(TABLE, table("id", name="same")))
    assert (list(same.replaces), same.deleteBeforeReplace) == (["hashKey"], True)
    other = engine.diff(TABLE, made, old, engine.checked(TABLE, table("id", name="other")))
    assert other.deleteBeforeReplace is False


def test_a_name_that_the_program_leaves_out_is_made_once_and_kept(engine: Engine) -> None:
    old = engine.checked(LOG_GROUP, {}, name="access")
    name = wire.decode(old)[0]["name"]
    assert name.startswith("access-")
    assert len(name) == len("access-") + 7
    again, _ = wire.decode(engine.checked(LOG_GROUP, {"retentionInDays": 1}, old=wire.decode(old)[0], name="access"))
    assert again["name"] == name
    request = provider_pb2.CheckRequest(urn=engine.urn(LOG_GROUP, "access"), news=wire.encode({}), randomSeed=b"another")
    assert wire.decode(engine.service.Check(request, CONTEXT).inputs)[0]["name"] != name


def test_a_replacement_of_a_made_up_name_needs_no_deletion_first(engine: Engine) -> None:
    old = engine.checked(TABLE, table("pk"))
    made = engine.create(TABLE, old)
    new = engine.checked(TABLE, table("id"), old=wire.decode(old)[0])
    answer = engine.diff(TABLE, made, old, new)
    assert (list(answer.replaces), answer.deleteBeforeReplace) == (["hashKey"], False)


def test_another_region_replaces_the_provider(engine: Engine) -> None:
    old, new = wire.encode({"region": REGION}), wire.encode({"region": "eu-west-1"})
    answer = engine.service.DiffConfig(provider_pb2.DiffRequest(old_inputs=old, news=new), CONTEXT)
    assert list(answer.replaces) == ["region"]


def test_a_refresh_reports_what_somebody_changed(engine: Engine) -> None:
    inputs = engine.checked(LOG_GROUP, {"name": "/drifting"})
    made = engine.create(LOG_GROUP, inputs)
    engine.service._aws.client("logs").put_retention_policy(logGroupName="/drifting", retentionInDays=7)
    read = engine.read(LOG_GROUP, made.id, made.properties, inputs)
    assert wire.decode(read.inputs)[0]["retentionInDays"] == 7
    refreshed = provider_pb2.CreateResponse(id=read.id, properties=read.properties)
    assert list(engine.diff(LOG_GROUP, refreshed, read.inputs, inputs).diffs) == ["retentionInDays"]


def test_the_invokes_answer_who_and_where(engine: Engine) -> None:
    identity = engine.invoke("aws:index/getCallerIdentity:getCallerIdentity")
    assert identity["accountId"] == identity["id"] == "123456789012"
    assert engine.invoke("aws:index/getRegion:getRegion")["region"] == REGION
    partition = engine.invoke("aws:index/getPartition:getPartition")
    assert (partition["partition"], partition["dnsSuffix"]) == ("aws", "amazonaws.com")
    zones = engine.invoke("aws:index/getAvailabilityZones:getAvailabilityZones", state="available")
    assert zones["names"][:2] == ["us-east-1a", "us-east-1b"]
    assert len(zones["zoneIds"]) == len(zones["names"])


# ---- the life of each type


def policy(*actions: str) -> str:
    statement = {"Sid": "A", "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def identity_policy(action: str) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]})


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def expiry(images: int) -> str:
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": images}
    return json.dumps({"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]})


def self_signed() -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "internal.example.org")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    plain = serialization.NoEncryption()
    return certificate, key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


@pytest.fixture(scope="module")
def there(aws: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """What the resources under test refer to, made without the provider."""
    ec2 = aws("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]

    def subnet(third: int, zone: str) -> str:
        return ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{third}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]

    subnets = [subnet(0, "us-east-1a"), subnet(1, "us-east-1b"), subnet(2, "us-east-1c")]

    def group(name: str) -> str:
        return ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]

    s3 = aws("s3")
    s3.create_bucket(Bucket="settled")
    s3.put_bucket_versioning(Bucket="settled", VersioningConfiguration={"Status": "Enabled"})
    queue = aws("sqs").create_queue(QueueName="there")["QueueUrl"]
    aws("iam").create_role(RoleName="there", AssumeRolePolicyDocument=trust("ecs.amazonaws.com"))
    elb = aws("elbv2")
    balancer = elb.create_load_balancer(Name="there", Subnets=subnets[:2])["LoadBalancers"][0]["LoadBalancerArn"]
    targets = [
        elb.create_target_group(Name=name, Protocol="HTTPS", Port=8443, VpcId=vpc, TargetType="ip")["TargetGroups"][0][
            "TargetGroupArn"
        ]
        for name in ("first", "second")
    ]
    certificate, key = self_signed()
    imported = aws("acm").import_certificate(Certificate=certificate.encode(), PrivateKey=key.encode())["CertificateArn"]
    zone = aws("route53").create_hosted_zone(Name="example.org", CallerReference="there")["HostedZone"]["Id"].rpartition("/")[2]
    aws("ecr").create_repository(repositoryName="there")
    file = tmp_path_factory.mktemp("assets") / "code.zip"
    file.write_bytes(b"first")
    return SimpleNamespace(
        vpc=vpc,
        subnets=subnets,
        groups=[group("one"), group("two")],
        route_tables=[ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"] for _ in range(2)],
        keys=[aws("kms").create_key()["KeyMetadata"]["KeyId"] for _ in range(2)],
        key_arn=aws("kms").create_key()["KeyMetadata"]["Arn"],
        queue=queue,
        queue_arn="arn:aws:sqs:us-east-1:123456789012:there",
        policy=aws("iam").create_policy(PolicyName="there", PolicyDocument=identity_policy("s3:GetObject"))["Policy"]["Arn"],
        secret=aws("secretsmanager").create_secret(Name="there")["ARN"],
        balancer=balancer,
        targets=targets,
        certificate=imported,
        material=[self_signed(), self_signed()],
        zone=zone,
        file=file,
    )


class Life(NamedTuple):
    """One type: its first arguments, those to change in place (None takes one away), and those whose change replaces it."""

    token: str
    arguments: Callable[[Any], dict[str, Any]]
    changes: Callable[[Any], dict[str, Any]] = lambda _: {}
    replaced_by: Callable[[Any], dict[str, Any]] = lambda _: {}
    outlives: bool = False
    """Deleting it leaves it where it is: it belongs to another resource."""


def rule(description: str) -> Callable[[Any], dict[str, Any]]:
    ports = {"ipProtocol": "tcp", "fromPort": 443, "toPort": 443}
    return lambda t: {
        "securityGroupId": t.groups[0],
        "referencedSecurityGroupId": t.groups[1],
        "description": description,
        **ports,
    }


def lifecycle(days: int) -> dict[str, Any]:
    return {
        "rules": [
            {
                "id": "expire",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "expiration": {"days": days},
                "noncurrentVersionExpiration": {"noncurrentDays": 30},
                "abortIncompleteMultipartUpload": {"daysAfterInitiation": 2},
            }
        ]
    }


def encrypted(key: str) -> dict[str, Any]:
    default = {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": key}
    return {"rules": [{"applyServerSideEncryptionByDefault": default, "bucketKeyEnabled": True}]}


def notified(prefix: str, queue: str) -> dict[str, Any]:
    return {"queues": [{"id": "uploaded", "queueArn": queue, "events": ["s3:ObjectCreated:*"], "filterPrefix": prefix}]}


def asset(path: Path, content: bytes) -> FileContent:
    import hashlib

    path.write_bytes(content)
    return FileContent(path, None, hashlib.sha256(content).hexdigest())


OWN_TAGS = {"tags": {"Name": "changed"}}
BLOCKED = dict.fromkeys(["blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"], True)
INDEX = {"name": "listing", "hashKey": "listing_key", "rangeKey": "created_at", "projectionType": "ALL"}
HEALTH = {"protocol": "HTTPS", "path": "/healthz", "matcher": "200", "interval": 15, "timeout": 5}

LIVES = [
    Life(
        "aws:ec2/vpc:Vpc",
        lambda _: {"cidrBlock": "10.8.0.0/16", "enableDnsHostnames": True, "tags": {"Name": "heartmap"}},
        lambda _: {"enableDnsHostnames": False, **OWN_TAGS},
        lambda _: {"cidrBlock": "10.7.0.0/16"},
    ),
    Life(
        "aws:ec2/subnet:Subnet",
        lambda t: {"vpcId": t.vpc, "cidrBlock": "10.9.9.0/24", "availabilityZoneId": "use1-az2"},
        lambda _: {"mapPublicIpOnLaunch": True, **OWN_TAGS},
        lambda _: {"cidrBlock": "10.9.8.0/24"},
    ),
    Life("aws:ec2/routeTable:RouteTable", lambda t: {"vpcId": t.vpc}, lambda _: OWN_TAGS, lambda _: {"vpcId": "vpc-other"}),
    Life(
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        lambda t: {"subnetId": t.subnets[2], "routeTableId": t.route_tables[0]},
        replaced_by=lambda t: {"routeTableId": t.route_tables[1]},
    ),
    Life(
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        lambda t: {
            "vpcId": t.vpc,
            "serviceName": "com.amazonaws.us-east-1.sqs",
            "vpcEndpointType": "Interface",
            "subnetIds": t.subnets[:2],
            "securityGroupIds": t.groups[:1],
            "privateDnsEnabled": True,
        },
        lambda t: {"securityGroupIds": t.groups[1:], **OWN_TAGS},
        lambda _: {"serviceName": "com.amazonaws.us-east-1.logs"},
    ),
    Life(
        "aws:ec2/securityGroup:SecurityGroup",
        lambda t: {"name": "balancer", "description": "Internal load balancer", "vpcId": t.vpc},
        lambda _: {"revokeRulesOnDelete": True, **OWN_TAGS},
        lambda _: {"description": "another"},
    ),
    Life(
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        lambda t: {"vpcId": t.vpc, "ingress": [], "egress": []},
        lambda _: OWN_TAGS,
        lambda _: {"vpcId": "vpc-other"},
        outlives=True,
    ),
    Life("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", rule("in"), lambda _: OWN_TAGS, lambda _: {"toPort": 8443}),
    Life(
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", rule("out"), lambda _: OWN_TAGS, lambda _: {"description": "x"}
    ),
    Life(
        KEY,
        lambda _: {"description": "data", "enableKeyRotation": True, "deletionWindowInDays": 7, "policy": policy("kms:*")},
        lambda _: {"description": "more data", "enableKeyRotation": False, "policy": policy("kms:Decrypt"), **OWN_TAGS},
    ),
    Life(
        "aws:kms/alias:Alias",
        lambda t: {"name": "alias/data", "targetKeyId": t.keys[0]},
        lambda t: {"targetKeyId": t.keys[1]},
        lambda _: {"name": "alias/other"},
    ),
    Life(
        "aws:s3/bucket:Bucket",
        lambda _: {"bucket": "lived-in"},
        lambda _: {"forceDestroy": True, **OWN_TAGS},
        lambda _: {"bucket": "another"},
    ),
    Life(
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        lambda _: {"bucket": "settled", **BLOCKED},
        lambda _: {"blockPublicAcls": False},
        lambda _: {"bucket": "another"},
    ),
    Life(
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        lambda _: {"bucket": "settled", "rule": {"objectOwnership": "BucketOwnerEnforced"}},
        lambda _: {"rule": {"objectOwnership": "BucketOwnerPreferred"}},
    ),
    Life(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        lambda t: {"bucket": "settled", **encrypted(t.key_arn)},
        lambda _: {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]},
    ),
    Life(
        "aws:s3/bucketVersioning:BucketVersioning",
        lambda _: {"bucket": "settled", "versioningConfiguration": {"status": "Enabled"}},
        lambda _: {"versioningConfiguration": {"status": "Suspended"}},
        outlives=True,
    ),
    Life(
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        lambda _: {"bucket": "settled", **lifecycle(30)},
        lambda _: lifecycle(60),
    ),
    Life(
        "aws:s3/bucketPolicy:BucketPolicy",
        lambda _: {"bucket": "settled", "policy": policy("s3:GetObject")},
        lambda _: {"policy": policy("s3:*")},
    ),
    Life(
        "aws:s3/bucketNotification:BucketNotification",
        lambda t: {"bucket": "settled", **notified("uploads/", t.queue_arn)},
        lambda t: notified("other/", t.queue_arn),
    ),
    Life(
        "aws:s3/bucketObjectv2:BucketObjectv2",
        lambda t: {"bucket": "settled", "key": "authorizer/code.zip", "source": asset(t.file, b"first")},
        lambda t: {"source": asset(t.file, b"second"), **OWN_TAGS},
        lambda _: {"key": "other"},
    ),
    Life(
        TABLE,
        lambda t: {
            "name": "jobs",
            "billingMode": "PAY_PER_REQUEST",
            "hashKey": "pk",
            "attributes": [{"name": name, "type": "S"} for name in ("pk", "listing_key", "created_at")],
            "globalSecondaryIndexes": [INDEX],
            "ttl": {"attributeName": "expires_at", "enabled": True},
            "serverSideEncryption": {"enabled": True, "kmsKeyArn": t.key_arn},
            "pointInTimeRecovery": {"enabled": True},
            "deletionProtectionEnabled": True,
        },
        lambda _: {
            "attributes": [{"name": "pk", "type": "S"}],
            "globalSecondaryIndexes": None,
            "ttl": {"attributeName": "gone_at", "enabled": True},
            "pointInTimeRecovery": {"enabled": False},
            "deletionProtectionEnabled": False,
            **OWN_TAGS,
        },
        lambda _: {"hashKey": "listing_key"},
    ),
    Life(
        QUEUE,
        lambda t: {
            "name": "work",
            "visibilityTimeoutSeconds": 120,
            "receiveWaitTimeSeconds": 20,
            "kmsMasterKeyId": t.key_arn,
            "redrivePolicy": json.dumps({"deadLetterTargetArn": t.queue_arn, "maxReceiveCount": 3}),
        },
        lambda t: {
            "visibilityTimeoutSeconds": 60,
            "redrivePolicy": json.dumps({"deadLetterTargetArn": t.queue_arn, "maxReceiveCount": 4}),
            **OWN_TAGS,
        },
        lambda _: {"name": "other"},
    ),
    Life(
        "aws:sqs/queuePolicy:QueuePolicy",
        lambda t: {"queueUrl": t.queue, "policy": policy("sqs:SendMessage")},
        lambda _: {"policy": policy("sqs:*")},
    ),
    Life(
        "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
        lambda t: {"queueUrl": t.queue, "redriveAllowPolicy": json.dumps({"redrivePermission": "denyAll"})},
        lambda _: {"redriveAllowPolicy": json.dumps({"redrivePermission": "allowAll"})},
    ),
    Life(
        "aws:iam/role:Role",
        lambda _: {"name": "task", "description": "a", "assumeRolePolicy": trust("ecs-tasks.amazonaws.com")},
        lambda t: {
            "description": "b",
            "assumeRolePolicy": trust("lambda.amazonaws.com"),
            "permissionsBoundary": t.policy,
            "maxSessionDuration": 7200,
            **OWN_TAGS,
        },
        lambda _: {"name": "other"},
    ),
    Life(
        "aws:iam/policy:Policy",
        lambda _: {"name": "task", "description": "a", "policy": identity_policy("s3:GetObject")},
        lambda _: {"policy": identity_policy("s3:PutObject"), **OWN_TAGS},
        lambda _: {"description": "b"},
    ),
    Life(
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        lambda t: {"role": "there", "policyArn": t.policy},
        replaced_by=lambda _: {"role": "other"},
    ),
    Life(
        LOG_GROUP,
        lambda t: {"name": "/heartmap/api", "retentionInDays": 30, "kmsKeyId": t.key_arn},
        lambda t: {"retentionInDays": 365, **OWN_TAGS},
        lambda _: {"name": "/heartmap/other"},
    ),
    Life(
        "aws:secretsmanager/secret:Secret",
        lambda t: {"name": "heartmap/authorizer", "description": "a", "kmsKeyId": t.key_arn, "recoveryWindowInDays": 7},
        lambda _: {"description": "b", "recoveryWindowInDays": 0, **OWN_TAGS},
        lambda _: {"name": "other"},
    ),
    Life(
        SECRET_VERSION,
        lambda t: {"secretId": t.secret, "secretString": "one"},
        replaced_by=lambda _: {"secretString": "two"},
        outlives=True,
    ),
    Life(
        "aws:lb/loadBalancer:LoadBalancer",
        lambda t: {
            "name": "service",
            "loadBalancerType": "application",
            "internal": True,
            "subnets": t.subnets[:2],
            "securityGroups": t.groups[:1],
            "dropInvalidHeaderFields": True,
            "desyncMitigationMode": "strictest",
            "enableDeletionProtection": True,
            "accessLogs": {"bucket": "settled", "prefix": "balancer", "enabled": True},
        },
        lambda t: {
            "subnets": t.subnets,
            "securityGroups": t.groups,
            "enableDeletionProtection": False,
            "accessLogs": None,
            "idleTimeout": 30,
            **OWN_TAGS,
        },
        lambda _: {"internal": False},
    ),
    Life(
        "aws:lb/targetGroup:TargetGroup",
        lambda t: {
            "name": "service",
            "vpcId": t.vpc,
            "targetType": "ip",
            "protocol": "HTTPS",
            "port": 8443,
            "deregistrationDelay": 30,
            "healthCheck": HEALTH,
        },
        lambda _: {"deregistrationDelay": 60, "healthCheck": {**HEALTH, "path": "/health", "matcher": "200-299"}, **OWN_TAGS},
        lambda _: {"port": 443},
    ),
    Life(
        "aws:lb/listener:Listener",
        lambda t: {
            "loadBalancerArn": t.balancer,
            "port": 443,
            "protocol": "HTTPS",
            "sslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
            "certificateArn": t.certificate,
            "defaultActions": [{"type": "forward", "targetGroupArn": t.targets[0]}],
        },
        lambda t: {
            "sslPolicy": "ELBSecurityPolicy-TLS13-1-3-2021-06",
            "defaultActions": [{"type": "forward", "targetGroupArn": t.targets[1]}],
            **OWN_TAGS,
        },
        lambda _: {"loadBalancerArn": "other"},
    ),
    Life(
        "aws:acm/certificate:Certificate",
        lambda t: {"certificateBody": t.material[0][0], "privateKey": t.material[0][1]},
        lambda t: {"certificateBody": t.material[1][0], "privateKey": t.material[1][1], **OWN_TAGS},
    ),
    Life("aws:acm/certificateValidation:CertificateValidation", lambda t: {"certificateArn": t.certificate}, outlives=True),
    Life(
        "aws:route53/record:Record",
        lambda t: {"zoneId": t.zone, "name": "proof.example.org.", "type": "CNAME", "ttl": 300, "records": ["a.aws."]},
        lambda _: {"ttl": 60, "records": ["b.aws."], "allowOverwrite": True},
        lambda _: {"name": "other"},
    ),
    Life(
        "aws:ecr/repository:Repository",
        lambda t: {
            "name": "service",
            "imageScanningConfiguration": {"scanOnPush": True},
            "encryptionConfigurations": [{"encryptionType": "KMS", "kmsKey": t.key_arn}],
        },
        lambda _: {
            "imageScanningConfiguration": {"scanOnPush": False},
            "imageTagMutability": "IMMUTABLE",
            "forceDelete": True,
            **OWN_TAGS,
        },
        lambda _: {"encryptionConfigurations": [{"encryptionType": "AES256"}]},
    ),
    Life(
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        lambda _: {"repository": "there", "policy": expiry(20)},
        lambda _: {"policy": expiry(10)},
        lambda _: {"repository": "other"},
    ),
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.token.rpartition(":")[2])
def test_a_resource_can_be_made_read_changed_and_deleted(life: Life, engine: Engine, there: SimpleNamespace) -> None:
    handler, given = REGISTRY[life.token], life.arguments(there)
    inputs = engine.checked(life.token, given)
    made = engine.create(life.token, inputs)
    state, _ = wire.decode(made.properties)
    assert made.id
    assert state.keys() <= handler.arguments | handler.computed | {"tagsAll"}, "every output is declared"
    assert handler.required <= given.keys()

    # Right after, nothing differs: neither for a refresh nor for a second deployment.
    read = engine.read(life.token, made.id, made.properties, inputs)
    assert wire.decode(read.inputs) == wire.decode(inputs)
    assert wire.decode(read.properties) == wire.decode(made.properties)
    assert engine.diff(life.token, made, inputs, inputs).changes == provider_pb2.DiffResponse.DIFF_NONE

    changes = life.changes(there)
    if changes:
        altered = engine.checked(life.token, {name: value for name, value in {**given, **changes}.items() if value is not None})
        difference = engine.diff(life.token, made, inputs, altered)
        assert set(difference.diffs) == changes.keys()
        assert list(difference.replaces) == []
        updated = engine.update(life.token, made, inputs, altered)
        read = engine.read(life.token, made.id, updated.properties, altered)
        assert wire.decode(read.inputs) == wire.decode(altered)
        assert wire.decode(read.properties) == wire.decode(updated.properties)
        made, inputs = provider_pb2.CreateResponse(id=made.id, properties=updated.properties), altered

    replacement = engine.checked(life.token, {**wire.decode(inputs)[0], **life.replaced_by(there)})
    assert set(engine.diff(life.token, made, inputs, replacement).replaces) == life.replaced_by(there).keys()

    engine.delete(life.token, made.id, made.properties)
    gone = engine.read(life.token, made.id, made.properties, inputs)
    assert bool(gone.id) is life.outlives
    engine.delete(life.token, made.id, made.properties)  # which is fine


def test_every_registered_type_is_tried_somewhere_in_these_tests() -> None:
    load_handlers()
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    names = {token: token.rpartition(":")[2] for token in REGISTRY}  # by which one of the tests makes up its tokens
    assert [token for token, name in names.items() if f'"{token}"' not in text and f'of("{name}")' not in text] == []
