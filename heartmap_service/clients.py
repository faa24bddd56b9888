"""The AWS clients of one process. boto3's clients, unlike its resources, may be shared between threads."""

from typing import TYPE_CHECKING, NamedTuple

import boto3
from botocore.config import Config

from heartmap_service.settings import ServiceSettings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sqs.client import SQSClient


class Clients(NamedTuple):
    dynamodb: "DynamoDBClient"
    s3: "S3Client"
    sqs: "SQSClient"


def connect(settings: ServiceSettings) -> Clients:
    """Clients of the settings' region, at the settings' endpoint where one is given (``local``)."""
    session = boto3.Session(region_name=settings.region)
    common = Config(
        connect_timeout=3,
        read_timeout=30,  # above the 20 s of a long poll
        retries={"mode": "standard", "total_max_attempts": 4},
        max_pool_connections=32,
    )
    # What is presigned carries the host: the region's own, since the global one redirects, and a POST does not follow. An
    # emulator has no host name a bucket. s3v4 alone is accepted for objects under a KMS key.
    presigning = Config(
        signature_version="s3v4",
        s3={
            "addressing_style": "path" if settings.aws_endpoint_url else "virtual",
            "us_east_1_regional_endpoint": "regional",
        },
    )
    endpoint = settings.aws_endpoint_url
    return Clients(
        dynamodb=session.client("dynamodb", endpoint_url=endpoint, config=common),
        s3=session.client("s3", endpoint_url=endpoint, config=common.merge(presigning)),
        sqs=session.client("sqs", endpoint_url=endpoint, config=common),
    )
