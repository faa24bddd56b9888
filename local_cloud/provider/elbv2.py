"""Application load balancers, target groups and listeners (aws:lb in Pulumi's naming)."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from local_cloud.provider.framework import (
    Aws,
    Failure,
    Inputs,
    ResourceType,
    changed,
    from_tag_list,
    ignoring_gone,
    none_if_gone,
    register,
    tag_changes,
    undoing,
)
from local_cloud.provider.names import from_aws, to_aws


def _update_tags(aws: Aws, arn: str, old: dict[str, Any], new: Inputs) -> None:
    to_set, to_remove = tag_changes(aws, old, new)
    elb = aws.client("elbv2")
    if to_remove:
        elb.remove_tags(ResourceArns=[arn], TagKeys=to_remove)
    if to_set:
        elb.add_tags(ResourceArns=[arn], Tags=[{"Key": key, "Value": value} for key, value in to_set.items()])


def _live_tags(aws: Aws, arn: str) -> dict[str, str]:
    return from_tag_list(aws.client("elbv2").describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"])


def _tags(aws: Aws, inputs: Inputs) -> dict[str, Any]:
    """The API refuses an empty list."""
    tags = aws.tag_list(inputs)
    return {"Tags": tags} if tags else {}


def _text(value: Any) -> str:
    """Attributes of load balancers and target groups are texts."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _suffix(arn: str, kind: str) -> str:
    """What CloudWatch calls a load balancer or a target group."""
    return arn.partition(f":{kind}")[2].removeprefix("/") if kind == "loadbalancer" else kind + arn.partition(f":{kind}")[2]


@register
class LoadBalancer(ResourceType):
    token = "aws:lb/loadBalancer:LoadBalancer"
    _attributes: ClassVar = {
        "desyncMitigationMode": "routing.http.desync_mitigation_mode",
        "dropInvalidHeaderFields": "routing.http.drop_invalid_header_fields.enabled",
        "enableDeletionProtection": "deletion_protection.enabled",
        "enableHttp2": "routing.http2.enabled",
        "idleTimeout": "idle_timeout.timeout_seconds",
    }
    _logs: ClassVar = {"accessLogs": "access_logs.s3", "connectionLogs": "connection_logs.s3"}
    arguments = frozenset({"name", "loadBalancerType", "internal", "subnets", "securityGroups", "tags", *_attributes, *_logs})
    required = frozenset({"subnets"})
    replaces = frozenset({"name", "loadBalancerType", "internal"})
    nested: ClassVar = {name: {"bucket": None, "prefix": None, "enabled": None} for name in ("accessLogs", "connectionLogs")}
    defaults: ClassVar = {"loadBalancerType": "application", "internal": False, "enableDeletionProtection": False}
    computed = frozenset({"arn", "arnSuffix", "dnsName", "zoneId", "vpcId", "ipAddressType"})
    unique = "name"
    autoname = "name"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        if inputs["loadBalancerType"] != "application":
            return [Failure("loadBalancerType", f"{self.token}: the local cloud knows only application load balancers")]
        return []

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        groups = {"SecurityGroups": inputs["securityGroups"]} if "securityGroups" in inputs else {}
        balancer = aws.client("elbv2").create_load_balancer(
            Name=inputs["name"],
            Type=inputs["loadBalancerType"],
            Scheme="internal" if inputs["internal"] else "internet-facing",
            Subnets=inputs["subnets"],
            **groups,
            **_tags(aws, inputs),
        )["LoadBalancers"][0]
        arn = balancer["LoadBalancerArn"]
        with undoing(lambda: aws.client("elbv2").delete_load_balancer(LoadBalancerArn=arn)):
            self._put_attributes(aws, arn, self._render(inputs))
        return arn, {
            "arn": arn,
            "arnSuffix": _suffix(arn, "loadbalancer"),
            "dnsName": balancer["DNSName"],
            "zoneId": balancer["CanonicalHostedZoneId"],
            "vpcId": balancer["VpcId"],
            "ipAddressType": balancer["IpAddressType"],
        }

    def _render(self, inputs: Mapping[str, Any]) -> dict[str, str]:
        rendered = {key: _text(inputs[name]) for name, key in self._attributes.items() if name in inputs}
        for logs, key in self._logs.items():
            rendered |= {f"{key}.{name}": _text(value) for name, value in (inputs.get(logs) or {}).items()}
        return rendered

    @staticmethod
    def _put_attributes(aws: Aws, arn: str, attributes: dict[str, str]) -> None:
        listed = [{"Key": key, "Value": value} for key, value in attributes.items()]
        aws.client("elbv2").modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=listed)

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        elb = aws.client("elbv2")
        answer = none_if_gone(elb.describe_load_balancers, LoadBalancerArns=[resource_id])
        if answer is None:
            return None
        balancer = answer["LoadBalancers"][0]
        listed = elb.describe_load_balancer_attributes(LoadBalancerArn=resource_id)["Attributes"]
        attributes = {one["Key"]: one["Value"] for one in listed}
        live: dict[str, Any] = {"dnsName": balancer["DNSName"], "tagsAll": _live_tags(aws, resource_id)}
        recorded = self._render(state)
        for name, key in self._attributes.items():
            value = attributes.get(key)
            if key in recorded and value != recorded[key]:
                live[name] = {"true": True, "false": False}.get(value or "", value)
        for logs, key in self._logs.items():
            if any(attributes.get(name) != value for name, value in recorded.items() if name.startswith(f"{key}.")):
                parts = {name: attributes.get(f"{key}.{name}") for name in ("bucket", "prefix")}
                live[logs] = {**parts, "enabled": attributes.get(f"{key}.enabled") == "true"}
        sets = {
            "securityGroups": balancer.get("SecurityGroups", []),
            "subnets": [zone["SubnetId"] for zone in balancer["AvailabilityZones"]],
        }
        return live | {name: ids for name, ids in sets.items() if set(ids) != set(state.get(name) or [])}

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        elb, differing = aws.client("elbv2"), changed(old, new, self.arguments)
        if "subnets" in differing:
            elb.set_subnets(LoadBalancerArn=resource_id, Subnets=new["subnets"])
        if "securityGroups" in differing:
            elb.set_security_groups(LoadBalancerArn=resource_id, SecurityGroups=new.get("securityGroups", []))
        before, after = self._render(old), self._render(new)
        after |= {f"{key}.enabled": "false" for logs, key in self._logs.items() if logs in differing and logs not in new}
        attributes = {key: value for key, value in after.items() if before.get(key) != value}
        if attributes:
            self._put_attributes(aws, resource_id, attributes)
        _update_tags(aws, resource_id, old, new)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("elbv2").delete_load_balancer(LoadBalancerArn=resource_id)


@register
class TargetGroup(ResourceType):
    token = "aws:lb/targetGroup:TargetGroup"
    _health: ClassVar = {
        "enabled": "HealthCheckEnabled",
        "healthyThreshold": "HealthyThresholdCount",
        "interval": "HealthCheckIntervalSeconds",
        "path": "HealthCheckPath",
        "port": "HealthCheckPort",
        "protocol": "HealthCheckProtocol",
        "timeout": "HealthCheckTimeoutSeconds",
        "unhealthyThreshold": "UnhealthyThresholdCount",
    }
    arguments = frozenset({"name", "vpcId", "targetType", "protocol", "port", "deregistrationDelay", "healthCheck", "tags"})
    required = frozenset({"vpcId", "protocol", "port"})
    replaces = frozenset({"name", "vpcId", "targetType", "protocol", "port"})
    nested: ClassVar = {"healthCheck": {**dict.fromkeys(_health), "matcher": None}}
    defaults: ClassVar = {"targetType": "instance", "deregistrationDelay": 300}
    computed = frozenset({"arn", "arnSuffix", "loadBalancerArns"})
    unique = "name"
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        group = aws.client("elbv2").create_target_group(
            Name=inputs["name"],
            VpcId=inputs["vpcId"],
            TargetType=inputs["targetType"],
            Protocol=inputs["protocol"],
            Port=inputs["port"],
            **self._render(inputs),
            **_tags(aws, inputs),
        )["TargetGroups"][0]
        arn = group["TargetGroupArn"]
        with undoing(lambda: self.delete(aws, arn, {})):
            self._put_delay(aws, arn, inputs["deregistrationDelay"])
        return arn, {"arn": arn, "arnSuffix": _suffix(arn, "targetgroup"), "loadBalancerArns": group.get("LoadBalancerArns", [])}

    def _render(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        check = inputs.get("healthCheck") or {}
        rendered = {self._health[name]: value for name, value in check.items() if name != "matcher"}
        if "port" in check:
            rendered["HealthCheckPort"] = str(check["port"])
        return rendered | ({"Matcher": {"HttpCode": check["matcher"]}} if "matcher" in check else {})

    @staticmethod
    def _put_delay(aws: Aws, arn: str, seconds: int) -> None:
        attributes = [{"Key": "deregistration_delay.timeout_seconds", "Value": str(seconds)}]
        aws.client("elbv2").modify_target_group_attributes(TargetGroupArn=arn, Attributes=attributes)

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        elb = aws.client("elbv2")
        answer = none_if_gone(elb.describe_target_groups, TargetGroupArns=[resource_id])
        if answer is None:
            return None
        group = answer["TargetGroups"][0]
        listed = elb.describe_target_group_attributes(TargetGroupArn=resource_id)["Attributes"]
        attributes = {one["Key"]: one["Value"] for one in listed}
        live: dict[str, Any] = {
            "deregistrationDelay": int(attributes["deregistration_delay.timeout_seconds"]),
            "loadBalancerArns": group.get("LoadBalancerArns", []),
            "tagsAll": _live_tags(aws, resource_id),
        }
        if any(group.get(key) != value for key, value in self._render(state).items()):
            known = state["healthCheck"]
            found = {name: group.get(self._health[name]) for name in known if name != "matcher"}
            live["healthCheck"] = found | ({"matcher": group["Matcher"]["HttpCode"]} if "matcher" in known else {})
        return live

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        differing = changed(old, new, self.arguments)
        if "healthCheck" in differing:
            aws.client("elbv2").modify_target_group(TargetGroupArn=resource_id, **self._render(new))
        if "deregistrationDelay" in differing:
            self._put_delay(aws, resource_id, new["deregistrationDelay"])
        _update_tags(aws, resource_id, old, new)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("elbv2").delete_target_group(TargetGroupArn=resource_id)


@register
class Listener(ResourceType):
    token = "aws:lb/listener:Listener"
    arguments = frozenset({"loadBalancerArn", "port", "protocol", "sslPolicy", "certificateArn", "defaultActions", "tags"})
    required = frozenset({"loadBalancerArn", "port", "protocol", "defaultActions"})
    replaces = frozenset({"loadBalancerArn"})
    nested: ClassVar = {"defaultActions": {"type": None, "targetGroupArn": None, "order": None}}
    computed = frozenset({"arn"})
    delete_before_replace = True  # a port of a load balancer has one listener

    @staticmethod
    def _render(inputs: Mapping[str, Any]) -> dict[str, Any]:
        rendered = {
            "Port": inputs["port"],
            "Protocol": inputs["protocol"],
            "DefaultActions": to_aws(inputs["defaultActions"]),
        }
        if "sslPolicy" in inputs:
            rendered["SslPolicy"] = inputs["sslPolicy"]
        if "certificateArn" in inputs:
            rendered["Certificates"] = [{"CertificateArn": inputs["certificateArn"]}]
        return rendered

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        listener = aws.client("elbv2").create_listener(
            LoadBalancerArn=inputs["loadBalancerArn"], **self._render(inputs), **_tags(aws, inputs)
        )["Listeners"][0]
        return listener["ListenerArn"], {"arn": listener["ListenerArn"]}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("elbv2").describe_listeners, ListenerArns=[resource_id])
        if not answer or not answer["Listeners"]:
            return None
        listener = answer["Listeners"][0]
        live: dict[str, Any] = {
            "port": listener["Port"],
            "protocol": listener["Protocol"],
            "tagsAll": _live_tags(aws, resource_id),
        }
        if "sslPolicy" in state:
            live["sslPolicy"] = listener.get("SslPolicy")
        if "certificateArn" in state:
            live["certificateArn"] = next((one["CertificateArn"] for one in listener.get("Certificates", [])), None)
        # Of the actions, what the program can say is compared; AWS repeats the target group as a weighted one.
        known = ("Type", "TargetGroupArn", "Order")
        actions = [{key: action[key] for key in known if key in action} for action in listener["DefaultActions"]]
        keys = [sorted(action) for action in to_aws(state["defaultActions"])]
        trimmed = [{key: action.get(key) for key in names} for action, names in zip(actions, keys, strict=False)]
        if len(actions) != len(keys) or trimmed != to_aws(state["defaultActions"]):
            live["defaultActions"] = from_aws(actions)
        return live

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        if changed(old, new, self.arguments - {"tags"}):
            aws.client("elbv2").modify_listener(ListenerArn=resource_id, **self._render(new))
        _update_tags(aws, resource_id, old, new)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("elbv2").delete_listener(ListenerArn=resource_id)
