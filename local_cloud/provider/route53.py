"""Route 53 records and private zones."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from local_cloud.provider.framework import (
    Aws,
    Failure,
    Inputs,
    Refused,
    ResourceType,
    from_tag_list,
    ignoring_gone,
    is_gone,
    none_if_gone,
    register,
    tag_changes,
    undoing,
)


def _update_zone_tags(aws: Aws, zone_id: str, old: Mapping[str, Any], new: Inputs) -> None:
    to_set, to_remove = tag_changes(aws, old, new)
    changes: dict[str, Any] = {"AddTags": [{"Key": key, "Value": value} for key, value in to_set.items()]}
    changes["RemoveTagKeys"] = to_remove
    if given := {name: value for name, value in changes.items() if value}:
        aws.client("route53").change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone_id, **given)


@register
class Zone(ResourceType):
    """A private zone: its names are known in its VPC alone."""

    token = "aws:route53/zone:Zone"
    arguments = frozenset({"name", "comment", "vpcs", "forceDestroy", "tags"})
    required = frozenset({"name", "vpcs"})
    # AWS also changes the last two in place.
    replaces = frozenset({"name", "comment", "vpcs"})
    defaults: ClassVar = {"comment": "Managed by Pulumi", "forceDestroy": False}
    nested: ClassVar = {"vpcs": {"vpcId": None, "vpcRegion": None}}
    computed = frozenset({"arn", "zoneId"})
    delete_before_replace = True  # a VPC has one private zone of a name

    def check(self, inputs: Inputs, /) -> list[Failure]:
        if isinstance(inputs["vpcs"], list) and len(inputs["vpcs"]) != 1:
            return [Failure("vpcs", f"{self.token}: the local cloud knows private zones of one VPC only")]
        if inputs["forceDestroy"] is True:
            return [Failure("forceDestroy", f"{self.token}: the local cloud deletes a zone only once its records are gone")]
        return []

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        (vpc,) = inputs["vpcs"]
        zone = aws.client("route53").create_hosted_zone(
            Name=inputs["name"],
            CallerReference=secrets.token_hex(16),
            VPC={"VPCId": vpc["vpcId"], "VPCRegion": vpc.get("vpcRegion", aws.region)},
            HostedZoneConfig={"Comment": inputs["comment"], "PrivateZone": True},
        )["HostedZone"]
        zone_id = zone["Id"].rpartition("/")[2]
        with undoing(lambda: self.delete(aws, zone_id, {})):
            _update_zone_tags(aws, zone_id, {}, inputs)
        return zone_id, {"arn": f"arn:{aws.partition}:route53:::hostedzone/{zone_id}", "zoneId": zone_id}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        route53 = aws.client("route53")
        answer = none_if_gone(route53.get_hosted_zone, Id=resource_id)
        if answer is None:
            return None
        tags = route53.list_tags_for_resource(ResourceType="hostedzone", ResourceId=resource_id)["ResourceTagSet"]["Tags"]
        found = [vpc["VPCId"] for vpc in answer["VPCs"]]
        same = found == [vpc["vpcId"] for vpc in state["vpcs"]]
        return {
            "name": answer["HostedZone"]["Name"].rstrip("."),
            "comment": answer["HostedZone"]["Config"].get("Comment", ""),
            "vpcs": state["vpcs"] if same else [{"vpcId": vpc} for vpc in found],
            "tagsAll": from_tag_list(tags),
        }

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        _update_zone_tags(aws, resource_id, old, new)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("route53").delete_hosted_zone(Id=resource_id)


@register
class Record(ResourceType):
    token = "aws:route53/record:Record"
    arguments = frozenset({"zoneId", "name", "type", "ttl", "records", "aliases", "allowOverwrite"})
    required = frozenset({"zoneId", "name", "type"})
    replaces = frozenset({"zoneId", "name", "type"})
    nested: ClassVar = {"aliases": {"name": None, "zoneId": None, "evaluateTargetHealth": None}}
    computed = frozenset({"fqdn"})
    delete_before_replace = True

    def check(self, inputs: Inputs, /) -> list[Failure]:
        if ("records" in inputs) == ("aliases" in inputs):
            return [Failure("records", f"{self.token}: give either records (with ttl) or aliases")]
        if "records" in inputs and "ttl" not in inputs:
            return [Failure("ttl", f"{self.token}: records need a ttl")]
        return []

    @staticmethod
    def _fqdn(aws: Aws, inputs: Mapping[str, Any]) -> str:
        """The name within its zone, without the last dot; a name that does not end with the zone's is taken as relative."""
        zone = aws.client("route53").get_hosted_zone(Id=inputs["zoneId"])["HostedZone"]["Name"].rstrip(".")
        name = inputs["name"].rstrip(".").lower()
        return name if name == zone or name.endswith(f".{zone}") else f"{name}.{zone}"

    @staticmethod
    def _record_set(fqdn: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        record: dict[str, Any] = {"Name": fqdn, "Type": inputs["type"]}
        if inputs.get("aliases"):
            alias = inputs["aliases"][0]
            health = alias.get("evaluateTargetHealth", False)
            target = {"DNSName": alias["name"], "HostedZoneId": alias["zoneId"], "EvaluateTargetHealth": health}
            return {**record, "AliasTarget": target}
        return {**record, "TTL": inputs["ttl"], "ResourceRecords": [{"Value": value} for value in inputs["records"]]}

    def _change(self, aws: Aws, action: str, fqdn: str, inputs: Mapping[str, Any]) -> None:
        change = {"Action": action, "ResourceRecordSet": self._record_set(fqdn, inputs)}
        aws.client("route53").change_resource_record_sets(HostedZoneId=inputs["zoneId"], ChangeBatch={"Changes": [change]})

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        fqdn = self._fqdn(aws, inputs)
        if not inputs.get("allowOverwrite") and self._find(aws, {**inputs, "fqdn": fqdn}) is not None:
            # AWS refuses this by itself, moto lets it through.
            raise Refused(f"the record {fqdn} {inputs['type']} is there already: delete it, or say allowOverwrite")
        self._change(aws, "UPSERT", fqdn, inputs)
        return f"{inputs['zoneId']}_{fqdn}_{inputs['type']}", {"fqdn": fqdn}

    def _find(self, aws: Aws, state: dict[str, Any]) -> dict[str, Any] | None:
        arguments = {"HostedZoneId": state["zoneId"], "StartRecordName": state["fqdn"], "StartRecordType": state["type"]}
        answer = none_if_gone(aws.client("route53").list_resource_record_sets, **arguments)
        records = answer["ResourceRecordSets"] if answer else []
        same = (one for one in records if one["Name"].rstrip(".") == state["fqdn"] and one["Type"] == state["type"])
        return next(same, None)

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        record = self._find(aws, state)
        if record is None:
            return None
        if "AliasTarget" in record:
            target = record["AliasTarget"]
            live = [
                {
                    "name": target["DNSName"].rstrip("."),
                    "zoneId": target["HostedZoneId"],
                    "evaluateTargetHealth": target["EvaluateTargetHealth"],
                }
            ]
            return {} if live == state.get("aliases") else {"aliases": live}
        values = [one["Value"] for one in record["ResourceRecords"]]
        return {"ttl": record["TTL"], **({} if set(values) == set(state.get("records") or []) else {"records": values})}

    def update(self, aws: Aws, _resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        self._change(aws, "UPSERT", old["fqdn"], new)
        return {}

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        try:
            self._change(aws, "DELETE", state["fqdn"], state)
        except ClientError as error:
            # A record that is not there any more, or is another by now, is answered as an invalid batch.
            if not is_gone(error) and self._find(aws, state) is not None:
                raise
