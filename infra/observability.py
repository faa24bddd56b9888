"""What is kept of the web ACL's decisions."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra.naming import Names

TYPE_WEB_ACL_LOG = "heartmap:observability:WebAclLog"

# AWS WAF writes to log groups whose name begins like this, and to no others.
LOG_GROUP_PREFIX = "aws-waf-logs-"

REDACTED_HEADERS = ("authorization", "cookie")


@dataclass(frozen=True, kw_only=True)
class WebAclLogArgs:
    names: Names
    web_acl_arn: Input[str]
    logs_key_arn: Input[str]
    retention_days: int


class WebAclLog(pulumi.ComponentResource):
    """One entry a request that the web ACL saw, without credentials."""

    log_group_name: Output[str]

    def __init__(self, name: str, args: WebAclLogArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_WEB_ACL_LOG, name, None, opts)
        child = ResourceOptions(parent=self)
        logs = aws.cloudwatch.LogGroup(
            name,
            name=LOG_GROUP_PREFIX + args.names.prefix,
            retention_in_days=args.retention_days,
            kms_key_id=args.logs_key_arn,
            opts=child,
        )
        redacted = aws.wafv2.WebAclLoggingConfigurationRedactedFieldArgs
        aws.wafv2.WebAclLoggingConfiguration(
            name,
            resource_arn=args.web_acl_arn,
            log_destination_configs=[logs.arn],
            redacted_fields=[
                redacted(single_header=aws.wafv2.WebAclLoggingConfigurationRedactedFieldSingleHeaderArgs(name=header))
                for header in REDACTED_HEADERS
            ],
            opts=child,
        )
        self.log_group_name = logs.name
        self.register_outputs({"log_group_name": self.log_group_name})
