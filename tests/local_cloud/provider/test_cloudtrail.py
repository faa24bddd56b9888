from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

TRAIL = "aws:cloudtrail/trail:Trail"
GROUP = "arn:aws:logs:us-east-1:123456789012:log-group:trail:*"
ROLE = "arn:aws:iam::123456789012:role/trail"

MANAGEMENT = {"name": "Management events selector", "fieldSelectors": [{"field": "eventCategory", "equals": ["Management"]}]}
OBJECTS = {
    "name": "Objects",
    "fieldSelectors": [
        {"field": "eventCategory", "equals": ["Data"]},
        {"field": "resources.type", "equals": ["AWS::S3::Object"]},
        {"field": "resources.ARN", "startsWiths": ["arn:aws:s3:::one/", "arn:aws:s3:::two/"]},
    ],
}
GIVEN = {
    "name": "audit",
    "s3KeyPrefix": "cloudtrail",
    "isMultiRegionTrail": True,
    "enableLogFileValidation": True,
    "kmsKeyId": "arn:aws:kms:us-east-1:123456789012:key/one",
    "cloudWatchLogsGroupArn": GROUP,
    "cloudWatchLogsRoleArn": ROLE,
    "advancedEventSelectors": [MANAGEMENT, OBJECTS],
    "insightSelectors": [{"insightType": "ApiCallRateInsight"}],
}


@pytest.fixture
def trail(make: Callable[..., Any], cloud: Any) -> Iterator[Any]:
    cloud.client("s3").create_bucket(Bucket="trails")
    made = make(TRAIL, s3BucketName="trails", **GIVEN)
    yield made
    made.delete()


def test_a_trail_is_found_as_it_was_given_and_records(trail: Any, cloud: Any) -> None:
    assert trail.drift() == {}
    assert trail.id == trail.state["arn"]
    assert cloud.client("cloudtrail").get_trail_status(Name=trail.id)["IsLogging"] is True
    trail.delete()
    assert trail.read() is None


def test_a_trail_changes_in_place_with_what_it_records(trail: Any, cloud: Any) -> None:
    trail.update(
        advancedEventSelectors=[MANAGEMENT],
        insightSelectors=[{"insightType": "ApiErrorRateInsight"}],
        enableLogging=False,
        kmsKeyId=None,
        tags={"Kind": "audit"},
    )
    assert trail.drift() == {}
    client = cloud.client("cloudtrail")
    assert client.get_insight_selectors(TrailName=trail.id)["InsightSelectors"] == [{"InsightType": "ApiErrorRateInsight"}]
    assert client.get_trail_status(Name=trail.id)["IsLogging"] is False


def test_without_selectors_a_trail_goes_back_to_every_management_event(trail: Any, cloud: Any) -> None:
    trail.update(advancedEventSelectors=None, insightSelectors=None)
    assert trail.drift() == {}
    answer = cloud.client("cloudtrail").get_event_selectors(TrailName=trail.id)
    assert (answer["EventSelectors"][0]["IncludeManagementEvents"], answer["AdvancedEventSelectors"]) == (True, [])


@pytest.mark.parametrize(
    ("silence", "argument"),
    [
        (lambda client, arn: client.stop_logging(Name=arn), "enableLogging"),
        (lambda client, arn: client.update_trail(Name=arn, EnableLogFileValidation=False), "enableLogFileValidation"),
        (
            lambda client, arn: client.put_event_selectors(
                TrailName=arn, EventSelectors=[{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": True}]
            ),
            "advancedEventSelectors",
        ),
        (lambda client, arn: client.put_insight_selectors(TrailName=arn, InsightSelectors=[]), "insightSelectors"),
    ],
)
def test_a_trail_that_somebody_silenced_is_a_difference(
    trail: Any, cloud: Any, silence: Callable[..., Any], argument: str
) -> None:
    silence(cloud.client("cloudtrail"), trail.id)
    assert set(trail.drift()) == {argument}


def test_a_second_trail_of_the_name_is_refused_as_aws_does(trail: Any, cloud: Any) -> None:
    with pytest.raises(ClientError, match="TrailAlreadyExists"):
        cloud.client("cloudtrail").create_trail(Name=trail.state["name"], S3BucketName="trails")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cloudWatchLogsRoleArn": None}, "go together"),
        ({"cloudWatchLogsGroupArn": GROUP.removesuffix(":*")}, 'end with ":*"'),
        ({"isOrganizationTrail": True}, "does not know the argument"),
    ],
)
def test_what_aws_would_refuse_is_refused(refusals: Callable[..., list[str]], changes: dict[str, Any], told: str) -> None:
    given = {name: value for name, value in {**GIVEN, "s3BucketName": "trails", **changes}.items() if value is not None}
    reasons = refusals(TRAIL, **given)
    assert reasons
    assert any(told in reason for reason in reasons), reasons
