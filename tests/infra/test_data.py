import base64
import json
from typing import Any

from infra.data import new_authorizer_secret, service_secret

BUCKETS = {"uploads", "results", "artifacts", "logs"}
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


def test_objects_are_encrypted_under_our_key_but_for_load_balancer_logs(plan: Any) -> None:
    for part in plan.of("s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"):
        (rule,) = part.inputs["rules"]
        default = rule["applyServerSideEncryptionByDefault"]
        expected = (
            {"sseAlgorithm": "AES256"}
            if part.name == "logs"
            else {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": "arn:aws:Key/data"}
        )
        assert default == expected


def test_only_the_load_balancer_may_write_into_the_logs_bucket_and_only_for_this_account(plan: Any) -> None:
    for policy in plan.of("s3/bucketPolicy:BucketPolicy"):
        allowed = [s for s in json.loads(policy.inputs["policy"])["Statement"] if s["Effect"] == "Allow"]
        if policy.name != "logs":
            assert not allowed
            continue
        (statement,) = allowed
        assert statement["Principal"] == {"Service": ["logdelivery.elasticloadbalancing.amazonaws.com"]}
        assert statement["Action"] == ["s3:PutObject"]
        # The account is in the path, which the load balancer makes itself; no condition is documented that it would meet.
        bucket = f"heartmap-{plan.stack}-logs-123456789012-us-east-1"
        assert statement["Resource"] == [f"arn:aws:s3:::{bucket}/load-balancer/AWSLogs/123456789012/*"]
        assert "Condition" not in statement


def test_nothing_is_put_into_a_bucket_that_is_not_guarded_and_encrypted_yet(plan: Any) -> None:
    def guards(bucket: str) -> set[str]:
        parts = ("bucketPolicy:BucketPolicy", "bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")
        return {plan.one(f"s3/{part}", bucket).urn for part in parts}

    assert guards("artifacts") <= set(plan.one("s3/bucketObjectv2:BucketObjectv2").dependencies)
    assert guards("logs") <= set(plan.one("lb/loadBalancer:LoadBalancer").dependencies)


def test_tables_have_the_keys_that_the_service_uses_and_can_be_restored(plan: Any) -> None:
    tables = {table.name: table.inputs for table in plan.of("dynamodb/table:Table")}
    keys = {name: (table["hashKey"], table.get("rangeKey")) for name, table in tables.items()}
    assert keys == {"jobs": ("pk", None), "config": ("name", "version"), "api-keys": ("public_id", None)}
    (index,) = tables["jobs"]["globalSecondaryIndexes"]
    assert (index["name"], index["hashKey"], index["rangeKey"], index["projectionType"]) == (
        "listing",
        "listing_key",
        "created_at",
        "ALL",
    )
    assert tables["jobs"]["ttl"] == {"attributeName": "expires_at", "enabled": True}
    assert not any("ttl" in tables[name] for name in ("config", "api-keys"))
    for table in tables.values():
        assert table["pointInTimeRecovery"] == {"enabled": True}
        assert table["serverSideEncryption"] == {"enabled": True, "kmsKeyArn": "arn:aws:Key/data"}
        assert table["deletionProtectionEnabled"] is plan.settings.deletion_protection


def test_full_buckets_and_secrets_go_at_once_only_where_nothing_is_protected(plan: Any) -> None:
    protected = plan.settings.deletion_protection
    assert {bucket.inputs["forceDestroy"] for bucket in plan.of("s3/bucket:Bucket")} == {not protected}
    assert {secret.inputs["recoveryWindowInDays"] for secret in plan.of("secretsmanager/secret:Secret")} == {
        30 if protected else 0
    }


def test_new_uploads_become_messages_and_what_fails_three_times_a_dead_letter(plan: Any) -> None:
    (notice,) = plan.one("s3/bucketNotification:BucketNotification").inputs["queues"]
    assert (notice["queueArn"], notice["filterPrefix"], notice["events"]) == (
        "arn:aws:Queue/work",
        "uploads/",
        ["s3:ObjectCreated:*"],
    )
    work = plan.one("sqs/queue:Queue", "work").inputs
    assert work["visibilityTimeoutSeconds"] == 120
    assert json.loads(work["redrivePolicy"]) == {"deadLetterTargetArn": "arn:aws:Queue/dead-letters", "maxReceiveCount": 3}
    allow = json.loads(plan.one("sqs/redriveAllowPolicy:RedriveAllowPolicy").inputs["redriveAllowPolicy"])
    assert allow == {"redrivePermission": "byQueue", "sourceQueueArns": ["arn:aws:Queue/work"]}


def test_only_s3_for_the_uploads_bucket_may_send_by_the_queues_own_policy(plan: Any) -> None:
    policy = json.loads(plan.one("sqs/queuePolicy:QueuePolicy", "work").inputs["policy"])
    deny, allow = policy["Statement"]
    assert deny["Effect"] == "Deny"
    assert allow["Principal"] == {"Service": ["s3.amazonaws.com"]}
    assert allow["Condition"]["ArnEquals"] == {"aws:SourceArn": "arn:aws:Bucket/uploads"}


def test_keys_rotate_and_only_the_named_services_use_them(plan: Any) -> None:
    services = {"data": ["s3.amazonaws.com"], "secrets": [], "logs": ["logs.us-east-1.amazonaws.com"]}
    assert {key.name for key in plan.of("kms/key:Key")} == set(services)
    for key in plan.of("kms/key:Key"):
        assert key.inputs["enableKeyRotation"] is True
        account, *uses = json.loads(key.inputs["policy"])["Statement"]
        assert account["Principal"] == {"AWS": ["arn:aws:iam::123456789012:root"]}
        assert [use["Principal"]["Service"] for use in uses] == [[service] for service in services[key.name]]
        assert all(use["Condition"] for use in uses)


def test_log_groups_are_encrypted_and_do_not_grow_for_ever(plan: Any) -> None:
    for group in plan.of("cloudwatch/logGroup:LogGroup"):
        assert group.inputs["kmsKeyId"] == "arn:aws:Key/logs", group.urn
        assert group.inputs["retentionInDays"] == plan.settings.log_retention_days, group.urn


def test_the_services_secret_holds_the_authorizers_assertion_keys_and_not_the_pepper(plan: Any) -> None:
    versions = {
        version.name: json.loads(version.inputs["secretString"])
        for version in plan.of("secretsmanager/secretVersion:SecretVersion")
    }
    assert versions["service"] == {"assertion_keys": versions["authorizer"]["assertion_keys"]}
    parameter = plan.one("ssm/parameter:Parameter", "service").inputs
    assert json.loads(parameter["value"]) == versions["service"]
    assert (parameter["type"], parameter["keyId"]) == ("SecureString", "arn:aws:Key/secrets")
    assert set(versions["authorizer"]) == {"api_key_pepper", "assertion_keys", "current_assertion_key"}


def test_a_later_run_does_not_replace_the_secret_of_the_first(plan: Any) -> None:
    assert plan.one("secretsmanager/secretVersion:SecretVersion", "authorizer").ignored == ["secretString"]
    # The other follows what is stored in the first, so that it must not be ignored.
    assert plan.one("secretsmanager/secretVersion:SecretVersion", "service").ignored == []


def test_each_new_secret_is_random_and_long_enough() -> None:
    one, other = json.loads(new_authorizer_secret()), json.loads(new_authorizer_secret())
    assert len(base64.b64decode(one["api_key_pepper"], validate=True)) == 32
    keys = one["assertion_keys"]
    assert [len(base64.b64decode(key, validate=True)) for key in keys.values()] == [32, 32]
    assert one["current_assertion_key"] in keys
    assert len({one["api_key_pepper"], other["api_key_pepper"], *keys.values(), *other["assertion_keys"].values()}) == 6
    assert set(json.loads(service_secret(json.dumps(one)))) == {"assertion_keys"}
