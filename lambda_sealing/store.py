"""The audit bucket's part for the seals. Nothing in it is ever put twice: prod's Object Lock would keep both."""

from typing import TYPE_CHECKING

from lambda_sealing.seals import name_of, sequence_of

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

# 409: another put of the same key is under way. https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
_THERE_ALREADY = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


class TooLarge(Exception):
    """An object is larger than whatever is written here."""


class Store:
    """Objects of the bucket by their keys. Every method raises what boto3 raises."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def latest(self, prefix: str) -> int:
        """The last sequence under a prefix, 0 when there is none. One that is missing before it changes nothing."""
        if not self.after(prefix, 0, 1):
            return 0
        # S3 lists forwards only: in steps that double until nothing is after, then halved.
        low, high = 1, 1
        while self.after(prefix, high, 1):
            low, high = high + 1, high * 2
        while low < high:
            middle = (low + high) // 2
            if self.after(prefix, middle, 1):
                low = middle + 1
            else:
                high = middle
        return low

    def after(self, prefix: str, sequence: int, most: int) -> list[int]:
        """The first sequences after this one, at most 1000."""
        start = name_of(prefix, sequence)
        listed = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix, StartAfter=start, MaxKeys=most).get("Contents", [])
        return [number for each in listed if (number := sequence_of(prefix, each.get("Key", ""))) is not None]

    def get(self, key: str, most: int) -> bytes:
        """The object's bytes. Raises TooLarge."""
        answer = self._s3.get_object(Bucket=self._bucket, Key=key)
        if answer["ContentLength"] > most:
            raise TooLarge(f"{key} is larger than {most} bytes")
        return answer["Body"].read()

    def put_new(self, key: str, data: bytes, content_type: str) -> bool:
        """Put it, unless the key is there already: then nothing is changed, and the answer is False."""
        # Here: whoever only reads needs no library.
        from botocore.exceptions import ClientError

        try:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType=content_type, IfNoneMatch="*")
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _THERE_ALREADY:
                return False
            raise
        return True
