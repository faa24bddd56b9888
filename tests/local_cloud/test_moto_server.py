"""Each fix shown through the API that a client of AWS uses: a fix that is removed turns its test red."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from local_cloud import moto_fixes
from local_cloud.moto_server import running_moto

REGION = "us-east-1"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with running_moto() as url:
        yield url


@pytest.fixture(scope="module")
def client(endpoint: str) -> Callable[[str], Any]:
    def make(service: str) -> Any:
        return boto3.client(
            service,  # pyright: ignore[reportArgumentType, reportCallIssue]
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(signature_version="s3v4") if service == "s3" else None,
        )

    return make


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"]  # pyright: ignore[reportTypedDictNotRequiredAccess]


# --- the server


def test_what_moto_does_not_implement_is_answered_501(client: Callable[[str], Any]) -> None:
    with pytest.raises(ClientError) as error:
        client("wafv2").list_resources_for_web_acl(WebACLArn="arn:aws:wafv2:us-east-1:123456789012:regional/webacl/a/b")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501  # pyright: ignore[reportTypedDictNotRequiredAccess]


def test_no_page_of_another_origin_is_allowed_to_call(endpoint: str) -> None:
    answer = httpx.get(endpoint, headers={"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_two_test_runs_do_not_see_each_others_state() -> None:
    # In a process of its own: the reset would empty the server that the other tests of this module share.
    program = """
import boto3
from local_cloud.moto_server import running_moto
def s3(url): return boto3.client("s3", endpoint_url=url)
with running_moto() as url:
    s3(url).create_bucket(Bucket="left-behind")
with running_moto() as url:
    print(len(s3(url).list_buckets()["Buckets"]))
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "0"


def test_the_program_serves_the_loopback_only_and_stops_on_a_signal() -> None:
    command = [sys.executable, "-m", "local_cloud.moto_server", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().split()[-1]
            assert url.startswith("http://127.0.0.1:")
            assert httpx.get(f"{url}/moto-api/data.json").status_code == 200
        finally:
            server.terminate()
    assert server.returncode == 0


def test_a_busy_port_is_a_clear_error() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        command = [sys.executable, "-m", "local_cloud.moto_server", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"Port {port} is in use by another program" in done.stderr
    assert "Traceback" not in done.stderr


def test_another_moto_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moto_fixes, "version", lambda _: "6.0.0")
    with pytest.raises(moto_fixes.FixDoesNotFit, match=r"5\.2\.5, not 6\.0\.0"):
        moto_fixes.apply.__wrapped__()


def test_a_fix_of_what_is_not_there_is_refused() -> None:
    class Owner:
        there = 1

    with pytest.raises(moto_fixes.FixDoesNotFit, match=r"has no Owner.absent"):
        moto_fixes.replace(Owner, "absent", lambda original: original)
    with pytest.raises(moto_fixes.FixDoesNotFit, match=r"has Owner.there by now"):
        moto_fixes.add(Owner, "there", lambda: None)


# --- SQS


def test_a_queue_keeps_its_policies_when_another_attribute_changes(client: Callable[[str], Any]) -> None:
    sqs = client("sqs")
    statement = {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    allow = json.dumps({"redrivePermission": "denyAll"})
    url = sqs.create_queue(QueueName="kept", Attributes={"Policy": policy})["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedriveAllowPolicy": allow})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "120"})
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["Policy"] == policy
    assert attributes["RedriveAllowPolicy"] == allow
    assert attributes["VisibilityTimeout"] == "120"

    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": "", "RedriveAllowPolicy": ""})
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert "Policy" not in attributes
    assert "RedriveAllowPolicy" not in attributes


# --- S3


def bucket_policy(bucket: str, condition: dict[str, Any] | None) -> str:
    statement = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement | ({"Condition": condition} if condition else {})]})


def test_a_conditional_denial_does_not_block_and_a_plain_one_does(client: Callable[[str], Any]) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="denials")
    s3.put_object(Bucket="denials", Key="k", Body=b"1")
    tls_only = bucket_policy("denials", {"Bool": {"aws:SecureTransport": "false"}})
    s3.put_bucket_policy(Bucket="denials", Policy=tls_only)
    assert s3.get_object(Bucket="denials", Key="k")["Body"].read() == b"1"
    assert s3.get_bucket_policy(Bucket="denials")["Policy"] == tls_only
    s3.put_bucket_policy(Bucket="denials", Policy=bucket_policy("denials", None))
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket="denials", Key="k")
    assert code_of(error) in {"403", "AccessDenied"}


def test_any_existing_bucket_can_be_a_log_target(client: Callable[[str], Any]) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="source")
    s3.create_bucket(Bucket="target")
    s3.put_bucket_policy(Bucket="target", Policy=bucket_policy("target", {"Bool": {"aws:SecureTransport": "false"}}))
    logging = {"LoggingEnabled": {"TargetBucket": "target", "TargetPrefix": "s3/"}}
    s3.put_bucket_logging(Bucket="source", BucketLoggingStatus=logging)
    assert s3.get_bucket_logging(Bucket="source")["LoggingEnabled"]["TargetBucket"] == "target"


@pytest.fixture(scope="module")
def uploads(client: Callable[[str], Any]) -> tuple[str, str]:
    """A versioned bucket that announces what arrives under uploads/ to a queue; gives the bucket and the queue's URL."""
    s3, sqs = client("s3"), client("sqs")
    s3.create_bucket(Bucket="incoming")
    s3.put_bucket_versioning(Bucket="incoming", VersioningConfiguration={"Status": "Enabled"})
    url = sqs.create_queue(QueueName="arrivals")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    prefix = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "uploads/"}]}}
    queue = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": prefix}
    s3.put_bucket_notification_configuration(Bucket="incoming", NotificationConfiguration={"QueueConfigurations": [queue]})
    return "incoming", url


def events(sqs: Any, url: str) -> list[dict[str, Any]]:
    """What is in the queue, without S3's own test event."""
    found = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found.extend(json.loads(message["Body"]).get("Records", []))
    return found


def post(s3: Any, bucket: str, body: bytes, *, limit: int = 10, key: str = "uploads/1", **changes: str | None) -> httpx.Response:
    """Upload by a presigned POST, with some of its fields changed (None: left out)."""
    form = s3.generate_presigned_post(bucket, "uploads/1", Conditions=[["content-length-range", 1, limit]])
    fields = {**form["fields"], "key": key, **changes}
    return httpx.post(form["url"], data={k: v for k, v in fields.items() if v is not None}, files={"file": body})


def test_a_presigned_post_is_stored_and_announced_with_its_version(
    client: Callable[[str], Any], uploads: tuple[str, str]
) -> None:
    bucket, queue = uploads
    s3 = client("s3")
    assert post(s3, bucket, b"0123456789").status_code == 204
    stored = s3.get_object(Bucket=bucket, Key="uploads/1")
    assert stored["Body"].read() == b"0123456789"
    (event,) = events(client("sqs"), queue)
    assert event["eventName"] == "ObjectCreated:Post"
    assert event["s3"]["bucket"]["name"] == bucket
    assert event["s3"]["object"]["key"] == "uploads%2F1"
    assert event["s3"]["object"]["versionId"] == stored["VersionId"]


def test_a_post_beyond_its_size_range_is_refused_and_not_stored(client: Callable[[str], Any], uploads: tuple[str, str]) -> None:
    bucket, queue = uploads
    s3 = client("s3")
    before = s3.list_object_versions(Bucket=bucket).get("Versions", [])
    large, empty = post(s3, bucket, b"0123456789X"), post(s3, bucket, b"")
    assert (large.status_code, "<Code>EntityTooLarge</Code>" in large.text) == (400, True)
    assert (empty.status_code, "<Code>EntityTooSmall</Code>" in empty.text) == (400, True)
    assert s3.list_object_versions(Bucket=bucket).get("Versions", []) == before
    assert events(client("sqs"), queue) == []


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"key": "uploads/other"}, 403, "Policy Condition failed"),
        ({"key": "results/1"}, 403, "Policy Condition failed"),
        ({"policy": None}, 403, "Access Denied"),
        ({"policy": "bm90IGpzb24="}, 400, "Invalid Policy"),
        ({"x-amz-algorithm": None}, 400, "X-Amz-Algorithm"),
        ({"x-amz-algorithm": "AWS"}, 400, "Please use AWS4-HMAC-SHA256"),
        ({"acl": "public-read"}, 403, "Extra input fields: acl"),
    ],
)
def test_a_post_against_its_policy_is_refused(
    client: Callable[[str], Any], uploads: tuple[str, str], changes: dict[str, str | None], status: int, words: str
) -> None:
    answer = post(client("s3"), uploads[0], b"1", **changes)  # pyright: ignore[reportArgumentType]
    assert (answer.status_code, words in answer.text) == (status, True)


def test_a_post_after_its_time_is_refused(client: Callable[[str], Any], uploads: tuple[str, str]) -> None:
    s3 = client("s3")
    form = s3.generate_presigned_post(uploads[0], "uploads/1", ExpiresIn=-1)
    answer = httpx.post(form["url"], data=form["fields"], files={"file": b"1"})
    assert (answer.status_code, "Policy expired" in answer.text) == (403, True)


def test_a_completed_multipart_upload_is_announced_once(client: Callable[[str], Any], uploads: tuple[str, str]) -> None:
    bucket, queue = uploads
    s3 = client("s3")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="uploads/2")["UploadId"]
    place = {"Bucket": bucket, "Key": "uploads/2", "UploadId": upload}
    url = s3.generate_presigned_url("upload_part", Params={**place, "PartNumber": 1})
    etag = httpx.put(url, content=b"x" * 1000).headers["etag"]
    s3.complete_multipart_upload(**place, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    (event,) = events(client("sqs"), queue)
    assert event["eventName"] == "ObjectCreated:CompleteMultipartUpload"


def test_a_bucket_is_listed_while_its_objects_come_and_go(
    client: Callable[[str], Any],
) -> None:
    client("s3").create_bucket(Bucket="busy")
    client("s3").put_bucket_versioning(Bucket="busy", VersioningConfiguration={"Status": "Enabled"})
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    usual = sys.getswitchinterval()

    def come_and_go(key: str) -> None:
        for _ in range(100):
            backend.put_object("busy", key, b"x")
            for version in backend.list_object_versions("busy", prefix=key)[0]:
                backend.delete_object("busy", key, version_id=version.version_id)

    sys.setswitchinterval(1e-6)  # so that threads meet in the middle of a call, as they do under load
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(come_and_go, ["a", "b", "c", "d"]))
    finally:
        sys.setswitchinterval(usual)
    assert "Versions" not in client("s3").list_object_versions(Bucket="busy")


def test_what_arrives_outside_the_prefix_is_not_announced(client: Callable[[str], Any], uploads: tuple[str, str]) -> None:
    bucket, queue = uploads
    client("s3").put_object(Bucket=bucket, Key="elsewhere/1", Body=b"1")
    assert events(client("sqs"), queue) == []


# --- API Gateway


@pytest.fixture
def api(client: Callable[[str], Any]) -> Iterator[dict[str, Any]]:
    gateway = client("apigateway")
    made = gateway.create_rest_api(
        name="a",
        endpointConfiguration={"types": ["REGIONAL"]},
        disableExecuteApiEndpoint=True,
        securityPolicy="SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09",
        endpointAccessMode="STRICT",
        binaryMediaTypes=["multipart/form-data"],
        policy=json.dumps({"Version": "2012-10-17", "Statement": []}),
    )
    yield made
    with contextlib.suppress(gateway.exceptions.NotFoundException):
        gateway.delete_rest_api(restApiId=made["id"])


def test_a_rest_api_keeps_its_tls_settings_and_they_can_change(client: Callable[[str], Any], api: dict[str, Any]) -> None:
    gateway = client("apigateway")
    kept = gateway.get_rest_api(restApiId=api["id"])
    assert kept["securityPolicy"] == "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09"
    assert kept["endpointAccessMode"] == "STRICT"
    assert kept["binaryMediaTypes"] == ["multipart/form-data"]
    assert kept["disableExecuteApiEndpoint"] is True
    for path, value in (("/disableExecuteApiEndpoint", "false"), ("/endpointAccessMode", "BASIC"), ("/name", "b")):
        operation = {"op": "replace", "path": path, "value": value}
        changed = gateway.update_rest_api(restApiId=api["id"], patchOperations=[operation])
    assert (changed["disableExecuteApiEndpoint"], changed["endpointAccessMode"], changed["name"]) == (False, "BASIC", "b")


def test_an_api_policy_comes_back_escaped_once_more(client: Callable[[str], Any], api: dict[str, Any]) -> None:
    policy = client("apigateway").get_rest_api(restApiId=api["id"])["policy"]
    assert policy.startswith('{\\"Version\\"')
    assert json.loads(policy.replace('\\"', '"'))["Version"] == "2012-10-17"


@pytest.fixture
def method(client: Callable[[str], Any], api: dict[str, Any]) -> dict[str, str]:
    """A method with an integration; gives the arguments that name it."""
    gateway = client("apigateway")
    resource = gateway.create_resource(restApiId=api["id"], parentId=api["rootResourceId"], pathPart="{id}")["id"]
    place = {"restApiId": api["id"], "resourceId": resource, "httpMethod": "GET"}
    authorizer = gateway.create_authorizer(
        restApiId=api["id"],
        name="authorizer",
        type="TOKEN",
        authorizerUri="arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/x/invocations",
        identitySource="method.request.header.Authorization",
    )["id"]
    gateway.put_method(
        **place, authorizationType="CUSTOM", authorizerId=authorizer, requestParameters={"method.request.path.id": True}
    )
    gateway.put_integration(
        **place,
        type="HTTP_PROXY",
        integrationHttpMethod="GET",
        uri="https://internal.example/{id}",
        connectionType="VPC_LINK",
        connectionId="link",
        integrationTarget="arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/a/b",
        requestParameters={"integration.request.path.id": "method.request.path.id"},
        tlsConfig={"insecureSkipVerification": True},
    )
    return place


def test_an_integration_names_its_link_its_target_and_its_defaults(client: Callable[[str], Any], method: dict[str, str]) -> None:
    found = client("apigateway").get_integration(**method)
    assert found["connectionId"] == "link"
    assert found["integrationTarget"].endswith("loadbalancer/app/a/b")
    assert found["tlsConfig"] == {"insecureSkipVerification": True}
    assert found["timeoutInMillis"] == 29000
    assert found["passthroughBehavior"] == "WHEN_NO_MATCH"
    listed = client("apigateway").get_resources(restApiId=method["restApiId"], embed=["methods"])["items"]
    (seen,) = [one["resourceMethods"]["GET"] for one in listed if "resourceMethods" in one]
    assert seen["methodIntegration"]["connectionId"] == "link"


def test_a_method_can_be_updated_without_losing_its_integration(client: Callable[[str], Any], method: dict[str, str]) -> None:
    gateway = client("apigateway")
    operations = [
        {"op": "replace", "path": "/authorizerId", "value": "two"},
        {"op": "replace", "path": "/apiKeyRequired", "value": "true"},
        {"op": "remove", "path": "/requestParameters/method.request.path.id"},
        {"op": "add", "path": "/requestParameters/method.request.querystring.a~1b", "value": "false"},
    ]
    gateway.update_method(**method, patchOperations=operations)
    found = gateway.get_method(**method)
    assert found["authorizerId"] == "two"
    assert found["apiKeyRequired"] is True
    assert found["requestParameters"] == {"method.request.querystring.a/b": False}
    assert found["methodIntegration"]["connectionId"] == "link"
    with pytest.raises(ClientError) as error:
        gateway.update_method(**method, patchOperations=[{"op": "replace", "path": "/nonsense", "value": "1"}])
    assert code_of(error) == "BadRequestException"


def test_overrides_of_a_method_can_be_removed_from_a_stage(client: Callable[[str], Any], method: dict[str, str]) -> None:
    gateway, api = client("apigateway"), method["restApiId"]
    deployment = gateway.create_deployment(restApiId=api, description="first")["id"]
    operation = {"op": "replace", "path": "/description", "value": "second"}
    gateway.update_deployment(restApiId=api, deploymentId=deployment, patchOperations=[operation])
    assert gateway.get_deployment(restApiId=api, deploymentId=deployment)["description"] == "second"

    gateway.create_stage(restApiId=api, stageName="live", deploymentId=deployment)
    limit = {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": "50"}
    stage = gateway.update_stage(restApiId=api, stageName="live", patchOperations=[limit])
    assert stage["methodSettings"]["*/*"]["throttlingRateLimit"] == 50
    stage = gateway.update_stage(restApiId=api, stageName="live", patchOperations=[{"op": "remove", "path": "/*/*"}])
    assert stage.get("methodSettings", {}) == {}


def test_a_domain_name_keeps_its_access_mode_and_can_change(client: Callable[[str], Any]) -> None:
    gateway = client("apigateway")
    gateway.create_domain_name(
        domainName="api.example.org",
        regionalCertificateArn="arn:aws:acm:us-east-1:123456789012:certificate/1",
        securityPolicy="SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09",
        endpointAccessMode="STRICT",
        endpointConfiguration={"types": ["REGIONAL"]},
    )
    assert gateway.get_domain_name(domainName="api.example.org")["endpointAccessMode"] == "STRICT"
    new = "arn:aws:acm:us-east-1:123456789012:certificate/2"
    operation = {"op": "replace", "path": "/regionalCertificateArn", "value": new}
    assert gateway.update_domain_name(domainName="api.example.org", patchOperations=[operation])["regionalCertificateArn"] == new


def test_rest_apis_and_domain_names_can_be_tagged_like_stages(client: Callable[[str], Any], api: dict[str, Any]) -> None:
    gateway = client("apigateway")
    gateway.create_domain_name(domainName="tagged.example.org", tags={"kept": "1"})
    for path in (f"restapis/{api['id']}", "domainnames/tagged.example.org"):
        arn = f"arn:aws:apigateway:us-east-1::/{path}"
        gateway.tag_resource(resourceArn=arn, tags={"a": "1", "b": "2"})
        gateway.untag_resource(resourceArn=arn, tagKeys=["a"])
        tags = gateway.get_tags(resourceArn=arn)["tags"]
        assert ("a" in tags, tags["b"]) == (False, "2")
    assert gateway.get_rest_api(restApiId=api["id"])["tags"] == {"b": "2"}


def test_deleting_what_is_gone_is_not_found(client: Callable[[str], Any], api: dict[str, Any], method: dict[str, str]) -> None:
    gateway = client("apigateway")
    gateway.delete_integration(**method)
    calls = [
        lambda: gateway.delete_resource(restApiId=api["id"], resourceId="none"),
        lambda: gateway.delete_authorizer(restApiId=api["id"], authorizerId="none"),
        lambda: gateway.get_deployment(restApiId=api["id"], deploymentId="none"),
        lambda: gateway.get_integration(restApiId=api["id"], resourceId=api["rootResourceId"], httpMethod="GET"),
        lambda: gateway.delete_integration(restApiId=method["restApiId"], resourceId=method["resourceId"], httpMethod="GET"),
        lambda: gateway.get_request_validator(restApiId=api["id"], requestValidatorId="none"),
        lambda: gateway.delete_rest_api(restApiId="none"),
    ]
    for call in calls:
        with pytest.raises(ClientError) as error:
            call()
        assert code_of(error) == "NotFoundException"


# --- WAF


def web_acl(waf: Any, name: str) -> dict[str, Any]:
    visible = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": "m"}
    rate = {"RateBasedStatement": {"Limit": 100, "AggregateKeyType": "IP"}}
    rule = {"Name": "rate", "Priority": 1, "Statement": rate, "Action": {"Block": {}}, "VisibilityConfig": visible}
    settings = {"Scope": "REGIONAL", "DefaultAction": {"Allow": {}}, "VisibilityConfig": visible}
    return {**settings, **waf.create_web_acl(Name=name, Rules=[rule], **settings)["Summary"]}


def test_a_stage_has_one_web_acl_the_last_associated(client: Callable[[str], Any]) -> None:
    waf = client("wafv2")
    first, second = web_acl(waf, "first"), web_acl(waf, "second")
    stage = "arn:aws:apigateway:us-east-1::/restapis/abc/stages/live"
    waf.associate_web_acl(WebACLArn=first["ARN"], ResourceArn=stage)
    waf.associate_web_acl(WebACLArn=second["ARN"], ResourceArn=stage)
    assert waf.get_web_acl_for_resource(ResourceArn=stage)["WebACL"]["Name"] == "second"
    waf.disassociate_web_acl(ResourceArn=stage)
    assert "WebACL" not in waf.get_web_acl_for_resource(ResourceArn=stage)


def test_a_web_acl_can_lose_all_its_rules(client: Callable[[str], Any]) -> None:
    waf = client("wafv2")
    acl = web_acl(waf, "emptied")
    named = {name: acl[name] for name in ("Name", "Id", "Scope")}
    kept = {name: acl[name] for name in ("DefaultAction", "VisibilityConfig", "LockToken")}
    waf.update_web_acl(**named, **kept, Rules=[])
    assert waf.get_web_acl(**named)["WebACL"]["Rules"] == []


# --- Lambda


def test_a_functions_code_can_be_fetched_and_its_settings_are_kept(client: Callable[[str], Any]) -> None:
    s3, functions, iam = client("s3"), client("lambda"), client("iam")
    s3.create_bucket(Bucket="artifacts")
    with io.BytesIO() as buffer:
        with zipfile.ZipFile(buffer, "w") as package:
            package.writestr("handler.py", "def handler(event, context): ...")
        content = buffer.getvalue()
    s3.put_object(Bucket="artifacts", Key="authorizer/1.zip", Body=content)
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    functions.create_function(
        FunctionName="f",
        Runtime="python3.13",
        Role=role,
        Handler="handler.handler",
        Code={"S3Bucket": "artifacts", "S3Key": "authorizer/1.zip"},
        LoggingConfig={"LogFormat": "JSON", "LogGroup": "/heartmap/authorizer"},
    )
    found = functions.get_function(FunctionName="f")
    assert httpx.get(found["Code"]["Location"]).content == content
    assert found["Configuration"]["LoggingConfig"] == {"LogFormat": "JSON", "LogGroup": "/heartmap/authorizer"}

    functions.update_function_configuration(
        FunctionName="f",
        KMSKeyArn="arn:aws:kms:us-east-1:123456789012:key/1",
        TracingConfig={"Mode": "Active"},
        EphemeralStorage={"Size": 1024},
        LoggingConfig={"LogFormat": "Text", "LogGroup": "/other"},
    )
    functions.update_function_code(FunctionName="f", S3Bucket="artifacts", S3Key="authorizer/1.zip", Architectures=["arm64"])
    now = functions.get_function_configuration(FunctionName="f")
    assert now["KMSKeyArn"].endswith("key/1")
    assert now["TracingConfig"] == {"Mode": "Active"}
    assert now["EphemeralStorage"] == {"Size": 1024}
    assert now["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/other"}
    assert now["Architectures"] == ["arm64"]


# --- ECS


def test_a_service_keeps_how_it_is_deployed_and_follows_its_task_definition(client: Callable[[str], Any]) -> None:
    ecs = client("ecs")
    ecs.create_cluster(clusterName="c")
    for _ in range(2):
        ecs.register_task_definition(family="t", containerDefinitions=[{"name": "a", "image": "a", "memory": 64}])
    ecs.create_service(
        cluster="c",
        serviceName="s",
        taskDefinition="t:1",
        desiredCount=1,
        healthCheckGracePeriodSeconds=60,
        enableExecuteCommand=True,
        deploymentConfiguration={"maximumPercent": 200},
    )

    def found() -> dict[str, Any]:
        return ecs.describe_services(cluster="c", services=["s"])["services"][0]

    assert (found()["healthCheckGracePeriodSeconds"], found()["enableExecuteCommand"]) == (60, True)
    assert found()["deploymentConfiguration"] == {"maximumPercent": 200}
    newer = ecs.describe_task_definition(taskDefinition="t:2")["taskDefinition"]["taskDefinitionArn"]
    ecs.update_service(cluster="c", service="s", taskDefinition=newer)
    assert found()["deployments"][0]["taskDefinition"] == newer


# --- Cognito


def test_updating_a_user_pool_sets_its_mfa_and_its_name(client: Callable[[str], Any]) -> None:
    cognito = client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="p", MfaConfiguration="OFF")["UserPool"]["Id"]
    cognito.update_user_pool(UserPoolId=pool, MfaConfiguration="OPTIONAL", PoolName="q")
    assert cognito.get_user_pool_mfa_config(UserPoolId=pool)["MfaConfiguration"] == "OPTIONAL"
    assert cognito.describe_user_pool(UserPoolId=pool)["UserPool"]["Name"] == "q"


def test_a_protected_user_pool_is_not_deleted(client: Callable[[str], Any]) -> None:
    cognito = client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="protected", DeletionProtection="ACTIVE")["UserPool"]["Id"]
    with pytest.raises(ClientError) as error:
        cognito.delete_user_pool(UserPoolId=pool)
    assert code_of(error) == "InvalidParameterException"
    cognito.update_user_pool(UserPoolId=pool, DeletionProtection="INACTIVE")
    cognito.delete_user_pool(UserPoolId=pool)
