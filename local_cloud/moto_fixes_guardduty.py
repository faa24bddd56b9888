"""What moto lacks of GuardDuty. Applied with the other fixes, see `moto_fixes`."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from moto.core.exceptions import JsonRESTError
from moto.guardduty import urls
from moto.guardduty.responses import GuardDutyResponse
from moto.moto_api._internal import mock_random
from moto.utilities.utils import get_partition

from local_cloud.moto_patching import add


class _NoSuchPlan(JsonRESTError):
    """GuardDuty answers so for a plan that is not there, where most services say ResourceNotFound in 400."""

    code = 404

    def __init__(self) -> None:
        super().__init__("ResourceNotFoundException", "The request was rejected because the resource was not found.")


def _plans(response: Any) -> dict[str, dict[str, Any]]:
    backend = response.guardduty_backend
    if "malware_protection_plans" not in vars(backend):
        backend.malware_protection_plans = {}
    return backend.malware_protection_plans


def _named(response: Any) -> dict[str, Any]:
    """The plan whose id, or the id in whose ARN, ends the path."""
    try:
        return _plans(response)[unquote(response.path).rsplit("/", 1)[-1]]
    except KeyError:
        raise _NoSuchPlan from None


def create_malware_protection_plan(self: Any) -> str:
    plan_id = mock_random.get_random_hex(20)
    owner = f"arn:{get_partition(self.region)}:guardduty:{self.region}:{self.current_account}"
    _plans(self)[plan_id] = {
        "arn": f"{owner}:malware-protection-plan/{plan_id}",
        "role": self._get_param("role"),
        "protectedResource": self._get_param("protectedResource"),
        "actions": self._get_param("actions") or {"tagging": {"status": "DISABLED"}},
        "createdAt": datetime.now(UTC).timestamp(),
        "status": "ACTIVE",
        "tags": self._get_param("tags") or {},
    }
    return json.dumps({"malwareProtectionPlanId": plan_id})


def get_malware_protection_plan(self: Any) -> str:
    return json.dumps(_named(self))


def update_malware_protection_plan(self: Any) -> str:
    kept = _named(self)
    kept["role"] = self._get_param("role") or kept["role"]
    kept["actions"] = self._get_param("actions") or kept["actions"]
    kept["protectedResource"]["s3Bucket"] |= (self._get_param("protectedResource") or {}).get("s3Bucket", {})
    return "{}"


def delete_malware_protection_plan(self: Any) -> str:
    gone = _named(self)
    del _plans(self)[gone["arn"].rsplit("/", 1)[-1]]
    return "{}"


def tag_resource(self: Any) -> str:
    _named(self)["tags"].update(self._get_param("tags"))
    return "{}"


def untag_resource(self: Any) -> str:
    tags = _named(self)["tags"]
    for key in self.querystring.get("tagKeys", []):
        tags.pop(key, None)
    return "{}"


def list_tags_for_resource(self: Any) -> str:
    return json.dumps({"tags": _named(self)["tags"]})


CALLS = (
    create_malware_protection_plan,
    get_malware_protection_plan,
    update_malware_protection_plan,
    delete_malware_protection_plan,
    tag_resource,
    untag_resource,
    list_tags_for_resource,
)


def keep_malware_protection_plans() -> None:
    """GuardDuty: malware protection plans of S3 buckets, with their tags. moto has none. Nothing is scanned.

    https://docs.aws.amazon.com/guardduty/latest/APIReference/API_CreateMalwareProtectionPlan.html
    """
    for call in CALLS:
        add(GuardDutyResponse, call.__name__, call)
    tags = "{0}/tags/arn:(?P<partition>[^/]+):guardduty:(?P<region_name>[^/]+):malware-protection-plan/(?P<plan_id>[^/]+)$"
    for path in ("{0}/malware-protection-plan$", "{0}/malware-protection-plan/(?P<plan_id>[^/]+)$", tags):
        urls.url_paths[path] = GuardDutyResponse.dispatch


FIXES: tuple[Callable[[], None], ...] = (keep_malware_protection_plans,)
