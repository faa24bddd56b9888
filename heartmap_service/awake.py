"""Keeps the queue's metrics coming, by which workers are started from none.

Six hours after the last call SQS ceases to tell CloudWatch about a queue, and takes up to a quarter of an hour to begin again: so
long would the first job of a morning wait for a worker to be started.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/monitoring-using-cloudwatch.html
"""

import threading
from typing import TYPE_CHECKING

import structlog
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

INTERVAL = 3600.0
"""Seconds between two calls."""

_log = structlog.get_logger()


def keep_awake(sqs: "SQSClient", queue_url: str, stop: threading.Event) -> None:
    """Calls the queue now and every INTERVAL seconds, until ``stop`` is set. A call that fails is logged."""
    while not stop.is_set():
        try:
            sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        except (BotoCoreError, ClientError) as error:
            _log.warning("queue not reached", error=type(error).__name__)
        stop.wait(INTERVAL)
