"""What moto lacks of CloudWatch Logs, or does otherwise. Applied with the other fixes, see `moto_fixes`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

from moto.logs import models
from moto.logs.exceptions import InvalidParameterException, ResourceNotFoundException
from moto.logs.responses import LogsResponse
from moto.logs.utils import EventMessageFilter

from local_cloud import filter_pattern
from local_cloud.moto_patching import add, replace


def change_keys_in_place() -> None:
    """CloudWatch Logs: AssociateKmsKey and DisassociateKmsKey. moto lacks both.

    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_AssociateKmsKey.html
    """

    def group(self: Any) -> Any:
        found = self.logs_backend.groups.get(self._get_param("logGroupName"))
        if found is None:
            raise ResourceNotFoundException
        return found

    def associate_kms_key(self: Any) -> str:
        group(self).kms_key_id = self._get_param("kmsKeyId")
        return ""

    def disassociate_kms_key(self: Any) -> str:
        group(self).kms_key_id = None
        return ""

    add(LogsResponse, "associate_kms_key", associate_kms_key)
    add(LogsResponse, "disassociate_kms_key", disassociate_kms_key)


def put_metric_filters() -> None:
    """CloudWatch Logs: PutMetricFilter needs the log group and a pattern, and puts the filter in the place of its namesake; the
    filters of a log group go with it. moto takes any pattern for any group, and keeps both filters.

    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutMetricFilter.html
    """

    def make_put(original: Any) -> Any:
        def put_metric_filter(
            self: Any, filter_name: str, filter_pattern: str, log_group_name: str, metric_transformations: Any
        ) -> None:
            if log_group_name not in self.groups:
                raise ResourceNotFoundException
            _checked(filter_pattern)
            self.filters.delete_filter(filter_name, log_group_name)
            original(self, filter_name, filter_pattern, log_group_name, metric_transformations)

        return put_metric_filter

    def make_delete(original: Any) -> Any:
        def delete_log_group(self: Any, log_group_name: str) -> None:
            original(self, log_group_name)
            self.filters.metric_filters = [one for one in self.filters.metric_filters if one["logGroupName"] != log_group_name]

        return delete_log_group

    replace(models.LogsBackend, "put_metric_filter", make_put)
    replace(models.LogsBackend, "delete_log_group", make_delete)


def try_metric_filters() -> None:
    """CloudWatch Logs: TestMetricFilter tells which of some lines a pattern matches. moto lacks it.

    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TestMetricFilter.html
    """

    def test_metric_filter(self: Any) -> str:
        pattern, lines = _checked(self._get_param("filterPattern")), self._get_param("logEventMessages")
        found = [(number, line) for number, line in enumerate(lines, 1) if filter_pattern.matches(pattern, line)]
        return json.dumps(
            {"matches": [{"eventNumber": number, "eventMessage": line, "extractedValues": {}} for number, line in found]}
        )

    add(LogsResponse, "test_metric_filter", test_metric_filter)


def filter_json_records() -> None:
    """CloudWatch Logs: FilterLogEvents gives the lines of all streams of a group by their time, and knows patterns for records in
    JSON. moto goes from stream to stream, and takes every line to match such a pattern.

    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
    """

    def make_filter(original: Any) -> Any:
        def filter_log_events(
            self: Any, group: str, streams: Any, start: Any, end: Any, limit: Any, token: Any, pattern: Any, _interleaved: Any
        ) -> Any:
            if pattern and pattern.lstrip().startswith("{"):
                _checked(pattern)
            return original(self, group, streams, start, end, limit, token, pattern, True)

        return filter_log_events

    def make_match(original: Any) -> Any:
        def matches(self: Any, message: str) -> bool:
            pattern = self.pattern
            return filter_pattern.matches(pattern, message) if pattern.startswith("{") else original(self, message)

        return matches

    def make_keep(original: Any) -> Any:
        def __init__(self: Any, pattern: str) -> None:  # noqa: N807  # it is that of a class of moto's
            self.pattern = (pattern or "").strip()
            original(self, pattern)

        return __init__

    replace(models.LogsBackend, "filter_log_events", make_filter)
    replace(EventMessageFilter, "__init__", make_keep)
    replace(EventMessageFilter, "matches", make_match)


def save_queries() -> None:
    """CloudWatch Logs: PutQueryDefinition, DescribeQueryDefinitions and DeleteQueryDefinition. moto lacks them.

    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutQueryDefinition.html
    """

    def saved(self: Any) -> dict[str, dict[str, Any]]:
        return vars(self.logs_backend).setdefault("query_definitions", {})

    def put_query_definition(self: Any) -> str:
        groups = self._get_param("logGroupNames") or []
        if any(group not in self.logs_backend.groups for group in groups):
            raise ResourceNotFoundException
        query_id = self._get_param("queryDefinitionId") or str(uuid.uuid4())
        saved(self)[query_id] = {
            "queryDefinitionId": query_id,
            "name": self._get_param("name"),
            "queryString": self._get_param("queryString"),
            "logGroupNames": groups,
        }
        return json.dumps({"queryDefinitionId": query_id})

    def describe_query_definitions(self: Any) -> str:
        prefix = self._get_param("queryDefinitionNamePrefix") or ""
        return json.dumps({"queryDefinitions": [one for one in saved(self).values() if one["name"].startswith(prefix)]})

    def delete_query_definition(self: Any) -> str:
        if saved(self).pop(self._get_param("queryDefinitionId"), None) is None:
            raise ResourceNotFoundException
        return json.dumps({"success": True})

    for call in (put_query_definition, describe_query_definitions, delete_query_definition):
        add(LogsResponse, call.__name__, call)


def _checked(pattern: str) -> str:
    try:
        filter_pattern.parse(pattern)
    except filter_pattern.PatternError as error:
        raise InvalidParameterException(f"Invalid metric filter pattern: {error}") from error
    return pattern


FIXES: tuple[Callable[[], None], ...] = (
    change_keys_in_place,
    put_metric_filters,
    try_metric_filters,
    filter_json_records,
    save_queries,
)
