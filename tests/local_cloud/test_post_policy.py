from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from local_cloud import post_policy

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def fields(*conditions: Any, expiration: str = "2026-11-24T12:05:00Z", **given: str) -> dict[str, str]:
    document = {"expiration": expiration, "conditions": [{"x-amz-algorithm": "AWS4-HMAC-SHA256"}, {"bucket": "b"}, *conditions]}
    policy = base64.b64encode(json.dumps(document).encode()).decode()
    return {"policy": policy, "x-amz-algorithm": "AWS4-HMAC-SHA256", "X-Amz-Signature": "s", "bucket": "b", **given}


@pytest.mark.parametrize("size", [1, 10])
def test_both_ends_of_a_size_range_are_in_it(size: int) -> None:
    assert post_policy.refusal(fields(["content-length-range", 1, 10]), size, NOW) is None


@pytest.mark.parametrize(("size", "code"), [(0, "EntityTooSmall"), (11, "EntityTooLarge")])
def test_a_size_out_of_range_is_refused(size: int, code: str) -> None:
    refused = post_policy.refusal(fields(["content-length-range", 1, 10]), size, NOW)
    assert refused is not None
    assert (refused.status, refused.code) == (400, code)


def test_a_prefix_and_an_equality_are_compared_with_the_field() -> None:
    conditions = (["starts-with", "$key", "uploads/"], ["eq", "$Content-Type", "application/x-hdf5"])
    good = fields(*conditions, key="uploads/1", **{"content-type": "application/x-hdf5"})
    assert post_policy.refusal(good, 1, NOW) is None
    for wrong in ({"key": "other/1"}, {"content-type": "text/html"}):
        refused = post_policy.refusal(good | wrong, 1, NOW)
        assert refused is not None
        assert refused.status == 403


def test_a_post_without_a_signature_is_refused() -> None:
    for given in (
        {name: text for name, text in fields().items() if name != "X-Amz-Signature"},
        fields(**{"X-Amz-Signature": ""}),
    ):
        refused = post_policy.refusal(given, 1, NOW)
        assert refused is not None
        assert (refused.status, refused.code) == (400, "InvalidArgument")


def test_a_policy_ends_at_its_expiration() -> None:
    refused = post_policy.refusal(fields(expiration="2026-11-24T12:00:00Z"), 1, NOW)
    assert refused is not None
    assert refused.message == "Invalid according to Policy: Policy expired."


def test_a_field_that_no_condition_names_is_refused_but_an_ignored_one_is_not() -> None:
    assert post_policy.refusal(fields(**{"x-ignore-this": "1"}), 1, NOW) is None
    refused = post_policy.refusal(fields(tagging="<Tagging/>"), 1, NOW)
    assert refused is not None
    assert refused.message.endswith("Extra input fields: tagging")


@pytest.mark.parametrize(
    "document",
    [
        "[]",
        "{}",
        '{"expiration": "never", "conditions": []}',
        '{"expiration": "2026-11-24T12:05:00Z", "conditions": [["like", "$key", "a"]]}',
    ],
)
def test_a_policy_that_cannot_be_read_is_refused(document: str) -> None:
    policy = base64.b64encode(document.encode()).decode()
    refused = post_policy.refusal({"policy": policy, "x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-signature": "s"}, 1, NOW)
    assert refused is not None
    assert refused.code == "InvalidPolicyDocument"
