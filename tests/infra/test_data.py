import base64
import json
from collections.abc import Callable
from typing import Any

from infra.data import new_authorizer_secret, service_secret

BUCKETS = {"uploads", "results", "artifacts", "audit", "logs"}
ACCOUNT = "123456789012"
PARTS = (
    "bucketPublicAccessBlock:BucketPublicAccessBlock",
    "bucketOwnershipControls:BucketOwnershipControls",
    "bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "bucketVersioning:BucketVersioning",
    "bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "bucketPolicy:BucketPolicy",
)


def test_every_bucket_has_every_part_that_keeps_it_private(plan: Any) -> None:
    assert {bucket.name for bucket in plan.of("s3/bucket:Bucket")} == BUCKETS
    names = {bucket.name: bucket.inputs["bucket"] for bucket in plan.of("s3/bucket:Bucket")}
    for part in PARTS:
        assert {resource.name: resource.inputs["bucket"] for resource in plan.of(f"s3/{part}")} == names, part


def test_no_bucket_is_public_or_has_acls_or_answers_without_tls(plan: Any) -> None:
    for block in plan.of("s3/bucketPublicAccessBlock:BucketPublicAccessBlock"):
        flags = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        assert all(block.inputs[flag] is True for flag in flags)
    for controls in plan.of("s3/bucketOwnershipControls:BucketOwnershipControls"):
        assert controls.inputs["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    for policy in plan.of("s3/bucketPolicy:BucketPolicy"):
        deny = json.loads(policy.inputs["policy"])["Statement"][0]
        assert (deny["Effect"], deny["Action"], deny["Condition"]) == (
            "Deny",
            ["s3:*"],
            {"Bool": {"aws:SecureTransport": "false"}},
        )
        assert deny["Resource"] == [f"arn:aws:Bucket/{policy.name}", f"arn:aws:Bucket/{policy.name}/*"]


def test_no_resource_policy_lets_another_account_in(plan: Any) -> None:
    policies = {
        (kind, policy.name): json.loads(policy.inputs["policy"])["Statement"]
        for kind in ("s3/bucketPolicy:BucketPolicy", "sqs/queuePolicy:QueuePolicy", "secretsmanager/secretPolicy:SecretPolicy")
        for policy in plan.of(kind)
    }
    assert len(policies) == len(BUCKETS) + 3
    for (kind, name), statements in policies.items():
        tls, own = statements[0], statements[1]
        assert (tls["Effect"], tls["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}}), name
        assert (own["Effect"], own["Principal"], own["Resource"]) == ("Deny", {"AWS": ["*"]}, tls["Resource"]), name
        assert own["Condition"] == {
            "StringNotEquals": {"aws:PrincipalAccount": ACCOUNT},
            "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
        }
        service = {"s3": "s3:*", "sqs": "sqs:*", "secretsmanager": "secretsmanager:*"}[kind.partition("/")[0]]
        assert tls["Action"] == own["Action"] == [service]
        allowed = [statement for statement in statements if statement["Effect"] == "Allow"]
        assert all(set(statement["Principal"]) == {"Service"} for statement in allowed), name


def test_every_request_to_a_bucket_is_logged_but_to_the_one_with_the_logs(plan: Any) -> None:
    logs = plan.one("s3/bucket:Bucket", "logs").inputs["bucket"]
    logging = {part.name: part.inputs for part in plan.of("s3/bucketLogging:BucketLogging")}
    assert set(logging) == BUCKETS - {"logs"}
    for name, part in logging.items():
        assert part["bucket"] == plan.one("s3/bucket:Bucket", name).inputs["bucket"]
        assert (part["targetBucket"], part["targetPrefix"]) == (logs, f"s3/{name}/")


def test_what_is_not_kept_for_ever_expires_and_parts_of_uploads_are_cleared_away(plan: Any) -> None:
    kept = {"uploads": 30, "results": 365, "artifacts": None, "logs": plan.settings.log_retention_days}
    kept["audit"] = max(plan.settings.log_retention_days, plan.settings.audit_lock_days)
    for part in plan.of("s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"):
        (rule,) = part.inputs["rules"]
        assert rule["status"] == "Enabled"
        assert (rule.get("expiration") or {}).get("days") == kept[part.name], part.name
        assert rule["noncurrentVersionExpiration"]["noncurrentDays"] == 30
        assert rule["abortIncompleteMultipartUpload"]["daysAfterInitiation"] == 2
    for part in plan.of("s3/bucketVersioning:BucketVersioning"):
        assert part.inputs["versioningConfiguration"] == {"status": "Enabled"}


def test_audit_records_are_locked_for_as_long_as_the_setting_says(plan: Any) -> None:
    lockable = [bucket.name for bucket in plan.of("s3/bucket:Bucket") if bucket.inputs.get("objectLockEnabled")]
    assert lockable == ["audit"]
    locks = plan.of("s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration")
    if not plan.settings.audit_lock_days:
        assert not locks
        return
    (lock,) = locks
    assert lock.name == "audit"
    assert lock.inputs["rule"] == {"defaultRetention": {"mode": "COMPLIANCE", "days": plan.settings.audit_lock_days}}
    assert plan.one("s3/bucketVersioning:BucketVersioning", "audit").urn in lock.dependencies


def test_only_the_stacks_own_trail_writes_into_the_audit_bucket(plan: Any) -> None:
    allowed = [
        statement
        for statement in json.loads(plan.one("s3/bucketPolicy:BucketPolicy", "audit").inputs["policy"])["Statement"]
        if statement["Effect"] == "Allow"
    ]
    trail = f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/heartmap-{plan.stack}"
    assert [statement["Action"] for statement in allowed] == [["s3:GetBucketAcl"], ["s3:PutObject"]]
    for statement in allowed:
        assert statement["Principal"] == {"Service": ["cloudtrail.amazonaws.com"]}
        assert statement["Condition"]["StringEquals"]["aws:SourceArn"] == trail
    bucket = f"arn:aws:s3:::heartmap-{plan.stack}-audit-{ACCOUNT}-us-east-1"
    assert allowed[0]["Resource"] == [bucket]
    assert allowed[1]["Resource"] == [f"{bucket}/cloudtrail/AWSLogs/{ACCOUNT}/*"]


def test_what_holds_data_cannot_be_deleted_where_the_setting_protects_it(plan: Any) -> None:
    kinds = (
        "s3/bucket:Bucket",
        "kms/key:Key",
        "dynamodb/table:Table",
        "secretsmanager/secret:Secret",
        "ssm/parameter:Parameter",
    )
    for kind in kinds:
        assert plan.of(kind)
        for resource in plan.of(kind):
            assert resource.protect is plan.settings.deletion_protection, resource.urn


def test_objects_are_encrypted_under_our_key_but_for_access_logs(plan: Any) -> None:
    for part in plan.of("s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"):
        (rule,) = part.inputs["rules"]
        default = rule["applyServerSideEncryptionByDefault"]
        key = "arn:aws:Key/logs" if part.name == "audit" else "arn:aws:Key/data"
        expected = {"sseAlgorithm": "AES256"} if part.name == "logs" else {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": key}
        assert default == expected


def test_only_the_load_balancer_and_s3_may_write_into_the_logs_bucket_and_only_for_this_account(plan: Any) -> None:
    for policy in plan.of("s3/bucketPolicy:BucketPolicy"):
        allowed = [s for s in json.loads(policy.inputs["policy"])["Statement"] if s["Effect"] == "Allow"]
        if policy.name != "logs":
            assert policy.name == "audit" or not allowed
            continue
        balancer, buckets = allowed
        assert balancer["Principal"] == {"Service": ["logdelivery.elasticloadbalancing.amazonaws.com"]}
        assert balancer["Action"] == buckets["Action"] == ["s3:PutObject"]
        # The account is in the path, which the load balancer makes itself; no condition is documented that it would meet.
        bucket = f"arn:aws:s3:::heartmap-{plan.stack}-logs-{ACCOUNT}-us-east-1"
        assert balancer["Resource"] == [f"{bucket}/load-balancer/AWSLogs/{ACCOUNT}/*"]
        assert "Condition" not in balancer
        assert buckets["Principal"] == {"Service": ["logging.s3.amazonaws.com"]}
        assert buckets["Resource"] == [f"{bucket}/s3/*"]
        assert buckets["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
        names = {b.inputs["bucket"] for b in plan.of("s3/bucket:Bucket") if b.name != "logs"}
        assert set(buckets["Condition"]["ArnEquals"]["aws:SourceArn"]) == {f"arn:aws:s3:::{name}" for name in names}


def test_nothing_is_put_into_a_bucket_that_is_not_guarded_and_encrypted_yet(plan: Any) -> None:
    def guards(bucket: str) -> set[str]:
        parts = ("bucketPolicy:BucketPolicy", "bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")
        return {plan.one(f"s3/{part}", bucket).urn for part in parts}

    for code in plan.of("s3/bucketObjectv2:BucketObjectv2"):
        assert guards("artifacts") <= set(code.dependencies), code.urn
    assert guards("logs") <= set(plan.one("lb/loadBalancer:LoadBalancer").dependencies)


def test_tables_have_the_keys_that_the_service_uses_and_can_be_restored(plan: Any) -> None:
    tables = {table.name: table.inputs for table in plan.of("dynamodb/table:Table")}
    keys = {name: (table["hashKey"], table.get("rangeKey")) for name, table in tables.items()}
    assert keys == {
        "jobs": ("pk", None),
        "config": ("name", "version"),
        "api-keys": ("public_id", None),
        "key-use": ("id", None),
    }
    (index,) = tables["jobs"]["globalSecondaryIndexes"]
    assert (index["name"], index["hashKey"], index["rangeKey"], index["projectionType"]) == (
        "listing",
        "listing_key",
        "created_at",
        "ALL",
    )
    for name in ("jobs", "api-keys", "key-use"):
        assert tables[name]["ttl"] == {"attributeName": "expires_at", "enabled": True}
    assert "ttl" not in tables["config"]
    for table in tables.values():
        assert table["pointInTimeRecovery"] == {"enabled": True}
        assert table["serverSideEncryption"] == {"enabled": True, "kmsKeyArn": "arn:aws:Key/data"}
        assert table["deletionProtectionEnabled"] is plan.settings.deletion_protection


def test_full_buckets_and_secrets_go_at_once_only_where_nothing_is_protected(plan: Any) -> None:
    protected = plan.settings.deletion_protection
    assert {bucket.inputs["forceDestroy"] for bucket in plan.of("s3/bucket:Bucket")} == {not protected}
    (secret,) = plan.of("secretsmanager/secret:Secret")
    assert secret.inputs["recoveryWindowInDays"] == (30 if protected else 0)


def test_what_fails_three_times_is_a_dead_letter(plan: Any) -> None:
    work = plan.one("sqs/queue:Queue", "work").inputs
    assert work["visibilityTimeoutSeconds"] == 120
    assert json.loads(work["redrivePolicy"]) == {"deadLetterTargetArn": "arn:aws:Queue/dead-letters", "maxReceiveCount": 10}
    allow = json.loads(plan.one("sqs/redriveAllowPolicy:RedriveAllowPolicy").inputs["redriveAllowPolicy"])
    assert allow == {"redrivePermission": "byQueue", "sourceQueueArns": ["arn:aws:Queue/work"]}
    assert {queue.inputs["kmsMasterKeyId"] for queue in plan.of("sqs/queue:Queue")} == {"arn:aws:Key/data"}


def test_new_uploads_become_messages_at_once_or_after_the_scan(plan: Any) -> None:
    notice = plan.one("s3/bucketNotification:BucketNotification").inputs
    if plan.settings.malware_scan:
        assert notice["eventbridge"] is True
        assert not notice.get("queues")
        return
    (queue,) = notice["queues"]
    assert (queue["queueArn"], queue["filterPrefix"], queue["events"]) == (
        "arn:aws:Queue/work",
        "uploads/",
        ["s3:ObjectCreated:*"],
    )


def test_only_who_tells_of_uploads_may_send_by_the_queues_own_policy(plan: Any) -> None:
    statements = json.loads(plan.one("sqs/queuePolicy:QueuePolicy", "work").inputs["policy"])["Statement"]
    (allow,) = [statement for statement in statements if statement["Effect"] == "Allow"]
    service, source = ("s3.amazonaws.com", "arn:aws:Bucket/uploads")
    if plan.settings.malware_scan:
        service, source = ("events.amazonaws.com", f"arn:aws:events:us-east-1:{ACCOUNT}:rule/heartmap-{plan.stack}-scan-results")
    assert allow["Principal"] == {"Service": [service]}
    assert allow["Action"] == ["sqs:SendMessage"]
    assert allow["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnEquals": {"aws:SourceArn": source}}
    others = json.loads(plan.one("sqs/queuePolicy:QueuePolicy", "dead-letters").inputs["policy"])["Statement"]
    assert {statement["Effect"] for statement in others} == {"Deny"}


def test_keys_rotate_and_only_the_named_services_use_them(plan: Any) -> None:
    services = {
        "data": ["events.amazonaws.com" if plan.settings.malware_scan else "s3.amazonaws.com"],
        "secrets": [],
        "logs": ["logs.us-east-1.amazonaws.com", "cloudtrail.amazonaws.com", "cloudwatch.amazonaws.com", "budgets.amazonaws.com"],
    }
    # What signs seals is another kind of key: test_audit_sealing.
    keys = [key for key in plan.of("kms/key:Key") if key.name != "signing"]
    assert {key.name for key in keys} == set(services)
    for key in keys:
        assert key.inputs["enableKeyRotation"] is True
        account, *uses = json.loads(key.inputs["policy"])["Statement"]
        assert account["Principal"] == {"AWS": ["arn:aws:iam::123456789012:root"]}
        assert [use["Principal"]["Service"] for use in uses] == [[service] for service in services[key.name]]
        assert all(use["Condition"] for use in uses)


def test_eventbridge_uses_the_key_for_the_queue_alone(planned: Callable[[str], Any]) -> None:
    policy = json.loads(planned("prod").one("kms/key:Key", "data").inputs["policy"])["Statement"]
    queue = planned("prod").one("sqs/queue:Queue", "work").inputs["name"]
    assert policy[1]["Condition"] == {
        "StringEquals": {"kms:EncryptionContext:aws:sqs:arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{queue}"}
    }


def test_log_groups_are_encrypted_and_do_not_grow_for_ever(plan: Any) -> None:
    for group in plan.of("cloudwatch/logGroup:LogGroup"):
        assert group.inputs["kmsKeyId"] == "arn:aws:Key/logs", group.urn
        assert group.inputs["retentionInDays"] == plan.settings.log_retention_days, group.urn


def test_the_services_parameter_holds_the_authorizers_assertion_keys_and_not_the_pepper(plan: Any) -> None:
    version = plan.one("secretsmanager/secretVersion:SecretVersion", "authorizer").inputs
    authorizer = json.loads(version["secretString"])
    parameter = plan.one("ssm/parameter:Parameter", "service").inputs
    assert json.loads(parameter["value"]) == {"assertion_keys": authorizer["assertion_keys"]}
    assert (parameter["type"], parameter["keyId"]) == ("SecureString", "arn:aws:Key/secrets")
    assert set(authorizer) == {"api_key_pepper", "assertion_keys", "current_assertion_key"}
    assert plan.one("secretsmanager/secret:Secret").inputs["kmsKeyId"] == "arn:aws:Key/secrets"


def test_a_later_run_undoes_no_rotation(plan: Any) -> None:
    assert plan.one("secretsmanager/secretVersion:SecretVersion", "authorizer").ignored == ["secretString"]
    assert plan.one("ssm/parameter:Parameter", "service").ignored == ["value"]


def test_each_new_secret_is_random_and_long_enough() -> None:
    one, other = json.loads(new_authorizer_secret()), json.loads(new_authorizer_secret())
    assert len(base64.b64decode(one["api_key_pepper"], validate=True)) == 32
    keys = one["assertion_keys"]
    assert [len(base64.b64decode(key, validate=True)) for key in keys.values()] == [32, 32]
    assert one["current_assertion_key"] in keys
    assert len({one["api_key_pepper"], other["api_key_pepper"], *keys.values(), *other["assertion_keys"].values()}) == 6
    assert set(json.loads(service_secret(json.dumps(one)))) == {"assertion_keys"}
