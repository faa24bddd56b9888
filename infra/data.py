"""Where data rests: keys, buckets, tables, the queue of work and the shared secrets."""

import base64
import json
import secrets as random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra.iam import Statement, document, own_account_only, tls_only
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
ACCESS_LOG_PREFIX = "s3"
TRAIL_PREFIX = "cloudtrail"
"""Where the audit bucket keeps CloudTrail's files."""
SEALS_PREFIX = "application-audit/"
"""Where it keeps the application's own records, sealed."""
SESSIONS_PREFIX = "sessions"
"""Where the audit bucket keeps what was typed on the bastion."""
SCAN_TAG, SCAN_CLEAN = "GuardDutyMalwareScanStatus", "NO_THREATS_FOUND"
"""The tag that GuardDuty puts on an object that it scanned, and the one value of it that opens the object."""

LOGGED_BUCKETS = ("uploads", "results", "artifacts", "audit")
"""The buckets whose requests are logged: all but the one with the logs."""

UPLOADS_KEPT_DAYS = 30
RESULTS_KEPT_DAYS = 365
REPLACED_VERSIONS_KEPT_DAYS = 30
UNFINISHED_UPLOADS_KEPT_DAYS = 2

VISIBILITY_SECONDS = 120
"""How long a message that a worker took stays hidden; the worker prolongs it while it works."""
RECEIVES_BEFORE_DEAD = 10
"""How often a message may come back. How often an analysis or a check is tried is counted in its own record, which ends with a
reason; dead letters are for what cannot even be read or begun, and every worker that dies costs one of these as well."""
DEAD_LETTERS_KEPT_SECONDS = 14 * 24 * 3600

EVENTS = "events.amazonaws.com"
QUEUE = "work"

KEY_DELETION_DAYS = 30
SECRET_BYTES = 32


def key_owner(names: Names) -> Statement:
    """The statement of a key policy by which the account's own policies say who else may use the key."""
    return Statement(
        sid="Account",
        principals={"AWS": (f"arn:{names.partition}:iam::{names.account}:root",)},
        actions=("kms:*",),
        resources=("*",),
        reason="in a key policy * is this key alone, and without its account a key can never be managed again",
    )


@dataclass(frozen=True, kw_only=True)
class KeysArgs:
    """``malware_scan`` is whether it is EventBridge, not S3, that puts new uploads on the queue."""

    names: Names
    malware_scan: bool
    protected: bool


class Keys(pulumi.ComponentResource):
    """One key for data, one for secrets, one for logs: who reads logs does not thereby read data, and neither reads secrets."""

    data_arn: Output[str]
    secrets_arn: Output[str]
    logs_arn: Output[str]

    def __init__(self, name: str, args: KeysArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_KEYS, name, None, opts)
        self._names, self._protected = args.names, args.protected
        sender = EVENTS if args.malware_scan else "s3.amazonaws.com"
        self.data_arn = self._key("data", "Data sets, results, tables, the queue and images", self._uses("UploadNotices", sender))
        self.secrets_arn = self._key("secrets", "Secrets and the parameter of the service")
        self.logs_arn = self._key(
            "logs",
            "Log groups, audit records and alarms",
            self._log_groups(),
            self._trail(),
            self._uses("Alarms", "cloudwatch.amazonaws.com"),
            self._uses("Budget", "budgets.amazonaws.com"),
        )
        self.register_outputs({"data_arn": self.data_arn, "secrets_arn": self.secrets_arn, "logs_arn": self.logs_arn})

    def _key(self, purpose: str, description: str, *uses: Statement) -> Output[str]:
        key = aws.kms.Key(
            purpose,
            description=f"{self._names.prefix}: {description}",
            enable_key_rotation=True,
            deletion_window_in_days=KEY_DELETION_DAYS,
            policy=document(key_owner(self._names), *uses),
            opts=ResourceOptions(parent=self, protect=self._protected),
        )
        alias = f"alias/{self._names.of(purpose)}"
        aws.kms.Alias(purpose, name=alias, target_key_id=key.key_id, opts=ResourceOptions(parent=self))
        return key.arn

    def _uses(self, sid: str, service: str) -> Statement:
        """What a service needs that sends to an encrypted queue or topic.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
        """
        key, value = "aws:SourceAccount", self._names.account
        if service == EVENTS:
            # EventBridge tells KMS no account that it acts for. SQS tells the queue that a data key is for.
            key, value = "kms:EncryptionContext:aws:sqs:arn", self._names.arn("sqs", self._names.of(QUEUE))
        return Statement(
            sid=sid,
            principals={"Service": (service,)},
            actions=("kms:Decrypt", "kms:GenerateDataKey"),
            resources=("*",),
            conditions={"StringEquals": {key: value}},
            reason="in a key policy * is this key alone",
        )

    def _trail(self) -> Statement:
        """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-kms-key-policy-for-cloudtrail.html"""
        return Statement(
            sid="Trail",
            principals={"Service": ("cloudtrail.amazonaws.com",)},
            # Decrypt is for the audit bucket's own data key, and for the topic that tells of new files.
            actions=("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*"),
            resources=("*",),
            conditions={"StringEquals": {"aws:SourceArn": trail_arn(self._names)}},
            reason="in a key policy * is this key alone; the action comes in forms that CloudTrail chooses between",
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


def trail_arn(names: Names) -> str:
    """The ARN of the stack's trail, which policies have to name before it is made."""
    return names.arn("cloudtrail", f"trail/{names.prefix}")


def scan_rule_name(names: Names) -> str:
    """The name of the EventBridge rule that carries the results of malware scans."""
    return names.of("scan-results")


def sealer_role_name(names: Names) -> str:
    """The name of the role under which the audit records are sealed."""
    return names.of("sealing")


def scanner_role_name(names: Names) -> str:
    """The name of the role under which GuardDuty reads and tags uploads."""
    return names.of("malware-scan")


class Lock(NamedTuple):
    """Object Lock. ``days`` is how long nobody, not even the account's owner, can delete an object; 0 locks none by default."""

    days: int


@dataclass(frozen=True, kw_only=True)
class PrivateBucketArgs:
    """``key_arn`` None means SSE-S3, which is all that access logs can be written under.

    ``account`` owns the bucket, and nobody of another one gets in. ``access_logs`` is the bucket that is told of every request,
    None for that bucket itself, whose logs would never end. ``kept_days`` None keeps objects for ever. ``emptied_on_delete``
    lets a bucket with objects be deleted.
    """

    bucket: str
    account: str
    key_arn: Input[str] | None
    access_logs: Input[str] | None
    kept_days: int | None
    emptied_on_delete: bool
    protected: bool
    lock: Lock | None = None
    statements: Sequence[Statement] = ()


class PrivateBucket(pulumi.ComponentResource):
    """A bucket that is never public: for its account and with TLS only, encrypted, versioned, without ACLs.

    ``bucket`` is the name, to be had only once the bucket is all that: nothing is put into it before.
    """

    bucket: Output[str]
    arn: Output[str]

    def __init__(self, name: str, args: PrivateBucketArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_BUCKET, name, None, opts)
        child = ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(
            name,
            bucket=args.bucket,
            force_destroy=args.emptied_on_delete,
            object_lock_enabled=True if args.lock else None,
            opts=ResourceOptions(parent=self, protect=args.protected),
        )
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
        guards = (tls_only(everything, "s3:*"), own_account_only(args.account, everything, "s3:*"))
        policy = aws.s3.BucketPolicy(name, bucket=bucket.bucket, policy=document(*guards, *args.statements), opts=child)
        made: list[Output[str]] = [closed.id, owned.id, encrypted.id, versioning.id, policy.id]
        if args.access_logs is not None:
            logged = aws.s3.BucketLogging(
                name,
                bucket=bucket.bucket,
                target_bucket=args.access_logs,
                target_prefix=f"{ACCESS_LOG_PREFIX}/{name}/",
                opts=child,
            )
            made.append(logged.id)
        if args.lock and args.lock.days:
            retention = aws.s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(mode="COMPLIANCE", days=args.lock.days)
            locked = aws.s3.BucketObjectLockConfiguration(
                name,
                bucket=bucket.bucket,
                rule=aws.s3.BucketObjectLockConfigurationRuleArgs(default_retention=retention),
                # A lock is on versions, which S3 has to know of first.
                opts=ResourceOptions(parent=self, depends_on=[versioning]),
            )
            made.append(locked.id)
        self.bucket, self.arn = _once(Output.all(*made), bucket.bucket), bucket.arn
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
    """``logs_kept_days`` is the log retention of the stack; ``audit_lock_days`` 0 locks no audit record."""

    names: Names
    data_key_arn: Input[str]
    logs_key_arn: Input[str]
    logs_kept_days: int
    audit_lock_days: int
    malware_scan: bool
    protected: bool


class Buckets(pulumi.ComponentResource):
    """Uploaded data sets, results, audit records, logs that only S3 takes, and the code of the functions."""

    uploads: PrivateBucket
    results: PrivateBucket
    audit: PrivateBucket
    logs: PrivateBucket
    artifacts: PrivateBucket

    def __init__(self, name: str, args: BucketsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_BUCKETS, name, None, opts)
        self._args = args
        self.logs = self._bucket(
            "logs",
            key_arn=None,
            access_logs=None,
            kept_days=args.logs_kept_days,
            statements=(self._load_balancer_logs(), self._access_logs()),
        )
        self.uploads = self._bucket(
            "uploads", kept_days=UPLOADS_KEPT_DAYS, statements=self._scanned_first() if args.malware_scan else ()
        )
        self.results = self._bucket("results", kept_days=RESULTS_KEPT_DAYS)
        self.artifacts = self._bucket("artifacts", kept_days=None)
        self.audit = self._bucket(
            "audit",
            key_arn=args.logs_key_arn,
            kept_days=max(args.logs_kept_days, args.audit_lock_days),
            # The lock can be had from the beginning only; how long it holds can be said later.
            lock=Lock(days=args.audit_lock_days),
            statements=(*self._trail(), self._seals()),
        )
        self.register_outputs(
            {"uploads": self.uploads.bucket, "results": self.results.bucket, "audit": self.audit.bucket, "logs": self.logs.bucket}
        )

    def _bucket(self, purpose: str, *, kept_days: int | None, **differing: Any) -> PrivateBucket:
        arguments = {
            "bucket": self._args.names.bucket(purpose),
            "account": self._args.names.account,
            "key_arn": self._args.data_key_arn,
            "access_logs": None if purpose == "logs" else self.logs.bucket,
            "kept_days": kept_days,
            "emptied_on_delete": not self._args.protected,
            "protected": self._args.protected,
        }
        return PrivateBucket(purpose, PrivateBucketArgs(**{**arguments, **differing}), ResourceOptions(parent=self))

    def _arn(self, purpose: str, path: str = "") -> str:
        """The ARN of a bucket, which policies have to name before it is made, or of what is in it."""
        return f"arn:{self._args.names.partition}:s3:::{self._args.names.bucket(purpose)}{path}"

    def _load_balancer_logs(self) -> Statement:
        # Whose logs these are is said by the path, which the load balancer makes itself. AWS documents no source condition here,
        # and one whose key is not sent refuses every log: the load balancer tries it out, and is not made.
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
        return Statement(
            sid="LoadBalancerLogs",
            principals={"Service": ("logdelivery.elasticloadbalancing.amazonaws.com",)},
            actions=("s3:PutObject",),
            resources=(self._arn("logs", f"/{LOAD_BALANCER_LOG_PREFIX}/AWSLogs/{self._args.names.account}/*"),),
            reason="the load balancer names its log files itself",
        )

    def _access_logs(self) -> Statement:
        """https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html"""
        return Statement(
            sid="AccessLogs",
            principals={"Service": ("logging.s3.amazonaws.com",)},
            actions=("s3:PutObject",),
            resources=(self._arn("logs", f"/{ACCESS_LOG_PREFIX}/*"),),
            conditions={
                "StringEquals": {"aws:SourceAccount": self._args.names.account},
                "ArnEquals": {"aws:SourceArn": [self._arn(purpose) for purpose in LOGGED_BUCKETS]},
            },
            reason="S3 names its log files itself",
        )

    def _trail(self) -> tuple[Statement, ...]:
        """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html"""
        names = self._args.names
        source = {"aws:SourceArn": trail_arn(names)}
        return (
            Statement(
                sid="TrailAsks",
                principals={"Service": ("cloudtrail.amazonaws.com",)},
                actions=("s3:GetBucketAcl",),
                resources=(self._arn("audit"),),
                conditions={"StringEquals": source},
            ),
            Statement(
                sid="TrailWrites",
                principals={"Service": ("cloudtrail.amazonaws.com",)},
                actions=("s3:PutObject",),
                resources=(self._arn("audit", f"/{TRAIL_PREFIX}/AWSLogs/{names.account}/*"),),
                conditions={"StringEquals": {**source, "s3:x-amz-acl": "bucket-owner-full-control"}},
                reason="CloudTrail names its files itself",
            ),
        )

    def _seals(self) -> Statement:
        """Nobody but the sealer puts what looks like a seal, or is in the way of the next one."""
        return Statement(
            sid="OnlyTheSealerSeals",
            effect="Deny",
            principals={"AWS": ("*",)},
            actions=("s3:PutObject",),
            resources=(self._arn("audit", f"/{SEALS_PREFIX}*"),),
            conditions={"ArnNotEquals": {"aws:PrincipalArn": self._args.names.role_arn(sealer_role_name(self._args.names))}},
            reason="a refusal has to hold for every object and everyone",
        )

    def _scanned_first(self) -> tuple[Statement, ...]:
        """Nobody but the scanner reads an upload that it did not find clean, and nobody else says that it did.

        https://docs.aws.amazon.com/guardduty/latest/ug/tag-based-access-s3-malware-protection.html
        """
        everything = self._arn("uploads", "/*")
        not_the_scanner = {"ArnNotEquals": {"aws:PrincipalArn": self._args.names.role_arn(scanner_role_name(self._args.names))}}
        return (
            Statement(
                sid="ScannedFirst",
                effect="Deny",
                principals={"AWS": ("*",)},
                actions=("s3:GetObject", "s3:GetObjectVersion"),
                resources=(everything,),
                conditions={"StringNotEquals": {f"s3:ExistingObjectTag/{SCAN_TAG}": SCAN_CLEAN}, **not_the_scanner},
                reason="a refusal has to hold for every object and everyone",
            ),
            Statement(
                sid="OnlyTheScannerTags",
                effect="Deny",
                principals={"AWS": ("*",)},
                actions=(
                    "s3:DeleteObjectTagging",
                    "s3:DeleteObjectVersionTagging",
                    "s3:PutObjectTagging",
                    "s3:PutObjectVersionTagging",
                ),
                resources=(everything,),
                conditions=not_the_scanner,
                reason="a refusal has to hold for every object and everyone",
            ),
        )


@dataclass(frozen=True, kw_only=True)
class TablesArgs:
    names: Names
    key_arn: Input[str]
    protected: bool


class Tables(pulumi.ComponentResource):
    """Jobs (uploads and analyses), the versions of the configuration, API keys, and what is noted of the use of those."""

    jobs: aws.dynamodb.Table
    config: aws.dynamodb.Table
    api_keys: aws.dynamodb.Table
    key_use: aws.dynamodb.Table

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
            expires=True,
        )
        self.config = self._table("config", hash_key="name", range_key="version", attributes={"name": "S", "version": "N"})
        self.api_keys = self._table("api-keys", hash_key="public_id", attributes={"public_id": "S"}, expires=True)
        # Apart from the keys, so that the authorizer, which writes here, can write no key.
        self.key_use = self._table("key-use", hash_key="id", attributes={"id": "S"}, expires=True)
        tables = {"jobs": self.jobs, "config": self.config, "api_keys": self.api_keys, "key_use": self.key_use}
        self.register_outputs({purpose: table.name for purpose, table in tables.items()})

    def _table(
        self,
        purpose: str,
        *,
        hash_key: str,
        attributes: dict[str, str],
        range_key: str | None = None,
        indexes: list[aws.dynamodb.TableGlobalSecondaryIndexArgs] | None = None,
        expires: bool = False,
    ) -> aws.dynamodb.Table:
        return aws.dynamodb.Table(
            purpose,
            name=self._args.names.of(purpose),
            billing_mode="PAY_PER_REQUEST",
            hash_key=hash_key,
            range_key=range_key,
            attributes=[aws.dynamodb.TableAttributeArgs(name=name, type=kind) for name, kind in attributes.items()],
            global_secondary_indexes=indexes,
            ttl=aws.dynamodb.TableTtlArgs(attribute_name="expires_at", enabled=True) if expires else None,
            server_side_encryption=aws.dynamodb.TableServerSideEncryptionArgs(enabled=True, kms_key_arn=self._args.key_arn),
            point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=True),
            deletion_protection_enabled=self._args.protected,
            opts=ResourceOptions(parent=self, protect=self._args.protected),
        )


@dataclass(frozen=True, kw_only=True)
class QueueArgs:
    """``uploads`` is the bucket whose new objects become messages; with ``malware_scan`` not before they are scanned."""

    names: Names
    key_arn: Input[str]
    uploads: PrivateBucket
    malware_scan: bool


class Queue(pulumi.ComponentResource):
    """Work for the workers: a message for each new upload and each analysis; what nobody can work on is a dead letter at last."""

    url: Output[str]
    arn: Output[str]
    dead_letter_url: Output[str]
    dead_letter_arn: Output[str]

    def __init__(self, name: str, args: QueueArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_QUEUE, name, None, opts)
        self._args = args
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
            name=args.names.of(QUEUE),
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
        self._policy("dead-letters", dead)
        policy = self._policy("work", queue, self._new_uploads(queue.arn))
        self._notify(queue.arn, policy)
        self.url, self.arn, self.dead_letter_url, self.dead_letter_arn = queue.url, queue.arn, dead.url, dead.arn
        self.register_outputs({"url": self.url, "dead_letter_url": self.dead_letter_url})

    def _policy(self, name: str, queue: aws.sqs.Queue, *statements: Statement) -> aws.sqs.QueuePolicy:
        guards = (tls_only((queue.arn,), "sqs:*"), own_account_only(self._args.names.account, (queue.arn,), "sqs:*"))
        return aws.sqs.QueuePolicy(
            name, queue_url=queue.url, policy=document(*guards, *statements), opts=ResourceOptions(parent=self)
        )

    def _new_uploads(self, queue_arn: Output[str]) -> Statement:
        names = self._args.names
        if self._args.malware_scan:
            service, source = EVENTS, names.arn("events", f"rule/{scan_rule_name(names)}")
        else:
            service, source = "s3.amazonaws.com", self._args.uploads.arn
        return Statement(
            sid="UploadNotices",
            principals={"Service": (service,)},
            actions=("sqs:SendMessage",),
            resources=(queue_arn,),
            conditions={"StringEquals": {"aws:SourceAccount": names.account}, "ArnEquals": {"aws:SourceArn": source}},
        )

    def _notify(self, queue_arn: Output[str], policy: aws.sqs.QueuePolicy) -> None:
        uploaded = aws.s3.BucketNotificationQueueArgs(
            id="uploaded", queue_arn=queue_arn, events=["s3:ObjectCreated:*"], filter_prefix=UPLOADS_PREFIX
        )
        aws.s3.BucketNotification(
            "uploads",
            bucket=self._args.uploads.bucket,
            # GuardDuty hears of new objects by EventBridge, and the workers hear of them from GuardDuty.
            eventbridge=True if self._args.malware_scan else None,
            queues=None if self._args.malware_scan else [uploaded],
            # S3 sends a test message at once, and refuses the notification when that is not let in.
            opts=ResourceOptions(parent=self, depends_on=[policy]),
        )


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


@dataclass(frozen=True, kw_only=True)
class SecretsArgs:
    """``recovery_days`` is how long a deleted secret can be restored; 0 deletes at once."""

    names: Names
    key_arn: Input[str]
    recovery_days: int
    protected: bool


class Secrets(pulumi.ComponentResource):
    """What the authorizer and the service share, each in a place that holds no more than its reader needs.

    The service's part is a parameter and not a secret: ECS reads it through an endpoint that the bastion needs anyway, where
    Secrets Manager's own would cost as much again in each zone.
    """

    authorizer_arn: Output[str]
    service_parameter_arn: Output[str]
    service_parameter_name: Output[str]

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
        # Derived from what is stored, not from what this run made up: the two can never disagree.
        stored = version.secret_string.apply(lambda text: service_secret(str(text)))
        parameter = aws.ssm.Parameter(
            "service",
            name=f"/{args.names.prefix}/assertion-keys",
            description="Keys that verify the authorizer's assertions",
            type="SecureString",
            key_id=args.key_arn,
            value=Output.secret(stored),
            # Written anew by each rotation, which no later run may undo.
            opts=ResourceOptions(parent=self, ignore_changes=["value"], protect=args.protected),
        )
        self.service_parameter_arn, self.service_parameter_name = parameter.arn, parameter.name
        # A secret without a version cannot be read.
        self.authorizer_arn = _once(version.id, authorizer.arn)
        self.register_outputs({"authorizer_arn": self.authorizer_arn, "service_parameter_arn": self.service_parameter_arn})

    def _secret(self, purpose: str, description: str) -> aws.secretsmanager.Secret:
        secret = aws.secretsmanager.Secret(
            purpose,
            name=f"{self._args.names.prefix}/{purpose}",
            description=description,
            kms_key_id=self._args.key_arn,
            recovery_window_in_days=self._args.recovery_days,
            opts=ResourceOptions(parent=self, protect=self._args.protected),
        )
        # Who of the account may read it is said by their own policies alone: a refusal of all but the functions would lock out
        # whoever deploys, who reads it back.
        guards = (tls_only(("*",), "secretsmanager:*"), own_account_only(self._args.names.account, ("*",), "secretsmanager:*"))
        aws.secretsmanager.SecretPolicy(
            purpose,
            secret_arn=secret.arn,
            policy=document(*guards),
            block_public_policy=True,
            opts=ResourceOptions(parent=self),
        )
        return secret


def _once(there: Output[Any], value: Output[str]) -> Output[str]:
    """``value``, but only to be had once ``there`` is."""
    return Output.all(there, value).apply(lambda both: both[1])
