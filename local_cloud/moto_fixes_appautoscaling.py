"""What moto does otherwise than Application Auto Scaling. Applied with the other fixes, see `moto_fixes`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from moto.applicationautoscaling import models
from moto.applicationautoscaling.exceptions import AWSValidationException
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.core.exceptions import JsonRESTError

from local_cloud.moto_patching import add, replace


class ObjectNotFound(JsonRESTError):
    def __init__(self) -> None:
        super().__init__("ObjectNotFoundException", "No such scalable target, scaling policy or scheduled action was found.")


def tag_scalable_targets() -> None:
    """Application Auto Scaling: a scalable target keeps the tags that it is registered with, and can be tagged. moto drops them.

    https://docs.aws.amazon.com/autoscaling/application/APIReference/API_TagResource.html
    """

    def tagged(response: Any) -> Any:
        arn = response._get_param("ResourceARN")
        targets = (one for kind in response.applicationautoscaling_backend.targets.values() for one in kind.values())
        found = next((one for one in targets if one.arn == arn), None)
        if found is None:
            raise ObjectNotFound
        return found

    def make(original: Any) -> Any:
        def register_scalable_target(self: Any) -> str:
            answer = original(self)
            dimension, resource = self._get_param("ScalableDimension"), self._get_param("ResourceId")
            target = self.applicationautoscaling_backend.targets[dimension][resource]
            # Tags are for the first registration alone.
            target.tags = getattr(target, "tags", None) or self._get_param("Tags") or {}
            return answer

        return register_scalable_target

    def list_tags_for_resource(self: Any) -> str:
        return json.dumps({"Tags": tagged(self).tags})

    def tag_resource(self: Any) -> str:
        target = tagged(self)
        target.tags = target.tags | self._get_param("Tags")
        return "{}"

    def untag_resource(self: Any) -> str:
        target, gone = tagged(self), self._get_param("TagKeys")
        target.tags = {key: value for key, value in target.tags.items() if key not in gone}
        return "{}"

    replace(ApplicationAutoScalingResponse, "register_scalable_target", make)
    add(ApplicationAutoScalingResponse, "list_tags_for_resource", list_tags_for_resource)
    add(ApplicationAutoScalingResponse, "tag_resource", tag_resource)
    add(ApplicationAutoScalingResponse, "untag_resource", untag_resource)


def say_what_is_not_found() -> None:
    """Application Auto Scaling: deleting what does not exist is an ObjectNotFoundException. moto says ValidationException.

    https://docs.aws.amazon.com/autoscaling/application/APIReference/API_DeregisterScalableTarget.html
    """

    def make(original: Any) -> Any:
        def delete(self: Any, *args: Any, **kwargs: Any) -> None:
            try:
                original(self, *args, **kwargs)
            except AWSValidationException as error:
                raise ObjectNotFound from error

        return delete

    replace(models.ApplicationAutoscalingBackend, "deregister_scalable_target", make)
    replace(models.ApplicationAutoscalingBackend, "delete_scaling_policy", make)


def keep_policies_that_are_put_again() -> None:
    """Application Auto Scaling: PutScalingPolicy changes a policy that is there, which keeps its ARN and its alarms. moto makes
    another one and leaves the alarms of the first behind.

    https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScalingPolicy.html
    """

    def make(original: Any) -> Any:
        def put_scaling_policy(self: Any, policy_name: str, namespace: str, resource: str, dimension: str, **kwargs: Any) -> Any:
            key = models.FakeApplicationAutoscalingPolicy.formulate_key(namespace, resource, dimension, policy_name)
            old = self.policies.get(key)
            new = original(self, policy_name, namespace, resource, dimension, **kwargs)
            if old is not None:
                new.delete_alarms(self.account_id, self.region_name)
                new.policy_arn, new.alarms, new.creation_time = old.policy_arn, old.alarms, old.creation_time
            return new

        def by_name(self: Any, **kwargs: Any) -> Any:
            place = ("policy_name", "service_namespace", "resource_id", "scalable_dimension")
            return put_scaling_policy(self, *(kwargs.pop(name) for name in place), **kwargs)

        return by_name

    replace(models.ApplicationAutoscalingBackend, "put_scaling_policy", make)


FIXES: tuple[Callable[[], None], ...] = (tag_scalable_targets, say_what_is_not_found, keep_policies_that_are_put_again)
