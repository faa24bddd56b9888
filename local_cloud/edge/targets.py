"""The internal load balancer: from its HTTPS listener, with its certificate, to the targets that are registered now."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from local_cloud.edge.interpret import require

REFRESH_SECONDS = 1.0


class Target(NamedTuple):
    """``scheme`` is http or https, as the target group speaks to it."""

    scheme: str
    address: str
    port: int


class TargetGroup:
    """The registered targets, in turn. ``refresh`` asks the emulated AWS, ``watch`` does so every second.

    ``certificate_arn`` is that of the listener's certificate.
    """

    def __init__(self, client: Callable[[str], Any], arn: str, scheme: str, certificate_arn: str) -> None:
        self._elb, self._acm = client("elbv2"), client("acm")
        self._arn, self._scheme, self._certificate_arn = arn, scheme, certificate_arn
        self._targets: tuple[Target, ...] = ()
        self._next = 0
        self._ends: datetime | None = None

    @property
    def has_expired(self) -> bool:
        """Whether the listener's certificate has. API Gateway looks at that whatever ``insecureSkipVerification`` says.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-extensions-integration-tls-config.html
        """
        return self._ends is not None and self._ends < datetime.now(UTC)

    def next(self, tried: Sequence[Target] = ()) -> Target | None:
        """The next target that was not tried yet; None when there is none."""
        left = [target for target in self._targets if target not in tried]
        self._next += 1
        return left[self._next % len(left)] if left else None

    async def refresh(self) -> None:
        """Raises botocore's errors when the emulated AWS does not answer."""
        answer = await asyncio.to_thread(self._elb.describe_target_health, TargetGroupArn=self._arn)
        certificate = await asyncio.to_thread(self._acm.describe_certificate, CertificateArn=self._certificate_arn)
        self._ends = certificate["Certificate"].get("NotAfter")
        healthy = [entry for entry in answer["TargetHealthDescriptions"] if entry["TargetHealth"]["State"] == "healthy"]
        targets = [entry["Target"] for entry in healthy]
        self._targets = tuple(Target(self._scheme, target["Id"], int(target["Port"])) for target in targets)

    async def watch(self) -> None:
        """Refreshes until cancelled; the last known targets stay while the emulated AWS does not answer."""
        while True:
            with contextlib.suppress(BotoCoreError, ClientError):
                await self.refresh()
            await asyncio.sleep(REFRESH_SECONDS)


def read(load_balancer_arn: str, port: int, client: Callable[[str], Any]) -> TargetGroup:
    """The target group that the load balancer's listener on this port forwards to. ``client`` gives a service's client.

    Raises Uninterpretable.
    """
    elb = client("elbv2")
    balancer = elb.describe_load_balancers(LoadBalancerArns=[load_balancer_arn])["LoadBalancers"][0]
    what = f"The load balancer {balancer['LoadBalancerName']}"
    require(balancer["Type"] == "application" and balancer["Scheme"] == "internal", f"{what} is not an internal application one.")
    listeners = elb.describe_listeners(LoadBalancerArn=load_balancer_arn)["Listeners"]
    listener = next((listener for listener in listeners if listener["Port"] == port and listener["Protocol"] == "HTTPS"), None)
    require(listener, f"{what} has no HTTPS listener on the port {port} that an integration names.")
    listener = listener or {}
    rules = elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    actions = [action for rule in rules for action in rule["Actions"]]
    forwards = len(rules) == 1 and len(actions) == 1 and actions[0]["Type"] == "forward"
    require(forwards, f"{what} does more than forward to one target group.")
    arn = actions[0].get("TargetGroupArn") or actions[0]["ForwardConfig"]["TargetGroups"][0]["TargetGroupArn"]
    group = elb.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"][0]
    speaks = group["TargetType"] == "ip" and group["Protocol"] in ("HTTP", "HTTPS")
    require(speaks, f"The target group {group['TargetGroupName']} does not speak HTTP to addresses.")
    return TargetGroup(client, arn, group["Protocol"].lower(), listener["Certificates"][0]["CertificateArn"])
