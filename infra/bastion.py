"""The bastion: how operators reach the internal load balancer. Session Manager is the only way onto it."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra.data import SESSIONS_PREFIX, PrivateBucket
from infra.iam import ServiceRole, ServiceRoleArgs, Statement, document
from infra.naming import Names
from infra.network import HTTPS_PORT, Network
from infra.setting_types import WorkingHours

TYPE_BASTION = "heartmap:bastion:Bastion"

# Resolved anew whenever an instance is started.
# https://docs.aws.amazon.com/linux/al2023/ug/ec2.html#launch-via-aws-cli
IMAGE = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
INSTANCE_TYPE = "t4g.nano"
ROOT_DEVICE = "/dev/xvda"
DISK_GIB = 8

# The instance is always a young one: it is started anew each working day, or each week where it runs at all hours.
RENEWAL = ("0 3 * * SUN", "15 3 * * SUN")

SHELL_USER = "heartmap"
"""Who an operator is on the bastion: nobody there can become root."""
TUNNEL_USER = "tunnel"
"""Whom SSH knows: it forwards one port, and has no shell."""

# AWS's own documents, which belong to no account.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-sessions-start.html
TUNNEL_DOCUMENTS = ("AWS-StartPortForwardingSessionToRemoteHost", "AWS-StartSSHSession")

IDLE_MINUTES, SESSION_MINUTES = 20, 480


def user_data(internal_host: str) -> str:
    """What the instance does at its first start, for cloud-init: two users without sudo, and an SSH server for itself alone."""
    sshd = (
        # Session Manager's agent connects from the instance itself.
        "ListenAddress 127.0.0.1",
        f"AllowUsers {TUNNEL_USER}",
        # The key is given by EC2 Instance Connect for a minute.
        "AuthenticationMethods publickey",
        "PermitRootLogin no",
        "AllowTcpForwarding local",
        f"PermitOpen {internal_host}:{HTTPS_PORT}",
        "AllowStreamLocalForwarding no",
        "AllowAgentForwarding no",
        "X11Forwarding no",
        "PermitTunnel no",
        "PermitTTY no",
        "ForceCommand /usr/sbin/nologin",
    )
    config = {
        # A list of users that does not say "default" leaves out ec2-user, who could become root.
        "users": [
            {"name": SHELL_USER, "lock_passwd": True, "shell": "/bin/bash"},
            {"name": TUNNEL_USER, "lock_passwd": True, "shell": "/usr/sbin/nologin"},
        ],
        "write_files": [
            {"path": "/etc/ssh/sshd_config.d/10-tunnel.conf", "permissions": "0600", "content": "\n".join(sshd) + "\n"}
        ],
        "runcmd": [["systemctl", "restart", "sshd"]],
    }
    return "#cloud-config\n" + json.dumps(config)


def schedule(hours: WorkingHours | None) -> tuple[str, str]:
    """When the bastion is switched off and on again, as cron expressions."""
    if hours is None:
        return RENEWAL
    off, on = (f"{time.minute} {time.hour} * * {hours.each_day}" for time in (hours.stop, hours.start))
    return off, on


@dataclass(frozen=True, kw_only=True)
class BastionArgs:
    """``security_group_id`` is the bastion's own. ``hours`` None means all hours, ``time_zone`` is an IANA name.

    ``tags`` are those of everything in the stack, which a group does not pass on to its instances by itself. ``protected`` says
    whether the log of sessions may be deleted with the stack.
    """

    names: Names
    network: Network
    security_group_id: Input[str]
    internal_host: str
    logs_key_arn: Input[str]
    audit: PrivateBucket
    retention_days: int
    hours: WorkingHours | None
    time_zone: str
    tags: Mapping[str, str]
    protected: bool


class Bastion(pulumi.ComponentResource):
    """One instance without a public address and without an open port, and what an operator needs to start a session on it."""

    group_name: Output[str]
    session_document: Output[str]
    operator_policy_arn: Output[str]
    log_group_name: Output[str]

    def __init__(self, name: str, args: BastionArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__(TYPE_BASTION, name, None, opts)
        self._name, self._args, self._child = name, args, ResourceOptions(parent=self)
        self._logs = aws.cloudwatch.LogGroup(
            f"{name}-sessions",
            name=args.names.log_group("sessions"),
            retention_in_days=args.retention_days,
            kms_key_id=args.logs_key_arn,
            opts=ResourceOptions(parent=self, protect=args.protected),
        )
        session = self._session_document()
        self.group_name = self._group(self._launch_template(self._instance_profile()))
        self.session_document, self.log_group_name = session.name, self._logs.name
        self.operator_policy_arn = self._operator_policy(session)
        self.register_outputs({"group_name": self.group_name, "session_document": self.session_document})

    def _session_document(self) -> aws.ssm.Document:
        """https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-schema.html"""
        inputs = {
            "kmsKeyId": self._args.logs_key_arn,
            "cloudWatchLogGroupName": self._logs.name,
            "cloudWatchEncryptionEnabled": True,
            "cloudWatchStreamingEnabled": True,
            "s3BucketName": self._args.audit.bucket,
            "s3KeyPrefix": SESSIONS_PREFIX,
            "s3EncryptionEnabled": True,
            "runAsEnabled": True,
            "runAsDefaultUser": SHELL_USER,
            "idleSessionTimeout": str(IDLE_MINUTES),
            "maxSessionDuration": str(SESSION_MINUTES),
        }
        content = {
            "schemaVersion": "1.0",
            "description": "A shell on the bastion: encrypted, recorded, without root",
            "sessionType": "Standard_Stream",
            "inputs": inputs,
        }
        return aws.ssm.Document(
            f"{self._name}-session",
            name=self._args.names.of("session"),
            document_type="Session",
            document_format="JSON",
            content=Output.json_dumps(content),
            opts=self._child,
        )

    def _instance_profile(self) -> Output[str]:
        names = self._args.names
        role = ServiceRole(
            self._name,
            ServiceRoleArgs(
                name=names.of("bastion"),
                service="ec2.amazonaws.com",
                description="Lets the bastion take part in Session Manager and record sessions",
                unbound="EC2 names no source when an instance takes its role; no other account can give this role to an instance",
                statements=self._agent_statements(),
            ),
            self._child,
        )
        return aws.iam.InstanceProfile(self._name, name=names.of("bastion"), role=role.name, opts=self._child).arn

    def _agent_statements(self) -> list[Statement]:
        """https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html"""
        names, audit = self._args.names, self._args.audit
        return [
            Statement(
                sid="Register",
                actions=("ssm:UpdateInstanceInformation",),
                resources=(names.arn("ec2", "instance/*"),),
                reason="the agent tells of the instance it is on, whose id nobody knows before",
            ),
            Statement(
                sid="Channels",
                actions=(
                    "ssmmessages:CreateControlChannel",
                    "ssmmessages:CreateDataChannel",
                    "ssmmessages:OpenControlChannel",
                    "ssmmessages:OpenDataChannel",
                ),
                resources=("*",),
                reason="these actions know no resources",
            ),
            Statement(
                sid="Encrypt",
                actions=("kms:Decrypt",),
                resources=(self._args.logs_key_arn,),
                # The key is that of the logs as well, which the bastion has no business to read.
                conditions={"Null": {"kms:EncryptionContext:aws:ssm:SessionId": "false"}},
            ),
            Statement(
                sid="FindLog",
                actions=("logs:DescribeLogGroups",),
                resources=(names.arn("logs", "log-group:*"),),
                reason="the action lists names and cannot be bound to one log group",
            ),
            Statement(
                sid="WriteLog",
                actions=("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
                resources=(Output.concat(self._logs.arn, ":*"),),
                reason="the streams of this one log group, which are named after sessions",
            ),
            Statement(sid="FindRecord", actions=("s3:GetEncryptionConfiguration",), resources=(audit.arn,)),
            Statement(
                sid="WriteRecord",
                actions=("s3:PutObject",),
                resources=(Output.concat(audit.arn, f"/{SESSIONS_PREFIX}/*"),),
                reason="the agent names the records after their sessions",
            ),
            Statement(
                sid="EncryptRecord",
                # Both, because a long record is put together from parts.
                actions=("kms:Decrypt", "kms:GenerateDataKey"),
                resources=(self._args.logs_key_arn,),
                conditions={"StringEquals": {"kms:ViaService": f"s3.{names.region}.amazonaws.com"}},
            ),
        ]

    def _launch_template(self, profile_arn: Output[str]) -> aws.ec2.LaunchTemplate:
        tags = {**self._args.tags, "Name": self._args.names.of("bastion")}
        return aws.ec2.LaunchTemplate(
            self._name,
            name=self._args.names.of("bastion"),
            image_id=IMAGE,
            instance_type=INSTANCE_TYPE,
            iam_instance_profile=aws.ec2.LaunchTemplateIamInstanceProfileArgs(arn=profile_arn),
            user_data=base64.b64encode(user_data(self._args.internal_host).encode()).decode("ascii"),
            metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1, instance_metadata_tags="disabled"
            ),
            network_interfaces=[
                aws.ec2.LaunchTemplateNetworkInterfaceArgs(
                    device_index=0,
                    associate_public_ip_address="false",
                    security_groups=[self._args.security_group_id],
                    delete_on_termination="true",
                )
            ],
            block_device_mappings=[
                aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                    device_name=ROOT_DEVICE,
                    ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                        encrypted="true", volume_size=DISK_GIB, volume_type="gp3", delete_on_termination="true"
                    ),
                )
            ],
            ebs_optimized="true",
            monitoring=aws.ec2.LaunchTemplateMonitoringArgs(enabled=True),
            # Against a slip of somebody's hand; the group replaces its instances all the same.
            disable_api_termination=True,
            update_default_version=True,
            tag_specifications=[
                aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=tags)
                for kind in ("instance", "volume", "network-interface")
            ],
            opts=self._child,
        )

    def _group(self, template: aws.ec2.LaunchTemplate) -> Output[str]:
        names = self._args.names
        group = aws.autoscaling.Group(
            self._name,
            name=names.of("bastion"),
            min_size=0,
            max_size=1,
            desired_capacity=1,
            vpc_zone_identifiers=self._args.network.subnet_ids,
            launch_template=aws.autoscaling.GroupLaunchTemplateArgs(id=template.id, version="$Latest"),
            tags=[
                aws.autoscaling.GroupTagArgs(key=key, value=value, propagate_at_launch=False)
                for key, value in {**self._args.tags, "Name": names.of("bastion")}.items()
            ],
            # An agent that starts without endpoints and rules gives up after a while. The size is what the schedule says.
            opts=ResourceOptions(parent=self, depends_on=[self._args.network], ignore_changes=["desiredCapacity"]),
        )
        for purpose, size, recurrence in zip(("off", "on"), (0, 1), schedule(self._args.hours), strict=True):
            aws.autoscaling.Schedule(
                f"{self._name}-{purpose}",
                scheduled_action_name=f"{names.of('bastion')}-{purpose}",
                autoscaling_group_name=group.name,
                min_size=0,
                max_size=1,
                desired_capacity=size,
                recurrence=recurrence,
                time_zone=self._args.time_zone,
                opts=self._child,
            )
        return group.name

    def _operator_policy(self, session: aws.ssm.Document) -> Output[str]:
        """What an operator's own role needs, and no more: to be attached to it by whoever administers the account.

        https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-restrict-access-quickstart.html
        """
        names = self._args.names
        instances, own_sessions = names.arn("ec2", "instance/*"), names.arn("ssm", "session/*")
        documents = [f"arn:{names.partition}:ssm:{names.region}::document/{name}" for name in TUNNEL_DOCUMENTS]
        # Who names no document would get the account's own one, unrecorded: so each statement asks for the right to the document.
        checked = {"BoolIfExists": {"ssm:SessionDocumentAccessCheck": "true"}}
        statements = (
            Statement(
                sid="Find",
                actions=("autoscaling:DescribeAutoScalingGroups",),
                resources=("*",),
                reason="the action knows no resources; it tells the id of the instance",
            ),
            Statement(
                sid="Start",
                actions=("ssm:StartSession",),
                resources=(instances,),
                conditions={"StringEquals": {"ssm:resourceTag/Name": names.of("bastion")}, **checked},
                reason="the instance is another one every day, and known by its name",
            ),
            Statement(sid="As", actions=("ssm:StartSession",), resources=(session.arn, *documents), conditions=checked),
            Statement(
                sid="End",
                actions=("ssm:ResumeSession", "ssm:TerminateSession"),
                resources=(own_sessions,),
                conditions={"StringEquals": {"ssm:resourceTag/aws:ssmmessages:session-id": "${aws:userid}"}},
                reason="sessions that this person started, whatever their names",
            ),
            Statement(
                sid="Channel",
                actions=("ssmmessages:OpenDataChannel",),
                resources=(names.arn("ssm", "session/${aws:userid}-*"),),
                reason="Session Manager names a session after who started it",
            ),
            Statement(
                sid="Encrypt",
                actions=("kms:GenerateDataKey",),
                resources=(self._args.logs_key_arn,),
                conditions={"Null": {"kms:EncryptionContext:aws:ssm:SessionId": "false"}},
            ),
            Statement(
                sid="TunnelKey",
                actions=("ec2-instance-connect:SendSSHPublicKey",),
                resources=(instances,),
                conditions={
                    "StringEquals": {"aws:ResourceTag/Name": names.of("bastion"), "ec2:osuser": TUNNEL_USER},
                },
                reason="the instance is another one every day, and known by its name",
            ),
        )
        return aws.iam.Policy(
            f"{self._name}-operators",
            name=names.of("operators"),
            description="Sessions on the bastion, and tunnels through it",
            policy=document(*statements),
            opts=self._child,
        ).arn
