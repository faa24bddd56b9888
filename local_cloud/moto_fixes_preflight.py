"""What moto lacks of the answers that `heartmapctl preflight` asks AWS for. Applied with the other fixes, see `moto_fixes`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from moto.awslambda import urls as awslambda_urls
from moto.awslambda.responses import LambdaResponse
from moto.core.responses import ActionResult
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.iam.models import IAMBackend
from moto.iam.responses import IamResponse
from moto.servicequotas.models import ServiceQuotasBackend
from moto.sesv2 import urls as sesv2_urls
from moto.sesv2.responses import SESV2Response

from local_cloud.moto_patching import add, replace

DECISIONS = {
    PermissionResult.PERMITTED: "allowed",
    PermissionResult.DENIED: "explicitDeny",
    PermissionResult.NEUTRAL: "implicitDeny",
}

CONCURRENCY = 1000
"""Instances of functions that an account may have at once, unless the backend's `account_concurrency` says otherwise."""

# What AWS gives an account of some age: https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html
QUOTAS = {("elasticloadbalancing", "L-53DA6B97"): 50.0, ("fargate", "L-3032A538"): 4000.0, ("cloudtrail", "L-7B9D97DE"): 5.0}


def simulate_policies() -> None:
    """IAM: SimulatePrincipalPolicy. Conditions are left out, as everywhere in moto's own evaluation.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    """

    def simulate_principal_policy(self: Any) -> ActionResult:
        policies = [IAMPolicy(policy) for policy in _policies(self.backend, self._get_param("PolicySourceArn"))]
        resource = self._get_param("ResourceArns", ["*"])[0]
        return ActionResult(
            {
                "EvaluationResults": [
                    {
                        "EvalActionName": action,
                        "EvalResourceName": resource,
                        "EvalDecision": _decision(policies, action, resource),
                    }
                    for action in self._get_param("ActionNames", [])
                ],
                "IsTruncated": False,
            }
        )

    add(IamResponse, "simulate_principal_policy", simulate_principal_policy)


def _policies(backend: IAMBackend, arn: str) -> Iterator[Any]:
    """Those of a role or a user, attached and its own. Raises moto's NoSuchEntity for any other."""
    kind, _, path = arn.split(":", 5)[5].partition("/")
    name = path.rsplit("/", 1)[-1]
    if kind == "role":
        role = backend.get_role(name)
        yield from role.managed_policies.values()
        yield from role.policies.values()
    else:
        user = backend.get_user(name)
        yield from user.managed_policies.values()
        yield from user.policies.values()


def _decision(policies: list[IAMPolicy], action: str, resource: str) -> str:
    found = {policy.is_action_permitted(action, resource) for policy in policies}
    for result in (PermissionResult.DENIED, PermissionResult.PERMITTED):
        if result in found:
            return DECISIONS[result]
    return DECISIONS[PermissionResult.NEUTRAL]


def tell_concurrency() -> None:
    """Lambda: GetAccountSettings. https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html"""

    def get_account_settings(self: Any) -> str:
        most = vars(self.backend).get("account_concurrency", CONCURRENCY)
        reserved = sum(int(function.reserved_concurrency or 0) for function in self.backend.list_functions())
        return json.dumps(
            {
                "AccountLimit": {"ConcurrentExecutions": most, "UnreservedConcurrentExecutions": most - reserved},
                "AccountUsage": {},
            }
        )

    add(LambdaResponse, "get_account_settings", get_account_settings)
    awslambda_urls.url_paths["{0}/(?P<api_version>[^/]+)/account-settings/?$"] = LambdaResponse.dispatch


def tell_mail_account() -> None:
    """SES: GetAccount, of an account that is out of the sandbox unless the backend's `account` says otherwise.

    https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetAccount.html
    """

    def get_account(self: Any) -> str:
        usual = {"ProductionAccessEnabled": True, "SendingEnabled": True, "EnforcementStatus": "HEALTHY"}
        return json.dumps(usual | vars(self.sesv2_backend).get("account", {}))

    add(SESV2Response, "get_account", get_account)
    sesv2_urls.url_paths["{0}/v2/email/account$"] = SESV2Response.dispatch


def tell_more_quotas() -> None:
    """Service Quotas: those of other services than VPC, which is all that moto has; the backend's `values` come before."""

    def make(original: Any) -> Any:
        def get_service_quota(self: Any, service_code: str, quota_code: str) -> dict[str, Any]:
            value = vars(self).get("values", {}).get(quota_code, QUOTAS.get((service_code, quota_code)))
            if value is None:
                return original(self, service_code, quota_code)
            return {"ServiceCode": service_code, "QuotaCode": quota_code, "Value": value}

        return get_service_quota

    replace(ServiceQuotasBackend, "get_service_quota", make)


FIXES: tuple[Callable[[], None], ...] = (simulate_policies, tell_concurrency, tell_mail_account, tell_more_quotas)
