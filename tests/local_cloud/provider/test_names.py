from __future__ import annotations

from local_cloud.provider.names import given, live, one, replacing, same_set, to_aws


def test_keys_are_spelled_as_the_api_does_at_every_depth() -> None:
    value = {"ipSet": {"arn": "x", "gone": None}, "rules": [{"name": "a"}], "empty": {}}
    assert to_aws(value, {"ipSet": "IPSet", "arn": "ARN"}) == {"IPSet": {"ARN": "x"}, "Rules": [{"Name": "a"}], "Empty": {}}


def test_a_list_of_one_stands_for_its_object() -> None:
    assert (one([{"a": 1}]), one([]), one({"a": 1}), one(None)) == ({"a": 1}, None, {"a": 1}, None)


def test_false_and_zero_are_given_and_none_is_not() -> None:
    assert given(a=False, b=0, c="", d=None) == {"a": False, "b": 0, "c": ""}


def test_what_the_program_left_to_aws_is_no_difference() -> None:
    assert live({"timeout": 5}, timeout=10, memory=128) == {"timeout": 10}


def test_the_order_of_a_set_is_no_difference() -> None:
    assert same_set({"ids": ["b", "a"]}, "ids", ["a", "b"]) == ["b", "a"]
    assert same_set({"ids": ["b", "a"]}, "ids", ["a", "c"]) == ["a", "c"]


def test_patch_operations_know_nothing_but_text() -> None:
    assert [replacing("/a", value)["value"] for value in (True, 5, 1.5, None)] == ["true", "5", "1.5", ""]
