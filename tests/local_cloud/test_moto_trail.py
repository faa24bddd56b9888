"""What the emulated AWS writes into the log group of a trail, and whom it refuses."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_cloud import deployed, moto_trail
from local_cloud.moto_server import running_moto
from local_cloud.moto_trail_records import HIDDEN

REGION = "us-east-1"
ACCOUNT = "123456789012"
GROUP = "trail"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
Client = Callable[..., Any]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with running_moto() as url:

        @functools.cache
        def make(service: str, key: tuple[str, str, str | None] = ("local", "local", None)) -> Any:
            session: Any = boto3.Session(*key, region_name=REGION)
            return session.client(service, endpoint_url=url, config=Config(user_agent="a test", retries={"max_attempts": 1}))

        for group in (GROUP, "other"):
            make("logs").create_log_group(logGroupName=group)
        make("logs").create_log_stream(logGroupName="other", logStreamName="s")
        make("s3").create_bucket(Bucket="kept")
        arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{GROUP}:*"
        make("cloudtrail").create_trail(
            Name="all", S3BucketName="kept", IsMultiRegionTrail=True, CloudWatchLogsLogGroupArn=arn, CloudWatchLogsRoleArn="role"
        )
        yield make


@pytest.fixture
def recorded(client: Client) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Gives the records of what a test called."""
    client("cloudtrail").start_logging(Name="all")
    seen = len(lines(client))
    yield lambda: lines(client)[seen:]
    client("cloudtrail").stop_logging(Name="all")


def lines(client: Client) -> list[dict[str, Any]]:
    pages = client("logs").get_paginator("filter_log_events").paginate(logGroupName=GROUP)
    return [json.loads(event["message"]) for page in pages for event in page["events"]]


def test_a_record_says_who_called_what_from_where_and_what_came_of_it(client: Client, recorded: Any) -> None:
    before = int(time.time())
    group = client("ec2").create_security_group(GroupName="new", Description="of a test")["GroupId"]
    (one,) = recorded()
    assert before <= time.mktime(time.strptime(one.pop("eventTime"), "%Y-%m-%dT%H:%M:%SZ")) - time.timezone <= time.time()
    assert one.pop("userAgent").startswith("a test")
    assert one.pop("eventID") != one.pop("requestID")
    assert one.pop("responseElements")["groupId"] == group
    assert one == {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser",
            "principalId": "local",
            "arn": f"arn:aws:iam::{ACCOUNT}:user/local",
            "accountId": ACCOUNT,
            "accessKeyId": "local",
            "userName": "local",
        },
        "eventSource": "ec2.amazonaws.com",
        "eventName": "CreateSecurityGroup",
        "awsRegion": REGION,
        "sourceIPAddress": "127.0.0.1",
        "requestParameters": {"description": "of a test", "groupName": "new"},
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
    }


def test_each_protocol_of_aws_is_read(client: Client, recorded: Any) -> None:
    client("kms").create_key(Description="json")
    client("iam").create_role(RoleName="query", AssumeRolePolicyDocument=TRUST)
    client("apigateway").create_rest_api(name="rest-json")
    client("apigatewayv2").get_vpc_links()
    client("s3").put_bucket_policy(Bucket="kept", Policy='{"Version": "2012-10-17", "Statement": []}')
    client("ec2").describe_vpcs()
    found = {one["eventName"]: one for one in recorded()}
    assert {name: (one["eventSource"].partition(".")[0], one["readOnly"]) for name, one in found.items()} == {
        "CreateKey": ("kms", False),
        "CreateRole": ("iam", False),
        "CreateRestApi": ("apigateway", False),
        "GetVpcLinks": ("apigateway", True),
        "PutBucketPolicy": ("s3", False),
        "DescribeVpcs": ("ec2", True),
    }
    assert found["CreateKey"]["requestParameters"] == {"description": "json"}
    assert found["CreateKey"]["responseElements"]["keyMetadata"]["description"] == "json"
    assert found["CreateRole"]["requestParameters"]["roleName"] == "query"
    assert found["CreateRole"]["responseElements"]["role"]["roleName"] == "query"
    assert found["CreateRestApi"]["requestParameters"]["name"] == "rest-json"
    assert found["PutBucketPolicy"]["requestParameters"]["bucketName"] == "kept"
    assert found["DescribeVpcs"]["responseElements"] is None


def test_calls_on_buckets_have_the_names_that_cloudtrail_gives_them(client: Client, recorded: Any) -> None:
    s3 = client("s3")
    rule = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket="kept", LifecycleConfiguration={"Rules": [rule]})
    s3.get_bucket_lifecycle_configuration(Bucket="kept")
    s3.delete_bucket_lifecycle(Bucket="kept")
    s3.put_public_access_block(Bucket="kept", PublicAccessBlockConfiguration={"BlockPublicAcls": True})
    s3.list_buckets()
    assert [one["eventName"] for one in recorded()] == [
        "PutBucketLifecycle",
        "GetBucketLifecycle",
        "DeleteBucketLifecycle",
        "PutBucketPublicAccessBlock",
        "ListBuckets",
    ]


def test_no_secret_reaches_a_record(client: Client, recorded: Any) -> None:
    client("secretsmanager").create_secret(Name="s", SecretString="only-for-me-1")
    client("secretsmanager").get_secret_value(SecretId="s")
    client("ssm").put_parameter(Name="p", Value="only-for-me-2", Type="SecureString")
    pool = client("cognito-idp").create_user_pool(PoolName="p")["UserPool"]["Id"]
    client("cognito-idp").admin_create_user(UserPoolId=pool, Username="u", TemporaryPassword="only-for-me-3!A")
    client("iam").create_user(UserName="keys")
    secret = client("iam").create_access_key(UserName="keys")["AccessKey"]["SecretAccessKey"]
    records = recorded()
    assert [one["eventName"] for one in records if one["eventSource"] != "iam.amazonaws.com"] == [
        "CreateSecret",
        "GetSecretValue",
        "PutParameter",
        "CreateUserPool",
        "AdminCreateUser",
    ]
    text = json.dumps(records)
    assert "only-for-me" not in text
    assert secret not in text
    assert records[0]["requestParameters"]["secretString"] == HIDDEN


def test_data_is_none_of_the_trails_business(client: Client, recorded: Any) -> None:
    s3, sqs, logs = client("s3"), client("sqs"), client("logs")
    s3.put_object(Bucket="kept", Key="a/b", Body=b"content")
    s3.list_objects_v2(Bucket="kept")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="m")
    logs.put_log_events(
        logGroupName="other", logStreamName="s", logEvents=[{"timestamp": int(time.time() * 1000), "message": "m"}]
    )
    assert s3.get_object(Bucket="kept", Key="a/b")["Body"].read() == b"content"
    assert [one["eventName"] for one in recorded()] == ["CreateQueue"]


def test_what_stands_for_awss_own_works_makes_no_calls_of_the_account(
    client: Client, recorded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", client("ec2").meta.endpoint_url)
    assert deployed.client("ec2").describe_vpcs()["Vpcs"]
    assert recorded() == []


def test_a_trail_that_is_stopped_records_its_end_and_nothing_after_it(client: Client, recorded: Any) -> None:
    client("cloudtrail").stop_logging(Name="all")
    client("ec2").describe_vpcs()
    client("cloudtrail").start_logging(Name="all")
    assert [one["eventName"] for one in recorded()] == ["StopLogging", "StartLogging"]


def test_a_trail_of_data_alone_gets_no_management_events(client: Client, recorded: Any) -> None:
    def select(category: str) -> None:
        field = {"Field": "eventCategory", "Equals": [category]}
        client("cloudtrail").put_event_selectors(TrailName="all", AdvancedEventSelectors=[{"FieldSelectors": [field]}])

    select("Data")
    client("ec2").describe_vpcs()
    select("Management")
    client("ec2").describe_subnets()
    assert [one["eventName"] for one in recorded()] == ["PutEventSelectors", "PutEventSelectors", "DescribeSubnets"]


def test_what_failed_says_why(client: Client, recorded: Any) -> None:
    with pytest.raises(ClientError):
        client("ec2").delete_security_group(GroupId="sg-0123456789abcdef0")
    with pytest.raises(ClientError):
        client("kms").describe_key(KeyId="alias/none")
    ec2, kms = recorded()
    assert (ec2["errorCode"], ec2["responseElements"]) == ("Client.InvalidGroup.NotFound", None)
    assert ec2["requestParameters"] == {"groupId": "sg-0123456789abcdef0"}
    assert kms["errorCode"] == "NotFoundException"
    assert "alias/none" in kms["errorMessage"]


def test_records_are_written_once_many_wait(client: Client, recorded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    delivered: list[int] = []
    original = moto_trail.Trails.deliver
    monkeypatch.setattr(moto_trail, "MANY", 3)
    monkeypatch.setattr(moto_trail.Trails, "deliver", lambda self: (delivered.append(1), original(self))[1])
    for _ in range(4):
        client("ec2").describe_vpcs()
    assert len(delivered) == 1
    assert len(recorded()) == 4


# --- whom it refuses


@pytest.fixture(scope="module")
def key(client: Client) -> tuple[str, str, str | None]:
    """The key of a user who may look at networks, and take a role."""
    iam = client("iam")
    iam.create_user(UserName="newcomer")
    allowed = {"Effect": "Allow", "Action": ["ec2:DescribeVpcs", "s3:ListAllMyBuckets"], "Resource": "*"}
    taken = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": f"arn:aws:iam::{ACCOUNT}:role/open"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed, taken]})
    iam.put_user_policy(UserName="newcomer", PolicyName="p", PolicyDocument=document)
    made = iam.create_access_key(UserName="newcomer")["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"], None


def refused(call: Callable[..., Any], **given: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**given)
    return error.value.response["Error"]["Code"]  # pyright: ignore[reportTypedDictNotRequiredAccess]


def test_a_user_gets_what_policies_allow_and_nothing_else(client: Client, key: Any, recorded: Any) -> None:
    assert client("ec2", key).describe_vpcs()["Vpcs"]
    assert refused(client("ec2", key).describe_subnets) == "UnauthorizedOperation"
    assert refused(client("iam", key).list_users) == "AccessDenied"
    assert refused(client("s3", key).put_bucket_acl, Bucket="kept", ACL="private") == "AccessDenied"
    assert refused(client("kms", key).create_key) == "AccessDeniedException"
    role = f"arn:aws:iam::{ACCOUNT}:role/closed"
    assert refused(client("sts", key).assume_role, RoleArn=role, RoleSessionName="me") == "AccessDenied"
    records = recorded()
    assert [one.get("errorCode") for one in records] == [
        None,
        "Client.UnauthorizedOperation",
        "AccessDenied",
        "AccessDenied",
        "AccessDeniedException",
        "AccessDenied",
    ]
    assert {(one["userIdentity"]["type"], one["userIdentity"]["userName"]) for one in records} == {("IAMUser", "newcomer")}
    # What was asked is not told of what was refused, but in the message.
    assert records[-1]["requestParameters"] is None
    assert records[-1]["errorMessage"].endswith(f"is not authorized to perform: sts:AssumeRole on resource: {role}")


def test_a_key_with_another_secret_is_none(client: Client, key: Any) -> None:
    assert refused(client("sts", (key[0], "guessed", None)).get_caller_identity) == "SignatureDoesNotMatch"
    assert client("sts", key).get_caller_identity()["Arn"].endswith("user/newcomer")


def test_a_session_of_a_role_is_recorded_as_one(client: Client, recorded: Any) -> None:
    role = client("iam").create_role(RoleName="open", AssumeRolePolicyDocument=TRUST)["Role"]
    given = client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="me")["Credentials"]
    client("ec2", (given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])).describe_vpcs()
    _, taken, used = recorded()
    assert (taken["eventName"], taken["requestParameters"]["roleArn"]) == ("AssumeRole", role["Arn"])
    assert given["SessionToken"] not in json.dumps(taken)
    identity = used["userIdentity"]
    assert (identity["type"], identity["arn"]) == ("AssumedRole", f"arn:aws:sts::{ACCOUNT}:assumed-role/open/me")
    assert identity["sessionContext"]["sessionIssuer"]["arn"] == role["Arn"]
