"""What the service works on, without the rest of a stack: buckets, tables, queue and notification, as the stack deploys them."""

import json
from typing import Any

from heartmap_service.clients import Clients

REGION = "eu-west-1"
RECEIVES_BEFORE_DEAD = 10


def create_jobs_table(dynamodb: Any) -> None:
    """The table of uploads and analyses, by itself. ``dynamodb`` is a boto3 client."""
    dynamodb.create_table(
        TableName="jobs",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "listing_key", "created_at")],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "listing",
                "KeySchema": [
                    {"AttributeName": "listing_key", "KeyType": "HASH"},
                    {"AttributeName": "created_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )


def create(clients: Clients, *, visibility: int = 120) -> dict[str, Any]:
    """Makes them in an empty emulated AWS; their names as settings. ``visibility`` is the queue's, in seconds."""
    s3, dynamodb, sqs = clients.s3, clients.dynamodb, clients.sqs
    for bucket in ("uploads", "results"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    create_jobs_table(dynamodb)
    dynamodb.create_table(
        TableName="config",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}, {"AttributeName": "version", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "name", "AttributeType": "S"},
            {"AttributeName": "version", "AttributeType": "N"},
        ],
    )
    dead_url = sqs.create_queue(QueueName="dead")["QueueUrl"]
    redrive = json.dumps({"deadLetterTargetArn": _arn(sqs, dead_url), "maxReceiveCount": RECEIVES_BEFORE_DEAD})
    attributes: Any = {"VisibilityTimeout": str(visibility), "RedrivePolicy": redrive}
    queue_url = sqs.create_queue(QueueName="jobs", Attributes=attributes)["QueueUrl"]
    s3.put_bucket_notification_configuration(
        Bucket="uploads",
        NotificationConfiguration={
            "QueueConfigurations": [
                {
                    "QueueArn": _arn(sqs, queue_url),
                    "Events": ["s3:ObjectCreated:*"],
                    "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "uploads/"}]}},
                }
            ]
        },
    )
    return {
        "environment": "local",
        "uploads_bucket": "uploads",
        "results_bucket": "results",
        "jobs_table": "jobs",
        "config_table": "config",
        "queue_url": queue_url,
        "region": REGION,
    }


def create_key_tables(dynamodb: Any) -> dict[str, str]:
    """Makes the tables of API keys and of their use; their names as the authorizer's variables."""
    for table, key in (("api-keys", "public_id"), ("key-use", "id")):
        dynamodb.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        )
    return {
        "HEARTMAP_API_KEYS_TABLE": "api-keys",
        "HEARTMAP_LOCK_OUTS_TABLE": "api-keys",
        "HEARTMAP_KEY_USE_TABLE": "key-use",
    }


def _arn(sqs: Any, url: str) -> str:
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
