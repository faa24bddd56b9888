"""The malware scan of uploads: GuardDuty reads each new one, tags it with what it found, and its result becomes a message.

What it is for stands elsewhere: the uploads bucket opens no object without the tag, and the worker rejects what is not clean.
"""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra.data import UPLOADS_PREFIX, PrivateBucket, Queue, scan_rule_name, scanner_role_name
from infra.iam import ServiceRole, ServiceRoleArgs, Statement
from infra.naming import Names

TYPE_SCAN = "heartmap:scanning:MalwareScan"

SERVICE = "malware-protection-plan.guardduty.amazonaws.com"
# GuardDuty makes a rule of its own, of this name, by which it hears of new objects, and puts this object to try its role out.
# https://docs.aws.amazon.com/guardduty/latest/ug/malware-protection-s3-iam-policy-prerequisite.html
MANAGED_RULES = "rule/DO-NOT-DELETE-AmazonGuardDutyMalwareProtectionS3*"
VALIDATION_OBJECT = "malware-protection-resource-validation-object"
RESULT = "GuardDuty Malware Protection Object Scan Result"


@dataclass(frozen=True, kw_only=True)
class MalwareScanArgs:
    """``queue`` receives the results; its policy names the rule already."""

    names: Names
    uploads: PrivateBucket
    queue: Queue
    data_key_arn: Input[str]


class MalwareScan(pulumi.ComponentResource):
    """The scan of the uploads bucket, the scanner's role, and the rule that carries results to the queue."""

    def __init__(self, name: str, args: MalwareScanArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_SCAN, name, None, opts)
        self._args = args
        child = ResourceOptions(parent=self)
        role = ServiceRole(
            name,
            ServiceRoleArgs(
                name=scanner_role_name(args.names),
                service=SERVICE,
                description="Reads and tags uploads to scan them for malware",
                statements=self._statements(),
                unbound="AWS documents this trust without a condition, and one whose key is not sent would end all scans",
            ),
            child,
        )
        rule = aws.cloudwatch.EventRule(
            name,
            name=scan_rule_name(args.names),
            description="Results of the malware scans of uploads",
            event_pattern=Output.json_dumps(
                {
                    "source": ["aws.guardduty"],
                    "detail-type": [RESULT],
                    "detail": {
                        "s3ObjectDetails": {"bucketName": [args.uploads.bucket], "objectKey": [{"prefix": UPLOADS_PREFIX}]}
                    },
                }
            ),
            opts=child,
        )
        target = aws.cloudwatch.EventTarget(name, rule=rule.name, target_id="work", arn=args.queue.arn, opts=child)
        aws.guardduty.MalwareProtectionPlan(
            name,
            role=role.arn,
            protected_resource=aws.guardduty.MalwareProtectionPlanProtectedResourceArgs(
                s3_bucket=aws.guardduty.MalwareProtectionPlanProtectedResourceS3BucketArgs(
                    bucket_name=args.uploads.bucket, object_prefixes=[UPLOADS_PREFIX]
                )
            ),
            actions=[
                aws.guardduty.MalwareProtectionPlanActionArgs(
                    taggings=[aws.guardduty.MalwareProtectionPlanActionTaggingArgs(status="ENABLED")]
                )
            ],
            # A result before that would be lost, and its upload never looked at.
            opts=ResourceOptions(parent=self, depends_on=[target]),
        )
        self.register_outputs({})

    def _statements(self) -> list[Statement]:
        args = self._args
        rules = args.names.arn("events", MANAGED_RULES)
        objects = Output.concat(args.uploads.arn, "/", UPLOADS_PREFIX, "*")
        managed = "GuardDuty names its rule itself"
        any_upload = "an upload's id is made when it is asked for"
        return [
            Statement(
                sid="ManagedRule",
                actions=("events:DeleteRule", "events:PutRule", "events:PutTargets", "events:RemoveTargets"),
                resources=(rules,),
                conditions={"StringEquals": {"events:ManagedBy": SERVICE}},
                reason=managed,
            ),
            Statement(
                sid="WatchManagedRule",
                actions=("events:DescribeRule", "events:ListTargetsByRule"),
                resources=(rules,),
                reason=managed,
            ),
            Statement(sid="Scan", actions=("s3:GetObject", "s3:GetObjectVersion"), resources=(objects,), reason=any_upload),
            Statement(
                sid="Tag",
                actions=(
                    "s3:GetObjectTagging",
                    "s3:GetObjectVersionTagging",
                    "s3:PutObjectTagging",
                    "s3:PutObjectVersionTagging",
                ),
                resources=(objects,),
                reason=any_upload,
            ),
            Statement(
                sid="Bucket",
                actions=("s3:GetBucketNotification", "s3:ListBucket", "s3:PutBucketNotification"),
                resources=(args.uploads.arn,),
            ),
            Statement(
                sid="Validation", actions=("s3:PutObject",), resources=(Output.concat(args.uploads.arn, "/", VALIDATION_OBJECT),)
            ),
            Statement(
                sid="DataKey",
                actions=("kms:Decrypt", "kms:GenerateDataKey"),
                resources=(args.data_key_arn,),
                conditions={"StringEquals": {"kms:ViaService": f"s3.{args.names.region}.amazonaws.com"}},
            ),
        ]
