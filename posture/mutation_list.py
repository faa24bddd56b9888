"""The mutations: each removes one control from the source, and names the check that has to notice."""

from posture.mutations import BY_THE_PROGRAM, Mutation


def _left_out(module: str, noticed_by: str, call: str, argument: str = "", stack: str = "prod") -> Mutation:
    return Mutation(module=module, noticed_by=noticed_by, call=call, argument=argument, stack=stack)


def _set(module: str, noticed_by: str, call: str, argument: str, value: str, stack: str = "prod") -> Mutation:
    return Mutation(module=module, noticed_by=noticed_by, call=call, argument=argument, value=value, stack=stack)


def _says(module: str, noticed_by: str, text: str, value: str, stack: str = "prod") -> Mutation:
    return Mutation(module=module, noticed_by=noticed_by, text=text, value=value, stack=stack)


GATEWAY = (
    _says("api", "1", '"authorization": "CUSTOM"', '"authorization": "NONE"'),
    _says(
        "api", "every_method_is_in_the_access_policy_or_signed", "for rule in ACCESS_POLICY:", "for rule in ACCESS_POLICY[1:]:"
    ),
    _set("api", "2", "MethodSettingsSettingsArgs", "logging_level", "'OFF'"),
    _set("api", "4", "MethodSettingsSettingsArgs", "data_trace_enabled", "True"),
    _left_out("api", "3", "apigateway.Stage", "access_log_settings"),
    _left_out("api", "7", "apigateway.Stage", "xray_tracing_enabled"),
    _says("api", "8", '"authorizer_result_ttl_in_seconds": 0', '"authorizer_result_ttl_in_seconds": 300'),
    _says("api", "9", '"endpoint_access_mode": "STRICT"', '"endpoint_access_mode": "BASIC"'),
    _says("api", "9", "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09", "TLS_1_0"),
    _set("edge", "9", "apigateway.DomainName", "endpoint_access_mode", "'BASIC'"),
    _says(
        "api", "10", '"disable_execute_api_endpoint": bool(self._args.settings.domain)', '"disable_execute_api_endpoint": False'
    ),
    _says("api", "11", 'f"https://{settings.internal_host}', 'f"http://{settings.internal_host}'),
    _set("api", "12", "apigateway.RequestValidator", "validate_request_parameters", "False"),
    _left_out("api", "13", "MethodSettingsSettingsArgs", "throttling_rate_limit"),
    _says("api", "13", '"*/*"', '"*/GET"'),
    _left_out("api", "37", "lambda_.Permission", "source_arn"),
    _left_out("api", "37", "lambda_.Permission", "source_account"),
    _says("api", "every_method_is_answered_by_whom_the_access_policy_names", "if rule.answered_by == SERVICE:", "if True:"),
    *(
        _says(
            "api",
            "functions_are_invoked_for_the_calls_that_they_answer",
            "source_arn=self._call_arn(rule)",
            f"source_arn={other}",
        )
        for other in ('Output.concat(self._rest_api.execution_arn, "/*")', "self._call_arn(TOKEN_RULE)")
    ),
    *(
        _says("program", "failures_of_functions_are_heard_of", f'lambdas["{purpose}"] = {variable}.function_name', "")
        for purpose, variable in (("keys", "key_administration"), ("users", "user_administration"), ("audit", "audit_search"))
    ),
    _set("functions", "38", "lambda_.Function", "runtime", "'python3.9'"),
    _left_out("functions", "40", "lambda_.Function", "tracing_config"),
    _left_out("functions", "41", "lambda_.Function", "reserved_concurrent_executions"),
    _left_out("functions", "42", "lambda_.Function", "kms_key_arn"),
)

WEB_ACL = (
    _says(
        "edge",
        "5",
        '(name, args.stage_arn), (f"{name}-sign-in", args.identity.user_pool_arn)',
        "(name, args.identity.user_pool_arn),",
    ),
    _says("edge", "34", '(name, args.stage_arn), (f"{name}-sign-in", args.identity.user_pool_arn)', "(name, args.stage_arn),"),
    _says("waf_rules", "18", "_managed(args, KNOWN_BAD), ", ""),
    _says("waf_rules", "18", "_managed(args, COMMON), ", ""),
    _says("waf_rules", "18", "_managed(args, REPUTATION), ", ""),
    _says("waf_rules", "18", "_anonymous(args), ", ""),
    _says("waf_rules", "18", "if counts or args.settings.waf_mode is WafMode.COUNT", "if True"),
    _left_out("observability", "19", "wafv2.WebAclLoggingConfiguration"),
    _left_out("observability", "19", "wafv2.WebAclLoggingConfiguration", "redacted_fields"),
    _says("observability", "19", '("authorization", "cookie")', '("cookie",)'),
    _set("waf_rules", "20", "WebAclRuleVisibilityConfigArgs", "cloudwatch_metrics_enabled", "False"),
    _says("waf_rules", "22", "_rate(args), ", ""),
    _says("waf_rules", "22", "_sensitive(args), ", ""),
    _says("waf_rules", "22", "_refuse(THROTTLED))\n\n\ndef _sensitive", "None)\n\n\ndef _sensitive"),
    _left_out("edge", "22", "wafv2.WebAcl", "association_config"),
    _says("waf_rules", "22", '"KB_64"', '"KB_16"'),
)

PEOPLE = (
    _left_out("identity", "23-26", "cognito.UserPool", "user_pool_add_ons"),
    _says("identity", "23-26", '"PLUS" if threats else "ESSENTIALS"', '"ESSENTIALS"'),
    _left_out("identity", "23-26", "cognito.RiskConfiguration"),
    _says("identity", "27", 'Mfa.REQUIRED: "ON"', 'Mfa.REQUIRED: "OPTIONAL"'),
    _left_out("identity", "27", "cognito.UserPool", "software_token_mfa_configuration"),
    _says("identity", "28", "PASSWORD_LENGTH = 14", "PASSWORD_LENGTH = 8"),
    _set("identity", "28", "UserPoolPasswordPolicyArgs", "require_symbols", "False"),
    _left_out("identity", "29", "cognito.UserPool", "deletion_protection"),
    _set("identity", "30", "UserPoolAdminCreateUserConfigArgs", "allow_admin_create_user_only", "False"),
    _left_out("identity", "31", "cognito.UserPoolClient", "prevent_user_existence_errors"),
    _left_out("identity", "32", "cognito.UserPoolClient", "enable_token_revocation"),
    _left_out("identity", "32", "cognito.UserPoolClient", "refresh_token_rotation"),
    _left_out("identity", "33", "cognito.UserPool", "account_recovery_setting"),
)

COMPUTE = (
    _set("compute", "46", "ServiceNetworkConfigurationArgs", "assign_public_ip", "True"),
    _set("compute", "nothing_is_public", "ServiceNetworkConfigurationArgs", "assign_public_ip", "True"),
    _set("compute", "47", "ecs.TaskDefinition", "network_mode", "'host'"),
    _says("compute", "48", ', "capabilities": {"drop": ["ALL"]}', ""),
    _says("compute", "48", '"user": USER,', ""),
    _says("compute", "49", '"readonlyRootFilesystem": True,', ""),
    _says("compute", "51", '"mode": "non-blocking",', ""),
    _left_out("compute", "52", "ecs.Service", "platform_version"),
    _left_out("compute", "53", "ecs.Cluster", "settings"),
    _set("compute", "55", "ecs.TaskDefinition", "task_role_arn", "execution.arn"),
    _set("compute", "56", "ecs.Service", "enable_execute_command", "True"),
    _left_out("compute", "57", "ecs.Service", "deployment_circuit_breaker"),
    _left_out("compute", "58", "ecr.Repository", "image_scanning_configuration"),
    _left_out("compute", "59", "ecr.Repository", "image_tag_mutability"),
    _left_out("compute", "59", "ecr.LifecyclePolicy"),
    _left_out("compute", "60", "ecr.Repository", "encryption_configurations"),
    _set("compute", "61", "lb.Listener", "protocol", "'HTTP'"),
    _left_out("compute", "62", "lb.Listener", "ssl_policy"),
    _set("compute", "63", "lb.TargetGroup", "protocol", "'HTTP'"),
    _left_out("compute", "64", "lb.LoadBalancer", "drop_invalid_header_fields"),
    _left_out("compute", "65", "lb.LoadBalancer", "access_logs"),
    _set("compute", "66", "lb.LoadBalancer", "enable_deletion_protection", "False"),
    _left_out("compute", "67", "lb.LoadBalancer", "desync_mitigation_mode"),
    _set("compute", "68", "lb.LoadBalancer", "internal", "False"),
)

NETWORK = (
    _left_out("network", "70", "ec2.DefaultSecurityGroup"),
    _left_out("network", "71", "ec2.FlowLog"),
    _set("network", "71", "ec2.FlowLog", "traffic_type", "'REJECT'"),
    _left_out("network", "73", "vpc.SecurityGroupEgressRule", "description"),
    _set("network", "74", "ec2.Subnet", "map_public_ip_on_launch", "True"),
    _left_out("network", "75", "ec2.NetworkAcl", "subnet_ids"),
    _left_out("network", "78", "ec2.VpcEndpoint", "policy"),
    _says("network", "78", '"aws:PrincipalAccount": names.account, ', ""),
    _left_out("bastion", "82", "ec2.LaunchTemplate", "metadata_options"),
    _set("bastion", "82", "LaunchTemplateMetadataOptionsArgs", "http_tokens", "'optional'"),
    _set("bastion", "82", "LaunchTemplateMetadataOptionsArgs", "http_put_response_hop_limit", "2"),
    _set("bastion", "83", "LaunchTemplateNetworkInterfaceArgs", "associate_public_ip_address", "'true'"),
    _left_out("bastion", "84", "LaunchTemplateBlockDeviceMappingEbsArgs", "encrypted"),
    _left_out("bastion", "86", "ec2.LaunchTemplate", "monitoring"),
    _left_out("bastion", "86", "ec2.LaunchTemplate", "disable_api_termination"),
    _says("bastion", "154", '"kmsKeyId": self._args.logs_key_arn,', ""),
    _says("bastion", "154", '"s3EncryptionEnabled": True,', ""),
)

DATA = (
    _set("data", "91", "s3.BucketPublicAccessBlock", "bucket", "'elsewhere'"),
    _set("data", "91", "s3.BucketPublicAccessBlock", "block_public_policy", "False"),
    _says("data", "92", ', own_account_only(args.account, everything, "s3:*")', ","),
    _says("data", "93", 'guards = (tls_only(everything, "s3:*"), ', "guards = (*(), "),
    _says("iam", "93", '"aws:SecureTransport": "false"', '"aws:SecureTransport": "true"'),
    _says("data", "94", "if args.access_logs is not None:", "if False:"),
    _left_out("data", "95", "s3.BucketLifecycleConfiguration"),
    _left_out("data", "95", "BucketLifecycleConfigurationRuleArgs", "abort_incomplete_multipart_upload"),
    _says("data", "95", "UPLOADS_KEPT_DAYS = 30", "UPLOADS_KEPT_DAYS = 0"),
    _set("data", "97", "BucketOwnershipControlsRuleArgs", "object_ownership", "'ObjectWriter'"),
    _set("data", "98", "BucketVersioningVersioningConfigurationArgs", "status", "'Suspended'"),
    _left_out("data", "99", "s3.Bucket", "object_lock_enabled"),
    _says("data", "99", 'mode="COMPLIANCE"', 'mode="GOVERNANCE"'),
    _says("data", "100", 'default(sse_algorithm="aws:kms", kms_master_key_id=key_arn)', 'default(sse_algorithm="AES256")'),
    _left_out("data", "104", "kms.Key", "enable_key_rotation"),
    _left_out("data", "105", "kms.Key", "policy"),
    _left_out("data", "144-145", "secretsmanager.Secret", "kms_key_id"),
    _left_out("data", "144-145", "secretsmanager.SecretPolicy"),
    _left_out("data", "146", "dynamodb.Table", "point_in_time_recovery"),
    _left_out("data", "146", "dynamodb.Table", "server_side_encryption"),
    _left_out("data", "146", "dynamodb.Table", "deletion_protection_enabled"),
    _left_out("data", "148", "sqs.Queue", "kms_master_key_id"),
    _left_out("data", "148", "sqs.Queue", "redrive_policy"),
    _says("data", "148", 'guards = (tls_only((queue.arn,), "sqs:*"), ', "guards = (*(), "),
    _left_out("scanning", "150-152", "guardduty.MalwareProtectionPlan"),
    _says("data", "what_holds_data_is_protected_where_the_stack_is", "protect=args.protected", "protect=False"),
)

API_KEYS = (
    *(
        _says("authorizer", "the_tables_of_keys_are_open_to_their_functions_alone", f'actions=("dynamodb:{action}",)', value)
        for action, value in (
            ("GetItem", 'actions=("dynamodb:GetItem", "dynamodb:Scan")'),
            ("PutItem", 'actions=("dynamodb:PutItem", "dynamodb:DeleteItem")'),
            ("PutItem", 'actions=("dynamodb:PutItem", "dynamodb:UpdateItem")'),
        )
    ),
    _says(
        "authorizer",
        "the_tables_of_keys_are_open_to_their_functions_alone",
        "resources=(args.key_use.arn,)",
        "resources=(args.key_use.arn, args.api_keys.arn)",
    ),
    _says(
        "key_administration",
        "the_tables_of_keys_are_open_to_their_functions_alone",
        '"dynamodb:BatchGetItem",',
        '"dynamodb:PutItem",',
    ),
    _says(
        "key_administration",
        "the_tables_of_keys_are_open_to_their_functions_alone",
        '"dynamodb:UpdateItem")',
        '"dynamodb:UpdateItem", "dynamodb:DeleteItem")',
    ),
    _says(
        "token_exchange",
        "the_tables_of_keys_are_open_to_their_functions_alone",
        '("dynamodb:PutItem",)',
        '("dynamodb:PutItem", "dynamodb:UpdateItem")',
    ),
    *(
        mutation
        for module, test in (("token_exchange", "StringLike"), ("key_administration", "StringNotLike"))
        for mutation in (
            _left_out(module, "the_writers_of_api_keys_write_different_ones", "Statement", "conditions"),
            _says(
                module,
                "the_writers_of_api_keys_write_different_ones",
                f'"ForAllValues:{test}": {{"dynamodb:LeadingKeys": [f"{{PREFIX}}*"]}},',
                "",
            ),
            _says(module, "the_writers_of_api_keys_write_different_ones", '"Null": {"dynamodb:LeadingKeys": "false"},', ""),
        )
    ),
    _says("key_administration", "the_writers_of_api_keys_write_different_ones", "StringNotLike", "StringLike"),
)

USERS_AND_AUDIT = (
    _says(
        "user_administration",
        "people_are_administered_by_one_function_in_one_pool",
        '"cognito-idp:AdminEnableUser",',
        '"cognito-idp:AdminEnableUser", "cognito-idp:AdminSetUserPassword",',
    ),
    _says(
        "user_administration",
        "people_are_administered_by_one_function_in_one_pool",
        "pool = args.identity.user_pool_arn",
        'pool = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_other"',
    ),
    _says("user_administration", BY_THE_PROGRAM, 'reason="it is what administrators give and take rights with",', ""),
    _says(
        "key_administration",
        "people_are_administered_by_one_function_in_one_pool",
        'sid="KeyUse", actions=("dynamodb:BatchGetItem",',
        'sid="KeyUse", actions=("dynamodb:BatchGetItem", "cognito-idp:ListUsers",',
    ),
    _says(
        "audit_search",
        "the_audit_records_are_read_by_two_functions",
        'Output.concat(names.arn("logs", "log-group:"), group, ":*") for group in groups.values()',
        'names.arn("logs", "log-group:/aws/lambda/*") for _ in groups.values()',
    ),
    _says(
        "audit_search",
        "the_audit_records_are_read_by_two_functions",
        'actions=("logs:FilterLogEvents",)',
        'actions=("logs:FilterLogEvents", "logs:StartQuery")',
    ),
)

IDENTITIES = (
    _says("compute", BY_THE_PROGRAM, "resources=(self._args.data_key_arn,)", 'resources=("*",)'),
    _says("compute", BY_THE_PROGRAM, "resources=(self._args.data_key_arn,)", 'resources=("*",), reason="all keys"'),
    _says("iam", "108", '"Action": sorted(self.actions)', '"Action": "*"'),
    _says("compute", "109", '("sqs:GetQueueAttributes", "sqs:SendMessage")', '("sqs:*",), reason="any"'),
    _says("compute", BY_THE_PROGRAM, '"sqs:GetQueueAttributes", "sqs:SendMessage"', '"sqs:SendMessage", "iam:CreateRole"'),
    _says("iam", "111", '{"aws:SourceAccount": args.account}', "{}"),
    _says("iam", "111", '"Principal": {"Service": args.service}', '"Principal": {"AWS": "*"}'),
    _says(
        "iam",
        "112",
        "role=role.name, policy_arn=policy.arn",
        'role=role.name, policy_arn="arn:aws:iam::aws:policy/AdministratorAccess"',
    ),
    _says("compute", BY_THE_PROGRAM, 'reason="the action knows no resources",', ""),
)

AUDIT = (
    _left_out("observability", "103", "cloudtrail.Trail", "advanced_event_selectors"),
    _left_out("compute", "117", "cloudwatch.LogGroup", "kms_key_id"),
    _left_out("compute", "118", "cloudwatch.LogGroup", "retention_in_days"),
    _left_out("compute", "log_groups_end", "cloudwatch.LogGroup", "retention_in_days"),
    _says("change_alarms", "120-134", '"LeaveOrganization",', ""),
    _says("change_alarms", "120-134", '"DeleteInternetGateway",', ""),
    _left_out("alarms", "135", "cloudwatch.MetricAlarm", "alarm_actions"),
    _left_out("observability", "136-138", "cloudtrail.Trail", "is_multi_region_trail"),
    _left_out("observability", "136-138", "cloudtrail.Trail", "enable_log_file_validation"),
    _left_out("observability", "136-138", "cloudtrail.Trail", "kms_key_id"),
    _left_out("observability", "139", "cloudtrail.Trail", "cloud_watch_logs_group_arn"),
    _left_out("certificates", "142", "acm.Certificate", "validation_method"),
    _left_out("alarms", "149", "sns.Topic", "kms_master_key_id"),
    _set("alarms", "149", "sns.TopicPolicy", "arn", "'elsewhere'"),
    _says("program", "everything_is_tagged", '"ManagedBy": "pulumi"', '"ManagedBy": "hand"'),
)

MUTATIONS = (*GATEWAY, *WEB_ACL, *PEOPLE, *COMPUTE, *NETWORK, *DATA, *API_KEYS, *USERS_AND_AUDIT, *IDENTITIES, *AUDIT)
