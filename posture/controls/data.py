"""Where data rests, and who may do what: S3, DynamoDB, SQS, KMS, secrets and IAM."""

import json
import re
from collections.abc import Iterable

from posture.controls.registry import at, control, covers, each
from posture.plan import ACCOUNT, Plan
from posture.policies import allowed_to_identities, documents, listed, roles

BUCKET, TABLE, QUEUE = "s3/bucket:Bucket", "dynamodb/table:Table", "sqs/queue:Queue"
KEY, SECRET, TOPIC = "kms/key:Key", "secretsmanager/secret:Secret", "sns/topic:Topic"
LOGS, AUDIT = "logs", "audit"

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
PUBLIC_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
# Of the lists in Prowler's and checkov's checks: what lets a principal become another, or take data in bulk.
ESCALATING = re.compile(
    r"(iam:(\*|Create|Put|Attach|Update|Set|Add|PassRole)|sts:AssumeRole|lambda:(\*|CreateFunction|UpdateFunctionCode)"
    r"|ec2:RunInstances|kms:(\*|PutKeyPolicy|CreateGrant)|s3:(\*|PutBucketPolicy|PutBucketAcl)|secretsmanager:\*|dynamodb:\*)"
)


def _some_bucket(plan: Plan) -> Iterable[str]:
    return each(plan, BUCKET, lambda _: True, "")


def _buckets(plan: Plan) -> set[str]:
    return {bucket.inputs["bucket"] for bucket in plan.of(BUCKET)}


def _keys(plan: Plan) -> set[str]:
    return {f"arn:aws:{key.id}" for key in plan.of(KEY)}


def _policy_of(plan: Plan, resource: str) -> list[dict]:
    """The statements of the resource policies that name a resource."""
    return [
        statement
        for document in documents(plan)
        if resource in (document.resource.inputs.get(name) for name in ("bucket", "queueUrl", "secretArn", "arn"))
        for statement in document.statements
    ]


def _refuses_plain_text(statements: list[dict], arn: str) -> bool:
    return any(
        statement["Effect"] == "Deny"
        and at(statement, "Principal.AWS") in ("*", ["*"])
        and at(statement, "Condition.Bool") == {"aws:SecureTransport": "false"}
        and arn in listed(statement["Resource"])
        for statement in statements
    )


@control("91")
def buckets_are_closed_to_the_public(plan: Plan) -> Iterable[str]:
    block = "s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    yield from covers(plan, block, "bucket", _buckets(plan), "is not closed to the public")
    yield from each(plan, block, lambda one: all(one.get(part) is True for part in PUBLIC_BLOCKS), "leaves a way open")


@control("92")
def bucket_policies_admit_this_account(plan: Plan) -> Iterable[str]:
    yield from _some_bucket(plan)
    policy = "s3/bucketPolicy:BucketPolicy"
    yield from covers(plan, policy, "bucket", _buckets(plan), "has no policy")
    for bucket in plan.of(BUCKET):
        statements = [one for one in _policy_of(plan, bucket.inputs["bucket"]) if one["Effect"] == "Deny"]
        if not any(at(one, "Condition.StringNotEquals.aws:PrincipalAccount") == ACCOUNT for one in statements):
            yield f"{bucket.id}: does not refuse other accounts"
    for document in documents(plan):
        if document.resource.type != f"aws:{policy}":
            continue
        for statement in document.statements:
            if statement["Effect"] == "Allow" and not _names_who(statement):
                yield f"{document.resource.id}: {statement['Sid']} admits the public or another account"


def _names_who(statement: dict) -> bool:
    principals = statement.get("Principal")
    if not isinstance(principals, dict) or "*" in principals.values():
        return False
    people = [who for kind, names in principals.items() if kind != "Service" for who in listed(names)]
    return all(f":{ACCOUNT}:" in who for who in people)


@control("93")
def buckets_speak_tls_only(plan: Plan) -> Iterable[str]:
    yield from _some_bucket(plan)
    for bucket in plan.of(BUCKET):
        arn = f"arn:aws:{bucket.id}"
        statements = _policy_of(plan, bucket.inputs["bucket"])
        if not _refuses_plain_text(statements, arn) or not _refuses_plain_text(statements, f"{arn}/*"):
            yield f"{bucket.id}: takes plain text"


@control("94")
def buckets_log_who_reads_them(plan: Plan) -> Iterable[str]:
    logging = "s3/bucketLogging:BucketLogging"
    # The bucket that takes the logs would log its own writing for ever.
    logged = {bucket.inputs["bucket"] for bucket in plan.of(BUCKET) if bucket.name != LOGS}
    yield from covers(plan, logging, "bucket", logged, "does not log who reads it")
    yield from each(plan, logging, lambda one: one["targetBucket"] in _buckets(plan), "logs to a bucket that is not ours")


@control("95")
def buckets_forget(plan: Plan) -> Iterable[str]:
    lifecycle = "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    yield from covers(plan, lifecycle, "bucket", _buckets(plan), "keeps everything for ever")

    def holds(one: dict) -> bool:
        return any(
            rule["status"] == "Enabled"
            and 0 < (at(rule, "abortIncompleteMultipartUpload.daysAfterInitiation") or 0) <= 7
            and (at(rule, "noncurrentVersionExpiration.noncurrentDays") or 0) > 0
            for rule in one["rules"]
        )

    yield from each(plan, lifecycle, holds, "keeps unfinished uploads or old versions for ever")
    uploads = [one for one in plan.of(lifecycle) if one.name == "uploads"]
    if not any(at(rule, "expiration.days") for one in uploads for rule in one.inputs["rules"]):
        yield "uploads do not expire"


@control("97")
def buckets_have_no_acls(plan: Plan) -> Iterable[str]:
    controls = "s3/bucketOwnershipControls:BucketOwnershipControls"
    yield from covers(plan, controls, "bucket", _buckets(plan), "has access control lists")
    enforced = "BucketOwnerEnforced"
    yield from each(plan, controls, lambda one: at(one, "rule.objectOwnership") == enforced, "has access control lists")
    yield from (f"{acl.id}: is an access control list" for acl in plan.of("s3/bucketAcl:BucketAcl"))


@control("98")
def buckets_keep_versions(plan: Plan) -> Iterable[str]:
    versioning = "s3/bucketVersioning:BucketVersioning"
    yield from covers(plan, versioning, "bucket", _buckets(plan), "keeps no versions")
    yield from each(plan, versioning, lambda one: at(one, "versioningConfiguration.status") == "Enabled", "keeps no versions")


@control("99")
def the_audit_bucket_is_locked(plan: Plan) -> Iterable[str]:
    audit = [bucket for bucket in plan.of(BUCKET) if bucket.name == AUDIT]
    if not audit:
        yield "there is no audit bucket"
    for bucket in audit:
        if bucket.inputs.get("objectLockEnabled") is not True:
            yield f"{bucket.id}: its objects cannot be locked"
    lock = "s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
    yield from covers(plan, lock, "bucket", {bucket.inputs["bucket"] for bucket in audit}, "what is in it can be removed")

    def holds(one: dict) -> bool:
        retention = at(one, "rule.defaultRetention") or {}
        return retention.get("mode") == "COMPLIANCE" and retention.get("days", 0) >= 365

    yield from each(plan, lock, holds, "does not keep what is in it for a year")


@control("100")
def buckets_are_under_our_key(plan: Plan) -> Iterable[str]:
    encryption = "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    yield from covers(plan, encryption, "bucket", _buckets(plan), "is not encrypted as we say")
    yield from _some_bucket(plan)
    default = "rules.0.applyServerSideEncryptionByDefault"
    for one in plan.of(encryption):
        # Load balancers deliver their logs to buckets under S3's own key only: row 65.
        if one.name == LOGS:
            continue
        algorithm, key = at(one.inputs, f"{default}.sseAlgorithm"), at(one.inputs, f"{default}.kmsMasterKeyId")
        if algorithm != "aws:kms" or key not in _keys(plan):
            yield f"{one.id}: is under AWS's key"


@control("104")
def keys_rotate(plan: Plan) -> Iterable[str]:
    # KMS rotates symmetric keys alone, and the control asks it of no others.
    return each(plan, KEY, lambda key: key.get("enableKeyRotation") is True or "customerMasterKeySpec" in key, "does not rotate")


@control("105")
def keys_say_who_may_use_them(plan: Plan) -> Iterable[str]:
    yield from each(plan, KEY, lambda key: key.get("policy"), "has AWS's policy")
    for document in documents(plan):
        if document.resource.type != f"aws:{KEY}":
            continue
        for statement in document.statements:
            if statement["Effect"] != "Allow":
                continue
            if "*" in listed(at(statement, "Principal.AWS")) or statement.get("Principal") == "*":
                yield f"{document.resource.id}: {statement['Sid']} admits everyone"
            if at(statement, "Principal.Service") and not statement.get("Condition"):
                yield f"{document.resource.id}: {statement['Sid']} admits a service for any account"


@control("107")
def decryption_is_with_named_keys(plan: Plan) -> Iterable[str]:
    for policy, statement in allowed_to_identities(plan):
        kms = [action for action in listed(statement["Action"]) if action.startswith("kms:")]
        if kms and not set(listed(statement["Resource"])) <= _keys(plan):
            yield f"{policy.id}: {statement['Sid']} may use keys that it does not name"


@control("108")
def nobody_may_do_everything(plan: Plan) -> Iterable[str]:
    yield from each(plan, "iam/policy:Policy", lambda _: True, "")
    for policy, statement in allowed_to_identities(plan):
        if {"*", "*:*"} & set(listed(statement["Action"])) or "NotAction" in statement or "NotResource" in statement:
            yield f"{policy.id}: {statement['Sid']} allows everything"


@control("109")
def wildcards_have_a_written_reason(plan: Plan) -> Iterable[str]:
    # infra.iam.Statement refuses a wildcard without a reason when it is made: tests/infra/test_iam.py. What goes past it is here.
    for policy, statement in allowed_to_identities(plan):
        if any(action.endswith(":*") for action in listed(statement["Action"])):
            yield f"{policy.id}: {statement['Sid']} allows all of a service"
        if not statement.get("Sid"):
            yield f"{policy.id}: a statement without a sid was not made by infra.iam"


@control("110")
def nobody_becomes_somebody_else(plan: Plan) -> Iterable[str]:
    for policy, statement in allowed_to_identities(plan):
        for action in listed(statement["Action"]):
            if action == "iam:PassRole":
                bound = at(statement, "Condition.StringEquals.iam:PassedToService")
                if not bound or "*" in "".join(listed(statement["Resource"])):
                    yield f"{policy.id}: {statement['Sid']} passes any role, or to any service"
            elif ESCALATING.match(action):
                yield f"{policy.id}: {statement['Sid']} allows {action}"


@control("111")
def roles_are_taken_for_this_account(plan: Plan) -> Iterable[str]:
    yield from each(plan, "iam/role:Role", lambda role: role.get("assumeRolePolicy"), "says not who takes it")
    for role in plan.of("iam/role:Role"):
        for statement in listed(json.loads(role.inputs["assumeRolePolicy"])["Statement"]):
            service = at(statement, "Principal.Service")
            bound = at(statement, "Condition.StringEquals.aws:SourceAccount") == ACCOUNT
            if not service or set(statement["Principal"]) != {"Service"}:
                yield f"{role.id}: somebody other than a service takes it"
            elif not bound and service not in WITHOUT_SOURCE_ACCOUNT:
                yield f"{role.id}: {service} may take it for another account"


WITHOUT_SOURCE_ACCOUNT = {
    "apigateway.amazonaws.com",
    "cloudtrail.amazonaws.com",
    "ec2.amazonaws.com",
    "malware-protection-plan.guardduty.amazonaws.com",
}
"""Services of which AWS does not say that they name an account when they take a role; infra says why with each such role.

https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
"""


@control("112")
def policies_stand_for_themselves(plan: Plan) -> Iterable[str]:
    for role, policies in roles(plan):
        if role.inputs.get("inlinePolicies") or role.inputs.get("managedPolicyArns"):
            yield f"{role.id}: has a policy inside it"
        if not policies:
            yield f"{role.id}: has no policy of ours"
    yield from (f"{policy.id}: is an inline policy" for policy in plan.of("iam/rolePolicy:RolePolicy"))
    ours = {f"arn:aws:{policy.id}" for policy in plan.of("iam/policy:Policy")}
    for attachment in plan.of("iam/rolePolicyAttachment:RolePolicyAttachment"):
        if attachment.inputs["policyArn"] not in ours:
            yield f"{attachment.id}: attaches a policy that is not ours"


@control("144-145")
def secrets_rotate_under_our_key(plan: Plan) -> Iterable[str]:
    yield from each(plan, SECRET, lambda one: one.get("kmsKeyId") in _keys(plan), "is under AWS's key")
    parameter = "ssm/parameter:Parameter"
    secret = [one for one in plan.of(parameter) if one.inputs.get("type") == "SecureString"]
    yield from (f"{one.id}: is under AWS's key" for one in secret if one.inputs.get("keyId") not in _keys(plan))
    secrets = {f"arn:aws:{one.id}" for one in plan.of(SECRET)} | {one.id for one in plan.of(SECRET)}
    for type_, wrong in (
        ("secretsmanager/secretRotation:SecretRotation", "does not rotate"),
        ("secretsmanager/secretPolicy:SecretPolicy", "has no policy"),
    ):
        named = {one.inputs.get(argument) for one in plan.of(type_) for argument in ("secretId", "secretArn")}
        for one in plan.of(SECRET):
            if not {f"arn:aws:{one.id}", one.id} & named & secrets:
                yield f"{one.id}: {wrong}"
    for rotation in plan.of("secretsmanager/secretRotation:SecretRotation"):
        if not 0 < (at(rotation.inputs, "rotationRules.automaticallyAfterDays") or 0) <= 90:
            yield f"{rotation.id}: rotates less often than every 90 days"


@control("146")
def tables_can_be_recovered(plan: Plan) -> Iterable[str]:
    yield from each(plan, TABLE, lambda one: at(one, "pointInTimeRecovery.enabled") is True, "cannot be recovered")
    yield from each(plan, TABLE, lambda one: at(one, "serverSideEncryption.kmsKeyArn") in _keys(plan), "is under AWS's key")
    yield from each(plan, TABLE, lambda one: one.get("deletionProtectionEnabled") is True, "can be deleted by mistake")


@control("148")
def queues_are_encrypted(plan: Plan) -> Iterable[str]:
    yield from each(plan, QUEUE, lambda one: one.get("kmsMasterKeyId") in _keys(plan), "is under AWS's key")
    for queue in plan.of(QUEUE):
        if not _refuses_plain_text(_policy_of(plan, f"{queue.id}/url"), f"arn:aws:{queue.id}"):
            yield f"{queue.id}: takes plain text"
    allowed = {one.inputs["queueUrl"] for one in plan.of("sqs/redriveAllowPolicy:RedriveAllowPolicy")}
    for queue in plan.of(QUEUE):
        if not queue.inputs.get("redrivePolicy") and f"{queue.id}/url" not in allowed:
            yield f"{queue.id}: what fails stays in it"


@control("149")
def topics_are_encrypted(plan: Plan) -> Iterable[str]:
    yield from each(plan, TOPIC, lambda one: one.get("kmsMasterKeyId") in _keys(plan), "is under AWS's key")
    arns = {f"arn:aws:{topic.id}" for topic in plan.of(TOPIC)}
    yield from covers(plan, "sns/topicPolicy:TopicPolicy", "arn", arns, "has AWS's policy")
    for topic in plan.of(TOPIC):
        for statement in _policy_of(plan, f"arn:aws:{topic.id}"):
            if statement["Effect"] == "Allow" and not statement.get("Condition"):
                yield f"{topic.id}: {statement['Sid']} admits other accounts"


@control("150-152")
def uploads_are_scanned(plan: Plan) -> Iterable[str]:
    uploads = {bucket.inputs["bucket"] for bucket in plan.of(BUCKET) if bucket.name == "uploads"}
    type_ = "guardduty/malwareProtectionPlan:MalwareProtectionPlan"
    yield from each(plan, type_, lambda one: at(one, "protectedResource.s3Bucket.bucketName") in uploads, "scans another bucket")
    yield from each(plan, type_, lambda one: at(one, "actions.0.taggings.0.status") == "ENABLED", "does not tag what it found")
