import base64
import json
from collections.abc import Callable
from datetime import time
from typing import Any

import pytest
import yaml

from infra.bastion import schedule, user_data
from infra.setting_types import WorkingHours

ACCOUNT, REGION = "123456789012", "us-east-1"
STACKS = ("dev", "prod")


_plans: dict[str, Any] = {}


@pytest.fixture(params=STACKS)
def plan(request: pytest.FixtureRequest, run: Callable[..., Any]) -> Any:
    """The plan of each stack with a bastion, which dev has by choice."""
    if request.param not in _plans:
        _plans[request.param] = run(request.param, {"heartmap:bastion": "true"})
    return _plans[request.param]


def name_of(plan: Any, purpose: str) -> str:
    return f"heartmap-{plan.stack}-{purpose}"


def statements(plan: Any, policy: str) -> dict[str, Any]:
    document = json.loads(plan.one("iam/policy:Policy", policy).inputs["policy"])
    return {statement.pop("Sid"): statement for statement in document["Statement"]}


def template(plan: Any) -> dict[str, Any]:
    return plan.one("ec2/launchTemplate:LaunchTemplate").inputs


@pytest.mark.parametrize("stack", ["local", "dev"])
def test_a_stack_without_a_bastion_has_nothing_of_it(planned: Callable[[str], Any], stack: str) -> None:
    assert not planned(stack).of("autoscaling/group:Group")
    assert not planned(stack).of("ssm/document:Document")


def test_the_instance_has_no_public_address_and_its_own_security_group(plan: Any) -> None:
    assert template(plan)["networkInterfaces"] == [
        {
            "deviceIndex": 0,
            "associatePublicIpAddress": "false",
            "securityGroups": ["SecurityGroup/network-bastion"],
            "deleteOnTermination": "true",
        }
    ]
    assert "keyName" not in template(plan)


def test_nobody_is_let_in_to_the_bastion(plan: Any) -> None:
    lets_in = plan.of("vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert not [rule for rule in lets_in if rule.inputs["securityGroupId"] == "SecurityGroup/network-bastion"]


def test_the_instance_asks_for_metadata_with_a_token_that_no_one_behind_it_gets(plan: Any) -> None:
    assert template(plan)["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
        "instanceMetadataTags": "disabled",
    }


def test_the_disk_is_encrypted_and_the_instance_watched(plan: Any) -> None:
    (disk,) = template(plan)["blockDeviceMappings"]
    assert (disk["deviceName"], disk["ebs"]["encrypted"]) == ("/dev/xvda", "true")
    assert template(plan)["monitoring"] == {"enabled": True}
    assert template(plan)["ebsOptimized"] == "true"
    assert template(plan)["disableApiTermination"] is True


def test_the_image_is_the_newest_one_whenever_an_instance_starts(plan: Any) -> None:
    parameter = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
    assert template(plan)["imageId"] == f"resolve:ssm:{parameter}"
    assert template(plan)["instanceType"].startswith("t4g.")  # Graviton, as the image is


def test_everything_of_an_instance_carries_the_tags_of_the_stack(plan: Any) -> None:
    tags = {
        "Project": "heartmap",
        "Environment": plan.stack,
        "ManagedBy": "pulumi",
        "Name": name_of(plan, "bastion"),
    }
    tagged = {one["resourceType"]: one["tags"] for one in template(plan)["tagSpecifications"]}
    assert tagged == {"instance": tags, "volume": tags, "network-interface": tags}
    group = plan.one("autoscaling/group:Group").inputs
    assert {tag["key"]: tag["value"] for tag in group["tags"]} == tags


def test_the_group_has_one_instance_in_the_private_subnets_once_they_are_connected(plan: Any) -> None:
    group = plan.one("autoscaling/group:Group")
    assert (group.inputs["minSize"], group.inputs["maxSize"], group.inputs["desiredCapacity"]) == (0, 1, 1)
    assert group.inputs["vpcZoneIdentifiers"] == [f"Subnet/{subnet.name}" for subnet in plan.of("ec2/subnet:Subnet")]
    assert group.inputs["launchTemplate"] == {
        "id": "LaunchTemplate/bastion",
        "version": "$Latest",
    }
    network = {resource.urn for resource in plan.resources if resource.parent.endswith("Network::network") and resource.custom}
    assert network <= set(group.dependencies)
    # What the schedule set is not put back by a deployment at night.
    assert group.ignored == ["desiredCapacity"]


TIMES = {
    "dev": {0: "0 18 * * MON,TUE,WED,THU,FRI", 1: "0 8 * * MON,TUE,WED,THU,FRI"},
    "prod": {0: "0 3 * * SUN", 1: "15 3 * * SUN"},
}


def test_the_instance_is_off_outside_working_hours_and_never_old(plan: Any) -> None:
    schedules = [one.inputs for one in plan.of("autoscaling/schedule:Schedule") if "bastion" in one.name]
    assert {one["desiredCapacity"]: one["recurrence"] for one in schedules} == TIMES[plan.stack]
    for one in schedules:
        assert (one["minSize"], one["maxSize"]) == (0, 1)
        assert one["timeZone"] == plan.settings.time_zone
        assert one["autoscalingGroupName"] == name_of(plan, "bastion")


def test_a_schedule_tells_minutes_and_hours() -> None:
    hours = WorkingHours("SAT-SUN", time(7), time(19))
    assert schedule(hours) == ("0 19 * * SAT,SUN", "0 7 * * SAT,SUN")


def test_a_session_is_encrypted_and_recorded_twice(plan: Any) -> None:
    document = plan.one("ssm/document:Document").inputs
    assert (document["name"], document["documentType"]) == (name_of(plan, "session"), "Session")
    content = json.loads(document["content"])
    assert (content["schemaVersion"], content["sessionType"]) == ("1.0", "Standard_Stream")
    assert content["inputs"] == {
        "kmsKeyId": "arn:aws:Key/logs",
        "cloudWatchLogGroupName": f"/heartmap/{plan.stack}/sessions",
        "cloudWatchEncryptionEnabled": True,
        "cloudWatchStreamingEnabled": True,
        "s3BucketName": f"heartmap-{plan.stack}-audit-{ACCOUNT}-{REGION}",
        "s3KeyPrefix": "sessions",
        "s3EncryptionEnabled": True,
        "runAsEnabled": True,
        "runAsDefaultUser": "heartmap",
        "idleSessionTimeout": "20",
        "maxSessionDuration": "480",
    }
    logs = plan.one("cloudwatch/logGroup:LogGroup", "bastion-sessions")
    assert logs.inputs["kmsKeyId"] == "arn:aws:Key/logs"
    assert logs.inputs["retentionInDays"] == plan.settings.log_retention_days
    assert logs.protect is plan.settings.deletion_protection


def test_the_agent_may_take_part_in_sessions_and_write_their_records_only(plan: Any) -> None:
    (trust,) = json.loads(plan.one("iam/role:Role", "bastion").inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "ec2.amazonaws.com"}
    assert plan.one("iam/instanceProfile:InstanceProfile").inputs["role"] == name_of(plan, "bastion")
    audit = "arn:aws:Bucket/audit"
    of_a_session = {"Null": {"kms:EncryptionContext:aws:ssm:SessionId": "false"}}
    by_s3 = {"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}
    allowed = {
        sid: (set(one["Action"]), one["Resource"], one.get("Condition")) for sid, one in statements(plan, "bastion").items()
    }
    channels = {f"ssmmessages:{does}{what}Channel" for does in ("Create", "Open") for what in ("Control", "Data")}
    assert allowed == {
        "Register": ({"ssm:UpdateInstanceInformation"}, [f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/*"], None),
        "Channels": (channels, ["*"], None),
        "Encrypt": ({"kms:Decrypt"}, ["arn:aws:Key/logs"], of_a_session),
        "FindLog": ({"logs:DescribeLogGroups"}, [f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:*"], None),
        "WriteLog": (
            {"logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"},
            ["arn:aws:LogGroup/bastion-sessions:*"],
            None,
        ),
        "FindRecord": ({"s3:GetEncryptionConfiguration"}, [audit], None),
        "WriteRecord": ({"s3:PutObject"}, [f"{audit}/sessions/*"], None),
        "EncryptRecord": ({"kms:Decrypt", "kms:GenerateDataKey"}, ["arn:aws:Key/logs"], by_s3),
    }


def test_an_operator_may_start_recorded_sessions_and_tunnels_on_this_bastion_only(plan: Any) -> None:
    allowed = statements(plan, "bastion-operators")
    instances = [f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/*"]
    checked = {"BoolIfExists": {"ssm:SessionDocumentAccessCheck": "true"}}
    starts = [one for one in allowed.values() if "ssm:StartSession" in one["Action"]]
    assert starts == [allowed["Start"], allowed["As"]]
    assert allowed["Start"]["Resource"] == instances
    assert allowed["Start"]["Condition"] == {"StringEquals": {"ssm:resourceTag/Name": name_of(plan, "bastion")}, **checked}
    assert allowed["As"]["Resource"] == [
        "arn:aws:Document/bastion-session",
        f"arn:aws:ssm:{REGION}::document/AWS-StartPortForwardingSessionToRemoteHost",
        f"arn:aws:ssm:{REGION}::document/AWS-StartSSHSession",
    ]
    assert allowed["As"]["Condition"] == checked
    assert allowed["TunnelKey"]["Condition"] == {
        "StringEquals": {"aws:ResourceTag/Name": name_of(plan, "bastion"), "ec2:osuser": "tunnel"}
    }
    assert allowed["End"]["Condition"] == {"StringEquals": {"ssm:resourceTag/aws:ssmmessages:session-id": "${aws:userid}"}}
    assert {action for one in allowed.values() for action in one["Action"]} == {
        "autoscaling:DescribeAutoScalingGroups",
        "ssm:StartSession",
        "ssm:ResumeSession",
        "ssm:TerminateSession",
        "ssmmessages:OpenDataChannel",
        "kms:GenerateDataKey",
        "ec2-instance-connect:SendSSHPublicKey",
    }


def configured(text: str) -> dict[str, Any]:
    first, _, rest = text.partition("\n")
    assert first == "#cloud-config"
    return yaml.safe_load(rest)


def test_nobody_on_the_instance_can_become_root(plan: Any) -> None:
    config = configured(base64.b64decode(template(plan)["userData"]).decode())
    assert [user["name"] for user in config["users"]] == ["heartmap", "tunnel"]
    for user in config["users"]:
        assert user["lock_passwd"] is True
        assert not {"sudo", "groups", "ssh_authorized_keys"} & user.keys()


def test_ssh_listens_to_the_instance_itself_and_forwards_to_the_load_balancer_only() -> None:
    config = configured(user_data("internal.heartmap.example.org"))
    (file,) = config["write_files"]
    # Read before the distribution's own, and the first value counts.
    assert file["path"] == "/etc/ssh/sshd_config.d/10-tunnel.conf"
    said = dict(line.split(" ", 1) for line in file["content"].splitlines())
    assert said == {
        "ListenAddress": "127.0.0.1",
        "AllowUsers": "tunnel",
        "AuthenticationMethods": "publickey",
        "PermitRootLogin": "no",
        "AllowTcpForwarding": "local",
        "PermitOpen": "internal.heartmap.example.org:443",
        "AllowStreamLocalForwarding": "no",
        "AllowAgentForwarding": "no",
        "X11Forwarding": "no",
        "PermitTunnel": "no",
        "PermitTTY": "no",
        "ForceCommand": "/usr/sbin/nologin",
    }
    assert config["runcmd"] == [["systemctl", "restart", "sshd"]]


def test_the_name_of_the_load_balancer_is_known_in_the_vpc(plan: Any) -> None:
    zone = plan.one("route53/zone:Zone").inputs
    host = plan.settings.internal_host
    assert (zone["name"], zone["vpcs"]) == (host, [{"vpcId": "Vpc/network"}])
    record = plan.one("route53/record:Record", "private-dns").inputs
    assert (record["name"], record["type"], record["zoneId"]) == (host, "A", "Zone/private-dns/zoneId")
    assert record["aliases"] == [
        {
            "name": "LoadBalancer/balancer/dnsName",
            "zoneId": "LoadBalancer/balancer/zoneId",
            "evaluateTargetHealth": False,
        }
    ]


def test_what_a_tunnel_needs_is_told(plan: Any) -> None:
    assert plan.outputs["bastion_group"] == name_of(plan, "bastion")
    assert plan.outputs["session_document"] == name_of(plan, "session")
    assert plan.outputs["operator_policy_arn"] == "arn:aws:Policy/bastion-operators"
    assert plan.outputs["internal_host"] == plan.settings.internal_host


def test_without_bastion_and_vpn_nothing_of_them_is_made(run: Callable[..., Any]) -> None:
    plan = run("dev", {"heartmap:bastion": "false"})
    made = {resource.type.split("/")[0].removeprefix("aws:") for resource in plan.resources}
    assert not {"autoscaling", "ec2clientvpn"} & made
    assert not plan.of("route53/zone:Zone")
    assert not plan.of("ssm/document:Document")
    assert "bastion_group" not in plan.outputs
