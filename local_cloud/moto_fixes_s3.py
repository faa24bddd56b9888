"""What moto does otherwise than S3, as far as buckets' settings go. Applied with the other fixes, see `moto_fixes`."""

import functools
import re
import threading
from collections.abc import Callable
from typing import Any

from moto.s3 import models
from moto.s3.responses import S3Response

from local_cloud.moto_patching import replace


def tell_of_eventbridge() -> None:
    """S3: GetBucketNotificationConfiguration says, by an empty element, that events go to EventBridge. moto leaves it out.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketNotificationConfiguration.html
    """

    def make(original: Any) -> Any:
        def get_bucket_notification(self: Any) -> Any:
            status, headers, body = original(self)
            configuration = self.backend.get_bucket_notification_configuration(self.bucket_name)
            if configuration is not None and configuration.event_bridge is not None:
                end = "</NotificationConfiguration>"
                whole = re.sub(r"<NotificationConfiguration([^>]*)/>", rf"<NotificationConfiguration\1>{end}", body)
                body = whole.replace(end, f"<EventBridgeConfiguration></EventBridgeConfiguration>{end}")
            return status, headers, body

        return get_bucket_notification

    replace(S3Response, "get_bucket_notification", make)


def lock_buckets_in_use() -> None:
    """S3: a default retention can be set on a bucket that holds objects, and is for those to come. moto refuses it.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-configure.html
    """

    def make(original: Any) -> Any:
        def put_object_lock_configuration(
            self: Any,
            bucket_name: str,
            lock_enabled: bool,
            mode: str | None = None,
            days: int | None = None,
            years: int | None = None,
        ) -> None:
            bucket = self.get_bucket(bucket_name)
            if not bucket.object_lock_enabled:
                original(self, bucket_name, lock_enabled, mode, days, years)
                return
            bucket.default_lock_mode, bucket.default_lock_days, bucket.default_lock_years = mode, days, years

        return put_object_lock_configuration

    replace(models.S3Backend, "put_object_lock_configuration", make)


def list_between_changes() -> None:
    """S3: a listing is of one moment. moto walks the keys while others are deleted, and fails at what is gone."""
    one_at_a_time = threading.RLock()

    def make(original: Any) -> Any:
        @functools.wraps(original)
        def locked(*args: Any, **kwargs: Any) -> Any:
            with one_at_a_time:
                return original(*args, **kwargs)

        return locked

    for name in ("put_object", "delete_object", "list_objects", "list_object_versions"):
        replace(models.S3Backend, name, make)


FIXES: tuple[Callable[[], None], ...] = (tell_of_eventbridge, lock_buckets_in_use, list_between_changes)
