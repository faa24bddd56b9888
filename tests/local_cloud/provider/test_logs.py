from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

GROUP, FILTER = "aws:cloudwatch/logGroup:LogGroup", "aws:cloudwatch/logMetricFilter:LogMetricFilter"
KEY = "arn:aws:kms:us-east-1:123456789012:key/one"
ROOT = '{$.userIdentity.type="Root" && $.userIdentity.invokedBy NOT EXISTS}'


def a_filter(group: str, **changes: Any) -> dict[str, Any]:
    counted = {"name": "root-use", "namespace": "heartmap/changes", "value": "1", "defaultValue": "0"}
    return {"name": "root-use", "logGroupName": group, "pattern": ROOT, "metricTransformation": counted, **changes}


def test_a_log_group_gets_another_key_and_keeps_what_is_in_it(make: Callable[..., Any], cloud: Any) -> None:
    group = make(GROUP, name="kept", kmsKeyId=KEY, retentionInDays=30)
    cloud.client("logs").create_log_stream(logGroupName="kept", logStreamName="old")
    group.update(kmsKeyId=f"{KEY}-more", retentionInDays=365)
    assert group.drift() == {}
    group.update(kmsKeyId=None)
    assert group.drift() == {}
    assert len(cloud.client("logs").describe_log_streams(logGroupName="kept")["logStreams"]) == 1


def test_a_metric_filter_is_found_as_it_was_given_and_changes_in_place(make: Callable[..., Any], cloud: Any) -> None:
    group = make(GROUP, name="counted")
    made = make(FILTER, **a_filter("counted"))
    assert made.drift() == {}
    made.update(pattern="{$.eventName=StopLogging}")
    assert made.drift() == {}
    assert len(cloud.client("logs").describe_metric_filters(logGroupName="counted")["metricFilters"]) == 1
    made.delete()
    assert made.read() is None
    group.delete()


def test_a_filter_that_somebody_made_blind_is_a_difference(make: Callable[..., Any], cloud: Any) -> None:
    make(GROUP, name="blinded")
    made = make(FILTER, **a_filter("blinded"))
    (live,) = cloud.client("logs").describe_metric_filters(logGroupName="blinded")["metricFilters"]
    cloud.client("logs").put_metric_filter(
        logGroupName="blinded",
        filterName="root-use",
        filterPattern="{$.eventName=Nothing}",
        metricTransformations=live["metricTransformations"],
    )
    assert set(made.drift()) == {"pattern"}


def test_a_metric_filter_goes_with_its_log_group(make: Callable[..., Any]) -> None:
    group = make(GROUP, name="short-lived")
    made = make(FILTER, **a_filter("short-lived"))
    group.delete()
    assert made.read() is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"logGroupName": "nowhere"}, "ResourceNotFound"),
        ({"pattern": "{$.eventName=One && $.eventName=Two || $.eventName=Three}"}, "parentheses"),
        ({"pattern": "{" + " || ".join(["($.eventName=StopLogging)"] * 50) + "}"}, "1024"),
    ],
)
def test_a_filter_that_counts_nothing_is_refused_as_aws_does(make: Callable[..., Any], changes: Any, told: str) -> None:
    make(GROUP, name=f"refusing-{told}")
    with pytest.raises(ClientError, match=told):
        make(FILTER, **a_filter(f"refusing-{told}", **changes))


def test_the_emulated_aws_tells_which_lines_a_pattern_matches(cloud: Any) -> None:
    lines = ['{"userIdentity": {"type": "Root"}}', '{"userIdentity": {"type": "Root", "invokedBy": "AWS"}}', "no JSON"]
    answer = cloud.client("logs").test_metric_filter(filterPattern=ROOT, logEventMessages=lines)
    assert [one["eventNumber"] for one in answer["matches"]] == [1]
