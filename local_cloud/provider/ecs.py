"""ECS: cluster, task definitions, services."""
# ruff: noqa: S105  # the token of a Pulumi type is not a password

from __future__ import annotations

import json
from typing import Any, ClassVar, Final

from local_cloud.provider.framework import (
    UNKNOWN,
    Aws,
    Failure,
    Inputs,
    ResourceType,
    changed,
    ignoring_gone,
    none_if_gone,
    register,
    same_json,
    tag_changes,
)
from local_cloud.provider.names import given, live, one, same_set

# What ECS fills in where a container definition says nothing.
CONTAINER_DEFAULTS: Final[dict[str, Any]] = {
    "cpu": 0,
    "essential": True,
    "environment": [],
    "mountPoints": [],
    "portMappings": [],
    "volumesFrom": [],
}


def _tag_list(aws: Aws, inputs: Inputs) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in aws.tags(inputs).items()]


def _live_tags(answer: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in answer.get("tags") or []}


def _update_tags(aws: Aws, arn: str, old: dict[str, Any], new: Inputs) -> None:
    to_set, to_remove = tag_changes(aws, old, new)
    if to_remove:
        aws.client("ecs").untag_resource(resourceArn=arn, tagKeys=to_remove)
    if to_set:
        tags = [{"key": key, "value": value} for key, value in to_set.items()]
        aws.client("ecs").tag_resource(resourceArn=arn, tags=tags)


@register
class Cluster(ResourceType):
    token = "aws:ecs/cluster:Cluster"
    arguments = frozenset({"name", "settings", "tags"})
    replaces = frozenset({"name"})
    nested: ClassVar = {"settings": {"name": None, "value": None}}
    computed = frozenset({"arn"})
    unique = "name"
    autoname = "name"

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        cluster = aws.client("ecs").create_cluster(
            clusterName=inputs["name"], tags=_tag_list(aws, inputs), **given(settings=inputs.get("settings"))
        )["cluster"]
        return cluster["clusterArn"], {"arn": cluster["clusterArn"]}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = aws.client("ecs").describe_clusters(clusters=[resource_id], include=["SETTINGS", "TAGS"])
        found = [cluster for cluster in answer["clusters"] if cluster["status"] != "INACTIVE"]
        if not found:
            return None
        return live(state, settings=found[0].get("settings")) | {
            "name": found[0]["clusterName"],
            "arn": found[0]["clusterArn"],
            "tagsAll": _live_tags(found[0]),
        }

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        if changed(old, new, {"settings"}):
            aws.client("ecs").update_cluster(cluster=resource_id, settings=new.get("settings") or [])
        _update_tags(aws, resource_id, old, new)
        return {}

    def delete(self, aws: Aws, resource_id: str, _state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("ecs").delete_cluster(cluster=resource_id)


@register
class TaskDefinition(ResourceType):
    """A revision never changes: another definition is another revision, and the old one is deregistered."""

    token = "aws:ecs/taskDefinition:TaskDefinition"
    arguments = frozenset(
        {
            "family",
            "containerDefinitions",
            "cpu",
            "memory",
            "networkMode",
            "requiresCompatibilities",
            "runtimePlatform",
            "executionRoleArn",
            "taskRoleArn",
            "volumes",
            "ephemeralStorage",
            "tags",
        }
    )
    required = frozenset({"family", "containerDefinitions"})
    replaces = arguments - {"tags"}
    nested: ClassVar = {
        "runtimePlatform": {"cpuArchitecture": None, "operatingSystemFamily": None},
        "volumes": {"name": None},
        "ephemeralStorage": {"sizeInGib": None},
    }
    computed = frozenset({"arn", "arnWithoutRevision", "revision"})

    def check(self, inputs: Inputs, /) -> list[Failure]:
        definitions = inputs["containerDefinitions"]
        if definitions is UNKNOWN:
            return []
        try:
            parsed = json.loads(definitions)
        except ValueError:
            parsed = None
        if not isinstance(parsed, list) or not parsed:
            return [Failure("containerDefinitions", "containerDefinitions is not a JSON list of at least one container")]
        return []

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        storage = one(inputs.get("ephemeralStorage"))
        definition = aws.client("ecs").register_task_definition(
            family=inputs["family"],
            containerDefinitions=json.loads(inputs["containerDefinitions"]),
            tags=_tag_list(aws, inputs),
            **given(
                cpu=inputs.get("cpu"),
                memory=inputs.get("memory"),
                networkMode=inputs.get("networkMode"),
                requiresCompatibilities=inputs.get("requiresCompatibilities"),
                runtimePlatform=one(inputs.get("runtimePlatform")),
                executionRoleArn=inputs.get("executionRoleArn"),
                taskRoleArn=inputs.get("taskRoleArn"),
                volumes=inputs.get("volumes"),
                ephemeralStorage={"sizeInGiB": storage["sizeInGib"]} if storage else None,
            ),
        )["taskDefinition"]
        return inputs["family"], self._outputs(definition)

    def read(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(aws.client("ecs").describe_task_definition, taskDefinition=state["arn"], include=["TAGS"])
        if answer is None or answer["taskDefinition"]["status"] != "ACTIVE":
            return None
        definition = answer["taskDefinition"]
        return self._outputs(definition) | {
            "containerDefinitions": same_json(self._as_given(definition, state), state["containerDefinitions"]),
            "tagsAll": _live_tags(answer),
        }

    def update(self, aws: Aws, _resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        _update_tags(aws, old["arn"], old, new)
        return {}

    def delete(self, aws: Aws, _resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("ecs").deregister_task_definition(taskDefinition=state["arn"])

    def _as_given(self, definition: dict[str, Any], state: dict[str, Any]) -> list[Any]:
        """The live containers without the defaults that AWS fills in."""
        mine = {container["name"]: container for container in json.loads(state["containerDefinitions"])}
        return [
            {
                key: value
                for key, value in container.items()
                if key in mine.get(container["name"], {}) or value != CONTAINER_DEFAULTS.get(key)
            }
            for container in definition["containerDefinitions"]
        ]

    def _outputs(self, definition: dict[str, Any]) -> dict[str, Any]:
        arn = definition["taskDefinitionArn"]
        return {"arn": arn, "arnWithoutRevision": arn.rpartition(":")[0], "revision": definition["revision"]}


@register
class Service(ResourceType):
    token = "aws:ecs/service:Service"
    arguments = frozenset(
        {
            "name",
            "cluster",
            "taskDefinition",
            "desiredCount",
            "launchType",
            "platformVersion",
            "enableExecuteCommand",
            "enableEcsManagedTags",
            "propagateTags",
            "healthCheckGracePeriodSeconds",
            "deploymentMinimumHealthyPercent",
            "deploymentMaximumPercent",
            "deploymentCircuitBreaker",
            "alarms",
            "networkConfiguration",
            "loadBalancers",
            "availabilityZoneRebalancing",
            "waitForSteadyState",
            "tags",
        }
    )
    required = frozenset({"cluster", "taskDefinition"})
    replaces = frozenset({"name", "cluster", "launchType"})
    nested: ClassVar = {
        "deploymentCircuitBreaker": {"enable": None, "rollback": None},
        "alarms": {"enable": None, "rollback": None, "alarmNames": None},
        "networkConfiguration": {"subnets": None, "securityGroups": None, "assignPublicIp": None},
        "loadBalancers": {"targetGroupArn": None, "containerName": None, "containerPort": None},
    }
    computed = frozenset({"arn"})
    unique = "name"
    autoname = "name"

    def check(self, inputs: Inputs, /) -> list[Failure]:
        if inputs.get("waitForSteadyState"):
            return [
                Failure("waitForSteadyState", "no task runs while the stack is deployed locally: leave waitForSteadyState out")
            ]
        return []

    def create(self, aws: Aws, inputs: Inputs, /) -> tuple[str, dict[str, Any]]:
        service = aws.client("ecs").create_service(
            serviceName=inputs["name"],
            tags=_tag_list(aws, inputs),
            **given(launchType=inputs.get("launchType")),
            **self._settings(inputs),
        )["service"]
        return service["serviceArn"], {"arn": service["serviceArn"]}

    def read(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> dict[str, Any] | None:
        answer = none_if_gone(
            aws.client("ecs").describe_services, cluster=state["cluster"], services=[resource_id], include=["TAGS"]
        )
        found = [service for service in (answer or {}).get("services", []) if service["status"] != "INACTIVE"]
        if not found:
            return None
        service = found[0]
        return live(
            state,
            taskDefinition=service["taskDefinition"],
            desiredCount=service["desiredCount"],
            healthCheckGracePeriodSeconds=service.get("healthCheckGracePeriodSeconds"),
            **self._deployment(service),
            loadBalancers=service["loadBalancers"],
            networkConfiguration=self._network(state, service),
        ) | {"arn": service["serviceArn"], "tagsAll": _live_tags(service)}

    def update(self, aws: Aws, resource_id: str, old: dict[str, Any], new: Inputs, /) -> dict[str, Any]:
        differing = changed(old, new, self.arguments - {"tags"})
        if differing:
            settings = self._settings(new)
            if "desiredCount" not in differing:
                settings.pop("desiredCount", None)  # scaling may have set it to something else since
            aws.client("ecs").update_service(service=resource_id, **settings)
        _update_tags(aws, resource_id, old, new)
        return {}

    def delete(self, aws: Aws, resource_id: str, state: dict[str, Any], /) -> None:
        with ignoring_gone():
            aws.client("ecs").delete_service(cluster=state["cluster"], service=resource_id, force=True)

    def _settings(self, inputs: Inputs) -> dict[str, Any]:
        """What both creating and updating a service take."""
        deployment = given(
            minimumHealthyPercent=inputs.get("deploymentMinimumHealthyPercent"),
            maximumPercent=inputs.get("deploymentMaximumPercent"),
            deploymentCircuitBreaker=one(inputs.get("deploymentCircuitBreaker")),
            alarms=one(inputs.get("alarms")),
        )
        network = one(inputs.get("networkConfiguration"))
        if network:
            public = "ENABLED" if network.get("assignPublicIp") else "DISABLED"
            network = {"awsvpcConfiguration": {"securityGroups": [], **network, "assignPublicIp": public}}
        return given(
            cluster=inputs["cluster"],
            taskDefinition=inputs["taskDefinition"],
            desiredCount=inputs.get("desiredCount"),
            platformVersion=inputs.get("platformVersion"),
            enableExecuteCommand=inputs.get("enableExecuteCommand"),
            enableECSManagedTags=inputs.get("enableEcsManagedTags"),
            propagateTags=inputs.get("propagateTags"),
            healthCheckGracePeriodSeconds=inputs.get("healthCheckGracePeriodSeconds"),
            deploymentConfiguration=deployment or None,
            networkConfiguration=network,
            loadBalancers=inputs.get("loadBalancers"),
            availabilityZoneRebalancing=inputs.get("availabilityZoneRebalancing"),
        )

    @staticmethod
    def _deployment(service: dict[str, Any]) -> dict[str, Any]:
        found = service.get("deploymentConfiguration") or {}
        return {
            "deploymentMinimumHealthyPercent": found.get("minimumHealthyPercent"),
            "deploymentMaximumPercent": found.get("maximumPercent"),
            "deploymentCircuitBreaker": found.get("deploymentCircuitBreaker"),
            "alarms": found.get("alarms"),
        }

    def _network(self, state: dict[str, Any], service: dict[str, Any]) -> dict[str, Any] | None:
        mine, theirs = one(state.get("networkConfiguration")), service.get("networkConfiguration", {}).get("awsvpcConfiguration")
        if not mine or not theirs:
            return theirs
        found = {
            "subnets": same_set(mine, "subnets", theirs["subnets"]),
            "securityGroups": same_set(mine, "securityGroups", theirs.get("securityGroups")),
            "assignPublicIp": theirs.get("assignPublicIp") == "ENABLED",
        }
        return {**mine, **live(mine, **found)}
