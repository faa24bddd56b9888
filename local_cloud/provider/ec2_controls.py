"""What guards and records the traffic of a network: network access control lists and flow logs."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from typing import Any, ClassVar

from local_cloud.provider.ec2 import Ec2Type, live_tags, tag_specification, update_tags
from local_cloud.provider.framework import (
    Aws,
    Failure,
    Inputs,
    Refused,
    from_tag_list,
    ignoring_gone,
    none_if_gone,
    register,
    undoing,
)
from local_cloud.provider.names import given

# https://www.iana.org/assignments/protocol-numbers
PROTOCOLS = {"tcp": "6", "udp": "17", "icmp": "1", "-1": "-1"}
LAST_RULE = 32767
"""The rule that denies the rest: every list has it, and it cannot be changed."""

RULE = {"ruleNo": None, "action": None, "protocol": None, "cidrBlock": None, "fromPort": None, "toPort": None}
DIRECTIONS = {"ingress": False, "egress": True}


class _NetworkAcl(Ec2Type):
    """The rules are the list's own: one that somebody adds is drift, and goes with the next update."""

    nested: ClassVar = dict.fromkeys(DIRECTIONS, RULE)

    def check(self, inputs: Inputs, /) -> list[Failure]:
        return [
            Failure(direction, f"{self.token}: the protocol {rule.get('protocol')!r} has to be one of {', '.join(PROTOCOLS)}")
            for direction in DIRECTIONS
            for rule in inputs.get(direction) or []
            if isinstance(rule, dict) and isinstance(rule.get("protocol"), str) and rule["protocol"] not in PROTOCOLS
        ]

    @staticmethod
    def _describe(aws: Aws, acl_id: str) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("ec2").describe_network_acls, NetworkAclIds=[acl_id])
        return answer["NetworkAcls"][0] if answer else None

    def _set_rules(self, aws: Aws, acl_id: str, inputs: Inputs) -> None:
        ec2, acl = aws.client("ec2"), self._describe(aws, acl_id)
        if acl is None:
            raise Refused("is gone: run a refresh")
        for entry in acl["Entries"]:
            if entry["RuleNumber"] != LAST_RULE:
                ec2.delete_network_acl_entry(NetworkAclId=acl_id, RuleNumber=entry["RuleNumber"], Egress=entry["Egress"])
        for direction, egress in DIRECTIONS.items():
            for rule in inputs.get(direction) or []:
                ports = {"From": rule["fromPort"], "To": rule["toPort"]} if rule["protocol"] in {"tcp", "udp"} else None
                ec2.create_network_acl_entry(
                    NetworkAclId=acl_id,
                    Egress=egress,
                    RuleNumber=rule["ruleNo"],
                    RuleAction=rule["action"],
                    Protocol=PROTOCOLS[rule["protocol"]],
                    CidrBlock=rule["cidrBlock"],
                    **given(PortRange=ports),
                )

    @staticmethod
    def _rules(acl: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        """The live rules where they are others than those of the state; their order means nothing."""
        names = {number: name for name, number in PROTOCOLS.items()}
        live: dict[str, Any] = {}
        for direction, egress in DIRECTIONS.items():
            found = [
                given(
                    ruleNo=entry["RuleNumber"],
                    action=entry["RuleAction"],
                    protocol=names.get(entry["Protocol"], entry["Protocol"]),
                    cidrBlock=entry.get("CidrBlock"),
                    fromPort=entry.get("PortRange", {}).get("From", 0),
                    toPort=entry.get("PortRange", {}).get("To", 0),
                )
                for entry in acl["Entries"]
                if entry["Egress"] is egress and entry["RuleNumber"] != LAST_RULE
            ]
            mine = sorted(state.get(direction) or [], key=lambda rule: rule["ruleNo"])
            if sorted(found, key=lambda rule: rule["ruleNo"]) != mine:
                live[direction] = found
        return live


@register
class NetworkAcl(_NetworkAcl):
    token = "aws:ec2/networkAcl:NetworkAcl"
    arguments = frozenset({"vpcId", "subnetIds", "ingress", "egress", "tags"})
    required = frozenset({"vpcId"})
    replaces = frozenset({"vpcId"})
    computed = frozenset({"arn", "ownerId"})

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        acl = aws.client("ec2").create_network_acl(
            VpcId=inputs["vpcId"], TagSpecifications=tag_specification(aws, "network-acl", inputs)
        )["NetworkAcl"]
        acl_id = acl["NetworkAclId"]
        with undoing(lambda: self.delete(aws, acl_id, inputs)):
            self._set_rules(aws, acl_id, inputs)
            self._give(aws, inputs.get("subnetIds") or [], acl_id)
        return acl_id, {"arn": aws.arn("ec2", f"network-acl/{acl_id}"), "ownerId": aws.account}

    @staticmethod
    def _give(aws: Aws, subnet_ids: list[str], acl_id: str) -> None:
        """A subnet always has exactly one list: a new one takes the place of the old one."""
        ec2 = aws.client("ec2")
        for subnet_id in subnet_ids:
            has = [{"Name": "association.subnet-id", "Values": [subnet_id]}]
            for acl in ec2.describe_network_acls(Filters=has)["NetworkAcls"]:
                for association in acl["Associations"]:
                    if association["SubnetId"] == subnet_id and acl["NetworkAclId"] != acl_id:
                        ec2.replace_network_acl_association(
                            AssociationId=association["NetworkAclAssociationId"], NetworkAclId=acl_id
                        )

    def _take(self, aws: Aws, subnet_ids: list[str], vpc_id: str) -> None:
        """Gives the subnets the VPC's default list back."""
        default = [{"Name": "vpc-id", "Values": [vpc_id]}, {"Name": "default", "Values": ["true"]}]
        for acl in aws.client("ec2").describe_network_acls(Filters=default)["NetworkAcls"]:
            self._give(aws, subnet_ids, acl["NetworkAclId"])

    def _modify(self, aws: Aws, resource_id: str, differing: set[str], old: dict[str, Any], new: Inputs, /) -> None:
        if differing & DIRECTIONS.keys():
            self._set_rules(aws, resource_id, new)
        before, after = old.get("subnetIds") or [], new.get("subnetIds") or []
        self._give(aws, after, resource_id)
        self._take(aws, [subnet for subnet in before if subnet not in after], new["vpcId"])

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        acl = self._describe(aws, resource_id)
        if acl is None:
            return None
        subnets = [association["SubnetId"] for association in acl["Associations"]]
        same = sorted(subnets) == sorted(state.get("subnetIds") or [])
        return {
            "vpcId": acl["VpcId"],
            **self._rules(acl, state),
            **({} if same else {"subnetIds": subnets}),
            **live_tags(acl),
        }

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            acl = self._describe(aws, resource_id)
            if acl is not None:
                self._take(aws, [association["SubnetId"] for association in acl["Associations"]], state["vpcId"])
                aws.client("ec2").delete_network_acl(NetworkAclId=resource_id)


@register
class DefaultNetworkAcl(_NetworkAcl):
    """The list that every VPC has: adopted, with AWS's open rules removed. It goes with its VPC: deleting it does nothing."""

    token = "aws:ec2/defaultNetworkAcl:DefaultNetworkAcl"
    arguments = frozenset({"defaultNetworkAclId", "ingress", "egress", "tags"})
    required = frozenset({"defaultNetworkAclId"})
    replaces = frozenset({"defaultNetworkAclId"})
    computed = frozenset({"arn", "ownerId", "vpcId"})

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        acl_id = inputs["defaultNetworkAclId"]
        acl = self._describe(aws, acl_id)
        if acl is None:
            raise Refused(f"the network ACL {acl_id} does not exist")
        self._set_rules(aws, acl_id, inputs)
        update_tags(aws, acl_id, {"tagsAll": from_tag_list(acl.get("Tags"))}, inputs)
        arn = aws.arn("ec2", f"network-acl/{acl_id}")
        return acl_id, {"arn": arn, "ownerId": aws.account, "vpcId": acl["VpcId"]}

    def _modify(self, aws: Aws, resource_id: str, _differing: set[str], _old: dict[str, Any], new: Inputs, /) -> None:
        self._set_rules(aws, resource_id, new)

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        acl = self._describe(aws, resource_id)
        return {**self._rules(acl, state), **live_tags(acl)} if acl else None

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        pass


@register
class FlowLog(Ec2Type):
    token = "aws:ec2/flowLog:FlowLog"
    _targets: ClassVar = {"vpcId": "VPC", "subnetId": "Subnet"}
    arguments = frozenset({"trafficType", "logDestinationType", "logDestination", "iamRoleArn", "tags", *_targets})
    required = frozenset({"trafficType", "logDestination"})
    replaces = arguments - {"tags"}
    defaults: ClassVar = {"logDestinationType": "cloud-watch-logs"}
    computed = frozenset({"arn"})
    delete_before_replace = True  # AWS refuses a second one with the same target and destination

    def check(self, inputs: Inputs, /) -> list[Failure]:
        if len([name for name in self._targets if name in inputs]) != 1:
            return [Failure("", f"{self.token}: give exactly one of {', '.join(self._targets)}")]
        return []

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        target = next(name for name in self._targets if name in inputs)
        answer = aws.client("ec2").create_flow_logs(
            ResourceType=self._targets[target],
            ResourceIds=[inputs[target]],
            TrafficType=inputs["trafficType"],
            LogDestinationType=inputs["logDestinationType"],
            LogDestination=inputs["logDestination"],
            TagSpecifications=tag_specification(aws, "vpc-flow-log", inputs),
            **given(DeliverLogsPermissionArn=inputs.get("iamRoleArn")),
        )
        if answer["Unsuccessful"]:
            raise Refused(f"AWS refused it: {answer['Unsuccessful'][0]['Error']['Message']}")
        (log_id,) = answer["FlowLogIds"]
        return log_id, {"arn": aws.arn("ec2", f"vpc-flow-log/{log_id}")}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("ec2").describe_flow_logs, FlowLogIds=[resource_id])
        if not answer or not answer["FlowLogs"]:
            return None
        log = answer["FlowLogs"][0]
        target = next(name for name in self._targets if state.get(name))
        return {
            target: log["ResourceId"],
            "trafficType": log["TrafficType"],
            "logDestinationType": log["LogDestinationType"],
            "logDestination": log["LogDestination"],
            "iamRoleArn": log.get("DeliverLogsPermissionArn"),
            **live_tags(log),
        }

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("ec2").delete_flow_logs(FlowLogIds=[resource_id])
