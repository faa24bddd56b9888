"""Where data rests: keys, buckets, tables, the queue of work and the shared secrets."""

import base64
import json
import secrets as random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra.iam import Statement, document, tls_only
from infra.naming import Names

TYPE_KEYS = "heartmap:data:Keys"
TYPE_BUCKET = "heartmap:data:PrivateBucket"
TYPE_BUCKETS = "heartmap:data:Buckets"
TYPE_TABLES = "heartmap:data:Tables"
TYPE_QUEUE = "heartmap:data:Queue"
TYPE_SECRETS = "heartmap:data:Secrets"

UPLOADS_PREFIX = "uploads/"
LISTING_INDEX = "listing"
"""The index of the jobs table by which analyses are listed."""
LOAD_BALANCER_LOG_PREFIX = "load-balancer"

UPLOADS_KEPT_DAYS = 30
RESULTS_KEPT_DAYS = 365
REPLACED_VERSIONS_KEPT_DAYS = 30
UNFINISHED_UPLOADS_KEPT_DAYS = 2

VISIBILITY_SECONDS = 120
"""How long a message that a worker took stays hidden; the worker prolongs it while it works."""
RECEIVES_BEFORE_DEAD = 3
DEAD_LETTERS_KEPT_SECONDS = 14 * 24 * 3600

KEY_DELETION_DAYS = 30
SECRET_BYTES = 32


def _key_owner(names: Names) -> Statement:
    return Statement(
        sid="Account",
        principals={"AWS": (f"arn:{names.partition}:iam::{names.account}:root",)},
        actions=("kms:*",),
        resources=("*",),
        reason="in a key policy * is this key alone, and without its account a key can never be managed again",
    )


@dataclass(frozen=True, kw_only=True)
class KeysArgs:
    names: Names


class Keys(pulumi.ComponentResource):
    """One key for data, one for secrets, one for logs: who reads logs does not thereby read data, and neither reads secrets."""

    data_arn: Output[str]
    secrets_arn: Output[str]
    logs_arn: Output[str]

    def __init__(self, name: str, args: KeysArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_KEYS, name, None, opts)
        self._names, self._child = args.names, ResourceOptions(parent=self)
        self.data_arn = self._key("data", "Data sets, results, tables, the queue and images", self._notifications())
        self.secrets_arn = self._key("secrets", "Secrets and the parameter of the service")
        self.logs_arn = self._key("logs", "Log groups", self._log_groups())
        self.register_outputs({"data_arn": self.data_arn, "secrets_arn": self.secrets_arn, "logs_arn": self.logs_arn})

    def _key(self, purpose: str, description: str, *uses: Statement) -> Output[str]:
        key = aws.kms.Key(
            purpose,
            description=f"{self._names.prefix}: {description}",
            enable_key_rotation=True,
            deletion_window_in_days=KEY_DELETION_DAYS,
            policy=document(_key_owner(self._names), *uses),
            opts=self._child,
        )
        aws.kms.Alias(purpose, name=f"alias/{self._names.of(purpose)}", target_key_id=key.key_id, opts=self._child)
        return key.arn

    def _notifications(self) -> Statement:
        return Statement(
            sid="UploadNotifications",
            principals={"Service": ("s3.amazonaws.com",)},
            actions=("kms:Decrypt", "kms:GenerateDataKey"),
            resources=("*",),
            conditions={"StringEquals": {"aws:SourceAccount": self._names.account}},
            reason="in a key policy * is this key alone",
        )

    def _log_groups(self) -> Statement:
        return Statement(
            sid="LogGroups",
            principals={"Service": (f"logs.{self._names.region}.amazonaws.com",)},
            actions=("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"),
            resources=("*",),
            conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": self._names.arn("logs", "log-group:*")}},
            reason="in a key policy * is this key alone; the two actions come in forms that CloudWatch Logs chooses between",
        )


@dataclass(frozen=True, kw_only=True)
class PrivateBucketArgs:
    """``key_arn`` None means SSE-S3, which is all that load balancer logs can be written under.

    ``kept_days`` None keeps objects for ever. ``emptied_on_delete`` lets a bucket with objects be deleted.
    """

    bucket: str
    key_arn: Input[str] | None
    kept_days: int | None
    emptied_on_delete: bool
    statements: Sequence[Statement] = ()


class PrivateBucket(pulumi.ComponentResource):
    """A bucket that is never public: TLS only, encrypted, versioned, without ACLs.

    ``bucket`` is the name, to be had only once the bucket is all that: nothing is put into it before.
    """

    bucket: Output[str]
    arn: Output[str]

    def __init__(self, name: str, args: PrivateBucketArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_BUCKET, name, None, opts)
        child = ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(name, bucket=args.bucket, force_destroy=args.emptied_on_delete, opts=child)
        closed = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        owned = aws.s3.BucketOwnershipControls(
            name,
            bucket=bucket.bucket,
            rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=child,
        )
        encrypted = aws.s3.BucketServerSideEncryptionConfiguration(
            name, bucket=bucket.bucket, rules=[self._encryption(args.key_arn)], opts=child
        )
        versioning = aws.s3.BucketVersioning(
            name,
            bucket=bucket.bucket,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=child,
        )
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket.bucket,
            rules=self._lifecycle(args.kept_days),
            # The rules speak of versions, which S3 has to know of first.
            opts=ResourceOptions(parent=self, depends_on=[versioning]),
        )
        everything = (bucket.arn, Output.concat(bucket.arn, "/*"))
        policy = aws.s3.BucketPolicy(
            name, bucket=bucket.bucket, policy=document(tls_only(everything, "s3:*"), *args.statements), opts=child
        )
        ready = Output.all(closed.id, owned.id, encrypted.id, versioning.id, policy.id)
        self.bucket, self.arn = _once(ready, bucket.bucket), bucket.arn
        self.register_outputs({"bucket": self.bucket, "arn": self.arn})

    @staticmethod
    def _encryption(key_arn: Input[str] | None) -> aws.s3.BucketServerSideEncryptionConfigurationRuleArgs:
        default = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs
        if key_arn is None:
            return aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                apply_server_side_encryption_by_default=default(sse_algorithm="AES256")
            )
        return aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
            apply_server_side_encryption_by_default=default(sse_algorithm="aws:kms", kms_master_key_id=key_arn),
            bucket_key_enabled=True,
        )

    @staticmethod
    def _lifecycle(kept_days: int | None) -> list[aws.s3.BucketLifecycleConfigurationRuleArgs]:
        expiration = aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=kept_days) if kept_days else None
        return [
            aws.s3.BucketLifecycleConfigurationRuleArgs(
                id="expire",
                status="Enabled",
                filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
                expiration=expiration,
                noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                    noncurrent_days=REPLACED_VERSIONS_KEPT_DAYS
                ),
                abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                    days_after_initiation=UNFINISHED_UPLOADS_KEPT_DAYS
                ),
            )
        ]


@dataclass(frozen=True, kw_only=True)
class BucketsArgs:
    """``logs_kept_days`` is the log retention of the stack."""

    names: Names
    key_arn: Input[str]
    logs_kept_days: int
    emptied_on_delete: bool


class Buckets(pulumi.ComponentResource):
    """Uploaded data sets, results, logs that only S3 takes, and the code of the authorizer."""

    uploads: PrivateBucket
    results: PrivateBucket
    logs: PrivateBucket
    artifacts: PrivateBucket

    def __init__(self, name: str, args: BucketsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_BUCKETS, name, None, opts)
        self._args = args
        self.uploads = self._bucket("uploads", UPLOADS_KEPT_DAYS)
        self.results = self._bucket("results", RESULTS_KEPT_DAYS)
        self.artifacts = self._bucket("artifacts", None)
        self.logs = self._logs()
        self.register_outputs({"uploads": self.uploads.bucket, "results": self.results.bucket})

    def _bucket(self, purpose: str, kept_days: int | None) -> PrivateBucket:
        args = PrivateBucketArgs(
            bucket=self._args.names.bucket(purpose),
            key_arn=self._args.key_arn,
            kept_days=kept_days,
            emptied_on_delete=self._args.emptied_on_delete,
        )
        return PrivateBucket(purpose, args, ResourceOptions(parent=self))

    def _logs(self) -> PrivateBucket:
        names = self._args.names
        bucket = names.bucket("logs")
        # Whose logs these are is said by the path, which the load balancer makes itself. AWS documents no source condition here,
        # and one whose key is not sent refuses every log: the load balancer tries it out, and is not made.
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
        delivery = Statement(
            sid="LoadBalancerLogs",
            principals={"Service": ("logdelivery.elasticloadbalancing.amazonaws.com",)},
            actions=("s3:PutObject",),
            resources=(f"arn:{names.partition}:s3:::{bucket}/{LOAD_BALANCER_LOG_PREFIX}/AWSLogs/{names.account}/*",),
            reason="the load balancer names its log files itself",
        )
        args = PrivateBucketArgs(
            bucket=bucket,
            key_arn=None,
            kept_days=self._args.logs_kept_days,
            emptied_on_delete=self._args.emptied_on_delete,
            statements=(delivery,),
        )
        return PrivateBucket("logs", args, ResourceOptions(parent=self))


@dataclass(frozen=True, kw_only=True)
class TablesArgs:
    names: Names
    key_arn: Input[str]
    deletion_protection: bool


class Tables(pulumi.ComponentResource):
    """Jobs (uploads and analyses), the versions of the configuration, and API keys."""

    jobs: aws.dynamodb.Table
    config: aws.dynamodb.Table
    api_keys: aws.dynamodb.Table

    def __init__(self, name: str, args: TablesArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_TABLES, name, None, opts)
        self._args = args
        self.jobs = self._table(
            "jobs",
            hash_key="pk",
            attributes={"pk": "S", "listing_key": "S", "created_at": "S"},
            indexes=[
                aws.dynamodb.TableGlobalSecondaryIndexArgs(
                    name=LISTING_INDEX, hash_key="listing_key", range_key="created_at", projection_type="ALL"
                )
            ],
            ttl=aws.dynamodb.TableTtlArgs(attribute_name="expires_at", enabled=True),
        )
        self.config = self._table("config", hash_key="name", range_key="version", attributes={"name": "S", "version": "N"})
        self.api_keys = self._table("api-keys", hash_key="public_id", attributes={"public_id": "S"})
        self.register_outputs({"jobs": self.jobs.name, "config": self.config.name, "api_keys": self.api_keys.name})

    def _table(
        self,
        purpose: str,
        *,
        hash_key: str,
        attributes: dict[str, str],
        range_key: str | None = None,
        indexes: list[aws.dynamodb.TableGlobalSecondaryIndexArgs] | None = None,
        ttl: aws.dynamodb.TableTtlArgs | None = None,
    ) -> aws.dynamodb.Table:
        return aws.dynamodb.Table(
            purpose,
            name=self._args.names.of(purpose),
            billing_mode="PAY_PER_REQUEST",
            hash_key=hash_key,
            range_key=range_key,
            attributes=[aws.dynamodb.TableAttributeArgs(name=name, type=kind) for name, kind in attributes.items()],
            global_secondary_indexes=indexes,
            ttl=ttl,
            server_side_encryption=aws.dynamodb.TableServerSideEncryptionArgs(enabled=True, kms_key_arn=self._args.key_arn),
            point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=True),
            deletion_protection_enabled=self._args.deletion_protection,
            opts=ResourceOptions(parent=self),
        )


@dataclass(frozen=True, kw_only=True)
class QueueArgs:
    """``uploads`` is the bucket whose new objects become messages."""

    names: Names
    key_arn: Input[str]
    uploads: PrivateBucket


class Queue(pulumi.ComponentResource):
    """Work for the workers: a message for each new upload and each analysis; what fails three times is a dead letter."""

    url: Output[str]
    arn: Output[str]
    dead_letter_url: Output[str]

    def __init__(self, name: str, args: QueueArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_QUEUE, name, None, opts)
        child = ResourceOptions(parent=self)
        dead = aws.sqs.Queue(
            "dead-letters",
            name=args.names.of("dead-letters"),
            kms_master_key_id=args.key_arn,
            message_retention_seconds=DEAD_LETTERS_KEPT_SECONDS,
            opts=child,
        )
        queue = aws.sqs.Queue(
            "work",
            name=args.names.of("work"),
            kms_master_key_id=args.key_arn,
            visibility_timeout_seconds=VISIBILITY_SECONDS,
            receive_wait_time_seconds=20,
            redrive_policy=Output.json_dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": RECEIVES_BEFORE_DEAD}),
            opts=child,
        )
        aws.sqs.RedriveAllowPolicy(
            "dead-letters",
            queue_url=dead.url,
            redrive_allow_policy=Output.json_dumps({"redrivePermission": "byQueue", "sourceQueueArns": [queue.arn]}),
            opts=child,
        )
        uploaded = Statement(
            sid="UploadNotifications",
            principals={"Service": ("s3.amazonaws.com",)},
            actions=("sqs:SendMessage",),
            resources=(queue.arn,),
            conditions={
                "StringEquals": {"aws:SourceAccount": args.names.account},
                "ArnEquals": {"aws:SourceArn": args.uploads.arn},
            },
        )
        aws.sqs.QueuePolicy("dead-letters", queue_url=dead.url, policy=document(tls_only((dead.arn,), "sqs:*")), opts=child)
        policy = aws.sqs.QueuePolicy(
            "work", queue_url=queue.url, policy=document(tls_only((queue.arn,), "sqs:*"), uploaded), opts=child
        )
        aws.s3.BucketNotification(
            "uploads",
            bucket=args.uploads.bucket,
            queues=[
                aws.s3.BucketNotificationQueueArgs(
                    id="uploaded", queue_arn=queue.arn, events=["s3:ObjectCreated:*"], filter_prefix=UPLOADS_PREFIX
                )
            ],
            # S3 sends a test message at once, and refuses the notification when that is not let in.
            opts=ResourceOptions(parent=self, depends_on=[policy]),
        )
        self.url, self.arn, self.dead_letter_url = queue.url, queue.arn, dead.url
        self.register_outputs({"url": self.url, "dead_letter_url": self.dead_letter_url})


def new_authorizer_secret() -> str:
    """The authorizer's secret as JSON text: a new pepper for API keys, and two keys for assertions.

    One key signs. The other is the next to sign: whoever verifies knows it before it does.
    """

    def fresh() -> str:
        return base64.b64encode(random.token_bytes(SECRET_BYTES)).decode("ascii")

    current, following = (f"k{random.token_hex(8)}" for _ in range(2))
    keys = {current: fresh(), following: fresh()}
    return json.dumps({"api_key_pepper": fresh(), "assertion_keys": keys, "current_assertion_key": current})


def service_secret(authorizer_secret: str) -> str:
    """What the service needs of it: the keys that verify assertions, without the pepper of the API keys."""
    return json.dumps({"assertion_keys": json.loads(authorizer_secret)["assertion_keys"]})


def service_parameter_name(names: Names) -> str:
    """The name of the parameter with the keys that the service verifies assertions by."""
    return f"/{names.prefix}/assertion-keys"


@dataclass(frozen=True, kw_only=True)
class SecretsArgs:
    """``recovery_days`` is how long a deleted secret can be restored; 0 deletes at once."""

    names: Names
    key_arn: Input[str]
    recovery_days: int


class Secrets(pulumi.ComponentResource):
    """What the authorizer and the service share, each in a place that holds no more than its reader needs.

    The service's part is a parameter and not a secret: ECS reads it through an endpoint that the bastion needs anyway, where
    Secrets Manager's own would cost as much again in each zone.
    """

    authorizer_arn: Output[str]
    service_arn: Output[str]
    service_parameter_arn: Output[str]

    def __init__(self, name: str, args: SecretsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_SECRETS, name, None, opts)
        self._args = args
        authorizer = self._secret("authorizer", "API-key pepper and assertion keys")
        version = aws.secretsmanager.SecretVersion(
            "authorizer",
            secret_id=authorizer.id,
            secret_string=Output.secret(new_authorizer_secret()),
            # Made anew in every run and kept from the first: rotation is done in the secret itself.
            opts=ResourceOptions(parent=self, ignore_changes=["secretString"]),
        )
        service = self._secret("service", "Assertion keys")
        # Derived from what is stored, not from what this run made up: the two can never disagree.
        stored = version.secret_string.apply(lambda text: service_secret(str(text)))
        service_version = aws.secretsmanager.SecretVersion(
            "service", secret_id=service.id, secret_string=Output.secret(stored), opts=ResourceOptions(parent=self)
        )
        parameter = aws.ssm.Parameter(
            "service",
            name=service_parameter_name(args.names),
            description="Keys that verify the authorizer's assertions",
            type="SecureString",
            key_id=args.key_arn,
            value=Output.secret(stored),
            # Written anew by each rotation, which no later run may undo.
            opts=ResourceOptions(parent=self, ignore_changes=["value"]),
        )
        self.service_parameter_arn = parameter.arn
        # A secret without a version cannot be read.
        self.authorizer_arn = _once(version.id, authorizer.arn)
        self.service_arn = _once(service_version.id, service.arn)
        self.register_outputs({"authorizer_arn": self.authorizer_arn, "service_arn": self.service_arn})

    def _secret(self, purpose: str, description: str) -> aws.secretsmanager.Secret:
        return aws.secretsmanager.Secret(
            purpose,
            name=f"{self._args.names.prefix}/{purpose}",
            description=description,
            kms_key_id=self._args.key_arn,
            recovery_window_in_days=self._args.recovery_days,
            opts=ResourceOptions(parent=self),
        )


def _once(there: Output[Any], value: Output[str]) -> Output[str]:
    """``value``, but only to be had once ``there`` is."""
    return Output.all(there, value).apply(lambda both: both[1])
