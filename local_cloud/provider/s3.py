"""S3 buckets, their settings (each a resource of its own) and objects."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

import base64
import mimetypes
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from local_cloud.provider.framework import (
    Aws,
    Failure,
    FileContent,
    Inputs,
    Refused,
    ResourceType,
    changed,
    from_tag_list,
    ignoring_gone,
    none_if_gone,
    register,
    same_json,
    undoing,
)
from local_cloud.provider.names import from_aws, pascal, to_aws

HOSTED_ZONES = {"us-east-1": "Z3AQBSTGFYJSTF"}
"""Route 53 zone of a region's S3 endpoint (AWS General Reference, Amazon S3 website endpoints)."""


def _versions(aws: Aws, bucket: str, key: str = "") -> Iterator[dict[str, str]]:
    """Key and VersionId of all versions and delete markers; of one key when it is given."""
    for page in aws.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
        for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            if not key or version["Key"] == key:
                yield {"Key": version["Key"], "VersionId": version["VersionId"]}


@register
class Bucket(ResourceType):
    token = "aws:s3/bucket:Bucket"
    arguments = frozenset({"bucket", "forceDestroy", "objectLockEnabled", "tags"})
    replaces = frozenset({"bucket", "objectLockEnabled"})
    defaults: ClassVar = {"forceDestroy": False, "objectLockEnabled": False}
    computed = frozenset({"arn", "bucketDomainName", "bucketRegionalDomainName", "hostedZoneId", "region"})
    unique = "bucket"
    autoname = "bucket"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        # us-east-1 is the region that must not be named (CreateBucket, LocationConstraint).
        elsewhere = {} if aws.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
        name = inputs["bucket"]
        if none_if_gone(aws.client("s3").head_bucket, Bucket=name):
            # In us-east-1 AWS would say yes to a bucket that one already owns, and two resources would share it.
            raise Refused(f"the bucket {name} is there already: choose another name or delete it")
        aws.client("s3").create_bucket(Bucket=name, ObjectLockEnabledForBucket=inputs["objectLockEnabled"], **elsewhere)
        with undoing(lambda: self.delete(aws, name, {})):
            self._put_tags(aws, name, inputs)
        return name, {
            "arn": f"arn:{aws.partition}:s3:::{name}",
            "bucketDomainName": f"{name}.s3.amazonaws.com",
            "bucketRegionalDomainName": f"{name}.s3.{aws.region}.amazonaws.com",
            "hostedZoneId": HOSTED_ZONES.get(aws.region),
            "region": aws.region,
        }

    @staticmethod
    def _put_tags(aws: Aws, bucket: str, inputs: Inputs) -> None:
        tags = aws.tag_list(inputs)
        if tags:
            aws.client("s3").put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
        else:
            aws.client("s3").delete_bucket_tagging(Bucket=bucket)

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        s3 = aws.client("s3")
        if none_if_gone(s3.head_bucket, Bucket=resource_id) is None:
            return None
        tags = none_if_gone(s3.get_bucket_tagging, Bucket=resource_id) or {}
        lock = none_if_gone(s3.get_object_lock_configuration, Bucket=resource_id)
        return {"bucket": resource_id, "objectLockEnabled": lock is not None, "tagsAll": from_tag_list(tags.get("TagSet"))}

    def update(self, aws: Aws, resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._put_tags(aws, resource_id, new)  # forceDestroy only matters when it is deleted
        return {}

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        s3 = aws.client("s3")
        with ignoring_gone():
            if state.get("forceDestroy"):
                for version in _versions(aws, resource_id):
                    s3.delete_object(Bucket=resource_id, **version)
            s3.delete_bucket(Bucket=resource_id)


class _BucketSetting(ResourceType):
    """A setting of one bucket, in the form in which the API takes it (`_render`) and gives it back (`_get`)."""

    required = frozenset({"bucket"})
    replaces = frozenset({"bucket"})
    delete_before_replace = True  # a bucket has one
    names: ClassVar[Mapping[str, str]] = {}

    def _render(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return to_aws({name: value for name, value in inputs.items() if name in self.arguments - {"bucket"}}, self.names)

    @abstractmethod
    def _put(self, aws: Aws, bucket: str, setting: dict[str, Any]) -> None: ...

    @abstractmethod
    def _get(self, aws: Aws, bucket: str) -> dict[str, Any]: ...

    @abstractmethod
    def _remove(self, aws: Aws, bucket: str) -> None: ...

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        self._put(aws, inputs["bucket"], self._render(inputs))
        return inputs["bucket"], {}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        live = none_if_gone(self._get, aws=aws, bucket=resource_id)
        if not live:
            return None
        return {} if live == self._render(state) else from_aws(live, self.names)

    def update(self, aws: Aws, resource_id: str, _old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._put(aws, resource_id, self._render(new))
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            self._remove(aws, resource_id)


@register
class BucketPublicAccessBlock(_BucketSetting):
    token = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    arguments = frozenset({"bucket", "blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"})
    defaults: ClassVar = dict.fromkeys(sorted(arguments - {"bucket"}), False)

    def _put(self, aws: Aws, bucket: str, setting: dict[str, Any]) -> None:
        aws.client("s3").put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=setting)

    def _get(self, aws: Aws, bucket: str) -> dict[str, Any]:
        return aws.client("s3").get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]

    def _remove(self, aws: Aws, bucket: str) -> None:
        aws.client("s3").delete_public_access_block(Bucket=bucket)


@register
class BucketOwnershipControls(_BucketSetting):
    token = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
    arguments = frozenset({"bucket", "rule"})
    required = frozenset({"bucket", "rule"})
    nested: ClassVar = {"rule": {"objectOwnership": None}}

    def _put(self, aws: Aws, bucket: str, setting: dict[str, Any]) -> None:
        aws.client("s3").put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [setting["Rule"]]})

    def _get(self, aws: Aws, bucket: str) -> dict[str, Any]:
        rules = aws.client("s3").get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
        return {"Rule": rules[0]}

    def _remove(self, aws: Aws, bucket: str) -> None:
        aws.client("s3").delete_bucket_ownership_controls(Bucket=bucket)


@register
class BucketServerSideEncryptionConfiguration(_BucketSetting):
    token = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    arguments = frozenset({"bucket", "rules"})
    required = frozenset({"bucket", "rules"})
    nested: ClassVar = {
        "rules": {"applyServerSideEncryptionByDefault": {"sseAlgorithm": None, "kmsMasterKeyId": None}, "bucketKeyEnabled": None}
    }
    names: ClassVar = {"sseAlgorithm": "SSEAlgorithm", "kmsMasterKeyId": "KMSMasterKeyID"}

    def _render(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        setting = super()._render(inputs)
        return {"Rules": [{"BucketKeyEnabled": False, **rule} for rule in setting["Rules"]]}

    def _put(self, aws: Aws, bucket: str, setting: dict[str, Any]) -> None:
        aws.client("s3").put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=setting)

    def _get(self, aws: Aws, bucket: str) -> dict[str, Any]:
        return aws.client("s3").get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]

    def _remove(self, aws: Aws, bucket: str) -> None:
        aws.client("s3").delete_bucket_encryption(Bucket=bucket)


@register
class BucketVersioning(_BucketSetting):
    token = "aws:s3/bucketVersioning:BucketVersioning"
    arguments = frozenset({"bucket", "versioningConfiguration"})
    required = frozenset({"bucket", "versioningConfiguration"})
    nested: ClassVar = {"versioningConfiguration": {"status": None}}

    def _put(self, aws: Aws, bucket: str, setting: dict[str, Any]) -> None:
        aws.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration=setting["VersioningConfiguration"])

    def _get(self, aws: Aws, bucket: str) -> dict[str, Any]:
        return {
            "VersioningConfiguration": {"Status": aws.client("s3").get_bucket_versioning(Bucket=bucket).get("Status", "Disabled")}
        }

    def _remove(self, aws: Aws, bucket: str) -> None:
        # Versioning cannot be switched off again, only suspended (PutBucketVersioning), and that not under Object Lock: there it
        # stays, as the AWS provider leaves it.
        try:
            aws.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidBucketState":  # pyright: ignore[reportTypedDictNotRequiredAccess]
                raise


@register
class BucketLifecycleConfiguration(_BucketSetting):
    token = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    arguments = frozenset({"bucket", "rules"})
    required = frozenset({"bucket", "rules"})
    nested: ClassVar = {
        "rules": {
            "id": None,
            "status": None,
            "filter": {"prefix": None},
            "expiration": {"days": None, "expiredObjectDeleteMarker": None},
            "noncurrentVersionExpiration": {"noncurrentDays": None, "newerNoncurrentVersions": None},
            "abortIncompleteMultipartUpload": {"daysAfterInitiation": None},
        }
    }
    names: ClassVar = {"id": "ID"}

    def _put(self, aws: Aws, bucket: str, setting: dict[str, Any]) -> None:
        aws.client("s3").put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=setting)

    def _get(self, aws: Aws, bucket: str) -> dict[str, Any]:
        return {"Rules": aws.client("s3").get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]}

    def _remove(self, aws: Aws, bucket: str) -> None:
        aws.client("s3").delete_bucket_lifecycle(Bucket=bucket)


@register
class BucketPolicy(_BucketSetting):
    token = "aws:s3/bucketPolicy:BucketPolicy"
    arguments = frozenset({"bucket", "policy"})
    required = frozenset({"bucket", "policy"})

    def _put(self, aws: Aws, bucket: str, setting: dict[str, Any]) -> None:
        aws.client("s3").put_bucket_policy(Bucket=bucket, Policy=setting["Policy"])

    def _get(self, aws: Aws, bucket: str) -> dict[str, Any]:
        return {"Policy": aws.client("s3").get_bucket_policy(Bucket=bucket)["Policy"]}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        live = none_if_gone(self._get, aws=aws, bucket=resource_id)
        return {"policy": same_json(live["Policy"], state["policy"])} if live else None

    def _remove(self, aws: Aws, bucket: str) -> None:
        aws.client("s3").delete_bucket_policy(Bucket=bucket)


@register
class BucketLogging(_BucketSetting):
    token = "aws:s3/bucketLogging:BucketLogging"
    arguments = frozenset({"bucket", "targetBucket", "targetPrefix"})
    required = frozenset({"bucket", "targetBucket", "targetPrefix"})

    def _put(self, aws: Aws, bucket: str, setting: dict[str, Any]) -> None:
        aws.client("s3").put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": setting})

    def _get(self, aws: Aws, bucket: str) -> dict[str, Any]:
        return aws.client("s3").get_bucket_logging(Bucket=bucket).get("LoggingEnabled") or {}

    def read(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> dict[str, Any] | None:
        live = none_if_gone(self._get, aws=aws, bucket=resource_id)
        return {name: live[pascal(name)] for name in ("targetBucket", "targetPrefix")} if live else None

    def _remove(self, aws: Aws, bucket: str) -> None:
        aws.client("s3").put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})


@register
class BucketObjectLockConfiguration(_BucketSetting):
    token = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
    arguments = frozenset({"bucket", "rule"})
    required = frozenset({"bucket", "rule"})
    nested: ClassVar = {"rule": {"defaultRetention": {"mode": None, "days": None, "years": None}}}

    def _put(self, aws: Aws, bucket: str, setting: dict[str, Any]) -> None:
        lock = {"ObjectLockEnabled": "Enabled", **setting}
        aws.client("s3").put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)

    def _get(self, aws: Aws, bucket: str) -> dict[str, Any]:
        lock = aws.client("s3").get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
        retention = lock.get("Rule", {}).get("DefaultRetention", {})
        # The emulation answers the unit that was not given as well, as 0.
        return {"Rule": {"DefaultRetention": {name: value for name, value in retention.items() if value}}} if retention else {}

    def _remove(self, aws: Aws, bucket: str) -> None:
        # The lock itself stays with the bucket; only what it does by default can be taken back.
        self._put(aws, bucket, {})


@register
class BucketNotification(_BucketSetting):
    token = "aws:s3/bucketNotification:BucketNotification"
    arguments = frozenset({"bucket", "queues", "eventbridge"})
    defaults: ClassVar = {"eventbridge": False}
    nested: ClassVar = {"queues": {"id": None, "queueArn": None, "events": None, "filterPrefix": None, "filterSuffix": None}}

    def _render(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        rendered = []
        for queue in inputs.get("queues") or []:
            one: dict[str, Any] = {"QueueArn": queue["queueArn"], "Events": queue["events"]}
            if "id" in queue:
                one["Id"] = queue["id"]
            parts = {"prefix": queue.get("filterPrefix"), "suffix": queue.get("filterSuffix")}
            rules = [{"Name": name, "Value": value} for name, value in parts.items() if value]
            if rules:
                one["Filter"] = {"Key": {"FilterRules": rules}}
            rendered.append(one)
        # The mere presence of the empty object switches it on.
        return {"QueueConfigurations": rendered} | ({"EventBridgeConfiguration": {}} if inputs.get("eventbridge") else {})

    def _put(self, aws: Aws, bucket: str, setting: dict[str, Any]) -> None:
        aws.client("s3").put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=setting)

    def _get(self, aws: Aws, bucket: str) -> dict[str, Any]:
        answer = aws.client("s3").get_bucket_notification_configuration(Bucket=bucket)
        events = {"EventBridgeConfiguration": {}} if "EventBridgeConfiguration" in answer else {}
        return {"QueueConfigurations": answer.get("QueueConfigurations", []), **events}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        live = none_if_gone(self._get, aws=aws, bucket=resource_id)
        if not live or live == {"QueueConfigurations": []}:
            return None
        if live == self._render(state):
            return {}
        queues = []
        for one in live["QueueConfigurations"]:
            rules = one.get("Filter", {}).get("Key", {}).get("FilterRules", [])
            parts = {f"filter{rule['Name'].capitalize()}": rule["Value"] for rule in rules}
            queues.append({"id": one["Id"], "queueArn": one["QueueArn"], "events": one["Events"], **parts})
        return {"queues": queues or None, "eventbridge": "EventBridgeConfiguration" in live}

    def _remove(self, aws: Aws, bucket: str) -> None:
        self._put(aws, bucket, {})


@register
class BucketObject(ResourceType):
    """One object. Its content is `source` (a file asset) or `content` (text)."""

    token = "aws:s3/bucketObjectv2:BucketObjectv2"
    _headers: ClassVar = {
        "contentType": "ContentType",
        "serverSideEncryption": "ServerSideEncryption",
        "kmsKeyId": "SSEKMSKeyId",
        "bucketKeyEnabled": "BucketKeyEnabled",
    }
    arguments = frozenset({"bucket", "key", "source", "content", "sourceHash", "forceDestroy", "tags", *_headers})
    required = frozenset({"bucket", "key"})
    replaces = frozenset({"bucket", "key"})
    computed = frozenset({"arn", "etag", "versionId", "contentType", "checksumSha256"})
    volatile = frozenset({"etag", "versionId", "checksumSha256"})

    def check(self, inputs: Inputs, /) -> list[Failure]:
        if ("source" in inputs) == ("content" in inputs):
            return [Failure("source", f"{self.token}: give either source (a FileAsset) or content (a text)")]
        if isinstance(inputs.get("source"), str):
            return [Failure("source", f"{self.token}: source has to be a FileAsset, not a path")]
        return []

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        return f"{inputs['bucket']}/{inputs['key']}", self._put(aws, inputs)

    def _put(self, aws: Aws, inputs: Inputs) -> dict[str, Any]:
        source = inputs.get("source")
        body = source.read() if isinstance(source, FileContent) else inputs["content"].encode()
        headers = {key: inputs[name] for name, key in self._headers.items() if name in inputs}
        headers.setdefault("ContentType", mimetypes.guess_type(inputs["key"])[0] or "application/octet-stream")
        s3, where = aws.client("s3"), {"Bucket": inputs["bucket"], "Key": inputs["key"]}
        answer = s3.put_object(**where, Body=body, ChecksumAlgorithm="SHA256", **headers)
        if aws.tags(inputs):
            s3.put_object_tagging(**where, Tagging={"TagSet": aws.tag_list(inputs)})
        return {
            "arn": f"arn:{aws.partition}:s3:::{inputs['bucket']}/{inputs['key']}",
            "etag": answer["ETag"].strip('"'),
            "versionId": answer.get("VersionId"),
            "contentType": headers["ContentType"],
            "checksumSha256": answer.get("ChecksumSHA256"),
        }

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        s3, where = aws.client("s3"), {"Bucket": state["bucket"], "Key": state["key"]}
        answer = none_if_gone(s3.head_object, **where, ChecksumMode="ENABLED")
        if answer is None:
            return None
        tags = s3.get_object_tagging(**where)["TagSet"]
        live = {"etag": answer["ETag"].strip('"'), "contentType": answer["ContentType"], "tagsAll": from_tag_list(tags)}
        source, checksum = state.get("source"), answer.get("ChecksumSHA256")
        if isinstance(source, FileContent) and checksum and _hex(checksum) != source.sha256:
            # Somebody else's content: name it by its hash, so that the next update puts the program's back.
            live["source"] = FileContent(source.path, source.text, _hex(checksum))
        return live

    def update(self, aws: Aws, _resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        if changed(old, new, self.arguments - {"forceDestroy"}) or old.get("tagsAll") != aws.tags(new):
            return self._put(aws, new)
        return {}

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            for version in list(_versions(aws, state["bucket"], state["key"])):
                aws.client("s3").delete_object(Bucket=state["bucket"], **version)


def _hex(checksum: str) -> str:
    return base64.b64decode(checksum).hex()
