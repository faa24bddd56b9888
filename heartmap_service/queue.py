"""What travels on the queue: tokens of analyses and imports, from the API, and uploads to check.

Of uploads it is S3 that tells, or, where they are scanned for malware, GuardDuty by way of EventBridge once it has looked at one.
"""

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_plus

from heartmap_service.storage import SCAN_CLEAN

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

ULID_PATTERN = r"[0-7][0-9A-HJKMNP-TV-Z]{25}"
_ULID = re.compile(ULID_PATTERN, re.ASCII)
_UPLOAD_KEY = re.compile(rf"uploads/({ULID_PATTERN})", re.ASCII)

SCAN_RESULT = "GuardDuty Malware Protection Object Scan Result"
"""What EventBridge calls GuardDuty's results."""

LONG_POLL = 10
"""Seconds. SQS allows 20; a worker that is told to stop has to be gone within 25."""


FRESH_AFTER = 5
"""A message that was received so often is replaced by a copy when it is given back. The queue takes messages that come too often
for such as nobody can handle, but waiting for others, or for AWS, is no fault of a message."""


class RunAnalysis(NamedTuple):
    """The token of this name: an analysis is to be run. Which one, job_store says."""

    token: str
    request_id: str


class CheckUploads(NamedTuple):
    upload_ids: tuple[str, ...]


class CopyUpload(NamedTuple):
    """The data set is in S3 already, and is to be copied from there."""

    upload_id: str


class RejectUpload(NamedTuple):
    """The malware scan did not find the upload clean. ``result`` is GuardDuty's word for what it found instead."""

    upload_id: str
    result: str


class Nothing(NamedTuple):
    """S3's test event, or an event of an object that is no upload."""


class Malformed(NamedTuple):
    """No message of ours. It is left for the dead-letter queue."""


Work = RunAnalysis | CheckUploads | CopyUpload | RejectUpload | Nothing | Malformed


class Message(NamedTuple):
    """``sent_at`` in seconds since the epoch; ``receives`` counts this time as well."""

    work: Work
    receipt: str
    message_id: str
    body: str = ""
    sent_at: float = 0.0
    receives: int = 1


class Queue:
    def __init__(self, sqs: "SQSClient", url: str) -> None:
        self._sqs = sqs
        self._url = url

    def send(self, analysis_id: str, request_id: str) -> None:
        """Sends the analysis's token. Sent twice, it is one token all the same."""
        self._send({"analysis_id": analysis_id, "request_id": request_id})

    def send_copy(self, upload_id: str) -> None:
        """Asks for the copy of an upload's source."""
        self._send({"copy_upload_id": upload_id})

    def _send(self, document: dict[str, str]) -> None:
        self._sqs.send_message(QueueUrl=self._url, MessageBody=json.dumps(document))

    def receive(self) -> Message | None:
        """The next message, or None after LONG_POLL seconds without one."""
        answer: Any = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=LONG_POLL,
            MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
        )
        for message in answer.get("Messages", []):
            attributes = message.get("Attributes", {})
            return Message(
                parse(message.get("Body", "")),
                message.get("ReceiptHandle", ""),
                message.get("MessageId", ""),
                message.get("Body", ""),
                int(attributes.get("SentTimestamp", 0)) / 1000,
                int(attributes.get("ApproximateReceiveCount", 1)),
            )
        return None

    def done(self, message: Message) -> None:
        self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt)

    def keep(self, message: Message, seconds: int) -> None:
        """Hides the message for so long from now on; 0 gives it back at once."""
        self._sqs.change_message_visibility(QueueUrl=self._url, ReceiptHandle=message.receipt, VisibilityTimeout=seconds)

    def again(self, message: Message, seconds: int) -> None:
        """Gives the message back, to come again after so many seconds (up to 900)."""
        if message.receives < FRESH_AFTER:
            self.keep(message, seconds)
            return
        # Two of them are better than none.
        self._sqs.send_message(QueueUrl=self._url, MessageBody=message.body, DelaySeconds=seconds)
        self.done(message)


def parse(body: str) -> Work:
    """What a message asks for."""
    try:
        document = json.loads(body)
        if "analysis_id" in document:
            token, request_id = document["analysis_id"], document.get("request_id", "")
            return RunAnalysis(token, str(request_id)) if _ULID.fullmatch(token) else Malformed()
        if "copy_upload_id" in document:
            return CopyUpload(document["copy_upload_id"]) if _ULID.fullmatch(document["copy_upload_id"]) else Malformed()
        if document.get("Event") == "s3:TestEvent":
            return Nothing()
        if "detail-type" in document:
            return _scanned(document)
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html: keys are URL-encoded.
        keys = [
            unquote_plus(r["s3"]["object"]["key"]) for r in document["Records"] if r["eventName"].startswith("ObjectCreated:")
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Malformed()
    upload_ids = tuple(match.group(1) for key in keys if (match := _UPLOAD_KEY.fullmatch(key)))
    return CheckUploads(upload_ids) if upload_ids else Nothing()


def _scanned(event: dict[str, Any]) -> Work:
    """What GuardDuty found in an object. Only the one word for a clean one lets it be read; any other, known or not, rejects it.

    https://docs.aws.amazon.com/guardduty/latest/ug/monitor-with-eventbridge-s3-malware-protection.html
    """
    if event["detail-type"] != SCAN_RESULT:
        return Malformed()
    detail = event["detail"]
    match = _UPLOAD_KEY.fullmatch(detail["s3ObjectDetails"]["objectKey"])
    if match is None:
        return Nothing()
    result = (detail.get("scanResultDetails") or {}).get("scanResultStatus")
    if detail["scanStatus"] == "COMPLETED" and result == SCAN_CLEAN:
        return CheckUploads((match.group(1),))
    return RejectUpload(match.group(1), str(result or detail["scanStatus"]))
