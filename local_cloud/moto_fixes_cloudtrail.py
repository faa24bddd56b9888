"""What moto does otherwise than CloudTrail. Applied with the other fixes, see `moto_fixes`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.cloudtrail import models
from moto.core.exceptions import JsonRESTError

from local_cloud.moto_patching import replace


def make_each_trail_once() -> None:
    """CloudTrail: a second trail of a name is TrailAlreadyExistsException. moto puts it in the place of the first.

    https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_CreateTrail.html
    """

    def make(original: Any) -> Any:
        def create_trail(self: Any, name: str, *args: Any, **kwargs: Any) -> Any:
            if name in self.trails:
                raise JsonRESTError("TrailAlreadyExistsException", f"Trail {name} already exists")
            return original(self, name, *args, **kwargs)

        return create_trail

    replace(models.CloudTrailBackend, "create_trail", make)


def forget_deleted_trails() -> None:
    """CloudTrail: DeleteTrail takes the name or the ARN of a trail that is there, whose tags go with it. moto deletes by name
    only, is silent about any other, and gives the tags to the next trail of the name.

    https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_DeleteTrail.html
    """

    def make(original: Any) -> Any:
        def delete_trail(self: Any, name: str) -> None:
            trail = self.get_trail(name)
            original(self, trail.trail_name)
            self.tagging_service.delete_all_tags_for_resource(trail.arn)

        return delete_trail

    replace(models.CloudTrailBackend, "delete_trail", make)


def replace_selectors() -> None:
    """CloudTrail: what PutEventSelectors and PutInsightSelectors are given takes the place of what was there, and the trail tells
    that it has some. moto keeps advanced selectors beside basic ones, adds insights to insights, and denies having either.

    https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_PutEventSelectors.html
    https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_PutInsightSelectors.html
    """

    def make_events(_original: Any) -> Any:
        def put_event_selectors(self: Any, event_selectors: Any, advanced_event_selectors: Any) -> None:
            self.event_selectors = event_selectors or []
            self.advanced_event_selectors = advanced_event_selectors or []

        return put_event_selectors

    def make_insights(_original: Any) -> Any:
        def put_insight_selectors(self: Any, insight_selectors: Any) -> None:
            self.insight_selectors = list(insight_selectors or [])

        return put_insight_selectors

    def make_description(original: Any) -> Any:
        def description(self: Any, include_region: bool = False) -> dict[str, Any]:
            return {
                **original(self, include_region),
                "HasCustomEventSelectors": bool(self.event_selectors or self.advanced_event_selectors),
                "HasInsightSelectors": bool(self.insight_selectors),
            }

        return description

    replace(models.Trail, "put_event_selectors", make_events)
    replace(models.Trail, "put_insight_selectors", make_insights)
    replace(models.Trail, "description", make_description)


FIXES: tuple[Callable[[], None], ...] = (make_each_trail_once, forget_deleted_trails, replace_selectors)
