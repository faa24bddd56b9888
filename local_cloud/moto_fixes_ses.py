"""What moto lacks of SES. Applied with the other fixes, see `moto_fixes`."""

from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ses.responses import EmailResponse

from local_cloud.moto_patching import add


def keep_identity_policies() -> None:
    """SES: sending authorization policies of an identity; one that is not there is no error. moto has none.

    https://docs.aws.amazon.com/ses/latest/APIReference/API_PutIdentityPolicy.html
    """

    def policies(response: Any) -> dict[str, str]:
        """Those of the identity that the request names."""
        kept = vars(response.backend).setdefault("identity_policies", {})
        return kept.setdefault(response._get_param("Identity"), {})

    def put_identity_policy(self: Any) -> EmptyResult:
        policies(self)[self._get_param("PolicyName")] = self._get_param("Policy")
        return EmptyResult()

    def get_identity_policies(self: Any) -> ActionResult:
        wanted = self._get_param("PolicyNames", [])
        return ActionResult({"Policies": {name: text for name, text in policies(self).items() if name in wanted}})

    def delete_identity_policy(self: Any) -> EmptyResult:
        policies(self).pop(self._get_param("PolicyName"), None)
        return EmptyResult()

    for call in (put_identity_policy, get_identity_policies, delete_identity_policy):
        add(EmailResponse, call.__name__, call)


FIXES: tuple[Callable[[], None], ...] = (keep_identity_policies,)
